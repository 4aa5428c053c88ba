"""The ledger's events in PostgreSQL: appended to streams with compare-and-swap, read back in order.

A stream is the events of one thing, numbered from 1. Whoever appends says which version was the newest when it decided;
if another came first, nothing is appended. The connection works as a role that can read and append and nothing else.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.errorcodes import UNIQUE_VIOLATION

from automation import database
from automation.errors import WarrantError
from automation.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.settings import Settings

ROLE = "warrant_ledger_writer"
SCHEMA = "ledger"
CONFLICT = "WL001"
LONGEST_EVENT = 65_535


class StreamConflictError(WarrantError):
    """Something else was appended to the stream first."""


class EventTooLargeError(WarrantError):
    """An event is larger than a leaf may be."""


@dataclass(frozen=True)
class Happened:
    """What is to be appended: its type, its data (what canonical JSON can say) and when it was, with a time zone."""

    type: str
    data: Mapping[str, Any]
    time: datetime


@dataclass(frozen=True)
class Event:
    """One event of the ledger. ``position`` is its leaf in the tree; None until it has one."""

    id: int
    stream: str
    version: int
    leaf: bytes
    position: int | None

    @cached_property
    def said(self) -> dict[str, Any]:
        """The event as its leaf says it: stream, version, time, type, data."""
        return json.loads(self.leaf)

    @property
    def type(self) -> str:
        return self.said["type"]

    @property
    def data(self) -> dict[str, Any]:
        return self.said["data"]


def leaf_of(stream: str, version: int, happened: Happened) -> bytes:
    """The canonical JSON of an event: what its leaf is the hash of.

    Raises:
        NotCanonicalError: its data cannot be said so.
        EventTooLargeError: it is larger than a leaf may be.
    """
    leaf = canonical(
        {
            "stream": stream,
            "version": version,
            "time": instant(happened.time),
            "type": happened.type,
            "data": dict(happened.data),
        }
    )
    if len(leaf) > LONGEST_EVENT:
        raise EventTooLargeError(
            f"The event {happened.type} of {stream} has {len(leaf):,} bytes; a leaf has at most {LONGEST_EVENT:,}.",
            remedy="Keep the evidence in a table, and its digest or Merkle root in the event.",
        )
    return leaf


def instant(time: datetime) -> str:
    """An instant as the ledger writes it: ISO 8601, in UTC, with microseconds."""
    if time.tzinfo is None:
        raise ValueError("An instant of the ledger has a time zone.")
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@contextmanager
def opened(settings: Settings) -> Iterator[Ledger]:
    """The ledger of these settings; its tables are made where they are missing.

    Raises:
        DatabaseUnreachableError: nothing answers.
        LedgerRolesError: the database's user may not make its roles.
    """
    connection = database.session(settings, schema=SCHEMA, role=ROLE, prepared_by=_make_tables)
    try:
        yield Ledger(connection)
    finally:
        connection.close()


class LedgerRolesError(WarrantError):
    """The database's user may not make the ledger's roles and tables."""


def _make_tables(settings: Settings) -> None:
    try:
        with database.with_tables(settings, f"{SCHEMA}.events", files("automation.ledger").joinpath("ledger.sql")):
            pass
    except psycopg2.errors.InsufficientPrivilege as error:
        raise LedgerRolesError(
            f"The database's user may not make the ledger's roles and tables: {str(error).splitlines()[0]}.",
            remedy="As an administrator run automation/ledger/ledger.sql once, in a transaction, and "
            f"GRANT {ROLE} TO <that user>.",
        ) from error


class Ledger:
    """One connection's view of the ledger. Each method that writes is one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def version(self, stream: str) -> int:
        """The newest version of a stream; 0 if nothing was appended to it."""
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(version), 0) FROM events WHERE stream = %s", (stream,))
            [(newest,)] = cursor.fetchall()
            return newest

    def append(self, stream: str, expected: int, events: Sequence[Happened]) -> None:
        """Appends the events as versions ``expected`` + 1 and on, durably, or none of them.

        Appended again after an answer that was lost, the same events are there and nothing is appended.

        Raises:
            StreamConflictError: the newest version is another.
            NotCanonicalError, EventTooLargeError: an event cannot be a leaf.
        """
        leaves = [leaf_of(stream, expected + nth, event) for nth, event in enumerate(events, start=1)]
        try:
            with self.connection, self.connection.cursor() as cursor:
                cursor.execute(
                    "SELECT append(%s, %s, %s::timestamptz[], %s, %s)",
                    (
                        stream,
                        expected,
                        [event.time for event in events],
                        [event.type for event in events],
                        [leaf.decode() for leaf in leaves],
                    ),
                )
        except psycopg2.Error as error:
            if error.pgcode not in (CONFLICT, UNIQUE_VIOLATION):
                raise
            held = [event.leaf for event in self.events(stream, after=expected, most=len(leaves))]
            if held != leaves:
                raise StreamConflictError(
                    f"{stream} is at version {self.version(stream)}, not {expected}: something else came first.",
                    remedy="Look at it (`warrant ledger show`) and decide again on what it is now.",
                ) from None

    def events(self, stream: str, after: int = 0, most: int | None = None) -> list[Event]:
        """The events of a stream in order, those after a version."""
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT e.id, e.stream, e.version, e.leaf, l.position FROM events e "
                "LEFT JOIN leaves l ON l.event = e.id "
                "WHERE e.stream = %s AND e.version > %s ORDER BY e.version LIMIT %s",
                (stream, after, most),
            )
            return [Event(id_, name, version, leaf.encode(), at) for id_, name, version, leaf, at in cursor.fetchall()]

    def between(self, first: datetime, last: datetime, prefix: str = "") -> list[Event]:
        """The events that happened from one instant to another, of streams whose name begins so, as they came in."""
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT e.id, e.stream, e.version, e.leaf, l.position FROM events e "
                "LEFT JOIN leaves l ON l.event = e.id "
                "WHERE e.time BETWEEN %s AND %s AND starts_with(e.stream, %s) ORDER BY e.id",
                (first, last, prefix),
            )
            return [Event(id_, name, version, leaf.encode(), at) for id_, name, version, leaf, at in cursor.fetchall()]

    def streams(self, prefix: str = "") -> list[tuple[str, int]]:
        """The streams whose name begins so, each with its newest version."""
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT stream, max(version) FROM events WHERE starts_with(stream, %s) GROUP BY stream ORDER BY stream",
                (prefix,),
            )
            return [(stream, version) for stream, version in cursor.fetchall()]
