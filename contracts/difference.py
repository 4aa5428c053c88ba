"""Two ODCS documents compared: what their contracts say, and what stands in them beside that.

The tables' contracts are compared by `contracts.compatibility`, to the row. What no contract holds (see
`contracts.survey`) is compared as it stands: bounds are ordered where the standard orders them, words are
told from promises, and of anything else a change cannot be shown to be compatible.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from contracts.compatibility import (
    COMPATIBLE,
    Aspect,
    Bump,
    Change,
    Comparison,
    Judgement,
    breaks,
    compare,
    unshown,
    words,
)
from contracts.contract import Contract
from contracts.implication import columns
from contracts.survey import Document, Element

_WORDS = frozenset(
    {
        "apiVersion",
        "authoritativeDefinitions",
        "businessName",
        "context",
        "contractCreatedTs",
        "dataGranularityDescription",
        "description",
        "domain",
        "examples",
        "id",
        "kind",
        "name",
        "support",
        "synonyms",
        "tags",
        "team",
        "tenant",
        "transformDescription",
    }
)
_WORDS_OF_QUALITY = frozenset(
    {
        "authoritativeDefinitions",
        "businessImpact",
        "customProperties",
        "description",
        "dimension",
        "id",
        "method",
        "name",
        "schedule",
        "scheduler",
        "tags",
    }
)
_LOWER_ENDS = frozenset({"minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum"})
_UPPER_ENDS = frozenset({"maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"})
_LOWER_OPERATORS = frozenset({"mustBeGreaterThan", "mustBeGreaterOrEqualTo"})
_UPPER_OPERATORS = frozenset({"mustBeLessThan", "mustBeLessOrEqualTo"})
_THE_LESS_THE_STRICTER = frozenset({"latency", "frequency"})
_THE_LATER_THE_BETTER = frozenset({"retention", "endOfSupport", "endOfLife"})
_LOGICAL_TYPES = frozenset(
    {"string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean", "map", "vector"}
)
_SIZED = re.compile(r"(\w+)\((\d+)\)")

_STRICTER = breaks("what was good enough may not be")
_WEAKER = breaks("less is promised than before")
_UNKNOWN = unshown("nothing here enforces it, so what it lets through is not known")

_Judged = tuple[Judgement, Judgement]


def compare_documents(old: Document, new: Document) -> Comparison:
    """Every change from `old` to `new`.

    Tables are matched by name. Two documents of one table each are versions of each other even if its name changed.
    """
    left, right = set(old.contracts), set(new.contracts)
    if len(left) == len(right) == 1 and left != right:
        old = _renamed(old, *right)
        pairs = [(next(iter(old.contracts.values())), next(iter(new.contracts.values())))]
    else:
        pairs = [(old.contracts[name], new.contracts[name]) for name in old.contracts if name in right]
    changes: list[Change] = []
    for before, after in pairs:
        changes.extend(compare(*_comparable(before, after, old, new)).changes)
    changes.extend(_elements(old, new))
    return Comparison(tuple(changes))


def _renamed(document: Document, name: str) -> Document:
    """The document of one table with its elements under another name; the contract keeps its own."""
    (contract,) = document.contracts.values()
    elements = {
        key: replace(element, name=key)
        for element in document.elements.values()
        for key in [re.sub(rf"^{re.escape(contract.name)}(?=\.|$)", lambda _: name, element.name)]
    }
    return replace(document, contracts={name: contract}, elements=elements)


def _comparable(before: Contract, after: Contract, old: Document, new: Document) -> tuple[Contract, Contract]:
    """Both contracts without the columns that only one of the two documents lets us read: those are compared as they
    stand. Neither is missing in the other version."""
    unread = {name for name in before.schema if name not in after.schema and f"{after.name}.{name}" in new.elements}
    unread |= {name for name in after.schema if name not in before.schema and f"{after.name}.{name}" in old.elements}

    def read(contract: Contract) -> Contract:
        kept = tuple(column for column in contract.columns if column.name not in unread)
        names = {column.name for column in kept}
        return replace(
            contract,
            columns=kept,
            key=tuple(name for name in contract.key if name in names),
            row_rules=tuple(rule for rule in contract.row_rules if columns(rule.predicate) <= names),
        )

    return read(before), read(after)


def _elements(old: Document, new: Document) -> Iterator[Change]:
    for name in dict.fromkeys([*old.elements, *new.elements]):
        before, after = old.elements.get(name), new.elements.get(name)
        if before and after:
            yield from _changed(before, after)
        elif _parent(name) in old.elements and _parent(name) in new.elements and not _compared(name, old, new):
            yield _came(after) if after else _went(name)


def _parent(name: str) -> str:
    """The element that `name` is a part of: of a table, the document."""
    return re.sub(r"(\.[^.\[{]*|\[\]|\{\w+\})$", "", name) if re.search(r"[.\[{]", name) else ""


def _compared(name: str, old: Document, new: Document) -> bool:
    """Whether the element is a column that the contracts were compared by."""
    table, _, column = name.partition(".")
    both = table in old.contracts and table in new.contracts
    return both and any(column in document.contracts[table].schema for document in (old, new))


def _came(element: Element) -> Change:
    needed = element.said.get("required") is True
    says = f"{element.name} is new{' and required' if needed else ''}"
    producers = breaks("earlier rows lack it") if needed else COMPATIBLE
    kind = Aspect.COLUMN if "." in element.name else Aspect.TABLE
    return Change(element.name, kind, None, _kind(element), says, producers, COMPATIBLE, Bump.MINOR)


def _went(name: str) -> Change:
    gone = breaks("whoever reads it finds it gone")
    kind = Aspect.COLUMN if "." in name else Aspect.TABLE
    return Change(name, kind, "declared", None, f"{name} is dropped", COMPATIBLE, gone, Bump.MAJOR)


def _kind(element: Element) -> str:
    return str(element.said.get("logicalType") or element.said.get("physicalType") or "declared")


def _changed(old: Element, new: Element) -> Iterator[Change]:
    for key in dict.fromkeys([*old.said, *new.said]):
        before, after = old.said.get(key), new.said.get(key)
        # A column that one of the two cannot read is compared as it stands, all of it.
        both_read = old.held and new.held
        by_contract = both_read and all(key in element.held for element in (old, new) if key in element.said)
        if before == after or by_contract:
            continue
        element, what = new.name or "document", key
        if _is_words(key, before, after):
            yield words(element, what, _text(before), _text(after))
            continue
        producers, consumers = _judged(key, before, after)
        says = f"{what} of {element} is {_text(after) or 'not stated'}, was {_text(before) or 'not stated'}"
        aspect = _aspect(key)
        least = Bump.MAJOR if key in ("logicalType", "primaryKey") else Bump.MINOR
        yield Change(element, aspect, _text(before), _text(after), says, producers, consumers, least)


def _aspect(key: str) -> Aspect:
    known = {
        "logicalType": Aspect.TYPE,
        "physicalType": Aspect.TYPE,
        "required": Aspect.NULLABILITY,
        "enum": Aspect.ENUMERATION,
        "primaryKey": Aspect.KEY,
        "primaryKeyPosition": Aspect.KEY,
        "unique": Aspect.KEY,
        "status": Aspect.STATUS,
        "logicalTypeOptions.pattern": Aspect.PATTERN,
    }
    if key in known:
        return known[key]
    if key.startswith("slaProperties[latency"):
        return Aspect.FRESHNESS
    if key.startswith("slaProperties[retention"):
        return Aspect.RETENTION
    starts = {"quality[": Aspect.QUALITY, "logicalTypeOptions.": Aspect.RANGE}
    return next((aspect for start, aspect in starts.items() if key.startswith(start)), Aspect.OTHER)


def _is_words(key: str, before: object, after: object) -> bool:
    head, _, part = key.rpartition("].") if "]." in key else ("", "", key)
    if head:
        return part in _WORDS_OF_QUALITY
    if key == "enum.labels" or key.partition(".")[0] in _WORDS | {"customProperties"}:
        return True
    if key == "physicalType":
        return before is not None and after is not None and _type(before) == _type(after)
    if isinstance(before, dict) and isinstance(after, dict):
        free = _WORDS_OF_QUALITY if key.startswith("quality[") else frozenset({"description", "id"})
        return _apart(before, after) <= free
    return False


def _apart(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """The keys in which two mappings differ."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _judged(key: str, before: object, after: object) -> _Judged:
    """For producers and for consumers. None is what is not stated."""
    option = key.removeprefix("logicalTypeOptions.")
    judged: _Judged = (_UNKNOWN, _UNKNOWN)
    if option in _LOWER_ENDS:
        judged = _lower_end(before, after)
    elif option in _UPPER_ENDS:
        judged = _upper_end(before, after)
    elif key.startswith("quality["):
        judged = _quality(before, after)
    elif key.startswith("slaProperties["):
        judged = _level(before, after)
    elif key in ("required", "unique"):
        judged = (_STRICTER, COMPATIBLE) if after else (COMPATIBLE, _WEAKER)
    elif key in ("logicalType", "physicalType"):
        judged = _typed(before, after)
    elif key == "deprecated":
        judged = (COMPATIBLE, COMPATIBLE)
    return judged


