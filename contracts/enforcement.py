"""Enforcement: splitting rows into those that keep a contract and those that break it.

Nothing is lost: every row of the frame is in exactly one of the two tables, and every quarantined
row says which rules it broke. Where the data leaves room for doubt (two rows that claim the same
key and differ, a table with a column nobody declared) all rows in doubt are quarantined.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from contracts import canonical_json, row_types
from contracts.contract import Contract
from contracts.conversion import converted
from contracts.dataframe_schema import EnforcementError, required_rule, violations
from contracts.repetition import repeated

__all__ = ["QUARANTINE_SCHEMA", "EnforcementError", "LostRowsError", "Split", "enforce", "enforce_together"]

QUARANTINE_SCHEMA: dict[str, pl.DataType] = {
    "row": pl.String(),
    "types": pl.String(),
    "rules": pl.List(pl.String()),
    "contract": pl.String(),
    "version": pl.String(),
}

_BROKEN = {"index": pl.UInt32(), "rule": pl.String()}


class LostRowsError(RuntimeError):
    """Rows in are not rows valid plus rows quarantined. Publish nothing from this run; report the frame."""


@dataclass(frozen=True, eq=False)
class Split:
    """One frame, split by one contract.

    `valid` has the contract's columns, in its order and types, and the frame's row order.
    `quarantined` has QUARANTINE_SCHEMA: the original row as canonical JSON and the types it had, the sorted names
    of all rules it broke, and the contract's name and version. `held` says which rows of the frame they are.
    """

    valid: pl.DataFrame
    quarantined: pl.DataFrame
    held: pl.Series

    @property
    def rows_in(self) -> int:
        """The number of rows of the frame that was split."""
        return self.valid.height + self.quarantined.height

    @property
    def quarantined_share(self) -> float:
        """The share of rows quarantined, 0 to 1; 0 when there were no rows."""
        return self.quarantined.height / self.rows_in if self.rows_in else 0.0

    @property
    def broken(self) -> dict[str, int]:
        """How many rows broke each rule, by rule name, sorted. A row counts once for each rule it broke."""
        rules = self.quarantined["rules"].explode(empty_as_null=False)
        return dict(sorted(rules.value_counts().iter_rows()))


def enforce(rows: pl.DataFrame, contract: Contract, partition: str | None = None) -> Split:
    """Split `rows` into those that keep `contract` and those that break it.

    `partition` names a column that says which partition a row belongs to: it is no part of the contract, keys are
    unique within it, and both sides of the split carry it as their last column. So a range of partitions splits as
    each of them does alone.

    The rules, by name (`c` is a column):

    - `c: missing column`, `c: undeclared column`: the frame's shape is not the contract's (every row).
    - `c: type integer`: the value cannot be converted to the column's type without loss.
    - `c: finite`: the value is NaN or infinite.
    - `c: required`, `c: minimum 0`, `c: maximum 120`, `c: pattern`, `c: valid values`, `row: <name>`:
      the value rules, judged by pandera. A value that broke a type or finite rule is unknown to them.
    - `key: duplicate`: a copy of an earlier row (the first one is kept). Rows say the same if their values are the
      same in the contract's types, however they were spelt.
    - `key: conflict`: another row has the same key and different content; nobody can tell which is right.

    Raises `EnforcementError` when a rule could not be evaluated, `LostRowsError` if rows were lost.
    """
    return enforce_together([rows], contract, partition)[0]


def enforce_together(parts: Sequence[pl.DataFrame], contract: Contract, partition: str | None = None) -> list[Split]:
    """Splits `parts` as `enforce` splits one frame: keys are unique over all of them, and earlier ones come first.

    The parts may differ in columns and types: rows that were valid and rows as they once came, for instance.
    """
    conformed = [_Conformed.of(rows, contract, partition) for rows in parts]
    repeated = _key_rules(conformed, contract)
    return [part.split(contract, found) for part, found in zip(conformed, repeated, strict=True)]


@dataclass(frozen=True, eq=False)
class _Conformed:
    """A frame, the same in the contract's columns and types, the values that could not be, and its partitions."""

    frame: pl.DataFrame
    declared: pl.DataFrame
    unusable: list[pl.DataFrame]
    belongs: list[pl.Series]

    @classmethod
    def of(cls, rows: pl.DataFrame, contract: Contract, partition: str | None) -> "_Conformed":
        frame = rows if partition is None else rows.drop(partition)
        declared, unusable = _conform(frame, contract)
        return cls(frame, declared, unusable, [] if partition is None else [rows[partition]])

    def split(self, contract: Contract, repeated: list[pl.DataFrame]) -> Split:
        frame, declared, belongs = self.frame, self.declared, self.belongs
        parts = [
            *_everywhere(frame, contract),
            *self.unusable,
            *repeated,
            _required_once(violations(declared, contract), self.unusable, frame, contract),
        ]
        broken = pl.concat([part for part in parts if not part.is_empty()] or [pl.DataFrame(schema=_BROKEN)])
        if broken.is_empty():
            nothing = pl.DataFrame(schema=QUARANTINE_SCHEMA).hstack([series.clear() for series in belongs])
            split = Split(declared.hstack(belongs), nothing, broken["index"])
        else:
            by_row = broken.unique().group_by("index").agg(pl.col("rule").sort()).sort("index")
            stopped = pl.Series([False]).new_from_index(0, frame.height).scatter(by_row["index"], values=True)
            quarantined = pl.DataFrame(
                {
                    "row": canonical_json.rows(frame[by_row["index"]]),
                    "types": [row_types.described(frame.schema)] * by_row.height,
                    "rules": by_row["rule"],
                    "contract": [contract.name] * by_row.height,
                    "version": [contract.version] * by_row.height,
                },
                schema=QUARANTINE_SCHEMA,
            )
            split = Split(
                declared.filter(~stopped).hstack([series.filter(~stopped) for series in belongs]),
                quarantined.hstack([series.gather(by_row["index"]) for series in belongs]),
                by_row["index"],
            )
        if split.rows_in != frame.height:
            raise LostRowsError(
                f"{contract.name} {contract.version}: {frame.height} rows in, {split.valid.height} valid and "
                f"{split.quarantined.height} quarantined. Publish nothing from this run"
            )
        return split

    def says(self, index: pl.Series, contract: Contract) -> list[str]:
        """What the rows at `index` say: values in the contract's types, or as they came where they do not convert."""
        texts = canonical_json.rows(self.declared[index])
        as_it_came = {
            name: self.frame[name].is_not_null() for name in self.frame.columns if name not in contract.schema
        }
        for part in self.unusable:
            if not part.is_empty():
                name = part["rule"][0].rpartition(": ")[0]
                lost = pl.Series([False]).new_from_index(0, self.frame.height).scatter(part["index"], values=True)
                as_it_came[name] = as_it_came.get(name, lost) | lost
        for name in sorted(as_it_came):
            spelt = canonical_json.rows(self.frame.select(name)[index])
            applies = as_it_came[name].gather(index)
            texts = [text + more if apply else text for text, more, apply in zip(texts, spelt, applies, strict=True)]
        return texts


