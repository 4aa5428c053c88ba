"""The benchmark of ways to retrain: its figures, from a scorecard."""

from __future__ import annotations

from typing import Any

import click
import pytest

from automation.drift.worth.ways import Way
from automation.scorecard import AS_IT_WAS
from benchmarks.report import Figure
from benchmarks.retraining import figures_of


def way(name: str, saved: float, trainings: int) -> dict[str, Any]:
    return {
        "way": name,
        "saved_by_month": {"2013-03": saved / 2, "2013-04": saved / 2},
        "auc_by_month": {"2013-03": 0.8, "2013-04": 0.7},
        "saved": saved,
        "trainings": trainings,
        "cost": 1205.0 * trainings,
    }


MARCH_AND_APRIL = {"first": "2013-03-01", "last": "2013-04-30"}


def test_what_was_done_is_beside_each_other_way() -> None:
    ways = [way(AS_IT_WAS, 2.0, 4), way("never", 1.0, 1), way("monthly", 3.0, 2), way("weekly", 3.0, 9)]
    figures = figures_of({**MARCH_AND_APRIL, "retraining": ways, "not_compared": ["daily"]}, [Way.NEVER, Way.MONTHLY])
    found: dict[str, Figure] = {each.name: each for each in figures}
    assert len(found) == len(figures)
    assert found["saved_beside_never"].met
    assert not found["saved_beside_monthly"].met
    assert (found["trainings"].value, found["trainings"].goal) == (4, 60)
    assert found["saved_weekly_2013_03"].value == 1.5
    assert found["mean_auc_as_it_was"].value == 0.75


def test_a_way_of_other_days_is_no_figure() -> None:
    with pytest.raises(click.ClickException, match="never was compared on other days than 2013-03-01 to 2013-04-30"):
        figures_of({**MARCH_AND_APRIL, "retraining": [way(AS_IT_WAS, 2.0, 4)], "not_compared": ["never"]}, [Way.NEVER])
