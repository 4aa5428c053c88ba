"""Which days rest on rows that were released since."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from automation.calendar import Days
from automation.contract.replay import ranges
from automation.staleness import older

FIRST = date(2013, 3, 1)
NUMBERS = st.integers(0, 12)
EVENTS = st.dictionaries(NUMBERS.map(lambda n: str(FIRST + timedelta(days=n))), st.integers(1, 9), max_size=6)


def test_a_day_is_stale_if_it_is_older_than_a_release_within_its_reach() -> None:
    made = {"2013-03-01": 5, "2013-03-02": 5, "2013-03-03": 12, "2013-03-04": 5}
    assert older({"2013-03-02": 10}, made, 0) == {"2013-03-02"}
    assert older({"2013-03-02": 10}, made, 1) == {"2013-03-02"}
    assert older({"2013-03-02": 10}, made, 2) == {"2013-03-02", "2013-03-04"}
    assert older({}, made, 9) == set()


@given(EVENTS, EVENTS, st.integers(0, 3))
def test_no_day_is_stale_that_was_made_after_every_release_nor_before_it_was_made(released, made, reach) -> None:
    stale = older(released, made, reach)
    assert stale <= set(made)
    assert older(released, dict.fromkeys(made, max(released.values(), default=0)), reach) == set()
    assert all(made[day] < max(released.values()) for day in stale)


@given(st.sets(NUMBERS))
def test_ranges_have_no_gaps_and_leave_no_day_out(numbers: set[int]) -> None:
    days = {FIRST + timedelta(days=n) for n in numbers}
    found: list[Days] = ranges(days)
    assert sorted(days) == [day for some in found for day in some]
    assert all((later.first - earlier.last).days > 1 for earlier, later in pairwise(found))