def _conform(frame: pl.DataFrame, contract: Contract) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """`frame` in the contract's columns and types, and the values that could not be: null in the
    frame, and one part of broken rules for each column that has some."""
    present = [column for column in contract.columns if column.name in frame.columns]
    changes = {
        column.name: converted(frame.schema[column.name], column)
        for column in present
        if frame.schema[column.name] != column.dtype
    }
    missing = [pl.lit(None, dtype=dtype).alias(n) for n, dtype in contract.schema.items() if n not in frame.columns]
    # with_columns keeps the height where a select of literals alone would make one row of any number.
    declared = (
        frame.with_columns(*changes.values(), *missing).select(list(contract.schema))
        if frame.width
        else pl.DataFrame(schema=contract.schema).clear(frame.height)
    )
    broken: list[pl.DataFrame] = []
    for name in changes:
        lost = declared[name].is_null() & frame[name].is_not_null()
        broken.append(_rows_where(lost, f"{name}: type {contract.column(name).type}"))
    floats = [column.name for column in present if column.dtype.is_float()]
    infinite = declared.select((~pl.col(name).is_finite()).any() for name in floats).row(0) if floats else ()
    for name in (name for name, some in zip(floats, infinite, strict=True) if some):
        broken.append(_rows_where(~declared[name].is_finite(), f"{name}: finite"))
        declared = declared.with_columns(pl.when(pl.col(name).is_finite()).then(name).alias(name))
    return declared, broken


