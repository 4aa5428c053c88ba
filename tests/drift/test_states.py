"""What a channel knew at the end of a day: one row a day, gone on from, and never another champion's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from automation.calendar import Days
from automation.drift import states
from automation.drift.states import GAP_DAYS, Kept, Watched
from automation.lakehouse import Lakehouse

DAY = date(2013, 3, 10)
CHAMPION = Watched("a" * 64, date(2013, 3, 1))
TABLE = "input_drift"


def kept(day: date, watched: Watched = CHAMPION, state: bytes = b"{}") -> Kept:
    return Kept(watched, day, state, day.day % 2 == 0, "in words", [{"feature": "wind", "log10": 0.5}])


def test_a_day_goes_on_from_the_newest_before_it_and_replaces_its_own(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    assert states.before(lake, "w", TABLE, CHAMPION, DAY) is None
    assert states.on(lake, "w", TABLE, DAY) is None
    assert states.history(lake, "w", TABLE, Days.one(DAY)) == []
    for day in Days(DAY - timedelta(days=3), DAY):
        states.keep(lake, "w", TABLE, kept(day))
    assert states.before(lake, "w", TABLE, CHAMPION, DAY) == kept(DAY - timedelta(days=1))
    states.keep(lake, "w", TABLE, kept(DAY, state=b"again"))
    assert states.on(lake, "w", TABLE, DAY) == kept(DAY, state=b"again")
    history = states.history(lake, "w", TABLE, Days(DAY - timedelta(days=1), DAY))
    assert history == [replace(kept(day), state=b"") for day in Days(DAY - timedelta(days=1), DAY)]


def test_over_a_gap_it_goes_on_but_not_over_a_long_one_and_not_as_another_champion(tmp_path: Path) -> None:
    lake, another = Lakehouse(str(tmp_path)), Watched(CHAMPION.digest, DAY - timedelta(days=2))
    states.keep(lake, "w", TABLE, kept(DAY))
    states.keep(lake, "w", TABLE, kept(DAY - timedelta(days=1), another))
    later = DAY + timedelta(days=GAP_DAYS)
    assert states.before(lake, "w", TABLE, CHAMPION, later) == kept(DAY)
    assert states.before(lake, "w", TABLE, CHAMPION, later + timedelta(days=1)) is None
    assert states.before(lake, "w", TABLE, another, DAY + timedelta(days=1)) == kept(DAY - timedelta(days=1), another)
    assert states.before(lake, "w", TABLE, Watched("b" * 64, CHAMPION.since), later) is None
