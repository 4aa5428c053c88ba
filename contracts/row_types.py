"""The types of a row's columns as one line of JSON, so that a row kept as JSON can be read back as it was.

A plain type is a word (`"int64"`, `"datetime[us,America/New_York]"`); one made of others is an object
(`{"list":"float64"}`). Values of Python's own (`"object"`) come back as the text that was kept of them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import polars as pl

_PLAIN: Mapping[str, pl.DataType] = {"object": pl.Object()} | {
    str(dtype).lower(): dtype
    for dtype in (
        *(pl.String(), pl.Boolean(), pl.Binary(), pl.Date(), pl.Time(), pl.Null(), pl.Categorical()),
        *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Int128(), pl.UInt8(), pl.UInt16(), pl.UInt32()),
        *(pl.UInt64(), pl.Float32(), pl.Float64()),
    )
}
_MEASURED = re.compile(r"(datetime|duration|decimal)\[([^,\]]+)(?:,([^\]]+))?\]")


class UnreadableTypeError(ValueError):
    """A kept row names a type that there is not: the quarantine was written by something else."""


def described(schema: Mapping[str, pl.DataType]) -> str:
    """The types by column, in the frame's order.

    >>> described({"a": pl.Int64(), "t": pl.Datetime("us", "UTC"), "l": pl.List(pl.String())})
    '{"a":"int64","t":"datetime[us,UTC]","l":{"list":"string"}}'
    """
    return json.dumps({name: _written(dtype) for name, dtype in schema.items()}, separators=(",", ":"))


def parsed(text: str) -> dict[str, pl.DataType]:
    """The schema that `described` made `text` of."""
    return {name: _read(written) for name, written in json.loads(text).items()}


def _written(dtype: pl.DataType) -> object:
    written: object = str(dtype).lower()
    match dtype:
        case pl.Datetime(time_unit=unit, time_zone=zone):
            written = f"datetime[{unit},{zone}]" if zone else f"datetime[{unit}]"
        case pl.Duration(time_unit=unit):
            written = f"duration[{unit}]"
        case pl.Decimal(precision=precision, scale=scale):
            written = f"decimal[{precision},{scale}]"
        case pl.Array(inner=inner, size=size):
            written = {"array": [_written(inner), size]}  # pyrefly: ignore
        case pl.List(inner=inner):
            written = {"list": _written(inner)}  # pyrefly: ignore
        case pl.Struct(fields=fields):
            written = {"struct": {field.name: _written(field.dtype) for field in fields}}  # pyrefly: ignore
        case pl.Enum(categories=categories):
            written = {"enum": categories.to_list()}
        case pl.Categorical():
            written = "categorical"
        case pl.Object():
            written = "object"
    return written


def _read(written: Any) -> pl.DataType:
    match written:
        case {"list": inner}:
            return pl.List(_read(inner))
        case {"array": [inner, int() as size]}:
            return pl.Array(_read(inner), size)
        case {"struct": dict() as fields}:
            return pl.Struct({str(name): _read(inner) for name, inner in fields.items()})
        case {"enum": list() as categories}:
            return pl.Enum(categories)
    return _PLAIN.get(str(written)) or _measured(str(written))


def _measured(name: str) -> pl.DataType:
    found = _MEASURED.fullmatch(name)
    if found is None:
        raise UnreadableTypeError(f"{name!r} is no type of a row kept as JSON")
    kind, first, second = found.groups()
    if kind == "decimal":
        return pl.Decimal(int(first), int(second))
    return pl.Duration(first) if kind == "duration" else pl.Datetime(first, second)  # pyrefly: ignore
