"""A witness cosigns a log that continues what it saw, over HTTP, and no fork, no rollback and no stranger."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

import pytest

from automation.ledger import sequencing, service, store, witnessing
from automation.ledger.keys import Signer
from automation.ledger.store import Ledger
from automation.ledger.tree import TilesInMemory, consistency_proof
from automation.ledger.verification import Fault, verify
from automation.ledger.witness import Witness, request, server
from automation.ledger.witnessing import WitnessRefusedError, WitnessUnreachableError
from automation.settings import Settings
from tests.ledger.conftest import NOW, SIGNER, WITNESS, filled, happened
from warrant_verify import ED25519, checkpoint, checkpoint_body, key, leaf_hash, root_of, verify_signature

HASHES = [leaf_hash(bytes([n])) for n in range(20)]
FORKED = [*HASHES[:3], leaf_hash(b"other"), *HASHES[4:]]


def note(size: int, hashes: list[bytes] = HASHES, signer: Signer = SIGNER) -> str:
    body = checkpoint_body(signer.name, size, root_of(hashes[:size]))
    return f"{body}\n{signer.signature(body)}"


def asked(old: int, size: int, hashes: list[bytes] = HASHES, signer: Signer = SIGNER) -> bytes:
    proof = consistency_proof(TilesInMemory(hashes), old, size)
    return request(old, proof, note(size, hashes, signer))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(WITNESS, [SIGNER.key], tmp_path / "seen", lambda: NOW)


def test_it_cosigns_what_continues_what_it_saw(witness: Witness, tmp_path: Path) -> None:
    for old, size in ((0, 3), (3, 3), (3, 11), (11, 20)):
        answer = witness.add_checkpoint(asked(old, size))
        assert answer.status == HTTPStatus.OK
        assert verify_signature(checkpoint(note(size) + answer.body), WITNESS.key) == NOW.timestamp()
    # Its memory outlives it.
    again = Witness(WITNESS, [SIGNER.key], tmp_path / "seen", lambda: NOW)
    assert (again.seen(SIGNER.name).size, again.seen(SIGNER.name).note) == (20, note(20))
    assert again.add_checkpoint(asked(11, 20)).status == HTTPStatus.CONFLICT


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (asked(0, 5), HTTPStatus.CONFLICT, "7"),
        (asked(7, 7, FORKED), HTTPStatus.CONFLICT, "7"),
        (asked(7, 11, FORKED), HTTPStatus.UNPROCESSABLE_ENTITY, "does not begin with the 7"),
        (request(7, [], note(11)), HTTPStatus.UNPROCESSABLE_ENTITY, "empty"),
        (request(7, [HASHES[0]] * 5, note(11)), HTTPStatus.UNPROCESSABLE_ENTITY, ""),
        (request(12, [], note(11)), HTTPStatus.BAD_REQUEST, "more than the checkpoint's"),
        (asked(7, 11, signer=Signer("stranger", ED25519, SIGNER.seed)), HTTPStatus.NOT_FOUND, "not known"),
        (asked(7, 11, signer=Signer(SIGNER.name, ED25519, bytes(32))), HTTPStatus.FORBIDDEN, "not signed by"),
        (request(7, [HASHES[0]] * 64, note(11)), HTTPStatus.BAD_REQUEST, "at most 63"),
        (b"", HTTPStatus.BAD_REQUEST, "A request is"),
        (b"\xff", HTTPStatus.BAD_REQUEST, "A request is"),
        (b"old 07\n\n" + note(11).encode(), HTTPStatus.BAD_REQUEST, "A request is"),
        (b"old 7\n@@\n\n" + note(11).encode(), HTTPStatus.BAD_REQUEST, "A request is"),
        (b"old 7\n\nno checkpoint\n", HTTPStatus.BAD_REQUEST, "no signed note"),
    ],
)
def test_it_signs_nothing_else(witness: Witness, body: bytes, status: HTTPStatus, says: str) -> None:
    assert witness.add_checkpoint(asked(0, 7)).status == HTTPStatus.OK
    answer = witness.add_checkpoint(body)
    assert answer.status == status
    assert says in answer.body
    assert witness.seen(SIGNER.name).size == 7


def test_of_two_stories_told_at_once_it_signs_one(witness: Witness) -> None:
    answers: list[HTTPStatus] = []
    stories = [asked(0, 9), asked(0, 9, FORKED)] * 8

    def ask(body: bytes) -> None:
        answers.append(witness.add_checkpoint(body).status)

    threads = [threading.Thread(target=ask, args=(body,)) for body in stories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(HTTPStatus.OK) == 1
    assert set(answers) == {HTTPStatus.OK, HTTPStatus.CONFLICT}


# ---------------------------------------------------------------- over HTTP


@pytest.fixture
def address(witness: Witness) -> Iterator[str]:
    serving = server(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}"
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_the_head_is_cosigned_once_and_kept(ledger: Ledger, address: str) -> None:
    assert witnessing.ask(ledger, address, WITNESS.key) is None
    filled(ledger)
    assert witnessing.ask(ledger, address, WITNESS.key) == 15
    assert witnessing.ask(ledger, address, WITNESS.key) is None
    assert verify_signature(sequencing.newest(ledger), WITNESS.key) == NOW.timestamp()
    ledger.append("more", 0, happened(1))
    sequencing.sequence(ledger, SIGNER, NOW)
    assert witnessing.ask(ledger, address, WITNESS.key) == 16
    assert verify(ledger.connection, [SIGNER.key]).findings == []


def test_a_witness_that_saw_more_than_we_kept_is_asked_from_there(ledger: Ledger, address: str, superuser) -> None:
    filled(ledger)
    witnessing.ask(ledger, address, WITNESS.key)
    superuser("DELETE FROM cosignatures")
    assert witnessing.ask(ledger, address, WITNESS.key) == 15


def test_a_fork_and_a_rollback_are_refused_and_the_witness_says_what_it_saw(
    ledger: Ledger, witness: Witness, address: str, superuser
) -> None:
    filled(ledger)
    witnessing.ask(ledger, address, WITNESS.key)
    for table, column in (("cosignatures", "size"), ("checkpoints", "size")):
        superuser(f"DELETE FROM {table} WHERE {column} > 10")  # noqa: S608
    superuser("DELETE FROM events WHERE id IN (SELECT event FROM leaves WHERE position >= 10)")
    superuser("DELETE FROM leaves WHERE position >= 10")
    with pytest.raises(WitnessRefusedError, match="has seen a log of 15 leaves, which this one, of 10"):
        witnessing.ask(ledger, address, WITNESS.key)
    seen = [("the witness", witness.seen(SIGNER.name).note)]
    assert [each.fault for each in verify(ledger.connection, [SIGNER.key], seen).findings] == [Fault.ROLLED_BACK]

    ledger.append("another", 0, happened(*range(9)))
    sequencing.sequence(ledger, SIGNER, NOW)
    with pytest.raises(WitnessRefusedError, match="has seen another log"):
        witnessing.ask(ledger, address, WITNESS.key)
    assert [each.fault for each in verify(ledger.connection, [SIGNER.key], seen).findings] == [Fault.FORKED]


def test_a_witness_that_is_none_or_does_not_know_us_is_named(ledger: Ledger, address: str) -> None:
    filled(ledger)
    with pytest.raises(WitnessUnreachableError, match="does not answer"):
        witnessing.ask(ledger, "http://127.0.0.1:1", WITNESS.key)
    with pytest.raises(WitnessUnreachableError, match="answers 404"):
        witnessing.ask(ledger, f"{address}/elsewhere", WITNESS.key)
    other = Signer(WITNESS.name, WITNESS.kind, bytes(32))
    with pytest.raises(WitnessUnreachableError, match="no cosignature of its own"):
        witnessing.ask(ledger, address, other.key)


def test_what_is_no_request_of_a_log_is_refused(address: str) -> None:
    for path, data, status in (
        ("/", b"x", 404),
        ("/add-checkpoint", b"x" * 70_000, 413),
        ("/add-checkpoint", b"x", 400),
    ):
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address + path, data=data, method="POST"))  # noqa: S310
        assert refused.value.code == status


def test_a_witness_is_a_process_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    filled(ledger)
    command = [sys.executable, "-m", "automation.cli", "ledger", "witness", "--log", str(SIGNER.key)]
    command += ["--key-file", str(tmp_path / "w.key"), "--folder", str(tmp_path / "seen"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        its_key = key(process.stdout.readline())
        url = process.stdout.readline().strip()
        assert witnessing.ask(ledger, url, its_key) == 15
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert verify_signature(sequencing.newest(ledger), its_key)


# ---------------------------------------------------------------- the keeper


def test_the_keeper_signs_cosigns_and_anchors(settings: Settings, ledger: Ledger, address: str, tmp_path: Path) -> None:
    mine = settings.model_copy(
        update={
            "home": tmp_path,
            "ledger_name": "log.example/warrant",
            "ledger_key_file": tmp_path / "ledger.key",
            "ledger_anchor": tmp_path / "anchor",
        }
    )
    assert service.bring_up_to_date(mine, ledger, NOW) is None
    ledger.append("a", 0, happened(1))
    first = service.bring_up_to_date(mine, ledger, NOW)
    assert first == service.bring_up_to_date(mine, ledger, NOW)
    anchored = sorted((tmp_path / "anchor").iterdir())
    assert [file.name for file in anchored] == ["000000000002.checkpoint"]
    assert anchored[0].read_text() == first

    # Another log's head of the same size is not written over it.
    forged = checkpoint_body("log.example/warrant", 2, HASHES[0])
    with pytest.raises(service.AnchorError, match="another root for 2 leaves"):
        service.anchor(f"{forged}\n{SIGNER.signature(forged)}", tmp_path / "anchor")
    (tmp_path / "file").touch()
    with pytest.raises(service.AnchorError, match="cannot be written"):
        service.anchor(first, tmp_path / "file" / "folder")


def test_the_keeper_is_at_most_a_second_behind_and_says_once_what_fails(
    settings: Settings, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AGAIN_SECONDS", 0.05)
    mine = settings.model_copy(update={"home": tmp_path, "ledger_witness_url": "http://127.0.0.1:1"})
    mine = mine.model_copy(update={"ledger_witness_key": str(WITNESS.key)})
    said: list[str] = []
    stop, told = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    keeper = threading.Thread(target=service.keep, args=(mine, stop, say))
    keeper.start()
    try:
        with store.opened(mine) as own:
            own.append("a", 0, happened(1))
            began = datetime.now(NOW.tzinfo)
            while sequencing.waiting(own) or sequencing.newest(own) is None:
                assert (datetime.now(NOW.tzinfo) - began).total_seconds() < 10
            assert told.wait(10)
            own.append("a", 1, happened(2))
            while sequencing.waiting(own):
                assert (datetime.now(NOW.tzinfo) - began).total_seconds() < 20
    finally:
        stop.set()
        keeper.join()
    assert len(said) == 1
    assert "does not answer" in said[0]
