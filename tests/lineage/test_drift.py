"""Drift in a real home: each day is watched, a repeated day comes to the same, and what was asked for is trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
import pytest

from automation import database
from automation.calendar import Days
from automation.drift import asking
from automation.drift.asking import Answer, Asking
from automation.drift.states import CHANNELS
from automation.drift.worth.plan import Window
from automation.lakehouse import DAY
from automation.ledger import store
from tests.lineage.conftest import NAME, ROOT, Home

FIRST, SECOND, THIRD = date(2013, 1, 12), date(2013, 1, 13), date(2013, 1, 14)
NOW = datetime(2013, 1, 12, tzinfo=UTC)
RECENT = Window(name="recent", last_days=8)
# What the candidate as of a day says that it learned from.
LEARNED_FROM = """
import sys
import dagster as dg
from automation.replay import Platform
from automation.settings import settings

key = dg.AssetKey(["flight_disruption", "candidate_model"])
asked = dg.AssetRecordsFilter(key, asset_partitions=[sys.argv[1]])
[record] = Platform(settings()).instance.fetch_materializations(asked, limit=1).records
print(record.asset_materialization.metadata["learned from"].value)
"""
# What the sensor asks to be run.
TICK = """
import dagster as dg
from automation.replay import Platform
from automation.settings import settings

platform = Platform(settings())
sensor = platform.definitions.resolve_sensor_def("flight_disruption_retraining")
ticked = sensor(dg.build_sensor_context(instance=platform.instance))
if isinstance(ticked, dg.SkipReason):
    print(ticked.skip_message)
else:
    print(*(f"{each.run_key}: {each.partition_key}" for each in ticked.run_requests))
"""
# Has an alarm looked into, though one was lately; "former": as if the model that decided had taken the place of itself.
LOOKED_INTO = """
import sys
from datetime import date
import dagster as dg
from assets.stages import retraining
from automation.calendar import Days
from automation.drift.plan import Cause
from automation.drift.worth.backtest import Standing
from automation.replay import Platform, Step
from automation.settings import settings

if sys.argv[2:] == ["former"]:
    first = date(2013, 1, 12)
    retraining._standing = lambda found, *_: (Standing(first, first, "all", True, None), found.deciding(first))
retraining._causes = lambda *_: (Cause.HARM,)
retraining._refused = lambda *_: None
platform = Platform(settings())
key = dg.AssetKey(["flight_disruption", "retraining"])
step = Step("daily", Days.one(date.fromisoformat(sys.argv[1])))
for _ in range(2):
    print(platform.run(platform.workload("flight_disruption"), step, only=[key]))
