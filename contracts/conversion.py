"""Lossless conversion of a column to the type its contract declares.

A value is converted only if nothing about it is lost or guessed; any other value is a type error of
its row. Accepted: numbers of another width that hold the same value, text that is exactly one value
of the type (decimal numbers, `true` and `false`, ISO 8601 dates and times), whole days as dates,
timestamps of another zone or precision. A timestamp without a zone is taken to be UTC.
"""

import polars as pl

from contracts.contract import UTC_TIMESTAMP, Column, LogicalType

_TIME_FORMATS_WITH_OFFSET = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
_DAY = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}"  # without it, polars takes 24-06-01 for a day of the year 24
_TIME_FORMATS_IN_UTC = (
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
)


def converted(source: pl.DataType, column: Column) -> pl.Expr:
    """The values of `column` as its declared type; null where the value does not convert.

    `source` is the type that the column has in the frame.
    """
    value = pl.col(column.name)
    if source == column.dtype:
        return value
    if isinstance(source, pl.Categorical | pl.Enum):
        value, source = value.cast(pl.String), pl.String()
    result: pl.Expr | None = None
    match column.type:
        case LogicalType.STRING:
            if source == pl.String or source.is_integer():
                result = value.cast(pl.String)
        case LogicalType.INTEGER | LogicalType.NUMBER:
            result = _number(value, source, column.dtype)
        case LogicalType.BOOLEAN:
            if source == pl.String:
                spelling = value.str.to_lowercase()
                result = pl.when(spelling.is_in(["true", "false"])).then(spelling == "true")
            elif source.is_integer():
                result = pl.when(value.is_in([0, 1])).then(value == 1)
        case LogicalType.DATE:
            if source == pl.String:
                result = pl.when(value.str.contains(_DAY)).then(value.str.to_date("%Y-%m-%d", strict=False))
            elif isinstance(source, pl.Datetime):
                result = pl.when(value.dt.time() == pl.time(0)).then(value.dt.date())
        case LogicalType.TIMESTAMP:
            result = _timestamp(value, source)
    return pl.lit(None, dtype=column.dtype).alias(column.name) if result is None else result.alias(column.name)


def _number(value: pl.Expr, source: pl.DataType, target: pl.DataType) -> pl.Expr | None:
    if source in (pl.String, pl.Boolean) or (source.is_float() and target.is_float()):
        return value.cast(target, strict=False)
    if source.is_numeric():
        there = value.cast(target, strict=False)
        return pl.when(there.cast(source, strict=False) == value).then(there)
    return None


def _timestamp(value: pl.Expr, source: pl.DataType) -> pl.Expr | None:
    if source == pl.String:
        offset = [
            value.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
            for form in _TIME_FORMATS_WITH_OFFSET
        ]
        utc = [
            value.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
            for form in _TIME_FORMATS_IN_UTC
        ]
        # A column holds microseconds, and polars would cut what is finer.
        finer = value.str.contains(r"\.[0-9]{6}[0-9]*[1-9]")
        return pl.when(value.str.contains(_DAY) & ~finer).then(pl.coalesce(*offset, *utc))
    if isinstance(source, pl.Datetime):
        zoned = (value if source.time_zone else value.dt.replace_time_zone("UTC")).dt.convert_time_zone("UTC")
        there = zoned.cast(UTC_TIMESTAMP)
        return pl.when(there.dt.cast_time_unit(source.time_unit) == zoned).then(there)
    return None
