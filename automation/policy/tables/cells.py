"""The cells' language: what a cell says, as a condition on inputs that can be compiled and reasoned about.

This is the part of zen-engine's language that people use in tables: comparisons, intervals, lists, texts, numbers and
truth values, joined by commas, by `and` or by `or`; in a column that reads no input, the same of named inputs. `parse`
refuses whatever else zen would accept: such a cell is not wrong, the engine itself runs it.

Numbers are whole millionths: every number that a table is asked with is rounded to six decimals first (`inputs`), so a
literal with more could never be equal to one, and every comparison is exact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from automation.policy.tables.document import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.policy.tables.document import Input

DECIMALS = 6
SCALE = 10**DECIMALS
# Scaled, such numbers have fifteen digits: a double holds each apart from its neighbours.
LARGEST = 10**9

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'[^'\n]*'|"[^"\n]*")
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<operator><=|>=|==|!=|<|>)
      | (?P<mark>\.\.|[\[\](),$-])
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    )""",
    re.VERBOSE,
)


class NotCompiled(Exception):  # noqa: N818 - it says what becomes of the cell: the engine runs it
    """The cell is outside the part of the language that is compiled. The message says which part of it."""


class NeverMatches(NotCompiled):
    """The cell compares what can never be equal or ordered: no engine would ever match it, and none would say so."""


class Operator(StrEnum):
    """Comparisons."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    UNEQUAL = "!="


@dataclass(frozen=True)
class Named:
    """The value of another input."""

    name: str


# A number in millionths, a text, a truth value.
Literal = int | str | bool


@dataclass(frozen=True)
class Comparison:
    """An input compared with a literal or another input."""

    name: str
    operator: Operator
    operand: Literal | Named


@dataclass(frozen=True)
class Interval:
    """A number between two others (in millionths), each end of it open or not."""

    name: str
    low: int
    high: int
    low_open: bool
    high_open: bool


@dataclass(frozen=True)
class Membership:
    """An input equal to one of several literals."""

    name: str
    members: tuple[Literal, ...]


@dataclass(frozen=True)
class Not:
    """What holds where the part does not."""

    part: Condition


@dataclass(frozen=True)
class Both:
    """All parts hold; with no parts, always."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Either:
    """At least one part holds."""

    parts: tuple[Condition, ...]


Condition = Comparison | Interval | Membership | Not | Both | Either
ALWAYS = Both(())


def parse(cell: str, reads: str | None, inputs: Mapping[str, Input]) -> Condition:
    """What the cell says of the input that its column ``reads``, or of named inputs if it reads none.

    Raises:
        NotCompiled: it uses more of the language, or compares values of different types.
    """
    if not cell.strip():
        return ALWAYS
    return _Parser(cell, reads, inputs).condition()


