"""A decision table's file: JDM JSON in, frozen values out.

JDM is the format of zen-engine and of GoRules' editor. `read` promises that what it returns can be asked: every rule
has an identifier, a verdict and a reason, every column reads an input that the schema declares. What it cannot read in
full it refuses with all findings at once, each with the file, the rule's row, the cell, what is wrong and what to do.
Whether a cell means anything is checked on top of this by `checks`.

The file has three nodes: an inputNode whose schema (JSON Schema, as text) declares the inputs, one decisionTableNode
with the hit policy `collect`, one outputNode. The table's output columns are `verdict`, `rule` and `reason`; their
cells are quoted texts. A reason may have fields over inputs with Python's format specifications, as in
``"costs ${price:,.0f}"``.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INPUT_NODE, TABLE_NODE, OUTPUT_NODE = "inputNode", "decisionTableNode", "outputNode"
HIT_POLICY = "collect"
# Words of the cells' language, which a column that reads an input of that name would mean instead.
WORDS = frozenset({"and", "or", "not", "in", "true", "false", "null"})
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RULE_ID = re.compile(r"[a-z][a-z0-9_-]*")
_QUOTED = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)')\s*""")
_NUMBER_KEYWORDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_SCHEMA_KEYWORDS = {"type", "properties", "required", "title", "description", "additionalProperties", "$schema"}


class Verdict(StrEnum):
    """What may be done, from the least strict on: the machine may do it, a person decides, nobody may."""

    ALLOW = "allow"
    REVIEW = "review"
    FORBID = "forbid"


STRICTNESS = {verdict: number for number, verdict in enumerate(Verdict)}


class Output(StrEnum):
    """The table's output columns."""

    VERDICT = "verdict"
    RULE = "rule"
    REASON = "reason"


class Kind(StrEnum):
    """The types an input can have, as JSON Schema names them."""

    NUMBER = "number"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"

    @property
    def is_number(self) -> bool:
        return self in {Kind.NUMBER, Kind.INTEGER}


@dataclass(frozen=True)
class Input:
    """A value the table is asked with. ``values`` is empty where any text will do; a bound may be None."""

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Column:
    """One input column. ``reads`` is the input its cells test, or None where each cell is an expression of its own."""

    key: str
    title: str
    reads: str | None


