"""The pilot's year, once and many times over, from raw tables to features: how time and memory grow.

    python -m benchmarks.feature_scale --json
    python -m benchmarks.feature_scale --scale 1 --scale 10 --to 2013-03-01

The year is replicated with shifted keys: copy 3 of a flight is another flight by another aircraft from another
airport, at the same instants. Thirty times the year are ten million flights. The raw tables lie in Delta as the lineage
leaves them, day by day. Measured, in a fresh process for each size, are reading them, computing every derived table and
writing it to Delta, window of days by window of days; not the contracts' enforcement, which `benchmarks.contract_gate`
measures. Windows are shorter the more flights a day has, so that memory stays what it is.

Linear means: a row takes no more than 1.2 times as long as at any smaller size. At the size of the year itself, fixed
costs of windows, tables and days are much of the time, so that a row takes longer there than in a larger one. Spark
computes the smallest size, too, and what the two engines wrote is compared.
"""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest.mock import patch

import click
import polars as pl
import yaml

from automation.calendar import Days
from automation.derivation import derive_table
from automation.engines.choice import engine_named
from automation.engines.engine import EngineName
from automation.lakehouse import DAY, Lakehouse
from automation.settings import Settings
from automation.workload import Delivery, Workload, WorkloadSpec
from benchmarks.process import measured
from benchmarks.report import Figure, Peer, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.process import Measured

ROOT = Path(__file__).parent.parent
RAW = ("flight_schedule", "flight_status", "weather")
KEYS = ("flight_id", "tail_number", "origin", "destination", "carrier")
FLIGHTS_A_DAY = 920
# Rows of flights in one window, its earlier days not counted.
FLIGHTS_A_WINDOW = 850_000
LONGEST_WINDOW = 400
PEAK_GOAL_GIB = 6.0
LINEAR_WITHIN = 1.2


def prepare(folder: str, scale: int, first: str, last: str) -> int:
    """Writes the raw tables of the days, ``scale`` times over, into a lakehouse. Returns their rows."""
    from contracts.enforcement import enforce

    workload, lake, rows = _workload(), Lakehouse(folder), 0
    feed, asked = workload.module("feed"), _days(first, last)
    for table in workload.spec.feeds:
        contract, deliver = workload.contract(table.table), getattr(feed, table.table)
        if table.delivery is Delivery.WHOLE:
            lake.replace(workload.name, table.table, enforce(deliver(), contract).valid)
            continue
        for days in asked.months():
            once = enforce(deliver(workload.calendar, days), contract, partition=DAY).valid
            for part in once.partition_by(DAY):
                of_day = pl.concat(_copy(part, number) for number in range(scale))
                lake.replace_days(workload.name, table.table, of_day, Days.one(part[DAY][0]))
                rows += of_day.height
    return rows


