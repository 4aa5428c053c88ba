"""The least costly action for each case, among those open to it, within limits that others use, too.

A pure function: the same costs, open actions and snapshot give the same choice, whoever asks and whenever. The cases
are served one by one in the order given; each sees what others used and what the cases before it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automation.policy.cents import cents
from automation.policy.limits.declared import Every, Limit
from automation.policy.limits.demand import HOURS, MINUTES, MOST_DOLLARS, Demand, Demands, Wanted, worth
from automation.policy.limits.use import WHOLE_DAY, Use, as_data, group_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from automation.policy.limits.declared import AnyLimit

# In place of a column: no action is left, so a person decides; and in place of a limit: none held it back.
PERSON, NONE = -1, -1


@dataclass(frozen=True)
class Actions:
    """What may be done about each case: costs in dollars, prices in cents, and whether it is open; cases by actions.

    An action whose cost is not finite, or whose price is negative (`automation.policy.cents.UNKNOWN`), is not open,
    whatever ``open`` says: what cannot be weighed is not done.
    """

    names: tuple[str, ...]
    safe: str
    costs: np.ndarray
    prices: np.ndarray
    open: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.costs), len(self.names))
        for what, values, kinds in (("costs", self.costs, "f"), ("prices", self.prices, "i"), ("open", self.open, "b")):
            if values.shape != shape or values.dtype.kind not in kinds:
                raise ValueError(f"{what} is of {values.dtype} {values.shape}, not of kind {kinds} {shape}")
        if self.safe not in self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"the safe action {self.safe!r} must be one of different names: {', '.join(self.names)}")

    @property
    def usable(self) -> np.ndarray:
        return self.open & np.isfinite(self.costs) & (self.prices >= 0)


@dataclass(frozen=True)
class Usual:
    """The demand of days before, by limit, and the minute of the local day at which each case is decided."""

    demands: Demands
    minutes: Sequence[int]

    def of(self, limit: Limit, use: Use, case: int, turn: Mapping[Use, int]) -> float:
        """What a place is worth when the turn of a case came."""
        if limit.follows is None:
            return limit.least
        seen, left = turn[Use(limit.wanted, use.group, use.window)], limit.capacity - turn[use]
        return worth(limit.follows, self.demands.get(limit.wanted), use.group, self.minutes[case], seen, left)


@dataclass(frozen=True)
class Choice:
    """What each case gets.

    - ``chosen``: its action's column, or `PERSON`: none is left to it, so a person decides.
    - ``wanted``: the column it would be without limits, or `PERSON`: none is open to it.
    - ``held_back``: which of the limits stood against the wanted one, the first of them, or `NONE`.
    - ``turns``: what was used, when its turn came, of every limit that an action of it uses, and how many had wanted a
      place whose worth follows the day. With that as snapshot, and the same usual demand, the case is decided again by
      itself. Empty for cases that were not served.
    - ``uses``: what all of them together use, and how many wanted such places: what is reserved.
    - ``worth``: what the case was asked for a place in each limit, in dollars; by case and limit.
    - ``asked``: whether there was a place that it could have been asked for: an action of it uses the limit, and some
      was left. Only there ``worth`` tells how the day goes.
    """

    chosen: np.ndarray
    wanted: np.ndarray
    held_back: np.ndarray
    turns: tuple[dict[Use, int], ...]
    uses: dict[Use, int]
    worth: np.ndarray
    asked: np.ndarray

    def turns_as_data(self) -> list[dict[str, Any]]:
        """The turns as canonical JSON can say them: {limit: [[group, {window: units}], ...]} for each case."""
        return [as_data(turn) for turn in self.turns]


def choose(
    actions: Actions,
    order: Sequence[int] | np.ndarray,
    limits: Sequence[AnyLimit],
    groups: Mapping[str, Sequence[Any] | np.ndarray],
    hours: Sequence[Any] | np.ndarray | None,
    used: Mapping[Use, int],
    usual: Usual | None = None,
) -> Choice:
    """The least costly open action that the limits leave each case, the cases served one by one in ``order``.

    A place in a limit that is worth something to later cases counts as cost. Equal costs go to the action named first.
    The safe action is never limited: where it is open, it is left.

    Args:
        order: the cases to serve; the others are a person's, and use nothing.
        groups: each case's value of each limit's column. No value (None) is a value of its own.
        hours: the hour of each case, in local time, however it is named; None if no limit is by the hour.
        used: what others have used: a snapshot's ``used``, or one turn.
        usual: the demand of days before; without it, a place that follows the day is worth the least.
    """
    taken = dict(used)
    return _choose(actions, order, limits, groups, hours, lambda _: taken, usual)


def choose_alone(
    actions: Actions,
    order: Sequence[int] | np.ndarray,
    limits: Sequence[AnyLimit],
    groups: Mapping[str, Sequence[Any] | np.ndarray],
    hours: Sequence[Any] | np.ndarray | None,
    turns: Sequence[Mapping[Use, int]],
    usual: Usual | None = None,
) -> Choice:
    """`choose`, for each case by itself on what was used when its turn came: none sees what another takes."""
    return _choose(actions, order, limits, groups, hours, lambda case: dict(turns[case]), usual)


def _choose(
    actions: Actions,
    order: Sequence[int] | np.ndarray,
    limits: Sequence[AnyLimit],
    groups: Mapping[str, Sequence[Any] | np.ndarray],
    hours: Sequence[Any] | np.ndarray | None,
    taken_at: Callable[[int], dict[Use, int]],
    usual: Usual | None,
) -> Choice:
    """``taken_at`` gives what is used when a case's turn comes; what the case takes is added there."""
    limits, order = list(limits), [int(case) for case in order]
    if len({limit.key for limit in limits}) != len(limits):
        raise ValueError("two limits have the same key")
    if len(set(order)) != len(order):
        raise ValueError("a case has two turns")
    count = len(actions.costs)
    limited_by = [
        [number for number, limit in enumerate(limits) if limit.limits(name, actions.safe)] for name in actions.names
    ]
    at = uses_of(limits, groups, hours, count)
    usable, prices = actions.usable, actions.prices.tolist()
    within = np.array([[limit.limits(name, actions.safe) for limit in limits] for name in actions.names], dtype=bool)
    within = within.reshape(len(actions.names), len(limits))
    least = np.array([limit.least for limit in limits], dtype=np.float64)
    places = np.tile(least, (count, 1))
    asked = np.zeros((count, len(limits)), dtype=bool)
    weighed = np.where(usable, actions.costs + within @ least, np.inf)
    preferred = np.argsort(weighed, axis=1, kind="stable").tolist()
    left = usable.sum(axis=1).tolist()
    # A case whose place costs more than the least is ranked anew when its turn comes.
    asking = {
        number: (limit, wanting(actions, limit).tolist())
        for number, limit in enumerate(limits)
        if isinstance(limit, Limit) and limit.follows
    }

    chosen, wanted, held_back = (np.full(count, PERSON) for _ in range(3))
    turns: list[dict[Use, int]] = [{} for _ in range(count)]
    total: dict[Use, int] = {}
    for case in order:
        columns, taken = preferred[case][: left[case]], taken_at(case)
        uses = at[case]
        turns[case] = {uses[n]: taken.get(uses[n], 0) for column in columns for n in limited_by[column]}
        for number, (limit, wants) in asking.items():
            use = uses[number]
            if use not in turns[case]:
                continue
            seen = Use(limit.wanted, use.group, use.window)
            turns[case][seen] = taken.get(seen, 0)
            asked[case, number] = turns[case][use] < limit.capacity
            if usual is not None:
                places[case, number] = usual.of(limit, use, case, turns[case])
            if wants[case] > 0:
                taken[seen] = taken.get(seen, 0) + 1
                total[seen] = total.get(seen, 0) + 1
        if asking and (places[case] > least).any():
            own = np.where(usable[case], actions.costs[case] + within @ places[case], np.inf)
            columns = np.argsort(own, kind="stable").tolist()[: left[case]]
        for nth, column in enumerate(columns):
            price = prices[case][column]
            against = next(
                (
                    number
                    for number in limited_by[column]
                    if taken.get(uses[number], 0) + limits[number].units(price) > limits[number].capacity
                ),
                NONE,
            )
            if nth == 0:
                wanted[case], held_back[case] = column, against
            if against == NONE:
                for number in limited_by[column]:
                    use, units = uses[number], limits[number].units(price)
                    taken[use] = taken.get(use, 0) + units
                    total[use] = total.get(use, 0) + units
                chosen[case] = column
                break
    uses = {use: units for use, units in total.items() if units}
    return Choice(chosen, wanted, held_back, tuple(turns), uses, places, asked)


