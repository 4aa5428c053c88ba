"""The use of limits is reserved before decisions are made of it, and committed or released afterwards.

A day's use is the stream ``limits/WORKLOAD/DAY``. A batch (a run of the day, a challenger's share: whatever decides by
itself) reserves what its choice uses, given what others have used. Of two that decide at once one is appended first;
the other chooses again on what is left. So together they never use more than there is.

A place whose worth follows the day is worth more where others took some: decided again after that, a batch may choose
otherwise. Then that stands.

Decided again, a batch replaces what it reserved before; until the new use is committed, others see the greater of the
two, so that whichever of them comes to stand fits. What comes out as it did before is not appended again: a day that is
replayed is chosen on the snapshot it was chosen on the first time, and the ledger stays as it was.

A decider commits before its decisions are published. If it was killed before, what it reserved is released by the next
that comes after `HOLD`, or replaced by the same batch. Had it been released while the decider was only slow, its commit
is refused, and the batch is decided again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from automation.errors import WarrantError
from automation.ledger.store import Happened, StreamConflictError, instant
from automation.policy.limits.use import Snapshot, Use, as_data, from_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from automation.ledger.store import Event, Ledger

T = TypeVar("T")

RESERVED, COMMITTED, RELEASED = "reserved", "committed", "released"
LATE = "it was not committed in time"
# Longer than a day's decisions take, by far; shorter than a person waits.
HOLD = timedelta(minutes=15)
# Each time that one is refused, another went ahead.
ATTEMPTS = 50
# An event has at most 65,535 bytes, and there is more in it than uses.
_PART_BYTES = 50_000


class LimitsContendedError(WarrantError):
    """Others reserved first, again and again."""


class ReservationLostError(WarrantError):
    """What was reserved is not held any more: it was released, or the same batch reserved anew."""


class ReservationFinalError(WarrantError):
    """What was committed cannot be released."""


@dataclass(frozen=True)
class Reservation:
    """What a batch uses of a day's limits, under the version of its event, and the snapshot it was chosen on."""

    stream: str
    version: int
    batch: str
    uses: Mapping[Use, int]
    snapshot: Snapshot


@dataclass(frozen=True)
class _Held:
    version: int
    uses: dict[Use, int]
    until: datetime


@dataclass
class _Batch:
    """A batch's use: what it committed to, and what it holds until then."""

    committed: _Held | None = None
    held: _Held | None = None

    @property
    def standing(self) -> _Held | None:
        return self.held or self.committed

    def use(self) -> dict[Use, int]:
        """What others must take for used: whichever comes to stand fits."""
        every: dict[Use, int] = {}
        for each in (self.committed, self.held):
            for use, units in each.uses.items() if each else ():
                every[use] = max(units, every.get(use, 0))
        return every


@dataclass
class _Day:
    """A day's stream, folded."""

    batches: dict[str, _Batch] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> _Day:
        day = cls()
        for event in events:
            day._apply(event)
        return day

    def _apply(self, event: Event) -> None:
        data = event.data
        batch = self.batches.setdefault(data["batch"], _Batch())
        if event.type == RESERVED and data["part"] == 1:
            batch.held = _Held(event.version, from_data(data["uses"]), datetime.fromisoformat(data["until"]))
        elif event.type == RESERVED and batch.held:
            batch.held.uses.update(from_data(data["uses"]))
        elif event.type in (COMMITTED, RELEASED) and batch.held and batch.held.version == data["reservation"]:
            if event.type == COMMITTED:
                batch.committed = batch.held
            batch.held = None
        else:
            raise ValueError(
                f"{event.stream} has an event {event.type} as version {event.version}, which cannot come there."
            )

    def used(self, except_by: Iterable[str] = ()) -> dict[Use, int]:
        every: dict[Use, int] = {}
        for name, batch in self.batches.items():
            if name not in except_by:
                for use, units in batch.use().items():
                    every[use] = every.get(use, 0) + units
        return {use: units for use, units in every.items() if units}

    def overdue(self, now: datetime) -> Iterator[tuple[str, _Held]]:
        for name, batch in self.batches.items():
            if batch.held and batch.held.until < now:
                yield name, batch.held


def stream(workload: str, day: date) -> str:
    """The events of one day's use of a workload's limits."""
    return f"limits/{workload}/{day.isoformat()}"


def reserve(
    ledger: Ledger,
    workload: str,
    day: date,
    batch: str,
    choose: Callable[[Snapshot], tuple[T, Mapping[Use, int]]],
    now: datetime,
    *,
    hold: timedelta = HOLD,
    attempts: int = ATTEMPTS,
) -> tuple[T, Reservation]:
    """Chooses and reserves what the choice uses, in one transaction. Returns what was chosen and the reservation.

    ``choose`` is given what others have used and returns its choice and what that uses. It must be a pure function of
    the snapshot: it is called again on a newer one when another batch came first, and on the first one and today's when
    the batch is decided again. Chosen again as before, nothing is appended.

    Raises:
        LimitsContendedError: others came first ``attempts`` times.
    """
    named = stream(workload, day)
    return _first(ledger, named, attempts, lambda events: _reserved(ledger, named, events, batch, choose, now, hold))


