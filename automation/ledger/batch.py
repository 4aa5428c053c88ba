"""A batch of rows under one root: the ledger holds one event for all of them, and a row's proof has two levels.

The event says how many rows there are, their root and where they lie. A row's leaf is its canonical JSON; the first
proof leads from there to the batch's root, the second from the event to the ledger's.
"""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automation.ledger.canonical import canonical_rows
from automation.ledger.tree import TilesInMemory, inclusion_proof
from warrant_verify import leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

# Rows that are written and hashed at once: their texts need not all be held.
AT_ONCE = 5_000


@dataclass(frozen=True)
class Batch:
    """Rows in the order of their key, each as the hash of its leaf, and the root over them."""

    hashes: tuple[bytes, ...]
    root: bytes

    @property
    def committed(self) -> dict[str, Any]:
        """What the event says of the rows."""
        return {"rows": len(self.hashes), "root": base64.b64encode(self.root).decode()}

    def proof(self, index: int) -> list[bytes]:
        """That row ``index`` is in the batch."""
        return inclusion_proof(TilesInMemory(self.hashes), index, len(self.hashes))


def batch(rows: pl.DataFrame, key: str) -> Batch:
    """The rows as a batch, ordered by ``key``, so that the same rows have the same root in whatever order they come.

    Raises:
        NotCanonicalError: a value cannot be said in canonical JSON.
    """
    ordered = rows.sort(key)
    # Hashing leaves the interpreter to others: one part is hashed while the next is written.
    with ThreadPoolExecutor(1) as pool:
        parts = [pool.submit(_hashed, canonical_rows(part)) for part in ordered.iter_slices(AT_ONCE)]
    hashes = tuple(hash_ for part in parts for hash_ in part.result())
    return Batch(hashes, root_of(hashes))


def _hashed(leaves: Sequence[bytes]) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in leaves]
