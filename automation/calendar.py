"""Days: the partitions of every daily table.

A row lies in the partition of the day, in the workload's time zone, on which it became known. `Days` is a
closed range of them: one day in the daily run, many in a backfill.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, order=True)
class Days:
    """The closed range of days from ``first`` to ``last``."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"A range of days ends on {self.last}, before it begins on {self.first}.")

    @classmethod
    def one(cls, day: date) -> Days:
        return cls(day, day)

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    @property
    def keys(self) -> list[str]:
        """The partition keys: ISO dates."""
        return [day.isoformat() for day in self]

    def widened(self, before: int) -> Days:
        """The same days and as many as ``before`` earlier ones."""
        return Days(self.first - timedelta(days=before), self.last)

    def months(self) -> list[Days]:
        """The range cut at the ends of months."""
        parts: list[Days] = []
        first = self.first
        while first <= self.last:
            next_month = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
            parts.append(Days(first, min(self.last, next_month - timedelta(days=1))))
            first = next_month
        return parts


@dataclass(frozen=True)
class Calendar:
    """The days a workload's data covers: from ``start`` up to, not including, ``end``, in ``timezone``."""

    start: date
    end: date
    timezone: str

    def days(self) -> Days:
        return Days(self.start, self.end - timedelta(days=1))

    def within(self, days: Days) -> Days:
        """The part of ``days`` that the calendar covers."""
        return Days(max(days.first, self.start), min(days.last, self.end - timedelta(days=1)))

    def begins(self, day: date) -> datetime:
        """The instant, in UTC, at which ``day`` begins in the workload's time zone."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.timezone)).astimezone(UTC)

    def ends(self, day: date) -> datetime:
        """The instant, in UTC, at which ``day`` is over in the workload's time zone."""
        return self.begins(day + timedelta(days=1))
