"""Row rules that imply others: what is said to be implied is, on every row."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.implication import constants, implied, kept_without, only_compares
from contracts.predicate import parse

SCHEMA = {"a": pl.Int64(), "b": pl.Int64(), "f": pl.Float32(), "t": pl.String()}


@pytest.mark.parametrize(
    ("predicate", "given_rules"),
    [
        ("a <= b", ["b >= a"]),
        ("a <= b", ["(a <= b) AND t = 'x'"]),
        ("a <= b AND t = 'x'", ["t = 'x'", "a <= b"]),
        ("a = 1 OR b > 2", ["b > 3"]),
        ("b > 2 OR a = 1 OR t IS NULL", ["a = 1 OR b > 2"]),
        ("a >= 1", ["a > 1"]),
        ("a > 1", ["2 < a"]),
        ("f <= 1.5", ["f < 1.5"]),
        ("a BETWEEN 1 AND 9", ["a BETWEEN 2 AND 8"]),
        ("t IN ('x', 'y')", ["t IN ('x','y')"]),
        ("NOT (a > b)", ["NOT a > b"]),
        ("(t = 'x') = (a IS NOT NULL)", ["(a IS NOT NULL) = (t = 'x')"]),
    ],
)
def test_what_follows_from_the_structure_is_implied(predicate: str, given_rules: list[str]) -> None:
    assert implied(predicate, given_rules)


@pytest.mark.parametrize(
    ("predicate", "given_rules"),
    [
        ("a > 1", ["a >= 1"]),
        ("a > 1", ["b > 1"]),
        ("a < 1", ["a > 1"]),
        ("a = 1", ["a = 1 OR b = 2"]),
        ("a <= b", []),
        ("a <= b", ["a <= b OR t = 'x'"]),
        # Rounded to the column's type, both constants are the same.
        ("f > 3", ["f >= 3.00000000001"]),
    ],
)
def test_what_does_not_follow_is_not_implied(predicate: str, given_rules: list[str]) -> None:
    assert not implied(predicate, given_rules)


ATOMS = st.sampled_from(
    ["a <= b", "b >= a", "a < b", "a > 1", "a >= 1", "2 < a", "f < 1.5", "f <= 1.5", "t = 'x'", "t IS NULL", "a <> 1"]
)
PREDICATES = st.recursive(
    ATOMS,
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda each: f"({' '.join(each)})"),
    max_leaves=4,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(0, 3),
            "b": st.none() | st.integers(0, 3),
            "f": st.none() | st.sampled_from([1.0, 1.5, 2.0]),
            "t": st.none() | st.sampled_from(["x", "y"]),
        }
    ),
    min_size=1,
    max_size=30,
)


def keeps(rows: pl.DataFrame, predicate: str) -> pl.Series:
    return rows.select(parse(predicate, SCHEMA).fill_null(value=True)).to_series()


@settings(max_examples=80, deadline=None)
@given(PREDICATES, st.lists(PREDICATES, max_size=2), ROWS)
def test_no_row_keeps_what_implies_a_rule_and_breaks_it(predicate, given_rules, data) -> None:
    rows = pl.DataFrame(data, schema=SCHEMA)
    if implied(predicate, given_rules):
        for rule in given_rules:
            rows = rows.filter(keeps(rows, rule))
        assert keeps(rows, predicate).all()
    assert implied(predicate, [predicate])


@settings(max_examples=40, deadline=None)
@given(PREDICATES, ROWS)
def test_a_rule_that_is_kept_without_a_column_is_kept_whatever_the_row_holds(predicate, data) -> None:
    if kept_without(predicate, {"a"}):
        rows = pl.DataFrame(data, schema=SCHEMA).with_columns(a=pl.lit(None, dtype=pl.Int64))
        assert keeps(rows, predicate).all()


def test_a_rule_kept_without_its_columns() -> None:
    assert kept_without("a + 1 > b OR t = 'x'", {"a"})
    assert kept_without("a <> 1 AND a < 3", {"a"})
    assert not kept_without("a > 1 AND b > 1", {"a"})
    assert not kept_without("a IS NOT NULL", {"a"})


def test_what_a_rule_computes_with_and_what_it_names() -> None:
    assert only_compares("a <= b AND (t = 'x' OR a IS NULL)", "a")
    assert not only_compares("a + 1 <= b", "a")
    assert only_compares("a + 1 <= b", "b")
    assert [str(each) for each in constants("a > 3 OR t = 'x' OR f < 1.5")] == ["3", "x", "1.5"]
