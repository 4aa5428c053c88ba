"""Where every row went: valid or quarantined, by table and by rule. Law 4, counted over whatever days there are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from automation.calendar import Days
from automation.lakehouse import Lakehouse
from automation.options import DATE, WORKLOAD
from automation.quarantine import held as held_rows
from automation.replay import Platform
from automation.scorecard import quarantined_by_rule
from automation.workload import Delivery

if TYPE_CHECKING:
    from automation.workload import Workload


@dataclass(frozen=True)
class TableCount:
    """Rows of one table over some days: ``rows`` is valid plus quarantined."""

    table: str
    contract: str
    days: int
    rows: int
    valid: int
    quarantined: int
    by_rule: dict[str, int]


def count(lake: Lakehouse, workload: Workload, days: Days) -> list[TableCount]:
    """Counts every table of the workload that has a contract and exists."""
    rules = quarantined_by_rule(lake, workload, days)
    whole = {feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.WHOLE}
    result = []
    for table, contract in workload.contracts.items():
        if not lake.exists(workload.name, table):
            continue
        # Not from the log alone: a run that was cut off may have left rows that are not held, or not any more.
        held = held_rows(lake, workload.name, table, None if table in whole else days).height
        if table in whole:
            valid, covered = lake.read(workload.name, table, columns=list(contract.schema)[:1]).height, 0
        else:
            by_day = lake.counts(workload.name, table, days)
            valid, covered = sum(by_day.values()), len(by_day)
        result.append(
            TableCount(
                table, f"{contract.name} {contract.version}", covered, valid + held, valid, held, rules.get(table, {})
            )
        )
    return result


@click.command("counts")
@WORKLOAD
@click.option("--from", "first", type=DATE, help="First day; by default the calendar's first.")
@click.option("--to", "last", type=DATE, help="Last day; by default the calendar's last.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(name: str, first, last, as_json: bool) -> None:
    """Count the rows of every table: valid, quarantined, and by the rule they broke.

    \b
    Example:
      warrant contract counts --workload flight_disruption --json
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    covered = workload.calendar.days()
    days = Days(first.date() if first else covered.first, last.date() if last else covered.last)
    counted = count(Lakehouse(platform.settings.lakehouse), workload, days)
    if as_json:
        click.echo(json.dumps([asdict(table) for table in counted], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    made = Table("table", "contract", "days", "rows", "valid", "quarantined", "rules broken", show_edge=False)
    for row in counted:
        broken = ", ".join(f"{rule} ({n:,})" for rule, n in row.by_rule.items())
        made.add_row(
            row.table, row.contract, f"{row.days:,}", f"{row.rows:,}", f"{row.valid:,}", f"{row.quarantined:,}", broken
        )
    Console(width=120).print(made)
