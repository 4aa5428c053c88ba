"""Uncertainty: the interval is the textbook's, cases of one day are not counted as independent, nothing is too new."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automation.calendar import Days
from automation.explanation.bands import Band, Bands, Outcome
from automation.explanation.uncertainty import (
    NoInterval,
    Uncertainty,
    clopper_pearson,
    known_outcomes,
    robustness,
    uncertainty,
)
from automation.lakehouse import Lakehouse
from automation.workload import Workload


@pytest.mark.parametrize(
    ("bad", "cases", "low", "high"),
    [(0, 20, 0.0, 0.1684), (5, 20, 0.0866, 0.4910), (10, 10, 0.6915, 1.0), (1, 100, 0.0003, 0.0545)],
)
def test_the_interval_is_clopper_and_pearsons(bad: int, cases: int, low: float, high: float) -> None:
    assert clopper_pearson(bad, cases) == pytest.approx((low, high), abs=5e-5)


def outcomes(label: np.ndarray, days: np.ndarray, probability: float = 0.3) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "probability": np.full(len(label), probability),
            "label": label.astype(bool),
            "day": [date(2013, 1, 1) + timedelta(days=int(each)) for each in days],
        }
    )


def test_an_interval_holds_what_it_should_where_days_differ() -> None:
    """400 of 500 intervals at least hold the truth (475 are promised); those that take cases as independent do not."""
    chance, held, naive = np.random.default_rng(5), 0, 0
    for _ in range(500):
        days = np.repeat(np.arange(12), 20)
        rate = chance.beta(3, 7, 12)[days]
        label = chance.random(len(days)) < rate
        found = uncertainty(outcomes(label, days), 0.3)
        assert isinstance(found, Uncertainty)
        held += found.low <= 0.3 <= found.high
        low, high = clopper_pearson(float(label.sum()), float(len(label)))
        naive += low <= 0.3 <= high
    assert held >= 465
    assert naive < 400


def test_independent_cases_count_nearly_as_they_are() -> None:
    chance, worth = np.random.default_rng(6), []
    for _ in range(50):
        days = np.repeat(np.arange(30), 13)
        found = uncertainty(outcomes(chance.random(390) < 0.3, days), 0.3)
        assert isinstance(found, Uncertainty)
        worth.append(found.worth)
    assert np.median(worth) > 250


def test_only_cases_scored_alike_are_counted() -> None:
    days = np.arange(100) % 10
    mixed = pl.concat([outcomes(np.arange(100) % 4 == 0, days, 0.3), outcomes(np.ones(100), days, 0.9)])
    found = uncertainty(mixed, 0.31)
    assert isinstance(found, Uncertainty)
    assert (found.cases, found.bad, found.days) == (100, 25, 10)
    assert (found.scored_low, found.scored_high) == (0.3, 0.3)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (outcomes(np.zeros(19), np.arange(19)), "of 19 outcomes known by then 19 are of cases scored alike"),
        (outcomes(np.zeros(50), np.arange(50), 0.9), "of 50 outcomes known by then 0 are of cases scored alike"),
        (outcomes(np.zeros(50), np.zeros(50)), "all of one day"),
    ],
)
def test_where_too_little_is_known_no_interval_is_given_and_it_is_said_why(made: pl.DataFrame, says: str) -> None:
    found = uncertainty(made, 0.3)
    assert isinstance(found, NoInterval)
    assert says in found.says


def test_no_outcome_known_after_the_decision_is_used_and_a_corrected_one_is_as_it_was_known_then(
    tmp_path: Path, workload: Workload
) -> None:
    lake, day = Lakehouse(str(tmp_path)), date(2013, 1, 20)
    noon = datetime(2013, 1, 20, 12, tzinfo=UTC)

    def row(case: str, known: datetime, label: bool) -> dict[str, object]:
        return {
            "case_key": case,
            "known_time": known,
            "decision_time": known - timedelta(hours=6),
            "probability": 0.3,
            "label": label,
            "day": known.date(),
        }

    rows = [
        row("known", noon - timedelta(days=1), True),
        row("corrected before", noon - timedelta(days=2), False),
        row("corrected before", noon - timedelta(hours=1), True),
        row("corrected after", noon - timedelta(hours=2), False),
        row("corrected after", noon + timedelta(hours=2), True),
        row("later", noon + timedelta(minutes=1), True),
    ]
    frame = pl.DataFrame(rows, schema_overrides={"known_time": pl.Datetime("us", "UTC")})
    lake.replace_days(workload.name, "outcomes", frame, Days(day - timedelta(days=3), day))
    found = known_outcomes(lake, workload, day, noon)
    assert sorted(found["label"].to_list()) == [False, True, True]
    assert found.height == 3


def test_before_anything_was_decided_no_outcome_is_known(tmp_path: Path, workload: Workload) -> None:
    assert known_outcomes(
        Lakehouse(str(tmp_path)), workload, date(2013, 1, 2), datetime(2013, 1, 2, tzinfo=UTC)
    ).is_empty()


BANDS = Bands(
    (
        Band(0.0, 0.33, Outcome("wait", "automated")),
        Band(0.33, 0.6, Outcome("tell", "automated")),
        Band(0.6, 1.0, Outcome("wait", "review")),
    )
)


def found(low: float, high: float) -> Uncertainty:
    return Uncertainty(low, high, 100, 40, 10, 80.0, 0.3, 0.5)


def test_whether_the_decision_would_be_the_same_is_asked_over_the_whole_interval() -> None:
    told = robustness(BANDS, 0.4, found(0.35, 0.5))
    assert (told.same, told.says) == (True, "the same between 0.350 and 0.500")
    told = robustness(BANDS, 0.4, found(0.2, 0.7))
    assert not told.same
    assert told.says == (
        "the same between 0.330 and 0.600; wait (automated) between 0.200 and 0.330, "
        "wait (review) between 0.600 and 0.700"
    )


def test_a_probability_outside_its_interval_widens_it() -> None:
    told = robustness(BANDS, 0.62, found(0.4, 0.5))
    assert not told.same
    assert told.says.startswith("the same between 0.600 and 0.620; tell (automated) between 0.400 and 0.600")
