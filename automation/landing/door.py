"""What happens to a delivery, step by step, so that it is let in exactly once.

Each step is durable before the next begins, and doing one again changes nothing: a process that is killed between
any two of them leaves the file where it lay, and the next attempt goes on to the same end. In order: the receipt is
recorded (its time is the one that counts from then on); the rows are appended, one commit a table; the refused lines
are; the verdict is recorded; the file is moved away with its verdict beside it; that it was is recorded.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import polars as pl

from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.landing import deliveries
from automation.landing.folder import DONE, REFUSED, destination, place
from automation.landing.formats import Read, read
from automation.landing.landed import (
    REFUSED_LINES,
    Before,
    append_once,
    landed_before,
    landed_frame,
    landed_of,
    refused_frame,
)
from automation.landing.verdict import (
    Account,
    Delivery,
    Fault,
    Judged,
    RefusedFileError,
    RefusedLine,
    Verdict,
    by_fault,
)
from automation.landing.versions import contract_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from automation.lakehouse import Lakehouse
    from automation.landing.folder import Landing
    from automation.landing.formats import LandedRow
    from automation.settings import Settings
    from automation.workload import Workload


class StillWrittenError(WarrantError):
    """The file changed while it was being read."""


class Step(StrEnum):
    """What is durable so far."""

    RECEIVED = "received"
    ROWS_LANDED = "rows landed"
    LINES_QUARANTINED = "lines quarantined"
    JUDGED = "judged"
    MOVED = "moved"
    RECORDED = "recorded"


@dataclass(frozen=True)
class Door:
    """A workload's door: what it needs to let a delivery in."""

    settings: Settings
    lake: Lakehouse
    landing: Landing
    workload: Workload

    def let_in(self, file: str, now: datetime) -> Delivery | None:
        """Takes in the file at ``file`` below the landing folder, received at ``now`` unless it was before.

        Returns the delivery with its verdict, or None where the file is gone, because another process took it.
        """
        steps = self.steps(file, now)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def steps(self, file: str, now: datetime) -> Generator[Step, None, Delivery | None]:
        """`let_in`, held after each step that is durable."""
        name = self.workload.name
        with deliveries.door_of(self.settings, name):
            data = _whole(self.landing.root / file)
            if data is None:
                return None
            arrived = Delivery(
                name, file, place(file) or "", hashlib.sha256(data).hexdigest(), 1, len(data), received_at=now
            )
            self._record_moved()
            delivery = deliveries.receive(self.settings, arrived)
            yield Step.RECEIVED
            if delivery.judged is None:
                judged = yield from self._judged(delivery, data)
                delivery = deliveries.judge(self.settings, delivery, judged)
            yield Step.JUDGED
            assert delivery.judged is not None  # noqa: S101 - it was judged above
            where = _destination(delivery, delivery.judged)
            self.landing.file_away(file, where, described(replace(delivery, filed=where)))
            yield Step.MOVED
            delivery = deliveries.filed(self.settings, delivery, where)
            yield Step.RECORDED
            return delivery

    def _record_moved(self) -> None:
        """Records the files that a process moved and was killed before it could: they are no arrivals under way."""
        for delivery in deliveries.unfiled_deliveries(self.settings, self.workload.name):
            if delivery.judged is not None:
                where = _destination(delivery, delivery.judged)
                if (self.landing.root / where).exists():
                    deliveries.filed(self.settings, delivery, where)

    def _judged(self, delivery: Delivery, data: bytes) -> Generator[Step, None, Judged]:
        before = deliveries.accepted_before(self.settings, delivery)
        if before is not None:
            says = f"The same bytes were let in as {before.file} at {before.received_at:%Y-%m-%d %H:%M:%S} UTC."
            return Judged(Verdict.DUPLICATE, says, None, Account(), (), within_limits=True)
        try:
            found = read(data, delivery.file, delivery.place or None, self.workload, delivery.received_at)
        except RefusedFileError as error:
            return Judged(Verdict.REFUSED, error.says, error.fault, Account(), (), within_limits=False)
        return (yield from self._landed(delivery, found))

    def _landed(self, delivery: Delivery, found: Read) -> Generator[Step, None, Judged]:
        new, conflicts = self._new(found.rows, delivery)
        refused = [*found.refused, *conflicts]
        days: set[date] = set()
        frames: dict[str, pl.DataFrame] = {}
        for table in sorted({row.table for row in new}):
            rows = [row for row in new if row.table == table]
            contract = contract_of(self.workload, table)
            frame = landed_frame(rows, contract, self.workload.calendar, delivery)
            outside = frame[DAY] > self.workload.calendar.days().last
            refused += [_outside(rows[number], frame[DAY][number], self.workload) for number in outside.arg_true()]
            if not outside.all():
                frames[table] = frame.filter(~outside)
                days |= set(frames[table][DAY])
        landed = {table: frame.height for table, frame in frames.items()}
        account = Account(found.lines, landed, len(found.rows) - len(new) - len(conflicts), by_fault(refused))
        for table, frame in frames.items():
            append_once(self.lake, self.workload.name, landed_of(table), frame, delivery)
            yield Step.ROWS_LANDED
        if refused:
            refused.sort(key=lambda line: line.line)
            held = refused_frame(refused, self.workload.calendar, delivery)
            append_once(self.lake, self.workload.name, REFUSED_LINES, held, delivery)
            yield Step.LINES_QUARANTINED
        return self._verdict(found, refused, account, tuple(sorted(days)))

    def _new(self, rows: Sequence[LandedRow], delivery: Delivery) -> tuple[list[LandedRow], list[RefusedLine]]:
        """The rows that did not come before, and those that reuse another event's source and id."""
        new: list[LandedRow] = []
        conflicts: list[RefusedLine] = []
        before: dict[str, Before] = {}
        for table in {row.table for row in rows}:
            sources = {row.source for row in rows if row.table == table and row.source is not None}
            before[table] = landed_before(self.lake, self.workload.name, table, sources, delivery)
        for row in rows:
            if row.line in before[row.table].lines:
                continue
            if row.source is None or row.event is None:
                new.append(row)
                continue
            key, events = (row.source, row.event), before[row.table].events
            if key not in events:
                events[key] = row.row
                new.append(row)
            elif events[key] != row.row:
                says = f"The event {row.event} of {row.source} came before with other content."
                conflicts.append(RefusedLine(row.line, row.row, Fault.EVENT_CONFLICT, says, row.table, row.version))
        return new, conflicts

    def _verdict(self, found: Read, refused: Sequence[RefusedLine], account: Account, days: tuple[date, ...]) -> Judged:
        rows = sum(account.landed.values())
        parts = [f"{rows:,} of {found.lines:,} rows were let in"]
        if account.known:
            parts.append(f"{account.known:,} came before")
        if refused:
            faults = ", ".join(f"{fault} ({count:,})" for fault, count in account.refused.items())
            first = refused[0]
            parts.append(f"{len(refused):,} refused: {faults}; the first is line {first.line}: {first.says}")
        says = " ".join(["; ".join(parts).removesuffix(".") + ".", *found.notes])
        if not refused:
            verdict = Verdict.ACCEPTED if rows else Verdict.DUPLICATE
        else:
            verdict = Verdict.PARTLY_ACCEPTED if rows or account.known else Verdict.REFUSED
        fault = refused[0].fault if verdict is Verdict.REFUSED else None
        return Judged(verdict, says, fault, account, days, within_limits=self._within(account, refused))

    def _within(self, account: Account, refused: Sequence[RefusedLine]) -> bool:
        """Whether no more of each table's lines are refused than its contract lets be quarantined."""
        by_table = Counter(line.table for line in refused)
        return all(
            table is not None
            and table in self.workload.contracts
            and count <= self.workload.contract(table).quarantine_limit * (count + account.landed.get(table, 0))
            for table, count in by_table.items()
        )


