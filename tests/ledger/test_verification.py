# ruff: noqa: S608 - a superuser types what he likes
"""Whatever the database's superuser does to the ledger is found, and it is said what he did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automation.ledger import sequencing
from automation.ledger.keys import Signer
from automation.ledger.store import Ledger
from automation.ledger.tree import TILE
from automation.ledger.verification import Fault, verify
from tests.ledger.conftest import NOW, SIGNER, WITNESS, filled, happened
from warrant_verify import ED25519, checkpoint, checkpoint_body, leaf_hash

Sql = Callable[[str], None]
# Makes of a leaf what it would have been, so that only what was signed tells.
HASH = "sha256('\\x00'::bytea || convert_to(leaf, 'UTF8'))"
REHASH = f"UPDATE leaves SET hash = {HASH} FROM events WHERE id = event"


def faults(ledger: Ledger, seen: list[tuple[str, str]] | None = None) -> dict[Fault, str]:
    return {finding.fault: finding.says for finding in verify(ledger.connection, [SIGNER.key], seen or []).findings}


def test_an_untouched_ledger_is_right(ledger: Ledger) -> None:
    found = verify(ledger.connection, [SIGNER.key])
    assert (found.right, found.size) == (True, 0)
    filled(ledger)
    ledger.append("late", 0, happened(1))
    found = verify(ledger.connection, [SIGNER.key], [("an anchor", sequencing.newest_note(ledger, 5))])
    assert (found.findings, found.size, found.signed, found.waiting) == ([], 15, 15, 1)
    assert found.root == sequencing.newest(ledger).root


EDITED = "UPDATE events SET leaf = replace(leaf, '\"n\":2', '\"n\":3') WHERE stream = 'stream/1' AND version = 3"
DROPPED_EVENT = "DELETE FROM events WHERE stream = 'stream/1' AND version = 5"


@pytest.mark.parametrize(
    ("did", "fault", "says"),
    [
        ([EDITED], Fault.EDITED, "version 3 of stream/1, leaf 7"),
        ([EDITED, REHASH], Fault.EDITED, "first 10 leaves are not those that the checkpoint of size 10 was signed for"),
        (["UPDATE events SET type = 'other' WHERE id = 4"], Fault.EDITED, "says otherwise in its columns"),
        (["UPDATE events SET time = time + interval '1 second' WHERE id = 4"], Fault.EDITED, "says otherwise"),
        ([DROPPED_EVENT], Fault.DROPPED, "The event of leaf 9 is missing"),
        ([DROPPED_EVENT, "DELETE FROM leaves WHERE position = 9"], Fault.DROPPED, "Leaves 9 to 9 are missing"),
        (
            ["DELETE FROM leaves WHERE position = 9"],
            Fault.DROPPED,
            "Version 5 of stream/1 was appended and has no leaf",
        ),
        (
            [
                DROPPED_EVENT,
                "DELETE FROM leaves WHERE position = 9",
                "UPDATE leaves SET position = position - 1 WHERE position > 9",
            ],
            Fault.DROPPED,
            "A checkpoint of 15 leaves was signed; there are 14",
        ),
        (
            [
                "UPDATE leaves SET position = -1 WHERE position = 3",
                "UPDATE leaves SET position = 3 WHERE position = 4",
                "UPDATE leaves SET position = 4 WHERE position = -1",
            ],
            Fault.REORDERED,
            "version 5 of stream/0, leaf 3, comes after version 3",
        ),
        (["UPDATE checkpoints SET note = replace(note, '10', '11') WHERE size = 10"], Fault.CHECKPOINT, "was changed"),
        (["UPDATE checkpoints SET size = 12 WHERE size = 10"], Fault.CHECKPOINT, "says that it is of size 10"),
        (["DELETE FROM checkpoints WHERE size = 15"], Fault.ADDED, "Leaves 10 to 14 are in no signed checkpoint"),
    ],
)
def test_what_was_done_is_found(ledger: Ledger, superuser: Sql, did: list[str], fault: Fault, says: str) -> None:
    filled(ledger)
    superuser("ALTER TABLE leaves DROP CONSTRAINT leaves_position_check")
    for statement in did:
        superuser(statement)
    found = verify(ledger.connection, [SIGNER.key]).findings
    assert any(says in each.says for each in found if each.fault is fault), found


def test_an_event_that_was_slipped_in_is_found(ledger: Ledger, superuser: Sql) -> None:
    filled(ledger)
    superuser(
        "INSERT INTO events (stream, version, time, type, leaf) VALUES ('stream/0', 6, '2013-03-01T12:00Z', 'counted', "
        '\'{"data":{},"stream":"stream/0","time":"2013-03-01T12:00:00.000000Z","type":"counted","version":6}\')'
    )
    assert "Version 6 of stream/0 was appended and has no leaf" in faults(ledger)[Fault.DROPPED]
    superuser(f"INSERT INTO leaves SELECT 15, id, {HASH} FROM events WHERE version = 6")
    assert "Leaves 15 to 15 are in no signed checkpoint" in faults(ledger)[Fault.ADDED]


@pytest.mark.parametrize(
    "did",
    [
        "UPDATE tiles SET hashes = set_byte(hashes, 40, 255 - get_byte(hashes, 40)) WHERE level = 0 AND index = 1",
        "UPDATE tiles SET root = set_byte(root, 4, 255 - get_byte(root, 4)) WHERE level = 0 AND index = 1",
        "DELETE FROM tiles WHERE level = 0 AND index = 1",
        "INSERT INTO tiles SELECT level, 9, hashes, root FROM tiles WHERE level = 0 AND index = 1",
    ],
)
def test_a_tile_that_is_no_copy_of_its_leaves_is_found(ledger: Ledger, superuser: Sql, did: str) -> None:
    ledger.append("a", 0, happened(*range(3 * TILE)))
    sequencing.sequence(ledger, SIGNER, NOW)
    assert faults(ledger) == {}
    superuser(did)
    assert faults(ledger).keys() == {Fault.TILE}


def cut_off_at(superuser: Sql, size: int) -> None:
    superuser(f"DELETE FROM checkpoints WHERE size > {size}")
    superuser(f"DELETE FROM events WHERE id IN (SELECT event FROM leaves WHERE position >= {size})")
    superuser(f"DELETE FROM leaves WHERE position >= {size}")


def test_a_log_whose_end_was_cut_off_is_right_by_itself_and_found_beside_what_others_saw(
    ledger: Ledger, superuser: Sql
) -> None:
    filled(ledger)
    seen = [("the witness", sequencing.newest_note(ledger))]
    cut_off_at(superuser, 10)
    assert faults(ledger) == {}
    assert faults(ledger, seen) == {
        Fault.ROLLED_BACK: "the witness has seen a log of 15 leaves; this one has 10: its end was cut off."
    }


def test_a_log_that_was_written_anew_and_signed_with_the_stolen_key_is_found(ledger: Ledger, superuser: Sql) -> None:
    filled(ledger)
    seen = [("the anchor", sequencing.newest_note(ledger))]
    cut_off_at(superuser, 10)
    ledger.append("stream/2", 0, happened(*range(10, 15)))
    sequencing.sequence(ledger, SIGNER, NOW)
    assert faults(ledger) == {}
    assert faults(ledger, seen) == {Fault.FORKED: "the anchor has seen another log: its first 15 leaves are not these."}


def test_a_checkpoint_by_another_key_is_found(ledger: Ledger, superuser: Sql) -> None:
    filled(ledger)
    other = Signer(SIGNER.name, ED25519, bytes(32))
    body = checkpoint_body(SIGNER.name, 15, sequencing.newest(ledger).root)
    superuser(f"UPDATE checkpoints SET note = '{body}\n{other.signature(body)}' WHERE size = 15")
    assert "is not signed by log.example/warrant with the key" in faults(ledger)[Fault.CHECKPOINT]


def test_what_others_saw_must_itself_be_signed(ledger: Ledger) -> None:
    filled(ledger)
    note = sequencing.newest_note(ledger)
    assert (
        "The checkpoint from a stranger" in faults(ledger, [("a stranger", note.replace("15", "16"))])[Fault.CHECKPOINT]
    )


def test_a_cosignature_that_was_changed_is_found(ledger: Ledger, superuser: Sql) -> None:
    filled(ledger)
    line = WITNESS.cosignature(sequencing.newest(ledger).body, 1_362_139_200)
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute("INSERT INTO cosignatures VALUES (15, %s, %s)", (str(WITNESS.key), line))
    assert faults(ledger) == {}
    superuser("UPDATE cosignatures SET size = 10")
    assert "The cosignature of size 10 by witness.example" in faults(ledger)[Fault.CHECKPOINT]


def test_progress_is_told(ledger: Ledger) -> None:
    filled(ledger)
    told: list[tuple[int, int]] = []
    verify(ledger.connection, [SIGNER.key], progress=lambda done, of: told.append((done, of)))
    assert told == [(0, 15)]
    assert checkpoint(sequencing.newest_note(ledger)).root
    assert leaf_hash(b"") == bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
