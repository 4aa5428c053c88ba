"""How often retraining may be tried."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.drift.worth.budget import QUARTER, TriesNotInOrderError, Try, leave
from automation.drift.worth.plan import Budget

DAY = date(2030, 1, 1)
BUDGET = Budget(least_days=7, a_quarter=3, backoff=2.0, longest_days=30)


def _tries(*days: int, came: bool | None = True) -> list[Try]:
    return [Try(DAY + timedelta(days=day), came) for day in days]


def _next(tries: list[Try]) -> int:
    return (leave(tries, BUDGET, tries[-1].day).day - DAY).days


def test_the_first_try_is_free():
    assert leave([], BUDGET, DAY).given


def test_tries_are_apart():
    tries = _tries(0)
    assert not leave(tries, BUDGET, DAY + timedelta(days=6)).given
    assert leave(tries, BUDGET, DAY + timedelta(days=7)).given


def test_each_try_in_a_row_that_comes_to_nothing_doubles_the_wait_up_to_the_longest():
    assert _next(_tries(0, came=False)) == 14
    assert _next(_tries(0, 14, came=False)) == 14 + 28
    loose = BUDGET.model_copy(update={"a_quarter": 100})
    many = _tries(*range(0, 3000, 30), came=False)
    assert leave(many, loose, many[-1].day).day == many[-1].day + timedelta(days=30)


def test_a_try_that_came_to_something_ends_the_backoff():
    assert _next([*_tries(0, 14, came=False), *_tries(50)]) == 91


def test_a_try_of_which_nothing_is_known_yet_is_no_failure():
    assert _next(_tries(0, came=None)) == 7


def test_no_more_tries_are_given_than_a_quarter_has():
    refused = leave(_tries(0, 10, 20), BUDGET, DAY + timedelta(days=40))
    assert not refused.given
    assert refused.day == DAY + QUARTER
    assert "3 tries in 91 days are spent" in refused.says


def test_tries_that_are_not_in_order_are_refused():
    for tries in (_tries(5, 0), _tries(9)):
        with pytest.raises(TriesNotInOrderError, match="not in the order"):
            leave(tries, BUDGET, DAY + timedelta(days=8))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 30))
def test_whoever_asks_every_day_never_tries_more_often_than_planned(came, a_quarter, least):
    budget = Budget(least_days=least, a_quarter=a_quarter, longest_days=60)
    tries: list[Try] = []
    for day in range(300):
        today = DAY + timedelta(days=day)
        given_leave = leave(tries, budget, today)
        assert given_leave.given == (given_leave.day <= today)
        if given_leave.given:
            tries.append(Try(today, came[len(tries) % len(came)]))
    days = [one.day for one in tries]
    assert all((after - before).days >= least for before, after in pairwise(days))
    assert all(sum(day <= other < day + QUARTER for other in days) <= a_quarter for day in days)
