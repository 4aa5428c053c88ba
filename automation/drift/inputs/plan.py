"""How a model's inputs are watched. Changed, they are watched anew."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class InputPlan(BaseModel):
    """What is declared under ``drift: inputs:``.

    - ``rate``: the chance of an alarm within ``season_days`` although no input has changed.
    - ``scale_days``: days at the start on which each feature's scale is learned; they count for nothing else.
    - ``learn_days``: days after them that are looked at without a bet: later ones are ranked among them, and their
      order tells how much a day resembles the one before.
    - ``bag_days``: how many of the last days a day is ranked among, at most.
    - ``least_cases``: a day with fewer cases, or a feature with fewer values, tells nothing.
    - ``bins``: how many values of a feature are told apart, at most.
    - ``categories``: features whose numbers are names. Texts and booleans are names, too.
    - ``seasonal``: features that follow the calendar. Their days are compared with the ``trailing_days`` before, so
      that what changes as slowly as a season is no change.
    - ``seed``: of the draw among equals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(default=0.05, gt=0, lt=0.5)
    season_days: int = Field(default=365, ge=30)
    scale_days: int = Field(default=7, ge=1)
    learn_days: int = Field(default=35, ge=14)
    bag_days: int = Field(default=365, ge=60)
    least_cases: int = Field(default=50, ge=1)
    bins: int = Field(default=32, ge=4, le=256)
    categories: tuple[str, ...] = ()
    seasonal: tuple[str, ...] = ()
    trailing_days: int = Field(default=28, ge=7)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.learn_days >= self.bag_days:
            raise ValueError("bag_days must be more than learn_days")
        for named in (self.categories, self.seasonal):
            if len(set(named)) < len(named):
                raise ValueError("a feature is named twice")
        return self
