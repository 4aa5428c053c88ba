"""What each action costs a case, and what is at stake where nobody knows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.policy.costs import Costs, costs, stakes
from automation.workload import Policy
from tests.policy.made import declared


@given(st.floats(0, 1), st.floats(0.1, 500))
def test_expected_costs_are_price_and_the_harm_that_is_left(probability: float, stake: float) -> None:
    policy = declared()
    [row] = costs(np.array([probability]), np.array([stake]), policy).values
    for value, action in zip(row, policy.actions, strict=True):
        assert value == pytest.approx(stake * (action.cost + probability * 60.0 * (1 - action.mitigates)))


@pytest.mark.parametrize("size", [None, float("nan"), float("inf"), -float("inf"), 0.0, -3.0])
def test_a_stake_that_is_not_known_is_the_declared_assumption(size: float | None, policy: Policy) -> None:
    found = stakes(pl.DataFrame({"size": [size, 80.0]}, schema={"size": pl.Float64}), policy)
    assert found.tolist() == [50.0, 40.0]


def test_a_stake_without_its_column_is_the_declared_assumption(policy: Policy) -> None:
    assert stakes(pl.DataFrame({"other": [1.0, 2.0]}), policy).tolist() == [50.0, 50.0]


@pytest.mark.parametrize("sizes", [["80"], [True], [[80.0]], [b"80"], [{"size": 80.0}]], ids=repr)
def test_a_stake_that_is_no_number_is_the_declared_assumption(sizes: list, policy: Policy) -> None:
    assert stakes(pl.DataFrame({"size": sizes}), policy).tolist() == [50.0]


def test_costs_are_written_as_canonical_json() -> None:
    assert Costs(("b", "a"), np.array([[1.0, 2.5]])).as_json() == ['{"a":2.5,"b":1.0}']
