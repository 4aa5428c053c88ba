"""Online records in PostgreSQL: one table, one prepared query, a connection that is kept."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from importlib.resources import files
from threading import RLock
from typing import TYPE_CHECKING, Any

from feature_repo.online.records import Mark, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor  # noqa: N812 (psycopg2 names its class so)

READ = """
PREPARE online_read (text[], text[]) AS
SELECT slot, key, pushed, event, known, "values"
FROM unnest($1, $2) AS asked (slot, key) JOIN online_records USING (slot, key)
"""


class PostgresBackend:
    """See `Backend`. A connection that the server ended is made anew, once for each call."""

    def __init__(self, url: str, schema: str) -> None:
        """``url`` is libpq's or SQLAlchemy's; the tables are made in ``schema`` when they are first needed."""
        self._url = url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._schema = schema
        self._connection: Any = None
        # One connection, one statement at a time: threads of a server take turns, for a fraction of a millisecond.
        self._lock = RLock()

    def write(self, slot: str, records: Sequence[Record], *, pushed: bool = False) -> None:
        if not records:
            return
        key, event, known, values = map(list, zip(*records, strict=True))
        given = {"slot": slot, "pushed": pushed, "key": key, "event": event, "known": known, "values": values}
        self._do(lambda cursor: cursor.execute(_text("upsert.sql"), given))

    def read(self, asked: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[tuple[bool, Record]]]:
        def rows(cursor: Cursor) -> list[tuple]:
            cursor.execute("EXECUTE online_read (%s, %s)", ([slot for slot, _ in asked], [key for _, key in asked]))
            return cursor.fetchall()

        found: defaultdict[tuple[str, str], list[tuple[bool, Record]]] = defaultdict(list)
        for slot, key, pushed, event, known, values in self._do(rows):
            found[slot, key].append((pushed, Record(key, event, known, values)))
        return found

    def expire(self, slot: str, before: int) -> int:
        return self._deleted("DELETE FROM online_records WHERE slot = %s AND event < %s", slot, before)

    def forget(self, slot: str) -> int:
        self._deleted("DELETE FROM online_marks WHERE slot = %s", slot)
        return self._deleted("DELETE FROM online_records WHERE slot = %s", slot)

    def drop_pushed(self, slot: str, until: int) -> int:
        return self._deleted("DELETE FROM online_records WHERE slot = %s AND pushed AND known <= %s", slot, until)

    def mark(self, slot: str, mark: Mark) -> None:
        self._do(
            lambda cursor: cursor.execute(
                "INSERT INTO online_marks (slot, until, version) VALUES (%s, %s, %s) ON CONFLICT (slot) DO UPDATE "
                "SET until = excluded.until, version = excluded.version",
                (slot, mark.until, mark.version),
            )
        )

    def marks(self) -> Mapping[str, Mark]:
        return {slot: Mark(*rest) for slot, *rest in self._rows("SELECT slot, until, version FROM online_marks")}

    def count(self) -> Mapping[str, tuple[int, int]]:
        counted = self._rows(
            "SELECT slot, count(*) FILTER (WHERE NOT pushed), count(*) FILTER (WHERE pushed) "
            "FROM online_records GROUP BY slot ORDER BY slot"
        )
        return {slot: (materialized, pushed) for slot, materialized, pushed in counted}

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _deleted(self, statement: str, *given: Any) -> int:
        def run(cursor: Cursor) -> int:
            cursor.execute(statement, given)
            return cursor.rowcount

        return self._do(run)

    def _rows(self, statement: str) -> list[tuple]:
        def run(cursor: Cursor) -> list[tuple]:
            cursor.execute(statement)
            return cursor.fetchall()

        return self._do(run)

    def _do(self, run: Any) -> Any:
        """Every statement is a transaction of its own, and may be repeated: so is one whose connection broke."""
        import psycopg2

        with self._lock:
            try:
                with self._open().cursor() as cursor:
                    return run(cursor)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.close()
                with self._open().cursor() as cursor:
                    return run(cursor)

    def _open(self) -> Any:
        if self._connection is None:
            import psycopg2
            from psycopg2 import sql

            connection = psycopg2.connect(self._url, connect_timeout=10)
            connection.autocommit = True
            with connection.cursor() as cursor:
                schema = sql.Identifier(self._schema)
                cursor.execute(sql.SQL("SET search_path = {}").format(schema))
                # Records are made anew from the lakehouse: a crash may take the last half second of them.
                cursor.execute("SET synchronous_commit = off; SET jit = off; SET plan_cache_mode = force_generic_plan")
                # Two processes that make a table at once may collide although it says IF NOT EXISTS.
                cursor.execute("SELECT pg_advisory_lock(hashtext('online_records'))")
                try:
                    cursor.execute(_text("schema.sql"))
                finally:
                    cursor.execute("SELECT pg_advisory_unlock(hashtext('online_records'))")
                cursor.execute(READ)
            self._connection = connection
        return self._connection


@cache
def _text(name: str) -> str:
    return files("feature_repo.online").joinpath(name).read_text("utf-8")
