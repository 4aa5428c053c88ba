"""What a channel of drift knew at the end of each day: a row a day in a table of its own.

A day goes on from the row of the day before, and its own row is replaced as a whole: so a day that was killed, or is
run again, comes to the same. A champion that is new is watched anew, and so is any by a plan that was changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse
from automation.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pydantic import BaseModel

    from automation.rollout.machine import Change

FEATURE_FAULTS, INPUT_DRIFT = "feature_faults", "input_drift"
ESTIMATED_PERFORMANCE, REALISED_HARM = "estimated_performance", "realised_harm"
# In the order in which they are asked: the data first.
CHANNELS = (FEATURE_FAULTS, INPUT_DRIFT, ESTIMATED_PERFORMANCE, REALISED_HARM)

STATE = {
    "digest": pl.String,
    "since": pl.Date,
    "plan": pl.String,
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
    """Whom a channel watches: a champion's content, since the day on which it began to decide, and by which plan.

    Error rates hold for one plan from its start, so that what was known under another is not gone on from.
    """

    digest: str
    since: date
    plan: str

    @classmethod
    def of(cls, change: Change, plan: BaseModel) -> Watched:
        return cls(change.champion.digest, change.as_of, plan_digest(plan.model_dump(mode="json")))


def plan_digest(plan: Mapping[str, Any]) -> str:
    """What tells a channel's plan from others."""
    return hashlib.sha256(canonical(plan)).hexdigest()[:12]


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
        "plan": kept.watched.plan,
        "state": kept.state.decode(),
        "alarm": kept.alarm,
        "says": kept.says,
        "evidence": canonical(list(kept.evidence)).decode(),
        DAY: kept.day,
    }
    lake.replace_days(workload, table, pl.DataFrame([row], schema=STATE), Days.one(kept.day))


def before(lake: Lakehouse, workload: str, table: str, watched: Watched, day: date) -> Kept | None:
    """The newest row before ``day`` of the same champion and plan; None if it is watched for the first time."""
    if not lake.exists(workload, table):
        return None
    for days in (Days.one(day - timedelta(days=1)), Days(day - timedelta(days=GAP_DAYS), day - timedelta(days=2))):
        found = [each for each in _told(lake, workload, table, days, STATE) if each.watched == watched]
        if found:
            return found[-1]
    return None


def on(lake: Lakehouse, workload: str, table: str, day: date) -> Kept | None:
    """The row of a day."""
    if not lake.exists(workload, table):
        return None
    return next(iter(_told(lake, workload, table, Days.one(day), STATE)), None)


def history(lake: Lakehouse, workload: str, table: str, days: Days) -> list[Kept]:
    """The rows of ``days``, in order, without their states."""
    if not lake.exists(workload, table):
        return []
    return _told(lake, workload, table, days, [name for name in STATE if name != "state"])


def _told(lake: Lakehouse, workload: str, table: str, days: Days, names: Collection[str]) -> list[Kept]:
    """The rows, in order; what is not among the names is empty."""
    there = lake.columns(workload, table)
    rows = lake.read(workload, table, days, [name for name in names if name in there])
    # Rows from before plans were told apart have none, which is another than any.
    rows = rows.with_columns(pl.lit("").alias(name) for name in STATE if name not in rows.columns)
    return [
        Kept(
            Watched(row["digest"], row["since"], row["plan"] or ""),
            row[DAY],
            row["state"].encode(),
            row["alarm"],
            row["says"],
            json.loads(row["evidence"]),
        )
        for row in rows.sort(DAY).iter_rows(named=True)
    ]
