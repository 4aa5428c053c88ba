"""Whether retraining is looked into, what is said of it, and how a model of the past is asked about days that were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.stages import retraining
from assets.stages.challengers import _scored, rescored
from automation import gates
from automation.drift import states
from automation.drift.asking import Answer, Asking, looks, tries
from automation.drift.plan import Cause, DriftPlan
from automation.drift.states import (
    CHANNELS,
    ESTIMATED_PERFORMANCE,
    FEATURE_FAULTS,
    INPUT_DRIFT,
    REALISED_HARM,
    Kept,
    Watched,
)
from automation.drift.triage import Triage
from automation.drift.worth.backtest import Standing
from automation.drift.worth.judging import Decision, Worth
from automation.drift.worth.plan import Budget, Window, WorthPlan
from automation.lakehouse import DAY as DAY_COLUMN
from automation.lakehouse import Lakehouse
from automation.rollout.machine import Champion, Rollout
from automation.rollout.rollback import roll_back
from automation.settings import Settings
from automation.workload import Workload
from contracts import canonical_json
from tests.rollout.conftest import APRIL, MARCH, MAY, NAME, NOW, OPERATOR, standing

DAY = APRIL - timedelta(days=1)
RECENT = Window(name="recent", last_days=60)
PLAN = DriftPlan(worth=WorthPlan(windows=(Window(name="all"), RECENT), budget=Budget(least_days=7, a_quarter=2)))
WHOLE, BROKEN = Triage(()), Triage(("wind: stuck",))
SAVED = {"recent": {DAY - timedelta(days=3): 120.0}}
NOTHING_YET = Rollout(NAME, ())
WATCHED = Watched("a" * 64, MARCH, "")


def said(day: date, answer: Answer = Answer.DECLINED) -> Asking:
    return Asking(day, answer, ("harm",), None, {}, "as it was said")


def refused(
    found: Rollout = NOTHING_YET,
    before: Sequence[Asking] = (),
    causes: Sequence[Cause] = (Cause.HARM,),
    data: Triage = WHOLE,
) -> str | None:
    return retraining._refused(found, before, PLAN, causes, data, DAY)


def worth(decision: Decision, window: str | None = "recent") -> Worth:
    return Worth(DAY, decision, window, 60, 5000.0, 2000.0, 1200.0, 3800.0, (), "in words")


# ------------------------------------------------------------------ whether it is looked into


def test_an_alarm_on_whole_data_within_the_budget_is_looked_into() -> None:
    assert refused() is None
    assert refused(before=[said(DAY - timedelta(days=20))]) is None
    assert refused(before=[said(DAY)]) is None, "looked into again, the day's own try is no earlier one"


def test_without_an_alarm_nothing_is_asked() -> None:
    assert refused(causes=()) == (
        "Nothing asks for a new model: no alarm is raised that the plan takes for a cause, and no look is due."
    )


def test_after_a_while_it_is_looked_into_without_an_alarm(
    settings: Settings, promoted: Callable[..., Champion]
) -> None:
    promoted(1, MARCH)
    found, every = standing(settings), PLAN.worth.look_days
    assert every is not None

    def due(day: date, *looks: date, plan: DriftPlan = PLAN) -> bool:
        return retraining._refused(found, [said(each) for each in looks], plan, (), WHOLE, day) is None

    first = MARCH + timedelta(days=every - 1)
    assert [due(first - timedelta(days=1)), due(first), due(first + timedelta(days=3))] == [False, True, True]
    assert not due(first + timedelta(days=every - 1), first)
    assert due(first + timedelta(days=every), first)
    after_alarms = PLAN.model_copy(update={"worth": PLAN.worth.model_copy(update={"look_days": None})})
    assert not due(first, plan=after_alarms)


def test_on_data_that_is_to_be_repaired_nothing_is_asked() -> None:
    found = refused(data=BROKEN)
    assert found is not None
    assert "wind: stuck" in found
    assert found.endswith("Retraining on it is not looked into.")


def test_waivers_of_the_feeds_and_of_what_is_computed_of_them_are_asked_for_of_the_last_days(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[gates.Asked] = []
    monkeypatch.setattr(gates, "read", lambda _, each, __: asked.extend(each) or [])
    assert retraining._waived(dg.DagsterInstance.ephemeral(), workload, PLAN, DAY) == []
    tables = [each.asset.path[-1] for each in asked]
    assert len(set(tables)) == len(tables)
    assert {"weather", "cases", "labels", "origin_weather", "aircraft_rotation"} <= set(tables)
    days = {(DAY - timedelta(days=far)).isoformat() for far in range(PLAN.repaired_days + 1)}
    assert {each.partitions for each in asked} == {frozenset(days)}


def test_over_the_budget_nothing_is_asked_and_it_is_said_when_it_may_be() -> None:
    soon = refused(before=[said(DAY - timedelta(days=5))])
    assert soon == f"It was looked into on {DAY - timedelta(days=5)}, and is again from {DAY + timedelta(days=2)} on."
    assert refused(before=[said(DAY - timedelta(days=7))]) is None, "a look that came to nothing costs no more waiting"
    spent = refused(before=[said(DAY - timedelta(days=far), Answer.ASKED) for far in (60, 30)])
    assert spent is not None
    assert "2 tries in 91 days are spent" in spent


def test_a_day_before_one_that_was_looked_into_is_not_looked_into_any_more() -> None:
    later = said(DAY + timedelta(days=3))
    found = refused(before=[later])
    assert found == f"{later.day} was looked into already, on what was known then: days before it no longer are."
    assert refused(before=[said(DAY), later]) is None, "what was said of it stays"


def test_looks_and_tries_are_told_in_the_order_of_their_days(settings: Settings) -> None:
    told = [said(DAY - timedelta(days=far), Answer.ASKED) for far in (7, 20, 14)]
    assert [each.day for each in looks(told, DAY)] == [DAY - timedelta(days=far) for far in (20, 14, 7)]
    assert [each.day for each in tries(told, standing(settings), DAY)] == [each.day for each in looks(told, DAY)]


def test_while_a_version_is_on_its_way_nothing_is_asked(
    settings: Settings, promoted: Callable[..., Champion], gated: Callable[..., Champion]
) -> None:
    promoted(1, MARCH)
    assert refused(standing(settings)) is None
    gated(2, APRIL)
    assert refused(standing(settings)) == "Version 2 is on its way already: what it comes to is waited for."


def test_only_an_alarm_of_the_day_that_the_plan_names_is_a_cause(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))

    def causes(*named: Cause) -> tuple[Cause, ...]:
        return retraining._causes(lake, NAME, DriftPlan(causes=named), DAY)

    assert causes(*Cause) == (), "nothing was watched"
    for table in CHANNELS:
        for day, alarm in ((DAY - timedelta(days=1), True), (DAY, table in (INPUT_DRIFT, ESTIMATED_PERFORMANCE))):
            states.keep(lake, NAME, table, Kept(WATCHED, day, b"{}", alarm, table, []))
    assert causes(*Cause) == (Cause.INPUTS,)
    assert causes(Cause.HARM) == ()
    states.keep(lake, NAME, REALISED_HARM, Kept(WATCHED, DAY, b"{}", True, "harm", []))
    assert causes(*Cause) == (Cause.HARM, Cause.INPUTS)
    assert causes() == ()


def test_a_fault_is_held_against_the_data_for_some_days(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    for far, alarm in ((PLAN.repaired_days + 1, True), (PLAN.repaired_days, True), (1, False)):
        day = DAY - timedelta(days=far)
        states.keep(lake, NAME, FEATURE_FAULTS, Kept(WATCHED, day, b"{}", alarm, f"wind: stuck {far}", []))
    first = DAY - timedelta(days=PLAN.repaired_days)
    assert retraining._mending(lake, NAME, PLAN, DAY) == (f"on {first}, wind: stuck {PLAN.repaired_days}",)


# ------------------------------------------------------------------ who is compared


def stands(settings: Settings, day: date, *looks: Asking) -> tuple[Standing, int | None]:
    found, former = retraining._standing(standing(settings), looks, PLAN, day)
    return found, None if former is None else former.version


def test_a_first_champion_has_no_model_before_it(settings: Settings, promoted: Callable[..., Champion]) -> None:
    promoted(1, MARCH)
    assert stands(settings, DAY) == (Standing(MARCH, MARCH, "all", former=False, looked=None), None)


def test_a_champion_stands_beside_the_older_model_whose_place_it_took(
    settings: Settings, promoted: Callable[..., Champion]
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    look = Asking(DAY, Answer.ASKED, (), RECENT, {}, "as it was said")
    look = replace(look, saved={"all": {MARCH: 1.0}, "recent": {MARCH + timedelta(days=1): 1.0}})
    expected = Standing(APRIL, APRIL, "recent", former=True, looked=APRIL, compared=MARCH + timedelta(days=1))
    assert stands(settings, APRIL + timedelta(days=13), look) == (expected, 1)
    assert stands(settings, DAY)[0].trained == MARCH, "of an earlier day, who decided that"


def test_after_a_rollback_the_model_before_is_the_newer_one_and_nothing_stands_beside_the_champion(
    settings: Settings, workload: Workload, promoted: Callable[..., Champion]
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    roll_back(settings, workload, by=OPERATOR, why="it misses evenings.", as_of=MAY, views=dict, now=lambda: NOW)
    found, former = stands(settings, MAY)
    assert (found.trained, found.since, found.former, former) == (MARCH, MAY, False, None)


def test_what_a_model_of_all_that_is_known_saved_speaks_for_no_other_window(
    settings: Settings, promoted: Callable[..., Champion]
) -> None:
    promoted(1, MARCH)
    recent = PLAN.model_copy(update={"worth": WorthPlan(windows=(RECENT,))})
    assert retraining._standing(standing(settings), (), recent, DAY)[0].window == "everything"
    both = PLAN.model_copy(update={"worth": WorthPlan(windows=(RECENT, Window(name="whole")))})
    assert retraining._standing(standing(settings), (), both, DAY)[0].window == "whole"


# ------------------------------------------------------------------ what is said of it


def test_what_is_worth_its_cost_is_asked_for_with_its_window() -> None:
    found = retraining._asking(worth(Decision.RETRAIN), SAVED, PLAN, (Cause.HARM, Cause.INPUTS), DAY)
    assert (found.answer, found.day, found.as_of) == (Answer.ASKED, DAY, APRIL)
    assert (found.window, found.causes, found.says) == (RECENT, ("harm", "inputs"), "in words")
    assert (found.worth["decision"], found.worth["expected"], found.worth["as_of"]) == ("retrain", 5000.0, str(DAY))


def test_what_is_not_is_declined_with_what_it_was_expected_to_save() -> None:
    found = retraining._asking(worth(Decision.KEEP), SAVED, PLAN, (Cause.HARM,), DAY)
    assert (found.answer, found.window) == (Answer.DECLINED, None)
    assert found.worth["at_least"] == 2000.0
    assert found.saved == SAVED
    assert retraining._asking(worth(Decision.KEEP, None), {}, PLAN, (), DAY).window is None


# ------------------------------------------------------------------ days that were, asked about again


@dataclass(frozen=True)
class Constant:
    """A model that says one thing, and remembers how many cases it was asked about."""

    says: float = 0.25
    asked: list[int] = field(default_factory=list)

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        self.asked.append(frame.height)
        return np.full(frame.height, self.says)

    def contributions(self, _: pl.DataFrame) -> None:
        return None

    # As the registry's resource is used.
    def open(self, *_: object) -> Constant:
        return self

    def load(self, *_: object) -> Constant:
        return self


@pytest.fixture
def scores(workload: Workload) -> pl.DataFrame:
    """A day: version 1 scored two cases and version 2 one; of one the vector broke its contract, in the middle."""
    vector = workload.contract(workload.spec.model.contract)
    key = workload.spec.case_key
    blank = pl.DataFrame({name: pl.Series([None], dtype=dtype) for name, dtype in vector.schema.items()})
    texts = [canonical_json.rows(blank.with_columns(pl.lit(case).alias(key)))[0] for case in "abcd"]
    named = {"case_key": [*"abcd"], "event_time": [1, 2, 3, 4], "features": texts, DAY_COLUMN: [DAY] * 4}
    version = [1, None, 2, 1]
    return pl.DataFrame(
        {
            **named,
            "probability": [0.1, None, 0.3, 0.4],
            "problems": ["[]", '["wind: required"]', "[]", "[]"],
            "model": [None if one is None else "m" for one in version],
            "model_version": version,
            "model_digest": [None if one is None else str(one) * 64 for one in version],
            "model_stage": [None if one is None else "champion" for one in version],
        }
    )


def test_a_day_asked_about_again_keeps_its_rows_and_what_no_model_could_score(
    workload: Workload, scores: pl.DataFrame
) -> None:
    model = Constant()
    again = rescored(workload, model, scores)
    assert model.asked == [3]
    assert again["probability"].to_list() == [0.25, None, 0.25, 0.25]
    assert again.drop("probability").equals(scores.drop("probability"))
    assert again.columns == scores.columns


def test_a_challenger_is_asked_about_what_it_did_not_score_in_earnest(workload: Workload, scores: pl.DataFrame) -> None:
    model, version = Constant(), Champion("m", 2, "2" * 64, MARCH)
    own = _scored(workload, model, version, scores, ())
    assert model.asked == [2]
    assert own["probability"].to_list() == [0.25, None, 0.3, 0.25]
    assert own["case_key"].to_list() == [*"abcd"]
    assert own["model_version"].to_list() == [2] * 4
    other = _scored(workload, model, version, scores, ("weather",))
    assert model.asked == [2], "a version whose views changed is asked nothing"
    assert other["probability"].to_list() == [None, None, 0.3, None]
    changed = '["weather changed since it was trained"]'
    assert other["problems"].to_list() == [changed, '["wind: required"]', "[]", changed]
