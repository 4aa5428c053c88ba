"""All that was found of a candidate on its holdout, worked out in one go from the same resamples of days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.rollout.judging.beside import beside
from automation.rollout.judging.decisions import would_decide
from automation.rollout.judging.leak import looked_for
from automation.rollout.judging.resampling import Resamples
from automation.rollout.judging.slices import sliced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from automation.policy.bundle import PolicyBundle
    from automation.rollout.judging.beside import Beside
    from automation.rollout.judging.cost import Cost
    from automation.rollout.judging.decisions import Decisions
    from automation.rollout.judging.holdout import Judged
    from automation.rollout.judging.leak import Leak
    from automation.rollout.judging.plan import JudgingPlan
    from automation.rollout.judging.reproducing import Reproduced
    from automation.rollout.judging.signature import Fit
    from automation.rollout.judging.slices import Slices
    from automation.workload import ModelSpec


@dataclass(frozen=True)
class Ran:
    """How the candidate ran: what it takes, whether it says the same again, and what that takes."""

    signature: Fit
    reproduced: Reproduced
    cost: Cost


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found on the holdout. ``slices`` is None where there is no champion."""

    judged: Judged
    beside: Beside
    slices: Slices | None
    leak: Leak
    decisions: Decisions


def found(
    judged: Judged,
    model: ModelSpec,
    policy: PolicyBundle,
    plan: JudgingPlan,
    takes: Sequence[str],
    trained_until: date | None,
    seed: int,
) -> Findings:
    """Judges the candidate on the holdout.

    Args:
        takes: the features that it takes (`signature.Fit`).
        trained_until: the last day it says it was trained on.
        seed: of the resamples: the same seed gives the same intervals.
    """
    resamples = Resamples.drawn(len(judged.holdout.days), seed)
    decisions = would_decide(judged, policy, plan, resamples)
    compared = beside(judged, decisions, model, plan, resamples)
    return Findings(
        judged,
        compared,
        sliced(judged, plan, seed),
        looked_for(judged, compared, takes, trained_until),
        decisions,
    )
