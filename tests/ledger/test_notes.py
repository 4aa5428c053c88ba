"""Keys, signed notes and files that prove themselves: every byte of them counts."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import warrant_verify
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import decisions, keys, proofs, sequencing
from automation.ledger.keys import KeyFileError, Signer
from automation.ledger.proofs import NoProofError
from automation.ledger.store import Ledger
from tests.ledger.conftest import NOW, SIGNER, WITNESS, filled, happened
from warrant_verify import (
    COSIGNATURE,
    ED25519,
    VerificationError,
    checkpoint,
    checkpoint_body,
    key,
    verify_checkpoint,
    verify_file,
    verify_signature,
)

ROOT = bytes(range(32))
BODY = checkpoint_body(SIGNER.name, 7, ROOT)
NOTE = f"{BODY}\n{SIGNER.signature(BODY)}{WITNESS.cosignature(BODY, 1_362_139_200)}"
DAY_OF = date(2013, 3, 1)


# ---------------------------------------------------------------- keys


def test_a_published_key_and_note_are_read_as_their_author_meant() -> None:
    # The example of Go's sumdb/note package, which C2SP signed-note describes.
    peter = key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert peter.id.hex() == "c74f20a3"
    assert str(peter) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    Ed25519PublicKey.from_public_bytes(peter.public).verify(base64.b64decode(line)[4:], text.encode())
    assert base64.b64decode(line)[:4] == peter.id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "na me+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(VerificationError):
        key(text)


def test_a_key_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "ledger.key"
    keys.write(SIGNER, file)
    assert keys.read(file) == SIGNER
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["ledger.key"]
    with pytest.raises(KeyFileError, match="already"):
        keys.write(WITNESS, file)
    assert keys.read(file) == SIGNER
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="Others may read") as refused:
        keys.read(file)
    assert "chmod 600" in refused.value.remedy
    assert SIGNER.seed.hex() not in repr(SIGNER) + str(refused.value)


@pytest.mark.parametrize("spoil", [lambda text: text[:-6], lambda text: text.replace("log", "lag"), lambda _: "key"])
def test_a_spoiled_key_file_is_refused_and_not_repeated(tmp_path: Path, spoil) -> None:
    file = tmp_path / "ledger.key"
    keys.write(SIGNER, file)
    held = file.read_text()
    file.write_text(spoil(held))
    with pytest.raises(KeyFileError, match="does not hold a signing key") as refused:
        keys.read(file)
    assert held.strip().rpartition("+")[2] not in str(refused.value)
    with pytest.raises(KeyFileError, match="cannot be read"):
        keys.read(tmp_path / "none")
    with pytest.raises(KeyFileError, match="cannot be the name"):
        keys.generated("two words", ED25519)


# ---------------------------------------------------------------- checkpoints


def test_a_checkpoint_is_verified_by_its_log_and_by_its_witness() -> None:
    found = verify_checkpoint(NOTE, SIGNER.key)
    assert (found.origin, found.size, found.root) == (SIGNER.name, 7, ROOT)
    assert verify_signature(found, WITNESS.key) == 1_362_139_200
    assert [name for name, _ in found.signatures] == [SIGNER.name, WITNESS.name]


def test_every_byte_of_a_checkpoint_counts() -> None:
    told = NOTE.encode()
    refused = 0
    for at in range(len(told)):
        for bit in range(8):
            changed = bytearray(told)
            changed[at] ^= 1 << bit
            try:
                found = verify_checkpoint(changed.decode(), SIGNER.key)
                verify_signature(found, WITNESS.key)
            except (VerificationError, UnicodeDecodeError):
                refused += 1
    assert refused == len(told) * 8


@pytest.mark.parametrize(
    ("note", "says"),
    [
        ("", "no signed note"),
        (BODY, "no signed note"),
        (f"{BODY}\n", "no signed note"),
        (f"log\n1\n\n{SIGNER.signature(BODY)}", "no checkpoint"),
        (f"log\n-1\n{base64.b64encode(ROOT).decode()}\n\n{SIGNER.signature(BODY)}", "no number"),
        (f"log\n01\n{base64.b64encode(ROOT).decode()}\n\n{SIGNER.signature(BODY)}", "no number"),
        (f"log\n1\nAAAA\n\n{SIGNER.signature(BODY)}", "32 bytes"),
        (f"{BODY}\nno signature\n", "signatures is none"),
        (f"{BODY}\n{SIGNER.signature(BODY)}{SIGNER.signature(BODY)}", "2 signatures by one key"),
        (f"{BODY}\n" + SIGNER.signature(BODY) * 65, "more than 64"),
    ],
)
def test_what_is_no_checkpoint_is_refused(note: str, says: str) -> None:
    with pytest.raises(VerificationError, match=says):
        verify_checkpoint(note, Signer("log" if note.startswith("log\n") else SIGNER.name, ED25519, SIGNER.seed).key)


def test_a_checkpoint_of_another_log_or_by_another_key_is_refused() -> None:
    with pytest.raises(VerificationError, match=r"is of log\.example/warrant, not of other"):
        verify_checkpoint(NOTE, Signer("other", ED25519, SIGNER.seed).key)
    with pytest.raises(VerificationError, match="is not signed by"):
        verify_checkpoint(NOTE, Signer(SIGNER.name, ED25519, WITNESS.seed).key)
    with pytest.raises(VerificationError, match="is not signed by"):
        verify_signature(checkpoint(NOTE), Signer(WITNESS.name, COSIGNATURE, SIGNER.seed).key)


# ---------------------------------------------------------------- files


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    """One day's decisions."""
    made = Lakehouse(str(tmp_path))
    rows = pl.DataFrame(
        {
            "case_key": [f"case {n:02}" for n in range(20)],
            "action": ["proceed", "notify"] * 10,
            "expected_cost": [n / 7 for n in range(20)],
            "reasons": ['["late"]'] * 20,
            DAY: [DAY_OF] * 20,
        }
    )
    from automation.calendar import Days

    made.replace_days("toy", "decisions", rows, Days.one(DAY_OF))
    return made


