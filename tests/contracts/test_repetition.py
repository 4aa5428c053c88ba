"""Repeated rows, found by their hashes, are those that are equal."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.repetition import repeated

NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.5, math.nan, -math.nan, math.inf])
ROWS = st.lists(st.tuples(st.sampled_from([None, "", "a", "b"]), NUMBERS), max_size=12)


@given(ROWS)
def test_a_row_is_repeated_exactly_if_an_equal_one_stands_elsewhere(rows: list[tuple]) -> None:
    keys = pl.DataFrame(rows, schema={"name": pl.String, "number": pl.Float64}, orient="row")
    assert repeated(keys).to_list() == keys.is_duplicated().to_list()


def test_rows_that_only_share_a_hash_are_not_repeated(monkeypatch) -> None:
    keys = pl.DataFrame({"name": ["a", "b", "c", "c"]})
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda frame: pl.Series([7] * frame.height, dtype=pl.UInt64))
    assert repeated(keys).to_list() == [False, False, True, True]
