"""The values that contracts are made of. `contracts.document` reads them from ODCS documents."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import polars as pl

Bound: TypeAlias = int | float | dt.date | dt.datetime
Value: TypeAlias = str | int | float | bool | dt.date | dt.datetime

UTC_TIMESTAMP = pl.Datetime("us", "UTC")


class LogicalType(StrEnum):
    """The ODCS logical types a table may use (nested ones have no row rules, so they are left out)."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


class Severity(StrEnum):
    """What follows when a promise is broken: an ERROR stops what lies downstream, a WARNING is shown."""

    ERROR = "error"
    WARNING = "warning"


class Direction(StrEnum):
    """Which way a value could have been otherwise."""

    EITHER = "either"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True)
class Changeable:
    """That a value could have been otherwise, which way, and in multiples of what: one says 12 minutes, not 12.31.

    What a decision would have been, had a value been another, is asked of such columns only.
    """

    direction: Direction
    step: float

    def __str__(self) -> str:
        return f"{self.direction}, in steps of {self.step:g}"


# The first physical type of each logical type is what a column without `physicalType` gets.
DTYPES: Mapping[LogicalType, Mapping[str, pl.DataType]] = {
    LogicalType.STRING: {"string": pl.String()},
    LogicalType.INTEGER: {
        "int64": pl.Int64(),
        "int32": pl.Int32(),
        "int16": pl.Int16(),
        "int8": pl.Int8(),
        "uint8": pl.UInt8(),
        "uint16": pl.UInt16(),
        "uint32": pl.UInt32(),
        "uint64": pl.UInt64(),
    },
    LogicalType.NUMBER: {"float64": pl.Float64(), "float32": pl.Float32()},
    LogicalType.BOOLEAN: {"boolean": pl.Boolean()},
    LogicalType.DATE: {"date": pl.Date()},
    LogicalType.TIMESTAMP: {"timestamp": UTC_TIMESTAMP},
}


@dataclass(frozen=True)
class Column:
    """What a contract promises about one column.

    `minimum` and `maximum` are inclusive. `required` is true for key columns too. `reason` is a
    phrase in which `{value}` stands for the value, e.g. "gusts of {value} knots". `changeable` is None
    where the value could not have been otherwise.
    """

    name: str
    type: LogicalType
    physical_type: str
    required: bool = False
    minimum: Bound | None = None
    maximum: Bound | None = None
    pattern: str | None = None
    valid_values: tuple[Value, ...] = ()
    description: str = ""
    unit: str | None = None
    reason: str | None = None
    changeable: Changeable | None = None

    @property
    def dtype(self) -> pl.DataType:
        """The polars type that valid rows have."""
        return DTYPES[self.type][self.physical_type]


@dataclass(frozen=True)
class RowRule:
    """A promise that ties columns of one row together, as a SQL boolean expression.

    A row breaks the rule when `predicate` is FALSE. NULL (unknown) keeps it, as in a SQL CHECK
    constraint: whether a value may be missing is for `required` to say.
    """

    name: str
    predicate: str
    description: str = ""


class ExpectationKind(StrEnum):
    """What is measured in one partition."""

    ROW_COUNT = "row_count"
    NULL_SHARE = "null_share"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    DISTINCT_COUNT = "distinct_count"
    STALENESS = "staleness"


@dataclass(frozen=True)
class Expectation:
    """A promise about one partition as a whole: a measure and the bounds it must lie in.

    Units: rows, a share from 0 to 1, the column's own unit, distinct values, or minutes (staleness:
    from the newest known time to the end of the partition's day). A bound that is None does not
    bind; `low_open` and `high_open` say that the bound itself is outside. One of severity WARNING is
    judged and shown, and stops nothing.
    """

    name: str
    kind: ExpectationKind
    column: str | None = None
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    description: str = ""
    severity: Severity = Severity.ERROR


class Compatibility(StrEnum):
    """What a contract's next version owes to the versions before it (the modes of Confluent's Schema Registry).

    BACKWARD: the next version accepts what this one accepts, so readers may move to it first. FORWARD: this version
    accepts what the next one accepts, so writers may move first. FULL: both. TRANSITIVE: not only next to each other,
    but among all versions of one major.
    """

    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def transitive(self) -> bool:
        """Whether it binds all earlier versions of the major, not only the last one."""
        return self.value.endswith("_TRANSITIVE")


@dataclass(frozen=True)
class Contract:
    """A versioned promise about one table. `digest` is the SHA-256 of the document's bytes, in hex.

    `quarantine_limit` is the share of rows (0 to 1) that may be quarantined before the gate fails;
    `timezone` is the IANA zone whose days are the partitions; `retention` is how long rows are kept at
    least, None where nothing is promised. `end_of_support` is the last day on which the table may still
    be read, where an end was announced.
    """

    workload: str
    name: str
    version: str
    status: str
    description: str
    purpose: str
    owners: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    row_rules: tuple[RowRule, ...]
    expectations: tuple[Expectation, ...]
    quarantine_limit: float
    timezone: str
    path: Path
    digest: str
    end_of_support: dt.date | None = None
    compatibility: Compatibility = Compatibility.BACKWARD
    retention: dt.timedelta | None = None

    def __hash__(self) -> int:
        """By the document: contracts are the keys of caches, and hashing every column would be slow."""
        return hash((self.workload, self.name, self.digest))

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> Column:
        """The column called `name`. Raises `KeyError` that lists the columns there are."""
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"{self.name} has no column {name!r}; it has {', '.join(self._by_name)}") from None

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column names and polars types, in the contract's order."""
        return {column.name: column.dtype for column in self.columns}
