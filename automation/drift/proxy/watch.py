"""A champion's performance estimated each day, and each estimate judged when its labels are there.

    proxy = started(plan)
    proxy = proxy.estimated(cohort)            # on its day: nothing of its outcomes is looked at
    proxy.estimates[cohort.day], proxy.asks
    proxy = proxy.after(cohort, today)         # days later: what came of it

`automation.drift.proxy.state` keeps it: the same bytes for the same days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.drift.proxy.conformal import Conformal
from automation.drift.proxy.expected import expected_auc, realised_auc
from automation.drift.watch_state import in_order
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from automation.drift.proxy.conformal import Span
    from automation.drift.proxy.plan import ProxyPlan
    from automation.rollout.verdicts.pairs import Cohort

AUC, DOLLARS = "auc", "dollars"
MEASURES = (AUC, DOLLARS)


class Ask(StrEnum):
    """What the channel may ask for. There is no asking for a new model: estimates cannot tell that one is needed."""

    NOTHING = "nothing"
    SHADOW = "shadow"


class NotEstimatedError(WarrantError):
    """A day is judged that was not estimated, or before its outcomes are there."""


@dataclass(frozen=True)
class ProxyWatch:
    """Estimates that wait for their labels, by day and measure, and what past ones were like.

    - ``estimated_to``: the last day that was estimated; ``judged_to``: the last whose labels were shown.
    - ``estimates``: by day and measure, of days whose labels are to come; a measure without an interval is left out.
    - ``low_days``: how many days in a row the interval of the AUC lay below what the plan asks for.
    """

    plan: ProxyPlan
    past: Mapping[str, Conformal]
    estimates: Mapping[date, Mapping[str, Span]]
    estimated_to: date | None = None
    judged_to: date | None = None
    low_days: int = 0

    @property
    def asks(self) -> Ask:
        return Ask.SHADOW if self.low_days >= self.plan.days_in_a_row else Ask.NOTHING

    @property
    def says(self) -> str:
        """How the estimates have done, in words."""
        kept = ", ".join(
            f"{name} in {past.held} of {past.judged} days" for name, past in self.past.items() if past.judged
        )
        so_far = f"What came out lay within the interval: {kept}." if kept else "No interval was judged so far."
        if self.asks is Ask.SHADOW:
            so_far += (
                f" The estimated AUC lay below {self.plan.auc_at_least} for {self.low_days} days: shadow a challenger."
            )
        return so_far

    def estimated(self, cohort: Cohort) -> ProxyWatch:
        """With a day's estimates, from what was decided and the champion's probabilities alone.

        Raises:
            NotInOrderError: it is not the day after the last.
        """
        in_order(cohort.day, self.estimated_to, "estimated")
        spans = {}
        for name, expected, scale, bounds in _expected(cohort):
            span = self.past[name].span(expected, scale, bounds, self.plan)
            if span is not None:
                spans[name] = span
        least, seen = self.plan.auc_at_least, spans.get(AUC)
        low = self.low_days + 1 if least is not None and seen is not None and seen.high < least else 0
        return replace(self, estimates={**self.estimates, cohort.day: spans}, estimated_to=cohort.day, low_days=low)

    def after(self, cohort: Cohort, today: date) -> ProxyWatch:
        """After the outcomes of a day that was estimated. A case without an outcome in time came out as expected.

        Raises:
            NotInOrderError: it is not the next to be judged.
            NotEstimatedError: it was not estimated, or an outcome may still come.
        """
        in_order(cohort.day, self.judged_to, "judged")
        if cohort.day not in self.estimates:
            raise NotEstimatedError(
                f"The champion's performance on {cohort.day} was not estimated.", remedy="Estimate each day first."
            )
        if not cohort.is_mature(today, self.plan.wait_days):
            raise NotEstimatedError(
                f"Outcomes of {cohort.day} may still come on {today}.",
                remedy=f"Wait for them, or until {cohort.day + timedelta(days=self.plan.wait_days + 1)}.",
            )
        spans, past, came = self.estimates[cohort.day], dict(self.past), _came(cohort)
        for name, expected, scale, _ in _expected(cohort):
            if name in came:
                held = spans[name].holds(came[name]) if name in spans else None
                past[name] = past[name].after((came[name] - expected) / scale, held, self.plan)
        left = {day: each for day, each in self.estimates.items() if day != cohort.day}
        return replace(self, past=past, estimates=left, judged_to=cohort.day)


def started(plan: ProxyPlan) -> ProxyWatch:
    """A watch that has estimated no day."""
    return ProxyWatch(plan, dict.fromkeys(MEASURES, Conformal(plan.rate)), {})


def _expected(cohort: Cohort) -> Iterator[tuple[str, float, float, tuple[float, float]]]:
    """Of each measure that the day has: what is expected, the scale of its errors and the bounds of what is possible.

    Dollars are what the champion's decisions cost; their errors are shares of what is at risk.
    """
    rows = cohort.pairs.filter(pl.col("probability").is_not_null()).sort("case_key")
    probability = rows["probability"].to_numpy()
    promised = expected_auc(probability)
    if promised is not None:
        yield AUC, promised, 1.0, (0.0, 1.0)
    good, bad = rows["champion_if_good"].to_numpy(), rows["champion_if_bad"].to_numpy()
    at_risk = math.fsum(np.abs(bad - good))
    if at_risk > 0:
        bounds = math.fsum(np.minimum(good, bad)), math.fsum(np.maximum(good, bad))
        yield DOLLARS, math.fsum(good + probability * (bad - good)), at_risk, bounds


def _came(cohort: Cohort) -> dict[str, float]:
    """What came of each measure."""
    rows = cohort.pairs.filter(pl.col("probability").is_not_null()).sort("case_key")
    good, bad = rows["champion_if_good"].to_numpy(), rows["champion_if_bad"].to_numpy()
    was_bad = rows["bad"].cast(pl.Float64).fill_null(rows["probability"]).to_numpy()
    known = rows.filter(pl.col("bad").is_not_null())
    came = {DOLLARS: math.fsum(good + was_bad * (bad - good))}
    if known["bad"].n_unique() == 2:
        came[AUC] = realised_auc(known["probability"].to_numpy(), known["bad"].to_numpy())
    return came