def wanting(actions: Actions, limit: AnyLimit) -> np.ndarray:
    """What each case would save by a place in a limit beyond what that is worth at least, beside the best that needs
    none: dollars, negative where it would not. Minus infinity where there is no such choice."""
    costs = np.where(actions.usable, actions.costs, np.inf)
    within = np.array([limit.limits(name, actions.safe) for name in actions.names], dtype=bool)
    best = np.min(costs, axis=1, where=within, initial=np.inf)
    otherwise = np.min(costs, axis=1, where=~within, initial=np.inf)
    both = np.isfinite(best) & np.isfinite(otherwise)
    saved = np.full(len(costs), -np.inf)
    saved[both] = otherwise[both] - best[both] - limit.least
    return saved


def demand_of(
    actions: Actions,
    order: Sequence[int],
    limits: Sequence[AnyLimit],
    groups: Mapping[str, Sequence[Any]],
    minutes: Sequence[int],
) -> Demands:
    """How many of the cases that are served want a place whose worth follows the day, and when: by limit.

    Where none of the cases is served (no score, say) it says nothing: that is no day on which nothing was wanted.
    """
    found: Demands = {}
    if len(actions.costs) and not len(order):
        return found
    for limit in limits:
        if not isinstance(limit, Limit) or not limit.follows:
            continue
        beyond = wanting(actions, limit)
        asking = [case for case in order if beyond[case] > 0]
        cents_beyond = cents(np.minimum(beyond, MOST_DOLLARS))
        by_group: dict[str | None, list[int]] = {}
        for case in asking:
            by_group.setdefault(group_of(groups[limit.per][case]), []).append(case)
        found[limit.wanted] = Demand(
            1,
            {
                group: Wanted(
                    tuple(np.bincount([minutes[case] // MINUTES for case in cases], minlength=HOURS).tolist()),
                    int(cents_beyond[cases].sum()),
                )
                for group, cases in by_group.items()
            },
        )
    return found


def uses_of(
    limits: Sequence[AnyLimit],
    groups: Mapping[str, Sequence[Any] | np.ndarray],
    hours: Sequence[Any] | np.ndarray | None,
    count: int,
) -> list[tuple[Use, ...]]:
    """For each case, what it would use of each limit, in the limits' order."""
    columns = []
    for limit in limits:
        values = [None] * count if limit.per is None else [group_of(value) for value in groups[limit.per]]
        if limit.every is Every.HOUR and hours is None:
            raise ValueError(f"the limit of {limit.key} needs the hour of each case")
        windows = [WHOLE_DAY] * count if limit.every is Every.DAY or hours is None else [str(hour) for hour in hours]
        columns.append([Use(limit.key, *both) for both in zip(values, windows, strict=True)])
    return list(zip(*columns, strict=True)) if columns else [()] * count