"""


@dataclass(frozen=True)
class Tried:
    """A home in which the next day was decided twice, and a model asked for as of the day after it."""

    home: Home
    once: dict[str, pl.DataFrame]
    again: dict[str, pl.DataFrame]
    ticks: tuple[str, str]


def ran(home: Home, program: str, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARRANT_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=clean | {"WARRANT_HOME": str(home.folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def rows(home: Home) -> dict[str, pl.DataFrame]:
    return {table: home.lake.read(NAME, table, Days.one(FIRST)) for table in CHANNELS}


@pytest.fixture(scope="module")
def tried(copied: Callable[[str], Home]) -> Tried:
    home = copied("drift")
    found = []
    for more in ((), ("--again",)):
        done = home.warrant("replay", "--workload", NAME, "--from", str(FIRST), "--to", str(FIRST), *more)
        assert done.returncode == 0, done.stderr
        found.append(rows(home))
    database.start(home.settings)
    asked = Asking(FIRST, Answer.ASKED, ("harm",), RECENT, {"expected": 12000.0}, "It is retrained: said so.")
    with store.opened(home.settings) as ledger:
        asking.said(ledger, NAME, asked, NOW)
    before = ran(home, TICK)
    done = home.replay(str(SECOND), str(THIRD))
    assert done.returncode == 0, done.stderr
    return Tried(home, found[0], found[1], (before, ran(home, TICK)))


def test_a_day_that_is_run_again_comes_to_the_same_bytes(tried: Tried) -> None:
    for table in CHANNELS:
        assert tried.once[table].height == 1, table
        assert tried.once[table].equals(tried.again[table]), table


def test_a_channel_goes_on_from_the_day_before(tried: Tried) -> None:
    states = {table: tried.home.lake.read(NAME, table).sort(DAY) for table in CHANNELS}
    for table, kept in states.items():
        assert kept[DAY].to_list() == [*Days(date(2013, 1, 10), THIRD)], table
    watched = [json.loads(state) for state in states["input_drift"]["state"]]
    # Nine days of history before the champion, of the most that are learned from, and each day since.
    assert [each["shown"] for each in watched[:3]] == [watched[0]["shown"] + step for step in range(3)]
    assert states["realised_harm"]["since"].unique().to_list()[0] == date(2013, 1, 10)


def test_what_was_asked_for_is_trained_before_its_day_from_the_window_that_was_chosen(tried: Tried) -> None:
    assert ran(tried.home, LEARNED_FROM, SECOND.isoformat()).endswith("the window recent")


def test_the_sensor_asks_for_what_was_not_trained_once(tried: Tried) -> None:
    assert tried.ticks[0].endswith("flight_disruption asked as of 2013-01-13, 0: 2013-01-13")
    assert tried.ticks[1].endswith("No model of flight_disruption is asked for that was not trained.")


def test_the_command_says_what_is_known_and_what_came_of_what_was_asked(tried: Tried) -> None:
    told = json.loads(tried.home.warrant("drift", "show", "--workload", NAME, "--json").stdout)
    assert told["day"] == THIRD.isoformat()
    assert set(told["channels"]) == set(CHANNELS)
    assert all(each["says"] for each in told["channels"].values())
    [asked] = told["retraining"]
    assert (asked["answer"], asked["window"]["name"]) == ("retraining_asked", "recent")
    assert "was trained as of 2013-01-13" in asked["came_to"]
    words = tried.home.warrant("drift", "show", "--workload", NAME).stdout
    assert f"{FIRST}, because of harm: It is retrained: said so." in words
    refused = tried.home.warrant("drift", "show", "--workload", NAME, "--day", "2013-02-01")
    assert refused.returncode == 1
    assert "Nothing is known about drift of flight_disruption on 2013-02-01" in refused.stderr


def test_a_look_has_a_model_of_the_last_look_decide_the_days_since_and_is_said_once(tried: Tried) -> None:
    assert ran(tried.home, LOOKED_INTO, THIRD.isoformat()) == "None\nNone"
    with store.opened(tried.home.settings) as ledger:
        [_, said] = asking.askings(ledger, NAME)
    assert (said.day, said.causes, said.answer) == (THIRD, ("harm",), Answer.DECLINED)
    # Of the last day, outcomes are still to come.
    assert {window: list(days) for window, days in said.saved.items()} == {"all": [SECOND]}
    assert said.saved["all"][SECOND] != 0.0
    assert said.says == "Nothing is retrained: 1 day can be compared, and 10 are needed to judge by."


def test_asked_again_the_model_that_decided_decides_as_it_did_and_saves_nothing(tried: Tried) -> None:
    assert ran(tried.home, LOOKED_INTO, SECOND.isoformat(), "former") == "None\nNone"
    with store.opened(tried.home.settings) as ledger:
        [said] = [each for each in asking.askings(ledger, NAME) if each.day == SECOND]
    assert said.saved == {"all": {FIRST: 0.0}}


def test_a_model_that_is_never_trained_again_comes_to_what_the_champion_came_to_that_never_was(tried: Tried) -> None:
    home, compare = tried.home, ("drift", "compare", "--workload", NAME, "--way", "never", "--way", "daily")
    done = home.warrant(*compare)
    assert done.returncode == 0, done.stderr
    assert f"{NAME}: 2013-01-10 to {THIRD} is compared (1 month run)" in done.stdout
    own, never, daily = json.loads(home.warrant("scorecard", "--workload", NAME, "--json").stdout)["retraining"]
    assert (own["way"], never["way"], daily["way"]) == ("as it was", "never", "daily")
    assert never["saved"] == pytest.approx(own["saved"], abs=0.01), "the first model decided every day"
    assert never["auc_by_month"] == own["auc_by_month"]
    assert (never["trainings"], daily["trainings"]) == (1, 5)
    assert home.warrant(*compare).stdout.startswith(f"{NAME}: 2013-01-10 to {THIRD} is compared (0 months run)")
    refused = home.warrant("drift", "compare", "--workload", NAME, "--from", "2013-03-01")
    assert refused.returncode == 1
    assert f"No case of {NAME} was decided on those days" in refused.stderr
