"""The record of deliveries in Postgres: what arrived, and the verdict on it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

from automation import database
from automation.landing.verdict import Account, Delivery, Fault, Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.settings import Settings

_COLUMNS = (
    "workload, file, place, digest, arrival, size, received_at, verdict, says, fault, lines, landed, known, refused, "
    "days, within, filed"
)


@contextmanager
def door_of(settings: Settings, workload: str) -> Iterator[None]:
    """Holds the workload's door: one delivery at a time. The lock ends with the process that holds it."""
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('door'), hashtext(%s))", (workload,))
        yield


def receive(settings: Settings, arrived: Delivery) -> Delivery:
    """Records an arrival, or finds the record of one that was interrupted: its time of receipt is that of the first.

    To be called with the door held.
    """
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM deliveries WHERE workload = %s AND digest = %s ORDER BY arrival",  # noqa: S608
            (arrived.workload, arrived.digest),
        )
        before = [_delivery(row) for row in cursor.fetchall()]
        if interrupted := [one for one in before if one.file == arrived.file and one.filed is None]:
            return interrupted[0]
        new = replace(arrived, arrival=len(before) + 1)
        cursor.execute(
            "INSERT INTO deliveries (workload, digest, arrival, file, place, size, received_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (new.workload, new.digest, new.arrival, new.file, new.place, new.size, new.received_at),
        )
        return new


def accepted_before(settings: Settings, delivery: Delivery) -> Delivery | None:
    """Another arrival of the same bytes at the same place that was accepted whole, if there is one."""
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM deliveries WHERE workload = %s AND digest = %s AND place = %s "  # noqa: S608
            "AND verdict = %s AND arrival <> %s ORDER BY arrival LIMIT 1",
            (delivery.workload, delivery.digest, delivery.place, Verdict.ACCEPTED.value, delivery.arrival),
        )
        found = cursor.fetchone()
    return _delivery(found) if found else None


def judge(settings: Settings, delivery: Delivery, judged: Judged) -> Delivery:
    """Records the verdict."""
    account = judged.account
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE deliveries SET verdict = %s, says = %s, fault = %s, lines = %s, landed = %s, known = %s, "
            "refused = %s, days = %s, within = %s WHERE workload = %s AND digest = %s AND arrival = %s",
            (
                judged.verdict.value,
                judged.says,
                judged.fault and judged.fault.value,
                account.lines,
                json.dumps(account.landed),
                account.known,
                json.dumps(account.refused),
                list(judged.days),
                judged.within_limits,
                *_identity(delivery),
            ),
        )
    return replace(delivery, judged=judged)


def filed(settings: Settings, delivery: Delivery, where: str) -> Delivery:
    """Records that the file was moved away: the delivery is done."""
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE deliveries SET filed = %s WHERE workload = %s AND digest = %s AND arrival = %s",
            (where, *_identity(delivery)),
        )
    return replace(delivery, filed=where)


def judged_deliveries(settings: Settings, workload: str) -> list[Delivery]:
    """Every delivery of the workload with a verdict, in the order of receipt."""
    return _where(settings, "workload = %s AND verdict IS NOT NULL", workload)


def unfiled_deliveries(settings: Settings, workload: str) -> list[Delivery]:
    """Those with a verdict whose files, as far as is recorded, still lie where they landed."""
    return _where(settings, "workload = %s AND verdict IS NOT NULL AND filed IS NULL", workload)


def _where(settings: Settings, condition: str, workload: str) -> list[Delivery]:
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM deliveries WHERE {condition} ORDER BY received_at, digest, arrival",  # noqa: S608
            (workload,),
        )
        return [_delivery(row) for row in cursor.fetchall()]


def landed_by_day(settings: Settings, workload: str) -> dict[str, str]:
    """For each day that deliveries brought rows for, a text that changes when another one does."""
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT day::text, string_agg(digest || ':' || arrival, ' ' ORDER BY digest, arrival) "
            "FROM deliveries, unnest(days) AS day "
            "WHERE workload = %s GROUP BY day",
            (workload,),
        )
        return dict(cursor.fetchall())


def _connected(settings: Settings) -> AbstractContextManager[Connection]:
    return database.with_tables(settings, "deliveries", files("automation.landing") / "deliveries.sql")


def _identity(delivery: Delivery) -> tuple[str, str, int]:
    return delivery.workload, delivery.digest, delivery.arrival


def _delivery(row: tuple) -> Delivery:
    workload, file, place, digest, arrival, size, received_at, verdict, says, fault, *account, days, within, where = row
    judged = None
    if verdict is not None:
        lines, landed, known, refused = account
        judged = Judged(
            Verdict(verdict),
            says,
            Fault(fault) if fault else None,
            Account(lines, landed, known, refused),
            tuple(days),
            within,
        )
    return Delivery(workload, file, place, digest, arrival, size, _utc(received_at), judged, where)


def _utc(instant: datetime) -> datetime:
    from datetime import UTC

    return instant.astimezone(UTC)
