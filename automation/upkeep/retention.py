"""Retention: days past the contract's promise go, and old versions that nobody refers to.

A day goes once its contract's `retention` is over, counted back from the table's newest day: a promise is about the
table's own time, and a table that stands still loses nothing. Its quarantine goes by the same promise. A file goes once
no kept version needs it: those of the last days, and those that are pinned (`automation.upkeep.pins`). Logs stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from automation.calendar import Days
from automation.lakehouse import DAY, quarantine_of
from automation.upkeep.storage import Storage, data_files, storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.lakehouse import Lakehouse
    from contracts.contract import Contract

KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Retained:
    """What retention removed of a table: days and their rows, and files; and which versions are pinned by what."""

    table: str
    before: Storage
    after: Storage
    days_removed: int
    rows_removed: int
    files_removed: int
    pinned: Mapping[int, tuple[str, ...]]


def retain(
    lake: Lakehouse,
    workload: str,
    table: str,
    contract: Contract | None,
    pinned: Mapping[int, tuple[str, ...]],
    *,
    kept: timedelta = KEPT,
    dry_run: bool = False,
) -> Retained:
    """Removes what need not be kept of one table. Killed anywhere, it is run again.

    Args:
        contract: the table's; a quarantine's is that of the table it belongs to.
        kept: how far back a version can be gone to, whether it is pinned or not.
    """
    before = storage(lake.opened(workload, table))
    days = past(lake, workload, table, contract)
    rows = sum(days.values())
    if days and not dry_run:
        lake.remove_days(workload, table, Days(min(days), max(days)))
    opened = lake.opened(workload, table)
    # A version that is pinned may have been removed by hand, or never have been: Delta refuses what is not there.
    there = [version for version in sorted(pinned) if version <= opened.version()]

    def vacuum(*, dry_run: bool) -> list[str]:
        return opened.vacuum(
            retention_hours=int(kept.total_seconds() // 3600),
            dry_run=dry_run,
            enforce_retention_duration=False,
            full=True,
            keep_versions=there or None,
        )

    # Delta lists every file that no kept version needs, those that are gone already, too.
    removed = {*vacuum(dry_run=True)} & {*data_files(opened)}
    if removed and not dry_run:
        vacuum(dry_run=False)
    after = storage(lake.opened(workload, table))
    return Retained(table, before, after, len(days), rows, len(removed), {v: pinned[v] for v in there})


def past(lake: Lakehouse, workload: str, table: str, contract: Contract | None) -> dict[date, int]:
    """The days whose promise is over, with their rows."""
    if contract is None or contract.retention is None or DAY not in lake.columns(workload, table):
        return {}
    # The sibling's newest day says nothing of how far the feed is: the table's does.
    owner = contract.name if lake.exists(workload, contract.name) else table
    newest = max(lake.counts(workload, owner), default=None)
    if newest is None:
        return {}
    first = newest - contract.retention
    return {day: rows for day, rows in lake.counts(workload, table).items() if day < first}


def owner_of(table: str, contracts: Mapping[str, Contract]) -> Contract | None:
    """The contract whose promise a table or a quarantine is kept by."""
    return next((found for name, found in contracts.items() if table in {name, quarantine_of(name)}), None)
