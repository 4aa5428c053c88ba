"""Roots and proofs of the Merkle tree (RFC 9162) from tiles of 256 hashes (C2SP tlog-tiles).

A tile of level 0 holds 256 leaf hashes, one of level 1 the roots of 256 such tiles, and so on. A proof touches a tile
or two a level, so that it costs the same in a log of a thousand leaves and in one of a hundred million.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Protocol

from warrant_verify import EMPTY_ROOT, node_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Sequence

TILE_BITS = 8
TILE = 1 << TILE_BITS


class Tiles(Protocol):
    """Where the hashes lie."""

    def entries(self, level: int, index: int) -> Sequence[bytes]:
        """The hashes of a tile, as many as there are: all TILE of a full one."""
        ...


class TilesInMemory:
    """Tiles over a list of leaf hashes that is not added to: of a batch's rows, or of a whole log in a test."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels: list[list[bytes]] = [list(leaves)]

    def entries(self, level: int, index: int) -> Sequence[bytes]:
        while len(self._levels) <= level:
            below = self._levels[-1]
            full = len(below) // TILE
            self._levels.append([root_of(below[at * TILE : (at + 1) * TILE]) for at in range(full)])
        return self._levels[level][index * TILE : (index + 1) * TILE]


def root(tiles: Tiles, size: int) -> bytes:
    """The root of the tree's first ``size`` leaves."""
    return _root(tiles, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tiles: Tiles, index: int, size: int) -> list[bytes]:
    """RFC 9162, 2.1.3.1: that leaf ``index`` is in the tree of ``size`` leaves.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"There is no leaf {index} in a tree of {size}.")
    proof, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_root(tiles, middle, end))
            end = middle
        else:
            proof.append(_root(tiles, begin, middle))
            begin = middle
    return proof[::-1]


def consistency_proof(tiles: Tiles, old: int, size: int) -> list[bytes]:
    """RFC 9162, 2.1.4.1: that the tree of ``size`` leaves begins with the first ``old`` ones.

    Raises:
        ValueError: it has fewer.
    """
    if not 0 <= old <= size:
        raise ValueError(f"A tree of {size} leaves has no part of {old}.")
    if old in (0, size):
        return []
    proof, begin, end, whole = [], 0, size, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            proof.append(_root(tiles, middle, end))
            end = middle
        else:
            proof.append(_root(tiles, begin, middle))
            begin, whole = middle, False
    # The old root itself is known to whoever asks.
    if not whole:
        proof.append(_root(tiles, begin, end))
    return proof[::-1]


def _split(count: int) -> int:
    """The largest power of two that is less than ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def _root(tiles: Tiles, begin: int, end: int) -> bytes:
    """The root over leaves ``begin`` to ``end``, which RFC 9162 splits so that each left part is a complete subtree."""
    parts = []
    while begin < end:
        size = 1 << ((end - begin).bit_length() - 1)
        if begin % size:
            raise ValueError(f"No subtree begins at leaf {begin} and ends before {end}.")
        parts.append(_complete(tiles, size.bit_length() - 1, begin // size))
        begin += size
    return reduce(lambda right, left: node_hash(left, right), reversed(parts))


def _complete(tiles: Tiles, height: int, index: int) -> bytes:
    """The root of a complete subtree: ``index``-th of those of 2^height leaves."""
    level, within = divmod(height, TILE_BITS)
    first = index << within
    entries = tiles.entries(level, first >> TILE_BITS)
    at = first % TILE
    return root_of(entries[at : at + (1 << within)])
