"""Whether the candidate is too good to be true: it knows the outcomes, or what it is fed does.

A model that was trained on the holdout, or a feature that holds the outcome, ranks cases better than anything known
beforehand can. So this gate asks for no proof: what is suspicious is looked at by a person. It catches what is gross. A
model that was trained on the holdout by a recipe that does not memorise is only a little too good, and no test of its
predictions tells it from a good one: for that there is when it was trained, and the days to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from automation.evaluation import FeatureStrength, strongest_feature
from automation.rollout.judging.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from automation.rollout.judging.beside import Beside
    from automation.rollout.judging.holdout import Judged
    from automation.rollout.judging.plan import JudgingPlan


@dataclass(frozen=True)
class Leak:
    """What is asked for a leak. ``trained_until`` is the last day it says it was trained on; None if it says none."""

    auc: float
    champion_auc: float | None
    strongest: FeatureStrength | None
    held_out_from: date
    trained_until: date | None

    def suspicions(self, plan: JudgingPlan) -> tuple[str, ...]:
        """What is too good to be true, in sentences."""
        said = []
        if self.auc > plan.leak_auc_limit:
            said.append(f"AUC {self.auc:.3f} on cases it has not seen is more than {plan.leak_auc_limit:.2f}.")
        above = 0.0 if self.champion_auc is None else self.auc - self.champion_auc
        if above > plan.leak_auc_above_champion:
            said.append(
                f"AUC {self.auc:.3f} is {above:.3f} above the champion's, more than {plan.leak_auc_above_champion:.2f}."
            )
        if self.strongest is not None and self.strongest.auc > plan.leak_auc_limit:
            said.append(
                f"{self.strongest.name} alone has AUC {self.strongest.auc:.3f}, more than {plan.leak_auc_limit:.2f}."
            )
        if self.trained_until is not None and self.trained_until >= self.held_out_from:
            said.append(
                f"It was trained on days up to {self.trained_until}, and what it is judged on begins on "
                f"{self.held_out_from}."
            )
        return tuple(said)


def looked_for(judged: Judged, beside: Beside, features: Sequence[str], trained_until: date | None) -> Leak:
    """Looks for leaks in the candidate's ranking and in the ``features`` that it takes."""
    holdout = judged.holdout
    numbers = [name for name in features if holdout.vectors.schema.get(name, pl.String()).is_numeric()]
    found = beside.of(Metric.AUC)
    return Leak(
        found.candidate.estimate,
        found.champion.estimate if found.champion else None,
        strongest_feature(holdout.vectors[holdout.judged], holdout.label, numbers) if numbers else None,
        holdout.days[0],
        trained_until,
    )
