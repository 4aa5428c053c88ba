"""The error rates of bets on days, by simulation: each number is a series of its own."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.drift.inputs import betting
from automation.drift.inputs.betting import Wealth

LEARN, DAYS, SERIES = 35, 150, 300
RATE = 0.05


def watched(days: np.ndarray, discount: np.ndarray | None = None, seasonal: bool = False) -> np.ndarray:
    """The e-values' logarithms after each day on which a bet was made. Shape (days, series)."""
    drawn = np.random.default_rng(1).random(days.shape)
    mask = np.full(days.shape[1], seasonal)
    if discount is None:
        discount = betting.discounts(betting.compared(days[:LEARN], mask, 28), drawn[:LEARN])
    wealth, told = Wealth.of(days.shape[1]), []
    for at in range(LEARN, len(days)):
        ranked = betting.compared(days[: at + 1], mask, 28)
        p = betting.p_values(ranked[:-1], ranked[-1], drawn[at])
        wealth = wealth.after(betting.scores(p, discount), at)
        told.append(wealth.log_evidence(DAYS - LEARN))
    return np.asarray(told)


def alarmed(logs: np.ndarray) -> float:
    return float((logs.max(axis=0) >= np.log(1 / RATE)).mean())


def resembling(correlation: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(DAYS, SERIES))
    days = [noise[0]]
    for one in noise[1:]:
        days.append(correlation * days[-1] + np.sqrt(1 - correlation**2) * one)
    return np.asarray(days)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=8))
def test_where_the_last_of_exchangeable_days_ranks_is_uniform_also_among_equals(values: list[int]) -> None:
    grid = (np.arange(5) + 0.5) / 5
    found = [
        betting.p_values(np.delete(values, at)[:, None].astype(float), np.asarray([values[at]]), np.asarray([draw]))[0]
        for at, draw in itertools.product(range(len(values)), grid)
    ]
    # A group of k equal days fills its share evenly, with k draws each.
    exact = []
    for value in sorted(set(values)):
        below, equal = sum(v < value for v in values), values.count(value)
        exact += [(below + draw * equal) / len(values) for draw in grid] * equal
    assert np.sort(found) == pytest.approx(np.sort(exact))


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, shape: random.normal(size=shape),
        lambda random, shape: random.standard_cauchy(size=shape),
        lambda random, shape: random.integers(3, size=shape).astype(float),
        lambda _, shape: np.zeros(shape),
    ],
)
def test_exchangeable_days_alarm_no_more_often_than_stated(draw: Callable) -> None:
    assert alarmed(watched(draw(np.random.default_rng(0), (DAYS, SERIES)))) <= RATE


def test_days_that_resemble_each_other_alarm_no_more_often_than_stated() -> None:
    days = resembling(0.6)
    assert alarmed(watched(days)) <= RATE
    # It is the discount that holds the rate.
    assert alarmed(watched(days, discount=np.ones(SERIES))) > 5 * RATE


def test_the_order_of_the_first_days_tells_how_much_they_resemble_each_other() -> None:
    draw = np.random.default_rng(3).random((LEARN, SERIES))
    medians = [float(np.median(betting.discounts(resembling(r)[:LEARN], draw))) for r in (0.0, 0.5, 0.8)]
    assert medians == sorted(medians)
    assert 1 <= medians[0] < 1.4
    # Values do not matter, but their order.
    assert betting.discounts(np.exp(resembling(0.5)[:LEARN]), draw) == pytest.approx(
        betting.discounts(resembling(0.5)[:LEARN], draw)
    )


def test_a_discount_is_never_less_than_one() -> None:
    turning = np.where(np.arange(LEARN)[:, None] % 2, 1.0, -1.0) + np.zeros((LEARN, 3))
    assert (betting.discounts(turning, np.random.default_rng(0).random(turning.shape)) >= 1).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_change_late_in_the_watch_is_found_and_dated(sign: int) -> None:
    days = resembling(0.0)
    days[120:] += sign * 2
    drawn = np.random.default_rng(1).random(days.shape)
    wealth, discount = Wealth.of(SERIES), np.ones(SERIES)
    for at in range(LEARN, DAYS):
        p = betting.p_values(days[:at], days[at], drawn[at])
        wealth = wealth.after(betting.scores(p, discount), at)
    assert (wealth.log_evidence(DAYS) >= np.log(1000)).mean() > 0.9
    assert abs(np.median(wealth.since()) - 120) <= 2


def test_a_season_is_no_change_of_what_is_seasonal_and_a_step_is_one() -> None:
    days = resembling(0.0)
    slow = days + np.linspace(0, 6, DAYS)[:, None]
    assert alarmed(watched(slow)) > 0.9
    assert alarmed(watched(slow, seasonal=True)) <= RATE
    days[100:] += 3
    assert alarmed(watched(days, seasonal=True)) > 0.8


def test_a_day_that_tells_nothing_is_not_bet_on_and_not_ranked_among() -> None:
    days = resembling(0.0)
    gappy = days.copy()
    gappy[40] = np.nan
    drawn = np.random.default_rng(1).random(days.shape)
    before = Wealth.of(SERIES).after(betting.scores(betting.p_values(days[:39], days[39], drawn[39]), 1.0), 39)
    p = betting.p_values(gappy[:40], gappy[40], drawn[40])
    assert np.isnan(p).all()
    after = before.after(betting.scores(p, np.ones(SERIES)), 40)
    assert (after.sums == before.sums).all()
    later = betting.p_values(gappy[:41], gappy[41], drawn[41])
    assert later == pytest.approx(betting.p_values(days[:40], days[41], drawn[41]))


@given(st.lists(st.floats(-3, 12), min_size=1, max_size=12), st.floats(0.01, 0.4))
def test_e_bh_rejects_the_largest_set_whose_least_evidence_is_enough_for_its_size(
    logs: list[float], rate: float
) -> None:
    found = betting.chosen(np.asarray(logs), rate)
    count = len(logs)
    sizes = [k for k in range(1, count + 1) if np.sum(np.asarray(logs) >= np.log(count / (k * rate))) >= k]
    assert found.sum() == max(sizes, default=0)
    if found.any() and not found.all():
        assert min(np.asarray(logs)[found]) >= max(np.asarray(logs)[~found])
