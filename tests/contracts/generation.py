"""Contracts of every kind, and rows that break each of their rules, with what they break by definition.

Definitions are in plain Python and, for row rules, in DuckDB: nothing here uses what it is to be compared with.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from re import _constants as constants  # what a parsed pattern is made of
from re import _parser as parser
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl
import yaml
from hypothesis import strategies as st

from contracts.contract import DTYPES, Column, Contract, LogicalType
from contracts.document import load

EARLY, LATE = dt.datetime(1971, 1, 1, tzinfo=dt.UTC), dt.datetime(2090, 1, 1, tzinfo=dt.UTC)
SMALL = 2.0**16
PATTERNS = (
    r"^[A-Z]{3}$",
    r"^\d{4}-\d{2}$",
    r"^(a|bc)+x?$",
    r"^\w+\.\w{2}$",
    r"^[^ab\d]{2}$",
    r"^a|b|\d$",
    r"^P?[0-9]{2,4}$",
)
PRINTABLE = [chr(code) for code in range(33, 127)]
ARABIC_DIGITS = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
ORDERED = (LogicalType.INTEGER, LogicalType.NUMBER, LogicalType.DATE, LogicalType.TIMESTAMP)


# --- Contracts ---------------------------------------------------------------------------------


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """A contract read from a document: some columns of any type with any rules, a key, and row rules."""
    columns = [
        draw(_declared_column(f"c{position}", logical))
        for position, logical in enumerate(draw(st.lists(st.sampled_from(LogicalType), min_size=1, max_size=4)))
    ]
    rules = []
    if draw(st.booleans()):
        logical = draw(st.sampled_from(ORDERED))
        required = draw(st.booleans())
        columns += [{"name": f"{name}st", "logicalType": str(logical), "required": required} for name in ("fir", "la")]
        rules.append(_row_rule("in_order", "first <= last"))
    if draw(st.booleans()):
        columns += [
            {"name": "open", "logicalType": "boolean", "required": draw(st.booleans())},
            {"name": "closed_at", "logicalType": "timestamp"},
        ]
        rules.append(_row_rule("closed_if_not_open", "open = (closed_at IS NULL)"))
    key = {"name": "id", "logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 1}
    if draw(st.booleans()):
        columns.insert(draw(st.integers(0, len(columns))), key)
        if draw(st.booleans()):
            second = next(column for column in columns if column is not key)
            second |= {"primaryKey": True, "primaryKeyPosition": 2}
    return read(columns, rules)


def read(columns: list[dict[str, Any]], rules: list[dict[str, Any]]) -> Contract:
    """The contract with these columns and rules, from a document of its own."""
    tree = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "made.table",
        "dataProduct": "made",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "table", "properties": columns, "quality": rules}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.odcs.yaml")
        path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
        return load(path)


def _row_rule(name: str, predicate: str) -> dict[str, Any]:
    return {"type": "custom", "engine": "polars-sql", "name": name, "implementation": predicate}


@st.composite
def _declared_column(draw: st.DrawFn, name: str, logical: LogicalType) -> dict[str, Any]:
    physical = draw(st.sampled_from(sorted(DTYPES[logical])))
    found: dict[str, Any] = {
        "name": name,
        "logicalType": str(logical),
        "physicalType": physical,
        "required": draw(st.booleans()),
    }
    free, rng = Column(name, logical, physical), draw(st.randoms(use_true_random=False))
    values = list(dict.fromkeys(any_value(free, rng) for _ in range(draw(st.integers(1, 3)))))
    match draw(st.sampled_from(["free", "bounded", "enumerated", "patterned"])):
        case "bounded" if logical in ORDERED:
            ends = sorted(values)
            found["logicalTypeOptions"] = {
                name: _written(end)
                for name, end in [("minimum", ends[0]), ("maximum", ends[-1])]
                if len(ends) == 1 or draw(st.booleans())
            }
        case "enumerated":
            found["enum"] = [{"value": _written(value)} for value in values]
        case "patterned" if logical is LogicalType.STRING:
            found["logicalTypeOptions"] = {"pattern": draw(st.sampled_from(PATTERNS))}
    return found


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


# --- Values ------------------------------------------------------------------------------------


def any_value(column: Column, rng: Random) -> Any:
    """Some value of the column's type, whatever its rules."""
    match column.type:
        case LogicalType.STRING:
            return "".join(rng.choices("ab zZ09-_.:é\u0663\n", k=rng.randint(0, 4)))
        case LogicalType.BOOLEAN:
            return rng.random() < 0.5
        case _:
            return _between(column, None, None, rng)


