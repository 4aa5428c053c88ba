"""Whether row rules imply another one: what can be decided from their structure, and nothing that cannot.

A row keeps a rule unless its predicate is FALSE (`contracts.predicate`). Hence, in SQL's three-valued
logic, a row keeps `A AND B` exactly when it keeps `A` and keeps `B`, and a row that keeps `A` keeps
`A OR B`. Predicates are taken apart into such clauses and atoms; two atoms are compared as polars
parsed them, so spelling, parentheses and the order of what commutes make no difference, and
comparisons of the same thing with constants are ordered. General implication between predicates is
left undecided.
"""

import json
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import polars as pl

_FLIPPED = {"Gt": "Lt", "GtEq": "LtEq"}
_SYMMETRIC = frozenset({"Eq", "NotEq", "And", "Or"})
_COMPARISONS = frozenset({"Lt", "LtEq", "Eq", "NotEq", "Gt", "GtEq"})
_ARITHMETIC = frozenset({"Plus", "Minus", "Multiply", "Divide"})

Node: TypeAlias = Any  # polars' own JSON of an expression


@dataclass(frozen=True)
class _Atom:
    """One comparison or condition, normalised. `bound` is the constant it compares with, where it is such a comparison:
    then `text` is that of the other side, and `upper` says that the constant lies above it."""

    text: str
    bound: Decimal | None = None
    upper: bool = False
    strict: bool = False


_Clause: TypeAlias = frozenset[_Atom]


def implied(predicate: str, given: Iterable[str]) -> bool:
    """Whether every row that keeps all of `given` keeps `predicate`, over the same columns of the same types.

    True is a proof; False says nothing.

    >>> implied("a <= b", ["b >= a AND c > 3"]), implied("c > 2 OR a = 1", ["c > 3"]), implied("c > 3", ["c > 2"])
    (True, True, False)
    """
    known = [clause for text in given for clause in _clauses(_tree(text))]
    return all(any(_clause_implies(old, new) for old in known) for new in _clauses(_tree(predicate)))


def kept_without(predicate: str, missing: Set[str]) -> bool:
    """Whether a row keeps the predicate whatever it holds, when the columns `missing` are null. False says nothing."""
    return _kept_without(_tree(predicate), missing)


def only_compares(predicate: str, column: str) -> bool:
    """Whether the predicate computes nothing with `column`: it is only compared, with another column or a constant."""
    return _only_compares(_tree(predicate), column)


def columns(predicate: str) -> set[str]:
    """The columns that the predicate names."""
    return set(pl.sql_expr(predicate).meta.root_names())


def constants(predicate: str) -> Iterator[Decimal | str]:
    """The numbers and texts that the predicate names, but for those in lists."""
    yield from _constants(_tree(predicate))


def _tree(predicate: str) -> Node:
    return json.loads(pl.sql_expr(predicate).meta.serialize(format="json"))


def _operation(node: Node) -> tuple[str, list[Node]]:
    """A node as an operator and its operands: polars writes comparisons with decimals as functions."""
    match node:
        case {"BinaryExpr": {"left": left, "op": op, "right": right}}:
            return op, [left, right]
        case {"Function": {"input": [left, right], "function": {"Sql": {"Binary": op}}}}:
            return op, [left, right]
        case _:
            return "", []


def _clauses(node: Node) -> list[_Clause]:
    """The conjuncts of a predicate, each the set of its disjuncts."""
    op, operands = _operation(node)
    if op == "And":
        return [clause for operand in operands for clause in _clauses(operand)]
    return [frozenset(_atoms(node))]


def _atoms(node: Node) -> Iterator[_Atom]:
    op, operands = _operation(node)
    if op == "Or":
        for operand in operands:
            yield from _atoms(operand)
        return
    if op in _FLIPPED:
        op, operands = _FLIPPED[op], operands[::-1]
    if op in ("Lt", "LtEq"):
        left, right = operands
        for side, constant, upper in ((left, right, True), (right, left, False)):
            bound = _number(constant)
            if bound is not None and _number(side) is None:
                yield _Atom(_normal(side), bound, upper, strict=op == "Lt")
                return
    yield _Atom(_normal(node))


def _normal(node: Node) -> str:
    """One text for all spellings of a node that mean the same."""
    op, operands = _operation(node)
    if not op:
        match node:
            case {"Function": {"input": operands, "function": function}}:
                return json.dumps([function, *(_normal(operand) for operand in operands)], sort_keys=True)
            case _:
                return json.dumps(node, sort_keys=True)
    if op in _FLIPPED:
        op, operands = _FLIPPED[op], operands[::-1]
    sides = [_normal(operand) for operand in operands]
    return json.dumps([op, *(sorted(sides) if op in _SYMMETRIC else sides)])


def _clause_implies(old: _Clause, new: _Clause) -> bool:
    return all(any(_atom_implies(one, other) for other in new) for one in old)


def _atom_implies(old: _Atom, new: _Atom) -> bool:
    if old == new:
        return True
    if old.bound is None or new.bound is None or (old.text, old.upper) != (new.text, new.upper):
        return False
    if old.bound == new.bound:
        return old.strict or not new.strict
    # Apart in the narrowest type that the constants may be compared in, else rounding could join them.
    one, other = pl.Series([float(old.bound), float(new.bound)], dtype=pl.Float32)
    return one < other if old.upper else one > other


def _number(node: Node) -> Decimal | None:
    match node:
        case {"Literal": {"Dyn": {"Int": int(value)}}}:
            return Decimal(value)
        case {"Literal": {"Scalar": {"Decimal": [int(value), _, int(scale)]}}}:
            return Decimal(value).scaleb(-scale)
        case _:
            return None


def _constants(node: Node) -> Iterator[Decimal | str]:
    number = _number(node)
    if number is not None:
        yield number
        return
    match node:
        case {"Literal": {"Scalar": {"String": str(text)}}}:
            yield text
        case dict():
            for value in node.values():
                yield from _constants(value)
        case list() if not all(isinstance(item, int) for item in node):
            for item in node:
                yield from _constants(item)


def _kept_without(node: Node, missing: Set[str]) -> bool:
    op, operands = _operation(node)
    if op in ("And", "Or"):
        return (all if op == "And" else any)(_kept_without(operand, missing) for operand in operands)
    return _null_without(node, missing)


def _null_without(node: Node, missing: Set[str]) -> bool:
    """Whether the node is surely null when the columns `missing` are."""
    op, operands = _operation(node)
    if op in _COMPARISONS | _ARITHMETIC:
        return any(_null_without(operand, missing) for operand in operands)
    match node:
        case {"Column": name}:
            return name in missing
        case {"Function": {"input": [operand], "function": {"Boolean": "Not"}}} | {"Cast": {"expr": operand}}:
            return _null_without(operand, missing)
        case _:
            return False


def _only_compares(node: Node, column: str) -> bool:
    if not _names(node, column):
        return True
    op, operands = _operation(node)
    match node:
        case {"Column": _}:
            return True
        case {"Function": {"input": operands, "function": {"Boolean": _}}}:
            return all(_only_compares(operand, column) for operand in operands)
    return op in _COMPARISONS | {"And", "Or"} and all(_only_compares(operand, column) for operand in operands)


def _names(node: Node, column: str) -> bool:
    """Whether the column is anywhere in the node."""
    match node:
        case {"Column": name}:
            return name == column
        case dict():
            return any(_names(value, column) for value in node.values())
        case list():
            return any(_names(item, column) for item in node)
        case _:
            return False
