"""Asks a witness to cosign the newest checkpoint, and keeps what it signed."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.ledger import sequencing
from automation.ledger.sequencing import StoredTiles
from automation.ledger.tree import consistency_proof
from automation.ledger.witness import PATH, SIZE_TYPE, request
from warrant_verify import VerificationError, checkpoint, verify_signature

if TYPE_CHECKING:
    from automation.ledger.store import Ledger
    from warrant_verify import Key

SECONDS = 10


class WitnessRefusedError(WarrantError):
    """The witness does not cosign: what it has seen before is no part of this log."""


class WitnessUnreachableError(WarrantError):
    """The witness does not answer, or not as a witness does."""


def ask(ledger: Ledger, url: str, key: Key) -> int | None:
    """Has the newest checkpoint cosigned. Returns its size; None if there is none, or the witness has signed it before.

    Raises:
        WitnessRefusedError: the witness has seen another log, or a longer one.
        WitnessUnreachableError: it does not answer.
    """
    note = sequencing.newest_note(ledger)
    if note is None:
        return None
    given = checkpoint(note)
    if _kept(ledger, given.size, key):
        return None
    old = _last(ledger, key)
    for _ in range(2):
        with ledger.connection:
            proof = consistency_proof(StoredTiles(ledger.connection), old, given.size)
        status, kind, body = _posted(url, request(old, proof, note))
        if status == 200:
            _keep(ledger, given.size, key, note, body)
            return given.size
        if status != 409 or kind != SIZE_TYPE:
            raise _refused(url, status, body)
        seen = int(body)
        if seen > given.size or seen == old:
            raise WitnessRefusedError(
                f"The witness {key.name} has seen a log of {seen} leaves, which this one, of {given.size}, "
                "does not continue.",
                remedy="The database was set back or replaced. `warrant ledger verify` beside the witness's checkpoint "
                "says what is missing; restore it before anything else is appended.",
            )
        # It has signed more than we kept of it.
        old = seen
    raise WitnessUnreachableError(f"The witness {key.name} does not say what it has seen.", remedy="Ask it again.")


def _refused(url: str, status: int, body: str) -> WarrantError:
    said = " ".join(body.split())[:200]
    if status == 422:
        return WitnessRefusedError(
            f"The witness at {url} has seen another log: {said}",
            remedy="A fork: this log was rewritten after the witness signed it. `warrant ledger verify` says where.",
        )
    return WitnessUnreachableError(
        f"The witness at {url} answers {status}: {said}",
        remedy="Check its address, and that it was given this log's key (`warrant ledger keys show`).",
    )


def _posted(url: str, body: bytes) -> tuple[int, str, str]:
    asked = urllib.request.Request(url.rstrip("/") + PATH, data=body, method="POST")  # noqa: S310 - settings name it
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, answer.headers.get_content_type(), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read().decode(errors="replace")
    except (OSError, UnicodeDecodeError) as error:
        raise WitnessUnreachableError(
            f"The witness at {url} does not answer: {type(error).__name__}.", remedy="Start it, or mend its address."
        ) from error


def _keep(ledger: Ledger, size: int, key: Key, note: str, line: str) -> None:
    try:
        verify_signature(checkpoint(note + line), key)
    except VerificationError as error:
        raise WitnessUnreachableError(
            f"What the witness {key.name} answered is no cosignature of its own: {error}",
            remedy="Check the witness's key in WARRANT_LEDGER_WITNESS_KEY.",
        ) from error
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cosignatures (size, witness, line) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (size, str(key), line),
        )


def _kept(ledger: Ledger, size: int, key: Key) -> bool:
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cosignatures WHERE size = %s AND witness = %s", (size, str(key)))
        return cursor.fetchone() == (1,)


def _last(ledger: Ledger, key: Key) -> int:
    """The size of the newest checkpoint that we know the witness has signed."""
    with ledger.connection, ledger.connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(size), 0) FROM cosignatures WHERE witness = %s", (str(key),))
        [(size,)] = cursor.fetchall()
        return size
