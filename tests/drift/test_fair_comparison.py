"""A candidate is compared with the champion on days that neither was trained on."""

from __future__ import annotations

from datetime import date

from assets.stages.training import unseen
from automation.calendar import Days

MAY = [date(2013, 5, day) for day in (17, 17, 18, 25, 30)]


def test_the_first_day_is_cut_and_left_out() -> None:
    assert unseen(MAY, None) == Days(date(2013, 5, 18), date(2013, 5, 30))
    assert unseen(MAY, date(2013, 5, 1)) == Days(date(2013, 5, 18), date(2013, 5, 30))


def test_days_that_the_champion_was_trained_on_are_left_out() -> None:
    assert unseen(MAY, date(2013, 5, 24)) == Days(date(2013, 5, 24), date(2013, 5, 30))
    assert unseen(MAY, date(2013, 5, 30)) == Days(date(2013, 5, 30), date(2013, 5, 30))


def test_a_champion_that_was_trained_on_all_of_them_is_compared_on_none() -> None:
    assert unseen(MAY, date(2013, 5, 31)) is None