def good_value(column: Column, rng: Random) -> Any:
    """A value that keeps every rule of the column; one at a bound as often as not."""
    if column.valid_values:
        return rng.choice(column.valid_values)
    if column.pattern is not None:
        return _matching(column.pattern, rng)
    if column.type not in ORDERED:
        return any_value(column, rng)
    ends = [end for end in (column.minimum, column.maximum) if end is not None]
    if ends and rng.random() < 0.5:
        return _of_type(column, rng.choice(ends))
    return _between(column, column.minimum, column.maximum, rng)


def bad_values(column: Column, rng: Random) -> list[Any]:
    """Values that break the column's rules: each rule at least once where there is such a value of the type."""
    found: list[Any] = [None] if column.required else []
    step = {LogicalType.DATE: dt.timedelta(1), LogicalType.TIMESTAMP: dt.timedelta(microseconds=1)}.get(column.type, 1)
    bounds: list[Any] = [(column.minimum, -1), (column.maximum, 1)]
    found += [_of_type(column, end + sign * step) for end, sign in bounds if end is not None and has_room(column, sign)]
    if column.pattern is not None:
        good = _matching(column.pattern, rng)
        spoiled = [f"{good}\n", good.translate(ARABIC_DIGITS), f" {good}", good + good, any_value(column, rng)]
        found += [value for value in spoiled if breaks(column, value)]
    if column.valid_values:
        tried = [any_value(column, rng) for _ in range(20)]
        found += [value for value in tried if breaks(column, value)][:2]
    if column.type is LogicalType.NUMBER:
        found += [math.nan, math.inf, -math.inf]
    return found


def _of_type(column: Column, value: Any) -> Any:
    """A number with a point where the column has one: 0 and 0.0 are the same value and not the same JSON."""
    return float(value) if column.type is LogicalType.NUMBER else value


