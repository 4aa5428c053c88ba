"""Rows as canonical JSON: one text for one row, whatever made it.

Keys are sorted, separators are minimal, timestamps are ISO 8601 in UTC, and numbers that JSON
cannot say (NaN and the infinities) are strings.
"""

import datetime as dt
import decimal
import json
import math
from collections.abc import Sequence

import polars as pl


def rows(frame: pl.DataFrame) -> list[str]:
    """Each row of `frame` as one canonical JSON object.

    >>> rows(pl.DataFrame({"b": [1.5, float("nan")], "a": ["x", None]}))
    ['{"a":"x","b":1.5}', '{"a":null,"b":"NaN"}']
    """
    names = sorted(frame.columns)
    columns = [_values(frame[name]) for name in names]
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
    if not columns:
        return ["{}"] * frame.height
    return [encode(dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def _values(series: pl.Series) -> Sequence[object]:
    if isinstance(series.dtype, pl.Datetime):
        zoned = series.dt.convert_time_zone("UTC") if series.dtype.time_zone else series.dt.replace_time_zone("UTC")
        return zoned.dt.to_string("iso:strict").to_list()
    if series.dtype in (pl.String, pl.Boolean, pl.Null) or series.dtype.is_integer():
        return series.to_list()
    return [_plain(value) for value in series.to_list()]


def _plain(value: object) -> object:
    """`value` in the types that JSON has."""
    plain: object = repr(value)
    match value:
        case float() if not math.isfinite(value):
            plain = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case None | bool() | int() | float() | str():
            plain = value
        case dt.datetime():
            zoned = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            plain = zoned.astimezone(dt.UTC).isoformat(timespec="microseconds")
        case dt.date() | dt.time():
            plain = value.isoformat()
        case bytes():
            plain = value.hex()
        case decimal.Decimal() | dt.timedelta():
            plain = str(value)
        case dict():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | pl.Series():
            plain = [_plain(item) for item in value]
    return plain
