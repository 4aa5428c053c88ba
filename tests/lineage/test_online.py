"""The day's features online: held to the offline answer, killed and run again, rebuilt, pushed, in both stores."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import date, timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from assets.online import parity
from assets.online.commands import served_of
from automation import database
from automation.calendar import Days
from automation.cli import warrant
from automation.replay import Platform, Step
from automation.workload import Workload
from tests.lineage.conftest import NAME, ROOT, Home
from tests.online.conftest import redis_url  # noqa: F401 (a fixture)

DAY = date(2013, 1, 11)
KEY = "online_features"


def run_alone(platform: Platform, workload: Workload) -> str | None:
    """Runs the asset of the last day alone. What stopped it, in words."""
    stopped = platform.run(workload, Step("daily", Days.one(DAY)), only=[dg.AssetKey([NAME, KEY])])
    return None if stopped is None else str(stopped)


def invoked(*arguments: str, text: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(warrant, ["features", *arguments, "--workload", NAME], input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, str(result.exception)
    return result.exit_code, result.output


def records(platform: Platform) -> list[tuple]:
    with database.connect(platform.settings) as connection, connection.cursor() as cursor:
        cursor.execute('SELECT slot, key, pushed, event, known, "values" FROM online_records ORDER BY 1, 2, 3')
        return cursor.fetchall()


def test_each_day_ends_with_what_the_offline_store_has(platform: Platform, workload: Workload) -> None:
    key = dg.AssetKey([NAME, KEY])
    found = platform.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "parity"), limit=10
    )
    evaluations = [record.event.dagster_event.event_specific_data for record in found if record.event]  # type: ignore[union-attr]
    assert {each.partition for each in evaluations if each.passed} >= {"2013-01-10", "2013-01-11"}  # type: ignore[union-attr]
    code, said = invoked("status", "--json")
    assert code == 0
    status = json.loads(said)
    assert {view["until"] for view in status["views"]} == {workload.calendar.ends(DAY).isoformat()}
    assert sum(view["materialized"] for view in status["views"]) == len(records(platform)) > 5000


def test_a_record_that_is_not_what_the_tables_say_fails_the_gate_and_a_rebuild_mends_it(
    platform: Platform, workload: Workload
) -> None:
    before = records(platform)
    [compared, *_] = parity.in_turn(served_of(NAME).plan, DAY)
    with database.connect(platform.settings) as connection, connection.cursor() as cursor:
        # A microsecond later than the truth: materializing again does not overwrite it.
        cursor.execute(
            """UPDATE online_records
            SET event = event + 1, "values" = regexp_replace("values", '[^][,]+', 'null', 'g')
            WHERE starts_with(slot, %s)""",
            (compared.partition(":")[0] + ":",),
        )
    stopped = run_alone(platform, workload)
    assert stopped is not None
    assert "the gate parity of flight_disruption/online_features on 2013-01-11 failed: 16 of 16 cases" in stopped
    code, said = invoked("rebuild")
    assert code == 0, said
    assert records(platform) == before
    assert run_alone(platform, workload) is None
    assert records(platform) == before


DYING = """
import os, signal, sys
from assets.online.commands import rebuild
from feature_repo.online.postgres import PostgresBackend

left, mark = [int(sys.argv[1])], PostgresBackend.mark

def dying(self, *given):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    mark(self, *given)

PostgresBackend.mark = dying
rebuild.main(["--workload", "flight_disruption"], standalone_mode=False)
"""


@pytest.mark.parametrize("survived", [0, 5])
def test_killed_while_it_materializes_it_is_run_again_and_nothing_is_lost(
    platform: Platform, workload: Workload, survived: int
) -> None:
    before = records(platform)
    killed = subprocess.run([sys.executable, "-c", DYING, str(survived)], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert 0 < len(records(platform)) < len(before)
    assert run_alone(platform, workload) is None
    assert records(platform) == before


def arrival(platform: Platform, workload: Workload, case: dict, minutes: int) -> dict:
    """The aircraft of a case landed that many minutes late, half an hour after the day's end."""
    landed = workload.calendar.ends(DAY) + timedelta(minutes=30)
    return {
        "flight_id": "2013-01-12:UA1:ORD",
        "status": "arrived",
        "carrier": "UA",
        "flight_number": 1,
        "tail_number": case["tail_number"],
        "origin": case["origin"],
        "destination": "ORD",
        "scheduled_departure": (landed - timedelta(hours=4)).isoformat(),
        "scheduled_arrival": (landed - timedelta(minutes=minutes)).isoformat(),
        "delay_minutes": minutes,
        "event_time": landed.isoformat(),
        "known_time": landed.isoformat(),
    }


