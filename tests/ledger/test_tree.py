"""Roots and proofs are those of RFC 9162, and no proof of anything else is accepted."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.ledger.tree import TILE, TilesInMemory, consistency_proof, inclusion_proof, root
from automation.ledger.verification import Frontier
from warrant_verify import (
    EMPTY_ROOT,
    VerificationError,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots of RFC 6962's reference implementation in Certificate Transparency.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, as it stands there."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


def test_roots_are_those_of_the_reference_implementation() -> None:
    hashes = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
    assert [root_of(hashes[: n + 1]).hex() for n in range(8)] == ROOTS
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", [*range(1, 20), 255, 256, 257, 511, 512, 513, 1000])
def test_tiles_frontier_and_definition_have_one_root(size: int) -> None:
    hashes, frontier = leaves(size), Frontier()
    for hash_ in hashes:
        frontier.add(hash_)
    assert root_of(hashes) == by_definition(hashes) == frontier.root == root(TilesInMemory(hashes), size)


def test_a_tree_of_three_levels_of_tiles() -> None:
    size = TILE * TILE + 3 * TILE + 5
    hashes = leaves(size)
    tiles, whole = TilesInMemory(hashes), root_of(hashes)
    assert root(tiles, size) == whole
    for index in (0, 1, TILE - 1, TILE * TILE - 1, TILE * TILE, size - 1):
        verify_inclusion(hashes[index], index, size, inclusion_proof(tiles, index, size), whole)
    for old in (1, TILE, TILE * TILE, TILE * TILE + 1, size):
        verify_consistency(old, root_of(hashes[:old]), size, whole, consistency_proof(tiles, old, size))


def test_every_leaf_of_every_small_tree_is_proved_and_no_other() -> None:
    for size in range(1, 34):
        hashes = leaves(size)
        tiles, whole = TilesInMemory(hashes), root_of(hashes)
        for index in range(size):
            proof = inclusion_proof(tiles, index, size)
            verify_inclusion(hashes[index], index, size, proof, whole)
            for other in range(size):
                if other != index:
                    with pytest.raises(VerificationError):
                        verify_inclusion(hashes[index], other, size, proof, whole)
                    with pytest.raises(VerificationError):
                        verify_inclusion(hashes[other], index, size, proof, whole)
            for wrong in (proof[:-1], [*proof, whole], [whole, *proof[1:]] if proof else [whole], proof[::-1]):
                if wrong != proof:
                    with pytest.raises(VerificationError):
                        verify_inclusion(hashes[index], index, size, wrong, whole)


def test_every_small_tree_continues_its_beginnings_and_no_other_tree() -> None:
    for size in range(34):
        hashes = leaves(size)
        tiles, whole = TilesInMemory(hashes), root_of(hashes)
        for old in range(size + 1):
            proof, before = consistency_proof(tiles, old, size), root_of(hashes[:old])
            verify_consistency(old, before, size, whole, proof)
            for number in range(old):
                forked = [*hashes[:number], leaf_hash(b"another"), *hashes[number + 1 : old]]
                with pytest.raises(VerificationError):
                    verify_consistency(old, root_of(forked), size, whole, proof)
            if proof:
                for wrong in (proof[:-1], [*proof, whole], [before, *proof[1:]]):
                    if wrong != proof:
                        with pytest.raises(VerificationError):
                            verify_consistency(old, before, size, whole, wrong)


@given(st.integers(1, 3000), st.data())
def test_proofs_of_larger_trees(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    tiles, whole = TilesInMemory(hashes), root_of(hashes)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    verify_inclusion(hashes[index], index, size, inclusion_proof(tiles, index, size), whole)
    verify_consistency(old, root_of(hashes[:old]), size, whole, consistency_proof(tiles, old, size))


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(TilesInMemory(leaves(5)), index, size)
    with pytest.raises(VerificationError, match="no leaf"):
        verify_inclusion(leaves(1)[0], index, size, [], EMPTY_ROOT)


def test_a_tree_has_no_part_that_is_larger_than_it() -> None:
    with pytest.raises(ValueError, match="no part of 4"):
        consistency_proof(TilesInMemory(leaves(5)), 4, 3)
    with pytest.raises(VerificationError, match="no part of 4"):
        verify_consistency(4, EMPTY_ROOT, 3, EMPTY_ROOT, [])


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(VerificationError, match="32 bytes"):
        verify_inclusion(b"short", 0, 1, [], b"short")
