"""Surprise: a p-value that holds whatever the distribution, and scales that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.anomalies.surprise import LEAST_RESIDUALS, TAIL_SHARE, level, season, surprise

DAYS, MEASURES, TRIALS = 120, 12, 600


def residuals(seed: int, days: int = DAYS, measures: int = MEASURES) -> np.ndarray:
    """Residuals with heavy tails, of measures that move together and on scales far apart; some are missing."""
    chance = np.random.default_rng(seed)
    shared = chance.standard_t(2, size=(days, 1))
    found = np.abs(shared + chance.standard_t(3, size=(days, measures))) * np.logspace(-3, 3, measures)
    return np.where(chance.random((days, measures)) < 0.05, np.nan, found)


def p_value(found: np.ndarray) -> float:
    judged = surprise(found, np.full(found.shape[1], 1e-9))
    assert judged is not None
    return judged.p


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_exchangeable_days_are_called_unusual_at_the_stated_rate(rate: float) -> None:
    alarms = sum(p_value(residuals(seed)) <= rate for seed in range(TRIALS))
    # Six in a million of honest rates would lie outside: 4.5 standard deviations.
    reach = 4.5 * math.sqrt(TRIALS * rate * (1 - rate))
    assert TRIALS * rate - reach - TRIALS / (DAYS + 1) <= alarms <= TRIALS * rate + reach


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_the_order_of_the_days_before_changes_nothing(seed: int, order) -> None:
    found = residuals(seed, days=60)
    before = list(range(59))
    order.shuffle(before)
    one, other = (surprise(rows, np.full(MEASURES, 1e-9)) for rows in (found, found[[*before, 59]]))
    assert one is not None
    assert other is not None
    assert other.p == one.p
    assert other.score == pytest.approx(one.score)
    assert other.scaled == pytest.approx(one.scaled, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), days=st.integers(LEAST_RESIDUALS + 1, 70))
def test_a_residual_is_scaled_by_the_worst_tenth_of_all_others(seed: int, days: int) -> None:
    found = np.nan_to_num(residuals(seed, days, 3), nan=0.5)
    judged = surprise(found, np.zeros(3) + 1e-12)
    assert judged is not None
    count = math.ceil(TAIL_SHARE * (days - 1))
    worst = np.sort(found[:-1], axis=0)[-count:].mean(axis=0)
    assert judged.scaled == pytest.approx(found[-1] / worst)
    assert judged.beyond == pytest.approx(found[-1] / found[:-1].max(axis=0))


def test_no_p_value_is_smaller_than_the_days_allow() -> None:
    found = residuals(1)
    found[-1] = 1e9
    assert p_value(found) == pytest.approx(1 / DAYS)


def test_too_few_days_are_not_judged() -> None:
    assert surprise(residuals(1, LEAST_RESIDUALS), np.ones(MEASURES)) is None
    assert surprise(residuals(1, LEAST_RESIDUALS + 8), np.ones(MEASURES)) is not None


def test_less_than_counting_noise_surprises_nobody() -> None:
    found = np.zeros((DAYS, 1))
    found[-1] = 0.4
    judged = surprise(found, np.full(1, 0.5))
    assert judged is not None
    assert judged.scaled[0] == pytest.approx(0.8)


def test_a_weekday_is_expected_to_do_what_it_does() -> None:
    week = np.array([10.0, 10, 10, 10, 10, 4, 2])
    values = np.tile(week, 5)[:, None]
    usual = np.array([level(values[at - 7 : at]) for at in range(7, 35)])
    off = values[7:] - usual
    saturdays = off[5::7][:4]
    assert level(values[-7:]) + season(saturdays) == pytest.approx(4.0)
    assert np.isnan(season(saturdays[:1])).all()
    assert np.isnan(level(values[:3])).all()
