"""Performance estimated without labels, and estimates judged by what came out."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from automation.drift.proxy.conformal import Conformal, Span
from automation.drift.proxy.expected import expected_auc, realised_auc
from automation.drift.proxy.plan import ProxyPlan
from automation.drift.proxy.state import as_bytes, of_bytes
from automation.drift.proxy.watch import AUC, DOLLARS, Ask, NotEstimatedError, ProxyWatch, started
from automation.drift.watch_state import NotInOrderError, OtherStateError
from automation.rollout.verdicts.pairs import Cohort
from tests.drift.harm.days import FIRST, cohort, days

PLAN = ProxyPlan()
LATER = timedelta(days=PLAN.wait_days + 1)


def _watched(sequence: list[Cohort], plan: ProxyPlan = PLAN, lag: int = 2) -> ProxyWatch:
    """Each day is estimated as it comes and judged ``lag`` days later."""
    watch = started(plan)
    for number, day in enumerate(sequence):
        watch = watch.estimated(day)
        if number >= lag:
            watch = watch.after(sequence[number - lag], day.day + LATER)
    return watch


def _without_outcomes(day: Cohort) -> Cohort:
    return cohort(day.day, day.pairs["probability"].to_list(), [None] * day.cases)


def test_the_expected_auc_is_what_comes_out_on_average():
    chance = np.random.default_rng(1)
    probability = np.round(chance.beta(1, 4, 300), 2)  # with ties
    came = [realised_auc(probability, chance.random(300) < probability) for _ in range(60)]
    assert expected_auc(probability) == pytest.approx(np.mean(came), abs=0.01)


def test_the_expected_auc_counts_pairs_of_different_cases():
    probability = np.array([0.2, 0.2, 0.7])
    wins = sum(
        probability[bad] * (1 - probability[good]) * (np.sign(probability[bad] - probability[good]) + 1) / 2
        for bad in range(3)
        for good in range(3)
        if bad != good
    )
    pairs = sum(probability[b] * (1 - probability[g]) for b in range(3) for g in range(3) if b != g)
    assert expected_auc(probability) == pytest.approx(wins / pairs)


@pytest.mark.parametrize("probability", [[], [0.3], [0.0, 0.0], [1.0, 1.0]])
def test_no_auc_is_expected_where_there_are_no_pairs(probability):
    assert expected_auc(np.array(probability)) is None


def test_what_comes_out_lies_within_the_interval_as_often_as_stated():
    held = [_watched(list(days(seed, 200, cases=80))).past for seed in range(2)]
    for name in (AUC, DOLLARS):
        judged, kept = sum(past[name].judged for past in held), sum(past[name].held for past in held)
        assert kept / judged == pytest.approx(1 - PLAN.rate, abs=0.04)


def _off(step: float) -> float:
    """By how much the share of intervals that hold is off the stated one, where errors grow from day to day."""
    plan, chance = ProxyPlan(step=step), np.random.default_rng(1)
    past = Conformal(plan.rate)
    for day in range(400):
        error = float(chance.normal(0, 1.01**day))
        span = past.span(0.0, 1.0, (-1e9, 1e9), plan)
        past = past.after(error, None if span is None else span.holds(error), plan)
    return abs(past.held / past.judged - (1 - plan.rate))


def test_intervals_follow_a_world_that_changes():
    assert _off(0.05) < 0.025 < _off(0.0)


def test_an_estimate_looks_at_nothing_of_the_outcomes():
    found = list(days(1, 60))
    watch = _watched(found)
    following = list(days(1, 61))[-1]
    assert watch.estimated(following) == watch.estimated(_without_outcomes(following))


def test_there_is_no_interval_before_there_are_days_enough():
    assert _watched(list(days(1, PLAN.least_days))).estimates[FIRST + timedelta(days=PLAN.least_days - 1)] == {}


def test_ends_that_no_past_day_reaches_are_those_of_what_is_possible():
    wide = Conformal(level=-0.1, errors=(0.0,) * PLAN.least_days)
    assert wide.span(0.5, 1.0, (0.0, 1.0), PLAN) == Span(0.0, 0.5, 1.0)
    narrow = Conformal(level=5.0, errors=tuple(np.linspace(-0.2, 0.2, 29)))
    assert narrow.span(0.5, 1.0, (0.0, 1.0), PLAN) == Span(0.5, 0.5, 0.5)


def test_it_may_ask_for_a_shadow_after_days_in_a_row_and_for_nothing_else():
    plan = ProxyPlan(auc_at_least=0.99, days_in_a_row=3)
    found = list(days(1, 40))
    asked = [_watched(found[:count], plan).asks for count in (32, 33, 40)]
    assert asked == [Ask.NOTHING, Ask.SHADOW, Ask.SHADOW]
    assert set(Ask) == {Ask.NOTHING, Ask.SHADOW}
    assert "shadow a challenger" in _watched(found, plan).says


def test_days_are_estimated_and_judged_once_in_order():
    found = list(days(1, 6))
    watch = started(PLAN).estimated(found[0])
    with pytest.raises(NotInOrderError, match="next day to be estimated is 2030-01-02"):
        watch.estimated(found[2])
    with pytest.raises(NotEstimatedError, match="was not estimated"):
        watch.after(found[1], found[1].day + LATER)
    with pytest.raises(NotEstimatedError, match="may still come"):
        watch.after(_without_outcomes(found[0]), FIRST)
    with pytest.raises(NotInOrderError, match="next day to be judged"):
        watch.after(found[0], FIRST + LATER).after(found[0], FIRST + LATER)


def test_a_case_without_an_outcome_in_time_came_out_as_expected():
    day = cohort(FIRST, [0.25, 0.5, 0.5], [True, False, None])
    past = started(PLAN).estimated(day).after(day, FIRST + LATER).past
    assert past[DOLLARS].errors[0] == pytest.approx((0.75 - 0.5) / 3)


def test_a_watch_that_is_read_again_goes_on_to_the_same_bytes():
    found = list(days(1, 45))
    watch = _watched(found)
    assert as_bytes(of_bytes(as_bytes(watch), PLAN)) == as_bytes(watch)
    following = list(days(1, 46))[-1]
    assert as_bytes(of_bytes(as_bytes(watch), PLAN).estimated(following)) == as_bytes(watch.estimated(following))


def test_other_states_are_refused():
    with pytest.raises(OtherStateError, match="another plan"):
        of_bytes(as_bytes(started(PLAN)), ProxyPlan(rate=0.2))
    for content in (b"", b"{}", b"[]", b'{"format":7}'):
        with pytest.raises(OtherStateError, match="not the state"):
            of_bytes(content, PLAN)


def test_a_plan_that_needs_more_days_than_it_keeps_is_refused():
    with pytest.raises(ValidationError, match="more than past_days"):
        ProxyPlan(past_days=20, least_days=28)
