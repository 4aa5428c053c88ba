"""What an engine is asked for, and what tables are handed to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    import polars as pl

    from automation.calendar import Days
    from automation.lakehouse import Lakehouse


class EngineName(StrEnum):
    """What computes derived tables."""

    DUCKDB = "duckdb"
    SPARK = "spark"


class EngineUnavailableError(WarrantError):
    """The engine that was asked for cannot run here."""


class UnreadableTableError(WarrantError):
    """A Delta table uses a feature that its Parquet files alone do not tell."""


@dataclass(frozen=True)
class Files:
    """A table as the Parquet files that hold it: their addresses, and its columns with their types."""

    paths: tuple[str, ...]
    schema: pl.Schema


# Rows in memory, or where they lie.
Input: TypeAlias = "pl.DataFrame | Files"


class Engine(Protocol):
    """Computes an expression over named tables."""

    @property
    def name(self) -> EngineName: ...

    def stored(self, lakehouse: Lakehouse, workload: str, table: str, days: Days | None) -> Input:
        """The days of a table of the lakehouse (all of it, if none are given), as this engine takes them."""
        ...

    def compiled(self, expression: ir.Table) -> str:
        """The expression in the engine's SQL."""
        ...

    def run(self, sql: str, inputs: Mapping[str, Input]) -> pl.DataFrame:
        """The rows of a compiled expression over tables of these names, in no particular order. Instants are UTC.

        Raises:
            EngineUnavailableError: the engine cannot run here.
        """
        ...
