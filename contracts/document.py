"""Contracts as documents: ODCS 3.2 YAML in, frozen values out.

A contract is a versioned promise about one table. Its document follows the Open Data Contract
Standard (https://bitol-io.github.io/open-data-contract-standard/); `load` reads it and promises that
whatever it returns can be enforced in full. Anything it does not understand, and any quality item
that nothing here enforces, is a `ContractError`: a promise that nobody checks is worse than none.

Conventions on top of the standard
----------------------------------
- One document holds one table, in the file `<table>.odcs.yaml`; `dataProduct` names the workload.
- `logicalTypeOptions`: `minimum` and `maximum` (inclusive) for numbers, dates and timestamps;
  `pattern` for strings, anchored as `^...$` and matched against the whole value (see `contracts.pattern`).
- `enum` lists the valid values.
- `quality` of the table: `library`/`rowCount`; `custom`/`polars-sql` (a row rule);
  `custom`/`greatExpectations` (a promise about a partition).
- `quality` of a column: `library`/`nullValues` in percent, and `custom`/`greatExpectations`.
- `severity` of a promise about a partition: `error` (so if left out) or `warning`, which is shown and
  stops nothing. A row rule has none: a row that breaks it is quarantined.
- `slaProperties`: `latency` on `table.column`, where the column holds known times; `retention` in days or years (of
  365 days): how long rows are kept at least; `endOfSupport`, the last day (ISO date) on which the table may still be
  read.
- `customProperties` of the table: `quarantineLimit` (share of rows, 0 to 1), `timezone` and `compatibility` (what the
  next version owes to this one, see `contracts.compatibility`; BACKWARD unless it says otherwise);
  of a column: `unit`, `reason` and, of numbers, `changeable`: `{direction: either, step: 1}` says that the value could
  have been otherwise, upwards and downwards (or only `up`, only `down`), and in multiples of what.
"""

import datetime as dt
import difflib
import hashlib
import math
import string
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import polars as pl
import yaml

from contracts import location
from contracts.contract import (
    DTYPES,
    Changeable,
    Column,
    Compatibility,
    Contract,
    Direction,
    Expectation,
    ExpectationKind,
    LogicalType,
    RowRule,
    Severity,
    Value,
)
from contracts.pattern import PatternError, portable
from contracts.predicate import PredicateError, parse

__all__ = [
    "Column",
    "Contract",
    "ContractError",
    "Expectation",
    "ExpectationKind",
    "LogicalType",
    "Problem",
    "RowRule",
    "Severity",
    "load",
    "load_folder",
]

if TYPE_CHECKING:
    from open_data_contract_standard.model import (
        DataQuality,
        OpenDataContractStandard,
        SchemaObject,
        SchemaProperty,
        ServiceLevelAgreementProperty,
    )
    from pydantic import BaseModel

