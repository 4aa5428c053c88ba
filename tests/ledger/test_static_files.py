"""The log as plain files is the log, tile by tile and leaf by leaf."""

from __future__ import annotations

from pathlib import Path

from automation.ledger import sequencing, static_files
from automation.ledger.static_files import _path
from automation.ledger.store import Ledger
from automation.ledger.tree import TILE
from tests.ledger.conftest import NOW, SIGNER, happened
from warrant_verify import leaf_hash, root_of, verify_checkpoint


def test_indices_are_paths_as_the_standard_has_them() -> None:
    assert _path(0, TILE) == "000"
    assert _path(67, 12) == "067.p/12"
    assert _path(1_234_067, TILE) == "x001/x234/067"


def test_whoever_has_the_files_has_the_log(ledger: Ledger, tmp_path: Path) -> None:
    assert static_files.export(ledger, tmp_path) == 0
    ledger.append("a", 0, happened(*range(TILE + 20)))
    sequencing.sequence(ledger, SIGNER, NOW)
    assert static_files.export(ledger, tmp_path) == 6
    assert static_files.export(ledger, tmp_path) == 1
    head = verify_checkpoint((tmp_path / "checkpoint").read_text(), SIGNER.key)
    names = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert names == [
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/20",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/20",
    ]
    leaves = []
    for bundle in ("tile/entries/000", "tile/entries/001.p/20"):
        data = (tmp_path / bundle).read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            leaves.append(data[2 : 2 + length])
            data = data[2 + length :]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert root_of(hashes) == head.root
    assert (tmp_path / "tile/0/000").read_bytes() + (tmp_path / "tile/0/001.p/20").read_bytes() == b"".join(hashes)
    assert (tmp_path / "tile/1/000.p/1").read_bytes() == root_of(hashes[:TILE])

    ledger.append("b", 0, happened(*range(TILE)))
    sequencing.sequence(ledger, SIGNER, NOW)
    assert static_files.export(ledger, tmp_path) == 6
    assert verify_checkpoint((tmp_path / "checkpoint").read_text(), SIGNER.key).size == 2 * TILE + 20
