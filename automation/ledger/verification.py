"""Verifies the whole ledger from its own rows: nothing was edited, dropped, added, put elsewhere or signed twice.

Whoever administers the database can do anything to its tables, and disable what should hinder him. He cannot sign. So
everything is worked out anew from the events and compared with what was signed; and what was signed is compared with
checkpoints that lie where he has no hand: with a witness, or in an anchor.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from automation.ledger import custody
from automation.ledger.sequencing import StoredTiles
from automation.ledger.store import instant
from automation.ledger.tree import TILE
from warrant_verify import (
    EMPTY_ROOT,
    Checkpoint,
    Key,
    VerificationError,
    checkpoint,
    leaf_hash,
    node_hash,
    root_of,
    verify_checkpoint,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

AT_ONCE = 5_000


class Fault(StrEnum):
    """What was done to the ledger."""

    EDITED = "edited"
    DROPPED = "dropped"
    ADDED = "added"
    REORDERED = "reordered"
    TILE = "tile changed"
    CHECKPOINT = "checkpoint wrong"
    ROLLED_BACK = "rolled back"
    FORKED = "forked"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was, and where."""

    fault: Fault
    says: str


@dataclass
class Verified:
    """What a verification came to."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    signed: int = 0
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not self.findings

    def say(self, fault: Fault, says: str) -> None:
        self.findings.append(Finding(fault, says))


class Frontier:
    """The complete subtrees of a tree that grows at its right: enough for its root at each size."""

    def __init__(self) -> None:
        self._subtrees: list[bytes] = []
        self.size = 0

    def add(self, hash_: bytes) -> None:
        self._subtrees.append(hash_)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self._subtrees.pop()
            self._subtrees.append(node_hash(self._subtrees.pop(), right))

    @property
    def root(self) -> bytes:
        if not self._subtrees:
            return EMPTY_ROOT
        found = self._subtrees[-1]
        for left in self._subtrees[-2::-1]:
            found = node_hash(left, found)
        return found


def verify(
    connection: Connection,
    keys: Sequence[Key],
    seen: Sequence[tuple[str, str]] = (),
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Verified:
    """Verifies every event, leaf, tile and checkpoint.

    Args:
        keys: the keys that the log signed with, in whatever order; each checkpoint is signed by one of them.
        seen: checkpoints that lie elsewhere, each with the place it is from: a witness's, an anchor's. Their signature
            by the log is verified, too.

    Returns:
        What was found. Faults name the event, the leaf or the checkpoint, and what was done to it.
    """
    found = Verified()
    with connection, connection.cursor() as cursor:
        # One moment for all that is read, whoever appends meanwhile.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT size, note FROM checkpoints ORDER BY size")
        notes = dict(cursor.fetchall())
        outside = list(_outside(keys, seen, found))
        roots = _leaves(connection, {*notes, *(given.size for _, given in outside)}, found, progress)
        _checkpoints(_Keys(keys, connection), notes, roots, found)
        _cosignatures(connection, notes, found)
        _beside(outside, roots, found)
        _left_out(connection, found)
        _tiles(connection, found)
    return found


def elsewhere(places: Iterable[Path]) -> list[tuple[str, str]]:
    """The checkpoints of files, and of folders' ``*.checkpoint``, each with where it lies: what `verify` calls seen."""
    files = [file for place in places for file in (sorted(place.glob("*.checkpoint")) if place.is_dir() else [place])]
    return [(str(file), _note(file.read_text("utf-8"))) for file in files]


def _note(text: str) -> str:
    """A checkpoint's text: as it is, or as a witness remembers it."""
    try:
        return json.loads(text)["note"]
    except (ValueError, KeyError, TypeError):
        return text