def _rows_where(mask: pl.Series, rule: str) -> pl.DataFrame:
    index = mask.fill_null(value=False).arg_true()
    return pl.DataFrame({"index": index}, schema={"index": pl.UInt32}).with_columns(rule=pl.lit(rule))


def _everywhere(frame: pl.DataFrame, contract: Contract) -> Iterator[pl.DataFrame]:
    """The rules that every row breaks, because the frame's columns are not the contract's."""
    every = pl.Series([True]).new_from_index(0, frame.height)
    for name in contract.schema:
        if name not in frame.columns:
            yield _rows_where(every, f"{name}: missing column")
    for name in frame.columns:
        if name not in contract.schema:
            yield _rows_where(every, f"{name}: undeclared column")


def _required_once(
    found: pl.DataFrame, unusable: list[pl.DataFrame], frame: pl.DataFrame, contract: Contract
) -> pl.DataFrame:
    """`found` without the nulls that conforming made: they have their own rule already."""
    made = [
        part.select("index", rule=pl.lit(required_rule(part["rule"][0].rpartition(": ")[0])))
        for part in unusable
        if not part.is_empty()
    ]
    absent = [required_rule(name) for name in contract.schema if name not in frame.columns]
    found = found.filter(~pl.col("rule").is_in(absent)) if absent else found
    return found.join(pl.concat(made), on=["index", "rule"], how="anti") if made else found


def _key_rules(parts: Sequence[_Conformed], contract: Contract) -> list[list[pl.DataFrame]]:
    """The copies and the conflicts among rows of one partition that have a complete key, part by part."""
    nothing: list[list[pl.DataFrame]] = [[] for _ in parts]
    if not contract.key or not parts:
        return nothing
    key = [*contract.key, *(series.name for series in parts[0].belongs)]
    keys = pl.concat([part.declared.hstack(part.belongs).select(key) for part in parts])
    again = repeated(keys)
    if not again.any():
        return nothing
    offsets = [0, *itertools.accumulate(part.declared.height for part in parts)]
    place = (
        pl.Series("part", range(len(parts)), dtype=pl.UInt32)
        .repeat_by(pl.Series([part.declared.height for part in parts]))
        .explode(empty_as_null=False)
    )
    rows = (
        keys.with_columns(place)
        .with_row_index("index")
        .filter(again)
        .drop_nulls(key)
        .with_columns(pl.col("index").cast(pl.UInt32))
    )
    content: list[str] = []
    for number, part in enumerate(parts):
        here = rows.filter(pl.col("part") == number)["index"]
        content += part.says(here - offsets[number], contract) if here.len() else []
    rows = rows.with_columns(content=pl.Series(content, dtype=pl.String)).with_columns(
        contents=pl.col("content").n_unique().over(key), first=pl.col("index").min().over(key)
    )
    conflict, copies = rows.filter(pl.col("contents") > 1), rows.filter(pl.col("contents") == 1)
    found = (
        conflict.select("part", "index", rule=pl.lit("key: conflict")),
        copies.filter(pl.col("index") != pl.col("first")).select("part", "index", rule=pl.lit("key: duplicate")),
    )
    return [
        [
            rules.filter(pl.col("part") == number).select(pl.col("index") - pl.lit(offset, pl.UInt32), "rule")
            for rules in found
        ]
        for number, offset in enumerate(offsets[:-1])
    ]
