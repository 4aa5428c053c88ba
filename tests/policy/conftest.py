"""The pilot, as its files say it, and the ledger's real database."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from automation.policy.bundle import PolicyBundle, working
from automation.workload import Workload, WorkloadSpec
from tests.ledger.conftest import ledger, server, settings

__all__ = ["ledger", "server", "settings"]
ROOT = Path(__file__).parents[2]
PILOT = ROOT / "assets" / "flight_disruption"


@pytest.fixture(scope="session")
def workload() -> Workload:
    """The pilot."""
    attributes = yaml.safe_load((PILOT / "defs.yaml").read_text())["attributes"]
    return Workload(WorkloadSpec.model_validate(attributes), "assets.flight_disruption", ROOT / "contracts")


@pytest.fixture(scope="session")
def pilots(workload: Workload) -> PolicyBundle:
    """The pilot's policy."""
    return working(workload)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the pilot's policy folder, in one file of which a text is replaced by another."""

    def edit(file: str, old: str, new: str) -> Path:
        folder = tmp_path / "policy"
        shutil.copytree(PILOT / "policy", folder, dirs_exist_ok=True)
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))
        return folder

    return edit
