"""Who reads a table or a column of it, and until when it may be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from automation.lineage.consumers import Consumers, consumers, in_words, served
from automation.lineage.graph import Kind, Role
from automation.options import WORKLOAD
from automation.replay import Platform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.lineage.graph import ServedFeature
    from automation.rollout.promotion import Champion
    from automation.workload import Workload

SAYS = {Role.READS: "computed from it", Role.ROWS: "its rows, or rows in it, are chosen by it"}


def described(workload: Workload, features: Sequence[ServedFeature], found: Consumers) -> dict[str, Any]:
    """What is found, as JSON: by column, every consumer with its kind, how it depends and through what."""
    contract, champion = workload.contract(found.table), found.champion
    until = contract.end_of_support
    by_column = {name: consumers(workload, features, found.table, [name], champion).found for name in found.columns}
    return {
        "workload": workload.name,
        "table": found.table,
        "version": contract.version,
        "end_of_support": until.isoformat() if until else None,
        "champion": None
        if champion is None
        else {"model": champion.model, "version": champion.version, "from": champion.as_of.isoformat()},
        "columns": {
            name: [
                {
                    "kind": consumer.node.kind.value,
                    "name": consumer.node.name,
                    "part": consumer.node.part,
                    "role": consumer.role.value,
                    "via": [str(node) for node in consumer.via],
                }
                for consumer in every
            ]
            for name, every in by_column.items()
        },
    }


def in_text(workload: Workload, found: Consumers, unread: Sequence[str]) -> str:
    """What is found, for people. ``unread`` names the columns of a whole table that nothing depends on."""
    contract, champion = workload.contract(found.table), found.champion
    what = found.table if len(found.columns) > 1 else f"{found.table}.{found.columns[0]}"
    lines = [f"{what} ({contract.name} {contract.version})"]
    if contract.end_of_support is not None:
        lines.append(f"  may be read up to and with {contract.end_of_support}")
    for role, says in SAYS.items():
        told = [(kind, in_words(found.of(kind, role))) for kind in Kind]
        if any(words for _, words in told):
            lines.append(f"  {says}")
        for kind, words in told:
            for number, word in enumerate(words):
                lines.append(f"    {kind.value if number == 0 else '':10}{word}")
    if not found.found:
        lines.append("  nothing reads it")
    if unread:
        lines.append(f"  nothing reads its columns {', '.join(unread)}")
    if found.of(Kind.MODEL):
        lines.append(
            "  no version of the model decides yet"
            if champion is None
            else f"  champion: version {champion.version} of {champion.model}, deciding from {champion.as_of} on"
        )
    return "\n".join(lines)


@click.command("consumers")
@WORKLOAD
@click.option("--table", required=True, help="A table that has a contract, of any stage.")
@click.option("--column", "columns", multiple=True, help="A column of it; may be given again. By default all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, table: str, columns: tuple[str, ...], as_json: bool) -> None:
    """Say who reads a table or a column: tables, features, model, policy, decisions.

    Found in the code: in the workload's expressions, Feast's definitions and the declaration.

    \b
    Example:
      warrant contract consumers --workload flight_disruption --table weather --column visibility_miles
    """
    from automation.rollout.promotion import NoChampionError, champion_on
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    champion: Champion | None
    try:
        champion = champion_on(platform.settings, workload.name, workload.calendar.end)
    except NoChampionError:
        champion = None
    features = served(workload)
    found = consumers(workload, features, table, columns or None, champion)
    if as_json:
        click.echo(json.dumps(described(workload, features, found), indent=2))
        return
    unread = [each for each in found.columns if not consumers(workload, features, table, [each]).found]
    click.echo(in_text(workload, found, [] if columns else unread))
    if columns:
        click.echo(f"  {found.breaks()}")
