"""Held rows, judged again by the contract as it is now: what passes is released into its table.

It is a run of the table's own asset that takes its rows from the table and its quarantine instead of the feed: so it is
in the event log with its counts, every gate of the day is judged anew, and what lies downstream is asked for again.
A table that is computed from others is computed again. What neither moves a row nor changes a verdict runs nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

import click
import polars as pl

from automation.boundary import QUARANTINE, ROWS_FROM, ROWS_OF
from automation.calendar import Days
from automation.contract.quarantine import NoSuchTableError
from automation.lakehouse import DAY, Lakehouse
from automation.options import DATE, WORKLOAD
from automation.quarantine import again, held, judge
from automation.replay import Platform, Step, Stopped, alone, within
from automation.staleness import partitions_of
from automation.workload import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from automation.quarantine import Judged
    from automation.workload import Workload
    from contracts.contract import Contract


@dataclass(frozen=True)
class DayReplay:
    """What judging one day of a table again comes to (``day`` is None where a table has no days).

    ``rows`` is valid plus held, before and after: rows are ``released`` out of the quarantine, or ``taken_back`` into
    it; ``held`` are there afterwards, ``by_rule`` by the rules they break. ``changes`` says why the day is run.
    ``stopped`` says why its run did not succeed: a gate that holds the day still, or a step that failed.
    """

    table: str
    day: str | None
    rows: int
    valid: int
    held: int
    released: int
    taken_back: int
    by_rule: dict[str, int]
    changes: str | None
    stopped: str | None = None


def replayable(workload: Workload) -> tuple[str, ...]:
    """The tables whose held rows can be judged again, in the order of the lineage: feeds, and what is computed of them.

    Not scores, decisions and outcomes: a row of these is right only together with its day, which is decided again.
    """
    spec = workload.spec
    return (*(feed.table for feed in spec.feeds), *(t.table for t in (spec.cases, spec.labels, *spec.features.views)))


def preview(
    lake: Lakehouse, workload: Workload, table: str, days: Days, cut_off: frozenset[str], stopped: frozenset[str]
) -> list[DayReplay]:
    """What judging the table's held rows of ``days`` again comes to, day by day. Nothing is written.

    ``cut_off`` are days whose last replay did not come to its end, ``stopped`` those that the contract's gate holds.
    """
    contract, whole = workload.contract(table), table in _whole(workload)
    before = held(lake, workload.name, table, None if whole else days)
    if whole:
        parts: list[Days | None] = [] if before.is_empty() and str(None) not in cut_off else [None]
    else:
        parts = [*ranges({*before[DAY], *(day for day in days if day.isoformat() in cut_off)})]
    found = []
    for some in parts:
        judged = judge(again(lake, workload.name, table, contract, some), contract, None if some is None else DAY)
        found += [
            _day(table, contract, judged, before, day, cut_off, stopped) for day in ([None] if some is None else some)
        ]
    return found


def _day(
    table: str,
    contract: Contract,
    judged: Judged,
    before: pl.DataFrame,
    day: date | None,
    cut_off: frozenset[str],
    stopped: frozenset[str],
) -> DayReplay:
    was, shall = before, judged.quarantined
    if day is not None:
        was, shall = was.filter(pl.col(DAY) == day), shall.filter(pl.col(DAY) == day)
    rows, key = judged.arrived[day], str(day)
    rules = dict(shall["rules"].explode(empty_as_null=False).value_counts().sort("rules").iter_rows())
    within_limit = shall.height <= contract.quarantine_limit * rows
    changes = None
    if judged.released[day] or judged.taken_back[day]:
        changes = "rows move"
    elif _verdicts(was) != _verdicts(shall):
        changes = "rules change"
    elif key in cut_off:
        changes = "its last replay was cut off"
    elif key in stopped and within_limit:
        changes = "the gate opens"
    return DayReplay(
        table=table,
        day=None if day is None else key,
        rows=rows,
        valid=rows - shall.height,
        held=shall.height,
        released=judged.released[day],
        taken_back=judged.taken_back[day],
        by_rule=rules,
        changes=changes,
    )


def _verdicts(rows: pl.DataFrame) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((row, tuple(rules)) for row, rules in rows.select("row", "rules").iter_rows())


def ranges(days: Iterable[date]) -> list[Days]:
    """The days as ranges without gaps, in order."""
    found: list[Days] = []
    for day in sorted(days):
        if found and (day - found[-1].last).days == 1:
            found[-1] = Days(found[-1].first, day)
        else:
            found.append(Days.one(day))
    return found


def replay_held(
    platform: Platform, workload: Workload, tables: Sequence[str], days: Days, *, dry_run: bool
) -> Iterator[DayReplay]:
    """Judges the held rows of ``tables`` again and, unless it is a dry run, releases what passes."""
    lake = Lakehouse(platform.settings.lakehouse)
    for table in tables:
        stopped, cut_off = _stopped(platform, workload, table), _cut_off(platform, workload, table)
        found = preview(lake, workload, table, days, cut_off, stopped)
        changing = {day.day for day in found if day.changes}
        ended: dict[str | None, str | None] = {}
        if not dry_run:
            steps = (
                [Step("setup", None)]
                if None in changing
                else [Step("release", some) for some in ranges(date.fromisoformat(str(day)) for day in changing)]
            )
            for step in steps if changing else []:
                result = _run(platform, workload, table, step)
                for key in [None] if step.days is None else step.days.keys:
                    ended[key] = _of_day(result, key)
        for day in found:
            stop = ended.get(day.day)
            yield day if stop is None else DayReplay(**{**asdict(day), "stopped": stop})


def judge_again(platform: Platform, workload: Workload, table: str, days: Days | None) -> Stopped | None:
    """Judges the rows of a feed's table and of its quarantine on ``days`` again (None: it has no days).

    A run of the table's asset: its event makes what lies downstream stale. Returns why it stopped, if it did.
    """
    return _run(platform, workload, table, Step("setup", None) if days is None else Step("release", days))


def _run(platform: Platform, workload: Workload, table: str, step: Step) -> Stopped | None:
    import dagster as dg

    tags = {ROWS_FROM: QUARANTINE, ROWS_OF: table}
    return platform.run(workload, step, only=[dg.AssetKey([workload.name, table])], more_tags=tags)


def _of_day(stopped: Stopped | None, day: str | None) -> str | None:
    """What stopped a day, of all that stopped its run."""
    if stopped is None:
        return None
    own = [gate for gate in stopped.gates if day is None or f" on {day} failed" in gate]
    return "; ".join((*own, *stopped.errors)) or None


def _whole(workload: Workload) -> frozenset[str]:
    return frozenset(feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.WHOLE)


def _stopped(platform: Platform, workload: Workload, table: str) -> frozenset[str]:
    """The days that the contract's gate of the table holds."""
    import dagster as dg
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

    from automation import gates

    check = dg.AssetCheckKey(dg.AssetKey([workload.name, table]), gates.CONTRACT.name)
    judged = platform.instance.event_log_storage.get_asset_check_partition_info([check])
    passed = AssetCheckExecutionRecordStatus.SUCCEEDED
    return frozenset(str(found.partition_key) for found in judged if found.latest_execution_status != passed)


