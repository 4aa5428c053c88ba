"""Rows that were held are released by the contract as it is now, in a run that Dagster knows as any other.

A decided day is delivered again under a contract that is too tight, so that its gate holds it; then the contract is put
right. At the end everything is as it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pytest
from click.testing import CliRunner

from automation import boundary, gates
from automation.calendar import Days
from automation.cli import warrant
from automation.contract.quarantine import NoSuchTableError, held_rows
from automation.contract.replay import DayReplay, replay_held
from automation.lakehouse import Lakehouse, quarantine_of
from automation.replay import Platform, Step
from automation.replay import replay as replay_days
from automation.staleness import stale_days
from automation.workload import Workload
from contracts.contract import Contract
from tests.lineage.conftest import DECIDED, NAME, Home

DAY = Days.one(DECIDED.last)
KEY = str(DECIDED.last)
WEATHER, ORIGIN_WEATHER = dg.AssetKey([NAME, "weather"]), dg.AssetKey([NAME, "origin_weather"])
CALM = 8
RULE = f"wind_speed_mph: maximum {CALM}"


def tightened(contract: Contract) -> Contract:
    """The contract of the weather with a rule that many an hour breaks."""
    columns = [replace(c, maximum=CALM) if c.name == "wind_speed_mph" else c for c in contract.columns]
    return replace(contract, columns=tuple(columns), version="1.0.1", digest="too tight")


@pytest.fixture(scope="module")
def before(platform: Platform, workload: Workload, home: Home) -> Iterator[Mapping[str, str]]:
    """The content of every table, which is what it is at the end, too."""
    found = home.digests()
    yield found
    list(replay_days(platform, workload, DECIDED))
    assert not stale_days(platform.instance, workload, "decision_quality").decided
    shutil.rmtree(home.lake.location(NAME, quarantine_of("weather")))
    assert home.digests() == found


@pytest.fixture
def held_day(
    platform: Platform, workload: Workload, home: Home, before: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """The day as a contract that is too tight holds it, and how many of its rows those are. The contract is mended."""
    with monkeypatch.context() as tight:
        tight.setitem(workload.contracts, "weather", tightened(workload.contract("weather")))
        stopped = platform.run(workload, Step("history", DAY), only=[WEATHER])
    assert stopped is not None
    assert "the gate contract of flight_disruption/weather" in str(stopped)
    yield home.lake.counts(NAME, quarantine_of("weather"), DAY)[DECIDED.last]
    replay(platform, workload)
    assert home.digests(quarantine_of("weather")) == before


def replay(platform: Platform, workload: Workload, *, dry_run: bool = False) -> list[DayReplay]:
    return list(replay_held(platform, workload, ["weather"], DAY, dry_run=dry_run))


def newest(platform: Platform) -> dict[str, object]:
    query = dg.AssetRecordsFilter(asset_key=WEATHER, asset_partitions=[KEY])
    [record] = platform.instance.fetch_materializations(query, limit=1).records
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def asked_for(platform: Platform, cursor=None) -> tuple[set[str], object]:

    result = dg.evaluate_automation_conditions(
        platform.definitions, platform.instance, asset_selection=dg.AssetSelection.assets(ORIGIN_WEATHER), cursor=cursor
    )
    return set(result.get_requested_partitions(ORIGIN_WEATHER)), result.cursor


def test_what_passes_now_is_released_and_what_lies_downstream_is_asked_for_again(
    platform: Platform, workload: Workload, home: Home, before: Mapping[str, str], held_day: int
) -> None:
    held = held_rows(home.lake, workload, "weather", DAY)
    assert len(held) == held_day > 10
    assert {(row.day, tuple(row.rules), row.contract, row.version) for row in held} == {
        (KEY, (RULE,), "weather", "1.0.1")
    }
    run = platform.instance.get_run_record_by_id(str(held[0].run))
    assert {row.time for row in held} == {run.create_timestamp.isoformat()}
    assert datetime.fromisoformat(str(held[0].time)).tzinfo == UTC
    assert held_rows(home.lake, workload, "weather", DAY, rule="wind_speed_mph: minimum 0") == []
    _, cursor = asked_for(platform)

    [said] = replay(platform, workload, dry_run=True)
    assert (said.rows, said.released, said.held, said.changes) == (72, held_day, 0, "rows move")
    assert home.lake.counts(NAME, quarantine_of("weather"), DAY) == {DECIDED.last: held_day}
    assert asked_for(platform, cursor)[0] == set()
    assert KEY not in platform.done(workload).days

    [done] = replay(platform, workload)
    assert (done.day, done.released, done.held, done.stopped) == (KEY, held_day, 0, None)
    assert home.digests(quarantine_of("weather")) == before

    # In Dagster: the counts, a gate that has passed and is current, and the day downstream is asked for.
    assert newest(platform) | {"released": held_day, "quarantined": 0, "rows in": 72} == newest(platform)
    [gate] = platform.instance.event_log_storage.get_asset_check_partition_info(
        [dg.AssetCheckKey(WEATHER, gates.CONTRACT.name)], partition_keys=[KEY]
    )
    assert (gate.latest_execution_status.value, gate.is_current) == ("SUCCEEDED", True)
    assert asked_for(platform, cursor)[0] == {KEY}

    # For a replay of days: the day is not done, though it was decided, until it is decided again (see `before`).
    assert KEY in stale_days(platform.instance, workload, "decision_quality").decided
    assert KEY not in platform.done(workload).days

    # And again: nothing to do, so nothing is run.
    event = newest(platform)
    assert replay(platform, workload) == []
    assert newest(platform) == event


@pytest.mark.parametrize("moment", ["before the table's commit", "after it", "before Dagster knows"])
def test_cut_off_anywhere_it_is_finished_by_running_it_again(
    platform: Platform,
    workload: Workload,
    home: Home,
    before: Mapping[str, str],
    held_day: int,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class CutOffError(Exception):
        pass

    commit = Lakehouse.replace_days

    def cut(lake: Lakehouse, workload: str, table: str, *rest, **named) -> int:
        if moment == "before the table's commit" and table == "weather":
            raise CutOffError
        version = commit(lake, workload, table, *rest, **named)
        if moment == "after it" and table == "weather":
            raise CutOffError
        return version

    def unheard(*_: object) -> None:
        raise CutOffError

    with monkeypatch.context() as dying:
        dying.setattr(Lakehouse, "replace_days", cut)
        if moment == "before Dagster knows":
            dying.setattr(boundary, "_moved", unheard)
        [stopped] = replay(platform, workload)
    assert "CutOffError" in str(stopped.stopped)
    assert KEY not in platform.done(workload).days

    # Whatever was reached, each row is counted once.
    held = len(held_rows(home.lake, workload, "weather", DAY))
    assert held + home.lake.counts(NAME, "weather", DAY)[DECIDED.last] == 72
    assert held == (held_day if moment == "before the table's commit" else 0)

    [finished] = replay(platform, workload)
    assert finished.stopped is None
    assert finished.changes == ("rows move" if held else "its last replay was cut off")
    assert home.digests(quarantine_of("weather")) == before
    assert replay(platform, workload) == []


def test_rows_that_pass_still_less_than_the_gate_asks_for_leave_the_day_held(
    platform: Platform, workload: Workload, held_day: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as still_tight:
        contract = tightened(workload.contract("weather"))
        columns = [replace(c, maximum=CALM + 2) if c.name == "wind_speed_mph" else c for c in contract.columns]
        still_tight.setitem(
            workload.contracts, "weather", replace(contract, columns=tuple(columns), digest="still too tight")
        )
        [day] = replay(platform, workload)
    assert 0 < day.held < held_day
    assert day.by_rule == {f"wind_speed_mph: maximum {CALM + 2}": day.held}
    assert "the gate contract of flight_disruption/weather on 2013-01-11 failed" in str(day.stopped)
    assert newest(platform) | {"released": held_day - day.held, "quarantined": day.held} == newest(platform)
    assert KEY not in platform.done(workload).days


def test_the_commands_say_what_is_held_and_what_would_be_released(
    platform: Platform, workload: Workload, held_day: int
) -> None:
    named = ("--workload", NAME, "--table", "weather", "--from", KEY, "--to", KEY)
    result = CliRunner().invoke(warrant, ["contract", "quarantine", *named, "--rule", RULE, "--json"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == held_day
    # Text, as the feed hands it over, and not the number that the contract makes of it.
    assert all(float(row["row"]["wind_speed_mph"]) > CALM for row in rows)
    assert {row["types"]["wind_speed_mph"] for row in rows} == {"string"}

    shown = CliRunner().invoke(warrant, ["contract", "quarantine", *named])
    assert f"20 of {held_day} held rows" in shown.output

    result = CliRunner().invoke(warrant, ["contract", "replay", *named, "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    [day] = json.loads(result.stdout)
    assert (day["table"], day["day"], day["released"], day["held"]) == ("weather", KEY, held_day, 0)

    result = CliRunner().invoke(warrant, ["contract", "replay", "--workload", NAME, "--table", "decisions"])
    assert isinstance(result.exception, NoSuchTableError)
    assert "`warrant replay --again`" in result.exception.remedy
