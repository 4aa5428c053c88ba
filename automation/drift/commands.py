"""``warrant drift``: what is known of the world changing, and what was decided about retraining."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from automation.drift import asking, states
from automation.drift.states import CHANNELS
from automation.errors import WarrantError
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import store
from automation.options import DATE, JSON, WORKLOAD
from automation.replay import Platform
from automation.rollout.machine import rollout

if TYPE_CHECKING:
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


def _seen(platform: Platform, workload: Workload, day: date | None) -> _Seen:
    if workload.spec.drift is None:
        raise NotWatchedError(
            f"{workload.name} is not watched for drift.",
            remedy="Declare drift: in its defs.yaml, `drift: {}` at least.",
        )
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
