"""Waivers: a named person lets what lies under a failed gate go on, for a reason, until a stated time.

A waiver covers one gate of one table on one partition or a range of them. It lifts the hold and changes nothing else:
the gate has failed and is shown as failed, rejected rows stay in quarantine, and when the waiver expires or is revoked
the gate holds again. Waivers are rows that are only added, in the database that holds Dagster's event log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from automation import database
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.settings import Settings

LONGEST = timedelta(days=30)
_TABLE_LOCK = 0x57415252_57414956


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
    """Every waiver there ever was of a gate of these tables.

    They are read where the instance keeps its event log. An instance of a test's own that keeps it elsewhere than in
    Postgres has no waivers.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return ()
    with storage.index_connection() as connection:
        if connection.dialect.name != "postgresql":
            return ()
        if connection.execute(sa.text("SELECT to_regclass('warrant.gate_waivers')")).scalar() is None:
            return ()
        rows = connection.execute(
            sa.text(f"{_SELECT} WHERE waivers.asset = ANY(:assets) ORDER BY waivers.id"),
            {"assets": [asset.to_user_string() for asset in assets]},
        ).all()
    return tuple(_waiver(row) for row in rows)


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
    with database.connect(settings) as connection, connection.cursor() as cursor:
        _make_tables(connection)
        cursor.execute(
            "INSERT INTO warrant.gate_waivers "
            "(asset, gate, first_partition, last_partition, waived_by, reason, waived_at, expires_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (asset.to_user_string(), gate, first, last, by.strip(), reason.strip(), now, until),
        )
        row = cursor.fetchone()
    if row is None:
        raise WaiverError("The waiver was not stored.", remedy="Look at the database's log, then waive again.")
    return Waiver(row[0], asset.to_user_string(), gate, first, last, by.strip(), reason.strip(), now, until)


def revoke(settings: Settings, number: int, *, by: str, now: datetime) -> Waiver:
    """Ends a waiver and returns it.

    Raises:
        WaiverError: there is none of that number, or it is over already.
    """
    if not by.strip():
        raise WaiverError("A revocation names who revokes.", remedy="Give --by.")
    with database.connect(settings) as connection, connection.cursor() as cursor:
        _make_tables(connection)
        cursor.execute(f"{_SELECT} WHERE waivers.id = %s", (number,))
        row = cursor.fetchone()
        if row is None:
            raise WaiverError(f"There is no waiver {number}.", remedy="`warrant gate list` shows those there are.")
        waiver = _waiver(row)
        if waiver.ends <= now:
            raise WaiverError(
                f"The waiver {number} has been over since {waiver.ends:%Y-%m-%d %H:%M} UTC.",
                remedy="There is nothing to do: the gate holds again.",
            )
        cursor.execute(
            "INSERT INTO warrant.gate_waiver_revocations (waiver, revoked_by, revoked_at) VALUES (%s, %s, %s)",
            (number, by.strip(), now),
        )
    return waiver


_SELECT = (
    "SELECT waivers.id, asset, gate, first_partition, last_partition, waived_by, reason, waived_at, expires_at, "
    "revoked_at, revoked_by FROM warrant.gate_waivers waivers "
    "LEFT JOIN warrant.gate_waiver_revocations revocations ON revocations.waiver = waivers.id"
)


def _waiver(row: Sequence) -> Waiver:
    number, asset, gate, first, last, by, reason, made, until, revoked, revoked_by = row
    ended = None if revoked is None else revoked.astimezone(UTC)
    return Waiver(
        number, asset, gate, first, last, by, reason, made.astimezone(UTC), until.astimezone(UTC), ended, revoked_by
    )


def _make_tables(connection: Connection) -> None:
    """Makes the tables where they are missing. ``CREATE ... IF NOT EXISTS`` alone fails when it is raced."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('warrant.gate_waivers')")
        if cursor.fetchone() == (None,):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_TABLE_LOCK,))
            cursor.execute(files("automation.gates").joinpath("waivers.sql").read_text("utf-8"))
    connection.commit()
