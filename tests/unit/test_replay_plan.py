"""What a replay has to do, planned from what is done."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from automation.calendar import Days
from automation.replay import Done, Step, plan

START = date(2013, 1, 1)
NOTHING = Done(setup=False)


def days(first: str, last: str) -> Days:
    return Days(date.fromisoformat(first), date.fromisoformat(last))


def said(steps: list[Step]) -> list[str]:
    return [str(step) for step in steps]


def test_a_first_replay_sets_up_reads_the_history_trains_and_decides_day_by_day() -> None:
    assert said(plan(START, days("2013-03-01", "2013-03-03"), 1, NOTHING)) == [
        "setup",
        "history 2013-01-01 to 2013-01-31",
        "history 2013-02-01 to 2013-02-28",
        "retrain 2013-03-01",
        "daily 2013-03-01",
        "daily 2013-03-02",
        "daily 2013-03-03",
    ]


def test_a_retraining_comes_before_the_day_it_is_as_of_and_the_first_is_not_repeated() -> None:
    assert said(
        plan(START, days("2013-02-27", "2013-03-02"), 1, Done(True, frozenset(days("2013-01-01", "2013-02-26").keys)))
    ) == [
        "retrain 2013-02-27",
        "daily 2013-02-27",
        "daily 2013-02-28",
        "retrain 2013-03-01",
        "daily 2013-03-01",
        "daily 2013-03-02",
    ]


def test_a_month_of_history_with_one_day_missing_is_read_again() -> None:
    done = Done(True, frozenset(days("2013-01-01", "2013-01-30").keys))
    assert said(plan(START, days("2013-02-01", "2013-02-01"), 5, done))[0] == "history 2013-01-01 to 2013-01-31"


def test_a_later_champion_does_not_stand_in_for_an_earlier_day() -> None:
    done = Done(True, frozenset(days("2013-01-01", "2013-01-31").keys), champions=frozenset(["2013-03-01"]))
    assert "retrain 2013-02-01" in said(plan(START, days("2013-02-01", "2013-02-01"), 1, done))


def test_a_day_that_is_done_with_its_retraining_is_left_alone() -> None:
    done = Done(
        True,
        frozenset(days("2013-01-01", "2013-03-31").keys),
        champions=frozenset(["2013-02-01"]),
        days=frozenset(["2013-03-01"]),
    )
    assert said(plan(START, days("2013-03-01", "2013-03-02"), 1, done)) == ["daily 2013-03-02"]


@given(st.integers(0, 60), st.integers(0, 40), st.integers(1, 28), st.data())
def test_stopped_anywhere_and_planned_again_it_does_the_rest_and_nothing_twice(offset, length, retrain, data) -> None:
    first = START + timedelta(days=offset + 1)
    wanted = Days(first, first + timedelta(days=length))
    steps = plan(START, wanted, retrain, NOTHING)
    stopped = data.draw(st.integers(0, len(steps)))
    done = NOTHING
    for step in steps[:stopped]:
        keys = frozenset(step.days.keys) if step.days else frozenset()
        match step.job:
            case "setup":
                done = Done(True, done.history, done.champions, done.days)
            case "history":
                done = Done(done.setup, done.history | keys, done.champions, done.days)
            case "retrain":
                done = Done(done.setup, done.history, done.champions | keys, done.days)
            case "daily":
                done = Done(done.setup, done.history | keys, done.champions, done.days | keys)
    assert plan(START, wanted, retrain, done) == steps[stopped:]
    assert steps[0] == Step("setup", None)
    assert [step.days.first for step in steps if step.job == "daily"] == list(wanted)
