"""Reading Delta tables: the rows that may lie within bounds of time, as Arrow, with no file opened in vain."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from feature_repo.offline_store.errors import TableColumnsError

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Delta truncates the statistics of timestamps to milliseconds, so a file's maximum may lie above the one
# it states. Files are chosen with this much to spare; the join then decides to the microsecond.
_STATISTICS_MARGIN = 1_000_000


def scan(
    table: DeltaTable,
    columns: list[str],
    name: str,
    since: dict[str, int | None],
    until: dict[str, int | None],
) -> pa.Table:
    """The `columns` of the rows that may lie in the bounds; files that cannot hold any are not opened.

    Args:
        name: who asks, for the error.
        since, until: bounds of timestamp columns in microseconds since the epoch; None is no bound. Rows up to
            a second outside of them may come back too.

    Raises:
        TableColumnsError: a column is missing, or a bounded one holds no timestamps.
    """
    schema = arrow_schema(table)
    check_columns(schema, columns, name, {*since, *until})
    bounds = [
        f"{_quoted(column)} {comparison} to_timestamp_micros({bound + margin})"
        for comparison, margin, limits in (
            (">=", -_STATISTICS_MARGIN, since),
            ("<=", _STATISTICS_MARGIN, until),
        )
        for column, bound in limits.items()
        if bound is not None
    ]
    # Only quoted column names and whole numbers go into the text: DataFusion takes no parameters here.
    query = f"SELECT {', '.join(map(_quoted, columns))} FROM source WHERE {' AND '.join(bounds) or 'TRUE'}"  # noqa: S608
    rows = QueryBuilder().register("source", table).execute(query).read_all()
    return pa.table(rows).cast(pa.schema([schema.field(column) for column in columns])).combine_chunks()


def check_columns(schema: pa.Schema, columns: Iterable[str], name: str, times: Iterable[str]) -> None:
    """Refuses a table that lacks one of ``columns``, or whose ``times`` are none.

    Raises:
        TableColumnsError: in the name of ``name``.
    """
    for column in columns:
        if column not in schema.names:
            raise TableColumnsError(f"{name} needs column {column!r}, which its table does not have.")
    for column in times:
        if not pa.types.is_timestamp(schema.field(column).type):
            raise TableColumnsError(f"{name} needs a timestamp in {column!r}, not {schema.field(column).type}.")


def arrow_schema(table: DeltaTable) -> pa.Schema:
    """The table's columns as pyarrow knows them."""
    return pa.schema(table.schema().to_arrow())


def instants(column: pa.ChunkedArray) -> pa.Array:
    """Microseconds since the epoch; a time without a zone is in UTC. Nanoseconds round down."""
    times = column.combine_chunks().cast(pa.timestamp(column.type.unit))
    if times.type.unit != "ns":
        return times.cast(pa.timestamp("us")).cast(pa.int64())
    nanoseconds = times.cast(pa.int64()).fill_null(0).to_numpy()
    return pa.array(nanoseconds // 1000, mask=times.is_null().to_numpy(zero_copy_only=False))


def microseconds(moment: datetime) -> int:
    """Since the epoch; a time without a zone is in UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def moment(since_epoch: int) -> datetime:
    """The instant that `microseconds` made a number of."""
    return _EPOCH + since_epoch * _MICROSECOND


def struct(columns: list[pa.ChunkedArray]) -> pa.Array:
    """The columns as one."""
    parts = [column.combine_chunks() for column in columns]
    return pa.StructArray.from_arrays(parts, [f"f{index}" for index in range(len(parts))])


def key(columns: list[pa.ChunkedArray], rows: int) -> pa.Array:
    """The join key as one column, null if any part is: two unknown keys are not the same key."""
    if not columns:
        return pa.array([0] * rows, pa.int8())
    parts = [column.combine_chunks() for column in columns]
    if len(parts) == 1:
        return parts[0]
    unknown = np.logical_or.reduce([part.is_null().to_numpy(zero_copy_only=False) for part in parts])
    names = [f"k{index}" for index in range(len(parts))]
    return pa.StructArray.from_arrays(parts, names, mask=pa.array(unknown))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
