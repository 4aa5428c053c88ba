"""How good probabilities are: ranking, calibration, and dollars under the workload's policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.policy.costs import costs, stakes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.workload import WorkloadSpec


@dataclass(frozen=True)
class FeatureStrength:
    """How well one feature alone ranks the outcomes, whichever way round."""

    name: str
    auc: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of probabilities on labelled cases, and what they were computed from.

    ``day`` numbers the local day of each case's decision, from 0. Shape (cases,), as of ``probability`` and ``label``.
    """

    probability: np.ndarray
    label: np.ndarray
    day: np.ndarray
    metrics: dict[str, float]
    strongest_feature: FeatureStrength


def evaluate(
    probability: np.ndarray, label: np.ndarray, rows: pl.DataFrame, spec: WorkloadSpec, features: Sequence[str]
) -> Evaluation:
    """Judges ``probability`` by ``label`` (0/1) on ``rows``, the cases' feature vectors.

    Raises:
        OneOutcomeError: the labels are all alike, so that nothing can be told apart.
    """
    if label.min() == label.max():
        raise OneOutcomeError(
            f"All {len(label)} labels are {int(label[0])}: nothing to tell apart. Validate on more days."
        )
    rule = rows[spec.model.rule_feature].cast(pl.Float64).fill_null(spec.model.rule_fallback).to_numpy()
    stake = stakes(rows, spec.policy)
    expected = costs(probability, stake, spec.policy)
    realised = costs(label.astype(float), stake, spec.policy)
    safe = realised.actions.index(spec.policy.safe_action)
    local = rows["event_time"].dt.convert_time_zone(spec.calendar.timezone).dt.date()
    return Evaluation(
        probability=probability,
        label=label,
        day=local.rank("dense").to_numpy().astype(np.int64) - 1,
        metrics={
            "rows": float(len(label)),
            "base_rate": float(label.mean()),
            "auc": auc(probability, label),
            "average_precision": average_precision(probability, label),
            "brier": float(np.mean((probability - label) ** 2)),
            "brier_base_rate": float(np.mean((label.mean() - label) ** 2)),
            "calibration_error": calibration_error(probability, label),
            "auc_simple_rule": auc(rule, label),
            "expected_cost_per_case": float(realised.of(np.argmin(expected.values, axis=1)).mean()),
            "cost_per_case_doing_nothing": float(realised.values[:, safe].mean()),
        },
        strongest_feature=strongest_feature(rows, label, features),
    )


class OneOutcomeError(Exception):
    """Labels that are all alike cannot validate a model."""


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a bad case outranks a good one. NaN if there is only one kind."""
    if label.min() == label.max():
        return float("nan")
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score))


def average_precision(score: np.ndarray, label: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label, score))


def calibration_error(probability: np.ndarray, label: np.ndarray) -> float:
    """Expected calibration error over ten groups of equal size (Naeini et al. 2015, with equal-mass bins)."""
    predicted, happened, size = calibration_bins(probability, label)
    return float(np.sum(np.abs(predicted - happened) * size) / size.sum())


def calibration_bins(
    probability: np.ndarray, label: np.ndarray, bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean prediction, observed share and size of each of ``bins`` groups of equal size by prediction."""
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return (
        np.array([probability[group].mean() for group in groups]),
        np.array([label[group].mean() for group in groups]),
        np.array([len(group) for group in groups]),
    )


def strongest_feature(rows: pl.DataFrame, label: np.ndarray, features: Sequence[str]) -> FeatureStrength:
    """The feature that by itself ranks the labels best, the last by name of those that rank alike."""
    alone = [FeatureStrength(name, _either_way(rows[name], label)) for name in features]
    return max(alone, key=lambda strength: (strength.auc, strength.name))


def _either_way(feature: pl.Series, label: np.ndarray) -> float:
    """The feature's AUC, its missing values counted as a value of their own, below or above all others."""
    values = feature.cast(pl.Float64).to_numpy()
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return 0.5
    low, high = (np.where(np.isfinite(values), values, edge) for edge in (known.min() - 1, known.max() + 1))
    return max(max(a, 1 - a) for a in (auc(low, label), auc(high, label)))
