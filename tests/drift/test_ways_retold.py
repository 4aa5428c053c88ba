"""Days that were decided, told again for each way: by the newest model that the way would have trained by then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from assets.stages.retraining_ways import _Retold
from automation.calendar import Days
from automation.drift.worth.ways import Way
from tests.policy.made import declared, small

FIRST = date(2013, 3, 29)
POLICY = small(declared())
LABELS = pl.DataFrame({"case_key": ["bad", "good"], "label": [True, False]})


class ThePast:
    """Two cases on each day that was decided; a model is the day as of which it was trained."""

    def __init__(self, days: list[date]) -> None:
        self.days = SimpleNamespace(labels=lambda _first, _last: LABELS)
        self.workload = SimpleNamespace(calendar=SimpleNamespace(days=lambda: Days(FIRST, FIRST)))
        self.known, self.decided_by = days, {}

    def decided(self, first: date, last: date) -> Iterator[tuple[date, None, Any]]:
        yield from ((day, None, POLICY) for day in self.known if first <= day <= last)

    def made(self, model: date, day: date, _: Any) -> pl.DataFrame:
        self.decided_by[day] = model
        # Acting for the bad case saves $240 of the $600 that it costs, telling of the good one costs $10.
        return LABELS.select(
            "case_key", probability=pl.Series([0.9, 0.1]), action=pl.Series(["act", "tell"]), stake=pl.lit(10.0)
        )


def retold(days: list[date], monkeypatch: pytest.MonkeyPatch) -> tuple[_Retold, ThePast, list[date]]:
    past, trained = ThePast(days), []

    def train(_: _Retold, as_of: date) -> tuple[Any, float]:
        trained.append(as_of)
        return as_of, 2.0

    monkeypatch.setattr(_Retold, "_trained", train)
    usable: Any = pl.DataFrame()
    return _Retold(past, usable, Days(days[0], days[-1]), lambda _: None), past, trained


def test_each_day_is_told_by_the_newest_model_that_its_way_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    # The 5th, on which a week begins, had no case: its model decides from the 6th on.
    days = [FIRST + timedelta(days=n) for n in range(12) if n != 7]
    told, past, trained = retold(days, monkeypatch)
    april = Days(date(2013, 4, 1), days[-1])
    for way, as_of in {
        Way.NEVER: [FIRST],
        Way.MONTHLY: [date(2013, 4, 1)],
        Way.WEEKLY: [FIRST, date(2013, 4, 5)],
        Way.DAILY: [day for day in days if day >= april.first],
    }.items():
        trained.clear()
        came = told.came_to(way, april)
        assert trained == as_of
        # A model of March is none of April's trainings.
        assert came.trainings == sum(each >= april.first for each in as_of)
        assert came.training_seconds == 2.0 * came.trainings
        assert all(past.decided_by[day] == max(each for each in as_of if each <= day) for day in april if day in days)
        assert (came.outcomes, came.auc) == (2 * 8, 1.0)
        assert came.saved == pytest.approx(8 * (600.0 - 360.0 - 10.0))
    assert told.came_to(Way.WEEKLY, Days(FIRST, date(2013, 3, 31))).trainings == 1