def _destination(delivery: Delivery, judged: Judged) -> str:
    folder = REFUSED if judged.verdict is Verdict.REFUSED else DONE
    return destination(delivery.file, delivery.digest, delivery.arrival, folder=folder)


def described(delivery: Delivery) -> dict[str, Any]:
    """The delivery as plain JSON values: what lies beside the file and what `warrant deliveries --json` prints."""
    judged = delivery.judged
    return {
        "file": delivery.file,
        "workload": delivery.workload,
        "digest": delivery.digest,
        "arrival": delivery.arrival,
        "bytes": delivery.size,
        "received_at": delivery.received_at.isoformat(),
        "verdict": judged and judged.verdict.value,
        "says": judged and judged.says,
        "fault": judged and judged.fault and judged.fault.value,
        **(asdict(judged.account) if judged else {}),
        "days": [day.isoformat() for day in judged.days] if judged else [],
        "filed": delivery.filed,
    }


def _outside(row: LandedRow, day: date, workload: Workload) -> RefusedLine:
    last = workload.calendar.days().last
    says = f"It became known on {day}, after {last}, the last day of {workload.name}."
    return RefusedLine(row.line, row.row, Fault.DAY, says, row.table, row.version)


def _whole(path: Path) -> bytes | None:
    """The file's bytes, read while nobody wrote; None if there is no file."""
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StillWrittenError(
            f"{path.name} changed while it was being read: it is still being written.",
            remedy="Nothing was taken in. It is picked up when it is complete; write to NAME.part and rename it then.",
        )
    return data
