"""The drift plan: what is watched of a workload's champion, and when it is retrained, as its defs.yaml declares under
``drift:``. Left out, nothing is watched, and the model is retrained on its day of the month alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from automation.drift.harm.plan import HarmPlan
from automation.drift.inputs.plan import InputPlan
from automation.drift.proxy.plan import ProxyPlan
from automation.drift.worth.plan import WorthPlan


class Cause(StrEnum):
    """What may have it looked into whether retraining is worth its cost. An estimate without outcomes is no cause."""

    HARM = "harm"
    INPUTS = "inputs"


class DriftPlan(BaseModel):
    """What is watched, and what follows. If a channel's plan is changed, the champion is watched anew by it, from its
    first day on: error rates hold for one plan.

    - ``causes``: which alarms have it looked into whether retraining is worth its cost. None, and no
      ``worth.look_days`` either: nobody retrains but by the calendar and by hand.
    - ``repaired_days``: for so many days after a fault in the data was found, nothing is retrained on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: InputPlan = InputPlan()
    proxy: ProxyPlan = ProxyPlan()
    harm: HarmPlan = HarmPlan()
    worth: WorthPlan = WorthPlan()
    causes: tuple[Cause, ...] = (Cause.HARM, Cause.INPUTS)
    repaired_days: int = Field(default=7, ge=0)

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.causes)) < len(self.causes):
            raise ValueError("a cause is named twice")
        return self
