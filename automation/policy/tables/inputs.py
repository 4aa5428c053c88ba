"""What a table may be asked with: every input present, of its type, finite, within its range, and normalised.

The engine answers a missing, null or mistyped value by skipping the rules that read it, a deny rule, too. So a row is
checked here before any engine sees it, and one that fails is not asked about at all: a person decides (`answers`).

Numbers are rounded to six decimals and must lie within a thousand million either way; then both engines compute with
the same decimals, and very small floats, which zen refuses, are zero. Bounds are held against the value as it came, and
bounds that are excluded against the rounded one, too.
Booleans are no numbers and numbers no texts, whatever they look like. A text must be one of its enumeration or, without
one, not be empty nor begin or end in white space.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import polars as pl

from automation.policy.tables.cells import LARGEST, SCALE, millionths
from automation.policy.tables.document import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from automation.policy.tables.document import Input

# No input can be called so.
_ROW, _SOUND = "_ROW", "_SOUND"
_TEXTS = (pl.String, pl.Categorical, pl.Enum)
_CALLED = {
    Kind.NUMBER: "a number",
    Kind.INTEGER: "a whole number",
    Kind.STRING: "a text",
    Kind.BOOLEAN: "a truth value",
}


@dataclass(frozen=True)
class Admitted:
    """``values`` are the rows that may be asked about, numbers in millionths; ``row`` of each and of all that may not.

    ``faults`` has, for each refused row, the names of its bad inputs and a sentence for each of them.
    """

    values: pl.DataFrame
    rows: pl.Series
    refused: pl.Series
    faults: pl.DataFrame

    @property
    def all(self) -> bool:
        return self.refused.is_empty()


def admit(frame: pl.DataFrame, inputs: Iterable[Input]) -> Admitted:
    """Tells the rows that a table may be asked about from those it may not. Columns that are no input are left out."""
    inputs = tuple(inputs)
    # The row's number beside them, so that a test or a column that is a literal is as long as the frame.
    asked = frame.select(given.name for given in inputs if given.name in frame.columns)
    asked = pl.DataFrame({_ROW: pl.int_range(frame.height, dtype=pl.UInt32, eager=True)}).hstack(asked)
    tests = {given.name: _tests(given, frame.schema.get(given.name)) for given in inputs}
    sound = [~test.fill_null(True) for found in tests.values() for test, _ in found]
    good = asked.with_columns(reduce(and_, sound).alias(_SOUND))[_SOUND]
    kept, refused = (asked, asked.clear()) if good.all() else (asked.filter(good), asked.filter(~good))
    values = kept.with_columns(_normalised(given, frame.schema.get(given.name)) for given in inputs)
    return Admitted(values.select(given.name for given in inputs), kept[_ROW], refused[_ROW], _faults(refused, tests))


def _tests(given: Input, dtype: pl.DataType | None) -> list[tuple[pl.Expr, str]]:
    """What is wrong with a value, in the order in which it is said: a test that is true (or null) of a bad one."""
    always = pl.lit(True)
    if dtype is None or dtype == pl.Null:
        return [(always, "is not there" if dtype is None else "is missing")]
    column = pl.col(given.name)
    found = [(column.is_null(), "is missing")]
    if not _fits(given.kind, dtype):
        found.append((always, f"is of type {dtype}, not {_CALLED[given.kind]}"))
    elif given.kind.is_number:
        found.extend(_number_tests(given, column.cast(pl.Float64, strict=False)))
    elif given.values:
        found.append((~column.cast(pl.String).is_in(list(given.values)), f"is none of {', '.join(given.values)}"))
    elif given.kind is Kind.STRING:
        text = column.cast(pl.String)
        found.append(((text == "") | (text != text.str.strip_chars()), "is empty or has white space around it"))
    return found


def _number_tests(given: Input, number: pl.Expr) -> list[tuple[pl.Expr, str]]:
    found = [
        (~number.is_finite(), "is not a finite number"),
        (number.abs() > LARGEST, f"lies beyond {LARGEST:,}"),
    ]
    if given.minimum is not None:
        found.append((number < given.minimum, f"is less than {given.minimum}"))
    if given.maximum is not None:
        found.append((number > given.maximum, f"is more than {given.maximum}"))
    if given.above is not None:
        found.append((_rounded(number) <= millionths(given.above), f"is not more than {given.above}"))
    if given.below is not None:
        found.append((_rounded(number) >= millionths(given.below), f"is not less than {given.below}"))
    return found


def _fits(kind: Kind, dtype: pl.DataType) -> bool:
    match kind:
        case Kind.NUMBER:
            return dtype.is_numeric()
        case Kind.INTEGER:
            return dtype.is_integer()
        case Kind.STRING:
            return isinstance(dtype, _TEXTS)
        case Kind.BOOLEAN:
            return dtype == pl.Boolean


def _normalised(given: Input, dtype: pl.DataType | None) -> pl.Expr:
    column = pl.col(given.name)
    if dtype is None or not _fits(given.kind, dtype):
        # No row of such a column is kept; the frame still has its columns.
        empty = {Kind.STRING: pl.String, Kind.BOOLEAN: pl.Boolean}.get(given.kind, pl.Int64)
        return pl.lit(None, dtype=empty).alias(given.name)
    if given.kind is Kind.BOOLEAN:
        return column
    if given.kind is Kind.STRING:
        return column.cast(pl.String)
    return _rounded(column.cast(pl.Float64)).cast(pl.Int64)


def _rounded(number: pl.Expr) -> pl.Expr:
    return (number * SCALE).round()


def _faults(bad: pl.DataFrame, tests: dict[str, list[tuple[pl.Expr, str]]]) -> pl.DataFrame:
    """For each row the rules (List[String], as ``input:NAME``) and reasons (List[String])."""
    if bad.is_empty():
        return pl.DataFrame(schema={"rules": pl.List(pl.String), "reasons": pl.List(pl.String)})
    said = {}
    for name, found in tests.items():
        # The first that is wrong is said; a test whose answer is null is one that failed.
        first = pl.lit(None, dtype=pl.String)
        for test, words in reversed(found):
            first = pl.when(test.fill_null(True)).then(pl.lit(f"{name} {words}")).otherwise(first)
        said[name] = first.alias(f"_{name}")
    sentences = bad.with_columns(said.values())
    rules = [pl.when(pl.col(f"_{name}").is_not_null()).then(pl.lit(f"input:{name}")) for name in said]
    return sentences.select(
        rules=pl.concat_list(rules).list.drop_nulls(),
        reasons=pl.concat_list(pl.col(f"_{name}") for name in said).list.drop_nulls(),
    )
