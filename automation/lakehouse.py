"""The Delta tables: where they lie, how a day of one is replaced, read and compared.

A daily table is partitioned by ``day``. A write replaces whole days in one commit, so that a run that is killed
leaves a day as it was or as it shall be, and running it again gives the same table.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from automation.engines.engine import Files, UnreadableTableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from automation.calendar import Days

DAY = "day"
# The last version of Delta's reader protocol that knows neither deletion vectors nor mapped columns.
FILES_ALONE = 1
QUARANTINE_SUFFIX = "__quarantine"
# What a quarantine says of how a row came to be there, not of the row: no part of the table's content.
PROVENANCE = ("run", "time", "since", "until")
# A table is opened in some ten milliseconds after a checkpoint of its log, and a day makes one commit.
# Its log stays: a version that somebody refers to can be read for as long as its files are there.
TABLE_CONFIGURATION = {"delta.checkpointInterval": "10", "delta.logRetentionDuration": "interval 36500 days"}


def quarantine_of(table: str) -> str:
    """The name of the sibling table of the rows of ``table`` that broke its contract."""
    return f"{table}{QUARANTINE_SUFFIX}"


@dataclass(frozen=True)
class Lakehouse:
    """The Delta tables under one folder or object store URL, each at ``<workload>/<table>``."""

    url: str

    def location(self, workload: str, table: str) -> str:
        return f"{self.url}/{workload}/{table}"

    def exists(self, workload: str, table: str) -> bool:
        return DeltaTable.is_deltatable(self.location(workload, table))

    def version(self, workload: str, table: str) -> int:
        """The version of the table's newest commit."""
        return self._open(workload, table).version()

    def replace_days(
        self,
        workload: str,
        table: str,
        frame: pl.DataFrame,
        days: Days,
        revisions: Mapping[date | None, int] | None = None,
    ) -> int:
        """Replaces ``days`` of a daily table by ``frame``, in one commit. Returns the table's new version.

        ``frame`` has a column ``day`` (date) whose values all lie in ``days``. Days without rows become empty. A column
        that the table lacks is added to it. The commit carries the days' new ``revisions``, if any are given.
        """
        outside = frame.filter(~pl.col(DAY).is_between(days.first, days.last)).height
        if outside:
            raise ValueError(f"{outside} rows of {workload}/{table} lie outside the days {days.first} to {days.last}.")
        location = self.location(workload, table)
        data = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        says = _transactions(revisions)
        if not self.exists(workload, table):
            write_deltalake(
                location,
                data,
                mode="overwrite",
                partition_by=[DAY],
                configuration=TABLE_CONFIGURATION,
                commit_properties=says,
            )
        elif data.num_rows == 0 and says is None:
            # Commits nothing where there is nothing to delete, so it cannot be trusted with a revision.
            self._open(workload, table).delete(_predicate(days))
        else:
            write_deltalake(
                location,
                data,
                mode="overwrite",
                schema_mode="merge",
                partition_by=[DAY],
                predicate=_predicate(days),
                commit_properties=says,
            )
        return self.version(workload, table)

    def replace(
        self, workload: str, table: str, frame: pl.DataFrame, revisions: Mapping[date | None, int] | None = None
    ) -> int:
        """Replaces a static table, one that has no days. Returns its new version."""
        write_deltalake(
            self.location(workload, table),
            frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
            mode="overwrite",
            schema_mode="overwrite",
            configuration=None if self.exists(workload, table) else TABLE_CONFIGURATION,
            commit_properties=_transactions(revisions),
        )
        return self.version(workload, table)

    def revisions(self, workload: str, table: str, days: Iterable[date | None]) -> dict[date | None, int]:
        """The newest revision that a commit gave each of ``days`` (None: the whole table); 0 where none did."""
        if not self.exists(workload, table):
            return dict.fromkeys(days, 0)
        opened = self._open(workload, table)
        return {day: opened.transaction_version(_application(day)) or 0 for day in days}

    def read(
        self, workload: str, table: str, days: Days | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of ``days`` (all, if none are given), in no particular order."""
        # Polars prunes by the log's partition values in milliseconds; a pyarrow dataset takes most of a second.
        rows = pl.scan_delta(self.location(workload, table))
        if days is not None:
            rows = rows.filter(pl.col(DAY).is_between(days.first, days.last))
        return (rows if columns is None else rows.select(columns)).collect()

    def files(self, workload: str, table: str, days: Days | None = None) -> Files:
        """The Parquet files that hold the rows of ``days`` (all, if none are given) at the table's newest version.

        The column ``day`` is in the files' paths, not in the files.

        Raises:
            UnreadableTableError: the files alone do not tell what the table holds. None of ours is so.
        """
        opened = self._open(workload, table)
        if (needed := opened.protocol().min_reader_version) > FILES_ALONE:
            raise UnreadableTableError(
                f"{workload}/{table} needs version {needed} of Delta's reader protocol: its Parquet files alone do not "
                "tell what it holds, because of deletion vectors or renamed columns.",
                remedy="Write the table anew without these features, or compute on duckdb.",
            )
        schema = pl.scan_delta(opened).collect_schema()
        if days is None or DAY not in schema:
            return Files(tuple(sorted(opened.file_uris())), schema)
        lie = [(DAY, ">=", days.first.isoformat()), (DAY, "<=", days.last.isoformat())]
        return Files(tuple(sorted(opened.file_uris(lie))), schema)

    def columns(self, workload: str, table: str) -> list[str]:
        """The names of a table's columns."""
        return [field.name for field in self._open(workload, table).schema().fields]

    def opened(self, workload: str, table: str, version: int | None = None) -> DeltaTable:
        """The table as Delta has it, for its upkeep."""
        return DeltaTable(self.location(workload, table), version=version)

    def at(self, workload: str, table: str, version: int) -> pl.DataFrame:
        """All rows of a version."""
        return pl.scan_delta(self.location(workload, table), version=version).collect()

    def remove_days(self, workload: str, table: str, days: Days) -> None:
        """Removes the rows of ``days`` in one commit."""
        self._open(workload, table).delete(_predicate(days))

    def newest(
        self, workload: str, table: str, days: Days, columns: Sequence[str], *, unless: int | None = None
    ) -> tuple[pl.DataFrame, int]:
        """The rows of ``days``, or of the whole of a table without days, and the table's version, opened once.

        No rows where a table without days still has the version ``unless``, or where there is no table (version -1).
        """
        if not self.exists(workload, table):
            return pl.DataFrame(), -1
        opened = self._open(workload, table)
        version = opened.version()
        rows = pl.scan_delta(opened)
        if DAY in (field.name for field in opened.schema().fields):
            rows = rows.filter(pl.col(DAY).is_between(days.first, days.last))
        elif version == unless:
            return pl.DataFrame(), version
        return rows.select(columns).collect(), version

    def counts(self, workload: str, table: str, days: Days | None = None) -> dict[date, int]:
        """Rows by day, read from the table's log alone. Days without rows are left out."""
        if not self.exists(workload, table):
            return {}
        actions = pl.DataFrame(self._open(workload, table).get_add_actions(flatten=True))
        by_day = actions.group_by(pl.col(f"partition.{DAY}").cast(pl.Date)).agg(pl.col("num_records").sum())
        return {day: int(rows) for day, rows in sorted(by_day.iter_rows()) if days is None or day in days}

    def tables(self, workload: str) -> Iterator[str]:
        """The names of a workload's tables on a local lakehouse, in order."""
        from pathlib import Path

        for folder in sorted(Path(self.url, workload).iterdir()):
            if DeltaTable.is_deltatable(str(folder)):
                yield folder.name

    def digest(self, workload: str, table: str, days: Days | None = None) -> str:
        """SHA-256 of the table's content, whatever files hold it: columns by name, rows in order of their values.

        PROVENANCE is no content: which run held a row, and when, differs where the same rows are held again.
        """
        rows = self.read(workload, table, days)
        return digest(rows.drop(PROVENANCE, strict=False) if table.endswith(QUARANTINE_SUFFIX) else rows)

    def _open(self, workload: str, table: str) -> DeltaTable:
        return DeltaTable(self.location(workload, table))


def digest(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's content: the same for the same rows in any order and any chunking."""
    columns = sorted(frame.columns)
    result = hashlib.sha256(json.dumps([(name, str(frame.schema[name])) for name in columns]).encode())
    if frame.height:
        ordered = frame.select(pl.struct(columns).struct.json_encode().alias("row")).sort("row")
        for row in ordered["row"]:
            result.update(row.encode())
            result.update(b"\n")
    return result.hexdigest()


def _transactions(revisions: Mapping[date | None, int] | None) -> CommitProperties | None:
    """Delta's application transactions: they are committed with the data, at once, and kept by every checkpoint."""
    if not revisions:
        return None
    return CommitProperties(app_transactions=[Transaction(_application(day), n) for day, n in revisions.items()])


def _application(day: date | None) -> str:
    return "revision" if day is None else f"revision of {day.isoformat()}"


def _predicate(days: Days) -> str:
    return f"{DAY} >= '{days.first.isoformat()}' AND {DAY} <= '{days.last.isoformat()}'"
