"""The claims that are watched, each with the rate at which it may be believed although it is false.

One claim promotes: the challenger saves more than a margin. The guards abort: it costs more than a margin, in all or on
ordinary days, its probabilities are off by more than a limit, or too large a share of its calls or decisions is bad.
Where the challenger does no harm that a guard is about, no guard aborts it with a chance of more than the sum of their
rates (`VerdictPlan.false_aborts`), whatever they have to do with each other.
"""

from __future__ import annotations

from collections import Counter
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PROMOTION, COST, ORDINARY, CALIBRATION = "saves", "costs", "ordinary_costs", "calibration"
MOST_FALSE_ABORTS = 0.1
# More days than any watch lasts.
NEVER = 10**6


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Saves(_Declared):
    """Promotes: the challenger saves more than ``margin`` dollars a case."""

    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    rate: float = Field(default=0.05, gt=0, lt=0.5)
    least_days: int = Field(default=7, ge=1)
    least_pairs: int = Field(default=1000, ge=1)


class Costs(_Declared):
    """Aborts: the challenger costs more than ``margin`` dollars a case above what the champion costs."""

    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    rate: float = Field(default=0.01, gt=0, lt=0.5)


class OrdinaryCosts(_Declared):
    """Aborts: the challenger costs more than ``margin`` dollars a case above what the champion costs, where no day
    counts for more than ``at_most`` ordinary ones. Proved sooner than `Costs`, of most days in place of all dollars."""

    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    rate: float = Field(default=0.01, gt=0, lt=0.5)
    at_most: float = Field(default=2.0, ge=1, le=100)


class Calibration(_Declared):
    """Aborts: predicted and observed shares, grouped at ``edges``, differ by more than ``at_most`` on average."""

    at_most: float = Field(default=0.05, gt=0, lt=1)
    rate: float = Field(default=0.01, gt=0, lt=0.5)
    edges: tuple[float, ...] = Field(default=(0.1, 0.2, 0.35, 0.6), max_length=6)

    @model_validator(mode="after")
    def _between(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)) or not all(0 < edge < 1 for edge in self.edges):
            raise ValueError("edges must rise, between 0 and 1")
        return self


class Share(_Declared):
    """Aborts: of the calls (or decisions: ``of``), a share of more than ``at_most`` did what ``says`` says."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    of: str = "calls"
    says: str = Field(min_length=1, description="What a bad one did: 'failed', 'took longer than 50 ms'.")
    at_most: float = Field(gt=0, lt=1)
    rate: float = Field(default=0.01, gt=0, lt=0.5)


ERRORS = Share(name="errors", of="cases", says="were not scored, which the champion scored", at_most=0.001)


class VerdictPlan(_Declared):
    """What is watched of a challenger. It does not change while it is watched.

    ``wait_days``: how many days after a case's day its outcome may still come. A case without one by then counts with
    the outcome that speaks most against each claim.
    """

    saves: Saves = Saves()
    costs: Costs = Costs()
    ordinary_costs: OrdinaryCosts | None = OrdinaryCosts()
    calibration: Calibration | None = Calibration()
    shares: tuple[Share, ...] = (ERRORS,)
    wait_days: int = Field(default=3, ge=0)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = Counter([PROMOTION, COST, ORDINARY, CALIBRATION, *(share.name for share in self.shares)])
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise ValueError(f"two claims are called {', '.join(twice)}")
        if self.false_aborts > MOST_FALSE_ABORTS:
            raise ValueError(
                f"the guards' rates add up to {self.false_aborts:.3g}: more than {MOST_FALSE_ABORTS} of the "
                "harmless challengers could be aborted"
            )
        return self

    @property
    def guards_only(self) -> VerdictPlan:
        """The same guards, of which no promotion ends the watch: for a version that needs no further proof."""
        return self.model_copy(update={"saves": self.saves.model_copy(update={"least_days": NEVER})})

    @property
    def false_aborts(self) -> float:
        """The greatest chance that a challenger which no guard is about is ever aborted."""
        return sum(self.rates.values()) - self.saves.rate

    @property
    def rates(self) -> dict[str, float]:
        """Each claim's error rate, the promotion's first."""
        found = {PROMOTION: self.saves.rate, COST: self.costs.rate}
        if self.ordinary_costs is not None:
            found[ORDINARY] = self.ordinary_costs.rate
        if self.calibration is not None:
            found[CALIBRATION] = self.calibration.rate
        return found | {share.name: share.rate for share in self.shares}
