"""The life of tables in a real home: pinned by models, restored on the record, killed and finished."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from automation import quarantine
from automation.calendar import Days
from automation.cli import warrant
from automation.lakehouse import DAY, digest, quarantine_of
from automation.registry import ModelRegistry
from automation.replay import LAST_ASSET, Platform, Step
from automation.staleness import stale_days
from automation.upkeep import pins as pinning
from automation.upkeep.pins import UnknownReferenceError, pins
from automation.upkeep.restores import restores
from automation.upkeep.weekly import keep
from automation.workload import Workload
from tests.lineage.conftest import NAME, ROOT, Home

SPOILED = date(2013, 1, 11)


def invoked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(warrant, ["data", *arguments, "--workload", NAME])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, str(result.exception)
    return result.exit_code, result.output


def spoil(home: Home, day: date = SPOILED) -> None:
    """Somebody overwrites a day of the weather by other rows, behind the platform's back."""
    rows = home.lake.read(NAME, "weather", Days.one(day))
    home.lake.replace_days(
        NAME, "weather", rows.with_columns(wind_speed_mph=pl.col("wind_speed_mph") / 2), Days.one(day)
    )


def test_what_models_were_trained_on_is_pinned_and_outlives_upkeep(
    platform: Platform, workload: Workload, home: Home
) -> None:
    referred = pins(platform.settings, workload, home.lake)
    [(version, who)] = referred.of("origin_weather").items()
    assert who == ("flight_disruption version 1, which decided",)
    before = digest(home.lake.at(NAME, "origin_weather", version))
    digests = home.digests()
    found = {each.table: each for each in keep(platform.settings, workload, home.lake, kept=timedelta(0))}
    assert found["origin_weather"].pinned == {version: who}
    assert digest(home.lake.at(NAME, "origin_weather", version)) == before
    assert home.digests() == digests
    code, said = invoked("history", "origin_weather", "--json")
    assert code == 0
    assert [each["version"] for each in json.loads(said) if each["pinned"]] == [version]


def test_nothing_is_removed_while_it_is_not_known_what_a_decision_refers_to(
    platform: Platform, workload: Workload, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelRegistry, "trained_on", lambda _: {})
    with pytest.raises(UnknownReferenceError, match="version 1, which MLflow does not hold"):
        list(keep(platform.settings, workload, home.lake, kept=timedelta(0)))
    assert pinning.decided_by(home.lake, workload) == {1}
    code, said = invoked("retain", "--dry-run")
    assert (code, "Nothing was removed" in said) == (1, True)


def test_the_weekly_upkeep_shows_files_and_bytes_before_and_after(platform: Platform, workload: Workload) -> None:
    assert platform.run(workload, Step("upkeep", None)) is None
    event = platform.instance.get_latest_materialization_event(dg.AssetKey([NAME, "table_upkeep"]))
    assert event is not None
    metadata = event.asset_materialization.metadata  # type: ignore[union-attr]
    assert metadata["files before"].value >= metadata["files after"].value > 0  # type: ignore[operator]
    assert {record.data["table"] for record in metadata["tables"].records} >= {"weather", "decisions"}  # type: ignore[union-attr]


def test_a_spoiled_day_goes_back_to_the_good_version_and_what_rests_on_it_is_stale(
    platform: Platform, workload: Workload, home: Home
) -> None:
    good, version = home.digests("decisions"), home.lake.version(NAME, "weather")
    spoil(home)
    assert home.digests("decisions")["weather"] != good["weather"]
    assert stale_days(platform.instance, workload, LAST_ASSET).decided == frozenset()
    code, said = invoked(
        "restore", "weather", "--to", str(version), "--by", "M. Okafor", "--reason", "Halved.", "--json"
    )
    assert code == 0, said
    done = json.loads(said)
    assert (done["to_version"], done["days"], done["digest"]) == (version, [SPOILED.isoformat()], good["weather"])
    assert home.digests("decisions") == good
    stale = stale_days(platform.instance, workload, LAST_ASSET)
    assert SPOILED.isoformat() in stale.decided
    [record, *_] = restores(platform.settings, NAME)
    assert (record.table, record.by, record.reason, record.done is not None) == (
        "weather",
        "M. Okafor",
        "Halved.",
        True,
    )
    assert "gone back to by M. Okafor: Halved." in invoked("history", "weather")[1]

    # Again, it is as it was: no day differs, nothing is run.
    again = json.loads(
        invoked("restore", "weather", "--to", str(version), "--by", "T. Novak", "--reason", "b", "--json")[1]
    )
    assert (again["days"], again["digest"]) == ([], good["weather"])


