"""``warrant model``: which version decides, why another does not, and the way back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from automation.lakehouse import Lakehouse
from automation.options import BY, FIRST_DAY, JSON, REASON, WORKLOAD
from automation.replay import Platform

if TYPE_CHECKING:
    from automation.rollout.explanation import Gates
    from automation.rollout.machine import Change, Rollout
    from automation.workload import Workload

SHORT = 12
_version = click.argument("version", type=click.IntRange(min=1))


@click.command("list")
@WORKLOAD
@JSON
def list_command(name: str, as_json: bool) -> None:
    """List the model's versions, the newest first, and where each is.

    \b
    Example:
      warrant model list --workload flight_disruption
    """
    from rich.console import Console
    from rich.table import Table

    platform, workload = _opened(name)
    found = _rollout(platform, workload)
    rows = [_row(found, version) for version in reversed(found.versions)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(
            f"No version of {workload.spec.model.name} was registered yet: materialize candidate_model of a day."
        )
        return
    table = Table(box=None)
    for title in ("version", "state", "from day", "last", "by", "why"):
        table.add_column(title, overflow="fold")
    for row in rows:
        share = f" {row['share']:g}%" if row["state"] == "canary" else ""
        words = (f"{row['state'].replace('_', ' ')}{share}", row["from"], row["last"].replace("_", " "))
        table.add_row(str(row["version"]), *words, row["by"], row["why"])
    Console().print(table)


@click.command("show")
@_version
@WORKLOAD
@JSON
def show(version: int, name: str, as_json: bool) -> None:
    """Show a version: what happened to it, and what it is pinned to.

    \b
    Example:
      warrant model show 1 --workload flight_disruption
    """
    from automation.rollout.promotion import unknown

    platform, workload = _opened(name)
    found = _rollout(platform, workload)
    own, pins = found.of(version), found.pinned(version)
    if not own:
        raise unknown(found, version)
    if as_json:
        said = {
            **_row(found, version),
            "pinned": pins and pins.as_data(),
            "events": [_event(each) for each in found.about(version)],
        }
        click.echo(json.dumps(said, indent=2))
        return
    named = own[0].champion
    click.echo(f"Version {version} of {named.model}, {_row(found, version)['state'].replace('_', ' ')}")
    click.echo(f"digest {named.digest}\n")
    for each in found.about(version):
        share = "" if each.share is None else f" {each.share:g}%"
        if each.version != version:
            place = f", version {each.version} in its place"
        else:
            place = "" if each.leaves is None else f", in place of version {each.leaves}"
        words = f"{each.kind.value.replace('_', ' ')}{share} from {each.as_of} on{place}"
        click.echo(f"{each.time[:16].replace('T', ' ')} UTC  {words}, by {each.by}: {each.why}")
    if pins is None:
        return
    click.echo("\nPinned to")
    click.echo(f"  golden set  {pins.golden}")
    click.echo(f"  policy      {pins.running.policy}")
    click.echo(f"  code        {pins.running.code}")
    click.echo(f"  lock file   {pins.running.lock or 'none'}")
    for title, held in (("contract", pins.contracts), ("view", pins.feature_views), ("table", pins.tables)):
        for key, value in held.items():
            click.echo(f"  {title:11} {key} {value}")


@click.command("promote")
@_version
@WORKLOAD
@BY
@REASON
@FIRST_DAY
@JSON
def promote(version: int, name: str, by: str, why: str, first_day: datetime | None, as_json: bool) -> None:
    """Approve a version that passed its gates in your name and, with as many approvals as the plan asks for, have it
    decide. The policy in force says who may: an operator, in the pilot.

    \b
    Example:
      warrant model promote 2 --workload flight_disruption --by "M. Okafor" --reason "waited long enough"

    Exit code 0: it decides from that day on, or waits for more approvals. 1: it was refused; the message says why.
    """
    from automation.ledger import store
    from automation.policy.activation import authorized
    from automation.rollout import pinned, promotion

    platform, workload = _opened(name)
    settings, now, needed = platform.settings, datetime.now(UTC), workload.spec.rollout.approvals_needed
    by, why = _explained(by, why)
    authorized(settings, workload, by, "promote_model")
    found = _rollout(platform, workload)
    gates = _gates(platform, workload, found, version, now)
    _refuse_closed(found, version, gates)
    last = promotion.refuse_unless_waiting(found, version)
    as_of = max(_from(platform, workload, first_day), last.as_of)
    approvers: tuple[str, ...] = ()
    if needed:
        approvers = promotion.approve(settings, name, version, by=by, why=why, now=now)
        if len(approvers) < needed:
            words = f"Version {version} of {name} has {len(approvers)} of {needed} approvals: {', '.join(approvers)}."
            _told(
                {"version": version, "promoted": False, "approved_by": list(approvers), "needed": needed},
                words,
                as_json,
            )
            return
    with store.opened(settings) as ledger:
        running = pinned.running(ledger, workload, as_of)
    evidence = {"gates": {each.gate: f"{each.state}: {each.says}" for each in gates.gates}}
    champion = promotion.from_day(last, as_of)
    new = promotion.promote(settings, name, champion, running, evidence, now, approvals=needed, by=by, why=why)
    words = f"Version {version} decides from {as_of} on{'' if new else ' already'}. MLflow's alias follows in a minute."
    _told(
        {"version": version, "promoted": new, "from": as_of.isoformat(), "approved_by": list(approvers)}, words, as_json
    )


@click.command("abort")
@_version
@WORKLOAD
@BY
@REASON
@JSON
def abort(version: int, name: str, by: str, why: str, as_json: bool) -> None:
    """Take a version that does not decide out of the running, for good.

    \b
    Example:
      warrant model abort 2 --workload flight_disruption --by "M. Okafor" --reason "it misses the evening flights"

    Exit code 0: it will not decide. 1: it was refused; the message says why.
    """
    from automation.policy.activation import authorized
    from automation.rollout import promotion

    platform, workload = _opened(name)
    by, why = _explained(by, why)
    authorized(platform.settings, workload, by, "promote_model")
    new = promotion.abort(
        platform.settings,
        name,
        version,
        as_of=_from(platform, workload, None),
        by=by,
        why=why,
        now=datetime.now(UTC),
    )
    words = f"Version {version} of {name} {'is aborted' if new else 'was aborted before'}."
    _told({"version": version, "aborted": new}, words, as_json)


@click.command("rollback")
@WORKLOAD
@click.option("--to", type=click.IntRange(min=1), help="Which version. By default the champion before this one.")
@BY
@REASON
@FIRST_DAY
@JSON
def rollback(name: str, to: int | None, by: str, why: str, first_day: datetime | None, as_json: bool) -> None:
    """Have the version that decided before decide again, as it was. Its golden set is scored again first, byte for
    byte. MLflow is not asked, so it may be down.

    \b
    Example:
      warrant model rollback --workload flight_disruption --by "M. Okafor" --reason "it protects nobody in snow"

    Exit code 0: it decides from that day on. 1: it was refused, and the champion stays; the message says why.
    """
    from automation.rollout.rollback import roll_back

    platform, workload = _opened(name)
    by, why = _explained(by, why)
    champion = _rollout(platform, workload).champion
    # A version that never decided a day yet goes back from its first one on.
    earliest = champion.as_of if champion and first_day is None else date.min
    done = roll_back(
        platform.settings,
        workload,
        to=to,
        by=by,
        why=why,
        as_of=max(_from(platform, workload, first_day), earliest),
        views=lambda: _meaning(platform, workload),
        now=lambda: datetime.now(UTC),
    )
    said = {
        "version": done.change.version,
        "instead_of": done.leaves,
        "from": done.change.as_of.isoformat(),
        "golden": done.golden,
        "not_as_it_was": list(done.notes),
    }
    words = (
        f"Version {done.change.version} decides again from {done.change.as_of} on, in place of version {done.leaves}: "
        f"{done.golden}. MLflow's alias follows in a minute."
    )
    notes = f"\nNot as when it was promoted: {'; '.join(done.notes)}." if done.notes else ""
    _told(said, words + notes, as_json)


@click.command("explain")
@_version
@WORKLOAD
@JSON
def explain(version: int, name: str, as_json: bool) -> None:
    """Say in a paragraph why a version is live, or is not: its state, its gates, what the plan has next.

    \b
    Example:
      warrant model explain 2 --workload flight_disruption
    """
    from automation.rollout import explanation
    from automation.rollout.machine import State

    platform, workload = _opened(name)
    found = _rollout(platform, workload)
    gates = _gates(platform, workload, found, version, datetime.now(UTC))
    words = explanation.paragraph(found, version, workload.spec.rollout, gates)
    state = found.state(version)
    said = {
        "version": version,
        "state": state and state.value,
        "live": state is State.CHAMPION,
        "says": words,
        "gates": [asdict(each) for each in gates.gates],
    }
    _told(said, words, as_json)


def _opened(name: str) -> tuple[Platform, Workload]:
    from automation.settings import settings

    platform = Platform(settings())
    return platform, platform.workload(name)


def _rollout(platform: Platform, workload: Workload) -> Rollout:
    from automation.ledger import store
    from automation.rollout.machine import rollout

    with store.opened(platform.settings) as ledger:
        return rollout(ledger, workload.name)


def _gates(platform: Platform, workload: Workload, found: Rollout, version: int, now: datetime) -> Gates:
    from automation.rollout.explanation import gates_of
    from automation.rollout.promotion import unknown

    if not found.of(version):
        raise unknown(found, version)
    return gates_of(platform, workload, found, version, now)


def _refuse_closed(found: Rollout, version: int, gates: Gates) -> None:
    from automation.rollout.explanation import held
    from automation.rollout.promotion import NotAllowedError

    if gates.closed:
        raise NotAllowedError(
            f"Version {version} of {found.workload} cannot be promoted: {held(gates)}.",
            remedy="Train a better one; or waive the gate (`warrant gate waive`) and materialize champion of its day.",
        )


def _meaning(platform: Platform, workload: Workload) -> dict[str, str]:
    """By feature view: what it means now, as the stages are handed it."""
    store: Any = (platform.definitions.resources or {})["feature_store"]
    return store.meaning(workload.spec.features.service)


def _from(platform: Platform, workload: Workload, given: datetime | None) -> date:
    """The day that was given, or the first that was not decided."""
    from automation.policy.evidence import first_undecided

    return first_undecided(workload, Lakehouse(platform.settings.lakehouse)) if given is None else given.date()


def _explained(by: str, why: str) -> tuple[str, str]:
    if not by.strip() or not why.strip():
        raise click.UsageError("Give --by and --reason: whoever changes what decides says who it is and why.")
    return by.strip(), why.strip()


def _row(found: Rollout, version: int) -> dict[str, Any]:
    own, state = found.of(version), found.state(version)
    last, shares = found.about(version)[-1], [each.share for each in own if each.share is not None]
    return {
        "version": version,
        "model": own[0].champion.model,
        "digest": own[0].champion.digest,
        "state": state.value if state else "",
        "from": last.as_of.isoformat(),
        "share": shares[-1] if shares else None,
        "last": last.kind.value,
        "by": last.by,
        "why": last.why,
        "approved_by": list(found.approved_by(version)),
    }


def _event(each: Change) -> dict[str, Any]:
    return {
        "number": each.number,
        "kind": each.kind.value,
        "version": each.version,
        "from": each.as_of.isoformat(),
        "by": each.by,
        "why": each.why,
        "time": each.time,
        "share": each.share,
        "leaves": each.leaves,
        "evidence": dict(each.evidence),
    }


def _told(said: dict[str, Any], words: str, as_json: bool) -> None:
    click.echo(json.dumps(said, indent=2) if as_json else words)
