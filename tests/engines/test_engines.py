"""DuckDB and Spark give the same tables, and what keeps Spark from running is said with what to do."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from automation.derivation import INSTANT, derive, derive_table
from automation.engines import on_spark
from automation.engines.choice import chosen_engine, engine_named, engine_of
from automation.engines.engine import EngineName, EngineUnavailableError, Files, UnreadableTableError
from automation.engines.on_duckdb import DuckDB
from automation.engines.on_spark import Spark
from automation.lakehouse import DAY, Lakehouse, digest
from automation.settings import Settings
from automation.workload import Workload
from tests.engines.conftest import ASKED

DERIVED = (
    "cases",
    "labels",
    "scheduled_flight",
    "origin_weather",
    "origin_congestion",
    "carrier_congestion",
    "destination_congestion",
    "carrier_history",
    "route_history",
    "flight_history",
    "aircraft_rotation",
)


def test_every_derived_table_of_the_pilot_is_compared(workload: Workload) -> None:
    assert set(DERIVED) == set(workload.spec.derived_tables)


@pytest.mark.parametrize("table", DERIVED)
def test_spark_derives_what_duckdb_derives_to_the_byte(
    workload: Workload, lake: Lakehouse, spark: Spark, table: str
) -> None:
    declared, _ = workload.spec.derived_tables[table]
    by_duckdb = derive_table(DuckDB(), lake, workload, declared, ASKED)
    by_spark = derive_table(spark, lake, workload, declared, ASKED)
    assert by_duckdb.height > 0
    assert by_spark.schema == by_duckdb.schema
    assert by_spark.equals(by_duckdb)
    assert digest(by_spark) == digest(by_duckdb)


# ---------------------------------------------------------------- what a table is read from


def test_files_are_those_of_the_newest_version_and_of_the_days_asked_for(workload: Workload, lake: Lakehouse) -> None:
    found = lake.files(workload.name, "flight_status", ASKED)
    assert all(f"{DAY}={day}" in "".join(found.paths) for day in ASKED.keys)
    assert not any(f"{DAY}=2013-01-03" in path for path in found.paths)
    rows = [pl.read_parquet(path) for path in found.paths]
    assert sum(part.height for part in rows) == lake.read(workload.name, "flight_status", ASKED).height


def test_a_day_that_was_replaced_is_read_once(tmp_path: Path, spark: Spark) -> None:
    lake = Lakehouse(str(tmp_path))
    for value in (1, 2):
        rows = pl.DataFrame({"value": [value], DAY: [ASKED.first]})
        lake.replace_days("w", "t", rows, ASKED)
    files = lake.files("w", "t", ASKED)
    for engine in (DuckDB(), spark):
        sql = engine.compiled(ibis.table({"value": "int64"}, name="t"))
        assert engine.run(sql, {"t": Files(files.paths, pl.Schema({"value": pl.Int64()}))})["value"].to_list() == [2]


def test_a_table_whose_files_do_not_tell_its_rows_is_refused(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    lake.replace("w", "t", pl.DataFrame({"value": [1]}))
    DeltaTable(lake.location("w", "t")).alter.set_table_properties({"delta.minReaderVersion": "2"})
    if DeltaTable(lake.location("w", "t")).protocol().min_reader_version < 2:
        pytest.fail("The table was not made to need a newer reader: the test shows nothing.")
    with pytest.raises(UnreadableTableError, match="compute on duckdb"):
        lake.files("w", "t")


def test_a_table_without_rows_is_one_on_either_engine(spark: Spark) -> None:
    schema = pl.Schema({"at": INSTANT, "value": pl.Int64()})
    table = ibis.table(ibis.Schema.from_polars(schema), name="t")
    for engine in (DuckDB(), spark):
        found = engine.run(engine.compiled(table), {"t": Files((), schema)})
        assert (found.height, found.schema) == (0, schema)


# ---------------------------------------------------------------- instants


instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(instants, min_size=1, max_size=20))
def test_seconds_on_duckdb_are_those_that_have_passed(given: list[datetime]) -> None:
    assert seconds(DuckDB(), given) == [whole_seconds(at) for at in given]


def test_seconds_on_spark_are_those_that_have_passed(spark: Spark) -> None:
    given = [
        datetime(year, 2, 28, 23, 59, 59, micros, tzinfo=UTC)
        for year in (1901, 1969, 1970, 2013, 2038, 2199)
        for micros in (0, 1, 400_000, 499_999, 500_000, 999_999)
    ]
    expected = [whole_seconds(at) for at in given]
    assert seconds(spark, given) == expected
    assert seconds(DuckDB(), given) == expected


def seconds(engine: DuckDB | Spark, given: list[datetime]) -> list[int]:
    rows = pl.DataFrame({"n": range(len(given)), "at": given}, schema={"n": pl.Int64, "at": INSTANT})
    table = ibis.table(ibis.Schema.from_polars(rows.schema), name="t")
    asked = table.select("n", passed=table["at"].epoch_seconds().cast("int64"))
    return engine.run(engine.compiled(asked), {"t": rows}).sort("n")["passed"].to_list()


def whole_seconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


FRACTIONS = (0, 1, 249_999, 400_000, 500_000, 750_000, 999_999)


def with_fractions(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, each planned, happened and known a part of a second later, as a source with a finer clock has them."""
    later = pl.Series([FRACTIONS[n % len(FRACTIONS)] for n in range(rows.height)])
    instants = [name for name in ("event_time", "known_time", "scheduled_departure") if name in rows.columns]
    return rows.with_columns(pl.col(*instants) + pl.duration(microseconds=later))


