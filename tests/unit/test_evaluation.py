"""Metrics of probabilities."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.evaluation import OneOutcomeError, auc, calibration_error, evaluate

PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.integers(0, 1)), min_size=2, max_size=12)


@given(PAIRS)
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[float, int]]) -> None:
    score, label = (np.array(column) for column in zip(*pairs, strict=True))
    bad, good = score[label == 1], score[label == 0]
    if len(bad) == 0 or len(good) == 0:
        assert math.isnan(auc(score, label))
        return
    wins = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    assert auc(score, label) == pytest.approx(wins / (len(bad) * len(good)))


def test_calibration_error_is_the_mean_gap_between_what_was_predicted_and_what_happened() -> None:
    label = np.array([0, 0, 0, 1] * 50 + [1, 1, 1, 0] * 50)
    right = np.array([0.25] * 200 + [0.75] * 200)
    # Groups of 40 hold whole runs of four, so each group happens exactly as often as predicted.
    assert calibration_error(right, label) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(right + 0.1, label) == pytest.approx(0.1)
    assert calibration_error(np.full(400, 0.5), label) == pytest.approx(0.25)


def vectors(rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "departure_delay_mean_3h": [float(row % 10) if row % 5 else None for row in range(rows)],
            "seats": [100] * rows,
            "leak": [row % 2 for row in range(rows)],
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            # Six hours apart, from eight in the evening in New York.
            "event_time": [datetime(2013, 3, 2, 1, tzinfo=UTC) + timedelta(hours=6 * row) for row in range(rows)],
        }
    )


def test_an_evaluation_finds_the_feature_that_is_the_outcome_in_disguise(workload) -> None:
    label = np.array([row % 2 for row in range(100)])
    result = evaluate(np.full(100, 0.5), label, vectors(100), workload.spec, ["empty", "leak", "seats"])
    assert (result.strongest_feature.name, result.strongest_feature.auc) == ("leak", 1.0)
    assert result.metrics["base_rate"] == 0.5
    assert result.metrics["brier"] == result.metrics["brier_base_rate"] == 0.25
    assert result.metrics["auc"] == 0.5
    assert all(math.isfinite(value) for value in result.metrics.values())


def test_an_outcome_hidden_in_missing_values_is_found(workload) -> None:
    label = np.array([row % 2 for row in range(100)])
    rows = vectors(100).with_columns(gone=pl.when(pl.col("leak") == 1).then(None).otherwise(pl.lit(1.0)))
    result = evaluate(np.full(100, 0.5), label, rows, workload.spec, ["gone", "seats"])
    assert (result.strongest_feature.name, result.strongest_feature.auc) == ("gone", 1.0)


def test_each_case_is_of_the_local_day_of_its_decision(workload) -> None:
    label = np.array([0, 1] * 5)
    result = evaluate(np.full(10, 0.5), label, vectors(10), workload.spec, ["seats"])
    assert result.day.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_dollars_are_those_of_the_policy(workload) -> None:
    label = np.array([0, 1] * 50)
    result = evaluate(label.astype(float), label, vectors(100), workload.spec, ["seats"])
    passengers = 83.0
    # Foresight: nothing for the good half, the cheaper of all actions for the bad one, which is to protect.
    assert result.metrics["expected_cost_per_case"] == pytest.approx(passengers * (12 + 60 * 0.4) / 2)
    assert result.metrics["cost_per_case_doing_nothing"] == pytest.approx(passengers * 60 / 2)


def test_labels_that_are_all_alike_cannot_validate_anything(workload) -> None:
    with pytest.raises(OneOutcomeError, match="All 10 labels are 0"):
        evaluate(np.full(10, 0.5), np.zeros(10, dtype=int), vectors(10), workload.spec, ["seats"])
