"""The values that a column accepts, as a set: is it contained in another column's, and what lies outside?

What a column accepts is what `contracts.enforcement` lets through, conversion included: these
functions evaluate the same expressions. Containment is answered in three ways: a value that shows it
is false, a proof that it is true, or neither. No guess is passed off as an answer.
"""

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from contracts.contract import Bound, Column, LogicalType, Value
from contracts.conversion import converted
from contracts.dataframe_schema import column_rules
from contracts.pattern_samples import samples

_ENUMERABLE = 1000
# Integers up to these hold exactly in the float type.
_EXACT = {"float64": 2**53, "float32": 2**24}
_FLOAT_LIMIT = {"float64": 1.7976931348623157e308, "float32": 3.4028234663852886e38}
_TEXTS = ("a", "", "0", "A", "ø", "a b", "\n", "2020-01-01", "true")


class Containment(StrEnum):
    """Whether one set lies within another."""

    SHOWN = "shown"
    REFUTED = "refuted"
    UNSHOWN = "unshown"


@dataclass(frozen=True)
class Inclusion:
    """The answer, with a value outside the other set where it is refuted (None is a missing value)."""

    containment: Containment
    outside: Value | None = None


def inclusion(writer: Column, reader: Column) -> Inclusion:
    """Whether every value that `writer` accepts is accepted by `reader`, read as the reader's type."""
    values = probes(writer, [reader])
    refused = values.filter(~accepted(values, reader))
    if not refused.is_empty():
        return Inclusion(Containment.REFUTED, refused[0])
    return Inclusion(Containment.SHOWN if _contained(writer, reader) else Containment.UNSHOWN)


def accepted(values: pl.Series, column: Column) -> pl.Series:
    """Which of `values` the column accepts: one Boolean each, never null."""
    given = values.rename(column.name).to_frame()
    read = given.select(converted(values.dtype, column))
    verdict = [rule.keeps.fill_null(value=True) for rule in column_rules(column)]
    if column.dtype.is_float():
        verdict.append(pl.col(column.name).is_finite().fill_null(value=True))
    kept = read.with_columns(pl.all_horizontal(pl.lit(value=True), *verdict).alias("\0kept"))["\0kept"]
    return kept & (read[column.name].is_not_null() | values.is_null())


def probes(column: Column, others: Iterable[Column] = ()) -> pl.Series:
    """Values that `column` accepts, of its own type, plain ones first: all of them if they are few, otherwise those
    at the ends of its set and at the ends of the others'. A column that need not have a value has null, last."""
    finite = _members(column)
    if finite is None:
        candidates = [value for value in _candidates(column, others) if _fits(value, column)]
        finite = pl.Series(column.name, candidates, dtype=column.dtype)
    found = finite.filter(accepted(finite, column))
    if column.dtype != pl.Boolean:
        found = found.unique(maintain_order=True)
    return found if column.required else pl.concat([found, pl.Series(column.name, [None], dtype=column.dtype)])


def is_single(column: Column) -> bool:
    """Whether the column can hold one value only."""
    members = _members(column)
    return column.required and members is not None and members.filter(accepted(members, column)).n_unique() <= 1


def _members(column: Column) -> pl.Series | None:
    """Every value of a column that has few, but for null; None where they are too many to count."""
    if column.valid_values:
        return pl.Series(column.name, column.valid_values, dtype=column.dtype)
    if column.type is LogicalType.BOOLEAN:
        return pl.Series(column.name, [False, True])
    ends = _ends(column)
    match ends:
        case (int(low), int(high)) if column.type is LogicalType.INTEGER and high - low < _ENUMERABLE:
            return pl.Series(column.name, list(range(low, high + 1)), dtype=column.dtype)
        case (dt.date() as low, dt.date() as high) if column.type is LogicalType.DATE:
            days = high.toordinal() - low.toordinal()
            if days < _ENUMERABLE:
                return pl.Series(column.name, [low + dt.timedelta(days=n) for n in range(days + 1)], dtype=pl.Date)
        case (low, high) if low is not None and low == high:
            return pl.Series(column.name, [low], dtype=column.dtype)
    return None


def _ends(column: Column) -> tuple[Bound | None, Bound | None]:
    """The least and the greatest value that bounds and type allow; None where there is no end."""
    low, high = column.minimum, column.maximum
    if column.type is LogicalType.INTEGER:
        least, most = _limits(column.dtype)
        return max(least, low) if isinstance(low, int) else least, min(most, high) if isinstance(high, int) else most
    if column.type is LogicalType.NUMBER:
        limit = _FLOAT_LIMIT[column.physical_type]
        return (
            -limit if low is None else _rounded(column, low),
            limit if high is None else _rounded(column, high),
        )
    return low, high


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest value of an integer type."""
    bits = int(str(dtype).lower().removeprefix("u").removeprefix("int"))
    return (0, 2**bits - 1) if dtype.is_unsigned_integer() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _rounded(column: Column, bound: Bound) -> Bound:
    """A bound as the column's type holds it: that is what values are compared with."""
    return pl.Series([bound], dtype=column.dtype)[0] if column.dtype.is_float() else bound


