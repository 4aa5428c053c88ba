"""Intervals of estimates, from how far estimates of past days were off.

A day is a block: its cases share weather, so that their number says little about how far off an estimate can be. An
interval lies between quantiles of past days' errors (split conformal prediction: Vovk, Gammerman and Shafer, 2005,
Algorithmic Learning in a Random World; Lei et al., JASA 2018). That would hold if days were exchangeable, which they
are not. So the level at which it is cut follows what comes out: it falls after each day outside and rises after each
inside. Whatever the days do, the share of days outside is then within (1 + step) / (step x days) of the stated one
(Gibbs and Candès, Adaptive conformal inference under distribution shift, NeurIPS 2021). Labels that lag make it follow
later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automation.drift.proxy.plan import ProxyPlan


@dataclass(frozen=True)
class Span:
    """An estimate and the interval of what may come out."""

    low: float
    expected: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Conformal:
    """Errors of past days (what came out less what was expected, in the unit of ``scale``), the level at which
    intervals are cut now, and how many intervals were judged and held."""

    level: float
    errors: tuple[float, ...] = ()
    judged: int = 0
    held: int = 0

    def span(self, expected: float, scale: float, bounds: tuple[float, float], plan: ProxyPlan) -> Span | None:
        """The interval of a day of that scale, within what is possible; None before there are days enough."""
        if len(self.errors) < plan.least_days:
            return None
        low, high = bounds
        errors, half = sorted(self.errors), max(self.level, 0.0) / 2
        place = math.floor(half * (len(errors) + 1))
        if place >= 1:
            # At levels of a half and more the ends would cross.
            place = min(place, (len(errors) + 1) // 2)
            low, high = max(low, expected + scale * errors[place - 1]), min(high, expected + scale * errors[-place])
        return Span(min(low, high), expected, max(low, high))

    def after(self, error: float, held: bool | None, plan: ProxyPlan) -> Conformal:
        """After what came out of a day, and whether its interval held (None: it had none)."""
        errors = (*self.errors, error)[-plan.past_days :]
        if held is None:
            return Conformal(self.level, errors, self.judged, self.held)
        level = self.level + plan.step * (plan.rate - (0 if held else 1))
        return Conformal(level, errors, self.judged + 1, self.held + held)