def _leaves(
    connection: Connection, wanted: set[int], found: Verified, progress: Callable[[int, int], None]
) -> dict[int, bytes]:
    """Walks through the leaves in order. Returns the root at each wanted size that is reached."""
    frontier, versions, roots = Frontier(), dict[str, int](), {0: EMPTY_ROOT}
    with connection.cursor() as counting:
        counting.execute("SELECT coalesce(max(position) + 1, 0) FROM leaves")
        [(total,)] = counting.fetchall()
    expected = 0
    with connection.cursor(name="ledger_verification") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(
            "SELECT l.position, l.hash, e.id, e.stream, e.version, e.time, e.type, e.leaf "
            "FROM leaves l LEFT JOIN events e ON e.id = l.event ORDER BY l.position"
        )
        for position, stored, id_, stream, version, time, type_, leaf in cursor:
            if position != expected:
                found.say(Fault.DROPPED, f"Leaves {expected} to {position - 1} are missing.")
            expected = position + 1
            hash_ = bytes(stored)
            if id_ is None:
                found.say(Fault.DROPPED, f"The event of leaf {position} is missing.")
            else:
                hash_ = leaf_hash(leaf.encode())
                where = f"version {version} of {stream}, leaf {position}"
                if hash_ != bytes(stored):
                    found.say(Fault.EDITED, f"The event {where}, does not have its leaf's hash.")
                _columns(where, leaf, (stream, version, time, type_), found)
                if version != versions.get(stream, 0) + 1:
                    found.say(
                        Fault.REORDERED,
                        f"The event {where}, comes after version {versions.get(stream, 0)} of its stream.",
                    )
                versions[stream] = version
            frontier.add(hash_)
            if frontier.size in wanted:
                roots[frontier.size] = frontier.root
            if position % AT_ONCE == 0:
                progress(position, total)
    found.size, found.root = frontier.size, frontier.root
    return roots


def _columns(where: str, leaf: str, columns: tuple[str, int, datetime, str], found: Verified) -> None:
    """The columns beside a leaf say what it says."""
    stream, version, time, type_ = columns
    try:
        said = json.loads(leaf)
        same = (said["stream"], said["version"], said["time"], said["type"]) == (stream, version, instant(time), type_)
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        found.say(Fault.EDITED, f"The event {where}, says otherwise in its columns than in its leaf.")


class _Keys:
    """Which key had to sign a checkpoint: the one that the ledger itself named by then, if it named one."""

    def __init__(self, given: Sequence[Key], connection: Connection) -> None:
        self._given = {str(key): key for key in given}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT l.position, e.leaf FROM events e JOIN leaves l ON l.event = e.id "
                "WHERE e.stream = %s ORDER BY l.position",
                (custody.STREAM,),
            )
            self._named = [(position, _named_key(leaf)) for position, leaf in cursor.fetchall()]

    def at(self, size: int) -> list[Key]:
        """The keys of which one must have signed the checkpoint of that size.

        Raises:
            VerificationError: the one is not among those that were given.
        """
        named = [name for position, name in self._named if position < size and name]
        if not named:
            return list(self._given.values())
        if named[-1] not in self._given:
            name, _, rest = named[-1].partition("+")
            raise VerificationError(f"the key {rest.partition('+')[0]} of {name} signs by then, and was not given.")
        return [self._given[named[-1]]]


def _named_key(leaf: str) -> str:
    try:
        return json.loads(leaf)["data"]["key"]
    except (ValueError, KeyError, TypeError):
        return ""


def _checkpoints(keys: _Keys, notes: dict[int, str], roots: dict[int, bytes], found: Verified) -> None:
    for size, note in sorted(notes.items()):
        try:
            signed = _by_one_of(note, keys.at(size))
        except VerificationError as error:
            found.say(Fault.CHECKPOINT, f"The checkpoint of size {size}: {error}")
            continue
        if signed.size != size:
            found.say(Fault.CHECKPOINT, f"The checkpoint of size {size} says that it is of size {signed.size}.")
        elif size > found.size:
            found.say(Fault.DROPPED, f"A checkpoint of {size} leaves was signed; there are {found.size}.")
        elif roots.get(size) != signed.root:
            found.say(
                Fault.EDITED,
                f"The first {size} leaves are not those that the checkpoint of size {size} was signed for.",
            )
        found.signed = max(found.signed, min(size, found.size))
    if found.size and found.signed < found.size:
        found.say(
            Fault.ADDED,
            f"Leaves {found.signed} to {found.size - 1} are in no signed checkpoint: whoever signs added none.",
        )


