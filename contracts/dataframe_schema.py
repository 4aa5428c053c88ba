"""The value rules of a contract, compiled to pandera schemas over polars frames.

pandera judges; this module only writes its schemas. Two traps are avoided here:

- pandera validates a polars `LazyFrame` by its schema alone and lets bad data pass, and the
  environment can switch validation off altogether. `violations` validates eager frames, with
  validation and its full depth set explicitly.
- pandera spends about a millisecond on every check, whatever the frame's size. A daily partition
  has a thousand rows and dozens of rules, so a frame first meets the `screen`: one check that
  holds all rules at once. Only the rows it stops, and the rules they break, get a check each.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from contracts.contract import Column, Contract
from contracts.pattern import portable
from contracts.predicate import parse

if TYPE_CHECKING:
    import pandera.polars as pa

_NOT_NULL = "not_nullable"  # what pandera calls a null in a column that must not have one


class EnforcementError(RuntimeError):
    """Rows could not be judged, so none may pass. Not the data's fault: look at the rule it names."""


@dataclass(frozen=True)
class ValueRule:
    """One rule that the values of a single row keep or break.

    `keeps` is FALSE where a row breaks the rule. `column` is where pandera files it: for a row rule,
    the first column of its predicate.
    """

    name: str
    column: str
    keeps: pl.Expr


@lru_cache(maxsize=256)
def value_rules(contract: Contract) -> tuple[ValueRule, ...]:
    """Every value rule of `contract`: required, range, pattern, valid values, row rules."""
    rules = [rule for column in contract.columns for rule in column_rules(column)]
    for row_rule in contract.row_rules:
        keeps = parse(row_rule.predicate, contract.schema)
        # Filing the rule under a column keeps pandera from copying whole rows into its report.
        rules.append(ValueRule(f"row: {row_rule.name}", keeps.meta.root_names()[0], keeps))
    return tuple(rules)


def required_rule(column: str) -> str:
    """The name of the rule that `column` has a value."""
    return f"{column}: required"


def column_rules(column: Column) -> Iterator[ValueRule]:
    """The value rules of one column: required, range, pattern, valid values."""
    name, value = column.name, pl.col(column.name)
    if column.required:
        yield ValueRule(required_rule(name), name, value.is_not_null())
    if column.minimum is not None:
        yield ValueRule(f"{column.name}: minimum {column.minimum}", column.name, value >= pl.lit(column.minimum))
    if column.maximum is not None:
        yield ValueRule(f"{column.name}: maximum {column.maximum}", column.name, value <= pl.lit(column.maximum))
    if column.pattern is not None:
        whole = rf"\A(?:{portable(column.pattern)})\z"
        yield ValueRule(f"{column.name}: pattern", column.name, value.str.contains(whole))
    if column.valid_values:
        valid = pl.Series(column.valid_values, dtype=column.dtype).implode()
        yield ValueRule(f"{name}: valid values", name, value.is_in(valid))


@lru_cache(maxsize=256)
def dataframe_schema(contract: Contract) -> "pa.DataFrameSchema":
    """The whole contract as one pandera schema: types, order, and one check for each value rule.

    Validate eager frames with it, never a `LazyFrame`.
    """
    import pandera.polars as pa

    columns = {column.name: _column(column, value_rules(contract)) for column in contract.columns}
    return pa.DataFrameSchema(columns, strict=True, ordered=True, name=f"{contract.workload}.{contract.name}")


@lru_cache(maxsize=4096)
def _narrowed(contract: Contract, names: frozenset[str]) -> "pa.DataFrameSchema":
    """The schema that checks only the value rules called `names`, on the columns they are filed under."""
    import pandera.polars as pa

    rules = [rule for rule in value_rules(contract) if rule.name in names]
    columns = {name: _column(contract.column(name), rules) for name in dict.fromkeys(rule.column for rule in rules)}
    return pa.DataFrameSchema(columns, name=f"{contract.workload}.{contract.name}")


def _column(column: Column, rules: Iterable[ValueRule]) -> "pa.Column":
    """The pandera column that checks those of `rules` that are filed under `column`."""
    import pandera.polars as pa

    own = {rule.name: rule for rule in rules if rule.column == column.name}
    return pa.Column(
        column.dtype,
        nullable=own.pop(required_rule(column.name), None) is None,
        checks=[_check(rule) for rule in own.values()],
        description=column.description or None,
    )


@lru_cache(maxsize=256)
def _screen(contract: Contract) -> "pa.DataFrameSchema":
    """One check, filed under the first column, that a row passes when it keeps every value rule."""
    import pandera.polars as pa

    rules = value_rules(contract)
    keeps = pl.all_horizontal([rule.keeps.fill_null(value=True) for rule in rules])
    screen = ValueRule("screen", contract.columns[0].name, keeps)
    column = pa.Column(contract.columns[0].dtype, checks=[_check(screen)], nullable=True)
    return pa.DataFrameSchema({screen.column: column}, name=f"{contract.workload}.{contract.name} screen")


def _check(rule: ValueRule) -> "pa.Check":
    import pandera.polars as pa
    from pandera.api.polars.types import PolarsData

    def keeps(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.keeps)

    return pa.Check(keeps, name=rule.name, error=rule.name)


def violations(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Which rows of `frame` break which value rules: columns `index` (UInt32) and `rule`.

    `frame` has the contract's columns and types (see `contracts.enforcement`, which makes it so).
    Raises `EnforcementError` when pandera could not evaluate a rule.
    """
    rules = value_rules(contract)
    stopped = _failures(_screen(contract), frame) if rules else _NONE
    if stopped.is_empty():
        return _NONE
    suspects = frame[stopped["index"]]
    kept = suspects.select(rule.keeps.all().alias(rule.name) for rule in rules).row(0, named=True)
    broken = frozenset(rule.name for rule in rules if not kept[rule.name])
    found = _failures(_narrowed(contract, broken), suspects)
    if found["index"].n_unique() != suspects.height:
        raise EnforcementError(
            f"{contract.name} {contract.version}: the screen stopped {suspects.height} rows, but the rules "
            f"explain {found['index'].n_unique()}; a rule gives another verdict when it is evaluated again"
        )
    return found.with_columns(index=stopped["index"].gather(found["index"]))


_NONE = pl.DataFrame(schema={"index": pl.UInt32, "rule": pl.String})


def _failures(schema: "pa.DataFrameSchema", frame: pl.DataFrame) -> pl.DataFrame:
    """pandera's failure cases on an eager frame, as `index` and `rule`."""
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    try:
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return _NONE
    unplaced = cases.filter(pl.col("index").is_null())
    if not unplaced.is_empty():
        first = unplaced.row(0, named=True)
        raise EnforcementError(f"{schema.name}: {first['check']!r} could not be evaluated: {first['failure_case']}")
    rule = pl.when(pl.col("check") == _NOT_NULL).then(pl.format("{}: required", "column")).otherwise("check")
    return cases.select(pl.col("index").cast(pl.UInt32), rule=rule)