def _reserved(
    ledger: Ledger,
    named: str,
    events: Sequence[Event],
    batch: str,
    choose: Callable[[Snapshot], tuple[T, Mapping[Use, int]]],
    now: datetime,
    hold: timedelta,
) -> tuple[T, Reservation]:
    day = _Day.of(events)
    overdue = [(name, held) for name, held in day.overdue(now) if name != batch]
    for name, _ in overdue:
        day.batches[name].held = None
    present = Snapshot(named, len(events) + len(overdue), day.used(except_by=[batch]))

    mine = day.batches.get(batch, _Batch())
    if (standing := mine.standing) and (standing is mine.committed or standing.until - now >= hold / 2):
        before = events[: standing.version - 1]
        past = Snapshot(named, len(before), _Day.of(before).used(except_by=[batch]))
        chosen, uses = choose(past)
        if _some(uses) == standing.uses and (past.used == present.used or _some(choose(present)[1]) == standing.uses):
            return chosen, Reservation(named, standing.version, batch, standing.uses, past)

    chosen, uses = choose(present)
    wanted = _some(uses)
    ledger.append(
        named,
        len(events),
        [
            *(_release(name, held.version, LATE, now) for name, held in overdue),
            *_parts(batch, wanted, now, hold),
        ],
    )
    return chosen, Reservation(named, present.version + 1, batch, wanted, present)


def commit(ledger: Ledger, reservation: Reservation, now: datetime) -> None:
    """Makes what was reserved the batch's use, for good unless it is decided again. Once more, nothing is appended.

    Raises:
        ReservationLostError: it is not held any more.
        LimitsContendedError: others came first too often.
    """

    def committed(batch: _Batch) -> Happened | None:
        if batch.held and batch.held.version == reservation.version:
            data = {"batch": reservation.batch, "reservation": reservation.version}
            return Happened(COMMITTED, data, now)
        if not batch.committed or batch.committed.version != reservation.version:
            raise ReservationLostError(
                f"{reservation.batch} does not hold version {reservation.version} of {reservation.stream} any more: it "
                "was released because it was not committed in time, or the batch was decided again meanwhile.",
                remedy="Decide the batch again: it is given what is left.",
            )
        return None

    _settle(ledger, reservation, committed)


def release(ledger: Ledger, reservation: Reservation, now: datetime, why: str) -> None:
    """Gives back what was reserved, because it will not be committed. Once more, nothing is appended.

    Raises:
        ReservationFinalError: it was committed.
        LimitsContendedError: others came first too often.
    """

    def released(batch: _Batch) -> Happened | None:
        if batch.held and batch.held.version == reservation.version:
            return _release(reservation.batch, reservation.version, why, now)
        if batch.committed and batch.committed.version == reservation.version:
            raise ReservationFinalError(
                f"{reservation.batch} committed to version {reservation.version} of {reservation.stream}.",
                remedy="Decide the batch again: what it then uses takes the place of what it used.",
            )
        return None

    _settle(ledger, reservation, released)


def used(ledger: Ledger, workload: str, day: date) -> dict[Use, int]:
    """What is used of a day's limits by all batches together, reserved or committed."""
    return _Day.of(ledger.events(stream(workload, day))).used()


def _settle(ledger: Ledger, reservation: Reservation, event: Callable[[_Batch], Happened | None]) -> None:
    def settled(events: Sequence[Event]) -> None:
        happened = event(_Day.of(events).batches.get(reservation.batch, _Batch()))
        if happened is not None:
            ledger.append(reservation.stream, len(events), [happened])

    _first(ledger, reservation.stream, ATTEMPTS, settled)


def _first(ledger: Ledger, named: str, attempts: int, work: Callable[[Sequence[Event]], T]) -> T:
    """What ``work`` comes to on the stream's events, done again on the newer ones as often as others came first."""
    for _ in range(attempts):
        try:
            return work(ledger.events(named))
        except StreamConflictError:
            continue
    raise LimitsContendedError(
        f"Others appended to {named} first, {attempts} times.", remedy="Run it again when fewer decide at once."
    )


def _some(uses: Mapping[Use, int]) -> dict[Use, int]:
    """Uses of something, in units that the ledger can say."""
    return {use: units for use, units in from_data(as_data(uses)).items() if units}


def _release(batch: str, version: int, why: str, now: datetime) -> Happened:
    return Happened(RELEASED, {"batch": batch, "reservation": version, "why": why}, now)


def _parts(batch: str, uses: Mapping[Use, int], now: datetime, hold: timedelta) -> Iterator[Happened]:
    """The events of one reservation: one, unless there are so many groups that they do not fit into it."""
    parts: list[dict[Use, int]] = [{}]
    room = _PART_BYTES
    for use, units in sorted(uses.items(), key=lambda item: (item[0].limit, item[0].group or "", item[0].window)):
        # More than the use takes: the limit's name stands there once.
        size = len(json.dumps([*use, units]))
        if size > room and parts[-1]:
            parts.append({})
            room = _PART_BYTES
        parts[-1][use] = units
        room -= size
    for number, part in enumerate(parts, start=1):
        data: dict[str, Any] = {
            "batch": batch,
            "part": number,
            "parts": len(parts),
            "uses": as_data(part),
            "until": instant(now + hold),
        }
        yield Happened(RESERVED, data, now)
