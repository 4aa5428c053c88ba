"""What a table holds: files and bytes of its newest version, and of all that lies in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.fs
from deltalake.fs import DeltaStorageHandler

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Storage:
    """``files`` and ``bytes`` are the newest version's; ``stored_files`` and ``stored_bytes`` are all data files."""

    files: int
    bytes: int
    stored_files: int
    stored_bytes: int


def storage(table: DeltaTable) -> Storage:
    """Measured on the storage itself, a folder or an object store."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    stored = data_files(table)
    return Storage(actions.height, int(actions["size_bytes"].sum()), len(stored), sum(stored.values()))


def data_files(table: DeltaTable) -> dict[str, int]:
    """The size of every data file in the table's folder, by path."""
    found = pyarrow.fs.PyFileSystem(DeltaStorageHandler.from_table(table._table)).get_file_info(
        pyarrow.fs.FileSelector("", recursive=True)
    )
    return {
        each.path: each.size
        for each in found
        if each.type == pyarrow.fs.FileType.File and each.path.endswith(".parquet") and "_delta_log" not in each.path
    }
