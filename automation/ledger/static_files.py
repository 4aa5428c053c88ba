"""The log as plain files (C2SP tlog-tiles): checkpoint, tiles of hashes and bundles of entries, for any web server.

checkpoint                       the newest signed head
tile/LEVEL/INDEX[.p/WIDTH]       256 hashes, or the WIDTH first of the last tile of a level
tile/entries/INDEX[.p/WIDTH]     256 leaves, each after its length in two bytes
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from automation.ledger import sequencing
from automation.ledger.sequencing import StoredTiles
from automation.ledger.tree import TILE
from warrant_verify import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from automation.ledger.store import Ledger


def export(ledger: Ledger, folder: Path) -> int:
    """Writes what the newest checkpoint covers and is not there yet; the checkpoint last. Returns the files written.

    Full tiles never change, so that running it again writes only what is new.
    """
    note = sequencing.newest_note(ledger)
    if note is None:
        return 0
    size, written = checkpoint(note).size, 0
    for name, data in _files(ledger, size, folder):
        _write(folder / name, data)
        written += 1
    _write(folder / "checkpoint", note.encode())
    return written + 1


def _files(ledger: Ledger, size: int, folder: Path) -> Iterator[tuple[str, bytes]]:
    tiles, level, width = StoredTiles(ledger.connection), 0, size
    while width:
        for index in range(-(-width // TILE)):
            name = f"tile/{level}/{_path(index, min(TILE, width - index * TILE))}"
            if not (folder / name).exists():
                with ledger.connection:
                    yield name, b"".join(tiles.entries(level, index)[: width - index * TILE])
        level, width = level + 1, width // TILE
    for index in range(-(-size // TILE)):
        name = f"tile/entries/{_path(index, min(TILE, size - index * TILE))}"
        if not (folder / name).exists():
            yield name, _bundle(ledger, index * TILE, min((index + 1) * TILE, size))


def _path(index: int, width: int) -> str:
    """C2SP tlog-tiles: the index in groups of three digits, all but the last with an x before."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03}")
    name = "/".join(reversed(groups))
    return name if width == TILE else f"{name}.p/{width}"


def _bundle(ledger: Ledger, begin: int, end: int) -> bytes:
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.leaf FROM leaves l JOIN events e ON e.id = l.event "
            "WHERE l.position >= %s AND l.position < %s ORDER BY l.position",
            (begin, end),
        )
        leaves = [leaf.encode() for (leaf,) in cursor.fetchall()]
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(file)
