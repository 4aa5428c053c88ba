"""What a candidate must keep to before it may go on, as defs.yaml declares it under ``rollout: judging:``.

A gate that is about chance fails only where harm is proven: the chance that it fails a candidate that does none is
``rate``. What it could not prove it tells, and what decides beside the champion afterwards is watched further
(`automation.rollout.verdicts`).
"""

from __future__ import annotations

from collections import Counter
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HOUR, SEASON = "hour", "season"
# Calibration, the Brier score, all slices together, and dollars are each judged at the rate.
PROOFS = 4


class JudgingPlan(BaseModel):
    """Margins are on the Brier score, which is between 0 and 1 for each case whatever the policy is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    holdout_days: int = Field(default=28, ge=7, le=366, description="How many days before the as-of day are held out.")
    least_days: int = Field(
        default=10, ge=5, description="Of fewer days with cases, neither the holdout nor a slice is judged."
    )
    least_cases: int = Field(default=1000, ge=100, description="A holdout of fewer cases is not judged.")
    least_slice_cases: int = Field(
        default=500, ge=30, description="Slices of fewer cases are judged together, as the others of their column."
    )
    slices: tuple[str, ...] = Field(
        default=(HOUR, SEASON),
        description="Columns of the cases or the feature vector, of few values each; hour and season are worked out.",
    )
    slice_margin: float = Field(
        default=0.005, ge=0, lt=1, description="How much worse than the champion's a slice's Brier score may be."
    )
    champion_margin: float = Field(
        default=0.002, ge=0, lt=1, description="How much worse than the champion's the Brier score of all may be."
    )
    rate: float = Field(
        default=0.01,
        ge=0.002,
        le=0.2,
        allow_inf_nan=False,
        description="About how often a gate fails a candidate within its margin; somewhat more on few days (0115).",
    )
    calibration_error_limit: float = Field(
        default=0.05, gt=0, lt=1, description="The calibration error on the holdout that may not be proven exceeded."
    )
    leak_auc_limit: float = Field(
        default=0.95, gt=0.5, le=1, description="The AUC on the holdout above which a candidate is too good to be true."
    )
    leak_auc_above_champion: float = Field(
        default=0.1, gt=0, lt=1, description="By how much more than the champion's AUC it is too good to be true."
    )
    slowest: float = Field(
        default=5.0, gt=0, allow_inf_nan=False, description="Milliseconds a case, in a batch, start included."
    )
    most_memory: int = Field(
        default=2 * 1024**3, ge=1024**2, description="Bytes, those of Python and its packages included."
    )
    most_dollars_worse: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Realised dollars a case that its decisions may cost more than the champion's.",
    )
    most_reviews_more: float = Field(
        default=0.02, ge=0, lt=1, description="The share of the cases that may go to persons beyond the champion's."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.least_days > self.holdout_days:
            raise ValueError(
                f"least_days is {self.least_days}, but only {self.holdout_days} days are held out: nothing would ever "
                "be judged"
            )
        if self.least_slice_cases > self.least_cases:
            raise ValueError(
                f"least_slice_cases is {self.least_slice_cases}, more than the {self.least_cases} cases that a whole "
                "holdout needs (least_cases)"
            )
        if twice := sorted(name for name, count in Counter(self.slices).items() if count > 1):
            raise ValueError(f"slices names {', '.join(twice)} twice")
        return self

    @property
    def false_refusals(self) -> float:
        """About how often, at most, a candidate within all margins is held by a gate that is about chance."""
        return PROOFS * self.rate
