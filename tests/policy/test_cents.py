"""Amounts are whole, or not known."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automation.policy.cents import UNKNOWN, cents


def test_an_amount_that_cannot_be_said_is_not_known() -> None:
    bad = np.array([math.nan, math.inf, -math.inf, -0.01, -1e300, 1e300, 2.0**53])
    assert cents(bad).tolist() == [UNKNOWN] * len(bad)


def test_amounts_are_the_nearest_whole_ones() -> None:
    assert cents(np.array([0, -0.0, 0.01, 0.29, 1.1, 2.675, 3000, 0.004])).tolist() == [
        0,
        0,
        1,
        29,
        110,
        268,
        300_000,
        0,
    ]


@given(st.integers(0, 2**53 - 1))
def test_whole_cents_stay_what_they_are(amount: int) -> None:
    # A double of dollars tells all cents apart up to some 2^53 / 100.
    if amount < 2**46:
        assert cents(np.array([amount / 100])).tolist() == [amount]
