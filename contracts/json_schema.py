"""A contract as JSON Schema (draft 2020-12): the promises that one event, a row as a JSON object, can keep alone.

It is an export of the contract, not the whole of it. The key needs the other rows, row rules tie columns together,
and expectations judge whole partitions: those are carried as `x-` annotations that no validator enforces, and named
in `$comment`. What an event passes here, `contracts.enforcement` judges again with the rest.

Three things that the vocabulary leaves open are settled here:

- `pattern` is written in the part of ECMA-262 that engines read alike (`contracts.pattern`).
- A timestamp is an RFC 3339 instant: with an offset, to the microsecond at most. It is stored in UTC.
- Bounds of dates and timestamps are `formatMinimum` and `formatMaximum`, as the ajv validators define them. Where a
  validator ignores those, enforcement after the door still holds.
"""

import datetime as dt
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from contracts.contract import Column, Contract, LogicalType
from contracts.pattern import portable

if TYPE_CHECKING:
    import jsonschema
    from jsonschema.protocols import Validator

    _Errors: TypeAlias = Iterator[jsonschema.ValidationError]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_JSON_TYPES: Mapping[LogicalType, str] = {
    LogicalType.STRING: "string",
    LogicalType.INTEGER: "integer",
    LogicalType.NUMBER: "number",
    LogicalType.BOOLEAN: "boolean",
    LogicalType.DATE: "string",
    LogicalType.TIMESTAMP: "string",
}
_FORMATS = {LogicalType.DATE: "date", LogicalType.TIMESTAMP: "date-time"}
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6}0*)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def schema_id(contract: Contract) -> str:
    """The URI of one version of a contract, e.g. `urn:warrant:contract:flight_disruption:weather:1.0.0`.

    A CloudEvent names it in `dataschema`.
    """
    return f"urn:warrant:contract:{contract.workload}:{contract.name}:{contract.version}"


@lru_cache(maxsize=256)
def event_schema(contract: Contract) -> dict[str, Any]:
    """The JSON Schema of one row of `contract` as a JSON object. Do not change it: it is kept."""
    schema: dict[str, Any] = {
        "$schema": DRAFT,
        "$id": schema_id(contract),
        "title": f"{contract.name} {contract.version}",
        "description": contract.description,
        "$comment": "One row. The key, the row rules and the expectations of the contract are not enforced here.",
        "type": "object",
        "properties": {column.name: _property(column) for column in contract.columns},
        "required": [column.name for column in contract.columns if column.required],
        "additionalProperties": False,
        "x-workload": contract.workload,
        "x-table": contract.name,
        "x-version": contract.version,
        "x-contract-digest": contract.digest,
    }
    if contract.key:
        schema["x-key"] = list(contract.key)
    if contract.row_rules:
        schema["x-row-rules"] = [
            {"name": rule.name, "predicate": rule.predicate, "description": rule.description}
            for rule in contract.row_rules
        ]
    if contract.expectations:
        schema["x-expectations"] = [expectation.name for expectation in contract.expectations]
    return schema


def _property(column: Column) -> dict[str, Any]:
    kind = _JSON_TYPES[column.type]
    found: dict[str, Any] = {"type": kind if column.required else [kind, "null"]}
    if column.description:
        found["description"] = column.description
    if column.type in _FORMATS:
        found["format"] = _FORMATS[column.type]
    found |= _bounds(column)
    if column.pattern is not None:
        found["pattern"] = f"^(?:{portable(column.pattern)})$"
    if column.valid_values:
        found |= _valid_values(column)
    if column.unit:
        found["x-unit"] = column.unit
    return found


def _bounds(column: Column) -> dict[str, Any]:
    """The contract's bounds, and those of an integer's width: what the column cannot hold is no value of it."""
    if column.type in _FORMATS:
        given = {"formatMinimum": column.minimum, "formatMaximum": column.maximum}
        return {keyword: _text(bound) for keyword, bound in given.items() if bound is not None}
    if column.type not in (LogicalType.INTEGER, LogicalType.NUMBER):
        return {}
    found: dict[str, Any] = {}
    if column.type is LogicalType.INTEGER:
        found["minimum"], found["maximum"] = _range(column)
    if column.minimum is not None:
        found["minimum"] = max(found.get("minimum", -math.inf), min(_as_held(column, column.minimum)))
    if column.maximum is not None:
        found["maximum"] = min(found.get("maximum", math.inf), max(_as_held(column, column.maximum)))
    return found


def _range(column: Column) -> tuple[int, int]:
    held = np.iinfo(column.physical_type)
    return int(held.min), int(held.max)


def _as_held(column: Column, value: Any) -> tuple[Any, ...]:
    """A number as it is written, and as a column of 32 bits holds it: an event may say either."""
    if column.dtype == pl.Float32 and value is not None:
        return value, float(np.float32(value))
    return (value,)


def _valid_values(column: Column) -> dict[str, Any]:
    if column.type is LogicalType.TIMESTAMP:
        # An instant has many spellings, so a list of texts would refuse good ones.
        instants = [{"formatMinimum": _text(value), "formatMaximum": _text(value)} for value in column.valid_values]
        return {"anyOf": instants}
    held = (_as_held(column, value) for value in column.valid_values)
    values = list(dict.fromkeys(_text(each) for spellings in held for each in spellings))
    return {"enum": values if column.required else [*values, None]}


