"""Input drift of a day: gone on from the day before, anew by another plan, and without days whose data is broken."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.stages import input_drift
from assets.stages.input_drift import left_out, whole_days
from automation.calendar import Days
from automation.drift import states
from automation.drift.inputs.plan import InputPlan
from automation.drift.inputs.state import as_bytes, of_bytes
from automation.drift.inputs.watch import Inputs
from automation.drift.plan import DriftPlan
from automation.drift.states import FEATURE_FAULTS, INPUT_DRIFT, Kept, Watched
from automation.lakehouse import Lakehouse
from automation.rollout.machine import Champion, Change, Kind
from automation.workload import Workload
from tests.rollout.conftest import MARCH, NAME

CHANGE = Change(1, Kind.PROMOTED, Champion("m", 1, "a" * 64, MARCH), "M. Okafor", "why", "2013-03-01T00:00:00Z", {})
PLAN = DriftPlan(inputs=InputPlan(scale_days=3, learn_days=14, bag_days=60))
NOBODY = Watched("", MARCH, "")


def cases(day: date, features: tuple[str, ...] = ("delay", "wind"), shift: float = 0.0) -> pl.DataFrame:
    chance = np.random.default_rng(day.toordinal())
    return pl.DataFrame({name: chance.normal(shift, 1.0, 60) for name in features})


def faults(lake: Lakehouse, day: date, *, alarm: bool) -> None:
    states.keep(lake, NAME, FEATURE_FAULTS, Kept(NOBODY, day, b"{}", alarm, "in words", []))


class Decided:
    """Days of decisions that remember which were asked for. A broken one is far off all others."""

    def __init__(self, workload: Workload, broken: frozenset[date] = frozenset()) -> None:
        self.features = tuple(workload.model_features)
        self.broken = broken
        self.asked: list[date] = []

    def vectors(self, day: date) -> pl.DataFrame:
        self.asked.append(day)
        return cases(day, self.features, 100.0 if day in self.broken else 0.0)


def watched_to(lake: Lakehouse, workload: Workload, decided: Decided, plan: DriftPlan, day: date) -> Inputs:
    """The inputs at the end of a day, kept as the asset keeps them."""
    broken = input_drift._broken(lake, workload, CHANGE, plan, day)
    found = input_drift._inputs(lake, workload, decided, CHANGE, plan, day, broken)
    watched = Watched.of(CHANGE, plan.inputs)
    states.keep(lake, workload.name, INPUT_DRIFT, Kept(watched, day, as_bytes(found), False, "in words", []))
    return found


@pytest.mark.parametrize("at", [2, 10, 30])
def test_a_broken_day_is_neither_learned_from_nor_bet_on(at: int) -> None:
    """Whether the scales, the ranks or bets are what the days are for."""
    days = [*Days(MARCH, MARCH + timedelta(days=39))]
    broken = {days[at]}
    shown = [(day, cases(day, shift=50.0 if day in broken else 0.0)) for day in days]
    inputs = whole_days(Inputs.started(PLAN.inputs, ("delay", "wind")), shown, broken)
    without = Inputs.started(PLAN.inputs, ("delay", "wind"))
    for day, rows in shown:
        without = without.after(day, rows.head(0) if day in broken else rows)
    assert as_bytes(inputs) == as_bytes(without)
    assert (inputs.day, inputs.shown) == (days[-1], len(days) - 1)
    assert as_bytes(inputs) != as_bytes(whole_days(Inputs.started(PLAN.inputs, ("delay", "wind")), shown, set()))


def test_how_many_days_were_left_out_is_said_in_words() -> None:
    assert left_out(set()) == "No day was left out."
    assert left_out({MARCH}) == "1 day was left out because a feature looked broken."
    assert left_out({MARCH, MARCH + timedelta(days=1)}) == "2 days were left out because a feature looked broken."


def test_the_days_that_look_broken_are_those_of_which_the_channel_before_says_so(
    tmp_path: Path, workload: Workload
) -> None:
    lake, day = Lakehouse(str(tmp_path)), MARCH + timedelta(days=5)
    assert input_drift._broken(lake, workload, CHANGE, PLAN, day) == frozenset()
    # Before the reference, its first day, a whole day, a broken one, and one that is still to come.
    for far, alarm in ((-18, True), (-17, True), (0, False), (3, True), (6, True)):
        faults(lake, MARCH + timedelta(days=far), alarm=alarm)
    found = input_drift._broken(lake, workload, CHANGE, PLAN, day)
    assert found == {MARCH - timedelta(days=17), MARCH + timedelta(days=3)}


def test_a_day_goes_on_from_the_day_before_without_what_is_broken(tmp_path: Path, workload: Workload) -> None:
    lake, second = Lakehouse(str(tmp_path)), MARCH + timedelta(days=1)
    decided = Decided(workload, frozenset({second}))
    faults(lake, second, alarm=True)
    for day in Days(MARCH, MARCH + timedelta(days=3)):
        inputs = watched_to(lake, workload, decided, PLAN, day)
    assert decided.asked == [*Days(MARCH, MARCH + timedelta(days=3))], "each day once"
    assert (inputs.day, inputs.shown) == (MARCH + timedelta(days=3), 3)
    assert max(max(scale.edges) for scale in inputs.scales) < 50


def test_by_a_plan_that_was_changed_the_champion_is_watched_anew(tmp_path: Path, workload: Workload) -> None:
    lake, decided, last = Lakehouse(str(tmp_path)), Decided(workload), MARCH + timedelta(days=2)
    for day in Days(MARCH, last):
        watched_to(lake, workload, decided, PLAN, day)
    other = PLAN.model_copy(update={"inputs": PLAN.inputs.model_copy(update={"rate": 0.01})})
    decided.asked.clear()
    inputs = watched_to(lake, workload, decided, other, last + timedelta(days=1))
    assert decided.asked == [*Days(MARCH, last + timedelta(days=1))]
    assert inputs.plan == other.inputs
    kept = states.before(lake, NAME, INPUT_DRIFT, Watched.of(CHANGE, other.inputs), last + timedelta(days=2))
    assert kept is not None
    assert as_bytes(of_bytes(kept.state, other.inputs)) == as_bytes(inputs)
