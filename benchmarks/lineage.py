"""How long the governed lineage takes: a year from raw to features, a day from raw to decisions, an import.

    python -m benchmarks.lineage --json

- ``year_raw_to_features``: `warrant backfill` of the year into a new home: the real jobs with contracts, gates,
  quarantines, the event log. From the start of a fresh process to its end, the database's creation included.
  Its peer makes the same tables in one pass without any of it: `benchmarks.bare_lineage`.
- ``warm_day``: the whole daily job, raw to decisions and monitoring, in a process that ran days before.
- ``code_location_import``: a fresh process loads the code location, as the webserver, the daemon and every run do.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import date, timedelta

import click

from automation.calendar import Days
from benchmarks import bare_lineage
from benchmarks.process import fresh_home, measured, seconds_of
from benchmarks.report import Figure, Peer, at_most, figure, machine, progress, show

WORKLOAD = "flight_disruption"
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 30)
YEAR_GOAL_SECONDS, MEMORY_GOAL_GIB = 90.0, 4.0
TRAINED_AS_OF = date(2013, 1, 20)
DAYS_BEFORE, DAYS_TIMED, DAY_GOAL_SECONDS = 3, 5, 4.0
IMPORTS_TIMED, IMPORT_GOAL_SECONDS = 5, 2.5
SLOW_IMPORTS = ("great_expectations", "feast", "mlflow", "lightgbm", "sklearn", "pandera")
LOAD_AND_SAY_WHAT_WAS_IMPORTED = "from automation.definitions import defs; defs(); import sys; print(*sys.modules)"
GIB = 2**30


def governed(first: str, last: str) -> int:
    """Ingests the days with everything that governs them. Returns the number of steps."""
    from automation.replay import Platform, backfill
    from automation.settings import settings

    platform = Platform(settings())
    steps = backfill(platform, platform.workload(WORKLOAD), Days(date.fromisoformat(first), date.fromisoformat(last)))
    return sum(1 for step, number, total in steps if _said(step, number, total))


def warm_days(trained_as_of: str, count: int) -> list[tuple[float, float]]:
    """Trains as of a day, then decides ``count`` days from it. Returns each day's seconds, and this process's CPU's."""
    from automation.replay import Platform, RunStoppedError, plan
    from automation.settings import settings

    first = date.fromisoformat(trained_as_of)
    platform = Platform(settings())
    workload = platform.workload(WORKLOAD)
    steps = plan(
        workload.calendar.start,
        Days(first, first + timedelta(days=count - 1)),
        workload.spec.retrain_day,
        platform.done(workload),
    )
    seconds = []
    for number, step in enumerate(steps, start=1):
        _said(step, number, len(steps))
        began, used = time.perf_counter(), time.process_time()
        stopped = platform.run(workload, step)
        if stopped is not None:
            raise RunStoppedError(f"{step}: {stopped}.", remedy="See what the gate says.")
        if step.job == "daily":
            seconds.append((time.perf_counter() - began, time.process_time() - used))
    return seconds


def year(days: int | None) -> list[Figure]:
    """The governed year beside the bare one."""
    last = LAST if days is None else min(LAST, FIRST + timedelta(days=days - 1))
    given = (FIRST.isoformat(), last.isoformat())
    progress(f"the governed lineage, {given[0]} to {given[1]}")
    with fresh_home() as home:
        found = measured(governed, *given, home=home)
    progress("the same without governance")
    with tempfile.TemporaryDirectory() as folder:
        bare = measured(bare_lineage.write, *given, folder)
    return [
        at_most(
            YEAR_GOAL_SECONDS,
            "year_raw_to_features",
            found.seconds,
            "s",
            Peer("bare script", bare.seconds),
        ),
        figure("year_cpu", found.cpu_seconds, "CPU s", Peer("bare script", bare.cpu_seconds)),
        at_most(
            MEMORY_GOAL_GIB,
            "year_peak_memory",
            found.peak_bytes / GIB,
            "GiB",
            Peer("bare script", bare.peak_bytes / GIB),
        ),
        at_most(MEMORY_GOAL_GIB, "year_peak_memory_with_database", found.peak_bytes_with_database / GIB, "GiB"),
    ]


def warm_day() -> list[Figure]:
    """The daily job in a process that ran days before."""
    progress(f"a day, raw to decisions, after {DAYS_BEFORE} others")
    with fresh_home() as home:
        seconds = measured(warm_days, TRAINED_AS_OF.isoformat(), DAYS_BEFORE + DAYS_TIMED, home=home).result
    wall, cpu = zip(*seconds[DAYS_BEFORE:], strict=True)
    return [
        at_most(DAY_GOAL_SECONDS, "warm_day", statistics.median(wall), "s"),
        figure("warm_day_slowest", max(wall), "s"),
        figure("warm_day_cpu", statistics.median(cpu), "CPU s"),
        figure("first_day", seconds[0][0], "s"),
    ]


def code_location_import() -> list[Figure]:
    """The code location in fresh processes, beside Dagster alone."""
    progress(f"the code location's import, {IMPORTS_TIMED} times")
    seconds, loaded = seconds_of(LOAD_AND_SAY_WHAT_WAS_IMPORTED, IMPORTS_TIMED)
    alone, _ = seconds_of("import dagster", IMPORTS_TIMED)
    slow = sorted(set(SLOW_IMPORTS) & set(loaded.split()))
    if slow:
        progress(f"slow imports loaded: {', '.join(slow)}")
    return [
        at_most(IMPORT_GOAL_SECONDS, "code_location_import", seconds, "s", Peer("import dagster", alone)),
        at_most(0, "code_location_slow_imports", len(slow), "packages"),
    ]


def _said(step: object, number: int, total: int) -> bool:
    progress(f"[{number}/{total}] {step}")
    return True


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--days", type=click.IntRange(min=1), help="Ingest so many days in place of the year.")
def main(as_json: bool, days: int | None) -> None:
    """Measure the governed year, a warm day and the code location's import."""
    on = machine()
    figures = [*code_location_import(), *year(days), *warm_day()]
    show("lineage", on, figures, as_json=as_json)


if __name__ == "__main__":
    main()