@pytest.fixture
def warrant(ledger: Ledger, lake: Lakehouse) -> bytes:
    """The warrant of one case, signed and cosigned."""
    from automation.calendar import Days

    filled(ledger)
    rows = lake.read("toy", "decisions", Days.one(DAY_OF))
    decisions.commit(ledger, "toy", DAY_OF, rows, {"policy_version": "p1"}, NOW)
    with pytest.raises(NoProofError, match="no signed checkpoint yet"):
        proofs.of_decision(ledger, lake, "toy", "case 07")
    head = sequencing.sequence(ledger, SIGNER, NOW)
    with ledger.connection, ledger.connection.cursor() as cursor:
        line = WITNESS.cosignature(head.body, 1_362_139_200)
        cursor.execute("INSERT INTO cosignatures VALUES (%s, %s, %s)", (head.size, str(WITNESS.key), line))
    return proofs.of_decision(ledger, lake, "toy", "case 07")


def test_a_warrant_proves_its_decision(warrant: bytes) -> None:
    proved = verify_file(warrant, SIGNER.key, [WITNESS.key])
    assert proved.rows["decisions"] == {
        "action": "notify",
        "case_key": "case 07",
        "expected_cost": 1,
        "reasons": '["late"]',
    }
    assert (proved.event["type"], proved.event["data"]["policy_version"], proved.position) == ("decided", "p1", 15)
    assert proved.cosigned == {"witness.example": 1_362_139_200}


def test_every_byte_of_a_warrant_counts(warrant: bytes) -> None:
    """Each byte is given another value, each bit of it is turned: nothing of it is accepted."""
    for at in range(len(warrant)):
        for bit in range(8):
            changed = bytearray(warrant)
            changed[at] ^= 1 << bit
            with pytest.raises(VerificationError):
                verify_file(bytes(changed), SIGNER.key)


def resealed(warrant: bytes, change) -> bytes:
    """The warrant after a change by somebody who knows how its digest is made."""
    document = json.loads(warrant)
    change(document)
    del document["digest"], document["format"]
    return warrant_verify.write(document)


def other_row(document: dict) -> None:
    document["rows"]["decisions"]["row"] = document["rows"]["decisions"]["row"].replace("notify", "proceed")


def other_event(document: dict) -> None:
    document["event"] = document["event"].replace('"p1"', '"p2"')


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_row, "not in the tree"),
        (other_event, "not in the tree"),
        (lambda d: d.update(position=3), "proof"),
        (lambda d: d["rows"]["decisions"].update(position=3), "proof|not in the tree"),
        (lambda d: d["rows"]["decisions"]["proof"].pop(), "too short"),
        (lambda d: d.update(proof=[*d["proof"], d["proof"][0]]), "too long"),
        (lambda d: d.update(rows={"scores": d["rows"]["decisions"]}), "does not commit to rows of scores"),
        (lambda d: d.update(rows=[1]), "'rows' is not understood"),
        (lambda d: d["rows"].update(decisions=3), "row decisions is not understood"),
        (lambda d: d.pop("checkpoint"), "'checkpoint' is missing"),
        (lambda d: d.update(position=True), "'position' is no number"),
        (lambda d: d.update(proof="none"), "'proof' is no proof"),
        (lambda d: d.update(checkpoint=NOTE), "not in the tree|proof|no leaf"),
    ],
)
def test_a_changed_warrant_is_refused_however_it_is_sealed(warrant: bytes, change, says: str) -> None:
    assert resealed(warrant, lambda _: None) == warrant
    with pytest.raises(VerificationError, match=says):
        verify_file(resealed(warrant, change), SIGNER.key)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"format":"warrant/1"}', b"[" * 100_000, b"x" * 17_000_000]
)
def test_what_is_no_warrant_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        verify_file(data, SIGNER.key)


