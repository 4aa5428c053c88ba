"""A day in three numbers a feature."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.drift.inputs.scales import Sample


def numbers(values: list) -> pl.Series:
    return pl.Series("x", values, dtype=pl.Float64)


def test_a_frequent_value_has_a_bin_of_its_own() -> None:
    zeros = [0.0] * 90 + [float(one) for one in range(1, 11)]
    scale = Sample().with_day(numbers(zeros)).scale(32)
    place, _, _ = scale.of_day(numbers([0.0] * 60), 50)
    assert place == pytest.approx(0.45)
    moved, _, _ = scale.of_day(numbers([0.01] * 60), 50)
    assert moved > 0.85


@settings(max_examples=25)
@given(st.lists(st.integers(-50, 50), min_size=60, max_size=80))
def test_places_do_not_depend_on_the_unit(values: list[int]) -> None:
    plain = Sample().with_day(numbers(values)).scale(16)
    other = Sample().with_day(numbers([2.0 * one + 32 for one in values])).scale(16)
    today = values[::-1][:55]
    assert plain.of_day(numbers(today), 50) == pytest.approx(other.of_day(numbers([2.0 * v + 32 for v in today]), 50))


def test_missing_values_and_not_a_number_are_missing() -> None:
    scale = Sample().with_day(numbers(list(range(100)))).scale(8)
    place, spread, missing = scale.of_day(numbers([1.0] * 50 + [None] * 25 + [float("nan")] * 25), 50)
    assert missing == 0.5
    assert 0 < place < spread < 1
    assert np.isnan(scale.of_day(numbers([1.0] * 49 + [None]), 50)[0])


def test_names_are_placed_by_how_frequent_they_are_and_new_ones_last() -> None:
    learned = pl.Series("x", ["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    scale = Sample(names={}).with_day(learned).scale(3)
    assert scale.names == ("a", "b")
    assert scale.counts(pl.Series("x", ["a", "b", "c", "new", None])).tolist() == [1, 1, 2]
    assert scale.of_day(pl.Series("x", ["new"] * 50), 50)[0] == pytest.approx(0.95)


def test_a_feature_without_a_value_has_a_scale() -> None:
    scale = Sample().with_day(numbers([None] * 60)).scale(8)
    assert scale.of_day(numbers([3.0] * 60), 50)[2] == 0.0