def _typed(before: object, after: object) -> _Judged:
    one, other = (_SIZED.fullmatch(_type(text)) for text in (before, after))
    if one and other and one[1] == other[1]:
        return _upper_end(int(one[2]), int(other[2]))
    match before, after:
        case "integer", "number":
            return COMPATIBLE, _WEAKER
        case "number", "integer":
            return _STRICTER, COMPATIBLE
        case str(), str() if {before, after} <= _LOGICAL_TYPES:
            return breaks("its values are of another kind"), breaks("its values are of another kind")
        case _:
            return _UNKNOWN, _UNKNOWN


def _type(value: object) -> str:
    """A physical type as it is compared: databases do not care for case or blanks."""
    return re.sub(r"\s+", "", str(value)).lower()


def _upper_end(before: object, after: object) -> _Judged:
    """The greatest value there may be: None where there is no end, so that anything is within."""
    if before is None or after is None:
        return (_STRICTER, COMPATIBLE) if before is None else (COMPATIBLE, _WEAKER)
    match _order(before, after):
        case None:
            return _UNKNOWN, _UNKNOWN
        case order:
            return (COMPATIBLE, _WEAKER) if order < 0 else (_STRICTER, COMPATIBLE)


def _lower_end(before: object, after: object) -> _Judged:
    """The least value there may be: what is stricter at the upper end is weaker at this one, but for no end at all."""
    if before is None or after is None:
        return _upper_end(before, after)
    return _upper_end(after, before)