def _between(column: Column, low: Any, high: Any, rng: Random) -> Any:
    match column.type:
        case LogicalType.INTEGER:
            held = np.iinfo(column.physical_type)
            return rng.randint(int(held.min) if low is None else low, int(held.max) if high is None else high)
        case LogicalType.NUMBER:
            # Eighths, which 32 bits hold exactly, unless the bounds leave no room for them.
            least, most = -SMALL if low is None else float(low), SMALL if high is None else float(high)
            eighths = math.ceil(least * 8), math.floor(most * 8)
            return rng.randint(*eighths) / 8 if eighths[0] <= eighths[1] else least
        case LogicalType.DATE:
            first, last = (low or EARLY.date()).toordinal(), (high or LATE.date()).toordinal()
            return dt.date.fromordinal(rng.randint(first, last))
        case _:
            start, end = low or EARLY, high or LATE
            return start + dt.timedelta(microseconds=rng.randint(0, (end - start) // dt.timedelta(microseconds=1)))


def _matching(pattern: str, rng: Random) -> str:
    """A text that the pattern matches, by Python's own parse of it."""
    return "".join(_texts(parser.parse(pattern[1:-1], re.ASCII), rng))


def _texts(parsed: Iterable[tuple[Any, Any]], rng: Random) -> Iterator[str]:
    for operation, body in parsed:
        match str(operation):
            case "LITERAL":
                yield chr(body)
            case "NOT_LITERAL" | "IN":
                members = body if str(operation) == "IN" else [(constants.NEGATE, None), (constants.LITERAL, body)]
                yield rng.choice(_characters(tuple(members)))
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, again = body
                for _ in range(rng.randint(least, min(int(most), least + 3))):
                    yield from _texts(again, rng)
            case "SUBPATTERN":
                yield from _texts(body[-1], rng)
            case "BRANCH":
                yield from _texts(rng.choice(body[1]), rng)
            case _:
                raise NotImplementedError(f"{operation} in a pattern: teach it here")


@cache
def _characters(members: tuple[tuple[Any, Any], ...]) -> list[str]:
    return [char for char in PRINTABLE if _is_member(char, members)]


def _is_member(char: str, members: Iterable[tuple[Any, Any]]) -> bool:
    """Whether a class such as `[^a-z]`, as parsed, holds the character."""
    ranges = {"CATEGORY_DIGIT": "[0-9]", "CATEGORY_WORD": "[A-Za-z0-9_]"}
    held, negated = False, False
    for operation, body in members:
        match str(operation):
            case "NEGATE":
                negated = True
            case "LITERAL":
                held |= char == chr(body)
            case "RANGE":
                held |= body[0] <= ord(char) <= body[1]
            case _:
                held |= re.match(ranges[str(body)], char) is not None
    return held is not negated


# --- Definitions -------------------------------------------------------------------------------


def breaks(column: Column, value: Any) -> set[str]:
    """The rules of the column that `value` breaks, from the words of the contract."""
    if value is None:
        return {f"{column.name}: required"} if column.required else set()
    if isinstance(value, float) and not math.isfinite(value):
        return {f"{column.name}: finite"}
    found = set()
    if column.minimum is not None and value < column.minimum:
        found.add(f"{column.name}: minimum {column.minimum}")
    if column.maximum is not None and value > column.maximum:
        found.add(f"{column.name}: maximum {column.maximum}")
    if column.pattern is not None and not re.fullmatch(column.pattern[1:-1], value, re.ASCII):
        found.add(f"{column.name}: pattern")
    if column.valid_values and value not in column.valid_values:
        found.add(f"{column.name}: valid values")
    return found


def rules(contract: Contract) -> set[str]:
    """Every rule of the contract that a row can break in rows of its own types."""
    found = {f"row: {rule.name}" for rule in contract.row_rules}
    found |= {"key: duplicate", "key: conflict"} if contract.key else set()
    for column in contract.columns:
        stated = {
            "required": column.required,
            f"minimum {column.minimum}": column.minimum is not None and has_room(column, -1),
            f"maximum {column.maximum}": column.maximum is not None and has_room(column, 1),
            "pattern": column.pattern is not None,
            "valid values": bool(column.valid_values) and {True, False} != set(column.valid_values),
            "finite": column.type is LogicalType.NUMBER,
        }
        found |= {f"{column.name}: {rule}" for rule, there in stated.items() if there}
    return found


def has_room(column: Column, sign: int) -> bool:
    """Whether the type holds a value below (-1) or above (1) the bound: no integer of 8 bits is below -128."""
    if column.type is not LogicalType.INTEGER:
        return True
    held, bound = np.iinfo(column.physical_type), column.minimum if sign < 0 else column.maximum
    assert isinstance(bound, int)
    return bool(held.min <= bound + sign <= held.max)


def frame(rows: list[dict[str, Any]], contract: Contract) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=contract.schema, orient="row")


def by_definition(rows: list[dict[str, Any]], contract: Contract) -> list[set[str]]:
    """The rules that each row breaks."""
    found = [set().union(*(breaks(c, row[c.name]) for c in contract.columns)) for row in rows]
    for rule, broken in _row_rules(rows, contract).items():
        for position in broken:
            found[position].add(f"row: {rule}")
    if contract.key:
        keys = [tuple(row[name] for name in contract.key) for row in rows]
        contents: dict[tuple, list[str]] = {}
        for key, row in zip(keys, rows, strict=True):
            contents.setdefault(key, []).append(repr(sorted(row.items())))
        seen: Counter[tuple] = Counter()
        for position, key in enumerate(keys):
            if None not in key and len(contents[key]) > 1:
                conflict = len(set(contents[key])) > 1
                if conflict or seen[key]:
                    found[position].add("key: conflict" if conflict else "key: duplicate")
            seen[key] += 1
    return found


def _row_rules(rows: list[dict[str, Any]], contract: Contract) -> dict[str, list[int]]:
    """The positions of the rows that break each row rule, as DuckDB reads its predicate."""
    if not contract.row_rules or not rows:
        return {}
    known = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]
    with duckdb.connect() as connection:
        connection.register("made", frame(known, contract).to_arrow())
        chosen = ", ".join(f"({rule.predicate}) IS FALSE" for rule in contract.row_rules)
        told = connection.execute(f"SELECT {chosen} FROM made").fetchall()  # noqa: S608 (the contract's own predicates)
    return {
        rule.name: [position for position, row in enumerate(told) if row[index]]
        for index, rule in enumerate(contract.row_rules)
    }


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (test data)


# --- Rows --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Rows of a contract and the rules that each breaks by definition."""

    contract: Contract
    rows: list[dict[str, Any]]
    broken: list[set[str]]

    @property
    def frame(self) -> pl.DataFrame:
        return frame(self.rows, self.contract)

    def only(self, *positions: int) -> Sample:
        """Some of the rows. What each breaks is decided anew: a row may have been a copy of one left out."""
        rows = [self.rows[position] for position in positions]
        return Sample(self.contract, rows, by_definition(rows, self.contract))


