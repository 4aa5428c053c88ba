"""Killed with -9 before and after every statement and commit, while a thousand events are appended and signed."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from automation.ledger import custody, keys, sequencing, store
from automation.ledger.keys import Signer
from automation.ledger.sequencing import StoredTiles
from automation.ledger.store import Happened, Ledger
from automation.ledger.tree import consistency_proof, inclusion_proof
from automation.ledger.verification import verify
from automation.settings import Settings
from tests.ledger.conftest import NOW, SIGNER
from warrant_verify import checkpoint, leaf_hash, verify_consistency, verify_inclusion

STREAMS, EVENTS, EVERY = 3, 1000, 7
# As many moments as a life has until it has signed twice.
DEATHS = 150


class Dying:
    """A connection or a cursor of one that kills its process at the n-th moment; each statement and commit has two."""

    def __init__(self, held: Any, moments: itertools.count, last: int) -> None:
        self._held, self._moments, self._last = held, moments, last

    def _moment(self) -> None:
        if next(self._moments) == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def cursor(self, *given: Any, **named: Any) -> Dying:
        return Dying(self._held.cursor(*given, **named), self._moments, self._last)

    def execute(self, *given: Any) -> None:
        self._moment()
        self._held.execute(*given)
        self._moment()

    def __enter__(self) -> Dying:
        self._held.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        # A connection commits here.
        self._moment()
        self._held.__exit__(*raised)
        self._moment()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._held, name)


def in_a_process_that_dies(work) -> bool:
    """Whether ``work`` came to its end, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


def append_and_sign(settings: Settings, moment: int, acknowledged: Path) -> None:
    """Goes on where the one before died, until EVENTS are appended. What was acknowledged is on disk at once."""
    with store.opened(settings) as opened, acknowledged.open("a") as told:
        ledger = Ledger(Dying(opened.connection, itertools.count(), moment))
        versions = {f"s{n}": ledger.version(f"s{n}") for n in range(STREAMS)}
        done = sum(versions.values())
        while done < EVENTS:
            stream = min(versions, key=lambda name: versions[name])
            number = versions[stream] + 1
            ledger.append(stream, number - 1, [Happened("counted", {"n": number}, NOW)])
            versions[stream], done = number, done + 1
            told.write(f"{stream} {number}\n")
            told.flush()
            if done % EVERY == 0:
                sequencing.sequence(ledger, SIGNER, NOW)
        sequencing.sequence(ledger, SIGNER, NOW)


def test_nothing_is_lost_doubled_or_left_hanging(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    acknowledged = tmp_path / "acknowledged"
    deaths, seen = 0, []
    # A first life dies at its first moment, the next at its second: so each kind of moment is met, in each state.
    for moment in itertools.chain(range(DEATHS), itertools.repeat(10**9)):
        if in_a_process_that_dies(lambda at=moment: append_and_sign(settings, at, acknowledged)):
            break
        deaths += 1
        # Between a death and the next life, what is signed is provable and continues what was signed before.
        head = sequencing.newest(ledger)
        if head is not None and (not seen or head.size > seen[-1].size):
            seen.append(head)
    assert deaths == DEATHS
    found = verify(ledger.connection, [SIGNER.key])
    assert (found.findings, found.size, found.signed, found.waiting) == ([], EVENTS, EVENTS, 0)
    head, tiles = sequencing.newest(ledger), StoredTiles(ledger.connection)
    for before in seen:
        verify_consistency(
            before.size, before.root, head.size, head.root, consistency_proof(tiles, before.size, head.size)
        )
    held = {(name, event.version): event for name, _ in ledger.streams() for event in ledger.events(name)}
    assert sorted(event.position for event in held.values()) == list(range(EVENTS))
    assert all(event.data == {"n": event.version} for event in held.values())
    told = [tuple(line.split()) for line in acknowledged.read_text().splitlines()]
    assert {(name, int(number)) for name, number in told} <= held.keys()
    assert len(told) == len(set(told))
    for event in list(held.values())[::97]:
        proof = inclusion_proof(tiles, event.position, head.size)
        verify_inclusion(leaf_hash(event.leaf), event.position, head.size, proof, head.root)


@pytest.mark.parametrize("moment", range(0, 40, 3))
def test_a_rotation_that_is_cut_off_is_finished(
    settings: Settings, ledger: Ledger, tmp_path: Path, moment: int
) -> None:
    mine = settings.model_copy(update={"ledger_key_file": tmp_path / "ledger.key"})
    old = custody.signer(mine, ledger, NOW).key
    sequencing.sequence(ledger, keys.read(tmp_path / "ledger.key"), NOW)

    def rotate() -> None:
        with store.opened(mine) as opened:
            custody.rotate(mine, Ledger(Dying(opened.connection, itertools.count(), moment)), NOW)

    if not in_a_process_that_dies(rotate):
        # The daemon may come by meanwhile; it signs with what the ledger names, or says that it cannot.
        custody.rotate(mine, ledger, NOW)
    signer = custody.signer(mine, ledger, NOW)
    assert custody.public_keys(ledger) == [old, signer.key]
    assert signer.key != old
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.key"]
    ledger.append("after", 0, [Happened("counted", {}, NOW)])
    sequencing.sequence(ledger, signer, NOW)
    found = verify(ledger.connection, [old, signer.key])
    assert (found.findings, found.size, found.signed) == ([], 3, 3)
    # By the old key alone the log is verified up to the rotation, and the new one vouched for.
    with_both = checkpoint(sequencing.newest_note(ledger, 2))
    assert {data[:4] for _, data in with_both.signatures} == {old.id, signer.key.id}
    found = verify(ledger.connection, [old])
    assert any("signs by then, and was not given" in each.says for each in found.findings)


def test_a_key_that_was_never_the_logs_signs_nothing(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    mine = settings.model_copy(update={"ledger_key_file": tmp_path / "ledger.key"})
    custody.signer(mine, ledger, NOW)
    held = (tmp_path / "ledger.key").read_text()
    (tmp_path / "ledger.key").unlink()
    with pytest.raises(custody.KeyMissingError, match="is not there"):
        custody.signer(mine, ledger, NOW)
    keys.write(Signer("warrant", 1, bytes(32)), tmp_path / "ledger.key")
    with pytest.raises(custody.OtherKeyError, match="holds the key"):
        custody.signer(mine, ledger, NOW)
    (tmp_path / "ledger.key").write_text(held)
    assert custody.signer(mine, ledger, NOW).key == custody.current(ledger)
