"""Events are appended once, in order, by compare-and-swap, and by nobody changed."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import psycopg2
import pytest

from automation.ledger import sequencing, store
from automation.ledger.keys import Signer
from automation.ledger.sequencing import AnotherOriginError, StoredTiles, sequence
from automation.ledger.store import EventTooLargeError, Happened, Ledger, StreamConflictError
from automation.ledger.tree import TILE, consistency_proof, inclusion_proof
from automation.ledger.verification import verify
from automation.settings import Settings
from tests.ledger.conftest import NOW, SIGNER, filled, happened
from warrant_verify import ED25519, checkpoint, leaf_hash, verify_checkpoint, verify_consistency, verify_inclusion


def test_what_was_appended_is_read_back_in_order(ledger: Ledger) -> None:
    assert (ledger.version("a"), ledger.events("a"), ledger.streams()) == (0, [], [])
    ledger.append("a", 0, happened(1, 2))
    ledger.append("b", 0, happened(3))
    ledger.append("a", 2, happened(4))
    assert [(event.version, event.data) for event in ledger.events("a")] == [
        (1, {"n": 1}),
        (2, {"n": 2}),
        (3, {"n": 4}),
    ]
    assert [event.data["n"] for event in ledger.events("a", after=1, most=1)] == [2]
    assert ledger.streams() == [("a", 3), ("b", 1)]
    assert ledger.streams("b") == [("b", 1)]
    assert ledger.events("a")[0].leaf == (
        b'{"data":{"n":1},"stream":"a","time":"2013-03-01T12:00:01.000000Z","type":"counted","version":1}'
    )
    assert ledger.events("a")[0].position is None


def test_whoever_decided_on_an_older_version_appends_nothing(ledger: Ledger) -> None:
    ledger.append("a", 0, happened(1))
    for expected in (0, 2):
        with pytest.raises(StreamConflictError, match=f"a is at version 1, not {expected}"):
            ledger.append("a", expected, happened(7, 8))
    assert ledger.version("a") == 1
    assert sequencing.waiting(ledger) == 1


def test_what_was_appended_is_appended_again_without_effect(ledger: Ledger) -> None:
    ledger.append("a", 0, happened(1, 2))
    ledger.append("a", 0, happened(1, 2))
    assert ledger.version("a") == 2
    with pytest.raises(StreamConflictError):
        ledger.append("a", 0, happened(1, 3))
    with pytest.raises(StreamConflictError):
        ledger.append("a", 0, happened(1, 2, 3))


def test_of_many_that_append_at_once_one_wins_each_version(settings: Settings, ledger: Ledger) -> None:
    won: list[int] = []

    def append(writer: int) -> None:
        with store.opened(settings) as own:
            for _ in range(25):
                while True:
                    version = own.version("a")
                    try:
                        own.append("a", version, [Happened("written", {"by": writer, "at": version}, NOW)])
                    except StreamConflictError:
                        continue
                    won.append(version)
                    break

    writers = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(won) == list(range(100))
    assert [event.version for event in ledger.events("a")] == list(range(1, 101))
    assert [event.data["at"] for event in ledger.events("a")] == list(range(100))


def test_an_event_that_cannot_be_a_leaf_is_refused(ledger: Ledger) -> None:
    with pytest.raises(EventTooLargeError, match="65,535"):
        ledger.append("a", 0, [Happened("large", {"text": "x" * 65_535}, NOW)])
    with pytest.raises(ValueError, match="time zone"):
        ledger.append("a", 0, [Happened("when", {}, datetime(2013, 1, 1))])  # noqa: DTZ001
    assert ledger.version("a") == 0


@pytest.mark.parametrize("table", ["events", "leaves", "tiles", "checkpoints", "cosignatures", "pending"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_application_can_change_nothing(ledger: Ledger, table: str, change: str) -> None:
    filled(ledger, streams=1)
    column = {"events": "version", "leaves": "position", "tiles": "level", "pending": "id"}.get(table, "size")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute(change.format(table, column, column))
    for forbidden in ("INSERT INTO pending VALUES (1)", "DROP TABLE events", "ALTER TABLE events DISABLE TRIGGER ALL"):
        with (
            pytest.raises(psycopg2.errors.InsufficientPrivilege),
            ledger.connection,
            ledger.connection.cursor() as cursor,
        ):
            cursor.execute(forbidden)


@pytest.mark.parametrize(
    "change", ["UPDATE ledger.{} SET {} = {}", "DELETE FROM ledger.{}", "TRUNCATE ledger.{} CASCADE"]
)
def test_who_may_change_it_is_refused_unless_he_means_to(settings: Settings, ledger: Ledger, change: str) -> None:
    filled(ledger, streams=1)
    with psycopg2.connect(settings.database_url.get_secret_value()) as owner, owner.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        for table, column in (("events", "version"), ("leaves", "position"), ("checkpoints", "size")):
            with pytest.raises(psycopg2.errors.RaiseException, match="only added to"):
                cursor.execute(change.format(table, column, column))
            cursor.execute("ROLLBACK TO before")
    owner.close()


def test_every_event_gets_a_leaf_and_the_head_is_signed(ledger: Ledger) -> None:
    assert sequence(ledger, SIGNER, NOW) is None
    ledger.append("a", 0, happened(1, 2, 3))
    first = sequence(ledger, SIGNER, NOW)
    assert sequence(ledger, SIGNER, NOW + timedelta(days=1)) == first
    assert (first.size, sequencing.waiting(ledger)) == (3, 0)
    ledger.append("b", 0, happened(4))
    second = sequence(ledger, SIGNER, NOW)
    assert verify_checkpoint(sequencing.newest_note(ledger), SIGNER.key) == second
    assert checkpoint(sequencing.newest_note(ledger, 3)) == first
    assert [event.position for event in ledger.events("a")] == [0, 1, 2]
    tiles = StoredTiles(ledger.connection)
    verify_consistency(3, first.root, 4, second.root, consistency_proof(tiles, 3, 4))
    for stream in "ab":
        for event in ledger.events(stream):
            proof = inclusion_proof(tiles, event.position, 4)
            verify_inclusion(leaf_hash(event.leaf), event.position, 4, proof, second.root)


def test_a_long_log_is_worked_off_in_parts_and_kept_in_tiles(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencing, "MOST", 700)
    ledger.append("a", 0, happened(*range(TILE * 9 + 7)))
    head = sequence(ledger, SIGNER, NOW)
    assert head.size == TILE * 9 + 7
    assert verify(ledger.connection, [SIGNER.key]).findings == []
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute("SELECT level, count(*) FROM tiles GROUP BY level")
        assert cursor.fetchall() == [(0, 9)]
        cursor.execute("SELECT size FROM checkpoints ORDER BY size")
        assert [size for (size,) in cursor.fetchall()] == [700, 1400, 2100, TILE * 9 + 7]
    tiles = StoredTiles(ledger.connection)
    for old in (700, 1400, 2304, 2310):
        before = checkpoint(sequencing.newest_note(ledger, old)).root if old in (700, 1400) else None
        if before:
            verify_consistency(old, before, head.size, head.root, consistency_proof(tiles, old, head.size))


def test_sequencers_that_work_at_once_take_turns(settings: Settings, ledger: Ledger) -> None:
    def work() -> None:
        with store.opened(settings) as own:
            for number in range(20):
                own.append(f"by/{threading.get_ident()}", number, happened(number))
                sequence(own, SIGNER, NOW)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = verify(ledger.connection, [SIGNER.key])
    assert (found.findings, found.size, found.signed, found.waiting) == ([], 80, 80, 0)


def test_a_log_keeps_its_name(ledger: Ledger) -> None:
    filled(ledger, streams=1)
    ledger.append("a", 0, happened(1))
    with pytest.raises(AnotherOriginError, match=r"signed as log\.example/warrant, not as other\.example"):
        sequence(ledger, Signer("other.example", ED25519, bytes(32)), NOW)
    assert sequencing.waiting(ledger) == 1


def test_the_same_events_make_the_same_tree(ledger: Ledger) -> None:
    filled(ledger, streams=2)
    root = sequencing.newest(ledger).root
    assert root.hex() == "37c9d2fddde274054fb15bb31b2ff6f728435d031091441f75076db526afcdfe"