def _text(value: Any) -> Any:
    """Dates and instants as RFC 3339, other values as they are."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else value


def instant(text: str) -> dt.datetime:
    """The instant of an RFC 3339 text, in UTC. Raises `ValueError` for any other text, or one without an offset."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is no RFC 3339 instant, e.g. 2024-06-01T12:00:00Z")
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def _day(text: str) -> dt.datetime:
    """The start of the day, in UTC, so that days compare as instants do."""
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is no RFC 3339 date, e.g. 2024-06-01")
    return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), tzinfo=dt.UTC)


_READ: Mapping[str, Callable[[str], dt.datetime]] = {"date": _day, "date-time": instant}


@lru_cache(maxsize=256)
def event_validator(contract: Contract) -> "Validator":
    """A validator of single events that enforces all of `event_schema`: formats, their bounds, whole-value patterns.

    Give it what `json.loads` returns. It says what is wrong in the words of JSON Schema; `broken_rules` in ours.
    """
    import jsonschema

    formats = jsonschema.FormatChecker(formats=())
    for name, read in _READ.items():
        formats.checks(name, raises=ValueError)(_is_read_by(read))
    keywords = {
        "pattern": _pattern,
        "formatMinimum": _limit(operator.lt, "before"),
        "formatMaximum": _limit(operator.gt, "after"),
    }
    strict = jsonschema.validators.extend(jsonschema.Draft202012Validator, keywords)
    schema = event_schema(contract)
    strict.check_schema(schema)
    return strict(schema, format_checker=formats)


def _is_read_by(read: Callable[[str], dt.datetime]) -> Callable[[object], bool]:
    def is_read(value: object) -> bool:
        return not isinstance(value, str) or read(value) is not None

    return is_read


def _pattern(_validator: "Validator", pattern: str, value: object, _schema: Mapping[str, Any]) -> "_Errors":
    """ECMA-262's `$` is the end; Python's also stands before a last line break."""
    import jsonschema

    if isinstance(value, str) and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _limit(is_outside: Callable[[dt.datetime, dt.datetime], bool], where: str) -> Callable[..., "_Errors"]:
    """A keyword that compares what texts mean. A text that means nothing breaks its format, not its bounds."""

    def keyword(_validator: "Validator", bound: str, value: object, _schema: Mapping[str, Any]) -> "_Errors":
        import jsonschema

        read = instant if "T" in bound else _day
        try:
            outside = isinstance(value, str) and is_outside(read(value), read(bound))
        except ValueError:
            outside = False
        if outside:
            yield jsonschema.ValidationError(f"{value!r} is {where} {bound}")

    return keyword


def broken_rules(event: object, contract: Contract) -> list[str]:
    """The sorted names of the rules that `event` breaks, as `contracts.enforcement` names them; none if it passes.

    An event that is no JSON object breaks `event: object`. Of a value of the wrong type nothing else is said. A column
    that need not have a value may be left out.
    """
    if not isinstance(event, dict):
        return ["event: object"]
    rules = {f"{name}: undeclared column" for name in event if name not in contract.schema}
    by_column: dict[str, set[str]] = {}
    for error in event_validator(contract).iter_errors(event):
        if error.absolute_path:
            by_column.setdefault(str(error.absolute_path[0]), set()).add(str(error.validator))
    for column in contract.columns:
        if column.name not in event:
            rules |= {f"{column.name}: missing column"} if column.required else set()
        else:
            broken = by_column.get(column.name, set())
            rules |= {f"{column.name}: {rule}" for rule in _named(column, event[column.name], broken)}
    return sorted(rules)


def _named(column: Column, value: Any, keywords: set[str]) -> set[str]:
    """The rules behind the JSON Schema keywords that `value` of `column` broke."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # A validator passes over NaN, which is JSON to Python alone: it is neither below nor above a bound.
    if column.type is LogicalType.NUMBER and number and not math.isfinite(_held(column, value)):
        return {"finite"}
    if not keywords:
        return set()
    if value is None:
        return {"required"}
    wide = {"minimum", "maximum"} & keywords and column.type is LogicalType.INTEGER and not _fits(column, value)
    if {"type", "format"} & keywords or wide:
        return {f"type {column.type}"}
    named = {
        "minimum": f"minimum {column.minimum}",
        "maximum": f"maximum {column.maximum}",
        "formatMinimum": f"minimum {column.minimum}",
        "formatMaximum": f"maximum {column.maximum}",
        "pattern": "pattern",
        "enum": "valid values",
        "anyOf": "valid values",
    }
    return {named[keyword] for keyword in keywords}


def _held(column: Column, value: int | float) -> float:
    """`value` as the column holds it: infinite where it is too large."""
    try:
        wide = float(value)
    except OverflowError:
        return math.inf
    if column.dtype == pl.Float32:
        with np.errstate(over="ignore"):
            return float(np.float32(wide))
    return wide


def _fits(column: Column, value: int | float) -> bool:
    low, high = _range(column)
    return low <= value <= high
