"""Back-testing at the time: what a newer model would have saved beside an older one, day by day, under the policy that
decides: a better ranking that the policy's limits keep from being used is worth nothing.

Whether retraining is worth its cost is looked into again and again. A look compares the days since the last one:

- The champion is older than the last look: a model as of then decides the days since, beside the champion. They begin
  with the first that was not compared: on the day of a look, outcomes of its cases are still to come.
- The champion is newer, for it was trained then: it is itself compared, with the model whose place it took. So it comes
  out what retraining saved, and evidence does not run dry where it goes on.
- Nothing was looked into and nobody decided before: a model as of half of the champion's days decides the second half.

A model is trained on nothing that was not known when it would have been trained, and decides only later days. What each
look found is kept, by day, and pooled with what the next ones find (`automation.drift.worth.judging`): two weeks tell
little about dollars, which follow the weather.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from automation.drift.worth.windows import cut
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import polars as pl

    from automation.drift.worth.plan import WorthPlan
    from automation.rollout.verdicts.pairs import Cohort

M = TypeVar("M")


class NotASavingError(WarrantError):
    """A day was compared twice, or what was saved on it is no number."""


@dataclass(frozen=True)
class Standing:
    """Who decides when it is looked into.

    - ``trained``: the day as of which the champion was trained, ``since``: the first day of which it decided cases.
    - ``window``: the window that it learned from.
    - ``former``: whether it took the place of an older model, which can be asked still.
    - ``looked``: the day as of which it was last looked into, the first day that a model asked for then would decide.
    - ``compared``: the last day that a look compared, if any did.
    """

    trained: date
    since: date
    window: str
    former: bool
    looked: date | None
    compared: date | None = None


@dataclass(frozen=True)
class Seams(Generic[M]):
    """What a back-test asks of whoever runs it.

    - ``known``: the training set as of a day: ``event_time``, features and label, in order of decision time.
    - ``train``: a model of such rows.
    - ``newer``: the mature days from one day to another, as the champion decided them and as a newer model would have.
    - ``older``: the same days, as the model would have whose place the champion took, and as the champion did.
    - ``timezone``: in which days are days.
    """

    known: Callable[[date], pl.DataFrame]
    train: Callable[[pl.DataFrame], M]
    newer: Callable[[M, date, date], Iterable[Cohort]]
    older: Callable[[date, date], Iterable[Cohort]]
    timezone: str


def backtest(seams: Seams[M], plan: WorthPlan, today: date, standing: Standing) -> dict[str, dict[date, float]]:
    """What a newer model would have saved, in dollars by day, for each of the plan's windows that could be compared.

    No window is there where the champion is as new as can be and nothing older is beside it. ``today`` is the day as of
    which is looked: the day after the last that was decided.
    """
    last = today - timedelta(days=1)
    earliest = max(standing.since, today - timedelta(days=plan.backtest_days))
    if standing.looked is not None and standing.looked > standing.trained:
        compared = standing.looked if standing.compared is None else standing.compared + timedelta(days=1)
        first = max(earliest, min(standing.looked, compared), standing.trained + timedelta(days=1))
    elif standing.former:
        return {standing.window: saved(seams.older(earliest, last))}
    elif standing.looked is None:
        first = max(earliest, standing.since + (today - standing.since) // 2)
    else:
        return {}
    if first <= standing.trained or first > last:
        return {}
    rows = seams.known(first)
    cuts = {window.name: cut(rows, window, first, seams.timezone) for window in plan.windows}
    return {name: saved(seams.newer(seams.train(each), first, last)) for name, each in cuts.items()}


def saved(cohorts: Iterable[Cohort]) -> dict[date, float]:
    """What the newer model of each day saved. An outcome that is not known counts as the less favourable one.

    Raises:
        NotASavingError: a day is there twice, or its saving is no number.
    """
    found: dict[date, float] = {}
    for cohort in cohorts:
        dollars = cohort.savings.at_least
        if cohort.day in found or not math.isfinite(dollars):
            raise NotASavingError(
                f"What a newer model saved on {cohort.day} was told twice, or is no number.",
                remedy="Compare each day once, and look at the policy's costs of that day's cases.",
            )
        found[cohort.day] = dollars
    return found


def pooled(
    found: Mapping[str, Mapping[date, float]], before: Iterable[Mapping[str, Mapping[date, float]]], since: date
) -> dict[str, dict[date, float]]:
    """What all looks found, by window and day, from ``since`` on. Of a day that was compared twice, the newer holds."""
    result: dict[str, dict[date, float]] = {}
    for look in (*before, found):
        for window, days in look.items():
            result.setdefault(window, {}).update({day: dollars for day, dollars in days.items() if day >= since})
    return {window: dict(sorted(days.items())) for window, days in result.items()}
