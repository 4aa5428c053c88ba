"""What is watched of a champion's losses, and how rarely each of them may raise a false alarm.

drift:
  harm:
    ranking: {margin: 0.01, once_in_days: 1000}
    surprise: {margin: 0.03, once_in_days: 1000}
    wait_days: 3
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

RANKING, SURPRISE = "ranking", "surprise"


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ranking(_Declared):
    """It ranks the cases of a day worse than its probabilities promise, by more than it used to and ``margin`` of AUC.

    By how much it falls short of its promise at first is learned from the first ``learn_days`` days that it had not
    been trained on: the upper end of their mean's interval, which is below the truth with a chance of ``learn_rate``.
    ``usual`` states it instead. A day with fewer than ``least_cases`` bad or good cases does not count. A day that can
    come out better than what is claimed by no more than ``scale`` counts in full, another in proportion for less.
    """

    margin: float = Field(default=0.01, ge=0, lt=0.5)
    once_in_days: float = Field(default=1000, gt=1, allow_inf_nan=False)
    learn_days: int = Field(default=28, ge=7)
    learn_rate: float = Field(default=0.05, gt=0, lt=0.5)
    usual: float | None = Field(default=None, ge=0, lt=0.5)
    least_cases: int = Field(default=10, ge=1)
    scale: float = Field(default=0.3, gt=0, le=1)

    @property
    def stated(self) -> float | None:
        """The shortfall above which there is harm, if it need not be learned."""
        return None if self.usual is None else self.usual + self.margin


class Surprise(_Declared):
    """Its decisions cost more than it expected itself, by more than ``margin`` of the dollars at risk.

    A day of which no more than ``scale`` is expected to be lost counts in full, another in proportion for less.
    """

    margin: float = Field(default=0.03, ge=0, lt=1)
    scale: float = Field(default=0.2, gt=0, le=1)
    once_in_days: float = Field(default=1000, gt=1, allow_inf_nan=False)


class HarmPlan(_Declared):
    """What is watched of a champion. It does not change while it is watched.

    ``wait_days``: how many days after a case's day its outcome may still come. A case without one by then counts with
    the outcome that speaks most against harm.
    """

    ranking: Ranking | None = Ranking()
    surprise: Surprise | None = Surprise()
    wait_days: int = Field(default=3, ge=0)

    @model_validator(mode="after")
    def _watches(self) -> Self:
        if not self.needed:
            raise ValueError("nothing is watched: declare ranking, surprise or both")
        return self

    @property
    def needed(self) -> dict[str, float]:
        """The evidence at which each claim raises the alarm: the days in which it may raise a false one, on average."""
        claims = {RANKING: self.ranking, SURPRISE: self.surprise}
        return {name: claim.once_in_days for name, claim in claims.items() if claim is not None}

    @property
    def once_in_days(self) -> float:
        """The least average run of days to a false alarm of any claim, however the claims depend on each other."""
        return 1 / sum(1 / days for days in self.needed.values())
