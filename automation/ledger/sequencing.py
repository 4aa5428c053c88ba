"""The sequencer: gives each event its leaf, keeps the tiles and signs the head of the tree.

Everything that one call does is one transaction: killed anywhere, it has done all of it or nothing, and the next call
goes on. One works at a time, whoever calls: the daemon once a second, or a run that wants its proof now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.ledger.tree import TILE, root
from warrant_verify import HASH_BYTES, Checkpoint, checkpoint, checkpoint_body, root_of

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

    from automation.ledger.keys import Signer
    from automation.ledger.store import Ledger

LOCK = int.from_bytes(b"ledger", "big")
# Events of one transaction: a long backlog is worked off in parts.
MOST = 20_000


class AnotherOriginError(WarrantError):
    """The log was signed under another name before."""


class StoredTiles:
    """The tree's tiles in the database: full ones as they are kept, the last of each level as it stands."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._full: dict[tuple[int, int], Sequence[bytes]] = {}

    def entries(self, level: int, index: int) -> Sequence[bytes]:
        if (level, index) in self._full:
            return self._full[level, index]
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT hashes FROM tiles WHERE level = %s AND index = %s", (level, index))
            found = cursor.fetchone()
            if found is not None:
                return self._full.setdefault((level, index), _split(bytes(found[0])))
            return _as_it_stands(cursor, level, index)

    def standing(self, level: int, index: int) -> list[bytes]:
        """What a tile holds by the leaves, or by the tiles below it, whatever is kept of it."""
        with self._connection.cursor() as cursor:
            return _as_it_stands(cursor, level, index)


def _as_it_stands(cursor: Cursor, level: int, index: int) -> list[bytes]:
    bounds = (index * TILE, (index + 1) * TILE - 1)
    if level == 0:
        cursor.execute("SELECT hash FROM leaves WHERE position BETWEEN %s AND %s ORDER BY position", bounds)
    else:
        cursor.execute(
            "SELECT root FROM tiles WHERE level = %s AND index BETWEEN %s AND %s ORDER BY index", (level - 1, *bounds)
        )
    return [bytes(hash_) for (hash_,) in cursor.fetchall()]


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def sequence(ledger: Ledger, signer: Signer, now: datetime, *, also: Signer | None = None) -> Checkpoint | None:
    """Gives waiting events their leaves and signs the head, until none waits. Returns the newest checkpoint.

    None if nothing was ever appended. ``also`` signs beside ``signer``: the key that is being replaced, or replaces it.

    Raises:
        AnotherOriginError: the signer's name is not the one that the log has had.
    """
    while _sequence_some(ledger.connection, signer, now, also):
        pass
    return newest(ledger)


def _sequence_some(connection: Connection, signer: Signer, now: datetime, also: Signer | None) -> bool:
    """One transaction. Returns whether there may be more to do."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        cursor.execute("SELECT coalesce(max(position) + 1, 0) FROM leaves")
        [(before,)] = cursor.fetchall()
        cursor.execute("SELECT count(*) FROM sequence(%s, %s)", (before, MOST))
        [(added,)] = cursor.fetchall()
        cursor.execute("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1")
        signed = cursor.fetchone()
        size = before + added
        if size == 0 or (signed is not None and signed[0] == size):
            return False
        if signed is not None and checkpoint(signed[1]).origin != signer.name:
            raise AnotherOriginError(
                f"The log has been signed as {checkpoint(signed[1]).origin}, not as {signer.name}.",
                remedy="Sign with the log's own key (WARRANT_LEDGER_KEY_FILE): a log never changes its name.",
            )
        _keep_full_tiles(cursor, before, size)
        body = checkpoint_body(signer.name, size, root(StoredTiles(connection), size))
        lines = [each.signature(body) for each in (signer, also) if each is not None]
        cursor.execute(
            "INSERT INTO checkpoints (size, note, signed) VALUES (%s, %s, %s)", (size, f"{body}\n{''.join(lines)}", now)
        )
        return added == MOST


def _keep_full_tiles(cursor: Cursor, before: int, size: int) -> None:
    level = 0
    while size >= TILE:
        for index in range(before // TILE, size // TILE):
            hashes = _as_it_stands(cursor, level, index)
            cursor.execute(
                "INSERT INTO tiles (level, index, hashes, root) VALUES (%s, %s, %s, %s)",
                (level, index, b"".join(hashes), root_of(hashes)),
            )
        before, size, level = before // TILE, size // TILE, level + 1


def newest(ledger: Ledger) -> Checkpoint | None:
    """The newest checkpoint, with its signatures and the cosignatures of witnesses."""
    note = newest_note(ledger)
    return None if note is None else checkpoint(note)


def newest_note(ledger: Ledger, size: int | None = None) -> str | None:
    """The newest checkpoint, or the one of a size, as text with its signatures and cosignatures."""
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute(
            "SELECT note || coalesce((SELECT string_agg(line, '' ORDER BY witness) FROM cosignatures o "
            "WHERE o.size = c.size), '') FROM checkpoints c WHERE size = coalesce(%s, size) ORDER BY size DESC LIMIT 1",
            (size,),
        )
        found = cursor.fetchone()
    return None if found is None else found[0]


def waiting(ledger: Ledger) -> int:
    """How many events have no leaf yet."""
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pending")
        [(count,)] = cursor.fetchall()
        return count
