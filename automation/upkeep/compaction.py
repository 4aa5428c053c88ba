"""Compaction: the small files of a day become one, and the log begins with a checkpoint. No row changes.

It is one commit of Delta's, beside which runs go on: what it collides with wins, and it is done the next time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from deltalake.exceptions import CommitFailedError

from automation.lakehouse import DAY
from automation.upkeep.storage import Storage, storage

if TYPE_CHECKING:
    from automation.lakehouse import Lakehouse


@dataclass(frozen=True)
class Compacted:
    """What compacting a table came to. ``busy`` says that a run wrote it at the same time and nothing was done."""

    table: str
    before: Storage
    after: Storage
    busy: bool = False


def compact(lake: Lakehouse, workload: str, table: str, *, dry_run: bool = False) -> Compacted:
    """Makes one file of each day's, where a day has several."""
    opened = lake.opened(workload, table)
    before = storage(opened)
    busy = False
    if not dry_run and scattered(pl.DataFrame(opened.get_add_actions(flatten=True))):
        try:
            opened.optimize.compact()
            opened.create_checkpoint()
        except CommitFailedError:
            busy = True
    return Compacted(table, before, storage(lake.opened(workload, table)), busy)


def scattered(actions: pl.DataFrame) -> bool:
    """Whether some day, or a table without days, has several files."""
    partition = f"partition.{DAY}"
    if partition not in actions.columns:
        return actions.height > 1
    return actions.height > actions[partition].n_unique()
