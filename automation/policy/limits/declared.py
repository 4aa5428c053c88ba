"""Limits as a workload declares them: so many of an action, or so many dollars, for each value of a column.

limits:
  - {action: protect, at_most: 60, per: origin}
  - {action: notify, at_most: 20, per: origin, every: hour}
  - {action: rebook, at_most: 30, per: origin, place: 250.0}
  - {dollars: 50000, every: day, actions: [notify, protect]}
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CENTS_LARGEST = 2**53 - 1


class Every(StrEnum):
    """How long a window of a limit is: an hour or a day, in the workload's local time."""

    HOUR = "hour"
    DAY = "day"

    @property
    def says(self) -> str:
        return "an hour" if self is Every.HOUR else "a day"


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Declared):
    """At most so many cases an hour or a day may get an action for each value of a column, in the order given.

    ``place``: dollars that a place is worth to later cases. A case takes one only where that saves more than this
    beside the next best action; otherwise places go to whoever comes first (a bid price: Talluri and van Ryzin, The
    Theory and Practice of Revenue Management, 2004).
    """

    action: str
    at_most: int = Field(ge=0, strict=True)
    per: str
    every: Every = Every.DAY
    place: float = Field(default=0.0, ge=0, le=_CENTS_LARGEST / 100, allow_inf_nan=False)

    @property
    def key(self) -> str:
        """What its use is kept by. How many there may be is no part of it: a limit that is raised keeps its past."""
        return f"{self.action} per {self.per} every {self.every}"

    @property
    def capacity(self) -> int:
        return self.at_most

    def limits(self, action: str, safe_action: str) -> bool:
        """Whether an action uses it. The safe action is never limited."""
        return action == self.action != safe_action

    def units(self, price: int) -> int:  # noqa: ARG002 - a budget's depend on the price
        return 1

    def __str__(self) -> str:
        worth = f", each where it saves more than ${self.place:,.2f}" if self.place else ""
        return f"at most {self.at_most} {self.action} {self.every.says} per {self.per}{worth}"


class Budget(_Declared):
    """At most so many dollars a day for some actions, or for all but the safe one; for each value of a column, if any.

    Each case counts with the price of its action.
    """

    dollars: float = Field(ge=0, le=_CENTS_LARGEST / 100, allow_inf_nan=False)
    every: Literal[Every.DAY] = Every.DAY
    actions: tuple[str, ...] | None = Field(default=None, min_length=1)
    per: str | None = None

    @property
    def place(self) -> float:
        """A budget has no places."""
        return 0.0

    @field_validator("dollars")
    @classmethod
    def _to_the_cent(cls, dollars: float) -> float:
        if round(dollars * 100) / 100 != dollars:
            raise ValueError(f"a budget is of whole cents, and {dollars!r} dollars are not")
        return dollars

    @property
    def key(self) -> str:
        actions = ", ".join(sorted(set(self.actions))) if self.actions else "all actions"
        per = f" per {self.per}" if self.per else ""
        return f"cents for {actions}{per} every {self.every}"

    @property
    def capacity(self) -> int:
        """The budget in cents."""
        return round(self.dollars * 100)

    def limits(self, action: str, safe_action: str) -> bool:
        """Whether an action uses it. The safe action is never limited."""
        return action != safe_action and (self.actions is None or action in self.actions)

    def units(self, price: int) -> int:
        """What an action of this price, in cents, uses."""
        return price

    def __str__(self) -> str:
        actions = " and ".join(self.actions) if self.actions else "all actions"
        return f"at most ${self.dollars:,.2f} {self.every.says} for {actions}{f' per {self.per}' if self.per else ''}"


AnyLimit = Limit | Budget


def contradictions(limits: Sequence[AnyLimit], actions: Sequence[str], safe_action: str) -> Iterator[str]:
    """What cannot be about a policy's limits, in words."""
    seen = set()
    for limit in limits:
        named = [limit.action] if isinstance(limit, Limit) else list(limit.actions or ())
        for action in named:
            if action not in actions:
                yield f"limits names the action {action!r}, which is none of {', '.join(actions)}"
            if action == safe_action:
                yield f"the safe action {safe_action!r} cannot be limited: every case must be able to get it"
        if limit.key in seen:
            yield f"two limits are of {limit.key}"
        seen.add(limit.key)
