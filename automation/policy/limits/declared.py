"""Limits as a workload declares them: so many of an action, or so many dollars, for each value of a column.

limits:
  - {action: protect, at_most: 60, per: origin}
  - {action: notify, at_most: 20, per: origin, every: hour}
  - {action: rebook, at_most: 30, per: origin, place: 250.0}
  - {action: rebook, at_most: 30, per: origin, place: {least: 250.0, days: 28}}
  - {dollars: 50000, every: day, actions: [notify, protect]}
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CENTS_LARGEST = 2**53 - 1
_DOLLARS_LARGEST = _CENTS_LARGEST / 100


class Every(StrEnum):
    """How long a window of a limit is: an hour or a day, in the workload's local time."""

    HOUR = "hour"
    DAY = "day"

    @property
    def says(self) -> str:
        return "an hour" if self is Every.HOUR else "a day"


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Following(_Declared):
    """A place's worth that follows the day: by what is left of the limit and what is still to come.

    - ``least``: dollars that a place is worth always.
    - ``days``: of how many days before it is learned how many cases usually want a place, and when.
    - ``weight``: as how many cases what is usual counts, beside those that the day has seen.

    `automation.policy.limits.demand` works it out.
    """

    least: float = Field(ge=0, le=_DOLLARS_LARGEST, allow_inf_nan=False)
    days: int = Field(ge=7, le=366, strict=True)
    weight: float = Field(default=2.0, ge=0.01, le=1e6, allow_inf_nan=False)

    @field_validator("least", "weight", mode="before")
    @classmethod
    def _numbers(cls, given: object) -> object:
        return no_truth(given)

    @field_validator("least")
    @classmethod
    def _to_the_cent(cls, least: float) -> float:
        return to_the_cent(least, "a place's worth is")


class Limit(_Declared):
    """At most so many cases an hour or a day may get an action for each value of a column, in the order given.

    ``place``: dollars that a place is worth to later cases, or how that follows the day (`Following`). A case takes one
    only where that saves more than this beside the next best action; otherwise places go to whoever comes first (a bid
    price: Talluri and van Ryzin, The Theory and Practice of Revenue Management, 2004).
    """

    action: str
    at_most: int = Field(ge=0, strict=True)
    per: str
    every: Every = Every.DAY
    place: Annotated[
        Annotated[float, Field(ge=0, le=_DOLLARS_LARGEST, allow_inf_nan=False), Tag("price")]
        | Annotated[Following, Tag("following")],
        Discriminator(lambda given: "following" if isinstance(given, Following | Mapping) else "price"),
    ] = 0.0

    @field_validator("place", mode="before")
    @classmethod
    def _a_number_or_how_it_follows(cls, given: object) -> object:
        return no_truth(given)

    @model_validator(mode="after")
    def _a_day_to_follow(self) -> Self:
        if self.follows and self.every is not Every.DAY:
            raise ValueError(
                "a place's worth follows the day where the limit is by the day, and this one is by the hour"
            )
        return self

    @property
    def follows(self) -> Following | None:
        """How a place's worth follows the day; None where it does not."""
        return self.place if isinstance(self.place, Following) else None

    @property
    def least(self) -> float:
        """Dollars that a place is worth at least."""
        return self.place.least if isinstance(self.place, Following) else self.place

    @property
    def wanted(self) -> str:
        """What the demand for its places is kept by: what is wanted at another least worth is another demand."""
        return f"{self.key}, to save more than ${self.least:,.2f}"

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
        at_least = f"${self.least:,.2f}" + (" or than the day makes it worth" if self.follows else "")
        worth = f", each where it saves more than {at_least}" if self.place else ""
        return f"at most {self.at_most} {self.action} {self.every.says} per {self.per}{worth}"


class Budget(_Declared):
    """At most so many dollars a day for some actions, or for all but the safe one; for each value of a column, if any.

    Each case counts with the price of its action.
    """

    dollars: float = Field(ge=0, le=_DOLLARS_LARGEST, allow_inf_nan=False)
    every: Literal[Every.DAY] = Every.DAY
    actions: tuple[str, ...] | None = Field(default=None, min_length=1)
    per: str | None = None

    @property
    def least(self) -> float:
        """A budget has no places."""
        return 0.0

    @property
    def follows(self) -> None:
        """A budget has no places."""

    @field_validator("dollars")
    @classmethod
    def _to_the_cent(cls, dollars: float) -> float:
        return to_the_cent(dollars, "a budget is")

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


def no_truth(given: object) -> object:
    """What was given, unless it is true or false: pydantic would take that for a number of dollars."""
    if isinstance(given, bool):
        says = f"{str(given).lower()} is no number; a place that follows the day says {{least: ..., days: ...}}"
        raise ValueError(says)  # noqa: TRY004 - pydantic tells whose value it is of this one alone
    return given


def to_the_cent(dollars: float, what: str) -> float:
    if round(dollars * 100) / 100 != dollars:
        raise ValueError(f"{what} of whole cents, and {dollars!r} dollars are not")
    return dollars


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
