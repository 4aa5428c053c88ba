"""The rollout plan: how a workload's model versions go live, as its defs.yaml declares under ``rollout:``.

Left out, a candidate that passes its gates is promoted at once. What a candidate is judged by first is
`automation.rollout.judging.plan`; what is watched of a challenger, and at which error rates,
`automation.rollout.verdicts.plan`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from automation.rollout.judging.plan import JudgingPlan
from automation.rollout.verdicts.plan import ERRORS, VerdictPlan


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Materiality(StrEnum):
    """How much harm the workload's decisions could do."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class AliasMoved(StrEnum):
    """What is done about MLflow's alias of the champion, moved by hand."""

    RESTORE = "restore"
    ADOPT = "adopt"


class Approvals(_Declared):
    """How many persons must approve a promotion, by materiality."""

    low: int = Field(default=0, ge=0)
    medium: int = Field(default=1, ge=0)
    high: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _more_for_more(self) -> Self:
        if not self.low <= self.medium <= self.high:
            raise ValueError(
                f"approvals must not fall as materiality rises: low {self.low}, medium {self.medium}, high {self.high}"
            )
        return self


class Then(StrEnum):
    """What becomes of a challenger on which there is no verdict in time."""

    ABORT = "abort"
    PROMOTE = "promote"


class Undecided(_Declared):
    """A challenger that is proved neither better nor worse does not shadow for ever."""

    after_days: int = Field(default=60, ge=1, description="Days in shadow, or as canary at the last share.")
    then: Then = Field(
        default=Then.ABORT,
        description="promote: it goes on, although it is not proved better; nothing speaks against it.",
    )


class RolloutPlan(_Declared):
    """How a version that passed its gates becomes champion."""

    shadow: bool = Field(default=False, description="Whether it first scores beside the champion, to no effect.")
    canary: bool = Field(default=False, description="Whether it then decides a share of the cases, by and by more.")
    shares: tuple[float, ...] = Field(
        default=(1, 5, 25, 50), min_length=1, description="The canary's stages, in percent of the cases."
    )
    step_days: int = Field(default=3, ge=1, description="Days that the canary decides at each share, at least.")
    step_cases: int = Field(
        default=50, ge=1, description="Cases whose outcome is there that it decided at each share, at least."
    )
    undecided: Undecided = Undecided()
    guard_days: int = Field(
        default=28,
        ge=0,
        description="Days after a promotion on which the version before scores on. What is proved harmful by then is "
        "rolled back.",
    )
    verdicts: VerdictPlan = Field(default=VerdictPlan(), description="What is watched of a challenger.")
    materiality: Materiality = Materiality.LOW
    approvals: Approvals = Approvals()
    judging: JudgingPlan = Field(default=JudgingPlan(), description="What a candidate must keep to before it goes on.")
    alias_moved: AliasMoved = Field(
        default=AliasMoved.RESTORE,
        description="restore: the alias is put back. adopt: where its version passed its gates, it is promoted.",
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for share in self.shares:
            if not 0 < share < 100:
                raise ValueError(f"a canary's share is more than 0 and less than 100 percent, not {share:g}")
        counted = [each.name for each in self.verdicts.shares if each.name != ERRORS.name]
        if counted:
            raise ValueError(
                f"nothing counts {', '.join(counted)}: of verdicts.shares, only {ERRORS.name} can be declared"
            )
        if any(later <= earlier for earlier, later in zip(self.shares, self.shares[1:], strict=False)):
            raise ValueError(f"shares must rise from stage to stage: {', '.join(f'{each:g}' for each in self.shares)}")
        return self

    @property
    def approvals_needed(self) -> int:
        """How many persons must approve a promotion of this workload."""
        return getattr(self.approvals, self.materiality.value)

    def wider(self, share: float | None) -> float | None:
        """The canary's next share after ``share`` (None: the first); None if the next stage is champion."""
        return next((each for each in self.shares if share is None or each > share), None)
