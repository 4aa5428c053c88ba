"""The outbox, in Postgres: what has failed, what is to be said about it, and to which sinks it was said.

A message and its deliveries are stored in the transaction that moves the position in the event log on, so that none is
lost and none is made twice. A delivery is done when its sink has taken it: at least once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from automation import database
from automation.alerts.alert import FAILED_RUN, Alert, Finding, Kind, Reach, Standing, judged
from automation.alerts.runbooks import runbook
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.settings import Settings

_LOOK_LOCK, _SEND_LOCK = 0x57415252_414C4C4B, 0x57415252_414C5344
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
SETTLING = timedelta(seconds=60)

Subject = tuple[str, str, str]


class NoSuchAlertError(WarrantError):
    """No open alert has that number."""


@dataclass(frozen=True)
class Position:
    """How far the event log has been read.

    An event may be written after one that has a later place, because its transaction takes longer. So what comes after
    ``settled`` is read again until ``seen``, the end of the log at ``seen_at``, is older than any transaction lasts.
    """

    settled: int
    seen: int
    seen_at: datetime

    def after_reading_to(self, newest: int, now: datetime) -> Position:
        """The position once everything after ``settled`` was read again, when the log ended at ``newest``."""
        if now - self.seen_at < SETTLING:
            return self
        return Position(self.seen, newest, now)


@dataclass(frozen=True)
class Waiting:
    """A message that a sink has not taken yet."""

    message: int
    alert: Alert


@dataclass(frozen=True)
class Listed:
    """An alert as a list shows it: ``waiting`` names the sinks that have not taken all of its messages."""

    number: int
    failing: bool
    acknowledged_by: str | None
    alert: Alert
    waiting: tuple[str, ...]


@cache
def _alerts() -> TypeAdapter[Alert]:
    return TypeAdapter(Alert)


def _stored(alert: Alert) -> str:
    return _alerts().dump_json(alert).decode()


def _read(stored: object) -> Alert:
    return _alerts().validate_python(stored)


def _opened(settings: Settings) -> AbstractContextManager[Connection]:
    return database.with_tables(settings, "alert_position", files("automation.alerts") / "alerts.sql")


class Look:
    """One reading of the event log: alone, and in one transaction. See `looking`."""

    def __init__(self, connection: Connection, position: Position, now: datetime) -> None:
        self._connection = connection
        self.position = position
        self._now = now

    def failed_runs(self) -> list[Finding]:
        """The runs that failed and whose work was not done since, as far as is known."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT alert FROM alerts WHERE failing AND gate = %s", (FAILED_RUN,))
            return [_read(stored).finding for (stored,) in cursor.fetchall()]

    def take(self, findings: Sequence[Finding], sinks: Sequence[str], reach: Callable[[str], Reach]) -> list[Alert]:
        """Takes findings in. Returns the messages it made of them, which wait for every one of ``sinks``."""
        standings = self._standings(findings)
        alerts = []
        with self._connection.cursor() as cursor:
            for finding in sorted(findings, key=lambda found: found.event):
                subject = _subject(finding)
                before = standings.get(subject)
                after, kind = judged(before, finding)
                if after is None or after == before:
                    continue
                standings[subject] = after
                alert = Alert(
                    kind or Kind.REPEATED,
                    finding,
                    reach(finding.asset),
                    runbook(finding.gate),
                    after.since,
                    after.count,
                )
                cursor.execute(_KEEP, (*subject, *_columns(after), _stored(alert), after.acknowledged))
                if kind is not None:
                    cursor.execute("INSERT INTO alert_messages (alert) VALUES (%s) RETURNING id", (_stored(alert),))
                    [message] = cursor.fetchone() or [None]
                    rows = [(message, sink, self._now) for sink in sinks]
                    cursor.executemany("INSERT INTO alert_deliveries (message, sink, due_at) VALUES (%s, %s, %s)", rows)
                    alerts.append(alert)
        return alerts

    def move_to(self, position: Position) -> None:
        """Remembers how far the log was read."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO alert_position (settled, seen, seen_at) VALUES (%s, %s, %s) ON CONFLICT (only_one) "
                "DO UPDATE SET settled = excluded.settled, seen = excluded.seen, seen_at = excluded.seen_at",
                (position.settled, position.seen, position.seen_at),
            )

    def _standings(self, findings: Iterable[Finding]) -> dict[Subject, Standing]:
        """What is known of everything that the findings are about."""
        asked = sorted({_subject(finding) for finding in findings})
        with self._connection.cursor() as cursor:
            cursor.execute(_KNOWN, tuple(map(list, zip(*asked, strict=True))) or ([], [], []))
            return {(row[0], row[1], row[2]): Standing(*row[3:]) for row in cursor.fetchall()}


_KEEP = """
INSERT INTO alerts (asset, gate, partition, failing, fingerprint, count, since, sent_at, event, alert)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (asset, gate, partition) DO UPDATE SET
    failing = excluded.failing, fingerprint = excluded.fingerprint, count = excluded.count, since = excluded.since,
    sent_at = excluded.sent_at, event = excluded.event, alert = excluded.alert,
    acknowledged_by = CASE WHEN %s THEN alerts.acknowledged_by END
