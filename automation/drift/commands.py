"""``warrant drift``: what is known of the world changing, what was decided about retraining, and what else might be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from automation.calendar import Days
from automation.drift import asking, states
from automation.drift.states import CHANNELS
from automation.drift.worth.ways import Way, missing, months_of, read
from automation.errors import WarrantError
from automation.jobs import RETRAINING_WAYS
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import store
from automation.options import DATE, JSON, WORKLOAD
from automation.policy.evidence import DECISIONS
from automation.replay import Platform, RunStoppedError, Step, alone, shown
from automation.rollout.machine import rollout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from automation.drift.asking import Asking
    from automation.drift.states import Kept
    from automation.rollout.machine import Rollout
    from automation.workload import Workload


class NotWatchedError(WarrantError):
    """The workload is not watched for drift, or not yet, or not on that day."""


@dataclass(frozen=True)
class _Seen:
    """What is known at the end of a day."""

    day: date
    channels: dict[str, Kept]
    askings: tuple[Asking, ...]
    rollout: Rollout


@click.command("show")
@WORKLOAD
@click.option("--day", "at", type=DATE, help="At the end of which day. By default the last that was watched.")
@JSON
def show(name: str, at: datetime | None, as_json: bool) -> None:
    """Show what each channel of drift knew at the end of a day, and what was decided about retraining by then.

    \b
    Example:
      warrant drift show --workload flight_disruption
    """
    from automation.settings import settings

    platform = Platform(settings())
    seen = _seen(platform, platform.workload(name), at.date() if at else None)
    if as_json:
        channels = {table: _said(kept) for table, kept in seen.channels.items()}
        told = [_told(each, seen.rollout) for each in seen.askings]
        click.echo(json.dumps({"day": seen.day.isoformat(), "channels": channels, "retraining": told}, indent=2))
        return
    click.echo(f"At the end of {seen.day}:")
    for table, kept in seen.channels.items():
        click.echo(f"  {'ALARM ' if kept.alarm else ''}{table}: {kept.says}")
    if not seen.askings:
        click.echo("  Retraining was not looked into so far.")
    for each in seen.askings:
        told = _told(each, seen.rollout)
        why = f"because of {' and '.join(each.causes)}" if each.causes else "since the time had come"
        click.echo(f"  {each.day}, {why}: {each.says} {told['came_to']}")


@click.command("compare")
@WORKLOAD
@click.option("--from", "first", type=DATE, help="First day; by default the first that was decided.")
@click.option("--to", "last", type=DATE, help="Last day; by default the last that was decided.")
@click.option(
    "--way",
    "named",
    multiple=True,
    type=click.Choice([way.value for way in Way]),
    default=[Way.NEVER.value, Way.MONTHLY.value],
    show_default=True,
    help="How often a model is trained; more than once for more ways.",
)
@click.option("--again", is_flag=True, help="Compare months that were compared already, too.")
def compare(name: str, first: datetime | None, last: datetime | None, named: tuple[str, ...], again: bool) -> None:
    """Compare what was done with other ways to retrain, month by month.

    Models are trained as of the days on which each way would have, on what was known then, and decide the days that
    were decided, under the policy and the limits of the time. Weekly and daily train many models: a month of them is
    minutes, or hours. Months that are done are not done again; whole months are compared, as far as they were decided.

    \b
    Example:
      warrant drift compare --workload flight_disruption --from 2013-03-01 --to 2013-03-31

    Exit code 0: all months are compared; `warrant scorecard` shows them. 1: nothing was decided, or a run failed.
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    if workload.spec.drift is None:
        raise _not_watched(name)
    lake, ways = Lakehouse(platform.settings.lakehouse), [Way(each) for each in Way if each.value in named]
    parts = _decided(lake, workload, first.date() if first else None, last.date() if last else None)
    days = Days(parts[0].first, parts[-1].last)
    todo = parts if again else missing(read(lake, name, days), ways, parts)
    steps = [Step(RETRAINING_WAYS, Days.one(part.first.replace(day=1))) for part in todo]
    config = {"ops": {f"{name}__{RETRAINING_WAYS}": {"config": {"ways": [way.value for way in ways]}}}}
    with alone(platform, workload):
        count = shown(compared(platform, workload, steps, config))
    months = "1 month" if count == 1 else f"{count} months"
    click.echo(f"{name}: {days.first} to {days.last} is compared ({months} run). See it with `warrant scorecard`.")


def compared(
    platform: Platform, workload: Workload, months: Sequence[Step], config: Mapping[str, object]
) -> Iterator[tuple[Step, int, int]]:
    """Compares months, yielding each before it is, with its number and their total.

    Raises:
        RunStoppedError: a run failed. The months before it stay.
    """
    for number, step in enumerate(months, start=1):
        yield step, number, len(months)
        stopped = platform.run(workload, step, more_config=config)
        if stopped is not None:
            raise RunStoppedError(
                f"{workload.name} was stopped in {step}: {stopped}.",
                remedy="Look at the run in the Dagster UI (`warrant up`), mend the cause, then run this again.",
            )


def _decided(lake: Lakehouse, workload: Workload, first: date | None, last: date | None) -> list[Days]:
    """What was decided of the months that are asked for."""
    known = sorted(lake.counts(workload.name, DECISIONS)) if lake.exists(workload.name, DECISIONS) else []
    since, until = (None if day is None else day.replace(day=1) for day in (first, last))
    chosen = [
        part
        for part in months_of(known)
        if (since is None or part.last >= since) and (until is None or part.first.replace(day=1) <= until)
    ]
    if not chosen:
        raise NotWatchedError(
            f"No case of {workload.name} was decided on those days.", remedy="Decide some first: `warrant replay`."
        )
    return chosen


def _not_watched(name: str) -> NotWatchedError:
    return NotWatchedError(
        f"{name} is not watched for drift.", remedy="Declare drift: in its defs.yaml, `drift: {}` at least."
    )


def _seen(platform: Platform, workload: Workload, day: date | None) -> _Seen:
    if workload.spec.drift is None:
        raise _not_watched(workload.name)
    lake = Lakehouse(platform.settings.lakehouse)
    if day is None and lake.exists(workload.name, CHANNELS[-1]):
        day = max(lake.read(workload.name, CHANNELS[-1], None, [DAY])[DAY], default=None)
    found = {table: states.on(lake, workload.name, table, day) for table in CHANNELS} if day else {}
    channels = {table: kept for table, kept in found.items() if kept is not None}
    if day is None or not channels:
        raise NotWatchedError(
            f"Nothing is known about drift of {workload.name}{f' on {day}' if day else ''}.",
            remedy="Decide days first: `warrant replay`, or choose a --day that was decided.",
        )
    with store.opened(platform.settings) as ledger:
        said, changes = asking.askings(ledger, workload.name), rollout(ledger, workload.name)
    return _Seen(day, channels, tuple(each for each in said if each.day <= day), changes)


def _said(kept: Kept) -> dict[str, Any]:
    return {
        "alarm": kept.alarm,
        "says": kept.says,
        "watched_since": kept.watched.since.isoformat(),
        "evidence": list(kept.evidence),
    }


def _told(each: Asking, changes: Rollout) -> dict[str, Any]:
    return {**each.as_data(), "answer": each.answer.value, "came_to": asking.came_to(each, changes)}