def test_an_aircraft_that_landed_late_changes_the_next_flight_at_once(
    platform: Platform, workload: Workload, home: Home
) -> None:
    cases = home.lake.read(NAME, "cases", Days.one(DAY)).drop_nulls("tail_number").sort("event_time")
    case, before = cases.tail(1).to_dicts()[0], records(platform)
    at = (workload.calendar.ends(DAY) + timedelta(minutes=40)).isoformat()
    ask = ("get", "--case", case["flight_id"], "--at", at, "--json")
    was = json.loads(invoked(*ask)[1])["features"]
    event = arrival(platform, workload, case, 90)

    code, said = invoked("push", "--feed", "flight_status", text=json.dumps(event))
    assert code == 0, said
    now = json.loads(invoked(*ask)[1])["features"]
    assert now["rotation_delay_minutes"] == 90.0 != was["rotation_delay_minutes"]
    assert now["rotation_minutes_since"] == 10.0
    pushed = records(platform)
    assert invoked("push", "--feed", "flight_status", text=json.dumps(event))[0] == 0
    assert records(platform) == pushed

    # What was materialized stands as it was: parity is not disturbed by it, and a rebuild forgets it.
    assert [each for each in pushed if not each[2]] == before
    assert run_alone(platform, workload) is None
    assert records(platform) == pushed
    # Its day has not come, so it is remembered; what became known by then is not.
    with database.connect(platform.settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pushed_events")
        assert cursor.fetchone() == (1,)
        cursor.execute("UPDATE pushed_events SET known = known - INTERVAL '1 hour'")
    assert run_alone(platform, workload) is None
    with database.connect(platform.settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pushed_events")
        assert cursor.fetchone() == (0,)
    assert invoked("rebuild")[0] == 0
    assert records(platform) == before


@pytest.mark.parametrize(
    ("change", "feed", "says"),
    [
        ({"delay_minutes": "late"}, "flight_status", "delay_minutes"),
        ({"surprise": 1}, "flight_status", "surprise"),
        ({"status": "vanished"}, "flight_status", "status"),
        ({}, "weathers", "flight_status, weather"),
    ],
)
def test_an_event_that_breaks_the_contract_is_refused_and_changes_nothing(
    platform: Platform, workload: Workload, home: Home, change: dict, feed: str, says: str
) -> None:
    before = records(platform)
    case = home.lake.read(NAME, "cases", Days.one(DAY)).drop_nulls("tail_number").to_dicts()[0]
    event = arrival(platform, workload, case, 90) | change
    code, said = invoked("push", "--feed", feed, text=json.dumps(event))
    assert code == 1
    assert says in said
    assert records(platform) == before


def test_text_that_is_no_event_and_a_case_there_is_not_are_refused_in_plain_words(
    platform: Platform, home: Home
) -> None:
    assert "no JSON" in invoked("push", "--feed", "flight_status", text="{late}")[1]
    assert "no object" in invoked("push", "--feed", "flight_status", text="[1]")[1]
    code, said = invoked("get", "--case", "nobody")
    assert (code, "has no case nobody" in said, "for example" in said) == (1, True, True)
    case = home.lake.read(NAME, "cases")["flight_id"][0]
    assert "'noon' is no ISO 8601" in invoked("get", "--case", case, "--at", "noon")[1]


def test_redis_serves_the_same_by_one_setting(
    platform: Platform,
    workload: Workload,
    home: Home,
    redis_url: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from automation.settings import settings

    case = home.lake.read(NAME, "cases", Days.one(DAY)).drop_nulls("tail_number").to_dicts()[0]["flight_id"]
    ask = ("get", "--case", case, "--json")
    postgres = invoked(*ask)
    monkeypatch.setenv("WARRANT_ONLINE_STORE_URL", redis_url)
    settings.cache_clear()
    code, said = invoked("get", "--case", case)
    assert (code, "Nothing of flight_disruption is materialized" in said) == (1, True)
    assert run_alone(platform, workload) is None
    assert invoked(*ask) == postgres
    assert invoked("status")[0] == 0
    settings.cache_clear()