def _cut_off(platform: Platform, workload: Workload, table: str) -> frozenset[str]:
    """The days whose last replay ended before Dagster knew of it: its rows may have moved, and nothing says so."""
    import dagster as dg

    asset = dg.AssetKey([workload.name, table])
    tags = {ROWS_FROM: QUARANTINE, ROWS_OF: table, "workload": workload.name}
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    found: set[str] = set()
    for run in platform.instance.get_run_records(dg.RunsFilter(tags=tags, statuses=ended)):
        run_id = run.dagster_run.run_id
        log = platform.instance.event_log_storage
        judged = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        if log.get_records_for_run(run_id, of_type=judged, limit=1).records:
            continue
        days = sorted(partitions_of(run.dagster_run))
        query = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=days or None)
        since = platform.instance.fetch_materializations(query, limit=1000).records
        mended = {str(record.partition_key) for record in since if record.timestamp > run.create_timestamp.timestamp()}
        found |= set(days or ["None"]) - mended
    return frozenset(found)


@click.command("replay")
@WORKLOAD
@click.option("--table", help="One table; by default every feed, and every table computed of them.")
@click.option("--from", "first", type=DATE, help="First day; by default the calendar's first.")
@click.option("--to", "last", type=DATE, help="Last day; by default the calendar's last.")
@click.option("--dry-run", is_flag=True, help="Say what would be released, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one entry a table and day.")
def command(name: str, table: str | None, first, last, dry_run: bool, as_json: bool) -> None:
    """Judge held rows again by the contract as it is now, and release those that pass.

    After a contract was mended. Each row goes into the day it belongs to, and comes out as delivering the day again
    would bring it out; what lies downstream is stale then and asked for again. Doing it twice changes nothing; cut off
    anywhere, it is finished by running it again.

    \b
    Example:
      warrant contract replay --workload flight_disruption --table weather --dry-run

    Exit code 0: done, or nothing to do. 1: a gate still holds one of the days that were run, or a step failed.
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    if table is not None and table not in replayable(workload):
        raise NoSuchTableError(
            f"{name} has no table {table} whose held rows can be judged again.",
            remedy=f"Choose one of these: {', '.join(replayable(workload))}. Scores, decisions and outcomes are made "
            "again with their day: `warrant replay --again`.",
        )
    days = within(workload, first, last)
    with alone(platform, workload):
        found = list(replay_held(platform, workload, [table] if table else replayable(workload), days, dry_run=dry_run))
    if as_json:
        click.echo(json.dumps([asdict(day) for day in found], indent=2))
    else:
        _show(found, name, dry_run=dry_run)
    if any(day.stopped for day in found):
        raise SystemExit(1)


def _show(found: Sequence[DayReplay], name: str, *, dry_run: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        click.echo(f"{name}: nothing is held on these days.")
        return
    made = Table("table", "day", "rows", "released", "taken back", "held", "rules broken", "", show_edge=False)
    for day in found:
        broken = ", ".join(f"{rule} ({n:,})" for rule, n in day.by_rule.items())
        numbers = [f"{n:,}" for n in (day.rows, day.released, day.taken_back, day.held)]
        made.add_row(day.table, day.day or "", *numbers, broken, day.stopped or day.changes or "as it was")
    Console(width=140).print(made)
    moved = sum(day.released + day.taken_back for day in found)
    would = "would move" if dry_run else "moved"
    click.echo(f"{moved:,} rows {would}, {sum(day.held for day in found):,} are held.")
    if moved and not dry_run:
        click.echo(
            f"What lies downstream is stale: automation asks for it again, or run `warrant replay --workload {name}`."
        )
