"""A table as column expressions: which rules match, for all rows at once.

It says what zen-engine says, rule by rule, which property tests hold it to. A table with a cell outside the compiled
part of the language (`cells`) is not compiled at all.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from automation.policy.tables.answers import WORD_BITS, words_of
from automation.policy.tables.cells import (
    ALWAYS,
    Both,
    Comparison,
    Condition,
    Either,
    Interval,
    Membership,
    Named,
    Not,
    NotCompiled,
    Operator,
    parse,
)

if TYPE_CHECKING:
    from automation.policy.tables.document import Document

_COMPARE = {
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
}


@dataclass(frozen=True)
class Compiled:
    """``words`` gives the bits of the rules that match, from normalised values."""

    words: tuple[pl.Expr, ...]

    def matched(self, values: pl.DataFrame) -> pl.DataFrame:
        """The bits for each row (UInt64, 64 rules a column; see `answers`)."""
        names = [word.meta.output_name() for word in self.words]
        return values.lazy().with_columns(self.words).select(names).collect()


def compiled(document: Document) -> Compiled:
    """Compiles all rules.

    Raises:
        NotCompiled: a cell is outside the part of the language that is; the message says which and why.
    """
    inputs = {given.name: given for given in document.inputs}
    bits = []
    for number, rule in enumerate(document.rules):
        cells = []
        for column, cell in zip(document.columns, rule.cells, strict=True):
            try:
                condition = parse(cell, column.reads, inputs)
            except NotCompiled as reason:
                raise NotCompiled(f"rule row {rule.row}, cell {column.title}: {reason}") from reason
            if condition != ALWAYS:
                cells.append(_expression(condition))
        bit = pl.lit(1 << number % WORD_BITS, dtype=pl.UInt64)
        matches = reduce(operator.and_, cells, pl.lit(True))
        bits.append(pl.when(matches).then(bit).otherwise(pl.lit(0, dtype=pl.UInt64)))
    words = [
        reduce(operator.or_, bits[number * WORD_BITS : (number + 1) * WORD_BITS]).alias(name)
        for number, name in enumerate(words_of(len(bits)))
    ]
    return Compiled(tuple(words))


def _expression(condition: Condition) -> pl.Expr:
    match condition:
        case Both(parts):
            return reduce(operator.and_, [_expression(part) for part in parts], pl.lit(True))
        case Either(parts):
            return reduce(operator.or_, [_expression(part) for part in parts], pl.lit(False))
        case Not(part):
            return ~_expression(part)
    return _test(condition)


def _test(condition: Comparison | Interval | Membership) -> pl.Expr:
    column = pl.col(condition.name)
    match condition:
        case Comparison(_, compare, operand):
            return _COMPARE[compare](column, pl.col(operand.name) if isinstance(operand, Named) else pl.lit(operand))
        case Interval(_, low, high, low_open, high_open):
            # In whole millionths an open end is the next number.
            return (column >= low + low_open) & (column <= high - high_open)
        case Membership(_, members):
            return reduce(operator.or_, [column == pl.lit(member) for member in members])