class _Parser:
    def __init__(self, cell: str, reads: str | None, inputs: Mapping[str, Input]) -> None:
        self.cell, self.reads, self.inputs = cell, reads, inputs
        self.tokens = list(_tokens(cell))
        self.at = 0
        # `$` in one term and not in another: whether the cell is a test or an expression is then zen's to say.
        self.forms: set[bool] = set()

    def _refuse(self, why: str) -> NotCompiled:
        return NotCompiled(f"`{self.cell}`: {why}")

    def _never(self, why: str) -> NeverMatches:
        return NeverMatches(f"`{self.cell}`: {why}")

    def _next(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _take(self, *texts: str) -> bool:
        kind, text = self._next()
        if kind != "text" and text in texts:
            self.at += 1
            return True
        return False

    def _must(self, *texts: str) -> str:
        kind, text = self._next()
        if kind == "text" or text not in texts:
            raise self._refuse(f"{' or '.join(texts)} is expected before {text or 'its end'!r}")
        self.at += 1
        return text

    def condition(self) -> Condition:
        parts, joined = [self._term()], set()
        while self.at < len(self.tokens):
            joined.add(self._must("and", "or", *([","] if self.reads else [])))
            parts.append(self._term())
        if len(joined) > 1:
            raise self._refuse("it mixes `and`, `or` and commas")
        if len(self.forms) > 1:
            raise self._refuse("it has `$` in one test and not in another")
        if len(parts) == 1:
            return parts[0]
        return Both(tuple(parts)) if joined == {"and"} else Either(tuple(parts))

    def _term(self) -> Condition:
        if self.reads is None:
            return self._named_term()
        explicit = self._take("$")
        self.forms.add(explicit)
        return self._test(self.reads, explicit=explicit)

    def _named_term(self) -> Condition:
        negated = self._take("not")
        kind, text = self._next()
        if kind != "word" or text not in self.inputs:
            raise self._refuse("a test begins with the name of an input")
        self.at += 1
        if self.at == len(self.tokens) or self._next()[1] in {"and", "or"}:
            if self.inputs[text].kind is not Kind.BOOLEAN:
                raise self._refuse(f"{text} is no truth value")
            return Comparison(text, Operator.EQUAL, not negated)
        if negated:
            raise self._refuse("`not` of a comparison")
        return self._test(text, explicit=True)

    def _test(self, name: str, *, explicit: bool) -> Condition:
        kind, text = self._next()
        if kind == "operator":
            self.at += 1
            return self._comparison(name, Operator(text))
        negated = self._take("not")
        if negated or self._next() == ("word", "in"):
            self._must("in")
            found = self._group(name)
            return Not(found) if negated else found
        if explicit:
            raise self._refuse("a comparison is expected")
        if text in {"[", "("}:
            found = self._group(name)
            if isinstance(found, Membership):
                raise self._refuse("a list without `in`")
            return found
        return Comparison(name, Operator.EQUAL, self._literal(name))

    def _comparison(self, name: str, operator: Operator) -> Comparison:
        kind, text = self._next()
        ordered = operator not in {Operator.EQUAL, Operator.UNEQUAL}
        if ordered and not self.inputs[name].kind.is_number:
            raise self._never(f"{name} is not a number, and only numbers have an order")
        if kind == "word" and text in self.inputs:
            self.at += 1
            mine, other = self.inputs[name].kind, self.inputs[text].kind
            if mine is not other and not (mine.is_number and other.is_number):
                raise self._never(f"{name} is a {mine}, {text} a {other}")
            return Comparison(name, operator, Named(text))
        return Comparison(name, operator, self._literal(name))

    def _group(self, name: str) -> Interval | Membership:
        opened = self._must("[", "(")
        first = self._literal(name)
        if self._take(".."):
            last = self._literal(name)
            closed = self._must("]", ")")
            if not self.inputs[name].kind.is_number:
                raise self._never(f"{name} is not a number, and only numbers have an order")
            return Interval(name, int(first), int(last), opened == "(", closed == ")")
        members = [first]
        while self._take(","):
            members.append(self._literal(name))
        self._must("]")
        if opened != "[":
            raise self._refuse("a list in round brackets")
        return Membership(name, tuple(members))

    def _literal(self, name: str) -> Literal:
        kind = self.inputs[name].kind
        negative = self._take("-")
        what, text = self._next()
        self.at += 1
        if what == "number" and kind.is_number:
            return scaled(f"-{text}" if negative else text, self.cell)
        if negative:
            raise self._refuse(f"a number is expected after `-`, before {text!r}")
        if what == "text" and kind is Kind.STRING:
            return text[1:-1]
        if what == "word" and text in {"true", "false"} and kind is Kind.BOOLEAN:
            return text == "true"
        if what in {"number", "text"} or text in {"true", "false"}:
            raise self._never(f"{name} is a {kind}, which {text} is not")
        raise self._refuse(f"a literal is expected in place of {text or 'its end'!r}")


def scaled(text: str, cell: str) -> int:
    """A number's text in millionths.

    Raises:
        NeverMatches: it has more decimals than inputs are rounded to, or lies beyond all of them.
    """
    number = Decimal(text)
    if abs(number) > LARGEST:
        raise NeverMatches(f"`{cell}`: {text} lies beyond {LARGEST:,}, and no input does")
    if len(text.partition(".")[2].rstrip("0")) > DECIMALS:
        raise NeverMatches(f"`{cell}`: {text} has more than {DECIMALS} decimals, to which inputs are rounded")
    return int(number.scaleb(DECIMALS))


def _tokens(cell: str) -> list[tuple[str, str]]:
    found, at, text = [], 0, cell.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise NotCompiled(f"`{cell}`: {text[at:].strip()[0]!r} is of the language that the engine runs")
        found.append((token.lastgroup, token[token.lastgroup]))
        at = token.end()
    return found


def literals_of(condition: Condition) -> list[tuple[str, Literal]]:
    """Every input's name with a literal that it is compared with for being equal or not."""
    match condition:
        case Comparison(name, Operator.EQUAL | Operator.UNEQUAL, operand) if not isinstance(operand, Named):
            return [(name, operand)]
        case Membership(name, members):
            return [(name, member) for member in members]
        case Not(part):
            return literals_of(part)
        case Both(parts) | Either(parts):
            return [pair for part in parts for pair in literals_of(part)]
    return []


def names_of(condition: Condition) -> set[str]:
    """The inputs that it reads."""
    match condition:
        case Comparison(name, _, Named(other)):
            return {name, other}
        case Not(part):
            return names_of(part)
        case Both(parts) | Either(parts):
            return {name for part in parts for name in names_of(part)}
        case Comparison(name) | Interval(name) | Membership(name):
            return {name}
    raise AssertionError(condition)


def holds(condition: Condition, values: Mapping[str, Literal]) -> bool:
    """Whether it holds for one case."""
    match condition:
        case Comparison(name, operator, operand):
            other = values[operand.name] if isinstance(operand, Named) else operand
            return _COMPARE[operator](values[name], other)
        case Interval(name, low, high, low_open, high_open):
            value = int(values[name])
            return low + low_open <= value <= high - high_open
        case Membership(name, members):
            return values[name] in members
        case Not(part):
            return not holds(part, values)
        case Both(parts):
            return all(holds(part, values) for part in parts)
        case Either(parts):
            return any(holds(part, values) for part in parts)
    raise AssertionError(condition)


_COMPARE = {
    Operator.LESS: lambda one, other: one < other,
    Operator.AT_MOST: lambda one, other: one <= other,
    Operator.MORE: lambda one, other: one > other,
    Operator.AT_LEAST: lambda one, other: one >= other,
    Operator.EQUAL: lambda one, other: one == other,
    Operator.UNEQUAL: lambda one, other: one != other,
}


def can_hold(condition: Condition, given: Input) -> bool:
    """Whether a value that the input may have makes it hold. The condition reads that input alone.

    Numbers are tried at and next to every literal and bound: between those nothing changes. A text without an
    enumeration is tried as each literal and as one that is none of them.
    """
    return any(holds(condition, {given.name: value}) for value in _tried(condition, given))


def _tried(condition: Condition, given: Input) -> list[Literal]:
    if given.kind is Kind.BOOLEAN:
        return [False, True]
    if given.kind is Kind.STRING:
        stated = [literal for _, literal in literals_of(condition)]
        return list(given.values) or [*stated, "".join(map(str, stated)) + "."]
    step = SCALE if given.kind is Kind.INTEGER else 1
    low, high = bounds_of(given)
    edges = {low, high, *_edges(condition)}
    near = {edge // step * step + move * step for edge in edges for move in (-1, 0, 1, 2)}
    return sorted(value for value in near if low <= value <= high)


def _edges(condition: Condition) -> set[int]:
    match condition:
        case Comparison(_, _, operand) if not isinstance(operand, Named):
            return {int(operand)}
        case Interval(_, low, high):
            return {low, high}
        case Membership(_, members):
            return {int(member) for member in members}
        case Not(part):
            return _edges(part)
        case Both(parts) | Either(parts):
            return {edge for part in parts for edge in _edges(part)}
    return set()


def bounds_of(given: Input) -> tuple[int, int]:
    """The least and the greatest number that the input may have, in millionths."""
    lows = [-LARGEST * SCALE]
    highs = [LARGEST * SCALE]
    if given.minimum is not None:
        lows.append(millionths(given.minimum))
    if given.above is not None:
        lows.append(millionths(given.above) + 1)
    if given.maximum is not None:
        highs.append(millionths(given.maximum))
    if given.below is not None:
        highs.append(millionths(given.below) - 1)
    return max(lows), min(highs)


def millionths(number: float) -> int:
    """A bound as the schema states it, in millionths."""
    return int(Decimal(repr(number)).scaleb(DECIMALS).to_integral_value())
