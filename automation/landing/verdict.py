"""What the door says of a delivery: a verdict on the file, and what is wrong with the lines it did not let in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Verdict(StrEnum):
    """The verdict on a delivery. ``duplicate``: everything in it came before, and nothing was done again."""

    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class Fault(StrEnum):
    """What is wrong with a file, or with one line of it."""

    TOO_LARGE = "too large"
    FORMAT = "unknown format"
    TABLE = "unknown table"
    VERSION = "unknown contract version"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    ENCODING = "wrong encoding"
    UNREADABLE = "unreadable"
    COLUMNS = "columns"
    FIELDS = "number of fields"
    VALUE = "value"
    EVENT = "not a CloudEvent"
    EVENT_CONFLICT = "event id used for other content"
    DAY = "outside the calendar"


class RefusedFileError(Exception):
    """A file that cannot be let in, with what is wrong with it. The door turns it into a verdict."""

    def __init__(self, fault: Fault, says: str) -> None:
        super().__init__(fault, says)
        self.fault = fault
        self.says = says


@dataclass(frozen=True)
class RefusedLine:
    """A line that is not let in: its original text is kept. ``table`` is None where it names none that is known."""

    line: int
    text: str
    fault: Fault
    says: str
    table: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Account:
    """Where the lines of a delivery went: into a table (by table), known already, or refused (by fault)."""

    lines: int = 0
    landed: dict[str, int] = field(default_factory=dict)
    known: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.lines != sum(self.landed.values()) + self.known + sum(self.refused.values()):
            raise LostLinesError(f"{self.lines} lines came, but {self} accounts for another number.")


class LostLinesError(RuntimeError):
    """Lines in are not lines landed plus lines known plus lines refused (law 4). Nothing of the file is let in."""


@dataclass(frozen=True)
class Judged:
    """The verdict on one delivery with everything a person or a script needs to act on it."""

    verdict: Verdict
    says: str
    fault: Fault | None
    account: Account
    days: tuple[date, ...]
    within_limits: bool


@dataclass(frozen=True)
class Delivery:
    """A file that arrived: where it lay below the landing folder, its content's SHA-256, when it was received.

    ``arrival`` counts how often the same bytes came, under whatever name. ``judged`` is None while it is being
    processed, ``filed`` (where the file lies since) until it was moved away.
    """

    workload: str
    file: str
    place: str
    digest: str
    arrival: int
    size: int
    received_at: datetime
    judged: Judged | None = None
    filed: str | None = None

    @property
    def name(self) -> str:
        """What tells this delivery from all others of the workload."""
        return f"{self.digest}/{self.arrival}"


def by_fault(lines: list[RefusedLine]) -> dict[str, int]:
    return dict(sorted(Counter(str(line.fault) for line in lines).items()))