def _order(before: object, after: object) -> int | None:
    """-1 if before is less, 1 if it is greater; None if they cannot be ordered."""
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    # Dates and times of one length in ISO 8601 and one zone are in the order of their text.
    dates = isinstance(before, str) and isinstance(after, str) and _shape(before) == _shape(after)
    if not numbers and not dates:
        return None
    return -1 if before < after else 1  # pyrefly: ignore[unsupported-operation]


def _shape(text: str) -> str:
    """The text's form, with a zone as it is; only what begins with a date has one that can be ordered."""
    if not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return f"no date: {text}"
    return re.sub(r"\d", "0", text[:19]) + text[19:]


def _quality(before: object, after: object) -> _Judged:
    if before is None and isinstance(after, dict):
        return _STRICTER, COMPATIBLE
    if after is None and isinstance(before, dict):
        return COMPATIBLE, _WEAKER
    if isinstance(before, dict) and isinstance(after, dict):
        apart = _apart(before, after) - _WORDS_OF_QUALITY
        if len(apart) == 1 and apart <= _LOWER_OPERATORS | _UPPER_OPERATORS:
            (operator,) = apart
            end = _upper_end if operator in _UPPER_OPERATORS else _lower_end
            return end(before.get(operator), after.get(operator))
    return _UNKNOWN, _UNKNOWN


def _level(before: object, after: object) -> _Judged:
    if before is None and isinstance(after, dict):
        return _STRICTER if after.get("property") in _THE_LESS_THE_STRICTER else COMPATIBLE, COMPATIBLE
    if after is None and isinstance(before, dict):
        return COMPATIBLE, _WEAKER
    if not isinstance(before, dict) or not isinstance(after, dict):
        return _UNKNOWN, _UNKNOWN
    if _apart(before, after) <= {"value", "valueExt", "description", "id"}:
        order = _order(before.get("value"), after.get("value"))
        promised = str(before.get("property"))
        if order is not None and promised in _THE_LESS_THE_STRICTER:
            return (COMPATIBLE, _WEAKER) if order < 0 else (_STRICTER, COMPATIBLE)
        if order is not None and promised in _THE_LATER_THE_BETTER:
            return (COMPATIBLE, COMPATIBLE) if order < 0 else (COMPATIBLE, _WEAKER)
    return _UNKNOWN, _UNKNOWN


def _text(value: object) -> str | None:
    """What is said, short enough for one line."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 120 else f"{text[:119]}…"
