"""``warrant switch``: a workload, one of its actions or model versions, off and on again."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from automation.lakehouse import Lakehouse
from automation.options import BY, DATE, FIRST_DAY, JSON, REASON, WORKLOAD
from automation.replay import Platform
from automation.switches.switch import WORKLOAD as WHOLE
from automation.switches.switch import Switch, of_action, of_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from automation.switches.standing import Change, Standing
    from automation.workload import Workload

_action = click.option("--action", help="The action. Without it and --model: the whole workload.")
_model = click.option(
    "--model", type=click.IntRange(min=1), help="The model's version, as `warrant model list` has it."
)


@click.command("list")
@WORKLOAD
@click.option("--day", "at", type=DATE, help="As of which day. By default the first that was not decided yet.")
@JSON
def list_command(name: str, at: datetime | None, as_json: bool) -> None:
    """List every switch that was ever turned, how it stands on a day, by whom and why.

    \b
    Example:
      warrant switch list --workload flight_disruption
    """
    from rich.console import Console
    from rich.table import Table

    platform, workload = _opened(name)
    found, day = _standing(platform, workload), _from(platform, workload, at)
    if as_json:
        said = {"day": day.isoformat(), "off": found.off(day).as_data(), "changes": [_said(c) for c in found.changes]}
        click.echo(json.dumps(said, indent=2))
        return
    count = len(found.off(day).switches)
    number = {0: f"nothing of {name} is", 1: f"one switch of {name} is"}.get(count, f"{count} switches of {name} are")
    click.echo(f"On {day}, {number} off.")
    if not found.changes:
        return
    table = Table(box=None)
    for title in (f"on {day}", "switch", "event", "from day", "by", "why"):
        table.add_column(title, overflow="fold")
    for each in found.changes:
        now = each.turned.word if each == found.last(each.switch, day) else ""
        table.add_row(now, str(each.switch), each.turned.value, str(each.first_day), each.by, each.why)
    Console().print(table)


@click.command("off")
@WORKLOAD
@_action
@_model
@BY
@REASON
@FIRST_DAY
@JSON
def off(
    name: str, action: str | None, model: int | None, by: str, why: str, first_day: datetime | None, as_json: bool
) -> None:
    """Switch an action off (no case gets it), or a model version or the whole workload (a person decides its cases).

    The policy in force says who may: an operator, in the pilot. Days that were decided stay as they are.

    \b
    Example:
      warrant switch off --workload flight_disruption --action protect --by "M. Okafor" --reason "no seats are left"

    Exit code 0: it is off from that day on. 1: it was refused; the message says why.
    """
    from automation.switches.standing import switch_off

    _turned(switch_off, name, _switch(action, model), by, why, first_day, as_json)


@click.command("on")
@WORKLOAD
@_action
@_model
@BY
@REASON
@FIRST_DAY
@JSON
def on(
    name: str, action: str | None, model: int | None, by: str, why: str, first_day: datetime | None, as_json: bool
) -> None:
    """Switch on again what was switched off.

    \b
    Example:
      warrant switch on --workload flight_disruption --action protect --by "M. Okafor" --reason "there are seats again"

    Exit code 0: it is on from that day on. 1: it was refused; the message says why.
    """
    from automation.switches.standing import switch_on

    _turned(switch_on, name, _switch(action, model), by, why, first_day, as_json)


def _turned(
    turn: Callable[..., Change],
    name: str,
    switch: Switch,
    by: str,
    why: str,
    first_day: datetime | None,
    as_json: bool,
) -> None:
    platform, workload = _opened(name)
    day = _from(platform, workload, first_day)
    made = turn(platform.settings, workload, switch, by=by, why=why, first_day=day, now=datetime.now(UTC))
    words = f"Of {name}, {made.switch} is {made.turned.word} from {made.first_day} on."
    click.echo(json.dumps(_said(made), indent=2) if as_json else words)


def _switch(action: str | None, model: int | None) -> Switch:
    if action is not None and model is not None:
        raise click.UsageError("Give --action or --model, or neither for the whole workload.")
    if action is not None:
        return of_action(action)
    return WHOLE if model is None else of_model(model)


def _said(change: Change) -> dict[str, Any]:
    return {
        "number": change.number,
        "turned": change.turned.value,
        "kind": change.switch.kind.value,
        "name": change.switch.name,
        "first_day": change.first_day.isoformat(),
        "by": change.by,
        "why": change.why,
        "time": change.time,
    }


def _opened(name: str) -> tuple[Platform, Workload]:
    from automation.settings import settings

    platform = Platform(settings())
    return platform, platform.workload(name)


def _standing(platform: Platform, workload: Workload) -> Standing:
    from automation.ledger import store
    from automation.switches.standing import standing

    with store.opened(platform.settings) as ledger:
        return standing(ledger, workload.name)


def _from(platform: Platform, workload: Workload, given: datetime | None) -> date:
    """The day that was given, or the first that was not decided."""
    from automation.policy.evidence import first_undecided

    return first_undecided(workload, Lakehouse(platform.settings.lakehouse)) if given is None else given.date()
