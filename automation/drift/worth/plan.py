"""What retraining must be worth, which windows of history are tried, and how often.

drift:
  worth:
    windows:
      - {name: all}
      - {name: recent, last_days: 60}
      - {name: weighted, half_life_days: 60}
    look_days: 7
    backtest_days: 28
    remembered_days: 84
    horizon_days: 7
    rate: 0.3
    costs: {compute: 5.0, review: 200.0, rollout: 1000.0}
    budget: {least_days: 7, a_quarter: 13, backoff: 2.0, longest_days: 56}
"""

from __future__ import annotations

from collections import Counter
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Declared):
    """Which days of history a model learns from.

    All of them; the ``last_days``; or fewer of them the older they are: of days that are ``half_life_days`` older, half
    as many.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    last_days: int | None = Field(default=None, ge=7)
    half_life_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.last_days is not None and self.half_life_days is not None:
            raise ValueError(f"window {self.name} has last_days and half_life_days: it can be cut in one way")
        return self


class Costs(_Declared):
    """Dollars that a new model costs: each training, a person's look at it, and the risk of rolling it out."""

    compute: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    review: float = Field(default=200.0, ge=0, allow_inf_nan=False)
    rollout: float = Field(default=1000.0, ge=0, allow_inf_nan=False)

    def of(self, trainings: int) -> float:
        """What it costs in all to have one new model, with so many trainings."""
        return trainings * self.compute + self.review + self.rollout


class Budget(_Declared):
    """How often a new model may be asked for, and looked into whether to.

    - ``least_days`` between two looks, and between two models that are asked for; of these, times ``backoff`` for each
      of the last that came to nothing, one after the other, but no more than ``longest_days``.
    - At most ``a_quarter`` models in any 91 days.
    """

    least_days: int = Field(default=7, ge=1)
    a_quarter: int = Field(default=13, ge=1)
    backoff: float = Field(default=2.0, ge=1, allow_inf_nan=False)
    longest_days: int = Field(default=56, ge=1)

    @model_validator(mode="after")
    def _longer(self) -> Self:
        if self.longest_days < self.least_days:
            raise ValueError(f"longest_days is {self.longest_days}, less than least_days, {self.least_days}")
        return self


class WorthPlan(_Declared):
    """How it is decided whether to retrain.

    It is looked into after an alarm, and where none comes when ``look_days`` are over since the last time (None: after
    alarms alone). A look compares the days since the last one, at most ``backtest_days``, as a newer model and an older
    one decide them. Where at least ``least_days`` of the last ``remembered_days`` were compared, by this look and
    earlier ones, the lower end of what is saved a day, which is above the truth with a chance of ``rate`` for all
    windows together, counts for ``horizon_days``: as long as it is until it can be asked again.
    """

    windows: tuple[Window, ...] = Field(default=(Window(name="all"),), min_length=1)
    look_days: int | None = Field(default=7, ge=7)
    backtest_days: int = Field(default=28, ge=7)
    remembered_days: int = Field(default=84, ge=7)
    least_days: int = Field(default=10, ge=5)
    horizon_days: int = Field(default=7, ge=1)
    rate: float = Field(default=0.3, gt=0, lt=0.5)
    costs: Costs = Costs()
    budget: Budget = Budget()

    @property
    def everything(self) -> Window:
        """The window of all that is known, which a model learns from that nobody asked for: the plan's, or one that it
        does not have, so that what such a model saved speaks for no other."""
        whole = (each for each in self.windows if each.last_days is None and each.half_life_days is None)
        return next(whole, Window(name="everything"))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if twice := sorted(name for name, count in Counter(w.name for w in self.windows).items() if count > 1):
            raise ValueError(f"two windows are called {', '.join(twice)}")
        if self.least_days > self.remembered_days:
            raise ValueError(f"least_days is {self.least_days}, more than remembered_days, {self.remembered_days}")
        return self
