"""Waivers: a named person lets what lies under a failed gate go on, for a reason, until a stated time.

A waiver covers one gate of one table on one partition or a range of them. It lifts the hold and changes nothing else:
the gate has failed and is shown as failed, rejected rows stay in quarantine, and when the waiver expires or is revoked
the gate holds again. Waivers are events of the ledger, a stream a table: ``waivers/WORKLOAD/TABLE``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from automation.errors import WarrantError
from automation.ledger import store
from automation.ledger.store import Happened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from automation.settings import Settings

LONGEST = timedelta(days=30)
WAIVED, REVOKED = "waived", "revoked"


@dataclass(frozen=True)
class Waiver:
    """Who waived a gate of a table, on which partitions (None for a table that has none), why and until when."""

    number: int
    asset: str
    gate: str
    first: str | None
    last: str | None
    by: str
    reason: str
    made: datetime
    until: datetime
    revoked: datetime | None = None
    revoked_by: str | None = None

    @property
    def ends(self) -> datetime:
        """When it is over: at its time, or when it was revoked."""
        return self.until if self.revoked is None else min(self.revoked, self.until)

    @property
    def words(self) -> str:
        return f"WAIVED by {self.by} until {self.until:%Y-%m-%d %H:%M} UTC: {self.reason}"

    @property
    def partitions(self) -> str:
        return "-" if self.first is None else self.first if self.first == self.last else f"{self.first}..{self.last}"

    def covers(self, asset: dg.AssetKey, gate: str, partition: str | None) -> bool:
        if (self.asset, self.gate) != (asset.to_user_string(), gate):
            return False
        if partition is None or self.first is None or self.last is None:
            return partition is None and self.first is None
        return self.first <= partition <= self.last

    def in_force(self, now: datetime) -> bool:
        return self.made <= now < self.ends

    def as_metadata(self) -> dg.JsonMetadataValue:
        return dg.JsonMetadataValue(
            {
                "number": self.number,
                "gate": f"{self.gate} of {self.asset}",
                "partitions": self.partitions,
                "by": self.by,
                "reason": self.reason,
                "made": self.made.isoformat(),
                "until": self.until.isoformat(),
            }
        )


class WaiverError(WarrantError):
    """A waiver that does not say who, why and until when, or that cannot be had."""


def in_force(
    given: Sequence[Waiver], asset: dg.AssetKey, gate: str, partition: str | None, now: datetime
) -> Waiver | None:
    """The waiver of a gate that is in force on a partition: of several, the one that lasts longest."""
    found = [waiver for waiver in given if waiver.covers(asset, gate, partition) and waiver.in_force(now)]
    return max(found, key=lambda waiver: (waiver.ends, waiver.number), default=None)


def last_over(
    given: Sequence[Waiver], asset: dg.AssetKey, gate: str, partition: str | None, now: datetime
) -> Waiver | None:
    """The waiver of a gate that was in force on a partition last and is not any more."""
    found = [waiver for waiver in given if waiver.covers(asset, gate, partition) and waiver.ends <= now]
    return max(found, key=lambda waiver: (waiver.ends, waiver.number), default=None)


def of_assets(instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey]) -> tuple[Waiver, ...]:
    """Every waiver there ever was of a gate of these tables, as the ledger has them.

    The ledger lies in the database where the instance keeps its event log, and is read there. An instance of a test's
    own that keeps it elsewhere than in Postgres has no waivers.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return ()
    with storage.index_connection() as connection:
        if connection.dialect.name != "postgresql":
            return ()
        if connection.execute(sa.text("SELECT to_regclass('ledger.events')")).scalar() is None:
            return ()
        rows = connection.execute(
            sa.text("SELECT id, leaf FROM ledger.events WHERE stream = ANY(:streams) ORDER BY id"),
            {"streams": [_stream(asset.to_user_string()) for asset in assets]},
        ).all()
    return _folded((number, json.loads(leaf)) for number, leaf in rows)


def waive(
    settings: Settings,
    asset: dg.AssetKey,
    gate: str,
    partitions: tuple[str, str] | None,
    *,
    by: str,
    reason: str,
    until: datetime,
    now: datetime,
) -> Waiver:
    """Appends a waiver and returns it.

    Raises:
        WaiverError: it names nobody or no reason, or lasts longer than it may.
    """
    if not by.strip() or not reason.strip():
        raise WaiverError(
            "A waiver names who waives and why.", remedy='Give --by and --reason, e.g. --reason "the sensor was moved".'
        )
    latest = (now + LONGEST).date()
    if not now < until or until.date() > latest:
        raise WaiverError(
            f"A waiver until {until:%Y-%m-%d %H:%M} UTC is refused: one lasts at most {LONGEST.days} days from now.",
            remedy=f"Choose --until from {now.date()} to {latest}, and waive again then if it must be.",
        )
    first, last = partitions or (None, None)
    said = {
        "asset": asset.to_user_string(),
        "gate": gate,
        "first": first,
        "last": last,
        "by": by.strip(),
        "reason": reason.strip(),
        "until": until.astimezone(UTC).isoformat(),
    }
    with store.opened(settings) as ledger:
        named = _stream(said["asset"])
        held = ledger.version(named)
        ledger.append(named, held, [Happened(WAIVED, said, now)])
        [event] = ledger.events(named, after=held, most=1)
    [made] = _folded([(event.id, event.said)])
    return made


def revoke(settings: Settings, number: int, *, by: str, now: datetime) -> Waiver:
    """Ends a waiver and returns it.

    Raises:
        WaiverError: there is none of that number, or it is over already.
    """
    if not by.strip():
        raise WaiverError("A revocation names who revokes.", remedy="Give --by.")
    with store.opened(settings) as ledger:
        found = [(event.id, event) for name, _ in ledger.streams(_stream("")) for event in ledger.events(name)]
        waiver = next((each for each in _folded((n, e.said) for n, e in found) if each.number == number), None)
        if waiver is None:
            raise WaiverError(f"There is no waiver {number}.", remedy="`warrant gate list` shows those there are.")
        if waiver.ends <= now:
            raise WaiverError(
                f"The waiver {number} has been over since {waiver.ends:%Y-%m-%d %H:%M} UTC.",
                remedy="There is nothing to do: the gate holds again.",
            )
        named = _stream(waiver.asset)
        version = max(event.version for _, event in found if event.stream == named)
        ledger.append(named, version, [Happened(REVOKED, {"waiver": number, "by": by.strip()}, now)])
    return waiver


def _folded(events: Iterable[tuple[int, Mapping[str, Any]]]) -> tuple[Waiver, ...]:
    """What events say, each with its number in the ledger, which is the waiver's."""
    made: dict[int, Waiver] = {}
    for number, event in events:
        said, time = event["data"], datetime.fromisoformat(event["time"])
        if event["type"] == WAIVED:
            until = datetime.fromisoformat(said["until"])
            place = (said["asset"], said["gate"], said["first"], said["last"])
            made[number] = Waiver(number, *place, said["by"], said["reason"], time, until)
        elif event["type"] == REVOKED:
            made[said["waiver"]] = replace(made[said["waiver"]], revoked=time, revoked_by=said["by"])
    return tuple(made.values())


def _stream(asset: str) -> str:
    return f"waivers/{asset}"
