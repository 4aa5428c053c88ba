"""`warrant data history | restore | compact | retain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from automation.errors import WarrantError
from automation.lakehouse import Lakehouse
from automation.options import JSON, WORKLOAD
from automation.policy.activation import authorized
from automation.replay import Platform, alone
from automation.upkeep.compaction import compact as compacting
from automation.upkeep.pins import pins
from automation.upkeep.restores import restore as restoring
from automation.upkeep.restores import restores
from automation.upkeep.retention import KEPT, owner_of
from automation.upkeep.retention import retain as retaining

if TYPE_CHECKING:
    from automation.workload import Workload

DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
TABLE = click.option("--table", help="One table; by default every one, quarantines too.")


class UnknownTableError(WarrantError):
    """The lakehouse has no such table."""


def _opened(name: str) -> tuple[Platform, Workload, Lakehouse]:
    from automation.settings import settings

    platform = Platform(settings())
    return platform, platform.workload(name), Lakehouse(platform.settings.lakehouse)


def _tables(lake: Lakehouse, workload: Workload, table: str | None) -> list[str]:
    there = list(lake.tables(workload.name))
    if table is not None and table not in there:
        raise UnknownTableError(
            f"The lakehouse has no table {workload.name}/{table}.", remedy=f"It has {', '.join(there) or 'none yet'}."
        )
    return there if table is None else [table]


@click.command("history")
@click.argument("table")
@WORKLOAD
@click.option("--limit", default=20, show_default=True, help="So many of the newest versions.")
@JSON
def history(table: str, name: str, limit: int, as_json: bool) -> None:
    """List a table's versions: when each was made, by what, and which are pinned.

    A pinned version is one that a registered model was trained on: retention keeps it readable.

    \b
    Example:
      warrant data history weather --workload flight_disruption
    """
    platform, workload, lake = _opened(name)
    _tables(lake, workload, table)
    pinned = pins(platform.settings, workload, lake).of(table)
    back = {each.to_version: each for each in restores(platform.settings, name) if each.table == table}
    found = [
        {
            "version": int(each["version"]),
            "made": datetime.fromtimestamp(int(each["timestamp"]) / 1000, UTC).isoformat(timespec="milliseconds"),
            "operation": each["operation"],
            "pinned": list(pinned.get(int(each["version"]), ())),
            "restored": None if (done := back.get(int(each["version"]))) is None else f"by {done.by}: {done.reason}",
        }
        for each in lake.opened(name, table).history(limit)
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        why = "; ".join(
            [
                *(f"pinned by {who}" for who in each["pinned"]),
                *([f"gone back to {each['restored']}"] if each["restored"] else []),
            ]
        )
        click.echo(f"{each['version']:>6}  {each['made'][:23].replace('T', ' ')}  {each['operation']:<14} {why}")


@click.command("restore")
@click.argument("table")
@WORKLOAD
@click.option("--to", required=True, help="A version, or an instant (ISO 8601, UTC without a zone): as it was then.")
@click.option("--by", required=True, help="Who restores it.")
@click.option("--reason", required=True, help="Why, in a sentence.")
@JSON
def restore(table: str, name: str, to: str, by: str, reason: str, as_json: bool) -> None:
    """Bring a feed's table, and its quarantine with it, back to a version that was good.

    It is recorded who did it and why. The days that differ are then judged again by the table's own asset, and what
    rests on them is stale: automation, or `warrant replay`, makes it again. Killed anywhere, run it again: it finishes
    what was begun.

    \b
    Example:
      warrant data restore weather --workload flight_disruption --to 11 --by "M. Okafor" --reason "Wrong units."

    Exit code 0: restored. 1: a gate holds a restored day, there is no such version, or the policy in force does not
    let you.
    """
    platform, workload, lake = _opened(name)
    _tables(lake, workload, table)
    authorized(platform.settings, workload, by, "restore_table")
    with alone(platform, workload):
        done = restoring(platform, workload, lake, table, to, by=by, reason=reason, now=datetime.now(UTC))
    days = [day.isoformat() for day in done.restore.days if day is not None]
    if as_json:
        document = {
            "table": table,
            "to_version": done.restore.to_version,
            "version": done.version,
            "days": days,
            "digest": done.digest,
            "stopped": list(done.stopped),
        }
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(
            f"{name}/{table} is what it was at version {done.restore.to_version} (now version {done.version}): "
            + (
                f"{len(days)} days changed, {days[0]} to {days[-1]}."
                if days
                else "no day changed."
                if not done.restore.days
                else "all of it."
            )
        )
        for each in done.stopped:
            click.echo(f"Held: {each}", err=True)
        if done.restore.days:
            click.echo(f"What rests on it is stale: run `warrant replay --workload {name}` for the days decided.")
    if done.stopped:
        raise SystemExit(1)


@click.command("compact")
@WORKLOAD
@TABLE
@DRY_RUN
@JSON
def compact(name: str, table: str | None, dry_run: bool, as_json: bool) -> None:
    """Make one file of the small files of each day. No row changes; runs may go on beside it.

    \b
    Example:
      warrant data compact --workload flight_disruption --dry-run

    Exit code 0: done. 1: a table was written at the same time and was left as it was.
    """
    _, workload, lake = _opened(name)
    found = [compacting(lake, name, each, dry_run=dry_run) for each in _tables(lake, workload, table)]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        for each in found:
            click.echo(
                f"{each.table:<36} {each.before.files:>5} files {each.before.bytes:>12,} bytes -> "
                f"{each.after.files:>5} files {each.after.bytes:>12,} bytes" + (", busy" if each.busy else "")
            )
    if any(each.busy for each in found):
        raise SystemExit(1)


@click.command("retain")
@WORKLOAD
@TABLE
@click.option(
    "--keep", "keep_days", default=KEPT.days, show_default=True, help="Days that every version can be gone back."
)
@DRY_RUN
@JSON
def retain(name: str, table: str | None, keep_days: int, dry_run: bool, as_json: bool) -> None:
    """Remove days whose contract's retention is over, and files that only old versions need.

    A version that a registered model was trained on is kept, and so is everything it needs. Where a decision names a
    model that is not registered any more, nothing is removed.

    \b
    Example:
      warrant data retain --workload flight_disruption --dry-run

    Exit code 0: done. 1: it is not known what is referred to; nothing was removed.
    """
    platform, workload, lake = _opened(name)
    referred = pins(platform.settings, workload, lake)
    found = [
        retaining(
            lake,
            name,
            each,
            owner_of(each, workload.contracts),
            referred.of(each),
            kept=timedelta(days=keep_days),
            dry_run=dry_run,
        )
        for each in _tables(lake, workload, table)
    ]
    if as_json:
        rows = [asdict(each) | {"pinned": {str(v): list(why) for v, why in each.pinned.items()}} for each in found]
        click.echo(json.dumps(rows, indent=2))
        return
    for each in found:
        kept = f", {len(each.pinned)} versions pinned" if each.pinned else ""
        click.echo(
            f"{each.table:<36} {each.days_removed} days ({each.rows_removed:,} rows) and {each.files_removed} files "
            f"{'would go' if dry_run else 'removed'}; "
            f"{each.before.stored_bytes:,} -> {each.after.stored_bytes:,} bytes{kept}"
        )
