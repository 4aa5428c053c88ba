"""Rows as canonical JSON, one text for one row, whatever made it; and back again.

Keys are sorted, separators are minimal, timestamps are ISO 8601 in UTC, durations are microseconds, bytes are
hexadecimal, and numbers that JSON cannot say (NaN and the infinities) are strings. With the types of the columns
(`contracts.row_types`) the text gives the row back as it was, down to microseconds.
"""

import contextlib
import datetime as dt
import decimal
import json
import math
from collections.abc import Mapping, Sequence

import polars as pl

# Types whose values are read as they are, and those whose values may be spelt as texts.
AS_READ = (
    *(pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null),
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
)
RESTORED_FROM_TEXT = (pl.Float64, pl.Datetime, pl.Date, pl.Time, pl.Binary)


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
    if series.dtype == pl.Float64 and series.is_finite().all():
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
        case decimal.Decimal():
            plain = str(value)
        case dt.timedelta():
            plain = value // dt.timedelta(microseconds=1)
        case dict():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | pl.Series():
            plain = [_plain(item) for item in value]
    return plain


def frame(texts: Sequence[str], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The frame of which `rows` made `texts`, in the types and the order of `schema`.

    >>> frame(['{"a":null,"b":"NaN"}'], {"b": pl.Float64(), "a": pl.String()}).rows()
    [(nan, None)]
    """
    read = _read(texts, schema)
    columns = [
        pl.Series(name, _all_restored([row.get(name) for row in read], dtype), dtype=dtype)
        for name, dtype in schema.items()
    ]
    # A frame without columns still has its rows.
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=len(read))


def _read(texts: Sequence[str], schema: Mapping[str, pl.DataType]) -> list[dict]:
    """What the texts say, by the faster reader if what it does otherwise makes no difference to these columns: it takes
    an integer of more than 64 bits for a float, which is the same float, or refused as that integer is."""
    if all(isinstance(dtype, (*AS_READ, *RESTORED_FROM_TEXT)) for dtype in schema.values()):
        import orjson

        # It refuses what `json` takes: a literal NaN, half a surrogate pair, a number beyond all floats.
        with contextlib.suppress(orjson.JSONDecodeError):
            return [orjson.loads(text) for text in texts]
    return [json.loads(text) for text in texts]


def _all_restored(values: list, dtype: pl.DataType) -> list:
    """`_restored` of each, without a look at each where none can be another value than it is."""
    if isinstance(dtype, AS_READ) or (isinstance(dtype, pl.Float64) and str not in set(map(type, values))):
        return values
    return [_restored(value, dtype) for value in values]


def _restored(value: object, dtype: pl.DataType) -> object:
    """The Python value that polars takes for a value of `dtype`, from what `_plain` made of it."""
    restored = value
    match value, dtype:
        case str(), pl.Float32() | pl.Float64():
            restored = float(value)
        case str(), pl.Datetime(time_zone=zone):
            instant = dt.datetime.fromisoformat(value)
            restored = instant if zone else instant.replace(tzinfo=None)
        case str(), pl.Date():
            restored = dt.date.fromisoformat(value)
        case str(), pl.Time():
            restored = dt.time.fromisoformat(value)
        case str(), pl.Binary():
            restored = bytes.fromhex(value)
        case str(), pl.Decimal():
            restored = decimal.Decimal(value)
        case int(), pl.Duration():
            restored = dt.timedelta(microseconds=value)
        case list(), pl.List(inner=inner) | pl.Array(inner=inner):
            restored = [_restored(item, inner) for item in value]  # pyrefly: ignore
        case dict(), pl.Struct(fields=fields):
            restored = {field.name: _restored(value.get(field.name), field.dtype) for field in fields}  # pyrefly: ignore
    return restored
