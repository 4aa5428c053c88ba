"""The rows that features are asked for: given as a frame, as SQL, or as a range of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable

from feature_repo.offline_store.errors import EntityFrameError, EntityQueryError
from feature_repo.offline_store.sources import ViewRead
from feature_repo.offline_store.tables import instants, microseconds, moment, scan

ENTITY_TIMESTAMP = "event_timestamp"
_INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class EntityRows:
    """Rows with the views' join keys and `event_timestamp`, by the time they are wanted."""

    columns: tuple[str, ...]
    batches: Callable[[int | None], Iterator[pa.Table]]
    """At most so many rows at a time (None: all at once), in order, at least one table."""
    bounds: Callable[[], tuple[datetime | None, datetime | None]]
    """The first and the last `event_timestamp`."""


def from_frame(entity_df: pd.DataFrame, reads: Sequence[ViewRead]) -> EntityRows:
    """The rows of a frame. Other columns than the keys and the time come back untouched.

    Raises:
        EntityFrameError: a column is missing, of the wrong type, or named like a feature.
    """
    frame = pa.Table.from_pandas(entity_df, preserve_index=False)
    _check(frame.schema, reads)

    def batches(rows: int | None) -> Iterator[pa.Table]:
        step = rows or max(frame.num_rows, 1)
        return (frame.slice(start, step) for start in range(0, max(frame.num_rows, 1), step))

    return EntityRows(tuple(frame.column_names), batches, lambda: _bounds(frame))


def from_query(sql: str, lakehouse: str, reads: Sequence[ViewRead]) -> EntityRows:
    """The rows of a DuckDB query over the lakehouse's tables, each named by its path, in double quotes.

    `SELECT flight_id, decision_time AS event_timestamp FROM "flight_disruption/cases"`. Without ORDER BY the
    order of the rows is not defined. The query reaches nothing but the lakehouse: no file, no network.

    Raises:
        EntityQueryError: the query cannot be run.
        EntityFrameError: as for a frame.
    """
    with _asked(sql, lakehouse) as rows:
        schema = pa.schema(rows.limit(0).to_arrow_table().schema)
    _check(schema, reads)

    def batches(step: int | None) -> Iterator[pa.Table]:
        with _asked(sql, lakehouse) as rows:
            if step is None:
                yield rows.to_arrow_table()
                return
            nothing = True
            for batch in rows.to_arrow_reader(step):
                nothing = False
                yield pa.Table.from_batches([batch])
            if nothing:
                yield schema.empty_table()

    def bounds() -> tuple[datetime | None, datetime | None]:
        found = [_bounds(batch) for batch in batches(1_000_000)]
        firsts, lasts = [low for low, _ in found if low], [high for _, high in found if high]
        return (min(firsts), max(lasts)) if firsts else (None, None)

    return EntityRows(tuple(schema.names), batches, bounds)


def from_range(start: datetime, end: datetime, reads: Sequence[ViewRead]) -> EntityRows:
    """Every key of which a view has an event in [start, end] that was known by `end`, asked for as of `end`.

    Where views have different keys, the keys a row does not have are null, as in Feast's Spark store. Rows come
    in order of their keys.
    """
    since, until = microseconds(start), microseconds(end)
    names = [*dict.fromkeys(name for read in reads for _, name in read.keys)]

    def keys() -> pa.Table:
        found = []
        for read in reads:
            columns = [column for column, _ in read.keys]
            rows = scan(
                DeltaTable(read.address),
                [*columns, read.event, read.known],
                f"View {read.view!r}",
                since={read.event: since},
                until={read.event: until, read.known: until},
            )
            event, known = instants(rows[read.event]).to_numpy(False), instants(rows[read.known]).to_numpy(False)
            rows = rows.filter(pa.array((event >= since) & (event <= until) & (known <= until))).select(columns)
            # An unknown key is no key.
            found.append(rows.drop_null().rename_columns([name for _, name in read.keys]))
        together = pa.concat_tables([table for table in found if table.num_columns], promote_options="default")
        distinct = together.select(names).group_by(names).aggregate([])
        return distinct.sort_by([(name, "ascending") for name in names])

    def batches(rows: int | None) -> Iterator[pa.Table]:
        # A range of views without keys is one row: what held at its end.
        distinct = keys() if names else None
        count = distinct.num_rows if distinct is not None else 1
        at = pa.array([until] * count, pa.int64()).cast(_INSTANT)
        frame = pa.table({ENTITY_TIMESTAMP: at}) if distinct is None else distinct.append_column(ENTITY_TIMESTAMP, at)
        step = rows or max(count, 1)
        return (frame.slice(first, step) for first in range(0, max(count, 1), step))

    return EntityRows((*names, ENTITY_TIMESTAMP), batches, lambda: (moment(since), moment(until)))


@contextmanager
def _asked(sql: str, lakehouse: str) -> Iterator[duckdb.DuckDBPyRelation]:
    with duckdb.connect(config={"enable_external_access": "false", "lock_configuration": "true"}) as database:
        try:
            for name in sorted(database.get_table_names(sql)):
                address = f"{lakehouse}/{name}"
                if ".." not in name.split("/") and DeltaTable.is_deltatable(address):
                    database.register(name, DeltaTable(address).to_pyarrow_dataset())
            yield database.sql(sql)
        except duckdb.Error as error:
            said = str(error).split("\n\nLINE", maxsplit=1)[0].strip()
            raise EntityQueryError(
                f"The query that shall give entity rows fails: {said}. It is one statement in DuckDB's SQL; a table is "
                'named by its path in the lakehouse, in double quotes: FROM "workload/table".'
            ) from error


def _bounds(frame: pa.Table) -> tuple[datetime | None, datetime | None]:
    at = instants(frame[ENTITY_TIMESTAMP]).drop_null().to_numpy()
    return (moment(int(at.min())), moment(int(at.max()))) if at.size else (None, None)


def _check(schema: pa.Schema, reads: Iterable[ViewRead]) -> None:
    present = set(schema.names)
    needed = {ENTITY_TIMESTAMP} | {name for read in reads for _, name in read.keys}
    if missing := sorted(needed - present):
        raise EntityFrameError(f"The entity frame lacks {', '.join(missing)}.")
    if not pa.types.is_timestamp(schema.field(ENTITY_TIMESTAMP).type):
        raise EntityFrameError(f"`{ENTITY_TIMESTAMP}` must hold timestamps, not {schema.field(ENTITY_TIMESTAMP).type}.")
    for read in reads:
        for _, name in read.features:
            if name in present:
                raise EntityFrameError(
                    f"Feature {name!r} of view {read.view!r} would appear twice: rename the column of the "
                    "entity frame, or ask for full_feature_names."
                )
            present.add(name)