def _copy(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    """The rows with other keys. Copy 0 is the rows themselves."""
    if number == 0:
        return rows
    shifted = [pl.concat_str(pl.col(name), pl.lit(f"~{number}")) for name in KEYS if name in rows.columns]
    return rows.with_columns(shifted)


def compute(source: str, into: str, engine: str, scale: int, first: str, last: str) -> dict[str, float]:
    """Computes every derived table of the days into another lakehouse. Returns seconds and rows by table.

    An engine that has to start is started before.
    """
    workload, raw, made = _workload(), Lakehouse(source), Lakehouse(into)
    computes = engine_named(EngineName(engine), Settings(spark_conf={"spark.driver.memory": "4g"}))
    if engine == EngineName.SPARK:
        computes.started()  # pyrefly: ignore[missing-attribute]
    features, found = workload.module("features"), {}
    origins = tuple(
        origin if number == 0 else f"{origin}~{number}" for number in range(scale) for origin in features.ORIGINS
    )
    for days in _windows(_days(first, last), scale):
        for name, (table, _) in workload.spec.derived_tables.items():
            began = time.perf_counter()
            # The grid of instants is laid over the airports that the workload names: here, as many times as many.
            named = origins if name == "origin_congestion" else features.ORIGINS
            with patch.object(features, "ORIGINS", named):
                rows = derive_table(computes, raw, workload, table, days)
            made.replace_days(workload.name, name, rows, days)
            found[name] = found.get(name, 0.0) + time.perf_counter() - began
            found[f"{name} rows"] = found.get(f"{name} rows", 0.0) + rows.height
        progress(f"{scale} times on {engine}: to {days.last}")
    return found


def _windows(days: Days, scale: int) -> Iterator[Days]:
    length = min(max(FLIGHTS_A_WINDOW // (FLIGHTS_A_DAY * scale), 1), LONGEST_WINDOW)
    first = days.first
    while first <= days.last:
        yield Days(first, min(first + timedelta(days=length - 1), days.last))
        first += timedelta(days=length)


def _unlike(one: str, other: str, workload: Workload) -> int:
    """How many derived tables of two lakehouses do not hold the same rows."""
    return sum(
        not _in_order(Lakehouse(one), workload.name, table).equals(_in_order(Lakehouse(other), workload.name, table))
        for table in workload.spec.derived_tables
    )


def _in_order(lake: Lakehouse, workload: str, table: str) -> pl.DataFrame:
    rows = lake.read(workload, table)
    return rows.select(sorted(rows.columns)).sort(pl.all(), nulls_last=True)


def _days(first: str, last: str) -> Days:
    return Days(date.fromisoformat(first), date.fromisoformat(last))


def _workload() -> Workload:
    attributes = yaml.safe_load((ROOT / "assets" / "flight_disruption" / "defs.yaml").read_text("utf-8"))["attributes"]
    return Workload(WorkloadSpec.model_validate(attributes), "assets.flight_disruption", ROOT / "contracts")


def _seconds(run: Measured) -> float:
    return sum(seconds for name, seconds in run.result.items() if not name.endswith(" rows"))


def _figures(scale: int, rows: int, run: Measured) -> list[Figure]:
    return [
        figure(f"{scale} times: raw rows", rows, "rows"),
        figure(
            f"{scale} times: derived rows", sum(n for name, n in run.result.items() if name.endswith(" rows")), "rows"
        ),
        figure(f"{scale} times: raw to features", _seconds(run), "s"),
        figure(f"{scale} times: of a million raw rows", _seconds(run) / rows * 1e6, "s"),
        at_most(PEAK_GOAL_GIB, f"{scale} times: peak memory of the process", run.peak_bytes / 2**30, "GiB"),
    ]


def _linear(took: dict[int, tuple[int, float]]) -> list[Figure]:
    """How much longer a row takes at each size than at the smaller size where it takes least."""
    each = {scale: seconds / rows for scale, (rows, seconds) in took.items()}
    return [
        at_most(
            LINEAR_WITHIN,
            f"{scale} times: time for a row",
            each[scale] / min(each[smaller] for smaller in each if smaller < scale),
            "times that of a smaller size",
        )
        for scale in each
        if scale > min(each)
    ]


def _measure(scales: Sequence[int], first: str, last: str, *, on_spark: bool) -> list[Figure]:
    figures: list[Figure] = []
    took: dict[int, tuple[int, float]] = {}
    for scale in scales:
        with TemporaryDirectory(prefix="warrant-benchmark-") as folder:
            source, by_duckdb, by_spark = (str(Path(folder, name)) for name in ("raw", "duckdb", "spark"))
            progress(f"{scale} times: preparing raw tables")
            rows = measured(prepare, source, scale, first, last).result
            run = measured(compute, source, by_duckdb, EngineName.DUCKDB.value, scale, first, last)
            took[scale] = rows, _seconds(run)
            figures += _figures(scale, rows, run)
            if on_spark and scale == min(scales):
                other = measured(compute, source, by_spark, EngineName.SPARK.value, scale, first, last)
                beside = Peer("DuckDB", _seconds(run))
                figures += [
                    figure(f"{scale} times: raw to features on Spark", _seconds(other), "s", beside),
                    figure(f"{scale} times: peak memory on Spark", other.peak_bytes / 2**30, "GiB"),
                    at_most(
                        0, f"{scale} times: tables unlike on Spark", _unlike(by_duckdb, by_spark, _workload()), "tables"
                    ),
                ]
    return figures + _linear(took)


@click.command()
@click.option(
    "--scale", "scales", type=int, multiple=True, default=(1, 10, 30), show_default=True, help="How many times."
)
@click.option("--from", "first", default="2013-01-01", show_default=True, help="First day.")
@click.option("--to", "last", default="2014-01-02", show_default=True, help="Last day.")
@click.option("--spark/--no-spark", "on_spark", default=True, show_default=True, help="Spark beside the smallest size.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(scales: tuple[int, ...], first: str, last: str, on_spark: bool, as_json: bool) -> None:
    """Measures the pilot's derived tables, many times over, on DuckDB, with Spark beside the smallest size."""
    on = machine()
    show("feature_scale", on, _measure(sorted(set(scales)), first, last, on_spark=on_spark), as_json=as_json)


if __name__ == "__main__":
    main()
