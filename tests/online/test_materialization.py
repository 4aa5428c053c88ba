"""Which days are read to bring a view up to date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from assets.online.materialization import _days
from automation.calendar import Calendar, Days
from feature_repo.online.records import Mark, instant

CALENDAR = Calendar(start=date(2013, 1, 1), end=date(2013, 2, 1), timezone="America/New_York")
DAY = date(2013, 1, 11)


@dataclass(frozen=True)
class View:
    """As much of a view's plan as says how long its values live, in microseconds."""

    ttl: int | None


def end_of(day: date) -> int:
    return instant(CALENDAR.ends(day))


def test_what_became_known_at_the_very_end_of_a_day_is_read_where_it_lies_in_the_next() -> None:
    """Days that were ingested ahead: the offline store answers by them at that instant, so parity needs them."""
    mark = Mark(end_of(date(2013, 1, 10)), 3)
    assert _days(View(None), CALENDAR, DAY, end_of(DAY), mark) == Days(DAY, date(2013, 1, 12))  # type: ignore[arg-type]
    assert _days(View(None), CALENDAR, DAY, end_of(DAY), None) == Days(CALENDAR.start, date(2013, 1, 12))  # type: ignore[arg-type]


def test_the_calendars_last_day_has_none_after_it() -> None:
    last = date(2013, 1, 31)
    assert _days(View(None), CALENDAR, last, end_of(last), None) == CALENDAR.days()  # type: ignore[arg-type]
