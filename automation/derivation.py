"""Runs a workload's Ibis expressions over contract-checked tables, for some days, on DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from automation.lakehouse import DAY

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from automation.calendar import Calendar, Days


@dataclass(frozen=True)
class Window:
    """The instants, in UTC, between which the rows of a derived table shall have become known.

    They are expressions, not values: the same SQL serves every day, and is compiled once.
    """

    begins: ir.TimestampScalar
    ends: ir.TimestampScalar


Derivation = Callable[[Mapping[str, "ir.Table"], Window], "ir.Table"]
# By table: its columns with their types, in order. Hashable, so that what is made of them can be kept.
Schemas = tuple[tuple[str, tuple[tuple[str, pl.DataType], ...]], ...]


def derive(
    function: Derivation, tables: Mapping[str, pl.DataFrame], calendar: Calendar, days: Days, order: Sequence[str]
) -> pl.DataFrame:
    """The rows of ``function``'s table that became known on ``days``, with their ``day``, ordered by ``order``.

    What became known before the calendar begins belongs to its first day. The order makes the result the same
    bytes whatever the number of threads.
    """
    import duckdb

    schemas = {name: tuple(frame.drop(DAY, strict=False).schema.items()) for name, frame in tables.items()}
    sql = _sql(function, tuple(sorted(schemas.items())))
    begins = EARLIEST if days.first == calendar.start else calendar.begins(days.first)
    window = pl.DataFrame(
        {"begins": [begins], "from_day": [calendar.begins(days.first)], "ends": [calendar.ends(days.last)]},
        schema=dict.fromkeys(("begins", "from_day", "ends"), pl.Datetime("us", "UTC")),
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register(WINDOW_TABLE, window.to_arrow())
        for name, frame in tables.items():
            connection.register(name, frame.drop(DAY, strict=False).to_arrow())
        result = pl.DataFrame(connection.sql(sql).to_arrow_table())
    local_day = pl.col("known_time").dt.convert_time_zone(calendar.timezone).dt.date()
    return (
        # DuckDB gives instants back in the session's zone, or in none: they are all UTC.
        result.with_columns(cs.datetime().dt.cast_time_unit("us").dt.convert_time_zone("UTC"))
        .with_columns(pl.max_horizontal(local_day, pl.lit(calendar.start)).alias(DAY))
        .sort(*order, "known_time", nulls_last=True)
    )


@cache
def _sql(function: Derivation, schemas: Schemas) -> str:
    """The function's table as DuckDB's SQL, less the rows outside the window."""
    import ibis

    return str(ibis.to_sql(expression(function, schemas), dialect="duckdb"))


@cache
def expression(function: Derivation, schemas: Schemas) -> ir.Table:
    """The function's table over tables of these schemas, less the rows outside the window."""
    import ibis

    instant = ibis.dtype("timestamp('UTC')")
    asked = ibis.table({"begins": instant, "from_day": instant, "ends": instant}, name=WINDOW_TABLE)
    inputs = {name: ibis.table(ibis.Schema.from_polars(dict(columns)), name=name) for name, columns in schemas}
    table = function(inputs, Window(begins=asked.from_day.as_scalar(), ends=asked.ends.as_scalar()))
    known = (table.known_time >= asked.begins.as_scalar()) & (table.known_time < asked.ends.as_scalar())
    return table.filter(known)


WINDOW_TABLE = "asked_window"
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
