"""Whether the candidate does worse than the champion somewhere: by hour, season, carrier, airport, as the plan slices.

Judged by the Brier score: it is between 0 and 1 for each case, so that a margin means the same in each slice and few
cases decide nothing. Dollars do not serve: a few large cases make most of them, and a limited action that is taken in
one slice is missing in another, so that a better model can cost more at one airport for saving at the next.

All slices are judged at once. Each end of an interval is at the rate divided by the number of slices (Bonferroni), so
that the ends of all hold together, whatever the slices have to do with each other. Each slice keeps its own skew: the
largest distance over all slices (maximum t) was tried, and the one slice with the longest tail made the intervals of
all others four times as wide. What it takes is many resamples, to tell a chance that rare, and some ten cases a day: of
four a day, half as many slices again were blamed as should be, which is why smaller slices are judged together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation import plots
from automation.rollout.judging.resampling import RESAMPLES, Interval, Mean, Resamples, ends

if TYPE_CHECKING:
    from automation.rollout.judging.holdout import Judged
    from automation.rollout.judging.plan import JudgingPlan

OTHERS = "others"
SHOWN = 25
# So many resamples lie beyond an end, if that takes no more resamples than the most.
BEYOND = 10
MOST_RESAMPLES = 50_000


@dataclass(frozen=True)
class Slice:
    """A slice: ``worse`` is by how much the candidate's Brier score is greater than the champion's."""

    column: str
    value: str
    cases: int
    days: int
    candidate: float
    champion: float
    worse: Interval

    @property
    def name(self) -> str:
        return f"{self.column} {self.value}"


@dataclass(frozen=True)
class LeftOut:
    """What of a column was not judged: so many values, with so many cases together."""

    column: str
    values: int
    cases: int

    def __str__(self) -> str:
        few = "1 value" if self.values == 1 else f"{self.values:,} values"
        return f"{self.column}: {few} with {self.cases:,} cases"


@dataclass(frozen=True)
class Slices:
    """All slices that were judged, the worst first, and what was left out for having too few cases or days."""

    slices: tuple[Slice, ...]
    left_out: tuple[LeftOut, ...]

    def proven_worse(self, margin: float) -> tuple[Slice, ...]:
        """The slices in which the candidate is worse by more than ``margin``, beyond doubt."""
        return tuple(each for each in self.slices if each.worse.low > margin)

    def plot(self, margin: float) -> str:
        """The worst slices with their intervals, as SVG."""
        shown = [
            plots.Whisker(each.name, each.worse.low, each.worse.estimate, each.worse.high)
            for each in self.slices[:SHOWN]
        ]
        return plots.whiskers(shown, "Slices", "Brier score above the champion's (right: worse)", margin)


def sliced(judged: Judged, plan: JudgingPlan, seed: int) -> Slices | None:
    """Each slice of each column; None where there is no champion to be worse than."""
    if judged.champion is None:
        return None
    holdout = judged.holdout
    rows, label = holdout.judged, holdout.label
    losses = [(judged.probabilities(scored) - label) ** 2 for scored in (judged.candidate, judged.champion)]
    found: list[_Members] = []
    left_out: list[LeftOut] = []
    for column in holdout.slices.columns:
        kept, left = _members(holdout.slices[column][rows], holdout.day[rows], plan)
        found += kept
        left_out += left
    if not found:
        return Slices((), tuple(left_out))
    rate = plan.rate / len(found)
    days = len(holdout.days)
    resamples = Resamples.drawn(days, seed, max(RESAMPLES, min(MOST_RESAMPLES, math.ceil(BEYOND / rate))))
    worse, day = losses[0] - losses[1], holdout.day[rows]
    means = [Mean.of(worse[each.rows], day[each.rows], days) for each in found]
    made = [
        Slice(
            each.column,
            each.value,
            len(each.rows),
            each.days,
            float(losses[0][each.rows].mean()),
            float(losses[1][each.rows].mean()),
            ends(*mean.spread(resamples), rate),
        )
        for each, mean in zip(found, means, strict=True)
    ]
    return Slices(
        tuple(sorted(made, key=lambda each: (-each.worse.low, -each.worse.estimate, each.name))), tuple(left_out)
    )


@dataclass(frozen=True, eq=False)
class _Members:
    column: str
    value: str
    rows: np.ndarray
    days: int


def _members(values: pl.Series, day: np.ndarray, plan: JudgingPlan) -> tuple[list[_Members], list[LeftOut]]:
    """The slices of a column: those large enough, the small ones together, and what even then is too small."""
    names, index = np.unique(values.to_numpy().astype(str), return_inverse=True)
    each = [(str(name), np.flatnonzero(index == number)) for number, name in enumerate(names)]
    large = [pair for pair in each if len(pair[1]) >= plan.least_slice_cases]
    small = [pair for pair in each if len(pair[1]) < plan.least_slice_cases]
    pool = np.sort(np.concatenate([rows for _, rows in small])) if small else np.array([], dtype=np.int64)
    if len(pool) >= plan.least_slice_cases:
        large.append((f"{OTHERS} ({len(small)})", pool))
        small = []
    members = [_Members(values.name, name, rows, len(np.unique(day[rows]))) for name, rows in large]
    few = [(one.value, one.rows) for one in members if one.days < plan.least_days] + small
    kept = [one for one in members if one.days >= plan.least_days]
    return kept, [LeftOut(values.name, len(few), sum(len(rows) for _, rows in few))] if few else []
