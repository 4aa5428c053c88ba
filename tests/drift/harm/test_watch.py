"""A champion under watch: quiet while it keeps its promises, heard when it does not, and the same when read again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from automation.drift.harm import chart
from automation.drift.harm.plan import RANKING, SURPRISE, HarmPlan, Ranking, Surprise
from automation.drift.harm.state import as_bytes, of_bytes
from automation.drift.harm.watch import HarmWatch, NotMatureError, started
from automation.drift.watch_state import NotInOrderError, OtherStateError
from tests.drift.harm.days import FIRST, cohort, days

PLAN = HarmPlan()
LATER = timedelta(days=PLAN.wait_days + 1)


def _watched(sequence, plan: HarmPlan = PLAN) -> HarmWatch:
    watch = started(plan)
    for day in sequence:
        watch = watch.after(day, day.day + LATER)
    return watch


def test_a_model_whose_outcomes_come_as_it_says_raises_no_alarm():
    assert not [seed for seed in range(8) if _watched(days(seed, 150)).alarm]


def test_a_model_that_expects_too_little_is_found_soon():
    alarm = _watched(days(3, 120, worse_from=60)).alarm
    assert alarm is not None
    assert alarm.claim == SURPRISE
    assert FIRST + timedelta(days=60) < alarm.day < FIRST + timedelta(days=90)
    assert abs((alarm.since - (FIRST + timedelta(days=60))).days) <= 10
    assert "once in 500 days" in alarm.says


def test_a_model_that_ranks_worse_than_it_promises_is_found():
    alarm = _watched(days(4, 160, worse_from=60, blurred=0.5)).alarm
    assert alarm is not None
    assert alarm.claim == RANKING
    assert alarm.day > FIRST + timedelta(days=60)


def test_an_alarm_stands():
    found = list(days(3, 140, worse_from=60))
    assert _watched(found).alarm == _watched(found[:110]).alarm


def test_a_stated_shortfall_is_not_learned():
    watch = started(HarmPlan(ranking=Ranking(usual=0.03, margin=0.01)))
    assert watch.usual == pytest.approx(0.04)


def test_an_immature_day_holds_up_the_next():
    waiting = cohort(FIRST, [0.5, 0.5], [True, None])
    with pytest.raises(NotMatureError, match="1 of 2 outcomes"):
        started(PLAN).after(waiting, FIRST + timedelta(days=PLAN.wait_days))
    assert started(PLAN).after(waiting, FIRST + LATER).day == FIRST


def test_a_day_is_seen_once_in_order():
    watch = _watched(days(0, 3))
    for off in (0, 2, 3):
        with pytest.raises(NotInOrderError, match="2030-01-04"):
            watch.after(cohort(FIRST + timedelta(days=off + (off == 3)), [], []), FIRST + timedelta(days=30))


def test_a_watch_that_is_read_again_goes_on_to_the_same_bytes():
    found = list(days(3, 110, worse_from=60))
    for cut in (0, 10, 40, 100):
        read = of_bytes(as_bytes(_watched(found[:cut])), PLAN)
        for day in found[cut:]:
            read = read.after(day, day.day + LATER)
        assert as_bytes(read) == as_bytes(_watched(found))


def test_a_state_of_another_plan_is_refused():
    with pytest.raises(OtherStateError, match="another plan"):
        of_bytes(as_bytes(started(PLAN)), HarmPlan(surprise=Surprise(margin=0.2)))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format":2}', b'{"format":1,"plan":{}}'])
def test_what_is_no_state_is_refused(content):
    with pytest.raises(OtherStateError, match="not the state"):
        of_bytes(content, PLAN)


def test_the_rates_of_false_alarms_add_up():
    plan = HarmPlan(ranking=Ranking(once_in_days=1000), surprise=Surprise(once_in_days=500))
    assert plan.once_in_days == pytest.approx(1 / (1 / 1000 + 1 / 500))


def test_a_plan_that_watches_nothing_is_refused():
    with pytest.raises(ValidationError, match="nothing is watched"):
        HarmPlan(ranking=None, surprise=None)


def test_the_chart_has_a_line_for_each_claim_and_level():
    watch, history = started(PLAN), []
    for day in days(1, 40):
        watch = watch.after(day, day.day + LATER)
        history += watch.evidence()
    drawn = chart.evidence(history, "Evidence of harm")
    assert all(name in drawn for name in (RANKING, SURPRISE, "1,000 needed"))
