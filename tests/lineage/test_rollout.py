"""A rollout in a real home: one version held back by its gates, one promoted and rolled back while MLflow is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from automation import database
from automation.calendar import Days
from automation.ledger import store
from automation.registry import ModelRegistry
from automation.rollout.aliases import put_back
from automation.rollout.machine import Kind, deciding_on, rollout
from automation.rollout.plan import AliasMoved
from automation.workload import Workload
from tests.lineage.conftest import NAME, ROOT, Home

BAD, GOOD, NEXT = "2013-01-11", "2013-01-12", date(2013, 1, 12)
NOW = datetime(2013, 1, 13, tzinfo=UTC)
# Trains as of a day; with "worse", what is evaluated is the opposite of what the model says.
TRAIN = """
import sys
from datetime import date
from automation import evaluation
from automation.calendar import Days
from automation.replay import Platform, Step
from automation.settings import settings

honest = evaluation.evaluate
if sys.argv[2:] == ["worse"]:
    evaluation.evaluate = lambda probability, *rest: honest(1 - probability, *rest)
platform = Platform(settings())
print(platform.run(platform.workload("flight_disruption"), Step("retrain", Days.one(date.fromisoformat(sys.argv[1])))))
"""


@pytest.fixture(scope="module")
def trained(copied: Callable[[str], Home]) -> Home:
    """A home where version 1 decides, version 2 failed its gates and version 3 is promoted from the next day on."""
    home = copied("rollout")
    for arguments in ((BAD, "worse"), (GOOD,)):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARRANT_", "DAGSTER_"))}
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, *arguments],
            cwd=ROOT,
            env=clean | {"WARRANT_HOME": str(home.folder), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("beats_base_rate" in done.stdout) == (arguments[1:] == ("worse",)), done.stdout
    return home


def model(home: Home, *words: str, by: str | None = None) -> tuple[int, str]:
    more = ["--by", by, "--reason", "it misses the evening flights"] if by else []
    done = home.warrant("model", *words, "--workload", NAME, *more)
    return done.returncode, done.stdout + done.stderr


def test_a_version_that_failed_its_gates_is_explained_and_not_promoted_by_hand_either(trained: Home) -> None:
    code, listed = model(trained, "list", "--json")
    assert [(row["version"], row["state"]) for row in json.loads(listed)] == [
        (3, "champion"),
        (2, "registered"),
        (1, "retired"),
    ]
    code, says = model(trained, "explain", "2")
    assert code == 0
    assert says.startswith(f"Version 2 of {NAME}, of {BAD}, is registered. It is not live: ")
    assert "beats_base_rate failed: Brier score" in says
    code, says = model(trained, "promote", "2", by="M. Okafor")
    assert code == 1
    assert f"Error: Version 2 of {NAME} cannot be promoted: " in says
    assert "beats_base_rate failed: Brier score" in says
    assert "Traceback" not in says


def test_a_rollback_while_mlflow_is_gone_decides_the_next_day_and_the_alias_follows_once_it_is_back(
    trained: Home, workload: Workload
) -> None:
    settings = trained.settings
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA mlflow RENAME TO gone")
    try:
        code, says = model(trained, "rollback", by="R. Silva")
        assert (code, "no policy permits it" in says) == (1, True)
        code, says = model(trained, "rollback", "--json", by="M. Okafor")
        assert code == 0, says
        done = json.loads(says)
        assert (done["version"], done["instead_of"], done["from"]) == (1, 3, str(NEXT))
        assert done["golden"].endswith("have the scores they had, byte for byte")
        # A first home that was given may have been made by other code.
        assert set(done["not_as_it_was"]) <= {"the code changed", "the locked packages changed"}
        replayed = trained.replay(str(NEXT), str(NEXT))
        assert replayed.returncode == 0, replayed.stderr
    finally:
        with database.connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'mlflow'")
            [(made,)] = cursor.fetchall()
            cursor.execute("DROP SCHEMA IF EXISTS mlflow CASCADE; ALTER SCHEMA gone RENAME TO mlflow")
    assert made == 0, "MLflow was asked: it made its tables anew"
    decided = trained.lake.read(NAME, "decisions", Days.one(NEXT))
    assert set(decided["model_version"].drop_nulls()) == {1}
    assert "is rolled back. It is not live: M. Okafor rolled it back to version 1" in model(trained, "explain", "3")[1]

    registry = ModelRegistry(settings, NAME, NAME)
    assert registry.champion_alias() == 3
    found = put_back(settings, workload, registry, NOW)
    assert (found.moved, found.says.endswith("it was behind, and follows.")) == (False, True)
    assert registry.champion_alias() == 1
    assert registry.states() == {1: "champion", 2: "registered", 3: "rolled_back"}
    assert kinds(trained) == []


def test_an_alias_moved_by_hand_is_put_back_or_adopted_as_the_plan_says(trained: Home, workload: Workload) -> None:
    """After the rollback: version 3 was rolled back, version 2 failed its gates."""
    settings, registry = trained.settings, ModelRegistry(trained.settings, NAME, NAME)
    adopting = plan(workload, AliasMoved.ADOPT)
    for moved, each in ((2, workload), (3, workload), (3, adopting), (2, adopting)):
        registry.project_champion(moved)
        found = put_back(settings, each, registry, NOW)
        assert (found.moved, found.adopted, found.is_at) == (True, False, moved)
        assert "It decided nothing, is recorded, and was put back" in found.says
        assert registry.champion_alias() == 1
    assert kinds(trained) == ["found_moved"] * 3 + ["not_adopted", "found_moved", "not_adopted"]
    with store.opened(settings) as ledger:
        said = [event.data.get("because") for event in ledger.events(f"aliases/{NAME}")]
    assert "was rolled back: it cannot be promoted" in said[3]
    assert "has not passed its gates" in said[5]

    # One that may decide is adopted: here version 2 once its gate passed.
    with store.opened(settings) as ledger:
        champion, pins = deciding_on(settings, NAME, NEXT)
        candidate = rollout(ledger, NAME).of(2)[0].champion
    from automation.rollout import promotion

    promotion.gate(settings, NAME, candidate, replace(pins, golden="0" * 64), {}, NOW)
    registry.project_champion(2)
    found = put_back(settings, adopting, registry, NOW)
    assert (found.adopted, registry.champion_alias()) == (True, 2)
    assert "As the plan says, version 2 was promoted" in found.says
    with store.opened(settings) as ledger:
        made = rollout(ledger, NAME).changes[-1]
    assert (made.kind, made.version, made.leaves, made.as_of) == (Kind.PROMOTED, 2, champion.version, date(2013, 1, 13))


def plan(workload: Workload, moved: AliasMoved) -> Workload:
    declared = workload.spec.model_copy(
        update={"rollout": workload.spec.rollout.model_copy(update={"alias_moved": moved})}
    )
    return Workload(declared, workload.package, ROOT / "contracts")


def kinds(home: Home) -> list[str]:
    with store.opened(home.settings) as ledger:
        return [event.type for event in ledger.events(f"aliases/{NAME}")]