_NUMERIC = (LogicalType.INTEGER, LogicalType.NUMBER)
_OPTIONS: Mapping[LogicalType, tuple[str, ...]] = {
    LogicalType.STRING: ("pattern",),
    **dict.fromkeys((*_NUMERIC, LogicalType.DATE, LogicalType.TIMESTAMP), ("minimum", "maximum")),
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document: where, which rule it breaks, and what to change.

    `place` is None until the document's lines are looked up, which `load` does when something is wrong.
    """

    element: str
    broken: str
    fix: str
    place: location.Place | None = None

    def __str__(self) -> str:
        return f"{self.element}: {self.broken}. To fix: {self.fix}."


class ContractError(ValueError):
    """A document that is not an enforceable contract. `problems` holds everything that is wrong with it."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line for each problem, as editors and terminals link them: `file:line: element: what. To fix: how.`"""
        return [f"{self.path}:{p.place.line}: {p}" if p.place else f"{self.path}: {p}" for p in self.problems]

    def located(self, data: bytes) -> "ContractError":
        """The same error with the place of each element in `data`, the document's text, in the order of the lines."""
        if any(problem.place for problem in self.problems):
            return self
        places = location.of_elements([problem.element for problem in self.problems], data)
        found = [replace(problem, place=place) for problem, place in zip(self.problems, places, strict=True)]
        return ContractError(self.path, sorted(found, key=lambda problem: problem.place or location.Place(0, 0)))


def load(path: str | Path) -> Contract:
    """The contract in the ODCS document at `path`.

    Raises `ContractError` naming every element that is wrong, the rule it breaks and the fix.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        raw, model = parsed(path, data)
        reading = Reading(path, list(_unknown_keys(model, raw, "")))
        return reading.contract(model, hashlib.sha256(data).hexdigest())
    except ContractError as error:
        raise error.located(data) from error


def load_folder(folder: str | Path) -> dict[str, Contract]:
    """Every `<table>.odcs.yaml` directly in `folder`, by table name, in the order of the names.

    Raises `ContractError` for a document that is wrong or that is not named for its table.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted(Path(folder).glob("*.odcs.yaml")):
        contract = load(path)
        if (misnamed := misnamed_file(contract)) is not None:
            raise ContractError(path, [misnamed]).located(path.read_bytes())
        contracts[contract.name] = contract
    return contracts


def misnamed_file(contract: Contract) -> Problem | None:
    """What is wrong with the name of the contract's file, which is `<table>.odcs.yaml`."""
    name = contract.path.name
    if name == f"{contract.name}.odcs.yaml":
        return None
    return Problem("schema[0].name", f"{name} holds the table {contract.name}", "rename one of them")


class _UniqueKeys(yaml.CSafeLoader):
    """YAML with the keys of a mapping unique, as its specification asks: PyYAML drops all but the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key.value, str):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands here for the second time", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parsed(path: Path, data: bytes) -> "tuple[dict[str, Any], OpenDataContractStandard]":
    """The tree that the YAML in `data` holds, and the standard's own model of it."""
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    try:
        raw = yaml.load(data, Loader=_UniqueKeys)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        says = getattr(error, "problem", None) or " ".join(str(error).split())
        place = location.of_error(error, data)
        problem = Problem("document", f"it is not YAML: {says}", "correct the syntax", place)
        raise ContractError(path, [problem]) from error
    if not isinstance(raw, dict):
        raise ContractError(path, [Problem("document", "it is not a mapping", "start from an ODCS example")])
    try:
        model = OpenDataContractStandard.model_validate(raw)
    except ValidationError as error:
        problems = [
            Problem(
                _element(issue["loc"]),
                f"ODCS: {issue['msg']} (got {issue['input']!r:.60})",
                _fix(issue["type"]),
            )
            for issue in error.errors()
        ]
        raise ContractError(path, problems) from error
    return raw, model


def _element(location: Iterable[str | int]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).lstrip(".")


def _fix(issue: str) -> str:
    return {
        "string_type": "put the value in quotes",
        "extra_forbidden": "remove it, or correct its spelling",
    }.get(issue, "follow the ODCS 3.2 schema")


def _unknown_keys(model: "BaseModel", raw: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Keys of `raw` that `model` dropped: the standard's model forbids them at the top level only."""
    from pydantic import BaseModel

    fields = {info.alias or name: name for name, info in type(model).model_fields.items()}
    for key, value in raw.items():
        element = f"{where}.{key}".lstrip(".")
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            fix = f"did you mean {near[0]!r}" if near else "remove it"
            yield Problem(element, "ODCS does not define this key", fix)
            continue
        parsed = getattr(model, fields[key])
        if isinstance(parsed, BaseModel) and isinstance(value, dict):
            yield from _unknown_keys(parsed, value, element)
        elif isinstance(parsed, list) and isinstance(value, list):
            for position, (item, raw_item) in enumerate(zip(parsed, value, strict=True)):
                if isinstance(item, BaseModel) and isinstance(raw_item, dict):
                    yield from _unknown_keys(item, raw_item, f"{element}[{position}]")


_TABLE_PROPERTIES = ("quarantineLimit", "timezone", "compatibility")
_COLUMN_PROPERTIES = ("unit", "reason", "changeable")
_END_OF_SUPPORT, _RETENTION = "endOfSupport", "retention"
_OPERATORS = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
_GX_KINDS = {
    "expect_table_row_count_to_be_between": ExpectationKind.ROW_COUNT,
    "expect_column_mean_to_be_between": ExpectationKind.MEAN,
    "expect_column_min_to_be_between": ExpectationKind.MIN,
    "expect_column_max_to_be_between": ExpectationKind.MAX,
    "expect_column_unique_value_count_to_be_between": ExpectationKind.DISTINCT_COUNT,
}
_GX_KWARGS = frozenset({"column", "min_value", "max_value", "strict_min", "strict_max"})
_NUMERIC_KINDS = (ExpectationKind.MEAN, ExpectationKind.MIN, ExpectationKind.MAX)
_MINUTES = {
    "minute": 1.0,
    "minutes": 1.0,
    "min": 1.0,
    "hour": 60.0,
    "hours": 60.0,
    "hr": 60.0,
    "h": 60.0,
    "day": 1440.0,
    "days": 1440.0,
    "d": 1440.0,
}


_DAYS = {"day": 1, "days": 1, "d": 1, "year": 365, "years": 365, "yr": 365, "y": 365}


@dataclass(frozen=True)
class _Range:
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass
class Reading:
    """The reading of one document: it goes on after a problem, so that the author sees all of them.

    What a problem is about is left out of what is read: `contracts.survey` keeps it as text.
    """

    path: Path
    problems: list[Problem] = field(default_factory=list)

    def problem(self, element: str, broken: str, fix: str) -> None:
        self.problems.append(Problem(element, broken, fix))

    def contract(self, model: "OpenDataContractStandard", digest: str) -> Contract:
        for name in ("apiVersion", "kind", "id", "version", "status", "dataProduct"):
            if not getattr(model, name):
                self.problem(name, "it is missing", f"declare {name}")
        if model.apiVersion and model.apiVersion != "v3.2.0":
            self.problem("apiVersion", f"it is {model.apiVersion}", "write the contract for v3.2.0")
        if model.kind and model.kind != "DataContract":
            self.problem("kind", f"it is {model.kind}", "write DataContract")
        tables = model.schema_ or []
        if len(tables) != 1:
            self.problem("schema", f"it holds {len(tables)} tables", "declare exactly one table in a document")
            raise ContractError(self.path, self.problems)
        contract = self.table(model, tables[0], digest)
        if self.problems:
            raise ContractError(self.path, self.problems)
        return contract

    def table(self, model: "OpenDataContractStandard", table: "SchemaObject", digest: str) -> Contract:
        """What the document promises about `table`, as far as it can be enforced; the rest is in `problems`."""
        name = table.name or ""
        if not name:
            self.problem("schema[0].name", "it is missing", "name the table")
        custom = self._custom(
            "customProperties",
            [*(model.customProperties or []), *(table.customProperties or [])],
            _TABLE_PROPERTIES,
        )
        columns: dict[str, Column] = {}
        for position, declared in enumerate(table.properties or []):
            column = self._column(f"{name}.{declared.name or f'properties[{position}]'}", declared)
            if column is None:
                continue
            if column.name in columns:
                self.problem(f"{name}.{column.name}", "the column is declared twice", "remove one of the two")
            columns[column.name] = column
        if not table.properties:
            self.problem(f"{name}.properties", "there are none", "declare the table's columns")
        rules: list[RowRule] = []
        expectations: list[Expectation] = []
        for position, item in enumerate(table.quality or []):
            element = f"{name}.quality[{position}]"
            if item.type == "custom" and item.engine == "polars-sql":
                rules.extend(self._row_rule(element, item, columns, rules))
            else:
                expectations.extend(self._expectation(element, item, columns, None))
        for declared in table.properties or []:
            for position, item in enumerate(declared.quality or []):
                element = f"{name}.{declared.name}.quality[{position}]"
                expectations.extend(self._expectation(element, item, columns, declared.name))
        expectations.extend(
            found
            for position, sla in enumerate(model.slaProperties or [])
            if sla.property not in (_END_OF_SUPPORT, _RETENTION)
            for found in self._latency(f"slaProperties[{position}]", sla, name, columns)
        )
        names = [expectation.name for expectation in expectations]
        for slip in sorted({each for each in names if names.count(each) > 1 or each == "partition"}):
            self.problem(f"{name}.quality", f"the item name {slip!r} is taken", "give each item its own name")
        text = model.description
        return Contract(
            workload=model.dataProduct or "",
            name=name,
            version=model.version or "",
            status=model.status or "",
            description=table.description or (text.usage if text and text.usage else ""),
            purpose=text.purpose if text and text.purpose else "",
            owners=_owners(model),
            columns=tuple(columns.values()),
            key=self._key(name, table.properties or []),
            row_rules=tuple(rules),
            expectations=tuple(expectations),
            quarantine_limit=self._quarantine_limit(custom.get("quarantineLimit", 0.0)),
            timezone=self._timezone(custom.get("timezone", "UTC")),
            path=self.path,
            digest=digest,
            end_of_support=self._end_of_support(model.slaProperties or []),
            compatibility=self._compatibility(custom.get("compatibility", Compatibility.BACKWARD)),
            retention=self._retention(model.slaProperties or [], name),
        )

    def _custom(self, element: str, properties: Sequence[Any], known: Sequence[str]) -> dict[str, Any]:
        """Custom properties by name. Unknown ones are the author's own, unless they look like a slip."""
        found: dict[str, Any] = {}
        folded = {name.lower(): name for name in known}
        for item in properties:
            name = item.property or ""
            if name in found:
                self.problem(f"{element}.{name}", "it is declared twice", "remove one of the two")
            near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.8)
            if name not in known and near:
                self.problem(f"{element}.{name}", "it is not a known property", f"write {folded[near[0]]!r}")
            found[name] = item.value
        return found

    def _quarantine_limit(self, value: object) -> float:
        if not _is_number(value) or not 0.0 <= float(value) <= 1.0:
            self.problem("customProperties.quarantineLimit", f"it is {value!r}", "give a share from 0 to 1")
            return 0.0
        return float(value)

    def _timezone(self, value: object) -> str:
        try:
            zoneinfo.ZoneInfo(str(value))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            self.problem(
                "customProperties.timezone",
                f"{value!r} is no time zone",
                "give an IANA name, e.g. Europe/Oslo",
            )
        return str(value)

    def _compatibility(self, value: object) -> Compatibility:
        try:
            return Compatibility(str(value))
        except ValueError:
            self.problem("customProperties.compatibility", f"it is {value!r}", f"use one of {', '.join(Compatibility)}")
            return Compatibility.BACKWARD

    def _key(self, table: str, properties: Sequence["SchemaProperty"]) -> tuple[str, ...]:
        keyed = [declared for declared in properties if declared.primaryKey]
        for declared in properties:
            if declared.primaryKeyPosition not in (None, -1) and not declared.primaryKey:
                self.problem(
                    f"{table}.{declared.name}.primaryKeyPosition",
                    "the column is not in the primary key",
                    "add `primaryKey: true`, or remove the position",
                )
        positions = [declared.primaryKeyPosition for declared in keyed]
        if len(keyed) == 1 and positions == [None]:
            positions = [1]
        if sorted(position or 0 for position in positions) != list(range(1, len(keyed) + 1)):
            self.problem(
                f"{table}.primaryKeyPosition",
                f"the key's positions are {positions}",
                f"number the key columns 1 to {len(keyed)}",
            )
            return ()
        by_position = sorted(zip(positions, keyed, strict=True), key=lambda pair: pair[0] or 0)
        return tuple(declared.name or "" for _, declared in by_position)

    def _column(self, element: str, declared: "SchemaProperty") -> Column | None:
        if not declared.name:
            self.problem(f"{element}.name", "it is missing", "name the column")
            return None
        try:
            logical = LogicalType(declared.logicalType or "")
        except ValueError:
            self.problem(
                f"{element}.logicalType",
                f"it is {declared.logicalType!r}",
                f"use one of {', '.join(LogicalType)}",
            )
            return None
        physical = (declared.physicalType or next(iter(DTYPES[logical]))).lower()
        if physical not in DTYPES[logical]:
            self.problem(
                f"{element}.physicalType",
                f"{declared.physicalType!r} does not narrow {logical}",
                f"use one of {', '.join(DTYPES[logical])}, or leave it out",
            )
            physical = next(iter(DTYPES[logical]))
        for name in ("unique", "properties", "items", "map", "relationships"):
            if getattr(declared, name):
                self.problem(
                    f"{element}.{name}",
                    "nothing enforces it",
                    "remove it; uniqueness is the table's primaryKey",
                )
        options = self._options(element, logical, declared.logicalTypeOptions or {})
        custom = self._custom(f"{element}.customProperties", declared.customProperties or [], _COLUMN_PROPERTIES)
        return Column(
            name=declared.name,
            type=logical,
            physical_type=physical,
            required=bool(declared.required or declared.primaryKey),
            minimum=options.get("minimum"),
            maximum=options.get("maximum"),
            pattern=options.get("pattern"),
            valid_values=self._valid_values(element, logical, [item.value for item in declared.enum or []]),
            description=declared.description or "",
            unit=self._text(f"{element}.customProperties.unit", custom.get("unit")),
            reason=self._reason(f"{element}.customProperties.reason", custom.get("reason")),
            changeable=self._changeable(f"{element}.customProperties.changeable", logical, custom.get("changeable")),
        )

    def _options(self, element: str, logical: LogicalType, options: Mapping[str, object]) -> dict[str, Any]:
        allowed = _OPTIONS.get(logical, ())
        for name in options:
            if name not in allowed:
                self.problem(
                    f"{element}.logicalTypeOptions.{name}",
                    f"nothing enforces it on a {logical}",
                    f"use {' or '.join(allowed) or 'none'}, or write a row rule (custom, polars-sql)",
                )
        found: dict[str, Any] = {}
        for name in ("minimum", "maximum"):
            if name in allowed and name in options:
                found[name] = self._value(f"{element}.logicalTypeOptions.{name}", logical, options[name])
        low, high = found.get("minimum"), found.get("maximum")
        if low is not None and high is not None and low > high:
            self.problem(
                f"{element}.logicalTypeOptions",
                f"minimum {low} is above maximum {high}",
                "swap or correct them",
            )
        if "pattern" in allowed and "pattern" in options:
            found["pattern"] = self._pattern(f"{element}.logicalTypeOptions.pattern", options["pattern"])
        return found

    def _value(self, element: str, logical: LogicalType, value: object) -> Value | None:
        """`value` as a value of `logical`: YAML gives dates as dates and, quoted, as text."""
        converted: Value | None = None
        match logical, value:
            case (LogicalType.STRING, str()) | (LogicalType.BOOLEAN, bool()):
                converted = value
            case (LogicalType.INTEGER, int()) | (LogicalType.NUMBER, int() | float()) if _is_number(value):
                converted = value
            case ((LogicalType.DATE | LogicalType.TIMESTAMP), _):
                converted = _instant(logical, value)
        if converted is None:
            self.problem(element, f"{value!r} is not a {logical}", f"give a finite value of type {logical}")
        return converted

    def _pattern(self, element: str, pattern: object) -> str | None:
        if not isinstance(pattern, str):
            self.problem(element, f"{pattern!r} is not text", "put the expression in quotes")
            return None
        try:
            pl.Series([""]).str.contains(portable(pattern), strict=True)
        except PatternError as error:
            self.problem(element, error.broken, error.fix)
            return None
        except pl.exceptions.ComputeError as error:
            self.problem(element, f"it does not parse: {' '.join(str(error).split())}", "correct the expression")
            return None
        return pattern

    def _valid_values(self, element: str, logical: LogicalType, values: Sequence[object]) -> tuple[Value, ...]:
        converted = [
            self._value(f"{element}.enum[{position}]", logical, value) for position, value in enumerate(values)
        ]
        return tuple(value for value in converted if value is not None)

    def _text(self, element: str, value: object) -> str | None:
        if value is not None and not isinstance(value, str):
            self.problem(element, f"{value!r} is not text", "put the value in quotes")
            return None
        return value

    def _reason(self, element: str, value: object) -> str | None:
        template = self._text(element, value)
        if template is None:
            return None
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
        except ValueError:
            fields = set()
        if fields != {"value"}:
            self.problem(element, f"{template!r} does not place the value", "write a phrase with {value} in it")
            return None
        return template

    def _changeable(self, element: str, logical: LogicalType, value: object) -> Changeable | None:
        if value is None:
            return None
        if logical not in _NUMERIC:
            self.problem(element, f"a {logical} has no steps", "remove it, or make the column a number")
            return None
        given = value if isinstance(value, dict) else {}
        direction, step = given.get("direction"), given.get("step")
        stepped = _is_number(step) and step > 0 and (logical is LogicalType.NUMBER or float(step).is_integer())
        if set(given) != {"direction", "step"} or direction not in set(Direction) or not stepped:
            whole = "a whole number" if logical is LogicalType.INTEGER else "a number"
            self.problem(
                element,
                f"it is {value!r}",
                f"give {{direction: {' or '.join(Direction)}, step: {whole} above zero}}",
            )
            return None
        return Changeable(Direction(str(direction)), float(step))

    def _row_rule(
        self, element: str, item: "DataQuality", columns: Mapping[str, Column], earlier: Sequence[RowRule]
    ) -> Iterator[RowRule]:
        predicate = item.implementation
        if not item.name or any(rule.name == item.name for rule in earlier):
            self.problem(f"{element}.name", f"it is {item.name!r}", "give each row rule its own name")
            return
        if item.severity not in (None, Severity.ERROR):
            self.problem(
                f"{element}.severity",
                f"a row that breaks the rule is quarantined, and the rule says {item.severity!r}",
                f"remove it, or write a promise about the partition with severity {Severity.WARNING}",
            )
        if not isinstance(predicate, str):
            self.problem(f"{element}.implementation", "it is not a SQL predicate", 'write e.g. "low <= high"')
            return
        try:
            parse(predicate, {name: column.dtype for name, column in columns.items()})
        except PredicateError as error:
            self.problem(
                f"{element} ({item.name})",
                f"the predicate {predicate!r} cannot be enforced: {error}",
                "write a SQL boolean expression over this table's columns",
            )
            return
        yield RowRule(item.name, predicate, item.description or "")

    def _expectation(
        self, element: str, item: "DataQuality", columns: Mapping[str, Column], column: str | None
    ) -> Iterator[Expectation]:
        """The expectation in a quality item of a table (`column` is None) or of one of its columns."""
        if item.type == "custom" and item.engine == "greatExpectations":
            yield from self._gx_expectation(element, item, columns, column)
        elif item.type == "library" and item.metric == "rowCount" and column is None:
            yield from self._library(element, item, ExpectationKind.ROW_COUNT, None, 1.0)
        elif item.type == "library" and item.metric == "nullValues" and column is not None:
            if item.unit != "percent":
                self.problem(f"{element}.unit", f"it is {item.unit!r}", "write `unit: percent`")
                return
            yield from self._library(element, item, ExpectationKind.NULL_SHARE, column, 100.0)
        else:
            what = " ".join(filter(None, [item.type, item.metric, item.engine])) or "item without a type"
            self.problem(
                element,
                f"nothing enforces a {what} here",
                "use library rowCount or custom polars-sql (table), library nullValues (column), enum, "
                "logicalTypeOptions, or custom greatExpectations",
            )

    def _library(
        self, element: str, item: "DataQuality", kind: ExpectationKind, column: str | None, scale: float
    ) -> Iterator[Expectation]:
        if item.arguments:
            self.problem(f"{element}.arguments", "nothing reads them", "remove them")
        bounds = self._operators(element, item)
        if bounds is None:
            return
        yield Expectation(
            name=item.name or _default_name(kind, column),
            kind=kind,
            column=column,
            low=None if bounds.low is None else bounds.low / scale,
            high=None if bounds.high is None else bounds.high / scale,
            low_open=bounds.low_open,
            high_open=bounds.high_open,
            description=item.description or "",
            severity=self._severity(element, item),
        )

    def _severity(self, element: str, item: "DataQuality") -> Severity:
        """What follows when the promise is broken."""
        if item.severity in (None, *Severity):
            return Severity(item.severity or Severity.ERROR)
        self.problem(f"{element}.severity", f"it is {item.severity!r}", f"write {' or '.join(Severity)}")
        return Severity.ERROR

    def _operators(self, element: str, item: "DataQuality") -> _Range | None:
        """The bounds that the item's comparison operators set."""
        given = {name: getattr(item, name) for name in _OPERATORS if getattr(item, name) is not None}
        lows = {"mustBeGreaterThan", "mustBeGreaterOrEqualTo"} & set(given)
        highs = {"mustBeLessThan", "mustBeLessOrEqualTo"} & set(given)
        if set(given) == {"mustBe"}:
            bounds = _Range(given["mustBe"], given["mustBe"])
        elif set(given) == {"mustBeBetween"}:
            bounds = _Range(*given["mustBeBetween"])
        elif given and set(given) == lows | highs and len(lows) <= 1 and len(highs) <= 1:
            bounds = _Range(
                next((given[name] for name in lows), None),
                next((given[name] for name in highs), None),
                "mustBeGreaterThan" in given,
                "mustBeLessThan" in given,
            )
        else:
            self.problem(
                element,
                f"nothing enforces the operators {', '.join(given) or '(none)'}",
                "use mustBe, mustBeBetween, or one lower and one upper bound",
            )
            return None
        return self._ordered(element, bounds)

    def _ordered(self, element: str, bounds: _Range) -> _Range | None:
        given = [bound for bound in (bounds.low, bounds.high) if bound is not None]
        if not given or not all(_is_number(bound) for bound in given) or given != sorted(given):
            self.problem(
                element,
                f"its bounds are {bounds.low!r} and {bounds.high!r}",
                "give finite numbers, the smaller one first",
            )
            return None
        return bounds

    def _gx_expectation(
        self, element: str, item: "DataQuality", columns: Mapping[str, Column], column: str | None
    ) -> Iterator[Expectation]:
        body = item.implementation if isinstance(item.implementation, dict) else {}
        kind = _GX_KINDS.get(str(body.get("type")))
        kwargs = body.get("kwargs")
        if kind is None or set(body) != {"type", "kwargs"} or not isinstance(kwargs, dict) or set(kwargs) - _GX_KWARGS:
            self.problem(
                f"{element}.implementation",
                f"nothing enforces {body or item.implementation!r}",
                f"give a type ({', '.join(_GX_KINDS)}) and kwargs ({', '.join(sorted(_GX_KWARGS))})",
            )
            return
        target = kwargs.get("column", column)
        if kind is ExpectationKind.ROW_COUNT:
            target = None
        elif target not in columns or (column is not None and target != column):
            self.problem(
                f"{element}.implementation.kwargs.column",
                f"{target!r} is not the column",
                "name a column of the table",
            )
            return
        elif kind in _NUMERIC_KINDS and columns[target].type not in _NUMERIC:
            self.problem(f"{element}.implementation", f"{target} is a {columns[target].type}", f"{kind} needs a number")
            return
        bounds = self._ordered(
            element,
            _Range(
                kwargs.get("min_value"),
                kwargs.get("max_value"),
                bool(kwargs.get("strict_min")),
                bool(kwargs.get("strict_max")),
            ),
        )
        if bounds is not None:
            yield Expectation(
                name=item.name or _default_name(kind, target),
                kind=kind,
                column=target,
                low=bounds.low,
                high=bounds.high,
                low_open=bounds.low_open,
                high_open=bounds.high_open,
                description=item.description or "",
                severity=self._severity(element, item),
            )

    def _end_of_support(self, promises: Sequence["ServiceLevelAgreementProperty"]) -> dt.date | None:
        """The last day on which the table may be read, if one is announced."""
        last: dt.date | None = None
        for position, sla in enumerate(promises):
            if sla.property != _END_OF_SUPPORT:
                continue
            day = _instant(LogicalType.DATE, sla.value)
            if day is None or last is not None:
                broken = f"{sla.value!r} is not a day" if day is None else "it is announced twice"
                self.problem(f"slaProperties[{position}]", broken, 'give one last day, as value: "2014-06-30"')
            last = day
        return last

    def _latency(
        self, element: str, sla: "ServiceLevelAgreementProperty", table: str, columns: Mapping[str, Column]
    ) -> Iterator[Expectation]:
        if sla.property != "latency":
            self.problem(
                element,
                f"nothing enforces {sla.property!r}",
                "promise `latency`, `retention` or `endOfSupport`, or use words",
            )
            return
        owner, _, column = (sla.element or "").partition(".")
        if owner != table or column not in columns or columns[column].type is not LogicalType.TIMESTAMP:
            self.problem(f"{element}.element", f"it is {sla.element!r}", f"name a timestamp column as {table}.<column>")
            return
        minutes = _MINUTES.get(sla.unit or "")
        if minutes is None or not _is_number(sla.value) or sla.value <= 0:
            self.problem(
                element,
                f"the latency is {sla.value!r} {sla.unit}",
                f"give a number and one of {', '.join(_MINUTES)}",
            )
            return
        yield Expectation(
            name=_default_name(ExpectationKind.STALENESS, column),
            kind=ExpectationKind.STALENESS,
            column=column,
            high=float(sla.value) * minutes,
            description=sla.description or "",
        )

    def _retention(self, promised: "Sequence[ServiceLevelAgreementProperty]", table: str) -> dt.timedelta | None:
        """How long the table's rows are kept at least."""
        found = [(position, sla) for position, sla in enumerate(promised) if sla.property == _RETENTION]
        spans: list[dt.timedelta] = []
        for position, sla in found:
            element, days = f"slaProperties[{position}]", _DAYS.get(sla.unit or "")
            if sla.element is not None and sla.element.partition(".")[0] != table:
                self.problem(
                    f"{element}.element", f"it is {sla.element!r}", f"name the table, {table}, or leave it out"
                )
            elif days is None or not _is_number(sla.value) or sla.value <= 0:
                self.problem(
                    element, f"the retention is {sla.value!r} {sla.unit}", f"give a number of {', '.join(_DAYS)}"
                )
            elif spans:
                self.problem(element, "the retention is promised twice", "remove one of the two")
            else:
                spans.append(dt.timedelta(days=float(sla.value) * days))
        return spans[0] if spans else None


def _default_name(kind: ExpectationKind, column: str | None) -> str:
    return f"{column}: {kind}" if column else str(kind)


def _owners(model: "OpenDataContractStandard") -> tuple[str, ...]:
    team = model.team
    members = team if isinstance(team, list) else (team.members or []) if team else []
    names = [member.username or member.name for member in members]
    if not isinstance(team, list) and team and team.name:
        names.insert(0, team.name)
    return tuple(name for name in names if name)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _instant(logical: LogicalType, value: object) -> dt.date | dt.datetime | None:
    """A date, or a timestamp in UTC (one without an offset is taken to be UTC)."""
    try:
        if logical is LogicalType.DATE:
            if isinstance(value, str):
                return dt.date.fromisoformat(value)
            return value if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else None
        instant = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(instant, dt.datetime):
        return None
    return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant.astimezone(dt.UTC)
