"""The metrics by which models are compared, and one of them for both, with its intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from automation.rollout.judging.resampling import Difference, Interval, interval

if TYPE_CHECKING:
    from automation.rollout.judging.resampling import Resamples, Statistic


class Metric(StrEnum):
    """What is measured; of the AUC more is better, of all others less."""

    AUC = "AUC"
    BRIER = "Brier score"
    LOG_LOSS = "log loss"
    CALIBRATION_ERROR = "calibration error"
    DOLLARS = "dollars a case"

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that it can be."""
        if self is Metric.DOLLARS:
            return -math.inf, math.inf
        return 0.0, math.inf if self is Metric.LOG_LOSS else 1.0


@dataclass(frozen=True)
class Compared:
    """A metric of both; ``more``: by how much the candidate's is more than the champion's, on the same cases."""

    metric: Metric
    candidate: Interval
    champion: Interval | None
    more: Interval | None


def compare(
    metric: Metric, candidate: Statistic, champion: Statistic | None, resamples: Resamples, rate: float
) -> Compared:
    """The metric of both on the same resamples, each interval at the rate."""
    least, most = metric.bounds
    of_candidate = interval(candidate, resamples, rate).within(least, most)
    if champion is None:
        return Compared(metric, of_candidate, None, None)
    return Compared(
        metric,
        of_candidate,
        interval(champion, resamples, rate).within(least, most),
        interval(Difference(candidate, champion), resamples, rate),
    )
