"""Intervals of days: what is exact is exact, and they hold what they promise although cases of a day are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation import evaluation
from automation.rollout.judging.resampling import (
    Auc,
    CalibrationError,
    Difference,
    Mean,
    Resamples,
    ends,
    interval,
)

DAYS = 6


def sample(seed: int, cases: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities with ties, labels and days; the first day has good outcomes only, the last has no case."""
    chance = np.random.default_rng(seed)
    day = chance.integers(0, DAYS - 1, cases)
    score = chance.integers(0, 12, cases) / 12
    label = ((chance.random(cases) < score) & (day > 0)).astype(np.int8)
    # One of each kind, so that there is something to rank.
    return np.append(score, [0.2, 0.9]), np.append(label, [0, 1]).astype(np.int8), np.append(day, [1, 1])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=DAYS, max_size=DAYS))
def test_a_resample_gives_what_the_metric_gives_of_its_cases_written_out(seed: int, times: list[int]) -> None:
    score, label, day = sample(seed)
    rows = np.concatenate([np.tile(np.flatnonzero(day == d), n) for d, n in enumerate(times)]).astype(int)
    resample = Resamples(np.array([times], dtype=float))
    brier, ranking = Mean.of((score - label) ** 2, day, DAYS), Auc.of(score, label, day, DAYS)
    if not len(rows):
        assert math.isnan(brier.under(resample).values[0])
        return
    assert brier.under(resample).values[0] == pytest.approx(np.mean((score[rows] - label[rows]) ** 2))
    expected = evaluation.auc(score[rows], label[rows])
    assert ranking.under(resample).values[0] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_sample_itself_has_the_metrics_of_the_evaluation(seed: int) -> None:
    score, label, day = sample(seed)
    once = Resamples(np.ones((1, DAYS)))
    assert Auc.of(score, label, day, DAYS).under(once).values[0] == pytest.approx(evaluation.auc(score, label))
    error = CalibrationError.of(score, label, day, DAYS).under(once).values[0]
    assert error == pytest.approx(evaluation.calibration_error(score, label))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_influences_add_up_to_nothing_and_the_short_way_gives_the_same_errors(seed: int) -> None:
    score, label, day = sample(seed)
    resamples = Resamples.drawn(DAYS, seed, 50)
    mean = Mean.of((score - label) ** 2, day, DAYS)
    for statistic in (mean, Auc.of(score, label, day, DAYS), CalibrationError.of(score, label, day, DAYS)):
        under = statistic.under(resamples)
        told = np.isfinite(under.values)
        added = (resamples.weights * under.influence).sum(axis=1)
        assert np.abs(added[told]).max() < 1e-9
    values, errors = mean.spread(resamples)
    under = mean.under(resamples)
    np.testing.assert_allclose(values, under.values)
    np.testing.assert_allclose(errors, under.errors(resamples), atol=1e-7)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    score, label, day = sample(1)
    mean = Mean.of((score - label) ** 2, day, DAYS)
    first, again, other = (interval(mean, Resamples.drawn(DAYS, seed), 0.1) for seed in (3, 3, 4))
    assert first == again != other
    assert first.low < first.estimate < first.high


def test_the_same_scores_differ_by_exactly_nothing() -> None:
    score, label, day = sample(2)
    ranking = Auc.of(score, label, day, DAYS)
    found = interval(Difference(ranking, Auc.of(score.copy(), label, day, DAYS)), Resamples.drawn(DAYS, 1), 0.01)
    assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)


def test_what_too_few_days_cannot_tell_is_unbounded() -> None:
    values, errors = np.array([0.2, np.nan, np.nan, 0.3]), np.array([0.1, np.nan, np.nan, 0.1])
    found = ends(values, errors, 0.1)
    assert (found.low, found.high) == (-math.inf, math.inf)


def days_of(chance: np.random.Generator, days: int, cases: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    day = np.repeat(np.arange(days), cases)
    known = chance.normal(0, 1.2, days * cases)
    score = 1 / (1 + np.exp(1.2 - known))
    label = (chance.random(days * cases) < 1 / (1 + np.exp(1.2 - known - chance.normal(0, 0.8, days)[day]))).astype(int)
    return score, label, day


def test_nine_in_ten_intervals_hold_the_truth_although_days_are_good_or_bad_as_a_whole() -> None:
    days, cases, trials = 28, 60, 120
    chance, resamples = np.random.default_rng(5), Resamples.drawn(days, 5, 400)
    held = {"brier": 0, "auc": 0, "by the case": 0}
    found = []
    for _ in range(trials):
        score, label, day = days_of(chance, days, cases)
        found.append((Mean.of((score - label) ** 2, day, days), Auc.of(score, label, day, days), (score - label) ** 2))
    # What is estimated, from hundreds of times as many days as an interval sees.
    more = [days_of(chance, days, cases) for _ in range(600)]
    truth = float(np.mean([np.mean((score - label) ** 2) for score, label, _ in more]))
    ranking = float(np.mean([evaluation.auc(score, label) for score, label, _ in more[:200]]))
    for brier, auc, losses in found:
        of_brier, of_auc = (interval(each, resamples, 0.1) for each in (brier, auc))
        held["brier"] += of_brier.low <= truth <= of_brier.high
        held["auc"] += of_auc.low <= ranking <= of_auc.high
        held["by the case"] += abs(losses.mean() - truth) <= 1.645 * losses.std() / np.sqrt(len(losses))
    assert 0.83 * trials <= held["brier"] <= 0.96 * trials, held
    assert 0.83 * trials <= held["auc"] <= 0.97 * trials, held
    # What forgets that cases of a day are alike is wrong far more often than one time in ten.
    assert held["by the case"] < 0.75 * trials, held


def test_a_year_of_cases_is_resampled_in_a_moment() -> None:
    chance = np.random.default_rng(1)
    score, label, day = chance.random(25_000), chance.integers(0, 2, 25_000), np.repeat(np.arange(50), 500)
    found = interval(Auc.of(score, label, day, 50), Resamples.drawn(50, 1, 1000), 0.01)
    assert found.low < 0.5 < found.high
