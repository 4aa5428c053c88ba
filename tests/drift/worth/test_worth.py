"""What retraining is worth: by looks at the past that know nothing of later, in dollars at least, after costs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from automation.drift.worth.backtest import NotASavingError, Seams, Standing, backtest, pooled, saved
from automation.drift.worth.judging import Decision, judged
from automation.drift.worth.plan import Costs, Window, WorthPlan
from automation.drift.worth.windows import EmptyWindowError, cut
from automation.rollout.verdicts.pairs import PAIRS, Cohort

TODAY = date(2030, 6, 1)
PLAN = WorthPlan(windows=(Window(name="all"), Window(name="recent", last_days=60)))


def _days(dollars) -> dict[date, float]:
    return {TODAY - timedelta(days=len(dollars) - n): float(each) for n, each in enumerate(dollars)}


def _noise(seed: int, mean: float, days: int = 28) -> dict[date, float]:
    return _days(np.random.default_rng(seed).normal(mean, 1000.0, days))


def test_what_surely_saves_more_than_it_costs_is_retrained():
    worth = judged({"all": _noise(1, 900.0), "recent": _noise(2, 3000.0)}, PLAN, TODAY)
    assert worth.decision is Decision.RETRAIN
    assert worth.window == "recent"
    assert worth.at_least < worth.expected
    assert worth.forgone == pytest.approx(worth.expected - worth.costs)
    assert worth.says.startswith("It is retrained: in 28 days, newer models of the window recent (the best of 2")


def test_what_might_as_well_save_nothing_is_not_retrained():
    kept = [judged({"all": _noise(seed, 0.0)}, WorthPlan(), TODAY).decision for seed in range(100)]
    assert kept.count(Decision.RETRAIN) <= 38  # the rate is 0.3


def test_the_best_of_many_equal_windows_is_not_taken_for_its_luck():
    windows = tuple(Window(name=f"w{number}") for number in range(8))
    plan = WorthPlan(windows=windows, costs=Costs(compute=0, review=0, rollout=0))
    found = [
        judged({window.name: _noise(100 * seed + n, 0.0) for n, window in enumerate(windows)}, plan, TODAY).decision
        for seed in range(60)
    ]
    assert found.count(Decision.RETRAIN) <= 26


def test_a_saving_that_does_not_pay_for_the_new_model_is_left():
    dear = PLAN.model_copy(update={"costs": Costs(rollout=10**6)})
    worth = judged({"all": _noise(1, 3000.0)}, dear, TODAY)
    assert worth.decision is Decision.KEEP
    assert worth.worth < 0
    assert "where a new model costs $1,000,2" in worth.says


def test_costs_count_each_training_and_the_new_models_own():
    assert judged({}, PLAN, TODAY).costs == 3 * 5.0 + 200.0 + 1000.0


def test_too_few_days_are_no_reason_to_retrain():
    worth = judged({"all": _noise(1, 5000.0, PLAN.least_days - 1)}, PLAN, TODAY)
    assert worth.decision is Decision.KEEP
    assert worth.window is None
    assert "9 days can be compared, and 10 are needed" in worth.says
    few = {"all": _noise(1, 5000.0, 9), "recent": _noise(1, 100.0, 20)}
    assert [each.window for each in judged(few, PLAN, TODAY).tried] == ["recent"]


def test_a_window_that_is_not_planned_any_more_is_not_judged():
    worth = judged({"weighted": _noise(1, 5000.0)}, PLAN, TODAY)
    assert (worth.decision, worth.window) == (Decision.KEEP, None)


def test_savings_that_are_all_alike_are_sure():
    assert judged({"all": _days([100.0] * 28)}, PLAN, TODAY).at_least == 100.0 * PLAN.horizon_days


def test_the_judgement_is_kept_as_the_same_data():
    found = [judged({"all": _noise(1, 900.0)}, PLAN, TODAY).as_data() for _ in range(2)]
    assert found[0] == found[1] == json.loads(json.dumps(found[0]))
    assert found[0]["decision"] in {"retrain", "keep"}


# ------------------------------------------------------------------ windows


def _rows(days: int) -> pl.DataFrame:
    first = datetime(TODAY.year, TODAY.month, TODAY.day, 6, tzinfo=UTC) - timedelta(days=days)
    return pl.DataFrame({"event_time": [first + timedelta(hours=12 * n) for n in range(2 * days)]})


def test_the_window_of_recent_days_holds_these_and_no_others():
    kept = cut(_rows(100), Window(name="recent", last_days=30), TODAY, "UTC")
    assert kept["event_time"].dt.date().min() == TODAY - timedelta(days=30)


def test_all_of_history_is_kept_as_it_is():
    assert cut(_rows(100), Window(name="all"), TODAY, "UTC").equals(_rows(100))


def test_the_weighted_window_holds_half_as_many_days_each_half_life_ago():
    day = cut(_rows(200), Window(name="weighted", half_life_days=20), TODAY, "UTC")["event_time"].dt.date().unique()
    ages = np.array([(TODAY - each).days for each in day])
    by_half_life = [int(((ages > 20 * n) & (ages <= 20 * (n + 1))).sum()) for n in range(4)]
    assert min(ages) <= 1
    assert by_half_life[0] == pytest.approx(15, abs=1)
    assert by_half_life[1] == pytest.approx(7, abs=1)
    assert by_half_life[2] == pytest.approx(4, abs=1)


def test_whole_days_are_kept_or_left_out():
    kept = cut(_rows(200), Window(name="weighted", half_life_days=20), TODAY, "UTC")
    assert set(kept.group_by(pl.col("event_time").dt.date()).len()["len"]) == {2}


def test_a_day_is_the_calendars():
    evening = datetime(TODAY.year, TODAY.month, TODAY.day, 1, tzinfo=UTC)  # 21:00 the day before in New York
    rows = pl.DataFrame({"event_time": [evening - timedelta(days=8), evening - timedelta(days=7)]})
    kept = cut(rows, Window(name="recent", last_days=7), TODAY - timedelta(days=1), "America/New_York")
    assert kept.height == 1


def test_a_window_without_rows_is_refused():
    with pytest.raises(EmptyWindowError, match="recent holds none"):
        cut(_rows(40).head(10), Window(name="recent", last_days=7), TODAY, "UTC")


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"windows": [{"name": "a", "last_days": 9, "half_life_days": 9}]}, "cut in one way"),
        ({"windows": [{"name": "a"}, {"name": "a"}]}, "two windows are called a"),
        ({"least_days": 85}, "more than remembered_days"),
        ({"look_days": 3}, "greater than or equal to 7"),
        ({"budget": {"least_days": 60}}, "less than least_days"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(declared, says):
    with pytest.raises(ValidationError, match=says):
        WorthPlan.model_validate(declared)


# ------------------------------------------------------------------ back-tests


def _cohort(day: date, saved_dollars: float) -> Cohort:
    told = {"case_key": ["a"], **{name: [0.0] for name in PAIRS if "_if_" in name}, "bad": [True], "probability": [0.5]}
    told["champion_if_bad"] = [saved_dollars]
    return Cohort(day, pl.DataFrame(told, schema=PAIRS))


class _World:
    """Notes what it was asked. A model is the number of rows that it learned from, and saves as many dollars a day."""

    def __init__(self) -> None:
        self.asked: list[date] = []
        self.trained: list[int] = []
        self.spans: list[tuple[date, date]] = []

    @property
    def seams(self) -> Seams[int]:
        return Seams(self.known, self.train, self.newer, self.older, "UTC")

    def known(self, as_of: date) -> pl.DataFrame:
        self.asked.append(as_of)
        return _rows(300).filter(pl.col("event_time").dt.date() < as_of)

    def train(self, rows: pl.DataFrame) -> int:
        self.trained.append(rows.height)
        return rows.height

    def newer(self, model: int, first: date, last: date) -> list[Cohort]:
        self.spans.append((first, last))
        return [_cohort(first + timedelta(days=n), float(model)) for n in range((last - first).days + 1)]

    def older(self, first: date, last: date) -> list[Cohort]:
        return self.newer(7, first, last)


def _ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def _standing(trained: int, looked: int | None, former: bool = False) -> Standing:
    return Standing(_ago(trained), _ago(trained), "recent", former, None if looked is None else _ago(looked))


def test_a_champion_older_than_the_last_look_is_compared_with_models_as_of_that():
    world = _World()
    found = backtest(world.seams, PLAN, TODAY, _standing(trained=60, looked=14, former=True))
    assert world.asked == [_ago(14)]
    assert world.spans == [(_ago(14), _ago(1))] * 2
    assert world.trained == [572, 120]
    assert found["all"] == {_ago(n): 572.0 for n in range(14, 0, -1)}


def test_a_look_begins_with_the_first_day_that_none_compared_yet():
    world = _World()
    stands = _standing(trained=60, looked=14)
    backtest(world.seams, PLAN, TODAY, replace(stands, compared=_ago(16)))
    assert world.asked == [_ago(15)]
    assert set(world.spans) == {(_ago(15), _ago(1))}
    backtest(world.seams, PLAN, TODAY, replace(stands, compared=_ago(12)))
    assert world.asked[-1] == _ago(14), "days after a look were compared by hand: they are not left out"


def test_no_model_is_trained_as_of_the_champions_own_day():
    world = _World()
    backtest(world.seams, PLAN, TODAY, replace(_standing(trained=15, looked=14), compared=_ago(16)))
    assert world.asked == [_ago(14)]


def test_no_look_goes_further_back_than_a_back_test_may():
    world = _World()
    backtest(world.seams, PLAN, TODAY, _standing(trained=200, looked=100))
    assert world.asked == [_ago(PLAN.backtest_days)]


def test_a_champion_of_the_last_look_is_itself_compared_with_the_one_before():
    world = _World()
    found = backtest(world.seams, PLAN, TODAY, _standing(trained=14, looked=14, former=True))
    assert world.asked == [], "nothing is trained"
    assert found == {"recent": {_ago(n): 7.0 for n in range(14, 0, -1)}}


def test_a_champion_of_the_last_look_with_none_before_it_is_compared_with_nothing():
    assert backtest(_World().seams, PLAN, TODAY, _standing(trained=14, looked=14)) == {}


def test_the_first_look_has_a_model_of_half_of_the_champions_days_decide_the_other_half():
    world = _World()
    backtest(world.seams, PLAN, TODAY, _standing(trained=20, looked=None))
    assert world.asked == [_ago(10)]
    assert set(world.spans) == {(_ago(10), _ago(1))}
    assert backtest(world.seams, PLAN, TODAY, _standing(trained=1, looked=None)) == {}, "it is as new as can be"


def test_a_day_of_another_champion_is_not_compared():
    world = _World()
    standing = Standing(_ago(60), _ago(5), "all", former=False, looked=_ago(14))
    backtest(world.seams, PLAN, TODAY, standing)
    assert set(world.spans) == {(_ago(5), _ago(1))}


def test_what_was_saved_is_told_by_day():
    assert saved([_cohort(TODAY, 5.0), _cohort(TODAY + timedelta(days=1), -2.0)]) == {
        TODAY: 5.0,
        TODAY + timedelta(days=1): -2.0,
    }
    with pytest.raises(NotASavingError, match="told twice"):
        saved([_cohort(TODAY, 5.0), _cohort(TODAY, 5.0)])


def test_looks_are_pooled_by_day_as_far_as_is_remembered_and_the_newest_holds():
    looks = [{"all": {_ago(30): 1.0, _ago(20): 2.0}}, {"recent": {_ago(20): 3.0}}]
    found = pooled({"all": {_ago(20): 5.0, _ago(5): 4.0}}, looks, since=_ago(25))
    assert found == {"all": {_ago(20): 5.0, _ago(5): 4.0}, "recent": {_ago(20): 3.0}}
