"""The point-in-time join: for each entity row, of each view, the row that could be seen at its time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from feature_repo.offline_store.entity_rows import ENTITY_TIMESTAMP
from feature_repo.offline_store.errors import EntityFrameError
from feature_repo.offline_store.sources import ViewRead
from feature_repo.offline_store.tables import instants, key, scan, struct

# Opening a table waits on its log more than it computes.
_READERS = 4


def join(frame: pa.Table, reads: Sequence[ViewRead]) -> pa.Table:
    """`frame` with the features of each view, as they were known at each row's `event_timestamp`."""
    at = instants(frame[ENTITY_TIMESTAMP])
    times = at.drop_null().to_numpy()
    # Without any time nothing is found, whatever is read, yet the types of the features are still owed.
    first, last = (int(times.min()), int(times.max())) if times.size else (0, 0)
    with duckdb.connect() as database, ThreadPoolExecutor(_READERS) as readers:
        addresses = sorted({read.address for read in reads})
        tables = dict(zip(addresses, readers.map(DeltaTable, addresses), strict=True))

        def features(read: ViewRead) -> list[pa.Array]:
            since = None if read.ttl is None else first - read.ttl
            source = rows_of(tables[read.address], read, since=since, until=last)
            keys = frame.select([name for _, name in read.keys])
            with database.cursor() as connection:
                positions = visible_rows(connection, source, read, keys, at)
            return [source[column].combine_chunks().take(positions) for column, _ in read.features]

        result = frame
        for read, columns in zip(reads, readers.map(features, reads), strict=True):
            for (_, name), column in zip(read.features, columns, strict=True):
                result = result.append_column(name, column)
    return result


def rows_of(table: DeltaTable, read: ViewRead, since: int | None, until: int) -> pa.Table:
    """The rows of a view with an event from `since` that were known by `until`, in microseconds."""
    return scan(
        table,
        read.columns,
        f"View {read.view!r}",
        since={read.event: since},
        until={read.event: until, read.known: until},
    )


def visible_rows(
    connection: duckdb.DuckDBPyConnection, source: pa.Table, read: ViewRead, keys: pa.Table, at: pa.Array
) -> pa.Array:
    """For each of `keys` at its time, the position in `source` of the row to use, or null."""
    names = [column for column, _ in read.keys]
    connection.register(
        "source",
        pa.table(
            {
                "key": key([source[name] for name in names], source.num_rows),
                "event": instants(source[read.event]),
                "known": instants(source[read.known]),
                "position": np.arange(source.num_rows),
                "payload": struct([source[name] for name in read.payload]),
            }
        ),
    )
    try:
        typed = [column.cast(source.schema.field(name).type) for column, name in zip(keys.columns, names, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise EntityFrameError(f"The join keys of view {read.view!r} do not fit its table: {error}") from error
    connection.register(
        "cases",
        pa.table({"key": key(typed, len(at)), "at": at, "position": np.arange(len(at))}),
    )
    found = connection.sql(query("point_in_time.sql"), params={"ttl": read.ttl}).to_arrow_table()
    return found["position"].combine_chunks()


@cache
def query(name: str) -> str:
    """The text of one of this package's SQL files."""
    return files("feature_repo.offline_store").joinpath(name).read_text("utf-8")
