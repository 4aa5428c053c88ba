"""What a table that can be read must not contain: cells that mean nothing, can never match or can fail.

zen-engine takes a cell that it cannot parse or that fails (a text compared with a number, a division by zero, a name it
does not know) for one that does not match, and says nothing. In a rule that forbids, that is an allowance. So each cell
is parsed and tried here, and what could fail later is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from itertools import islice, product
from typing import TYPE_CHECKING

from automation.policy.tables.cells import (
    SCALE,
    Condition,
    Either,
    Literal,
    NeverMatches,
    NotCompiled,
    bounds_of,
    can_hold,
    literals_of,
    millionths,
    names_of,
    parse,
)
from automation.policy.tables.document import WORDS, Column, Document, Finding, Input, Kind, Rule, TableError, Verdict
from automation.policy.tables.reasons import template_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

# Of zen's functions those that cannot fail for any value of the right type.
SAFE_FUNCTIONS = frozenset(
    {
        "abs",
        "ceil",
        "floor",
        "round",
        "min",
        "max",
        "len",
        "upper",
        "lower",
        "trim",
        "contains",
        "startsWith",
        "endsWith",
    }
)
# Three factors of at most 10^9 still fit the engine's decimals.
MOST_PRODUCTS = 2
# Of all combinations of some values of each input that a cell names.
TRIALS = 2_000
_TEXTS = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAMES = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_INDEXED = re.compile(r"([\w$)\]]+)\s*\[")
_SAFE_MARKS = re.compile(r"[\w\s.,()\[\]<>=!+*$-]*")


def check(document: Document) -> None:
    """Checks a table.

    Raises:
        TableError: with all that was found.
    """
    found = list(findings(document))
    if found:
        raise TableError(document.name, found)


def findings(document: Document) -> Iterator[Finding]:
    """All that is wrong with a table that could be read."""
    inputs = {given.name: given for given in document.inputs}
    yield from _bounds(document)
    meanings: dict[tuple[Condition | str, ...], Rule] = {}
    used: set[str] = set()
    for rule in document.rules:
        meaning: list[Condition | str] = []
        for column, cell in zip(document.columns, rule.cells, strict=True):
            where = f"rule row {rule.row}, cell {column.title}"
            said = yield from _cell(where, cell, column, inputs)
            meaning.append(said)
            used |= set(_NAMES.findall(_TEXTS.sub("''", cell))) | ({column.reads} if column.reads else set())
        yield from _reason(rule, inputs)
        used |= {name for name in inputs if re.search(rf"{{{name}[:}}]", rule.reason)}
        other = meanings.setdefault(tuple(meaning), rule)
        if other is not rule:
            yield Finding(
                f"rule row {rule.row}",
                f"It matches exactly when row {other.row} ({other.name}) does.",
                "Remove one of them, or change what it tests.",
            )
    if not any(rule.verdict is Verdict.ALLOW for rule in document.rules):
        yield Finding("table", "No rule allows anything.", "Add a rule whose verdict is 'allow'.")
    for name in inputs:
        if name not in used:
            yield Finding(f"input {name}", "No rule uses it, yet a case without it is refused.", "Use or remove it.")


def _bounds(document: Document) -> Iterator[Finding]:
    for given in document.inputs:
        if given.kind.is_number:
            stated = (given.minimum, given.maximum, given.above, given.below)
            if any(millionths(bound) != Decimal(repr(bound)) * SCALE for bound in stated if bound is not None):
                where, broken = (
                    f"input {given.name}",
                    "A bound of it has more than six decimals, to which it is rounded.",
                )
                yield Finding(where, broken, "State bounds with six decimals at most.")
            low, high = bounds_of(given)
            if low > high or not _samples(given):
                yield Finding(f"input {given.name}", "No number lies within its bounds.", "Correct its bounds.")


def _cell(
    where: str, cell: str, column: Column, inputs: Mapping[str, Input]
) -> Generator[Finding, None, Condition | str]:
    """Checks one cell. Returns what it says: a condition, or its text if that is not compiled."""
    if not cell:
        return ""
    broken = _unparsed(cell, column)
    if broken is not None:
        yield Finding(
            where, f"`{cell}` does not parse ({broken}): it would never match.", "Write it in the cells' language."
        )
        return cell
    try:
        condition = parse(cell, column.reads, inputs)
    except NeverMatches as reason:
        yield Finding(where, f"{reason}: it can never match as it reads.", "Compare it with what the input can be.")
        return cell
    except NotCompiled:
        yield from _run_by_engine(where, cell, column, inputs)
        return cell
    for name, literal in literals_of(condition):
        if inputs[name].values and literal not in inputs[name].values:
            yield Finding(where, f"{name} is never {literal!r}.", f"Use {', '.join(map(repr, inputs[name].values))}.")
            return condition
    for part in condition.parts if isinstance(condition, Either) else (condition,):
        names = names_of(part)
        if len(names) == 1 and not can_hold(part, inputs[names.pop()]):
            yield Finding(where, f"`{cell}`, or one of its tests, can never match.", "Test for what the input can be.")
            break
    return condition


def _unparsed(cell: str, column: Column) -> str | None:
    """What the engine says of a cell that it cannot parse."""
    import zen

    try:
        (zen.compile_expression if column.reads is None else zen.compile_unary_expression)(cell)
    except Exception as error:  # noqa: BLE001 - the engine raises nothing more exact
        return str(error).splitlines()[0]
    return None


def _run_by_engine(where: str, cell: str, column: Column, inputs: Mapping[str, Input]) -> Iterator[Finding]:
    bare = _TEXTS.sub("''", cell)
    if bare.lstrip().startswith("]") or bare.rstrip().endswith("["):
        yield Finding(where, f"`{cell}` means what lies outside of it.", "Write `not in [low..high]`.")
        return
    names = set(_NAMES.findall(bare)) - set(inputs) - SAFE_FUNCTIONS - (WORDS - {"null"})
    names |= {f"an element of {name}" for name in _INDEXED.findall(bare) if name not in WORDS}
    marks = sorted(Counter(_SAFE_MARKS.sub("", bare.replace("''", ""))))
    if names or marks or bare.count("*") > MOST_PRODUCTS:
        what = ", ".join([*sorted(names), *marks]) or f"more than {MOST_PRODUCTS} products"
        yield Finding(
            where,
            f"`{cell}` has {what}, which can fail; the engine would take that for a cell that does not match.",
            "Use inputs, comparisons, sums, products and functions that cannot fail, or compute an input before.",
        )
        return
    broken = _tried(cell, column, inputs)
    if broken is not None:
        yield Finding(where, f"`{cell}` {broken}; the engine would not match it and say nothing.", "Correct it.")


def _tried(cell: str, column: Column, inputs: Mapping[str, Input]) -> str | None:
    """What goes wrong with the cell for one of some values that its inputs may have."""
    import zen

    named = set(_NAMES.findall(_TEXTS.sub("''", cell)))
    # The least and the greatest of each come first: what overflows does so there.
    samples = [
        _samples(given) if name in named | {column.reads} else _samples(given)[:1] for name, given in inputs.items()
    ]
    for values in islice(product(*samples), TRIALS):
        case = dict(zip(inputs, values, strict=True))
        try:
            if column.reads is None:
                answer = zen.evaluate_expression(cell, case)
            else:
                answer = zen.evaluate_unary_expression(cell, {**case, "$": case[column.reads]})
        except RuntimeError as error:
            return f"fails for {case} ({str(error).splitlines()[0]})"
        if not isinstance(answer, bool):
            return f"is {answer!r} for {case}, neither true nor false"
    return None


def _samples(given: Input) -> list[Literal | float]:
    """Some values that the input may have, as the engine is given them."""
    if given.kind is Kind.BOOLEAN:
        return [False, True]
    if given.kind is Kind.STRING:
        return list(given.values) or ["x", "it is"]
    low, high = bounds_of(given)
    step = SCALE if given.kind is Kind.INTEGER else 1
    low, high = -(-low // step), high // step
    some = dict.fromkeys(number for number in (low, high, 0, 1, 2, (low + high) // 2) if low <= number <= high)
    return [number if step == SCALE else number / SCALE for number in some]


def _reason(rule: Rule, inputs: Mapping[str, Input]) -> Iterator[Finding]:
    try:
        template_of(rule.reason, inputs)
    except ValueError as error:
        yield Finding(
            f"rule row {rule.row}, cell reason",
            f"It cannot be filled in: {error}.",
            "A field is the name of an input with a format of its type, as in {price:,.0f}; double other braces.",
        )
