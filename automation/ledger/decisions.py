"""A day's decisions in the ledger: one event that holds the root of their rows.

The stream ``decisions/WORKLOAD/DAY`` has an event each time the day was decided otherwise than before. Decided again
with the same rows, nothing is appended, so that a replay leaves the ledger as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from automation.calendar import Days
from automation.lakehouse import DAY
from automation.ledger.batch import batch
from automation.ledger.store import Happened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import polars as pl

    from automation.lakehouse import Lakehouse
    from automation.ledger.batch import Batch
    from automation.ledger.store import Event, Ledger

TABLE, KEY = "decisions", "case_key"
DECIDED = "decided"


@dataclass(frozen=True)
class Unlike:
    """A day on which the table and the ledger do not say the same."""

    day: date
    says: str


def stream(workload: str, day: date) -> str:
    """The events of one day's decisions."""
    return f"decisions/{workload}/{day.isoformat()}"


def batch_of(rows: pl.DataFrame) -> Batch:
    """A day's decisions as the ledger commits to them: every column but the day, which is in the stream's name."""
    return batch(rows.drop(DAY, strict=False), KEY)


def commit(
    ledger: Ledger, workload: str, day: date, rows: pl.DataFrame, evidence: Mapping[str, Any], now: datetime
) -> Event:
    """Commits to the day's decisions as they are. Returns the event that does, new or not.

    Raises:
        StreamConflictError: the day was decided otherwise at the same time.
    """
    named, made = stream(workload, day), batch_of(rows)
    held = ledger.events(named)
    if not held or held[-1].data["batches"][TABLE] != made.committed:
        data = {"workload": workload, "day": day.isoformat(), "batches": {TABLE: made.committed}, **evidence}
        ledger.append(named, len(held), [Happened(DECIDED, data, now)])
    return ledger.events(named)[-1]


def reconcile(ledger: Ledger, lake: Lakehouse, workload: str) -> Iterator[Unlike]:
    """Every day that the table or the ledger has and the other has not, or has otherwise. A proof shows no omission."""
    committed = dict(_committed(ledger, workload))
    held = set(lake.counts(workload, TABLE))
    for day in sorted(held - committed.keys()):
        yield Unlike(
            day, "the table has decisions, and the ledger commits to none: they were added, or never committed"
        )
    for day in sorted(committed.keys() - held):
        if committed[day]["rows"]:
            yield Unlike(day, f"the ledger commits to {committed[day]['rows']} decisions, and the table has none")
    for day in sorted(held & committed.keys()):
        found = batch_of(lake.read(workload, TABLE, Days.one(day))).committed
        if found["rows"] != committed[day]["rows"]:
            yield Unlike(
                day, f"the table has {found['rows']} decisions, the ledger commits to {committed[day]['rows']}"
            )
        elif found != committed[day]:
            yield Unlike(day, "a decision of the table is not as it was committed to: one was edited or exchanged")


def _committed(ledger: Ledger, workload: str) -> Iterator[tuple[date, dict[str, Any]]]:
    prefix = f"decisions/{workload}/"
    for name, version in ledger.streams(prefix):
        [newest] = ledger.events(name, after=version - 1)
        yield date.fromisoformat(name.removeprefix(prefix)), newest.data["batches"][TABLE]
