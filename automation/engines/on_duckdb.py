"""DuckDB: in this process, over Arrow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from automation.engines.engine import EngineName, Files

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from duckdb import DuckDBPyConnection
    from ibis.backends.sql.compilers.base import SQLGlotCompiler

    from automation.calendar import Days
    from automation.engines.engine import Input
    from automation.lakehouse import Lakehouse


@dataclass(frozen=True)
class DuckDB:
    """The engine that is always there. It uses the machine's cores and memory and keeps nothing."""

    @property
    def name(self) -> EngineName:
        return EngineName.DUCKDB

    def stored(self, lakehouse: Lakehouse, workload: str, table: str, days: Days | None) -> Input:
        return lakehouse.read(workload, table, days)

    def compiled(self, expression: ir.Table) -> str:
        compiler = _compiler()
        return compiler.to_sqlglot(expression).sql(dialect=compiler.dialect)

    def run(self, sql: str, inputs: Mapping[str, Input]) -> pl.DataFrame:
        with _database(os.getpid()).cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            for name, given in inputs.items():
                frame = read(given) if isinstance(given, Files) else given
                connection.register(name, frame.to_arrow())
            result = pl.DataFrame(connection.sql(sql).to_arrow_table())
        # DuckDB gives instants back in the session's zone, or in none: they are all UTC.
        return result.with_columns(cs.datetime().dt.cast_time_unit("us").dt.convert_time_zone("UTC"))


@cache
def _database(process: int) -> DuckDBPyConnection:  # noqa: ARG001 - a forked process needs threads of its own
    """The process's one database in memory: opening another takes 15 ms. What a cursor registers is its own."""
    import duckdb

    return duckdb.connect()


def read(files: Files) -> pl.DataFrame:
    """The rows of the files. A column that a file lacks is null there."""
    if not files.paths:
        return pl.DataFrame(schema=files.schema)
    return pl.scan_parquet(list(files.paths), schema=files.schema, missing_columns="insert").collect()


@cache
def _compiler() -> SQLGlotCompiler:
    """Ibis's compiler for DuckDB, but that seconds since 1970 are the whole ones that have passed, as on Spark.

    Ibis rounds them to the nearest: of an instant with a fraction no expression could tell whether the second it was
    given lies before it or after. And it has them as 32 bits, which end in 2038.
    """
    import ibis.expr.datatypes as dt
    from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

    class PassedSeconds(DuckDBCompiler):
        __slots__ = ()

        def visit_ExtractEpochSeconds(self, op, *, arg):  # noqa: N802, ARG002 - as Ibis calls it
            return self.cast(self.f.floor(self.f.epoch(arg)), dt.int64)

    return PassedSeconds()
