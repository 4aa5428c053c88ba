"""What a place in a limit is worth when a case asks for one: as much as the day still has need of it.

Places that go to whoever comes first are gone when those come that would have saved more. So a place has a price, the
bid price of revenue management: what giving it away costs later cases. It is worked out anew for each case from what is
left of the limit, how many cases the day has seen that wanted a place, and how many usually come later:

- **to come**: the usual demand of the rest of the day, times how much more than usual the day wants so far. Of both,
  a Gamma prior that counts as ``weight`` cases makes the mean: a storm shows by noon, one early case does not.
- **worth**: where no more are to come than places are left, the least. Else the price at which as many would take one
  as there are places, if what they save beyond the least is exponential: least + mean * ln(to come / left).

Talluri and van Ryzin, The Theory and Practice of Revenue Management, 2004, chapters 2 and 3; that it is worked out
again at each case, Jasin and Kumar, A Re-Solving Heuristic with Bounded Revenue Loss, Mathematics of Operations
Research 37 (2012). Nothing in it is known later than the case: what is usual is learned from days before.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from automation.policy.limits.declared import AnyLimit, Following

HOURS, MINUTES = 24, 60
# Of fewer days nothing is usual: a week has its own kinds of days.
FEWEST_DAYS = 7


# What a case would save beyond the least counts up to this: a sum of many must be a number that canonical JSON can say.
MOST_DOLLARS = 1_000_000.0
# An event has at most 65,535 bytes, and there is more in it than demand.
MOST_BYTES = 50_000


class DemandInvalidError(WarrantError):
    """This does not say how many cases wanted a place."""


class DemandTooWideError(WarrantError):
    """There are too many values of a limit's column for the ledger to hold what each of them wanted."""


@dataclass(frozen=True)
class Wanted:
    """Cases that would save more by a place than it is worth at least: how many by local hour of their decision time
    (24), and what they would save beyond that, in cents."""

    by_hour: tuple[int, ...] = (0,) * HOURS
    beyond: int = 0

    @property
    def cases(self) -> int:
        return sum(self.by_hour)

    @property
    def mean_beyond(self) -> float:
        """Dollars a case."""
        return self.beyond / 100 / self.cases

    def __add__(self, other: Wanted) -> Wanted:
        return Wanted(
            tuple(a + b for a, b in zip(self.by_hour, other.by_hour, strict=True)), self.beyond + other.beyond
        )

    def after(self, minute: int) -> float:
        """How many came after a minute of the day, those of its hour spread evenly over it."""
        hour, past = divmod(minute, MINUTES)
        return sum(self.by_hour[hour + 1 :]) + self.by_hour[hour] * (1 - past / MINUTES)


@dataclass(frozen=True)
class Demand:
    """How many cases wanted a place on so many days, by the value of the limit's column (None: of no value)."""

    days: int = 1
    groups: Mapping[str | None, Wanted] = field(default_factory=dict)

    def __add__(self, other: Demand) -> Demand:
        both = {group: self.of(group) + other.of(group) for group in {**self.groups, **other.groups}}
        return Demand(self.days + other.days, both)

    def of(self, group: str | None) -> Wanted:
        return self.groups.get(group, Wanted())


# By `Limit.wanted`.
Demands = dict[str, Demand]


def worth(place: Following, usual: Demand | None, group: str | None, minute: int, seen: int, left: int) -> float:
    """What a place is worth to later cases, in dollars to the cent.

    Args:
        usual: the demand of days before; None, of fewer than `FEWEST_DAYS`, or of a group that wanted none: the least.
        minute: of the local day, of the case's decision time.
        seen: how many cases of the group wanted a place before this one on this day.
        left: places that are left. Without one, nothing can be had for any price: the least.
    """
    if usual is None or usual.days < FEWEST_DAYS or left <= 0:
        return place.least
    wanted = usual.of(group)
    if not wanted.cases:
        return place.least
    later = wanted.after(minute) / usual.days
    until_now = wanted.cases / usual.days - later
    to_come = later * (place.weight + seen) / (place.weight + until_now)
    if to_come <= left:
        return place.least
    return round(place.least + wanted.mean_beyond * math.log(to_come / left), 2)


def usual(limits: Iterable[AnyLimit], demands: Mapping[date, Demands], day: date) -> Demands:
    """What was wanted on the days before one, as many of them as each limit learns from, by limit.

    ``demands`` are of days, each by limit. A day that says nothing of a limit is none of its days.
    """
    found: Demands = {}
    for limit in limits:
        if limit.follows is None:
            continue
        for at in sorted(demands):
            if day - timedelta(days=limit.follows.days) <= at < day and limit.wanted in demands[at]:
                of_day = demands[at][limit.wanted]
                found[limit.wanted] = found[limit.wanted] + of_day if limit.wanted in found else of_day
    return found


def longest(limits: Iterable[AnyLimit]) -> int:
    """How many days before are looked at for what is usual; 0 where no place follows the day."""
    return max((limit.follows.days for limit in limits if limit.follows is not None), default=0)


def as_data(demands: Demands) -> dict[str, Any]:
    """As an event holds it: {wanted: [days, [[group, {hour: cases}, cents beyond], ...]]}."""
    return {
        wanted: [
            demand.days,
            [
                [group, {str(hour): count for hour, count in enumerate(found.by_hour) if count}, found.beyond]
                for group, found in sorted(demand.groups.items(), key=lambda item: (item[0] is not None, item[0] or ""))
                if found.cases
            ],
        ]
        for wanted, demand in sorted(demands.items())
    }


def said(of_day: Demands, usual: Demands) -> dict[str, Any]:
    """What the event of a day says of demand: what its cases wanted, and what was usual when it was decided.

    Raises:
        DemandTooWideError: an event does not hold it.
    """
    data = {"demand": as_data(of_day), "demand_usual": as_data(usual)}
    if (size := len(json.dumps(data))) > MOST_BYTES:
        wanted, demand = max((*of_day.items(), *usual.items()), key=lambda item: len(item[1].groups))
        raise DemandTooWideError(
            f"What was wanted of {wanted} has {len(demand.groups):,} values; all demand has {size:,} bytes, and the "
            f"event of a day holds {MOST_BYTES:,}.",
            remedy="Give the limit a column of fewer values, or its place a fixed worth.",
        )
    return data


def from_data(said: Any, of: str = "This") -> Demands:
    """What `as_data` wrote. ``of``: where it stands, in words.

    Raises:
        DemandInvalidError: it did not write this.
    """
    try:
        return {
            wanted: Demand(
                _whole(days),
                {group: Wanted(_hours(by_hour), _whole(beyond)) for group, by_hour, beyond in groups},
            )
            for wanted, (days, groups) in said.items()
        }
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise DemandInvalidError(
            f"{of} does not say how many cases wanted a place: {error}.",
            remedy="It is {limit: [days, [[group, {hour: cases}, cents], ...]]}, all whole and not negative.",
        ) from error


def _hours(said: Mapping[str, Any]) -> tuple[int, ...]:
    by_hour = [0] * HOURS
    for hour, count in said.items():
        by_hour[_whole(int(hour))] = _whole(count)
    return tuple(by_hour)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
