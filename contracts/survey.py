"""Any ODCS 3 document, as far as it can be understood: ours and other people's, with one table or many.

`contracts.document.load` refuses what it cannot enforce; a comparison must not. So the same reading is
done here, and what it refuses is kept instead as it stands, by the element it is said of. A document of
ours leaves little over: tags, links, the author's own properties. One written for another platform may
leave over most of it (nested types, SQL rules, `varchar(18)`), and is compared all the same.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts.contract import Contract
from contracts.document import ContractError, Problem, Reading, parsed

_OF_CONTRACTS = frozenset({"status", "dataProduct"})
_READ_OF_TABLE = frozenset({"name", "description", "properties", "quality"})
_READ_OF_COLUMN = frozenset(
    {
        "name",
        "description",
        "logicalType",
        "physicalType",
        "required",
        "primaryKey",
        "primaryKeyPosition",
        "enum",
        "quality",
        "properties",
        "items",
        "map",
    }
)
_PROPERTIES = frozenset({"quarantineLimit", "timezone", "compatibility", "unit", "reason", "changeable"})
# What the reading takes from an item; what else is said in it stands beside the contract.
_READ_OF_QUALITY = frozenset(
    {
        *("type", "metric", "engine", "name", "description", "unit", "arguments", "implementation"),
        *("mustBe", "mustBeBetween", "mustBeGreaterThan", "mustBeGreaterOrEqualTo"),
        *("mustBeLessThan", "mustBeLessOrEqualTo", "mustNotBe", "mustNotBeBetween"),
    }
)
_COMPARED_LEVELS = frozenset({"latency", "retention"})  # those that contracts.compatibility looks at
_READ_OF_LEVEL = frozenset({"property", "element", "value", "unit", "description"})
# What the standard says an element has that does not mention it.
_DEFAULTS = frozenset(repr(value) for value in (None, False, "", [], {}, -1))  # as text: False and 0 are equal


@dataclass(frozen=True)
class Element:
    """A document, a table, a column or a part of a nested column, and all that is said of it.

    `said` is flat: `logicalTypeOptions.minLength`, `customProperties.costCentre`, `quality[unique ids]`. `held` names
    what of it the contract of the table holds already; the rest nobody here enforces.
    """

    name: str
    said: Mapping[str, object]
    held: frozenset[str]


@dataclass(frozen=True)
class Document:
    """An ODCS document: `contracts` holds what could be read of each table, `elements` everything, by name.

    The document itself is "", then come tables, `table.column`, `table.column.property`, `table.column[]` (the items of
    an array) and `table.column{value}` (the values of a map).
    """

    path: Path
    version: str
    digest: str
    contracts: Mapping[str, Contract]
    elements: Mapping[str, Element]


def survey(path: str | Path) -> Document:
    """The ODCS document at `path`.

    Raises `ContractError` for a file that is no ODCS 3 document at all, `OSError` for one that cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    raw, model = parsed(path, data)
    if not str(model.apiVersion or "").startswith("v3."):
        problem = Problem("apiVersion", f"it is {model.apiVersion}", "compare documents of ODCS 3, e.g. v3.2.0")
        raise ContractError(path, [problem])
    digest = hashlib.sha256(data).hexdigest()
    contracts: dict[str, Contract] = {}
    elements: dict[str, Element] = {}
    levels: set[int] = set()
    for table, tree in zip(model.schema_ or [], raw.get("schema") or [], strict=True):
        if not table.name or table.name in contracts:
            problem = Problem("schema", f"a table is called {table.name!r}", "give each table a name of its own")
            raise ContractError(path, [problem])
        reading = Reading(path)
        contract = reading.table(model, table, digest)
        refused = frozenset(problem.element for problem in reading.problems)
        levels |= {n for n, _ in enumerate(model.slaProperties or []) if not _refuses(refused, f"slaProperties[{n}]")}
        contracts[table.name] = _without(contract, refused)
        elements.update((element.name, element) for element in _table(tree, contract, refused))
    said = dict(_flat(raw, frozenset({"version", "schema", "slaProperties"})))
    held: set[str] = set()
    for key, sla, position in _levels(raw):
        said[key] = sla
        if position in levels and sla.get("property") in _COMPARED_LEVELS:
            held.add(key)
            # A retention is that of the whole table, whichever of its columns is named.
            read = _READ_OF_LEVEL - {"element"} if sla.get("property") == "retention" else _READ_OF_LEVEL
            said |= _beside(key, sla, read)
    if contracts:
        held |= _OF_CONTRACTS | {f"customProperties.{name}" for name in _PROPERTIES}
    elements[""] = Element("", said, frozenset(held))
    return Document(path, model.version or "", digest, contracts, elements)


def _refuses(refused: frozenset[str], element: str) -> bool:
    """Whether the reading left out `element` or a part of it."""
    return any(each == element or each.startswith((f"{element}.", f"{element}[", f"{element} ")) for each in refused)


