"""How often retraining may be tried: a least wait, longer after tries that came to nothing, and a number a quarter.

A try is a model that was asked for. It counts whether or not it came to decide: what runs wild is asking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.drift.worth.plan import Budget

QUARTER = timedelta(days=91)


class TriesNotInOrderError(WarrantError):
    """The tries so far are not in the order of their days, or one is still to come."""


@dataclass(frozen=True)
class Try:
    """A try to retrain: its day, and whether it came to something (None: not known yet)."""

    day: date
    came_to_something: bool | None


@dataclass(frozen=True)
class Leave:
    """Whether retraining may be tried today, from which day on it may be, and why in words."""

    given: bool
    day: date
    says: str


def leave(tries: Sequence[Try], budget: Budget, today: date) -> Leave:
    """Whether retraining may be tried today, after these tries, the oldest first.

    Raises:
        TriesNotInOrderError: they are not in the order of their days, or one is after today.
    """
    days = [one.day for one in tries]
    if any(one > other for one, other in pairwise([*days, today])):
        raise TriesNotInOrderError(
            f"The tries to retrain before {today} are not in the order of their days.",
            remedy="Give all tries so far, the oldest first.",
        )
    if not tries:
        return Leave(given=True, day=today, says="Retraining was not tried before.")
    failed = sum(1 for _ in takewhile(lambda one: one.came_to_something is False, reversed(tries)))
    rested = days[-1] + timedelta(days=_wait(budget, failed))
    counted = days[-budget.a_quarter] + QUARTER if len(days) >= budget.a_quarter else rested
    day = max(rested, counted)
    if day <= today:
        return Leave(given=True, day=today, says=f"The last try to retrain was on {days[-1]}.")
    nothing = (
        f" and came to nothing, as {failed} in a row did" if failed > 1 else " and came to nothing" if failed else ""
    )
    why = f"the last try was on {days[-1]}{nothing}"
    if counted > rested:
        why = f"{budget.a_quarter} tries in {QUARTER.days} days are spent"
    return Leave(given=False, day=day, says=f"Retraining may be tried again on {day}: {why}.")


def _wait(budget: Budget, failed: int) -> int:
    """Days between the last try and the next."""
    # The exponent is held where the product cannot overflow: the longest wait is long reached.
    grown = budget.least_days * budget.backoff ** min(failed, 64)
    return math.ceil(min(grown, budget.longest_days))
