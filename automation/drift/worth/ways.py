"""Ways to retrain that what was done is compared with: when each trains a model, and what it came to, by month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

from automation.calendar import Days
from automation.jobs import RETRAINING_WAYS
from automation.lakehouse import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from automation.lakehouse import Lakehouse

WAYS = {
    "way": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "outcomes": pl.Int64,
    "auc": pl.Float64,
    "saved": pl.Float64,
    "trainings": pl.Int64,
    "training_seconds": pl.Float64,
    DAY: pl.Date,
}


class Way(StrEnum):
    """How often a model is trained and decides from that day on."""

    NEVER = "never"
    MONTHLY = "monthly"
    WEEKLY = "weekly"
    DAILY = "daily"


def starts(way: Way, days: Days) -> tuple[date, ...]:
    """The days as of which the way trains a model, in order: the first, and what follows of it."""
    match way:
        case Way.NEVER:
            return (days.first,)
        case Way.MONTHLY:
            return tuple(part.first for part in days.months())
        case Way.WEEKLY:
            return tuple(days.first + timedelta(days=n) for n in range(0, len(days), 7))
        case Way.DAILY:
            return tuple(days)


@dataclass(frozen=True)
class Came:
    """What a way came to in a month of ``first`` to ``last``, the days that were decided.

    ``auc`` is of cases that were scored, None where their outcomes are all alike; ``saved`` is dollars against doing
    nothing, over the ``outcomes`` that were known. ``trainings`` are the models that were trained as of days of it, in
    ``training_seconds``.
    """

    way: Way
    first: date
    last: date
    outcomes: int
    auc: float | None
    saved: float
    trainings: int
    training_seconds: float

    @property
    def month(self) -> date:
        return self.first.replace(day=1)


def rows(found: Sequence[Came]) -> pl.DataFrame:
    """As the table holds them, by the first day of the month."""
    told = [{**vars(each), "way": each.way.value, DAY: each.month} for each in found]
    return pl.DataFrame(told, schema=WAYS)


def read(lake: Lakehouse, workload: str, days: Days) -> list[Came]:
    """What ways came to in the months of ``days``, by way and month. None were compared: nothing."""
    if not lake.exists(workload, RETRAINING_WAYS):
        return []
    months = [part.first.replace(day=1) for part in days.months()]
    found = lake.read(workload, RETRAINING_WAYS).filter(pl.col(DAY).is_in(months)).drop(DAY)
    order = {way.value: number for number, way in enumerate(Way)}
    told = [Came(Way(way), *rest) for way, *rest in found.select(list(Came.__annotations__)).iter_rows()]
    return sorted(told, key=lambda each: (order[each.way.value], each.first))


def months_of(days: Iterable[date]) -> list[Days]:
    """The months of some days, each from the first to the last of them that is in it, in order."""
    found: dict[date, Days] = {}
    for day in sorted(days):
        month = day.replace(day=1)
        found[month] = Days(found[month].first if month in found else day, day)
    return list(found.values())


def missing(found: Sequence[Came], ways: Sequence[Way], months: Sequence[Days]) -> list[Days]:
    """Those of some months for which one of ``ways`` was not compared on all their days."""
    have = {(each.way, each.first, each.last) for each in found}
    return [part for part in months if any((way, part.first, part.last) not in have for way in ways)]
