"""Days and calendars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.calendar import Calendar, Days

CALENDAR = Calendar(date(2013, 1, 1), date(2014, 1, 3), "America/New_York")
RANGES = st.tuples(st.dates(date(2012, 1, 1), date(2015, 1, 1)), st.integers(0, 500)).map(
    lambda pair: Days(pair[0], pair[0] + timedelta(days=pair[1]))
)


def test_a_range_holds_both_its_ends() -> None:
    days = Days(date(2013, 2, 27), date(2013, 3, 1))
    assert days.keys == ["2013-02-27", "2013-02-28", "2013-03-01"]
    assert len(days) == 3
    assert date(2013, 3, 1) in days
    assert date(2013, 3, 2) not in days


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="before it begins"):
        Days(date(2013, 2, 2), date(2013, 2, 1))


@given(RANGES)
def test_the_months_of_a_range_are_the_range(days: Days) -> None:
    months = days.months()
    assert [day for month in months for day in month] == list(days)
    assert all((month.first.year, month.first.month) == (month.last.year, month.last.month) for month in months)
    assert len({month.first.replace(day=1) for month in months}) == len(months)


@given(RANGES, st.integers(0, 40))
def test_widening_adds_earlier_days_only(days: Days, before: int) -> None:
    assert list(days.widened(before))[before:] == list(days)


def test_a_calendar_does_not_hold_its_end() -> None:
    assert CALENDAR.days() == Days(date(2013, 1, 1), date(2014, 1, 2))
    assert CALENDAR.within(Days(date(2012, 12, 3), date(2013, 1, 5))) == Days(date(2013, 1, 1), date(2013, 1, 5))
    assert CALENDAR.within(Days(date(2013, 12, 30), date(2014, 2, 1))) == Days(date(2013, 12, 30), date(2014, 1, 2))


@pytest.mark.parametrize(
    ("day", "begins", "hours"),
    [
        (date(2013, 1, 1), datetime(2013, 1, 1, 5, tzinfo=UTC), 24),
        (date(2013, 7, 1), datetime(2013, 7, 1, 4, tzinfo=UTC), 24),
        (date(2013, 3, 10), datetime(2013, 3, 10, 5, tzinfo=UTC), 23),
        (date(2013, 11, 3), datetime(2013, 11, 3, 4, tzinfo=UTC), 25),
    ],
)
def test_a_day_begins_and_ends_when_its_clocks_say_so(day: date, begins: datetime, hours: int) -> None:
    assert CALENDAR.begins(day) == begins
    assert CALENDAR.ends(day) - CALENDAR.begins(day) == timedelta(hours=hours)
    assert CALENDAR.ends(day) == CALENDAR.begins(day + timedelta(days=1))
