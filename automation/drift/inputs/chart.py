"""The evidence on each input over days, and what an input looked like then and now, as plots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automation import plots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.drift.inputs.movers import Mover
    from automation.drift.inputs.plan import InputPlan
    from automation.drift.inputs.watch import Evidence

# So many lines can be told apart, beside the two of what is needed.
LINES = 6
LOWEST = -3.0


def evidence(history: Sequence[Evidence], plan: InputPlan, title: str) -> str:
    """The features with the most evidence on any day of a history, as SVG: powers of ten to 1, cut off below a
    thousandth. What is needed of a feature that changed alone is drawn, and of one of two."""
    days = sorted({one.day for one in history})
    told = {(one.feature, one.day): one.log10 for one in history}
    most = {one.feature: -math.inf for one in history}
    for one in history:
        most[one.feature] = max(most[one.feature], one.log10)
    shown = sorted(most, key=lambda name: (-most[name], name))[:LINES]
    series = {name: [max(told.get((name, day), math.nan), LOWEST) for day in days] for name in shown}
    for together, words in ((1, "alone"), (2, "one of two")):
        needed = len(most) / (plan.rate * together)
        series[f"{needed:,.0f} to 1, {words}"] = [math.log10(needed)] * len(days)
    return plots.lines(days, series, title, "powers of ten to 1")


def then_and_now(mover: Mover) -> str:
    """How a feature's values were distributed then and now, as SVG."""
    return plots.beside(mover.bins, {"then": mover.then, "now": mover.now}, mover.feature, "share of the cases")
