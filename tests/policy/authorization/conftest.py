"""The pilot's authorization, and folders in which it is spoilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from automation.policy.authorization import Authorizer, Automation, Cases, ModelStage, Person, Workload

PILOT = Path(__file__).parents[3] / "assets" / "flight_disruption" / "policy"
ACTIONS = ("proceed", "notify", "protect")
NAME = "flight_disruption"
CHAMPION = Automation(NAME, ModelStage.CHAMPION, 3)
CASES, WORKLOAD = Cases(NAME), Workload(NAME)
OWNER, OPERATOR, REVIEWER, BOTH = map(Person, ("A. Jensen", "M. Okafor", "R. Silva", "T. Novak"))


@pytest.fixture(scope="session")
def pilot() -> Authorizer:
    return Authorizer.load(PILOT, ACTIONS)


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the pilot's folder, in one file of which each text given is replaced by another."""

    def spoil(file: str, **replaced: str) -> Path:
        folder = tmp_path / "policy"
        shutil.copytree(PILOT, folder, dirs_exist_ok=True)
        text = (folder / file).read_text()
        assert replaced["old"] in text
        (folder / file).write_text(text.replace(replaced["old"], replaced["new"], 1))
        return folder

    return spoil
