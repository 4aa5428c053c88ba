"""The upkeep of every table of a workload: compacted, then retained by its contract's promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.upkeep.compaction import compact
from automation.upkeep.pins import pins
from automation.upkeep.retention import KEPT, owner_of, retain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from automation.lakehouse import Lakehouse
    from automation.settings import Settings
    from automation.upkeep.storage import Storage
    from automation.workload import Workload


@dataclass(frozen=True)
class Kept:
    """What upkeep came to for one table."""

    table: str
    before: Storage
    after: Storage
    busy: bool
    days_removed: int
    files_removed: int
    pinned: Mapping[int, tuple[str, ...]]


def keep(settings: Settings, workload: Workload, lake: Lakehouse, kept: timedelta = KEPT) -> Iterator[Kept]:
    """Every table in turn. Raises `UnknownReferenceError` before anything is removed."""
    referred = pins(settings, workload, lake)
    for table in lake.tables(workload.name):
        done = compact(lake, workload.name, table)
        contract = owner_of(table, workload.contracts)
        left = retain(lake, workload.name, table, contract, referred.of(table), kept=kept)
        yield Kept(table, done.before, left.after, done.busy, left.days_removed, left.files_removed, left.pinned)
