"""Models that somebody registers with the plain client: each is judged, and the honest one decides, can be explained,
made again byte for byte, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.stages.submitted import _Judge
from automation import database, gates
from automation.calendar import Days
from automation.lakehouse import DAY
from automation.replay import Platform
from automation.workload import Workload
from benchmarks.rollout import Copy, register
from tests.lineage.conftest import DECIDED, NAME, ROOT, Home

NEXT = date(2013, 1, 12)
MODELS = ("equal", "prying")


@pytest.fixture(scope="module")
def submitted(copied: Callable[[str], Home], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which two models were registered, and the next day was replayed."""
    home = copied("submitted")
    rows = tmp_path_factory.mktemp("scientist") / "rows.parquet"
    known = home.lake.read(NAME, "training_set", Days.one(DECIDED.first))
    hidden = {"flight_id", "event_time", "tail_number", DAY}
    known.select(
        *(name for name in known.columns if name not in hidden),
        pl.col("event_time").dt.date().alias(DAY),
    ).write_parquet(rows)
    database.start(home.settings)
    versions = register(Copy(ROOT, home.folder), rows, MODELS)
    assert versions == {name: number for number, name in enumerate(MODELS, start=2)}
    replayed = home.replay(str(NEXT), str(NEXT))
    assert replayed.returncode == 0, replayed.stderr
    return home


def told(home: Home, *words: str) -> str:
    done = home.warrant(*words, "--workload", NAME)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_honest_one_is_promoted_and_the_other_is_held_with_the_reason(submitted: Home) -> None:
    listed = {each["version"]: each["state"] for each in json.loads(told(submitted, "model", "list", "--json"))}
    assert listed == {1: "retired", 2: "champion", 3: "registered"}
    says = told(submitted, "model", "explain", "3")
    assert "runs failed: It failed (forbidden): it tried to read /etc/passwd" in says
    assert "could not be judged: It did not answer" in says


def test_a_gate_on_a_version_is_waived_by_its_number(submitted: Home) -> None:
    named = ("gate", "waive", "--workload", NAME, "--asset", "submitted_model", "--gate", "runs")
    more = ("--by", "M. Okafor", "--reason", "it reads what it may", "--until", str(datetime.now(UTC).date()))
    refused = submitted.warrant(*named, *more, "--partition", "7")
    assert (refused.returncode, "Give --partition as one of these: 2, 3" in refused.stderr) == (1, True)
    done = submitted.warrant(*named, *more, "--partition", "3")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_decides_without_reasons_of_its_own_and_is_made_again_byte_for_byte(submitted: Home) -> None:
    rows = submitted.lake.read(NAME, "decisions", Days.one(NEXT))
    assert set(rows["model_version"].drop_nulls()) == {2}
    assert set(rows["model_stage"].drop_nulls()) == {"champion"}
    assert rows["contributions"].null_count() == rows.height
    assert rows.filter(pl.col("status") == "automated").height > 0.8 * rows.height
    again = json.loads(told(submitted, "replay-decision", "--day", str(NEXT), "--json"))
    assert (again["made_again"], again["unlike"], again["committed"]) == (rows.height, [], True)
    case = rows.filter(pl.col("action") == "notify")["case_key"][0]
    explained = json.loads(told(submitted, "explain", case, "--json"))
    assert explained["basis"]["model_version"] == 2
    assert (explained["shares"], explained["lacking"]) == (None, [])
    assert len(explained["counterfactuals"]) > 0


def test_it_has_a_card_and_a_former_champion_beside_it(submitted: Home) -> None:
    rows = submitted.lake.read(NAME, "challenger_decisions", Days.one(NEXT))
    assert set(rows.select("version", "role").unique().iter_rows()) == {(2, "champion"), (1, "former champion")}
    assert rows.filter(pl.col("version") == 1)["probability"].null_count() < 0.1 * rows.height
    [card] = Path(submitted.settings.artifacts).rglob("model_card.md")
    assert "flight\\_disruption, version 2" in card.read_text()


def test_it_is_taken_back_with_its_predecessor_proved_first(submitted: Home) -> None:
    done = submitted.warrant(
        *("model", "rollback", "--workload", NAME, "--by", "M. Okafor", "--reason", "it says no reasons", "--json")
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["version"], said["instead_of"]) == (1, 2)
    assert said["golden"].endswith("have the scores they had, byte for byte")


def test_days_that_a_gate_holds_are_not_judged_by(platform: Platform, workload: Workload) -> None:
    """A version has no days, so that Dagster's own mappings cannot ask for their gates."""
    wrong = replace(gates.CONTRACT, promise="")
    days, held = Days(date(2013, 1, 5), date(2013, 1, 8)), date(2013, 1, 6)
    nothing: Any = None
    judge = _Judge(workload, nothing, nothing, nothing, nothing, nothing, nothing, "2", datetime.now(UTC))
    assert judge._held(platform.instance, ("cases", "labels"), days) == []

    def report(*, passed: bool) -> None:
        judged = gates.Judgement(wrong, passed=passed, says="as told", partition=held.isoformat())
        gates.report(platform.instance, dg.AssetKey([NAME, "labels"]), [judged])

    report(passed=False)
    try:
        assert judge._held(platform.instance, ("cases", "labels"), days) == [held]
        assert judge._held(platform.instance, ("cases",), days) == []
    finally:
        report(passed=True)
    assert judge._held(platform.instance, ("cases", "labels"), days) == []
