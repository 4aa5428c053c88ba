"""Materialization: the newest row of each key, from the lakehouse's tables into the online store.

Each view has a mark: up to where it is materialized. What became known since is read, no more; a day done again is
read again. Killed anywhere, it is run again: records never step back and the mark comes last.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from automation.calendar import Days
from feature_repo.online.records import Mark, Record, instant, key_of, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from automation.calendar import Calendar
    from automation.lakehouse import Lakehouse
    from feature_repo.online import Backend, ViewPlan

EVENT, KNOWN = "event_time", "known_time"
_READERS = 4


@dataclass(frozen=True)
class Materialized:
    """What materializing one view came to."""

    view: str
    rows: int
    records: int
    expired: int
    until: datetime


def materialize(
    views: Sequence[ViewPlan], lake: Lakehouse, calendar: Calendar, backend: Backend, day: date
) -> list[Materialized]:
    """Brings every view up to the end of ``day``; one that is further already gets the day's rows again."""
    end, marks = instant(calendar.ends(day)), backend.marks()
    # Opening a table waits more than it computes.
    with ThreadPoolExecutor(_READERS) as readers:
        return list(
            readers.map(lambda view: _materialize(view, lake, calendar, backend, day, end, marks.get(view.slot)), views)
        )


def _materialize(
    view: ViewPlan,
    lake: Lakehouse,
    calendar: Calendar,
    backend: Backend,
    day: date,
    end: int,
    mark: Mark | None,
) -> Materialized:
    workload, _, table = view.table.rpartition("/")
    until = end if mark is None else max(mark.until, end)
    columns = [*view.keys, *view.features, EVENT, KNOWN]
    # A table without days that is as it was has nothing new, unless it was only not known yet.
    as_it_was = mark.version if mark is not None and mark.until >= end else None
    rows, version = lake.newest(workload, table, _days(view, calendar, day, end, mark), columns, unless=as_it_was)
    found = newest(rows, view, until) if rows.height else []
    backend.write(view.slot, found)
    expired = 0 if view.ttl is None else backend.expire(view.slot, until - view.ttl)
    # What became known at the very end of a day lies in the next one, which may not be there yet.
    backend.drop_pushed(view.slot, until - 1)
    backend.mark(view.slot, Mark(until, version))
    return Materialized(view.name, rows.height, len(found), expired, moment(until))


def _days(view: ViewPlan, calendar: Calendar, day: date, end: int, mark: Mark | None) -> Days:
    """The days whose rows may be new: since the mark; without one, all whose values may still live.

    What became known at the very end of a day lies in the next one. Where that is there already, as it is when days are
    ingested ahead of what is decided, the offline store answers by it, and so must this one.
    """
    last = day + timedelta(days=1)
    if mark is None:
        # A row may have become known long after its event, so the day it lies in says only how late it can be.
        lives = calendar.start if view.ttl is None else (moment(end - view.ttl) - timedelta(days=1)).date()
        return calendar.within(Days(min(max(lives, calendar.start), day), last))
    # What became known since the mark lies in the days from then on: a day holds what became known on it.
    begun = moment(mark.until).astimezone(ZoneInfo(calendar.timezone)).date()
    return calendar.within(Days(min(begun, day), last))


def newest(rows: pl.DataFrame, view: ViewPlan, until: int) -> list[Record]:
    """The record of each key as known at ``until``: the greatest (event, known), a tie going to greater values.

    The same rule as the offline store's, nulls counting as the greatest.
    """
    at = pl.lit(moment(until))
    visible = rows.lazy().filter(
        pl.col(EVENT) <= at, pl.col(KNOWN) <= at, *(pl.col(name).is_not_null() for name in view.keys)
    )
    if view.ttl is not None:
        visible = visible.filter(pl.col(EVENT) >= moment(until - view.ttl))
    order = [EVENT, KNOWN, *view.features]
    ordered = visible.sort(order, nulls_last=True)
    last = ordered.unique(list(view.keys), keep="last", maintain_order=True) if view.keys else ordered.tail(1)
    kept = (
        last.with_columns(pl.col(EVENT, KNOWN, *sorted(view.times)).dt.epoch("us"))
        .select(*view.keys, EVENT, KNOWN, *view.features)
        .collect()
    )
    width = len(view.keys)
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return [
        Record(key_of(row[:width]) or "", row[width], row[width + 1], encode(list(row[width + 2 :])))
        for row in kept.iter_rows()
    ]