def _by_one_of(note: str, keys: Sequence[Key]) -> Checkpoint:
    """The checkpoint, verified by the first of the keys that signed it."""
    given = checkpoint(note)
    ids = {data[:4] for _, data in given.signatures}
    mine = [key for key in keys if key.id in ids] or list(keys[:1])
    if not mine:
        raise VerificationError("There is no key to verify it with.")
    return verify_checkpoint(note, mine[0])


def _cosignatures(connection: Connection, notes: dict[int, str], found: Verified) -> None:
    """A cosignature belongs to a checkpoint that is there, and reads as one. Whose it is, the witness's key tells."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT size, witness, line FROM cosignatures ORDER BY size, witness")
        for size, name, line in cursor.fetchall():
            try:
                given = checkpoint(notes[size] + line)
                key = Key(*_parts(name))
                verify_signature(given, key)
            except (KeyError, ValueError, VerificationError) as error:
                found.say(Fault.CHECKPOINT, f"The cosignature of size {size} by {name.partition('+')[0]}: {error}")


def _parts(name: str) -> tuple[str, int, bytes]:
    from warrant_verify import key

    read = key(name)
    return read.name, read.kind, read.public


def _outside(keys: Sequence[Key], seen: Sequence[tuple[str, str]], found: Verified) -> Iterator[tuple[str, Checkpoint]]:
    for place, note in seen:
        try:
            yield place, _by_one_of(note, keys)
        except VerificationError as error:
            found.say(Fault.CHECKPOINT, f"The checkpoint from {place}: {error}")


def _beside(outside: Sequence[tuple[str, Checkpoint]], roots: dict[int, bytes], found: Verified) -> None:
    for place, given in outside:
        if given.size > found.size:
            found.say(
                Fault.ROLLED_BACK,
                f"{place} has seen a log of {given.size} leaves; this one has {found.size}: its end was cut off.",
            )
        elif roots.get(given.size) != given.root:
            found.say(Fault.FORKED, f"{place} has seen another log: its first {given.size} leaves are not these.")


def _left_out(connection: Connection, found: Verified) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.stream, e.version, p.id IS NOT NULL FROM events e LEFT JOIN leaves l ON l.event = e.id "
            "LEFT JOIN pending p ON p.id = e.id WHERE l.event IS NULL ORDER BY e.id"
        )
        for stream, version, is_waiting in cursor.fetchall():
            if is_waiting:
                found.waiting += 1
            else:
                found.say(Fault.DROPPED, f"Version {version} of {stream} was appended and has no leaf any more.")
        cursor.execute(
            "SELECT stream, count(*), max(version) FROM events "
            "GROUP BY stream HAVING count(*) <> max(version) ORDER BY stream"
        )
        for stream, count, newest in cursor.fetchall():
            found.say(Fault.DROPPED, f"{stream} is at version {newest} and has {count} events.")


def _tiles(connection: Connection, found: Verified) -> None:
    """Tiles are copies: proofs come from them, so they must be what the leaves make of them."""
    size, level = found.size, 0
    while size >= TILE:
        with connection.cursor() as cursor:
            cursor.execute("SELECT index, hashes, root FROM tiles WHERE level = %s ORDER BY index", (level,))
            held = {index: (bytes(hashes), bytes(root)) for index, hashes, root in cursor.fetchall()}
            tiles = StoredTiles(connection)
            for index in range(size // TILE):
                expected = tiles.standing(level, index)
                if held.get(index) != (b"".join(expected), root_of(expected)):
                    found.say(Fault.TILE, f"Tile {index} of level {level} is not what its leaves make of it.")
            if more := [index for index in held if index >= size // TILE]:
                found.say(Fault.TILE, f"Tile {more[0]} of level {level} is of leaves that are not there.")
        size, level = size // TILE, level + 1