@dataclass(frozen=True)
class Rule:
    """One row: its number in the table from 1 on, a cell for each column, and what it says if all of them match."""

    row: int
    name: str
    verdict: Verdict
    reason: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A table as its file says it. ``content`` is the file's JSON, which is what the engine is given."""

    name: str
    inputs: tuple[Input, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    content: str


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a file: where, the rule it breaks, what to do."""

    where: str
    broken: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.broken} {self.fix}"


class TableError(WarrantError):
    """A file is not a decision table that can be asked. ``findings`` says all that is wrong with it."""

    def __init__(self, name: str, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(f"The decision table {name} is refused:\n{lines}", remedy="Change the file as each line says.")


def text_of(path: Path) -> str:
    """The file's text.

    Raises:
        TableError: it is not there, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = Finding("file", f"It cannot be read: {error}.", "Give the path of a JDM file in UTF-8.")
        raise TableError(path.name, [found]) from error


def read(text: str, name: str) -> Document:
    """Reads a table. ``name`` is what errors call the file.

    Raises:
        TableError: the text is not JSON, or not the three nodes with inputs, columns and rules as they must be.
    """
    reader = _Reader(name)
    document = reader.document(text)
    if document is None or reader.findings:
        raise TableError(name, reader.findings)
    return document


def quoted(cell: str) -> str | None:
    """What a cell that is one quoted text says; None for any other cell. There are no escapes in the language."""
    found = _QUOTED.fullmatch(cell)
    return None if found is None else found[1] if found[1] is not None else found[2]


class _Reader:
    """Reads one file and keeps what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []

    def _find(self, where: str, broken: str, fix: str) -> None:
        self.findings.append(Finding(where, broken, fix))

    def document(self, text: str) -> Document | None:
        whole = self._json(text, "file")
        if self.findings:
            return None
        if not isinstance(whole, dict) or not isinstance(whole.get("nodes"), list):
            return self._find("file", "It has no list of nodes.", "Save it from the editor as a JDM file.")
        nodes = self._nodes(whole)
        if nodes is None:
            return None
        self._edges(whole, nodes)
        inputs = self._inputs(nodes[INPUT_NODE])
        table = self._content(nodes[TABLE_NODE], "table")
        if table is None:
            return None
        self._settings(table)
        columns = self._columns(table, inputs)
        outputs = self._outputs(table)
        if columns is None or outputs is None:
            return None
        rules = self._rules(table, columns, outputs)
        return Document(self.name, inputs, columns, rules, text)

    def _json(self, text: str, where: str) -> Any:
        try:
            return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        except ValueError as error:
            return self._find(where, f"It is not JSON: {error}.", "Correct the JSON, or save it from the editor again.")

    def _nodes(self, whole: dict) -> dict[str, dict] | None:
        found: dict[str, dict] = {}
        wanted = (INPUT_NODE, TABLE_NODE, OUTPUT_NODE)
        for number, node in enumerate(whole["nodes"], start=1):
            kind = node.get("type") if isinstance(node, dict) else None
            if kind in wanted and kind not in found:
                found[kind] = node
                continue
            self._find(
                f"node {number}",
                f"A table has one {', one '.join(wanted)}; this one ({kind}) is extra.",
                "Remove the node and its edges.",
            )
        for kind in wanted:
            if kind not in found:
                self._find("file", f"It has no {kind}.", f"Add one {kind} and join it with the others.")
        return found if len(found) == len(wanted) else None

    def _edges(self, whole: dict, nodes: dict[str, dict]) -> None:
        ids = [nodes[kind].get("id") for kind in (INPUT_NODE, TABLE_NODE, OUTPUT_NODE)]
        edges = whole.get("edges")
        ends = (
            [(edge.get("sourceId"), edge.get("targetId")) for edge in edges if isinstance(edge, dict)]
            if isinstance(edges, list)
            else []
        )
        if len(set(ids)) < len(ids) or sorted(map(str, ends)) != sorted(map(str, pairwise(ids))):
            self._find(
                "edges",
                "The nodes, each with its own id, must be joined from input to table to output and in no other way.",
                "Draw these two edges and no other.",
            )

    def _content(self, node: dict, where: str) -> dict | None:
        content = node.get("content")
        if not isinstance(content, dict):
            return self._find(where, "The node has no content.", "Save it from the editor again.")
        return content

    def _inputs(self, node: dict) -> tuple[Input, ...]:
        content = node.get("content")
        text = content.get("schema") if isinstance(content, dict) else None
        if not isinstance(text, str) or not text.strip():
            fix = "Give the input node a JSON Schema, as text, with a property for each input."
            return self._find("input schema", "There is none: nothing would be checked.", fix) or ()
        schema = self._json(text, "input schema")
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or not properties or schema.get("type") != "object":
            if schema is not None:
                self._find("input schema", "It must be of type object with properties.", "Declare each input in it.")
            return ()
        unknown = sorted(set(schema) - _SCHEMA_KEYWORDS)
        if unknown:
            self._find("input schema", f"Nothing here enforces {', '.join(unknown)}.", "Remove it.")
        found = [self._input(name, stated) for name, stated in properties.items()]
        return tuple(value for value in found if value is not None)

    def _input(self, name: str, stated: Any) -> Input | None:
        where = f"input {name}"
        if not _NAME.fullmatch(name) or name in WORDS:
            fix = "Use small letters, digits and underscores, and no word of the cells' language."
            self._find(where, "A cell cannot name it.", fix)
        kinds = [kind.value for kind in Kind]
        if not isinstance(stated, dict) or stated.get("type") not in kinds:
            return self._find(where, "Its type is not stated or not known.", f"State one of {', '.join(kinds)}.")
        kind = Kind(stated["type"])
        possible = _NUMBER_KEYWORDS if kind.is_number else {"enum"} if kind is Kind.STRING else set()
        unknown = sorted(set(stated) - possible - {"type", "title", "description"})
        if unknown:
            self._find(where, f"Nothing here enforces {', '.join(unknown)} of a {kind}.", "Remove it.")
        values = stated.get("enum", [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            return self._find(where, "Its enum is not a list of texts.", "List the texts that it can be.")
        if "enum" in stated and len(set(values)) != max(len(values), 1):
            self._find(where, "Its enum is empty or says a text twice.", "List each text that it can be once.")
        bounds = {key: stated.get(key) for key in _NUMBER_KEYWORDS & set(stated)}
        if not all(
            isinstance(bound, int | float) and not isinstance(bound, bool) and math.isfinite(bound)
            for bound in bounds.values()
        ):
            return self._find(where, "A bound of it is not a number.", "State bounds as finite numbers.")
        return Input(
            name,
            kind,
            tuple(values),
            bounds.get("minimum"),
            bounds.get("maximum"),
            bounds.get("exclusiveMinimum"),
            bounds.get("exclusiveMaximum"),
        )

    def _settings(self, table: dict) -> None:
        if table.get("hitPolicy") != HIT_POLICY:
            self._find(
                "table",
                f"Its hit policy is {table.get('hitPolicy')!r}: a rule that matches could go unheard.",
                f"Set it to {HIT_POLICY!r}.",
            )
        odd = [key for key in ("inputField", "outputPath", "passThrough", "passThorough") if table.get(key)]
        if table.get("executionMode", "single") != "single":
            odd.append("executionMode")
        for key in odd:
            self._find("table", f"{key} changes what the table is asked or answers.", "Leave it unset.")

    def _list(self, table: dict, key: str) -> list[dict] | None:
        found = table.get(key)
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            return self._find("table", f"It has no list of {key}.", "Save it from the editor again.")
        return found

    def _columns(self, table: dict, inputs: tuple[Input, ...]) -> tuple[Column, ...] | None:
        columns, names = [], [entry.name for entry in inputs]
        stated = self._list(table, "inputs")
        if stated is None:
            return None
        for number, entry in enumerate(stated, start=1):
            reads, key = entry.get("field") or None, entry.get("id")
            title = entry.get("name") or reads or f"column {number}"
            where = f"input column {title}"
            if not isinstance(key, str) or not key or key.startswith("_") or key in {known.key for known in columns}:
                self._find(where, "It has no id of its own.", "Give each column an id that no other has.")
                continue
            if reads is not None and reads not in names:
                self._find(
                    where,
                    f"It reads {reads!r}, which the input schema does not declare.",
                    f"Read one of {', '.join(names) or 'the inputs'}, or declare it.",
                )
            columns.append(Column(key, str(title), reads))
        return tuple(columns)

    def _outputs(self, table: dict) -> dict[Output, str] | None:
        stated = self._list(table, "outputs")
        if stated is None:
            return None
        found: dict[Output, str] = {}
        wanted = [output.value for output in Output]
        for number, entry in enumerate(stated, start=1):
            field, key = entry.get("field"), entry.get("id")
            if field not in wanted or field in found or not isinstance(key, str):
                self._find(
                    f"output column {number}",
                    f"{field!r} is not an output, has no id or is there twice.",
                    f"The outputs are {', '.join(wanted)}.",
                )
                continue
            found[Output(field)] = key
        for output in Output:
            if output not in found:
                self._find("table", f"It has no output column {output}.", f"Add one whose field is {output}.")
        return found if len(found) == len(wanted) else None

    def _rules(self, table: dict, columns: tuple[Column, ...], outputs: dict[Output, str]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        rows: dict[str, int] = {}
        keys = {column.key for column in columns} | set(outputs.values())
        for row, stated in enumerate(self._list(table, "rules") or [], start=1):
            where = f"rule row {row}"
            for key in sorted(set(stated) - keys):
                if not key.startswith("_"):
                    self._find(f"{where}, cell {key}", "It is of no column: it tests nothing.", "Remove it.")
            if not all(isinstance(stated[key], str) for key in keys & set(stated)):
                self._find(where, "A cell is not a text.", "Write each cell as a text of the cells' language.")
                continue
            said = {output: self._said(where, output, stated.get(key, "")) for output, key in outputs.items()}
            name, verdict, reason = said[Output.RULE], said[Output.VERDICT], said[Output.REASON]
            if name is not None and not _RULE_ID.fullmatch(name):
                self._find(f"{where}, cell rule", f"{name!r} is not an identifier.", 'Write one such as "too-dear".')
            elif name is not None and name in rows:
                self._find(f"{where}, cell rule", f"Row {rows[name]} is called {name!r}, too.", "Rename one.")
            elif name is not None:
                rows[name] = row
            if verdict is not None and verdict not in STRICTNESS:
                fix = f"Write {', '.join(repr(known.value) for known in Verdict)}."
                self._find(f"{where}, cell verdict", f"{verdict!r} is no verdict.", fix)
                verdict = None
            if name is None or verdict is None or reason is None:
                continue
            cells = tuple(stated.get(column.key, "").strip() for column in columns)
            rules.append(Rule(row, name, Verdict(verdict), reason, cells))
        if not rules and not self.findings:
            self._find("table", "It has no rules.", "Add one: what no rule allows is forbidden.")
        return tuple(rules)

    def _said(self, where: str, output: Output, cell: str) -> str | None:
        said = quoted(cell)
        if said is None or not said.strip():
            where = f"{where}, cell {output}"
            return self._find(where, "It is missing or not one quoted text.", 'Write it as in "text", without escapes.')
        return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two alike a reader would silently keep one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number of JSON")
