"""What a channel knew at the end of a day: one row a day, gone on from, and never another champion's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from automation.calendar import Days
from automation.drift import states
from automation.drift.harm.plan import HarmPlan, Surprise
from automation.drift.inputs.plan import InputPlan
from automation.drift.proxy.plan import ProxyPlan
from automation.drift.states import GAP_DAYS, INPUT_DRIFT, Kept, Watched
from automation.lakehouse import Lakehouse
from automation.rollout.machine import Champion, Change, Kind

DAY = date(2013, 3, 10)
CHAMPION = Watched("a" * 64, date(2013, 3, 1), "0123456789ab")
TABLE = INPUT_DRIFT


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
    lake, another = Lakehouse(str(tmp_path)), replace(CHAMPION, since=DAY - timedelta(days=2))
    states.keep(lake, "w", TABLE, kept(DAY))
    states.keep(lake, "w", TABLE, kept(DAY - timedelta(days=1), another))
    later = DAY + timedelta(days=GAP_DAYS)
    assert states.before(lake, "w", TABLE, CHAMPION, later) == kept(DAY)
    assert states.before(lake, "w", TABLE, CHAMPION, later + timedelta(days=1)) is None
    assert states.before(lake, "w", TABLE, another, DAY + timedelta(days=1)) == kept(DAY - timedelta(days=1), another)
    assert states.before(lake, "w", TABLE, replace(CHAMPION, digest="b" * 64), later) is None


def test_a_plan_that_was_changed_is_watched_by_anew(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    champion = Champion("model", 3, CHAMPION.digest, CHAMPION.since)
    change = Change(1, Kind.PROMOTED, champion, "M. Okafor", "as planned", "2013-03-01T00:00:00Z", {})
    now = Watched.of(change, InputPlan())
    assert now == Watched.of(change, InputPlan(rate=0.05)), "nothing changed"
    states.keep(lake, "w", TABLE, kept(DAY, now))
    after = DAY + timedelta(days=1)
    assert states.before(lake, "w", TABLE, now, after) == kept(DAY, now)
    for other in (InputPlan(rate=0.1), HarmPlan(), HarmPlan(surprise=Surprise(margin=0.2)), ProxyPlan()):
        assert Watched.of(change, other) != now
        assert states.before(lake, "w", TABLE, Watched.of(change, other), after) is None


def test_what_was_kept_before_plans_were_told_apart_is_shown_and_not_gone_on_from(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    states.keep(lake, "elsewhere", TABLE, kept(DAY))
    rows = lake.read("elsewhere", TABLE)
    lake.replace_days("w", TABLE, rows.drop("plan"), Days.one(DAY))
    after = DAY + timedelta(days=1)
    for _ in range(2):
        assert states.before(lake, "w", TABLE, CHAMPION, after) is None
        assert states.on(lake, "w", TABLE, DAY) == kept(DAY, replace(CHAMPION, plan=""))
        assert [each.day for each in states.history(lake, "w", TABLE, Days.one(DAY))] == [DAY]
        states.keep(lake, "w", TABLE, kept(after))
    assert states.before(lake, "w", TABLE, CHAMPION, after + timedelta(days=1)) == kept(after)