@pytest.mark.parametrize("table", DERIVED)
def test_nothing_known_a_part_of_a_second_later_is_used(workload: Workload, lake: Lakehouse, table: str) -> None:
    declared, _ = workload.spec.derived_tables[table]
    function, key = getattr(workload.module("features"), table), workload.contract(table).key
    given = {name: with_fractions(lake.read(workload.name, name)) for name in declared.reads}
    known = pl.concat(rows["known_time"] for rows in given.values()).filter(pl.Series(known_late(given)))
    for instant in known.gather_every(max(known.len() // 4, 1)):
        # All that became known after the instant is gone. What was derived by then must be as it was.
        before = derive(function, given, workload.calendar, ASKED, key)
        past = {name: rows.filter(pl.col("known_time") <= instant) for name, rows in given.items()}
        after = derive(function, past, workload.calendar, ASKED, key)
        by_then = pl.col("known_time") <= instant
        assert digest(before.filter(by_then)) == digest(after.filter(by_then)), instant


def test_the_worst_of_three_hours_is_known_when_the_last_of_them_is(workload: Workload, lake: Lakehouse) -> None:
    late = pl.col("event_time") == datetime(2013, 1, 4, 15, tzinfo=UTC)
    hours = lake.read(workload.name, "weather").with_columns(
        known_time=pl.when(late).then(pl.col("known_time") + pl.duration(hours=5)).otherwise("known_time")
    )
    function = workload.module("features").origin_weather
    found = derive(function, {"weather": hours}, workload.calendar, ASKED, ("origin",))
    at_sixteen = found.filter(pl.col("event_time") == datetime(2013, 1, 4, 16, tzinfo=UTC))
    assert at_sixteen["known_time"].unique().to_list() == [datetime(2013, 1, 4, 20, 10, tzinfo=UTC)]


def known_late(given: dict[str, pl.DataFrame]) -> list[bool]:
    """Rows known a little before others of the same second, on the days asked for."""
    known = pl.concat(rows["known_time"] for rows in given.values())
    inside = known.is_between(datetime(2013, 1, 4, 12, tzinfo=UTC), datetime(2013, 1, 5, 20, tzinfo=UTC))
    return (inside & (known.dt.microsecond() > 0) & (known.dt.microsecond() < 500_000)).to_list()


# ---------------------------------------------------------------- which engine, and whether it can run


def test_the_machines_setting_comes_before_the_workloads(workload: Workload) -> None:
    on_spark_by_itself = Workload(
        workload.spec.model_copy(update={"engine": EngineName.SPARK}), workload.package, Path("contracts")
    )
    assert chosen_engine(workload, Settings()) is EngineName.DUCKDB
    assert chosen_engine(on_spark_by_itself, Settings()) is EngineName.SPARK
    assert chosen_engine(on_spark_by_itself, Settings(engine=EngineName.DUCKDB)) is EngineName.DUCKDB
    assert chosen_engine(workload, Settings(engine=EngineName.SPARK)) is EngineName.SPARK


def test_settings_of_spark_are_read_from_the_environment(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARRANT_ENGINE", "spark")
    monkeypatch.setenv("WARRANT_SPARK_MASTER", "spark://host:7077")
    monkeypatch.setenv("WARRANT_SPARK_CONF", '{"spark.executor.memory": "8g"}')
    assert engine_of(workload, Settings()) == Spark("spark://host:7077", (("spark.executor.memory", "8g"),))


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("says", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_292"', 8), ("what?", None)],
)
def test_the_version_of_java_is_read(tmp_path: Path, says: str, version: int | None) -> None:
    assert on_spark.java_version(str(program(tmp_path / "java", says))) == version


def test_without_java_spark_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    with pytest.raises(EngineUnavailableError, match=r"there is no Java") as refused:
        Spark("local[1]", (("spark.app.name", "never started"),)).started()
    assert "openjdk-17-jre-headless" in refused.value.remedy
    program(tmp_path / "old" / "bin" / "java", 'openjdk version "11.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    lacks = on_spark.missing()
    assert lacks is not None
    assert lacks.what.endswith("is Java 11")


def test_without_pyspark_spark_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_spark, "find_spec", lambda _name: None)
    with pytest.raises(EngineUnavailableError, match="pyspark is not installed") as refused:
        engine_named(EngineName.SPARK, Settings(spark_master="local[9]")).run("SELECT 1", {})
    assert "make spark" in refused.value.remedy


def test_settings_that_results_depend_on_are_ours(spark: Spark) -> None:
    os.environ.pop("TZ", None)
    other = Spark(spark.master, (*spark.configuration, ("spark.sql.session.timeZone", "Asia/Tokyo")))
    instant = datetime(2013, 1, 4, 12, 0, 0, 250_000, tzinfo=UTC)
    rows = pl.DataFrame({"at": [instant]}, schema={"at": INSTANT})
    assert other.run("SELECT at, CAST(at AS STRING) AS text FROM t", {"t": rows}).rows() == [
        (instant, "2013-01-04 12:00:00.25")
    ]
