"""Evidence that something began to be lost on some day, which nobody knows: an e-detector.

A bet that starts on day j multiplies what it has, one at first, by 1 + f y_t / B on each day t from j on. Here y_t is
the day's gain for the claim, at least -B, and f < 1 a fraction that follows nothing. Under the hypothesis that over no
stretch of days the gains to be expected add up to more than zero, each of these is an e-process from its day on
(`automation.rollout.verdicts.betting` has the proof). The evidence after day t is what all bets have together, those
that started on days 1 to t: E_t = (E_{t-1} + 1)(1 + f y_t / B), after Shiryaev (1963) and Roberts (1966).

Average run length. At whatever time T one stops, the expectation of E_T is no more than that of T: each bet that has
started by then is worth one at most. So an alarm at the first time when E_t >= N comes, where there is nothing to find,
after N days on average or more: N <= E[E_T] <= E[T] (Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework
for sequential change detection, New England Journal of Statistics in Data Science 2023). Means of
e-detectors are e-detectors, as here over fractions. Of several detectors that alarm at N_k each, the first alarm comes
after 1 / sum(1 / N_k) days on average or more: weighed by 1 / N_k their mean is an e-detector that has reached it.

A day that could lose more than B counts in proportion for less, and in full otherwise, as there. B is fixed from the
start, so that the hypothesis is about gains so weighed and nothing else.

When it began is guessed by the bet that has the most (Page's CUSUM, 1954). No error rate is stated for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.rollout.verdicts.betting import FRACTIONS, log_mean

if TYPE_CHECKING:
    from automation.rollout.verdicts.betting import Gain


@dataclass(frozen=True)
class Detector:
    """The evidence so far for one claim.

    - ``scale``: B, what a day may lose and still count in full; above zero.
    - ``days`` so far.
    - ``sums``: logarithms of what all bets have, for each of `FRACTIONS`; minus infinity is told as None.
    - ``best``: the logarithm of what the best of the bets at the largest fraction has, and ``since``, the number of its
      first day, counted from one; 0 where no day was seen.
    """

    scale: float
    days: int = 0
    sums: tuple[float | None, ...] = (None,) * len(FRACTIONS)
    best: float = 0.0
    since: int = 0

    def after(self, gain: Gain) -> Detector:
        """The evidence after a day."""
        share = max(gain.gained / max(self.scale, gain.could_lose), -1.0)
        grown = [math.log1p(part * share) for part in FRACTIONS]
        sums = tuple(_plus_one(had) + more for had, more in zip(self.sums, grown, strict=True))
        carried = self.since and self.best > 0
        best, since = (self.best, self.since) if carried else (0.0, self.days + 1)
        return Detector(self.scale, self.days + 1, sums, best + grown[-1], since)

    @property
    def log_evidence(self) -> float:
        """The natural logarithm of the evidence; minus infinity before the first day."""
        known = [one for one in self.sums if one is not None]
        return log_mean(known) if known else -math.inf


def _plus_one(logarithm: float | None) -> float:
    """The logarithm of one more than a number given by its logarithm."""
    if logarithm is None:
        return 0.0
    return max(logarithm, 0.0) + math.log1p(math.exp(-abs(logarithm)))
