"""What retraining is worth, and whether to do it: by what newer models saved beside older ones, day by day, in the
looks so far (`automation.drift.worth.backtest`).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from automation.rollout.judging.resampling import Mean, Resamples, interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from automation.drift.worth.plan import WorthPlan

SEED = 7


class Decision(StrEnum):
    RETRAIN = "retrain"
    KEEP = "keep"


@dataclass(frozen=True)
class Tried:
    """What newer models of a window saved a day in the days that were compared: on average and at least."""

    window: str
    days: int
    a_day: float
    a_day_at_least: float


@dataclass(frozen=True)
class Worth:
    """What retraining is worth, in dollars over ``horizon_days``, and the decision.

    - ``window``: the one that is worth most; None if too few days could be compared.
    - ``expected`` and ``at_least``: what a newer model of it saves beside the champion, before ``costs``.
    - ``forgone``: the counterfactual to be judged by later: what is expected to be lost if nothing is retrained, after
      costs; negative where retraining is expected to cost more than it saves.
    """

    as_of: date
    decision: Decision
    window: str | None
    horizon_days: int
    expected: float
    at_least: float
    costs: float
    forgone: float
    tried: tuple[Tried, ...]
    says: str

    @property
    def worth(self) -> float:
        """Dollars that are to be gained at least, after costs."""
        return self.at_least - self.costs

    def as_data(self) -> dict[str, Any]:
        """As plain JSON, to be kept and judged by later."""
        return json.loads(json.dumps(asdict(self), default=str))


def judged(found: Mapping[str, Mapping[date, float]], plan: WorthPlan, as_of: date) -> Worth:
    """Whether to retrain, by what newer models of each window saved beside older ones, in dollars by day.

    The lower ends hold for all windows together (each misses the truth with a chance of the plan's rate over their
    number), so that the best of them is not the luckiest. Days are drawn as wholes
    (`automation.rollout.judging.resampling`).
    """
    # One more training than was tried: the new model itself.
    costs = plan.costs.of(len(plan.windows) + 1)
    enough = {each.name: found[each.name] for each in plan.windows if len(found.get(each.name, ())) >= plan.least_days}
    if not enough:
        days = max((len(found.get(each.name, ())) for each in plan.windows), default=0)
        can = "1 day" if days == 1 else f"{days} days"
        says = f"Nothing is retrained: {can} can be compared, and {plan.least_days} are needed to judge by."
        return Worth(as_of, Decision.KEEP, None, plan.horizon_days, 0.0, 0.0, costs, 0.0, (), says)
    tried = tuple(_tried(window, saved, plan, len(enough)) for window, saved in enough.items())
    best = max(tried, key=lambda one: one.a_day_at_least)
    expected, at_least = best.a_day * plan.horizon_days, best.a_day_at_least * plan.horizon_days
    decision = Decision.RETRAIN if at_least > costs else Decision.KEEP
    return Worth(
        as_of,
        decision,
        best.window,
        plan.horizon_days,
        expected,
        at_least,
        costs,
        expected - costs,
        tried,
        _says(decision, best, plan, costs, len(tried)),
    )


def _tried(window: str, saved: Mapping[date, float], plan: WorthPlan, windows: int) -> Tried:
    days, dollars = len(saved), np.array(list(saved.values()), dtype=float)
    resamples = Resamples.drawn(days, SEED)
    found = interval(Mean.of(dollars, np.arange(days), days), resamples, 2 * plan.rate / windows)
    # An end that cannot be told is no reason to retrain, and must be a number to be kept.
    low = found.low if math.isfinite(found.low) else -float(np.abs(dollars).max())
    return Tried(window, days, found.estimate, low)


def _says(decision: Decision, best: Tried, plan: WorthPlan, costs: float, windows: int) -> str:
    of = f" (the best of {windows} windows)" if windows > 1 else ""
    found = (
        f"in {best.days} days, newer models of the window {best.window}{of} saved {_dollars(best.a_day)} a day more "
        f"than older ones, at least {_dollars(best.a_day_at_least)} with {1 - plan.rate:.0%} confidence: "
        f"{_dollars(best.a_day_at_least * plan.horizon_days)} in {plan.horizon_days} days, "
        f"where a new model costs {_dollars(costs)}"
    )
    return f"It is retrained: {found}." if decision is Decision.RETRAIN else f"Nothing is retrained: {found}."


def _dollars(amount: float) -> str:
    return f"-${-amount:,.0f}" if amount < 0 else f"${amount:,.0f}"
