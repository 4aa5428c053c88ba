"""How far a champion fell short of its promise when it was accepted: the shortfall above which there is harm.

It is an estimate, from a few weeks. A test against an estimate that is taken for the truth raises false alarms without
end where the estimate happened to be low. So the upper end of an interval counts, with a margin above it: false alarms
are as rare as stated unless that end lies below the truth by more than the margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from automation.rollout.judging.resampling import Mean, Resamples, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.drift.harm.plan import Ranking

SEED = 7


def usual_of(learned: Sequence[float], plan: Ranking) -> float | None:
    """The upper end of the interval of the days' mean shortfall, at least zero, and the margin; None while there are
    too few days."""
    days = len(learned)
    if days < plan.learn_days:
        return None
    mean = Mean.of(np.array(learned), np.arange(days), days)
    # A model that did better than it promised is not held to that.
    return max(interval(mean, Resamples.drawn(days, SEED), 2 * plan.learn_rate).high, 0.0) + plan.margin