def sample(contract: Contract, rng: Random) -> Sample:
    """Rows among which every rule of the contract is broken, alone and together with others, and clean rows."""
    # Texts that row rules compare with, or none of them would be met by chance.
    told = [text for rule in contract.row_rules for text in re.findall(r"'([^']*)'", rule.predicate)]
    pools: dict[str, list[Any]] = {}
    for column in contract.columns:
        pools[column.name] = [good_value(column, rng) for _ in range(20)]
        pools[column.name] += [text for text in told if column.type is LogicalType.STRING and not breaks(column, text)]
        pools[column.name] += [] if column.required else [None] * 10
    spoiled = {column.name: bad_values(column, rng) for column in contract.columns}
    tries = 6 * (sum(map(len, spoiled.values())) + 30)
    keys = _keys(contract, tries, rng)
    tried = [
        {name: rng.choice(pool) for name, pool in pools.items()} | {name: values[at] for name, values in keys.items()}
        for at in range(tries)
    ]
    tried = [row if rng.random() < 0.2 else _known_soon(_with_wall_clock(row), rng) for row in tried]
    if contract.key:
        tried = list({tuple(row[name] for name in contract.key): row for row in tried}.values())
    verdicts = list(zip(tried, by_definition(tried, contract), strict=True))
    clean = [row for row, broken in verdicts if not broken]
    rows = [row for rule in contract.row_rules for row in [r for r, b in verdicts if f"row: {rule.name}" in b][:4]]
    # Each value takes a clean row of its own, so that the key says nothing more of it.
    for name, values in spoiled.items():
        rows += [clean.pop() | {name: value} for value in values if clean]
    for _ in range(5):
        several = rng.sample(sorted(spoiled), k=min(3, len(spoiled)))
        rows += [clean.pop() | {name: rng.choice(spoiled[name]) for name in several if spoiled[name]}] if clean else []
    if contract.key and len(clean) > 1:
        copied, claimed = clean[0], clean.pop()
        others = [column for column in contract.columns if column.name not in contract.key]
        rows += [copied, claimed, claimed | {column.name: good_value(column, rng) for column in others}]
    rows += clean[:20]
    rng.shuffle(rows)
    return Sample(contract, rows, by_definition(rows, contract))


# A moment, and the columns that say it once more by New York's clock: no chance would make them agree.
WALL_CLOCKS = {
    "event_time": {"observed_date": lambda local: local.date(), "observed_hour": lambda local: local.hour},
    "scheduled_departure": {
        "departure_date": lambda local: local.date(),
        "departure_minute": lambda local: local.hour * 60 + local.minute,
    },
}


def _with_wall_clock(row: dict[str, Any]) -> dict[str, Any]:
    told = {
        name: of(row[instant].astimezone(ZoneInfo("America/New_York")))
        for instant, columns in WALL_CLOCKS.items()
        for name, of in columns.items()
        if name in row and isinstance(row.get(instant), dt.datetime)
    }
    return row | told


def _known_soon(row: dict[str, Any], rng: Random) -> dict[str, Any]:
    """What happened becomes known within some weeks: no two moments of a century lie so close by chance."""
    happened, known = row.get("event_time"), row.get("known_time")
    if not isinstance(happened, dt.datetime) or not isinstance(known, dt.datetime):
        return row
    return row | {"known_time": happened + dt.timedelta(minutes=rng.randint(0, 28 * 24 * 60))}


def _keys(contract: Contract, count: int, rng: Random) -> dict[str, list[Any]]:
    """As many different values of the key's column with the most of them."""
    wide = [contract.column(name) for name in contract.key if not contract.column(name).valid_values]
    wide.sort(key=lambda column: column.type not in (LogicalType.TIMESTAMP, LogicalType.INTEGER))
    if not wide:
        return {}
    column = wide[0]
    match column.type:
        case LogicalType.TIMESTAMP:
            # Near to other instants of the row, or a rule that orders them would hold always or never.
            return {column.name: [_between(column, None, None, rng) for _ in range(count)]}
        case LogicalType.INTEGER:
            return {column.name: list(range(int(column.minimum or 0), int(column.minimum or 0) + count))}
        case _ if column.pattern is None:
            return {column.name: [f"k{each}" for each in range(count)]}
        case _:
            different: dict[str, None] = {}
            while len(different) < count:
                different[_matching(column.pattern, rng)] = None
            return {column.name: list(different)}