def _without(contract: Contract, refused: frozenset[str]) -> Contract:
    """The contract without what was read in part only: half a list of values would be another promise."""
    columns = tuple(
        replace(column, valid_values=()) if _refuses(refused, f"{contract.name}.{column.name}.enum") else column
        for column in contract.columns
    )
    ambiguous = f"{contract.name}.quality" in refused
    return replace(contract, columns=columns, expectations=() if ambiguous else contract.expectations)


def _table(tree: Mapping[str, Any], contract: Contract, refused: frozenset[str]) -> Iterator[Element]:
    """A table and everything in it. The reading names quality items by position, so that is how they are looked up."""
    name = contract.name
    ambiguous = f"{name}.quality" in refused
    said = dict(_flat(tree, _READ_OF_TABLE))
    held = {f"customProperties.{each}" for each in _PROPERTIES}
    for key, item, position in _quality(tree):
        said[key] = item
        if not ambiguous and not _refuses(refused, f"{name}.quality[{position}]"):
            held.add(key)
            said |= _beside(key, item, _READ_OF_QUALITY)
    yield Element(name, said, frozenset(held))
    keyless = f"{name}.primaryKeyPosition" in refused
    for column in tree.get("properties") or []:
        element = f"{name}.{column.get('name')}"
        if column.get("name") not in contract.schema:
            yield from _unread(element, column)
            continue
        said = dict(_flat(column, frozenset()))
        held = {key for key in said if key in _READ_OF_COLUMN and not _refuses(refused, f"{element}.{key}")}
        held |= {f"customProperties.{each}" for each in ("unit", "reason", "changeable")}
        held |= {
            key
            for key in said
            if key.startswith("logicalTypeOptions.")
            and not _refuses(refused, f"{element}.{key}")
            and f"{element}.logicalTypeOptions" not in refused
        }
        labels = [{name: each for name, each in item.items() if name != "value"} for item in column.get("enum") or []]
        if any(labels):
            said["enum.labels"] = labels
        if keyless:
            held -= {"primaryKey", "primaryKeyPosition"}
        for key, item, position in _quality(column):
            said[key] = item
            if not ambiguous and not _refuses(refused, f"{element}.quality[{position}]"):
                held.add(key)
                said |= _beside(key, item, _READ_OF_QUALITY)
        yield Element(element, said, frozenset(held))
        yield from _nested(element, column)


def _unread(element: str, tree: Mapping[str, Any]) -> Iterator[Element]:
    """A column whose type no contract here can hold, or a part of a nested one: all of it as it stands."""
    said = dict(_flat(tree, frozenset({"name", "quality"})))
    said |= {key: item for key, item, _ in _quality(tree)}
    yield Element(element, said, frozenset())
    yield from _nested(element, tree)


def _nested(element: str, tree: Mapping[str, Any]) -> Iterator[Element]:
    for part in tree.get("properties") or []:
        yield from _unread(f"{element}.{part.get('name')}", part)
    if tree.get("items"):
        yield from _unread(f"{element}[]", tree["items"])
    for side, part in (tree.get("map") or {}).items():
        yield from _unread(f"{element}{{{side}}}", part)


def _quality(tree: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Quality items with a key that stays the same when items are moved: the name, or else what is measured."""
    items = tree.get("quality") or []
    keys = [
        item.get("name")
        or item.get("id")
        or " ".join(str(item[key]) for key in ("type", "metric", "rule", "engine") if item.get(key))
        or "rule"
        for item in items
    ]
    return zip(_told_apart("quality", keys), items, range(len(items)), strict=True)


def _levels(tree: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Service levels likewise: what is promised, of what, for whom."""
    items = tree.get("slaProperties") or []
    keys = [", ".join(str(item[key]) for key in ("property", "element", "driver") if item.get(key)) for item in items]
    return zip(_told_apart("slaProperties", keys), items, range(len(items)), strict=True)


def _beside(key: str, item: Mapping[str, Any], read: frozenset[str]) -> dict[str, object]:
    """What an item that the contract holds says beside what is read of it."""
    return {f"{key}.{name}": value for name, value in item.items() if name not in read}


def _told_apart(what: str, keys: Sequence[str]) -> Iterator[str]:
    """The keys as they are written, with a number where one comes again."""
    for position, key in enumerate(keys):
        again = keys[:position].count(key)
        yield f"{what}[{key}]" if not again else f"{what}[{key}, {again + 1}]"


def _flat(tree: Mapping[str, Any], without: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Each thing said in `tree`, its options and custom properties one by one; nothing for what is the default."""
    for key, value in tree.items():
        if key in without or key in ("quality", "properties", "items", "map") or repr(value) in _DEFAULTS:
            continue
        if key in ("logicalTypeOptions", "description") and isinstance(value, dict):
            yield from ((f"{key}.{option}", each) for option, each in value.items() if each not in (None, ""))
        elif key == "customProperties":
            yield from ((f"{key}.{item.get('property')}", _property(item)) for item in value)
        else:
            yield key, value


def _property(item: Mapping[str, Any]) -> object:
    """A custom property's value, with what is said about it where something is."""
    return item.get("value") if item.keys() <= {"property", "value"} else dict(item)