def test_the_quarantine_goes_back_with_its_table(platform: Platform, workload: Workload, home: Home) -> None:
    good, version = home.digests("decisions"), home.lake.version(NAME, "weather")
    day = Days.one(SPOILED)
    rows = home.lake.read(NAME, "weather", day).sort("origin", "event_time")
    broken = rows.with_columns(
        wind_speed_mph=pl.when(pl.int_range(pl.len()) == 0).then(9999.0).otherwise("wind_speed_mph")
    )
    judged = quarantine.judge([quarantine.Part(broken)], workload.contract("weather"))
    quarantine.settle(home.lake, NAME, "weather", judged, day, "a bad delivery", datetime.now(UTC))
    assert quarantine.held(home.lake, NAME, "weather", day).height == 1
    code, said = invoked("restore", "weather", "--to", str(version), "--by", "M. Okafor", "--reason", "A bad delivery.")
    assert code == 0, said
    assert quarantine.held(home.lake, NAME, "weather", day).is_empty()
    assert home.lake.digest(NAME, "weather") == good["weather"]
    assert home.lake.counts(NAME, "weather")[SPOILED] == 72


RESTORING = """
import os, signal, sys
import deltalake.table
from automation.upkeep import restores
from automation.upkeep.commands import restore

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

point, version = sys.argv[1:]
if point == "the intent is recorded":
    restores._bring_back = die
elif point == "the table is back":
    restores._judged = die
elif point == "its days are judged":
    restores._close = die
restore.main(
    ["weather", "--workload", "flight_disruption", "--to", version, "--by", "M. Okafor", "--reason", "Halved."],
    standalone_mode=False,
)
"""


@pytest.mark.parametrize("point", ["the intent is recorded", "the table is back", "its days are judged"])
def test_killed_once_a_point_is_reached_the_same_command_finishes_it(
    platform: Platform, workload: Workload, home: Home, point: str
) -> None:
    good, version = home.digests("decisions"), home.lake.version(NAME, "weather")
    spoil(home)
    killed = subprocess.run(
        [sys.executable, "-c", RESTORING, point, str(version)], cwd=ROOT, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert restores(platform.settings, NAME)[0].done is None
    # To what it was spoilt to: a version that is there, whatever upkeep has removed before.
    code, said = invoked("restore", "weather", "--to", str(version + 1), "--by", "T. Novak", "--reason", "Other.")
    assert (code, "is not finished" in said) == (1, True)
    code, said = invoked("restore", "weather", "--to", str(version), "--by", "M. Okafor", "--reason", "Halved.")
    assert code == 0, said
    assert home.digests("decisions") == good
    assert all(each.done for each in restores(platform.settings, NAME))
    counted = home.lake.counts(NAME, "weather")
    assert counted[SPOILED] + home.lake.counts(NAME, quarantine_of("weather")).get(SPOILED, 0) == 72


@pytest.mark.parametrize(
    ("table", "to", "says"),
    [
        ("origin_weather", "1", "not delivered by a feed"),
        ("weather", "4711", "has no version 4711"),
        ("weather", "yesterday", "neither a version nor"),
        ("weather", "2001-01-01", "has no version 2001-01-01"),
        ("nowhere", "1", "no table flight_disruption/nowhere"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_plain_words(platform: Platform, table: str, to: str, says: str) -> None:
    before = len(restores(platform.settings, NAME))
    code, said = invoked("restore", table, "--to", to, "--by", "M. Okafor", "--reason", "Because.")
    assert (code, says in said) == (1, True), said
    assert len(restores(platform.settings, NAME)) == before


def test_a_table_without_days_is_restored_as_a_whole(platform: Platform, workload: Workload, home: Home) -> None:
    good, version = home.lake.digest(NAME, "carriers"), home.lake.version(NAME, "carriers")
    home.lake.replace(NAME, "carriers", home.lake.read(NAME, "carriers").head(3))
    code, said = invoked("restore", "carriers", "--to", str(version), "--by", "M. Okafor", "--reason", "Rows lost.")
    assert code == 0, said
    assert home.lake.digest(NAME, "carriers") == good
    assert DAY not in home.lake.columns(NAME, "carriers")


def test_nobody_restores_whom_the_policy_does_not_let(home: Home) -> None:
    before = home.digests()
    code, said = invoked("restore", "weather", "--to", "0", "--by", "R. Silva", "--reason", "Because.")
    assert (code, home.digests()) == (1, before)
    assert "Person 'R. Silva' may not restore_table Workload 'flight_disruption'" in said
