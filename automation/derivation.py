"""Runs a workload's Ibis expressions over contract-checked tables, for some days, on DuckDB or on Spark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from automation.engines.engine import Files
from automation.engines.on_duckdb import DuckDB
from automation.lakehouse import DAY
from automation.workload import Delivery

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from automation.calendar import Calendar, Days
    from automation.engines.engine import Engine, Input
    from automation.lakehouse import Lakehouse
    from automation.workload import DerivedTable, Workload


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
INSTANT = pl.Datetime("us", "UTC")
DUCKDB = DuckDB()


def derive_table(
    engine: Engine, lakehouse: Lakehouse, workload: Workload, table: DerivedTable, days: Days
) -> pl.DataFrame:
    """The rows of one of the workload's derived tables that became known on ``days``, computed by ``engine``.

    Raises:
        EngineUnavailableError: the engine cannot run here.
    """
    _, module = workload.spec.derived_tables[table.table]
    function = getattr(workload.module(module), table.table)
    reach = workload.calendar.within(days.widened(table.lookback_days))
    whole = {feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.WHOLE}
    inputs = {
        name: engine.stored(lakehouse, workload.name, name, None if name in whole else reach) for name in table.reads
    }
    return derive(function, inputs, workload.calendar, days, workload.contract(table.table).key, engine)


def derive(
    function: Derivation,
    tables: Mapping[str, Input],
    calendar: Calendar,
    days: Days,
    order: Sequence[str],
    engine: Engine = DUCKDB,
) -> pl.DataFrame:
    """The rows of ``function``'s table that became known on ``days``, with their ``day``, ordered by ``order``.

    What became known before the calendar begins belongs to its first day. The columns have the expression's types, and
    the order makes the result the same bytes whatever the engine and the number of threads.
    """
    inputs = {name: _without_day(given) for name, given in tables.items()}
    schemas = tuple(sorted((name, tuple(given.schema.items())) for name, given in inputs.items()))
    begins = EARLIEST if days.first == calendar.start else calendar.begins(days.first)
    window = pl.DataFrame(
        {"begins": [begins], "from_day": [calendar.begins(days.first)], "ends": [calendar.ends(days.last)]},
        schema=dict.fromkeys(("begins", "from_day", "ends"), INSTANT),
    )
    result = engine.run(_sql(engine, function, schemas), {**inputs, WINDOW_TABLE: window})
    local_day = pl.col("known_time").dt.convert_time_zone(calendar.timezone).dt.date()
    return (
        result.cast(dict(_types(function, schemas)))  # pyrefly: ignore[bad-argument-type]
        .with_columns(pl.max_horizontal(local_day, pl.lit(calendar.start)).alias(DAY))
        .sort(*order, "known_time", nulls_last=True)
    )


def _without_day(given: Input) -> Input:
    """The rows less the column that says in which partition they lie: no derivation may depend on that."""
    if isinstance(given, Files):
        return Files(given.paths, pl.Schema({name: dtype for name, dtype in given.schema.items() if name != DAY}))
    return given.drop(DAY, strict=False)


@cache
def _sql(engine: Engine, function: Derivation, schemas: Schemas) -> str:
    """The function's table in the engine's SQL, less the rows outside the window."""
    return engine.compiled(expression(function, schemas))


@cache
def _types(function: Derivation, schemas: Schemas) -> tuple[tuple[str, pl.DataType], ...]:
    """The columns' types that the expression says they have; engines may have others in mind."""
    columns = expression(function, schemas).schema().to_polars().items()
    return tuple((name, INSTANT if isinstance(dtype, pl.Datetime) else dtype) for name, dtype in columns)


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
