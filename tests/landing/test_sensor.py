"""When a file is picked up: complete, once, and again if the run that should have taken it in died."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation import sensors
from automation.calendar import Days
from automation.jobs import Jobs
from automation.jobs import build as build_jobs
from automation.landing import sensor
from automation.landing.folder import Landing, Stamp, Tried, to_pick_up
from automation.sensors import fingerprints
from automation.settings import settings
from automation.workload import Workload
from tests.landing.conftest import Opened

NAMES = st.sampled_from(["w/t/a.csv", "w/t/b.csv"])
STAMPS = st.dictionaries(NAMES, st.builds(Stamp, st.integers(0, 1), st.integers(0, 1)))
TRIES = st.dictionaries(NAMES, st.builds(Tried, st.booleans(), st.integers(0, 3)))


@given(STAMPS, STAMPS, TRIES)
def test_only_what_was_the_same_at_two_looks_and_is_not_under_way_is_picked_up(
    now: dict[str, Stamp], before: dict[str, Stamp], tried: dict[str, Tried]
) -> None:
    chosen = to_pick_up(now, before, tried, most_tries=2)
    for file, stamp in now.items():
        attempts = tried.get(file, Tried())
        assert (file in chosen) == (before.get(file) == stamp and not attempts.running and attempts.ended < 2)


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Landing]:
    monkeypatch.setenv("WARRANT_LANDING_FOLDER", str(tmp_path / "landing"))
    settings.cache_clear()
    yield Landing(tmp_path / "landing")
    settings.cache_clear()


@pytest.fixture
def look(landing: Landing, parcels: Workload):
    """Evaluates the sensor as the daemon does, on a real instance, handing on its cursor."""
    jobs: Jobs = build_jobs(parcels)
    looks = sensor.build(parcels, jobs)
    with dg.DagsterInstance.ephemeral() as instance:
        cursor: list[str | None] = [None]

        def evaluate() -> dg.SensorResult:
            with dg.build_sensor_context(instance=instance, cursor=cursor[0]) as context:
                result = looks(context)
            cursor[0] = result.cursor
            for request in result.run_requests:
                instance.create_run_for_job(_job(), tags=request.tags, run_id=None)
            return result

        yield evaluate, instance


def _job() -> dg.JobDefinition:
    @dg.job(name="parcel_claims_landing")
    def job() -> None: ...

    return job


def write(landing: Landing, file: str, text: str) -> None:
    path = landing.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def requested(result: dg.SensorResult) -> list[str]:
    return [request.run_config["ops"]["parcel_claims__deliveries"]["config"]["file"] for request in result.run_requests]


def test_a_file_is_picked_up_at_the_second_look_and_only_once(landing: Landing, look) -> None:
    evaluate, _ = look
    assert str(evaluate().skip_reason.skip_message) == "Nothing new lies there."
    write(landing, "parcel_claims/claims/a.csv", "a")
    write(landing, "parcel_claims/claims/b.csv.part", "b")
    write(landing, "parcel_claims/.hidden", "c")
    write(landing, "other/claims/a.csv", "d")
    first = evaluate()
    assert requested(first) == []
    assert "may still be being written" in first.skip_reason.skip_message
    second = evaluate()
    assert requested(second) == ["parcel_claims/claims/a.csv"]
    assert requested(evaluate()) == []


def test_a_file_that_grows_is_left_until_it_no_longer_does(landing: Landing, look) -> None:
    evaluate, _ = look
    for text in ("a", "ab", "abc"):
        write(landing, "parcel_claims/claims/a.csv", text)
        assert requested(evaluate()) == []
    assert requested(evaluate()) == ["parcel_claims/claims/a.csv"]


def test_a_file_whose_run_died_is_picked_up_again_a_few_times_and_then_said_to_be_given_up(
    landing: Landing, look
) -> None:
    evaluate, instance = look
    write(landing, "parcel_claims/claims/a.csv", "a")
    evaluate()
    keys = []
    for _ in range(sensor.MOST_TRIES):
        [request] = evaluate().run_requests
        keys.append(request.run_key)
        [run] = instance.get_runs(limit=1)
        instance.report_run_failed(run)
    assert len(set(keys)) == sensor.MOST_TRIES, "a run key that was used would be ignored"
    last = evaluate()
    assert requested(last) == []
    assert "Given up after 3 runs that failed: parcel_claims/claims/a.csv" in last.skip_reason.skip_message
    os.utime(landing.root / "parcel_claims/claims/a.csv")
    assert requested(evaluate()) == []
    assert requested(evaluate()) == ["parcel_claims/claims/a.csv"]


def test_looking_reads_no_file(landing: Landing, look) -> None:
    """A sensor that takes a minute is ended; a file may be large, or not to be read by it at all."""
    evaluate, _ = look
    path = landing.root / "parcel_claims" / "claims"
    path.mkdir(parents=True)
    with (path / "large.csv").open("wb") as file:
        file.truncate(2**40)
    (path / "link.csv").symlink_to("/etc/hostname")
    evaluate()
    result = evaluate()
    assert requested(result) == ["parcel_claims/claims/large.csv"]
    assert json.loads(result.cursor)["parcel_claims/claims/large.csv"][0] == 2**40


def test_a_decided_day_that_something_lands_for_is_run_again(
    opened: Callable[[Workload], Opened], flights: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = opened(flights)
    monkeypatch.setenv("WARRANT_HOME", str(door.door.settings.home))
    settings.cache_clear()
    new_data, *_ = sensors.build(flights, build_jobs(flights))
    with dg.DagsterInstance.ephemeral() as instance:
        for table, days in (("champion", ("10",)), ("flight_schedule", ("10", "11", "12"))):
            for day in days:
                made = dg.AssetMaterialization([flights.name, table], partition=f"2013-01-{day}")
                instance.report_runless_asset_event(made)
        cursor, asked = None, []
        for landed in (False, True, False):
            if landed:
                weather = flights.module("feed").weather(flights.calendar, Days.one(date(2013, 1, 11))).drop("day")
                text = weather.head(1).with_columns(pl.col(pl.Datetime).dt.to_string("iso:strict")).write_csv()
                assert door.drop("weather/late.csv", text).judged.days == (date(2013, 1, 11),)
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                result = new_data(context)
            cursor = result.cursor
            asked.append([request.partition_key for request in result.run_requests])
    settings.cache_clear()
    assert asked == [["2013-01-13"], ["2013-01-11"], ["2013-01-14"]]


def test_a_day_that_something_landed_for_has_another_fingerprint_and_no_other_day_has() -> None:
    fed = {"2020-06-10": "x", "2020-06-11": "x"}
    before, after = fingerprints(fed, {}), fingerprints(fed, {"2020-06-10": "digest:1"})
    assert before["2020-06-11"] == after["2020-06-11"]
    assert before["2020-06-10"] != after["2020-06-10"]
    assert fingerprints({}, {"2020-06-10": "digest:1"}).keys() == {"2020-06-10"}
