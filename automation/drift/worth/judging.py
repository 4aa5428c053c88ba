"""What retraining is worth, and whether to do it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from automation.drift.worth.backtest import same_days
from automation.rollout.judging.resampling import Mean, Resamples, interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from automation.drift.worth.backtest import Saved
    from automation.drift.worth.plan import WorthPlan

SEED = 7


class Decision(StrEnum):
    RETRAIN = "retrain"
    KEEP = "keep"


@dataclass(frozen=True)
class Tried:
    """What a window's model saved a day in the back-test: on average and at least."""

    window: str
    days: int
    a_day: float
    a_day_at_least: float


@dataclass(frozen=True)
class Worth:
    """What retraining is worth, in dollars over ``horizon_days``, and the decision.

    - ``window``: the one that is worth most; None if nothing could be back-tested.
    - ``expected`` and ``at_least``: what its model saves beside the champion, before ``costs``.
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


def judged(found: Mapping[str, Saved], plan: WorthPlan, as_of: date) -> Worth:
    """Whether to retrain, by what the windows' models saved in the back-test (`backtest.backtest`).

    The lower ends hold for all windows together (each misses the truth with a chance of the plan's rate over their
    number), so that the best of them is not the luckiest. Days are drawn as wholes
    (`automation.rollout.judging.resampling`).

    Raises:
        SamePastError: the models did not decide the same days.
    """
    days = len(same_days(found))
    # One more training than was tried: the new model itself.
    costs = plan.costs.of(len(plan.windows) + 1)
    if days < plan.least_days:
        says = f"Nothing is retrained: {days} days can be back-tested, and {plan.least_days} are needed to judge by."
        return Worth(as_of, Decision.KEEP, None, plan.horizon_days, 0.0, 0.0, costs, 0.0, (), says)
    resamples = Resamples.drawn(days, SEED)
    tried = tuple(_tried(window, saved, resamples, plan, len(found)) for window, saved in found.items())
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


def _tried(window: str, saved: Saved, resamples: Resamples, plan: WorthPlan, windows: int) -> Tried:
    days = len(saved.days)
    found = interval(Mean.of(saved.dollars, np.arange(days), days), resamples, 2 * plan.rate / windows)
    # An end that cannot be told is no reason to retrain, and must be a number to be kept.
    low = found.low if math.isfinite(found.low) else -float(np.abs(saved.dollars).max())
    return Tried(window, days, found.estimate, low)


def _says(decision: Decision, best: Tried, plan: WorthPlan, costs: float, windows: int) -> str:
    of = f" (the best of {windows} windows)" if windows > 1 else ""
    sure = 1 - plan.rate
    found = (
        f"a model of the window {best.window}{of} would have saved {_dollars(best.a_day)} a day more than the champion "
        f"in {best.days} days, at least {_dollars(best.a_day_at_least)} with {sure:.0%} confidence: "
        f"{_dollars(best.a_day_at_least * plan.horizon_days)} in {plan.horizon_days} days, "
        f"where a new model costs {_dollars(costs)}"
    )
    return f"It is retrained: {found}." if decision is Decision.RETRAIN else f"Nothing is retrained: {found}."


def _dollars(amount: float) -> str:
    return f"-${-amount:,.0f}" if amount < 0 else f"${amount:,.0f}"
