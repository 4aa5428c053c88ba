"""``warrant alert``: see what fails, send what waits, see whether messages arrive, say who looks after one."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from automation.alerts import outbox
from automation.alerts.alert import a_test
from automation.alerts.sinks import DeliveryError, Message, sinks
from automation.settings import settings as current_settings

if TYPE_CHECKING:
    from automation.alerts.outbox import Listed
    from automation.settings import Settings

TEXT_WIDTH = 120


def _now() -> datetime:
    return datetime.now(UTC)


def _ready() -> Settings:
    """The settings, with the database running."""
    from automation import database

    chosen = current_settings()
    database.prepare(chosen)
    return chosen


@click.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only what fails now.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(only_open: bool, as_json: bool) -> None:
    """List what failed: what fails now first, then what has recovered.

    It shows what was noticed by the last look at the event log; `warrant alert send` takes one.

    \b
    Example:
      warrant alert list --open
    """
    shown = [alert for alert in outbox.listed(_ready()) if alert.failing or not only_open]
    if as_json:
        click.echo(json.dumps([_as_json(alert) for alert in shown], indent=2))
        return
    if not shown:
        click.echo("Nothing fails." if only_open else "Nothing has failed.")
        return
    from rich.console import Console
    from rich.table import Table

    made = Table("no.", "state", "asset", "partition", "gate", "times", "since", "it says", show_edge=False)
    for row in shown:
        found = row.alert.finding
        made.add_row(
            str(row.number),
            _state(row),
            found.asset,
            found.partition or "",
            found.gate,
            str(row.alert.count),
            f"{row.alert.since.astimezone(UTC):%Y-%m-%d %H:%M}",
            found.says,
        )
    Console(width=TEXT_WIDTH).print(made)


def _state(row: Listed) -> str:
    if not row.failing:
        return "recovered"
    return f"open, {row.acknowledged_by} looks after it" if row.acknowledged_by else "open"


def _as_json(row: Listed) -> dict[str, object]:
    described = row.alert.payload
    return {
        "number": row.number,
        "state": "open" if row.failing else "recovered",
        "acknowledged_by": row.acknowledged_by,
        "waiting_for": list(row.waiting),
        **{name: value for name, value in described.items() if name not in {"kind", "also", "subject", "text"}},
    }


@click.command("send")
def send_command() -> None:
    """Look at the event log once, as the sensor does, and deliver every alert that waits, however often it failed.

    \b
    Example:
      warrant alert send

    Exit code 0: all that was due is delivered. 1: a sink failed; the message says which and why. What it did not take
    waits and is tried again.
    """
    from automation.alerts.watch import watch
    from automation.replay import Platform

    platform = Platform(current_settings())
    outbox.make_due(platform.settings, _now())
    watched = watch(platform.settings, platform.instance, platform.definitions.get_repository_def(), _now)
    click.echo(f"{watched}.", err=bool(watched.failed))
    sys.exit(1 if watched.failed else 0)


@click.command("test")
def test_command() -> None:
    """Send a test message to every sink that the settings name. It is stored nowhere.

    \b
    Example:
      warrant alert test

    Exit code 0: every sink took it. 1: one did not; the message says which and why.
    """
    failed = False
    now = _now()
    for sink in sinks(current_settings()):
        try:
            sink.send(Message(f"test-{now:%Y%m%d%H%M%S}", a_test(now), now))
        except DeliveryError as error:
            failed = True
            click.echo(f"{sink.name}: {error.message}\n  {error.remedy}", err=True)
        else:
            click.echo(f"{sink.name}: delivered")
    sys.exit(1 if failed else 0)


@click.command("acknowledge")
@click.argument("number", type=int)
@click.option("--by", required=True, help="Who looks after it.")
def acknowledge_command(number: int, by: str) -> None:
    """Say who looks after an open alert: it is not sent again while the gate says the same.

    \b
    Example:
      warrant alert acknowledge 12 --by ann@example.com
    """
    outbox.acknowledge(_ready(), number, by)
    click.echo(f"{by} looks after alert {number}.")
