"""The candidate's metrics beside the champion's on the holdout, each with its interval, and so their difference.

Intervals of one metric are at the plan's rate each: the table as a whole is for reading. What fails a candidate is the
Brier score alone, a proper score (Gneiting and Raftery, JASA 102, 2007): nobody gains by saying other probabilities
than they believe, and both ranking and calibration are in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.evaluation import auc
from automation.rollout.judging.metrics import Metric, compare
from automation.rollout.judging.resampling import Auc, CalibrationError, Mean

if TYPE_CHECKING:
    from automation.rollout.judging.decisions import Decisions
    from automation.rollout.judging.holdout import Judged, Scored
    from automation.rollout.judging.metrics import Compared
    from automation.rollout.judging.plan import JudgingPlan
    from automation.rollout.judging.resampling import Resamples, Statistic
    from automation.workload import ModelSpec

MEASURED = (Metric.AUC, Metric.BRIER, Metric.LOG_LOSS, Metric.CALIBRATION_ERROR)
# As scikit-learn has it: a certainty that was wrong counts much, and not infinitely much.
CERTAIN = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Beside:
    """All metrics, on how much they were measured, and what predicting without a model comes to.

    ``base_rate_brier`` is the Brier score of predicting the holdout's own share of bad outcomes for everybody;
    ``rule_auc`` the AUC of the workload's simple rule.
    """

    cases: int
    days: int
    base_rate: float
    base_rate_brier: float
    rule_auc: float
    metrics: tuple[Compared, ...]

    def of(self, metric: Metric) -> Compared:
        return next(each for each in self.metrics if each.metric is metric)


def beside(judged: Judged, decisions: Decisions, model: ModelSpec, plan: JudgingPlan, resamples: Resamples) -> Beside:
    """Compares on the rows that are judged. Dollars are those of all cases with a known outcome: ``decisions``."""
    holdout = judged.holdout
    label, base_rate = holdout.label, float(holdout.label.mean())
    rule = holdout.vectors[model.rule_feature].cast(pl.Float64).fill_null(model.rule_fallback).to_numpy()
    candidate = _statistics(judged, judged.candidate)
    champion = [None] * len(candidate) if judged.champion is None else _statistics(judged, judged.champion)
    return Beside(
        cases=len(label),
        days=len(np.unique(holdout.day[holdout.judged])),
        base_rate=base_rate,
        base_rate_brier=float(np.mean((base_rate - label) ** 2)),
        rule_auc=auc(rule[holdout.judged], label),
        metrics=(
            *(
                compare(metric, own, other, resamples, plan.rate)
                for metric, own, other in zip(MEASURED, candidate, champion, strict=True)
            ),
            decisions.compared,
        ),
    )


def _statistics(judged: Judged, scored: Scored) -> list[Statistic]:
    """Those of `MEASURED`."""
    holdout = judged.holdout
    label, day, days = holdout.label, holdout.day[holdout.judged], len(holdout.days)
    given = judged.probabilities(scored)
    certain = np.clip(given, CERTAIN, 1 - CERTAIN)
    return [
        Auc.of(given, label, day, days),
        Mean.of((given - label) ** 2, day, days),
        Mean.of(-np.log(np.where(label == 1, certain, 1 - certain)), day, days),
        CalibrationError.of(given, label, day, days),
    ]
