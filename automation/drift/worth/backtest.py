"""Back-testing at the time: models of some weeks ago decide the days since, beside the champion.

What is compared is dollars, day by day, under the policy that decides: a better ranking that the policy's limits keep
from being used is worth nothing. A model is trained on nothing that was not known when it would have been trained, and
decides only later days. The champion's days count from the day on which it was trained, since it knows those before; of
these, the first half are what a newer model knows more than it, so that there is something to find.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from automation.drift.worth.windows import cut
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import polars as pl

    from automation.drift.worth.plan import WorthPlan
    from automation.rollout.verdicts.pairs import Cohort

M = TypeVar("M")


class SamePastError(WarrantError):
    """The models did not decide the same days."""


@dataclass(frozen=True, eq=False)
class Saved:
    """Dollars that a model saved beside the champion, by day. Shape (days,)."""

    days: tuple[date, ...]
    dollars: np.ndarray
    cases: int


@dataclass(frozen=True)
class Seams(Generic[M]):
    """What a back-test asks of whoever runs it.

    - ``known``: the training set as of a day: ``event_time``, features and label, in order of decision time.
    - ``train``: a model of such rows.
    - ``decided``: the mature days from one day to another, decided by the champion and by a model.
    """

    known: Callable[[date], pl.DataFrame]
    train: Callable[[pl.DataFrame], M]
    decided: Callable[[M, date, date], Iterable[Cohort]]


def backtest(seams: Seams[M], plan: WorthPlan, today: date, champion_as_of: date) -> dict[str, Saved]:
    """What models of the plan's windows would have saved lately, by window, in the plan's order.

    All models are trained as of `first_day`, and decide from it to yesterday. None is where that is too few days.
    """
    first = first_day(plan, today, champion_as_of)
    if (today - first).days < plan.least_days:
        return {}
    rows = seams.known(first)
    return {
        window.name: saved(seams.decided(seams.train(cut(rows, window, first)), first, today - timedelta(days=1)))
        for window in plan.windows
    }


def first_day(plan: WorthPlan, today: date, champion_as_of: date) -> date:
    """The first day of a back-test: so long ago as the plan says, but in the second half of the champion's days."""
    half = champion_as_of + (today - champion_as_of) // 2
    return max(today - timedelta(days=plan.backtest_days), half)


def saved(cohorts: Iterable[Cohort]) -> Saved:
    """What the challenger of each day saved. An outcome that is not known counts as the less favourable one."""
    found = [(cohort.day, cohort.savings) for cohort in cohorts]
    dollars = np.array([day.at_least for _, day in found], dtype=float)
    return Saved(tuple(day for day, _ in found), dollars, sum(day.cases for _, day in found))


def same_days(found: Mapping[str, Saved]) -> Sequence[date]:
    """The days that all windows' models decided.

    Raises:
        SamePastError: they decided different ones, or a day twice, or a saving is no number.
    """
    days = {one.days for one in found.values()}
    each = next(iter(days), ())
    if len(days) > 1 or len(set(each)) != len(each):
        raise SamePastError(
            "The windows' models did not decide the same days, each once.",
            remedy="Let every model decide every mature day of the back-test.",
        )
    if not all(math.isfinite(one.dollars.sum()) for one in found.values()):
        raise SamePastError("A day's saving is no number.", remedy="Look at the policy's costs of that day's cases.")
    return each
