"""The benchmark of ways to retrain, on a world in which newer models are better by a stated sum."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import polars as pl

from automation.calendar import Days
from automation.drift.harm.plan import HarmPlan
from automation.drift.worth.plan import WorthPlan
from automation.rollout.verdicts.pairs import PAIRS, Cohort
from benchmarks.report import Figure
from benchmarks.retraining import ALL, FROZEN, MONTHLY, OFTEN, OURS, START, Trained, Way, figures_of, ours

LAST = START + timedelta(days=99)
LAG = 2
WORTH = WorthPlan(windows=(ALL,))


class _World:
    """Each day by which a model is newer saves ``a_day`` dollars a day."""

    def __init__(self, a_day: float) -> None:
        self.a_day, self.days = a_day, Days(START, LAST)
        self.year = SimpleNamespace(known=self._known)
        self.known_as_of: list[date] = []
        self.compared: list[tuple[date, date]] = []

    def _known(self, as_of: date) -> pl.DataFrame:
        self.known_as_of.append(as_of)
        return pl.DataFrame({"event_time": [as_of - timedelta(days=1)]}).cast(pl.Datetime("us", "UTC"))

    def trained(self, way: Way, as_of: date, window=ALL, rows=None) -> Trained:
        way.trainings += 1
        assert rows is None or rows["event_time"].dt.date().max() < as_of
        return Trained(None, as_of, window.name)

    def decided(self, trained: Trained, first: date, last: date) -> pl.DataFrame:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return pl.DataFrame({"day": days, "as_of": [trained.as_of] * len(days)})

    def cohorts(self, champion: pl.DataFrame, challenger: pl.DataFrame, today: date):
        for mine, theirs in zip(champion.iter_rows(named=True), challenger.iter_rows(named=True), strict=True):
            assert mine["day"] == theirs["day"] < today
            if mine["day"] <= today - timedelta(days=LAG):
                self.compared.append((theirs["as_of"], mine["day"]))
                saved = self.a_day * (theirs["as_of"] - mine["as_of"]).days
                told = {"case_key": ["a"], "bad": [True], "probability": [0.5], "champion_if_bad": [saved]}
                zeros = {name: [0.0] for name in PAIRS if name not in told}
                yield Cohort(mine["day"], pl.DataFrame({**told, **zeros}, schema=None).select(*PAIRS).cast(PAIRS))


def _ours(a_day: float) -> tuple[_World, Way]:
    world = _World(a_day)
    return world, ours(world, HarmPlan(), WORTH)


def test_what_is_worth_it_is_retrained_and_decides_from_that_day_on():
    _, way = _ours(100.0)
    assert way.retrained[:2] == [str(START), str(START + timedelta(days=WORTH.backtest_days))]
    decided = pl.concat(way.decided)
    assert decided["day"].to_list() == [START + timedelta(days=n) for n in range(100)]
    assert all(day >= as_of for day, as_of in decided.iter_rows())
    assert {str(day) for day in decided["as_of"].unique()} == set(way.retrained)


def test_what_is_not_worth_it_is_left_and_asked_more_and_more_rarely():
    world, way = _ours(-100.0)
    assert way.retrained == [str(START)]
    assert way.trainings == 1 + len(world.known_as_of) == 1 + len(way.log)
    assert len(way.log) <= 3


def test_a_model_decides_no_day_before_it_was_trained():
    world, _ = _ours(100.0)
    assert all(as_of <= day for as_of, day in world.compared)


def _way(saved: float, trainings: int) -> dict:
    months = [{"month": f"2013_{month:02d}", "auc": 0.8, "saved": saved} for month in (3, 4)]
    return {"months": months, "retrained": ["2013-03-01"], "log": [], "trainings": trainings, "seconds": 1.0}


def test_ours_is_beside_frozen_and_monthly():
    result = {FROZEN: _way(1.0, 1), MONTHLY: _way(3.0, 2), OFTEN: _way(3.0, 9), OURS: _way(2.0, 4), "every_days": 7}
    figures = figures_of(result)
    found: dict[str, Figure] = {each.name: each for each in figures}
    assert len(found) == len(figures)
    assert found["saved_ours"].met
    assert not found["saved_ours_beside_monthly"].met
    assert found["trainings_ours"].goal == 60
    assert found["saved_monthly_2013_03"].value == 3.0
