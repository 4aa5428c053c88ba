"""What a channel of drift knew at the end of each day: a row a day in a table of its own.

A day goes on from the row of the day before, and its own row is replaced as a whole: so a day that was killed, or is
run again, comes to the same. A champion that is new is watched anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse
from automation.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.rollout.machine import Change

STATE = {
    "digest": pl.String,
    "since": pl.Date,
    "state": pl.String,
    "alarm": pl.Boolean,
    "says": pl.String,
    "evidence": pl.String,
    DAY: pl.Date,
}
# A longer gap than any holiday: after it a channel starts anew.
GAP_DAYS = 14


@dataclass(frozen=True)
class Watched:
    """Whom a channel watches: a champion's content, since the day on which it began to decide."""

    digest: str
    since: date

    @classmethod
    def of(cls, change: Change) -> Watched:
        return cls(change.champion.digest, change.as_of)


@dataclass(frozen=True)
class Kept:
    """A channel at the end of a day. ``state`` is text in UTF-8, and ``evidence`` what its plot is drawn from."""

    watched: Watched
    day: date
    state: bytes
    alarm: bool
    says: str
    evidence: Sequence[dict[str, Any]]


def keep(lake: Lakehouse, workload: str, table: str, kept: Kept) -> None:
    """Replaces the day's row."""
    row = {
        "digest": kept.watched.digest,
        "since": kept.watched.since,
        "state": kept.state.decode(),
        "alarm": kept.alarm,
        "says": kept.says,
        "evidence": canonical(list(kept.evidence)).decode(),
        DAY: kept.day,
    }
    lake.replace_days(workload, table, pl.DataFrame([row], schema=STATE), Days.one(kept.day))


def before(lake: Lakehouse, workload: str, table: str, watched: Watched, day: date) -> Kept | None:
    """The newest row before ``day`` of the same champion; None if it is watched for the first time."""
    if not lake.exists(workload, table):
        return None
    for days in (Days.one(day - timedelta(days=1)), Days(day - timedelta(days=GAP_DAYS), day - timedelta(days=2))):
        rows = lake.read(workload, table, days).sort(DAY)
        found = [each for each in _told(rows) if each.watched == watched]
        if found:
            return found[-1]
    return None


def on(lake: Lakehouse, workload: str, table: str, day: date) -> Kept | None:
    """The row of a day."""
    if not lake.exists(workload, table):
        return None
    return next(iter(_told(lake.read(workload, table, Days.one(day)))), None)


def history(lake: Lakehouse, workload: str, table: str, days: Days) -> list[Kept]:
    """The rows of ``days``, in order, without their states."""
    if not lake.exists(workload, table):
        return []
    rows = lake.read(workload, table, days, [name for name in STATE if name != "state"])
    return _told(rows.with_columns(state=pl.lit("")).sort(DAY))


def _told(rows: pl.DataFrame) -> list[Kept]:
    return [
        Kept(
            Watched(row["digest"], row["since"]),
            row[DAY],
            row["state"].encode(),
            row["alarm"],
            row["says"],
            json.loads(row["evidence"]),
        )
        for row in rows.iter_rows(named=True)
    ]