"""
_KNOWN = """
SELECT asset, gate, partition, failing, fingerprint, count, since, sent_at, event, acknowledged_by IS NOT NULL
FROM alerts JOIN unnest(%s::text[], %s::text[], %s::text[]) AS asked (asset, gate, partition)
USING (asset, gate, partition)
"""


def _subject(finding: Finding) -> Subject:
    return finding.asset, finding.gate, finding.partition or ""


def _columns(standing: Standing) -> tuple:
    return (
        standing.failing,
        standing.fingerprint,
        standing.count,
        standing.since,
        standing.sent_at,
        standing.event,
    )


@contextmanager
def looking(settings: Settings, now: datetime) -> Iterator[Look]:
    """A look at the log, after any other has ended: what it takes and how far it read is kept together, or not."""
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOOK_LOCK,))
        cursor.execute("SELECT settled, seen, seen_at FROM alert_position")
        row = cursor.fetchone()
        yield Look(connection, Position(*row) if row else Position(0, 0, now - SETTLING), now)


class Sending:
    """One round of deliveries, alone: what a sink has taken is remembered at once. See `sending`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def waiting(self, sink: str, now: datetime) -> list[Waiting]:
        """The messages that are due for a sink: untried ones first, in order."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT message, alert FROM alert_deliveries JOIN alert_messages ON id = message "
                "WHERE sink = %s AND done_at IS NULL AND due_at <= %s ORDER BY attempts > 0, message",
                (sink, now),
            )
            return [Waiting(message, _read(stored)) for message, stored in cursor.fetchall()]

    def done(self, messages: Sequence[int], sink: str, now: datetime) -> None:
        """The sink has taken them."""
        self._commit(_DONE, (now, list(messages), sink))

    def failed(self, messages: Sequence[int], sink: str, now: datetime, error: str) -> None:
        """The sink has not: they wait, each time twice as long, up to `LONGEST_WAIT`."""
        self._commit(_FAILED, (error, now, FIRST_WAIT, LONGEST_WAIT, list(messages), sink))

    def _commit(self, statement: str, values: tuple) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
        self._connection.commit()


_DONE = """
UPDATE alert_deliveries SET done_at = %s, attempts = attempts + 1, error = NULL WHERE message = ANY(%s) AND sink = %s
"""
_FAILED = """
UPDATE alert_deliveries
SET attempts = attempts + 1, error = %s, due_at = %s + least(%s * power(2, least(attempts, 20)), %s)
WHERE message = ANY(%s) AND sink = %s
"""


@contextmanager
def sending(settings: Settings) -> Iterator[Sending | None]:
    """A round of deliveries, or None where another process is at it: it sends what there is."""
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (_SEND_LOCK,))
        held = cursor.fetchone() == (True,)
        connection.commit()
        # The lock is the connection's and ends with it, however the round ends.
        yield Sending(connection) if held else None


def make_due(settings: Settings, now: datetime) -> None:
    """Has every message that waits tried now, however often it failed."""
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alert_deliveries SET due_at = %s WHERE done_at IS NULL", (now,))


def waiting_by_sink(settings: Settings) -> Mapping[str, int]:
    """How many messages wait for each sink."""
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sink, count(*) FROM alert_deliveries WHERE done_at IS NULL GROUP BY sink ORDER BY sink")
        return dict(cursor.fetchall())


def listed(settings: Settings) -> list[Listed]:
    """Every alert there ever was, those that still fail first, then the newest first."""
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute(_LISTED)
        return [Listed(row[0], row[1], row[2], _read(row[3]), tuple(row[4] or ())) for row in cursor.fetchall()]


_LISTED = """
SELECT id, failing, acknowledged_by, alert, (
    SELECT array_agg(DISTINCT sink ORDER BY sink)
    FROM alert_deliveries JOIN alert_messages ON alert_messages.id = message
    WHERE done_at IS NULL
      AND alert_messages.alert #>> '{finding,asset}' = asset
      AND alert_messages.alert #>> '{finding,gate}' = gate
      AND coalesce(alert_messages.alert #>> '{finding,partition}', '') = partition
)
FROM alerts ORDER BY NOT failing, (alert #>> '{finding,event}')::bigint DESC
"""


def any_failing(settings: Settings) -> bool:
    """Whether any alert is open."""
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM alerts WHERE failing)")
        return cursor.fetchone() == (True,)


def acknowledge(settings: Settings, number: int, by: str) -> None:
    """Notes who looks after an alert: it is not sent again while it says the same.

    Raises:
        NoSuchAlertError: no open alert has that number.
    """
    with _opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alerts SET acknowledged_by = %s WHERE id = %s AND failing", (by, number))
        if cursor.rowcount == 0:
            raise NoSuchAlertError(
                f"No open alert has the number {number}.", remedy="Choose one that `warrant alert list --open` shows."
            )
