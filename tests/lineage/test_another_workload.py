"""A workload is a folder: dropped into a copy of the platform, it runs from feed to scorecard, and no line changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from automation import database
from automation.calendar import Days
from automation.lakehouse import Lakehouse
from automation.settings import Settings

ROOT = Path(__file__).parent.parent.parent
GIVEN = ROOT / "tests" / "workloads" / "parcel_claims"
NAME = "parcel_claims"
PACKAGES = ("assets", "automation", "contracts", "feature_repo")
DECIDED = Days(date(2020, 6, 16), date(2020, 6, 18))


@dataclass(frozen=True)
class Copy:
    """A copy of the platform with the new workload in it."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def lake(self) -> Lakehouse:
        return Lakehouse(str(self.home / "lakehouse"))

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARRANT_", "DAGSTER_"))}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=clean | {"WARRANT_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("platform"))
    for package in PACKAGES:
        shutil.copytree(ROOT / package, made.folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", made.folder)
    shutil.copytree(GIVEN / "assets", made.folder / "assets" / NAME)
    shutil.copytree(GIVEN / "contracts", made.folder / "contracts" / NAME)
    shutil.copy(GIVEN / "feature_repo" / f"{NAME}.py", made.folder / "feature_repo")
    yield made
    database.stop(Settings(home=made.home))


@pytest.fixture(scope="module")
def replayed(copy: Copy) -> subprocess.CompletedProcess[str]:
    """Setup, history, training, a second training on the workload's own day of the month, three days decided."""
    command = ("-m", "automation.cli", "replay", "--workload", NAME)
    result = copy.python(*command, "--from", DECIDED.keys[0], "--to", DECIDED.keys[-1])
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_it_runs_from_the_feed_to_monitoring(replayed: subprocess.CompletedProcess[str], copy: Copy) -> None:
    assert "parcel_claims: 2020-06-16 to 2020-06-18 is done (7 steps run)" in replayed.stdout
    assert {"claims", "depots", "claim_facts", "training_set", "scores", "decisions", "outcomes"} <= set(
        copy.lake.tables(NAME)
    )
    assert sorted(set(copy.lake.read(NAME, "training_set")["day"])) == [date(2020, 6, 16), date(2020, 6, 17)]


def test_every_case_is_decided_and_a_broken_one_gets_the_safe_action_and_a_person(replayed, copy: Copy) -> None:
    cases = copy.lake.read(NAME, "cases", DECIDED)
    decisions = copy.lake.read(NAME, "decisions", DECIDED)
    assert cases.height == 96
    assert sorted(cases["claim_id"]) == sorted(decisions["case_key"])
    broken = decisions.filter(pl.col("probability").is_null())
    assert broken.height > 0
    assert set(broken["action"]) == {"look_into"}
    assert set(broken["status"]) == {"review"}
    assert set(broken["review_reasons"]) == {'["not scored: value_dollars: required"]'}
    automated = decisions.filter(pl.col("probability").is_not_null())
    assert set(automated["action"]) == {"look_into", "pay"}
    # The model as of the day decides it.
    assert automated.group_by("day").agg(pl.col("model_version").unique()).sort("day")["model_version"].to_list() == [
        [1],
        [2],
        [2],
    ]


def test_outcomes_join_when_they_are_known_and_the_scorecard_adds_up(replayed, copy: Copy) -> None:
    result = copy.python("-m", "automation.cli", "scorecard", "--workload", NAME, "--json")
    assert result.returncode == 0, result.stderr
    card = json.loads(result.stdout)
    assert card["cases"] == 96
    assert sum(card["decisions_by_action"].values()) == 96
    assert 0 < card["outcomes"] < 96
    foresight = next(b for b in card["baselines"] if b["name"] == "perfect foresight")
    assert foresight["cost"] <= card["cost"]
    assert card["auc"] > 0.7


def test_both_workloads_are_declared_and_nothing_of_the_platform_names_the_new_one(copy: Copy) -> None:
    program = (
        "from automation.components import declared_workloads; from automation.definitions import defs; "
        "print(sorted(declared_workloads(defs())))"
    )
    result = copy.python("-c", program)
    assert result.stdout.strip() == "['flight_disruption', 'parcel_claims']", result.stderr
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            assert NAME not in file.read_text(), file
    for file in [*(ROOT / "automation").rglob("*.py"), *(ROOT / "assets" / "stages").rglob("*.py")]:
        if file.name != "demo.py":
            assert "flight_disruption" not in "".join(
                line for line in file.read_text().splitlines(keepends=True) if "warrant " not in line
            ), f"{file} names a workload"