def test_a_warrant_without_the_witness_that_is_asked_for_is_refused(warrant: bytes) -> None:
    stranger = Signer("stranger.example", COSIGNATURE, bytes(32))
    with pytest.raises(VerificationError, match=r"not signed by stranger\.example"):
        verify_file(warrant, SIGNER.key, [WITNESS.key, stranger.key])


def test_the_verifier_needs_nothing_else_of_warrant(warrant: bytes, tmp_path: Path) -> None:
    """Its file, copied elsewhere, in an interpreter that finds no other module of ours."""
    (tmp_path / "warrant_verify.py").write_bytes(Path(str(warrant_verify.__file__)).read_bytes())
    (tmp_path / "case.json").write_bytes(warrant)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = (
            "import sys; sys.path.insert(0, '.'); sys.argv[0] = 'warrant_verify.py'; import warrant_verify as w; "
            "code = w.main(); ours = [m for m in sys.modules if m.split('.')[0] in "
            "('automation', 'assets', 'contracts', 'feature_repo', 'rfc8785', 'orjson', 'psycopg2', 'polars')]; "
            "assert not ours, ours; sys.exit(code)"
        )
        command = [sys.executable, "-c", code, "case.json", "--key", str(SIGNER.key), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    proved = run("--witness", str(WITNESS.key))
    assert proved.returncode == 0, proved.stderr
    assert "proved: decided at 2013-03-01T12:00:00.000000Z, version 1 of decisions/toy/2013-03-01" in proved.stdout
    assert "action: notify" in proved.stdout
    assert json.loads(run("--json").stdout)["rows"]["decisions"]["case_key"] == "case 07"
    (tmp_path / "case.json").write_bytes(warrant.replace(b"notify", b"proceed"))
    refused = run()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not proved: The file was changed" in refused.stderr


def test_an_event_is_proved_alone(ledger: Ledger) -> None:
    filled(ledger, streams=1)
    [event] = ledger.events("stream/0", after=2, most=1)
    proved = verify_file(proofs.of_event(ledger, event), SIGNER.key)
    assert (proved.event["data"], proved.rows) == ({"n": 2}, {})
    ledger.append("stream/0", 5, happened(9))
    [waiting] = ledger.events("stream/0", after=5)
    with pytest.raises(NoProofError):
        proofs.of_event(ledger, waiting)


# ---------------------------------------------------------------- omission


def test_a_day_decided_again_with_the_same_rows_is_committed_once(ledger: Ledger, lake: Lakehouse) -> None:
    rows = lake.read("toy", "decisions")
    first = decisions.commit(ledger, "toy", DAY_OF, rows, {}, NOW)
    assert decisions.commit(ledger, "toy", DAY_OF, rows.reverse(), {}, NOW) == first
    other = decisions.commit(ledger, "toy", DAY_OF, rows.head(19), {}, NOW)
    assert (first.version, other.version) == (1, 2)


def test_what_the_table_or_the_ledger_alone_has_is_found(ledger: Ledger, lake: Lakehouse) -> None:
    from automation.calendar import Days

    day, rows = Days.one(DAY_OF), lake.read("toy", "decisions")

    def differs() -> list[str]:
        return [each.says for each in decisions.reconcile(ledger, lake, "toy")]

    assert differs() == ["the table has decisions, and the ledger commits to none: they were added, or never committed"]
    decisions.commit(ledger, "toy", DAY_OF, rows, {}, NOW)
    assert differs() == []
    edited = rows.with_columns(action=pl.when(pl.col("case_key") == "case 03").then(pl.lit("x")).otherwise("action"))
    for changed, says in (
        (edited, "a decision of the table is not as it was committed to: one was edited or exchanged"),
        (rows.head(19), "the table has 19 decisions, the ledger commits to 20"),
        (pl.concat([rows, rows.head(1).with_columns(case_key=pl.lit("z"))]), "the table has 21 decisions, the ledger"),
    ):
        lake.replace_days("toy", "decisions", changed, day)
        [said] = differs()
        assert said.startswith(says)
        with pytest.raises(NoProofError, match="does not commit to the decisions"):
            proofs.of_decision(ledger, lake, "toy", "case 07")
    lake.replace_days("toy", "decisions", rows.clear(), day)
    assert differs() == ["the ledger commits to 20 decisions, and the table has none"]
    with pytest.raises(NoProofError, match="no decision of case 07"):
        proofs.of_decision(ledger, lake, "toy", "case 07")
    lake.replace_days("toy", "decisions", rows.reverse(), day)
    assert differs() == []
