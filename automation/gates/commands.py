"""``warrant gate``: how every gate stands, and waivers of those that failed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import click
import dagster as dg

from automation.calendar import Days
from automation.errors import WarrantError
from automation.gates import standing, waivers
from automation.gates.gate import store, unwaived, waived
from automation.gates.standing import Asked, Standing, State
from automation.lakehouse import Lakehouse
from automation.options import DATE, WORKLOAD
from automation.replay import Platform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

RANGE = ".."


class UnknownGateError(WarrantError):
    """No such gate, or no such partition of its table."""


@dataclass(frozen=True)
class Place:
    """A gate of a table, and the partitions of it that are meant: None for a table that has none."""

    asset: dg.AssetKey
    gate: str
    partitions: tuple[str, str] | None


def place(
    graph: BaseAssetGraph, workload: str, table: str, gate: str, partition: str | None, instance: dg.DagsterInstance
) -> Place:
    """The gate that a person named, with its partition ``2013-01-12`` or range ``2013-01-12..2013-01-14``; of a table
    whose partitions have no order, such as the model versions that were submitted, with one partition.

    Raises:
        UnknownGateError: it names something that is not there.
    """
    key = dg.AssetKey([workload, table])
    tables = {found.path[-1]: found for found in graph.get_all_asset_keys() if found.path[0] == workload}
    if table not in tables:
        raise UnknownGateError(
            f"{workload} has no table {table}.", remedy=f"Choose one of these: {', '.join(sorted(tables))}."
        )
    names = standing.gates_of(graph, key)
    if gate not in names:
        raise UnknownGateError(
            f"{workload}/{table} has no gate {gate} that holds anything.",
            remedy=f"Choose one of these: {', '.join(names) or 'it has none'}.",
        )
    days = graph.get(key).partitions_def
    if days is None:
        if partition is not None:
            raise UnknownGateError(f"{workload}/{table} has no partitions.", remedy="Leave --partition out.")
        return Place(key, gate, None)
    if isinstance(days, dg.DynamicPartitionsDefinition):
        known = instance.get_dynamic_partitions(str(days.name))
        if partition is None or partition not in known:
            raise UnknownGateError(
                f"{partition!r} is no partition of {workload}/{table}.",
                remedy=f"Give --partition as one of these: {', '.join(known) or 'there is none yet'}.",
            )
        return Place(key, gate, (partition, partition))
    first, _, last = (partition or "").partition(RANGE)
    last = last or first
    for asked in (first, last):
        if not days.has_partition_key(asked):
            raise UnknownGateError(
                f"{asked!r} is no partition of {workload}/{table}.",
                remedy=f"Give --partition as {days.get_first_partition_key()}, or as FIRST{RANGE}LAST.",
            )
    if last < first:
        raise UnknownGateError(f"The range {partition} ends before it begins.", remedy="Swap its ends.")
    return Place(key, gate, (first, last))


def standings(platform: Platform, name: str, now: datetime) -> list[Standing]:
    """How every gate of the workload stands on every partition that was ever materialized."""
    graph = platform.definitions.resolve_asset_graph()
    keys = sorted(key for key in graph.get_all_asset_keys() if key.path[0] == name)
    return standing.read(platform.instance, [Asked(key, standing.gates_of(graph, key), None) for key in keys], now)


def show(instance: dg.DagsterInstance, place: Place, now: datetime) -> list[Standing]:
    """Records on the asset that its failures are under a waiver, or are not any more. Returns those failures."""
    asked = Asked(place.asset, (place.gate,), None)
    found = [
        each
        for each in standing.read(instance, [asked], now)
        if each.state in (State.FAILED, State.WAIVED) and _within(each.partition, place.partitions)
    ]
    for each in found:
        evaluation = standing.evaluation(instance, each)
        if evaluation is not None:
            in_force = each.waiver if each.state is State.WAIVED else None
            shown = waived(evaluation, in_force) if in_force else unwaived(evaluation)
            store(instance, shown, each.run_id)
    return found


def _within(partition: str | None, partitions: tuple[str, str] | None) -> bool:
    return partitions is None or (partition is not None and partitions[0] <= partition <= partitions[1])


@click.command("list")
@WORKLOAD
@click.option("--failed", is_flag=True, help="Only what is not passed: failed, waived, never run, overtaken.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a gate and partition.")
def list_command(name: str, failed: bool, as_json: bool) -> None:
    """Show how every gate stands: passed, failed, waived, never run, or overtaken by a later materialization.

    \b
    Example:
      warrant gate list --workload flight_disruption --failed

    Exit code 0 whatever the gates say. Without --json, partitions that stand alike are counted together, and below
    them stand the waivers in force.
    """
    from automation.settings import settings

    platform, now = Platform(settings()), datetime.now(UTC)
    platform.workload(name)
    found = standings(platform, name, now)
    shown = [each for each in found if not failed or each.state is not State.PASSED]
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in shown], indent=2))
    else:
        _print(platform.instance, shown)
        for waiver in waivers.of_assets(platform.instance, sorted({each.asset for each in found})):
            if waiver.in_force(now):
                where = f"{waiver.gate} of {waiver.asset} on {waiver.partitions}"
                click.echo(f"Waiver {waiver.number}, {where}: {waiver.words}")


def _as_json(each: Standing) -> dict[str, Any]:
    waiver = each.waiver
    return {
        "table": each.asset.path[-1],
        "gate": each.gate,
        "partition": each.partition,
        "state": each.state.value,
        "open": each.open,
        "waiver": waiver and {"number": waiver.number, "by": waiver.by, "until": waiver.ends.isoformat()},
    }


def _print(instance: dg.DagsterInstance, shown: Sequence[Standing]) -> None:
    from rich.console import Console
    from rich.table import Table

    made = Table("table", "gate", "state", "partitions", "what it says", show_edge=False)
    groups: dict[tuple[dg.AssetKey, str, State, int | None], list[Standing]] = {}
    for each in shown:
        number = each.waiver.number if each.waiver else None
        groups.setdefault((each.asset, each.gate, each.state, number), []).append(each)
    for (asset, gate, state, number), members in groups.items():
        keys = [member.partition for member in members if member.partition]
        days = "-" if not keys else keys[0] if len(keys) == 1 else f"{len(keys)}, {keys[0]} to {keys[-1]}"
        evaluation = standing.evaluation(instance, members[-1]) if state in (State.FAILED, State.WAIVED) else None
        said = evaluation.description if evaluation and evaluation.description else ""
        by = f" by waiver {number}" if state is State.WAIVED else f", waiver {number} is over" if number else ""
        made.add_row(asset.path[-1], gate, f"{state}{by}", days, said)
    Console(width=140).print(made if groups else "No gate stands so.")


@click.command("waive")
@WORKLOAD
@click.option("--asset", "table", required=True, help="The table whose gate it is.")
@click.option("--gate", required=True, help="The gate, as `warrant gate list` names it.")
@click.option(
    "--partition",
    help="The day, or a range of days as FIRST..LAST; the version of a model; none for a table without partitions.",
)
@click.option("--by", required=True, help="Who answers for it.")
@click.option("--reason", required=True, help="Why what lies downstream may go on.")
@click.option("--until", type=DATE, required=True, help="The last day (UTC) on which it holds; 30 days at most.")
def waive_command(
    name: str, table: str, gate: str, partition: str | None, by: str, reason: str, until: datetime
) -> None:
    """Let what lies under a failed gate go on, in your name, until a day.

    The gate stays failed and is shown as waived; rejected rows stay in quarantine. When the day is over the gate holds
    again. Days whose gate `anomaly` is waived become part of the past that later days are judged by.

    \b
    Example:
      warrant gate waive --workload flight_disruption --asset weather --gate contract --partition 2013-03-05 \\
        --by "A. Jensen" --reason "one station is being moved" --until "$(date -d +7days +%F)"

    Exit code 0: the waiver is in force. 1: it was refused, by the policy in force if it does not let you; the message
    says why.
    """
    from automation.anomalies.gate import IMPOSSIBLE, accept
    from automation.policy.activation import authorized
    from automation.settings import settings

    platform, now = Platform(settings()), datetime.now(UTC)
    workload = platform.workload(name)
    graph = platform.definitions.resolve_asset_graph()
    meant = place(graph, name, table, gate, partition, platform.instance)
    authorized(platform.settings, workload, by, "waive_gate")
    waiver = waivers.waive(
        platform.settings,
        meant.asset,
        gate,
        meant.partitions,
        by=by,
        reason=reason,
        until=_end_of(until.date()),
        now=now,
    )
    failures = show(platform.instance, meant, now)
    if gate == IMPOSSIBLE.name:
        # Somebody found the days right: later days are judged by them, too.
        lake = Lakehouse(platform.settings.lakehouse)
        for each in failures:
            accept(lake, workload, table, Days.one(date.fromisoformat(str(each.partition))))
    click.echo(f"Waiver {waiver.number}: {waiver.words}.")
    days = ", ".join(each.partition or name for each in failures)
    if failures:
        click.echo(f"The failures of {gate} it covers now: {days}.")
    else:
        click.echo(f"{gate} of {name}/{table} has not failed there. If it does by then, what lies downstream goes on.")


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


@click.command("revoke")
@click.option("--waiver", "number", type=int, required=True, help="Its number, as `warrant gate list` shows it.")
@click.option("--by", required=True, help="Who revokes it.")
def revoke_command(number: int, by: str) -> None:
    """End a waiver now: its gate holds again.

    \b
    Example:
      warrant gate revoke --waiver 3 --by "A. Jensen"

    Exit code 0: it is over. 1: there is none of that number, or it was over already.
    """
    from automation.settings import settings

    platform, now = Platform(settings()), datetime.now(UTC)
    waiver = waivers.revoke(platform.settings, number, by=by, now=now)
    key = dg.AssetKey.from_user_string(waiver.asset)
    partitions = None if waiver.first is None or waiver.last is None else (waiver.first, waiver.last)
    show(platform.instance, Place(key, waiver.gate, partitions), now)
    click.echo(f"Waiver {number} of {waiver.gate} of {waiver.asset} is over: the gate holds again where it failed.")
