"""The profile of a day: some hundred numbers that say what a table's day looks like. Pure, all days in one pass.

A measure's name says what it is of and how it is read:

==============================  ==========================================================================
``rows``                        rows, for a day of 24 hours
``hour 07``                     rows whose event lies in that hour of the local day
``COLUMN: missing``             share of nulls
``COLUMN: mean`` and so on      mean, deviation and quantiles of a number
``time of day: mean`` ...       the same of the local minute of the day at which events happen
``ONE to OTHER: mean`` ...      the same of the minutes from one timestamp to the next that is no part of the key
``COLUMN = VALUE``              share of a category, in columns with few of them
``COLUMN: never seen``          share of rows with a value that no day before had; `automation.anomalies.past` adds it
==============================  ==========================================================================

Counts are read as square roots and shares of categories as angles, after which chance alone moves a large and a small
one by about as much. On the day of a clock change, the one before and the one after, the time of day is no measure:
what is planned on one side and happens on the other is an hour off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from automation.lakehouse import DAY
from contracts.contract import LogicalType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from automation.calendar import Calendar, Days
    from contracts.contract import Column, Contract

# Columns with more values a day are keys and fine measurements: which values they have says little.
FEW_VALUES = 128
# Columns with no more values a day have a share for each.
CATEGORIES = 24
QUANTILES = (0.05, 0.5, 0.95)
TIME_OF_DAY, SPAN, MISSING, NEVER_SEEN = "time of day", " to ", ": missing", ": never seen"
NUMERIC = frozenset({LogicalType.INTEGER, LogicalType.NUMBER})
NAMED = frozenset({LogicalType.STRING, LogicalType.BOOLEAN})
# The same day read twice gives the same profile, in whatever order its rows were added up.
DECIMALS = 6


class Kind(StrEnum):
    """How a measure is read."""

    COUNT = "count"
    CATEGORY = "category"
    MISSING = "missing"
    NEVER_SEEN = "never seen"
    NUMBER = "number"


def kind(name: str) -> Kind:
    """How the measure of that name is read."""
    if name == "rows" or name.startswith("hour "):
        return Kind.COUNT
    if " = " in name:
        return Kind.CATEGORY
    if name.endswith(MISSING):
        return Kind.MISSING
    return Kind.NEVER_SEEN if name.endswith(NEVER_SEEN) else Kind.NUMBER


def natural(name: str, value: float) -> float:
    """A measure's value as a person reads it: rows, a share from 0 to 1, the column's own unit."""
    match kind(name):
        case Kind.COUNT:
            return max(0.0, value) ** 2
        case Kind.CATEGORY:
            return math.sin(min(math.pi / 2, max(0.0, value))) ** 2
        case Kind.MISSING | Kind.NEVER_SEEN:
            return min(1.0, max(0.0, value))
    return value


@dataclass(frozen=True)
class Profile:
    """One day. ``values`` has, by column with few of them, each value (as text) with its rows."""

    day: date
    rows: int
    measures: Mapping[str, float]
    values: Mapping[str, Mapping[str, int]]


def profiles(rows: pl.DataFrame, contract: Contract, calendar: Calendar, days: Days) -> list[Profile]:
    """A profile for each of ``days``, of rows that keep the contract and have a ``day``."""
    numbers = _numbers(contract, calendar)
    shapes = {
        shape[DAY]: shape
        for shape in rows.group_by(DAY)
        .agg(
            pl.len().alias("rows"),
            *(pl.col(column.name).is_null().mean().alias(f"{column.name}{MISSING}") for column in contract.columns),
            *(expression for name, value in numbers.items() for expression in _shape(name, value)),
        )
        .iter_rows(named=True)
    }
    hours = _hours(rows, numbers)
    valued = [column.name for column in contract.columns if _has_values(column, contract)]
    categories = {column.name for column in contract.columns if column.type in NAMED}
    values = {name: _values(rows, name) for name in valued}
    made = []
    for day in days:
        shape = shapes.get(day, {"rows": 0})
        few = {name: by_day[day] for name, by_day in values.items() if day in by_day}
        measures = {name: value for name, value in shape.items() if name not in {DAY, "rows"} and value is not None}
        for name in categories & few.keys():
            if len(few[name]) <= CATEGORIES:
                measures |= {
                    f"{name} = {value}": math.asin(math.sqrt(count / shape["rows"]))
                    for value, count in few[name].items()
                }
        measures |= hours.get(day, {})
        if _clocks_change(calendar, day):
            measures = {n: v for n, v in measures.items() if not n.startswith((TIME_OF_DAY, "hour "))}
        measures["rows"] = math.sqrt(shape["rows"] / ((calendar.ends(day) - calendar.begins(day)) / timedelta(days=1)))
        made.append(Profile(day, shape["rows"], {n: round(v, DECIMALS) for n, v in sorted(measures.items())}, few))
    return made


def _numbers(contract: Contract, calendar: Calendar) -> dict[str, pl.Expr]:
    """What is measured as numbers: numeric columns, the time of day of events, the minutes between timestamps."""
    found = {column.name: pl.col(column.name).cast(pl.Float64) for column in contract.columns if column.type in NUMERIC}
    timestamps = [column.name for column in contract.columns if column.type is LogicalType.TIMESTAMP]
    if "event_time" in timestamps:
        local = pl.col("event_time").dt.convert_time_zone(calendar.timezone)
        found[TIME_OF_DAY] = local.dt.hour().cast(pl.Float64) * 60 + local.dt.minute()
    for one, other in pairwise(timestamps):
        # Where a later known time is another row's key, rows are revised: how late says how much was, day by day.
        if other in contract.key:
            continue
        found[f"{one}{SPAN}{other}"] = (pl.col(other) - pl.col(one)).dt.total_seconds() / 60
    return found


def _shape(name: str, value: pl.Expr) -> Iterator[pl.Expr]:
    yield value.mean().alias(f"{name}: mean")
    yield value.std().alias(f"{name}: deviation")
    for quantile in QUANTILES:
        yield value.quantile(quantile).alias(f"{name}: {quantile:.0%}")


def _has_values(column: Column, contract: Contract) -> bool:
    """Whether it may have few values: an instant has not, nor has a key whose values the contract does not list."""
    timed = column.type in {LogicalType.TIMESTAMP, LogicalType.DATE}
    return not timed and (column.name not in contract.key or bool(column.valid_values))


def _values(rows: pl.DataFrame, column: str) -> dict[date, dict[str, int]]:
    """By day, the rows of each value of a column; a day on which it has many is left out."""
    counted = rows.group_by(DAY, column).len().drop_nulls(column).filter(pl.len().over(DAY) <= FEW_VALUES)
    found: dict[date, dict[str, int]] = {}
    for day, value, count in counted.with_columns(pl.col(column).cast(pl.String)).sort(DAY, column).iter_rows():
        found.setdefault(day, {})[value] = count
    return found


def _hours(rows: pl.DataFrame, numbers: Mapping[str, pl.Expr]) -> dict[date, dict[str, float]]:
    """By day, the rows of each hour of the local day in which their event lies."""
    if TIME_OF_DAY not in numbers:
        return {}
    hour = (numbers[TIME_OF_DAY] // 60).cast(pl.Int64).alias("hour")
    found: dict[date, dict[str, float]] = {}
    for day, at, count in rows.group_by(DAY, hour).len().drop_nulls("hour").iter_rows():
        found.setdefault(day, {f"hour {each:02d}": 0.0 for each in range(24)})[f"hour {at:02d}"] = math.sqrt(count)
    return found


def _clocks_change(calendar: Calendar, day: date) -> bool:
    """Whether the clocks change on the day, the one before or the one after."""
    zone = ZoneInfo(calendar.timezone)
    midnights = [calendar.begins(day + timedelta(days=n)).astimezone(zone) for n in (-1, 0, 1, 2)]
    return len({midnight.utcoffset() for midnight in midnights}) > 1