def _contained(writer: Column, reader: Column) -> bool:
    """Whether it can be proved that the reader accepts every value the writer accepts (probes found none outside)."""
    finite = _members(writer)
    if finite is not None:
        missing = pl.Series(writer.name, [None], dtype=writer.dtype)
        values = finite if writer.required else pl.concat([finite, missing])
        values = values.filter(accepted(values, writer))
        return bool(accepted(values, reader).all())
    if reader.valid_values or not _converts(writer, reader):
        return False
    if reader.pattern is not None and (writer.type is not LogicalType.STRING or writer.pattern != reader.pattern):
        return False
    if reader.minimum is None and reader.maximum is None:
        return True
    low, high = _ends(writer)
    least, most = _ends(reader)
    return (reader.minimum is None or _ordered(least, low)) and (reader.maximum is None or _ordered(high, most))


def _ordered(low: Bound | None, high: Bound | None) -> bool:
    """Whether low <= high, where both are known."""
    return low is not None and high is not None and low <= high  # pyrefly: ignore[unsupported-operation]


def _converts(writer: Column, reader: Column) -> bool:
    """Whether conversion to the reader's type is known to keep every value of an infinite set."""
    if writer.dtype == reader.dtype:
        return True
    low, high = _ends(writer)
    match writer.type, reader.type:
        case LogicalType.INTEGER, LogicalType.INTEGER:
            least, most = _limits(reader.dtype)
            return _ordered(least, low) and _ordered(high, most)
        case LogicalType.INTEGER, LogicalType.NUMBER:
            exact = _EXACT[reader.physical_type]
            return _ordered(-exact, low) and _ordered(high, exact)
        case LogicalType.NUMBER, LogicalType.NUMBER:
            return reader.physical_type == "float64"
        case LogicalType.INTEGER, LogicalType.STRING:
            return True
        case _:
            return False


def _candidates(column: Column, others: Iterable[Column]) -> Iterator[Value]:
    """Values worth trying, of the column's logical type but not necessarily in its set."""
    every = [column, *others]
    match column.type:
        case LogicalType.STRING:
            for each in every:
                yield from (value for value in each.valid_values if isinstance(value, str))
                yield from samples(each.pattern) if each.pattern is not None else ()
            yield from _TEXTS
        case LogicalType.INTEGER:
            yield from (0, 1)
            for each in every:
                for end in (*_numbers(each), *_limits(each.dtype)) if each.dtype.is_integer() else _numbers(each):
                    yield from (math.floor(end), math.floor(end) + 1, math.floor(end) - 1)
            yield from (2**24 + 1, -(2**24) - 1, 2**53 + 1, -(2**53) - 1)
        case LogicalType.NUMBER:
            yield from (0.0, 1.0, 0.5)
            for end in (*(end for each in every for end in _numbers(each)), 2.0**53, *_FLOAT_LIMIT.values()):
                yield from (end, -end, end + 0.5, end - 0.5)
                yield from (math.nextafter(end, math.inf), math.nextafter(end, -math.inf))
        case LogicalType.DATE:
            step = dt.timedelta(days=1)
            bounds = [bound for each in every for bound in (each.minimum, each.maximum) if type(bound) is dt.date]
            yield from _around([*bounds, dt.date(2020, 1, 1)], step)
            yield from (dt.date.min, dt.date.max)
        case LogicalType.TIMESTAMP:
            bounds = [
                bound for each in every for bound in (each.minimum, each.maximum) if isinstance(bound, dt.datetime)
            ]
            yield from _around([*bounds, dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)], dt.timedelta(microseconds=1))
            yield from (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC))


def _numbers(column: Column) -> Iterator[int | float]:
    """The bounds and the listed values of a numeric column; a bound as the column's type holds it, too."""
    for value in (*column.valid_values, column.minimum, column.maximum):
        if isinstance(value, int | float):
            yield value
            if isinstance(rounded := _rounded(column, value), float):
                yield rounded


def _around(instants: Iterable[dt.date], step: dt.timedelta) -> Iterator[dt.date]:
    """Each instant, the one before and the one after, as far as the calendar goes."""
    for instant in instants:
        for move in (dt.timedelta(), step, -step):
            try:
                yield instant + move
            except OverflowError:
                continue


def _fits(value: Value, column: Column) -> bool:
    """Whether the column's type holds `value` exactly enough to be written in it."""
    if column.type is LogicalType.INTEGER:
        low, high = _limits(column.dtype)
        return isinstance(value, int) and low <= value <= high
    if column.type is LogicalType.NUMBER:
        return isinstance(value, int | float) and abs(value) <= _FLOAT_LIMIT[column.physical_type]
    return True
