"""The rows that are held: their values, the rules they broke, the contract that held them, the run and the time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
import polars as pl

from automation.errors import WarrantError
from automation.lakehouse import DAY, Lakehouse
from automation.options import DATE, WORKLOAD
from automation.quarantine import held
from automation.replay import Platform, within

if TYPE_CHECKING:
    from automation.calendar import Days
    from automation.workload import Workload

SHOWN = 20


class NoSuchTableError(WarrantError):
    """The workload has no table of that name with a contract."""


@dataclass(frozen=True)
class HeldRow:
    """One held row. ``row`` has the values as they came, as JSON has them, and ``types`` the types they had.

    ``day`` is the partition it is held in (None where the table has no days); ``run`` and ``time`` say which run of
    Dagster held it first, and when (ISO 8601, UTC).
    """

    day: str | None
    row: dict[str, object]
    types: dict[str, object] | None
    rules: list[str]
    contract: str
    version: str
    run: str | None
    time: str | None


def held_rows(lake: Lakehouse, workload: Workload, table: str, days: Days, rule: str | None = None) -> list[HeldRow]:
    """The table's held rows of ``days`` (all of a table that has none), by day; those that broke ``rule``, if given."""
    if table not in workload.contracts:
        raise NoSuchTableError(
            f"{workload.name} has no table {table}.",
            remedy=f"Choose one of these: {', '.join(sorted(workload.contracts))}.",
        )
    rows = held(lake, workload.name, table)
    if DAY in rows.columns:
        rows = rows.filter(pl.col(DAY).is_between(days.first, days.last)).sort(DAY, "row")
    if rule is not None:
        rows = rows.filter(pl.col("rules").list.contains(rule))
    return [
        HeldRow(
            day=None if row.get(DAY) is None else row[DAY].isoformat(),
            row=json.loads(row["row"]),
            types=json.loads(row["types"]) if row["types"] else None,
            rules=row["rules"],
            contract=row["contract"],
            version=row["version"],
            run=row["run"],
            time=row["time"].isoformat() if row["time"] else None,
        )
        for row in rows.iter_rows(named=True)
    ]


@click.command("quarantine")
@WORKLOAD
@click.option("--table", required=True, help="The table whose held rows to show.")
@click.option("--from", "first", type=DATE, help="First day; by default the calendar's first.")
@click.option("--to", "last", type=DATE, help="Last day; by default the calendar's last.")
@click.option("--rule", help="Only rows that broke this rule, as `contract counts` names it.")
@click.option("--json", "as_json", is_flag=True, help="Print every row as one line of JSON.")
def command(name: str, table: str, first, last, rule: str | None, as_json: bool) -> None:
    """Show the rows that are held, with the rules they broke, the run that held them and the time.

    \b
    Example:
      warrant contract quarantine --workload flight_disruption --table weather --rule "wind_speed_mph: maximum 120"

    Prints the first 20; with --json all of them, one line each.
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    rows = held_rows(Lakehouse(platform.settings.lakehouse), workload, table, within(workload, first, last), rule)
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row), ensure_ascii=False))
        return
    if not rows:
        click.echo(f"Nothing of {name}/{table} is held on these days.")
        return
    from rich.console import Console
    from rich.table import Table

    made = Table("day", "rules", "row", "held by", "run", "since", show_edge=False, show_lines=True)
    for row in rows[:SHOWN]:
        values = ", ".join(f"{column}={value}" for column, value in row.row.items() if value is not None)
        by, when = f"{row.contract} {row.version}", (row.time or "")[:16]
        made.add_row(row.day or "", "\n".join(row.rules), values, by, (row.run or "")[:8], when)
    Console(width=140).print(made)
    click.echo(f"{min(SHOWN, len(rows))} of {len(rows)} held rows. All of them, in full: add --json.")
