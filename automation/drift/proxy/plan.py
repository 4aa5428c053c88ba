"""What is estimated of a champion before labels come, and when a challenger is to be shadowed for it.

drift:
  proxy: {rate: 0.1, past_days: 56, least_days: 28, auc_at_least: 0.7, days_in_a_row: 3}
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ProxyPlan(BaseModel):
    """How estimates get their intervals, and what they may ask for.

    - ``rate``: the share of days on which what comes out may lie outside the interval, in the long run.
    - ``past_days``: the errors of so many days make the interval; before ``least_days`` there is none.
    - ``step``: how far each day moves the level at which the interval is cut (Gibbs and Candès 2021).
    - ``auc_at_least``: a challenger is to be shadowed when the whole interval of a day's AUC lies below it, so many
      ``days_in_a_row``. None: nothing is asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(default=0.1, gt=0, lt=0.5)
    past_days: int = Field(default=56, ge=10)
    least_days: int = Field(default=28, ge=10)
    step: float = Field(default=0.02, ge=0, lt=0.5)
    auc_at_least: float | None = Field(default=None, gt=0, lt=1)
    days_in_a_row: int = Field(default=3, ge=1)
    wait_days: int = Field(default=3, ge=0)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.least_days > self.past_days:
            raise ValueError(f"least_days is {self.least_days}, more than past_days, {self.past_days}")
        return self
