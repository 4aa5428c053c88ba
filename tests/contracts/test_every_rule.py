"""Every rule of a contract, broken in generated rows: each enforcement that covers the rule flags the same rows.

Which enforcement covers which rule is the table below. All of them are made from the one contract, so they may
differ only where the table says that one does not look.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from generation import Sample, chance, contracts, rules, sample
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from contracts import canonical_json
from contracts.contract import Column, Contract, LogicalType
from contracts.dataframe_schema import dataframe_schema
from contracts.document import load
from contracts.enforcement import enforce
from contracts.json_schema import broken_rules, event_validator

# What each enforcement says of the rows of one table; `row` and `key` are the rules that need more than one value.
VALUES = {"required", "minimum", "maximum", "pattern", "valid values"}
SHAPE = {"type", "missing column", "undeclared column"}
COVERS = {
    # The boundary of every table: all of it, row by row.
    "enforce": {*VALUES, *SHAPE, "finite", "row", "key"},
    # The whole pandera schema: values and row rules by row. Of SHAPE it refuses the frame, without saying which rows.
    "pandera": {*VALUES, "row"},
    # One event at the door: nothing that ties columns or rows together.
    "json schema": {*VALUES, *SHAPE, "finite"},
}
ROOT = Path(__file__).parent.parent.parent
REAL = sorted(ROOT.glob("contracts/*/*.odcs.yaml")) + sorted(ROOT.glob("tests/workloads/**/*.odcs.yaml"))


def kind(rule: str) -> str:
    """`required` of `c: required`, `minimum` of `c: minimum 3`, `row` of `row: in_order`, `key` of `key: conflict`."""
    column, _, said = rule.partition(": ")
    if column in ("row", "key"):
        return column
    return next(each for each in (*VALUES, *SHAPE, "finite") if said == each or said.startswith(f"{each} "))


def covered(broken: set[str], enforcement: str) -> set[str]:
    return {rule for rule in broken if kind(rule) in COVERS[enforcement]}


def by_pandera(frame: pl.DataFrame, contract: Contract) -> list[set[str]]:
    found: list[set[str]] = [set() for _ in range(frame.height)]
    try:
        dataframe_schema(contract).validate(frame, lazy=True)
    except SchemaErrors as errors:
        for case in errors.failure_cases.iter_rows(named=True):
            missing = case["check"] == "not_nullable"
            found[case["index"]].add(f"{case['column']}: required" if missing else case["check"])
    return found


def events(made: Sample) -> list[dict[str, Any]]:
    """The rows as they come from JSON: the numbers that JSON cannot say are what a lenient parser makes of them."""
    parsed = map(json.loads, canonical_json.rows(made.frame))
    odd = [{n: v for n, v in row.items() if isinstance(v, float) and not math.isfinite(v)} for row in made.rows]
    return [event | numbers for event, numbers in zip(parsed, odd, strict=True)]


def unbroken(made: Sample) -> set[str]:
    """What the rows fail to show: rules that none of them breaks, and that one of them breaks nothing."""
    return rules(made.contract) - set().union(*made.broken) | ({"clean"} if set() not in made.broken else set())


def agree(made: Sample) -> None:
    """All enforcements on the same rows, each against the definition."""
    contract = made.contract
    assert enforce(made.frame, contract).quarantined["rules"].to_list() == [sorted(b) for b in made.broken if b]
    finite = made.only(*(at for at, b in enumerate(made.broken) if not any(rule.endswith(": finite") for rule in b)))
    assert by_pandera(finite.frame, contract) == [covered(broken, "pandera") for broken in finite.broken]
    validator = event_validator(contract)
    for event, broken in zip(events(made), made.broken, strict=True):
        expected = covered(broken, "json schema")
        assert broken_rules(event, contract) == sorted(expected)
        assert validator.is_valid(event) == (not expected) or any(rule.endswith(": finite") for rule in expected)

    clean = made.only(*(at for at, broken in enumerate(made.broken) if not broken))
    assert enforce(clean.frame, contract).valid.equals(clean.frame)
    assert not any(by_pandera(clean.frame, contract))
    assert not any(broken_rules(event, contract) for event in events(clean))


@settings(max_examples=30)
@given(contracts(), st.integers())
def test_every_enforcement_flags_the_rows_that_break_what_it_covers(contract: Contract, seed: int) -> None:
    made = sample(contract, chance(seed))
    assume(not unbroken(made))
    agree(made)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name.removesuffix(".odcs.yaml"))
def test_the_enforcements_of_every_real_contract_agree(path: Path) -> None:
    contract = load(path)
    # Values are drawn by chance, so a row rule may go unbroken under one seed.
    made = next(made for made in (sample(contract, chance(seed)) for seed in range(2013, 2018)) if not unbroken(made))
    agree(made)


@settings(max_examples=8)
@given(contracts(), st.integers())
def test_rows_of_another_shape_are_flagged_by_all_that_look_at_it(contract: Contract, seed: int) -> None:
    made = sample(contract, chance(seed))
    clean = made.only(*(at for at, broken in enumerate(made.broken) if not broken))
    assume(clean.rows)
    frame, documents = clean.frame, events(clean)

    extra = frame.with_columns(extra=pl.lit(1))
    assert enforce(extra, contract).quarantined["rules"].to_list() == [["extra: undeclared column"]] * frame.height
    assert refused_by_pandera(extra, contract)
    assert all(broken_rules(e | {"extra": 1}, contract) == ["extra: undeclared column"] for e in documents)

    for column in contract.columns:
        missing = f"{column.name}: missing column"
        short = frame.drop(column.name)
        assert all(missing in rules for rules in enforce(short, contract).quarantined["rules"])
        assert enforce(short, contract).valid.is_empty()
        assert refused_by_pandera(short, contract)
        for event in documents:
            without = {name: value for name, value in event.items() if name != column.name}
            assert broken_rules(without, contract) == ([missing] if column.required else [])

        mistyped = f"{column.name}: type {column.type}"
        untyped, strays = as_text(frame, column), {0}
        if column.type is LogicalType.STRING:
            # No column of text holds a number, so here the whole column is of another type.
            untyped, strays = frame.with_columns(pl.lit(1.5).alias(column.name)), set(range(frame.height))
        split = enforce(untyped.with_columns(at=pl.int_range(pl.len())), contract, partition="at")
        told = dict(split.quarantined.select("at", "rules").iter_rows())
        assert {at for at, rules in told.items() if mistyped in rules} == strays
        assert all({kind(rule) for rule in rules} <= {"type", "row"} for rules in told.values())
        assert refused_by_pandera(untyped, contract)
        wrong: Any = 1.5 if column.type is LogicalType.STRING else "nonsense"
        assert all(broken_rules(event | {column.name: wrong}, contract) == [mistyped] for event in documents)


def as_text(frame: pl.DataFrame, column: Column) -> pl.DataFrame:
    """The column as text, as a file of comma-separated values has it, with nonsense in the first row."""
    value = pl.col(column.name)
    text = value.dt.to_string("iso:strict") if column.type is LogicalType.TIMESTAMP else value.cast(pl.String)
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(pl.when(first).then(pl.lit("nonsense")).otherwise(text).alias(column.name))


def refused_by_pandera(frame: pl.DataFrame, contract: Contract) -> bool:
    try:
        dataframe_schema(contract).validate(frame, lazy=True)
    except SchemaErrors:
        return True
    return False
