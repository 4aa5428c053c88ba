"""Whether a server answers, not merely runs."""

from __future__ import annotations

from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException

from automation import database
from automation.errors import WarrantError
from automation.servers.processes import Record, Server, reachable
from automation.settings import Settings

_HEALTH_PATH = {Server.WEBSERVER: "/server_info", Server.MLFLOW: "/health"}
_TIMEOUT_SECONDS = 3


def answers(settings: Settings, record: Record) -> bool:
    """Whether the server of ``record`` answers: over HTTP, or by what they leave in the database."""
    if record.server is Server.DAEMON:
        return _has_beaten(settings, since=record.created)
    if record.server is Server.LEDGER:
        return _is_signed(settings)
    if record.host is None or record.port is None:
        return False
    connection = HTTPConnection(reachable(record.host).strip("[]"), record.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", _HEALTH_PATH[record.server])
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _is_signed(settings: Settings) -> bool:
    """Whether no event of the ledger has waited for its signature longer than it may."""
    import psycopg2

    try:
        with database.connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT to_regclass('ledger.pending') IS NOT NULL AND NOT EXISTS ("
                "SELECT FROM ledger.pending JOIN ledger.events USING (id) WHERE time < now() - interval '10 seconds')"
            )
            row = cursor.fetchone()
            return bool(row and row[0])
    except (WarrantError, psycopg2.Error):
        return False


def _has_beaten(settings: Settings, *, since: float) -> bool:
    """Whether Dagster's daemon has written a heartbeat to the database after ``since``."""
    import psycopg2

    try:
        with database.connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(timestamp) >= %s FROM dagster.daemon_heartbeats",
                (datetime.fromtimestamp(since, UTC).replace(tzinfo=None),),  # Dagster stores naive UTC
            )
            row = cursor.fetchone()
            return bool(row and row[0])
    except (WarrantError, psycopg2.Error):
        return False
