"""``warrant policy``: what decides, what another would have decided, and the change from one to the other."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automation.calendar import Days
from automation.lakehouse import Lakehouse
from automation.options import BY, DATE, FIRST_DAY, JSON, REASON, WORKLOAD
from automation.replay import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from automation.policy.activation import Change, Standing
    from automation.policy.backtest import Backtest
    from automation.policy.bundle import PolicyBundle
    from automation.workload import Workload

SHORT, SHOWN = 12, 12
_candidate = click.option(
    "--candidate",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of a policy. By default the workload's own, as its files are now.",
)


@click.command("lint")
@WORKLOAD
@_candidate
def lint(name: str, candidate: Path | None) -> None:
    """Say whether a policy's files can be used: the costs, the decision table, the authorization, and all together.

    \b
    Example:
      warrant policy lint --workload flight_disruption

    Exit code 0: they can; its version is printed. 1: they cannot, with everything that is wrong.
    """
    _, workload = _opened(name)
    policy = _policy(workload, candidate)
    click.echo(f"{name}: policy {policy.version[:SHORT]} can be used. Its table is run {policy.table.how}.")


@click.command("list")
@WORKLOAD
@JSON
def list_command(name: str, as_json: bool) -> None:
    """List which policies decided or shadowed, from which day on, who had them do so and why.

    \b
    Example:
      warrant policy list --workload flight_disruption
    """
    from rich.console import Console
    from rich.table import Table

    platform, workload = _opened(name)
    found = _standing(platform, workload)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found.changes], indent=2))
        return
    if not found.changes:
        click.echo(f"No policy of {name} has decided anything yet: the first day that is decided activates its own.")
        return
    table = Table(box=None)
    for title in ("", "event", "policy", "from day", "by", "why"):
        table.add_column(title, overflow="fold")
    for each in found.changes:
        mark = "decides" if found.last == each else "shadows" if found.shadow(date.max) == each else ""
        version = each.version[:SHORT] if each.version else "-"
        table.add_row(mark, each.type, version, str(each.first_day), each.by, each.why)
    Console().print(table)


@click.command("show")
@WORKLOAD
@click.option("--version", help="Of which version, or how it begins. By default what decides now.")
@JSON
def show(name: str, version: str | None, as_json: bool) -> None:
    """Show a policy: costs, limits, the rules of its table and of its authorization.

    \b
    Example:
      warrant policy show --workload flight_disruption
    """
    platform, workload = _opened(name)
    policy = _of_version(platform, workload, version)
    if as_json:
        click.echo(json.dumps({"version": policy.version, **json.loads(policy.content())}, indent=2))
        return
    click.echo(f"Policy {policy.version} of {name}\n")
    for action in policy.declared.actions:
        safe = ", the safe one" if action.name == policy.declared.safe_action else ""
        click.echo(f"{action.name}{safe}: ${action.cost:g} a unit, spares {action.mitigates:.0%} of the harm")
    for limit in policy.declared.limits:
        click.echo(f"limit: {limit}")
    click.echo(f"\nRules of the decision table ({policy.table.how}):")
    for rule, verdict in policy.table.verdict_of.items():
        click.echo(f"  {verdict:7} {rule}: reads {', '.join(policy.table.reads[rule]) or 'nothing'}")
    click.echo(f"\n{policy.documents.policies_text.strip()}")


@click.command("activate")
@WORKLOAD
@_candidate
@BY
@REASON
@FIRST_DAY
def activate(name: str, candidate: Path | None, by: str, why: str, first_day: datetime | None) -> None:
    """Have a policy decide, from a day on. The policy in force says who may: a policy owner, in the pilot.

    \b
    Example:
      warrant policy activate --workload flight_disruption --by "A. Jensen" --reason "notices save more than we thought"

    Exit code 0: it decides from that day on. 1: it was refused; the message says why.
    """
    from automation.policy import activation

    platform, workload = _opened(name)
    made = activation.activate(
        platform.settings,
        workload,
        _policy(workload, candidate),
        by=by,
        why=why,
        first_day=_from(platform, workload, first_day),
        now=datetime.now(UTC),
    )
    _told(made, "decides")


@click.command("rollback")
@WORKLOAD
@BY
@REASON
@FIRST_DAY
def rollback(name: str, by: str, why: str, first_day: datetime | None) -> None:
    """Have the policy decide again that did before the last change.

    \b
    Example:
      warrant policy rollback --workload flight_disruption --by "M. Okafor" --reason "too many notices"

    Exit code 0: it decides from that day on. 1: it was refused, or there is none; the message says why.
    """
    from automation.policy import activation

    platform, workload = _opened(name)
    made = activation.roll_back(
        platform.settings,
        workload,
        by=by,
        why=why,
        first_day=_from(platform, workload, first_day),
        now=datetime.now(UTC),
    )
    _told(made, "decides again")


@click.command("shadow")
@WORKLOAD
@_candidate
@click.option("--end", is_flag=True, help="Have shadowing end instead.")
@BY
@REASON
@FIRST_DAY
def shadow(name: str, candidate: Path | None, end: bool, by: str, why: str, first_day: datetime | None) -> None:
    """Have a candidate decide the same cases beside the policy in force. Nothing comes of what it decides: see the
    asset shadow_decisions.

    \b
    Example:
      warrant policy shadow --workload flight_disruption --candidate stricter/ --by "A. Jensen" --reason "before May"

    Exit code 0: it shadows from that day on, or has ended. 1: it was refused; the message says why.
    """
    from automation.policy import activation

    platform, workload = _opened(name)
    made = activation.shadow(
        platform.settings,
        workload,
        None if end else _policy(workload, candidate),
        by=by,
        why=why,
        first_day=_from(platform, workload, first_day),
        now=datetime.now(UTC),
    )
    _told(made, "shadows")


@click.command("backtest")
@WORKLOAD
@_candidate
@click.option("--from", "first", type=DATE, required=True, help="The first day that was decided.")
@click.option("--to", "last", type=DATE, required=True, help="The last day, included.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the dollars by day there, as SVG.")
@click.option(
    "--cases", type=click.Path(dir_okay=False, path_type=Path), help="Write the cases decided otherwise, as CSV."
)
@JSON
def backtest(
    name: str,
    candidate: Path | None,
    first: datetime,
    last: datetime,
    plot: Path | None,
    cases: Path | None,
    as_json: bool,
) -> None:
    """Say which decisions a candidate would have made otherwise, by rule, and what that would have been worth.

    Decides the days' cases again from their recorded evidence. Dollars are those of cases whose outcome is known.

    \b
    Example:
      warrant policy backtest --workload flight_disruption --candidate stricter/ --from 2013-01-10 --to 2013-01-11
    """
    from automation.ledger import store
    from automation.policy import activation
    from automation.policy import backtest as backtests

    platform, workload = _opened(name)
    days = Days(first.date(), last.date())
    with store.opened(platform.settings) as ledger, _bar(as_json) as progress:
        found = backtests.backtest(
            Lakehouse(platform.settings.lakehouse),
            ledger,
            workload,
            _policy(workload, candidate),
            days,
            lambda version: activation.kept(platform.settings, version),
            progress,
        )
    if plot is not None:
        plot.write_text(backtests.plot(found), "utf-8")
    if cases is not None:
        told = found.differences.with_columns(found.differences["rules"].list.join(" "))
        told.write_csv(cases)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        _shown(found)


def _shown(found: Backtest) -> None:
    from rich.console import Console
    from rich.table import Table

    share = found.differences.height / max(1, found.cases)
    click.echo(
        f"Policy {found.candidate[:SHORT]} on {found.cases:,} cases of {found.first} to {found.last}: "
        f"{found.differences.height:,} decided otherwise ({share:.1%})."
    )
    actions = sorted({*found.decided, *found.would_be})
    told = ", ".join(f"{name} {found.decided.get(name, 0):,} -> {found.would_be.get(name, 0):,}" for name in actions)
    click.echo(f"Actions: {told}; to a person {found.reviewed[0]:,} -> {found.reviewed[1]:,}.")
    verb = "saved" if found.saved >= 0 else "cost"
    click.echo(
        f"Of {found.known:,} cases with a known outcome it would have {verb} ${abs(found.saved):,.0f}: "
        f"${found.would_cost:,.0f} instead of ${found.cost:,.0f}."
    )
    table = Table(box=None)
    for title in ("rule", "decided otherwise", "outcome known", "saved"):
        table.add_column(title, justify="left" if title == "rule" else "right")
    for each in found.by_rule[:SHOWN]:
        table.add_row(each.rule, f"{each.cases:,}", f"{each.known:,}", f"${each.saved:,.0f}")
    if found.by_rule:
        Console().print(table)


def _opened(name: str) -> tuple[Platform, Workload]:
    from automation.settings import settings

    platform = Platform(settings())
    return platform, platform.workload(name)


def _policy(workload: Workload, folder: Path | None) -> PolicyBundle:
    from automation.policy import bundle

    return bundle.working(workload) if folder is None else bundle.load(workload, folder)


def _standing(platform: Platform, workload: Workload) -> Standing:
    from automation.ledger import store
    from automation.policy import activation

    with store.opened(platform.settings) as ledger:
        return activation.standing(ledger, workload.name)


def _of_version(platform: Platform, workload: Workload, version: str | None) -> PolicyBundle:
    from automation.policy import activation, bundle

    found = _standing(platform, workload)
    if version is None:
        last = found.last
        return activation.kept(platform.settings, last.version) if last and last.version else bundle.working(workload)
    known = sorted({each.version for each in found.changes if each.version and each.version.startswith(version)})
    if len(known) != 1:
        raise activation.NoPolicyError(
            f"{len(known) or 'No'} policies of {workload.name} have a version that begins with {version!r}.",
            remedy="`warrant policy list` shows them.",
        )
    return activation.kept(platform.settings, known[0])


def _from(platform: Platform, workload: Workload, given: datetime | None) -> date:
    """The day that was given, or the first that was not decided."""
    from automation.policy.evidence import first_undecided

    return first_undecided(workload, Lakehouse(platform.settings.lakehouse)) if given is None else given.date()


def _told(change: Change, does: str) -> None:
    if change.version is None:
        click.echo(f"Nothing shadows from {change.first_day} on.")
    else:
        click.echo(f"Policy {change.version[:SHORT]} {does} from {change.first_day} on.")


def _as_json(change: Change) -> dict[str, Any]:
    return {**asdict(change), "first_day": change.first_day.isoformat()}


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("deciding again", total=None)
        yield lambda done, of: progress.update(task, total=of, completed=done)
