"""Checks proofs of Warrant's ledger: no database, no network, nothing of Warrant but this file and `cryptography`.

    python warrant_verify.py FILE --key "name+id+key" [--witness "name+id+key"]

FILE is what `warrant export` or `warrant ledger prove` wrote. Exit code 0: it is proved, and what is said in it is
printed. 1: it is not, with the reason.

What is checked, and where it is defined:

- leaves and nodes of the Merkle tree, inclusion and consistency proofs: RFC 9162 (RFC 6962 before it), SHA-256
- checkpoints: C2SP tlog-checkpoint, signed notes with Ed25519 (C2SP signed-note)
- cosignatures of witnesses: C2SP tlog-cosignature, ``cosignature/v1``

Everything that comes in is untrusted: whatever is malformed raises `VerificationError`, which says what was wrong.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32
# The kinds of signature, as their key's first byte says it.
ED25519, COSIGNATURE = 1, 4
# A signature line begins so: an em dash and a space.
SIGNATURE = "\N{EM DASH} "
NAME = re.compile(r"[^\s+]+")
MOST_SIGNATURES = 64


class VerificationError(Exception):
    """What was to be verified is not so, or is not understood."""


# ---------------------------------------------------------------- the Merkle tree


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 9162, 2.1.1: the hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162, 2.1.1: the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of a tree with these leaf hashes."""
    if not hashes:
        return EMPTY_ROOT
    # Complete subtrees from the left, the largest first, as the bits of the count say; joined from the right.
    level, odd = list(hashes), None
    while len(level) > 1 or odd is not None:
        if len(level) % 2:
            last = level.pop()
            odd = last if odd is None else node_hash(last, odd)
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
        if not level and odd is not None:
            return odd
    return level[0]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162, 2.1.3.2: the leaf with hash ``leaf`` is at ``index`` of the tree of ``size`` leaves with this root.

    Raises:
        VerificationError: it is not.
    """
    if not 0 <= index < size:
        raise VerificationError(f"There is no leaf {index} in a tree of {size}.")
    _hashes([leaf, *proof, root])
    node, last, found = index, size - 1, leaf
    for part in proof:
        if last == 0:
            raise VerificationError("The inclusion proof is too long.")
        if node % 2 or node == last:
            found = node_hash(part, found)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, part)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise VerificationError("The inclusion proof is too short.")
    if found != root:
        raise VerificationError(f"Leaf {index} is not in the tree: its proof leads to another root.")


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162, 2.1.4.2: the tree of ``size`` leaves begins with the ``old`` leaves that the old root is of.

    Raises:
        VerificationError: it does not.
    """
    _hashes([old_root, root, *proof])
    if not 0 <= old <= size:
        raise VerificationError(f"A tree of {size} leaves has no part of {old}.")
    if old in (0, size):
        expected = root if old else EMPTY_ROOT
        if proof or old_root != expected:
            raise VerificationError(f"The tree of {size} leaves is not the one seen before.")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise VerificationError("The consistency proof is empty.")
    first, second = _both_roots(path, old - 1, size - 1)
    if first != old_root or second != root:
        raise VerificationError(f"The tree of {size} leaves does not begin with the {old} that were seen before.")


def _both_roots(path: Sequence[bytes], node: int, last: int) -> tuple[bytes, bytes]:
    """The old and the new root that a consistency proof leads to."""
    while node % 2:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for part in path[1:]:
        if last == 0:
            raise VerificationError("The consistency proof is too long.")
        if node % 2 or node == last:
            first, second = node_hash(part, first), node_hash(part, second)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, part)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise VerificationError("The consistency proof is too short.")
    return first, second


def _hashes(values: Sequence[bytes]) -> None:
    if any(len(value) != HASH_BYTES for value in values):
        raise VerificationError("A hash does not have 32 bytes.")


# ---------------------------------------------------------------- signed notes


@dataclass(frozen=True)
class Key:
    """A public key with the name it signs under, as C2SP signed-note writes it: ``name+id+key``."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of the digest of name, kind and key: which key a signature line is by."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"


def key(text: str) -> Key:
    """Reads ``name+id+key``.

    Raises:
        VerificationError: it is none, its id is not its own, or its kind is unknown.
    """
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not NAME.fullmatch(parts[0]):
        raise VerificationError(f"{text.strip()[:80]!r} is no key: it has the form name+id+key.")
    data = _decoded(parts[2], "key")
    if len(data) != 1 + HASH_BYTES or data[0] not in (ED25519, COSIGNATURE):
        raise VerificationError(f"The key of {parts[0]} is of a kind that is not known here.")
    found = Key(parts[0], data[0], data[1:])
    if found.id.hex() != parts[1]:
        raise VerificationError(f"The key of {parts[0]} does not have the id {parts[1]}.")
    return found


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its name, its number of leaves and their root. ``body`` is the text that is signed."""

    origin: str
    size: int
    root: bytes
    body: str
    signatures: tuple[tuple[str, bytes], ...] = ()


def checkpoint_body(origin: str, size: int, root: bytes) -> str:
    """C2SP tlog-checkpoint: the text that is signed."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def checkpoint(note: str) -> Checkpoint:
    """Reads a checkpoint with its signatures, verifying none of them.

    Raises:
        VerificationError: it is none.
    """
    body, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise VerificationError("This is no signed note: text, an empty line and signatures, each line with its end.")
    body += "\n"
    parts = body.split("\n")
    if len(parts) < 4 or not parts[0] or "" in parts[:-1]:
        raise VerificationError("This is no checkpoint: its origin, size or root is missing.")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", parts[1]):
        raise VerificationError(f"The checkpoint's size is no number: {parts[1][:40]!r}.")
    root = _decoded(parts[2], "root")
    _hashes([root])
    signatures = []
    for line in lines.removesuffix("\n").split("\n"):
        name, _, value = line.removeprefix(SIGNATURE).partition(" ")
        if not line.startswith(SIGNATURE) or not NAME.fullmatch(name):
            raise VerificationError("A line of signatures is none.")
        data = _decoded(value, "signature")
        if len(data) < 5:
            raise VerificationError(f"The signature of {name} is too short.")
        signatures.append((name, data))
    if len(signatures) > MOST_SIGNATURES:
        raise VerificationError(f"There are more than {MOST_SIGNATURES} signatures.")
    return Checkpoint(parts[0], int(parts[1]), root, body, tuple(signatures))


def verify_checkpoint(note: str, by: Key) -> Checkpoint:
    """The checkpoint, once its signature by the log's key is verified.

    Raises:
        VerificationError: it is not signed by that key, or for another log.
    """
    found = checkpoint(note)
    if found.origin != by.name:
        raise VerificationError(f"The checkpoint is of {found.origin}, not of {by.name}.")
    verify_signature(found, by)
    return found


def verify_signature(found: Checkpoint, by: Key) -> int | None:
    """Verifies the signature of a key on a checkpoint. Returns a witness's time, in seconds since 1970.

    Raises:
        VerificationError: there is none by that key, or one that is wrong.
    """
    mine = [data[4:] for name, data in found.signatures if name == by.name and data[:4] == by.id]
    if not mine:
        raise VerificationError(f"The checkpoint is not signed by {by.name} with the key {by.id.hex()}.")
    if len(mine) > 1:
        raise VerificationError(f"The checkpoint has {len(mine)} signatures by one key of {by.name}.")
    signature, time, text = mine[0], None, found.body.encode()
    if by.kind == COSIGNATURE:
        if len(signature) != 8 + 64:
            raise VerificationError(f"The cosignature of {by.name} has the wrong length.")
        time = int.from_bytes(signature[:8], "big")
        signature, text = signature[8:], cosigned(found.body, time)
    try:
        Ed25519PublicKey.from_public_bytes(by.public).verify(signature, text)
    except (InvalidSignature, ValueError):
        raise VerificationError(f"The signature of {by.name} is wrong: the checkpoint was changed.") from None
    return time


def cosigned(body: str, time: int) -> bytes:
    """C2SP tlog-cosignature: what a witness signs at a time, in seconds since 1970."""
    return f"cosignature/v1\ntime {time}\n{body}".encode()


def _decoded(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError(f"The {what} is not in base 64.") from None
    # One text a value: what decodes to the same bytes in another spelling is not accepted.
    if base64.b64encode(data).decode() != text:
        raise VerificationError(f"The {what} is not in base 64 as it is written.")
    return data


# ---------------------------------------------------------------- a file that proves itself

FORMAT = "warrant/1"
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Proved:
    """What a file proves: an event of the ledger, rows that the event commits to, and who says so.

    ``cosigned`` has, by witness, when it saw the log that the event is in, in seconds since 1970.
    """

    event: dict[str, Any]
    position: int
    rows: dict[str, dict[str, Any]]
    checkpoint: Checkpoint
    cosigned: dict[str, int]


def digest_of(document: dict[str, Any]) -> str:
    """What `digest` of a file must be: so that no byte of it can be another, whether a signature covers it or not."""
    return hashlib.sha256(_written({k: v for k, v in document.items() if k != "digest"})).hexdigest()


def write(document: dict[str, Any]) -> bytes:
    """A file of a document that has everything but its format and digest."""
    told = {**document, "format": FORMAT}
    return _written({**told, "digest": digest_of(told)})


def _written(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def verify_file(data: bytes, by: Key, witnesses: Sequence[Key] = ()) -> Proved:
    """Everything that the file claims, once all of it is verified.

    Each row is in its batch, whose root the event names; the event is in the log; the log's head is signed by its key
    and cosigned by every witness that is asked for.

    Raises:
        VerificationError: something is not so, or not understood.
    """
    document = _document(data)
    head = verify_checkpoint(_text(document, "checkpoint"), by)
    cosigned_at = {witness.name: verify_signature(head, witness) or 0 for witness in witnesses}
    leaf, position = _text(document, "event"), _number(document, "position")
    verify_inclusion(leaf_hash(leaf.encode()), position, head.size, _proof(document, "proof"), head.root)
    event = _object(leaf, "event")
    rows = {}
    for name, claim in _mapping(document, "rows").items():
        rows[name] = _row(name, claim, event)
    return Proved(event, position, rows, head, cosigned_at)


def _row(name: str, claim: Any, event: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(claim, dict):
        raise VerificationError(f"The row {name} is not understood.")
    batches = event.get("data", {}).get("batches", {}) if isinstance(event.get("data"), dict) else {}
    batch = batches.get(name) if isinstance(batches, dict) else None
    if not isinstance(batch, dict):
        raise VerificationError(f"The event does not commit to rows of {name}.")
    text, root = _text(claim, "row"), _decoded(_text(batch, "root"), "root")
    proof = _proof(claim, "proof")
    verify_inclusion(leaf_hash(text.encode()), _number(claim, "position"), _number(batch, "rows"), proof, root)
    return _object(text, f"row of {name}")


def _document(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise VerificationError("The file is too large.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise VerificationError("The file is not UTF-8.") from None
    document = _object(text, "file")
    if document.get("format") != FORMAT:
        raise VerificationError(f"The file's format is not {FORMAT}.")
    if data != _written(document) or document.get("digest") != digest_of(document):
        raise VerificationError("The file was changed: it does not have the digest that it names.")
    return document


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise VerificationError(f"The {what} is not JSON.") from None
    if not isinstance(found, dict):
        raise VerificationError(f"The {what} is no JSON object.")
    return found


def _mapping(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise VerificationError(f"{name!r} is not understood.")
    return found


def _text(document: dict[str, Any], name: str) -> str:
    found = document.get(name)
    if not isinstance(found, str):
        raise VerificationError(f"{name!r} is missing.")
    return found


def _number(document: dict[str, Any], name: str) -> int:
    found = document.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise VerificationError(f"{name!r} is no number.")
    return found


def _proof(document: dict[str, Any], name: str) -> list[bytes]:
    found = document.get(name)
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise VerificationError(f"{name!r} is no proof.")
    return [_decoded(line, "proof") for line in found]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns its exit code."""
    parser = argparse.ArgumentParser("warrant_verify", description="Check a warrant, with this file and a public key.")
    parser.add_argument("file", help="what `warrant export` or `warrant ledger prove` wrote")
    parser.add_argument("--key", required=True, help="the log's public key, name+id+key: from a source you trust")
    parser.add_argument(
        "--witness", action="append", default=[], help="a witness that must have cosigned; again for more"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    try:
        with open(given.file, "rb") as file:  # noqa: PTH123 - one import less
            data = file.read(MOST_BYTES + 1)
        proved = verify_file(data, key(given.key), [key(text) for text in given.witness])
    except (OSError, VerificationError) as error:
        print(f"not proved: {error}", file=sys.stderr)
        return 1
    head = proved.checkpoint
    if given.json:
        told = {"event": proved.event, "position": proved.position, "rows": proved.rows, "size": head.size}
        print(json.dumps(told | {"origin": head.origin, "cosigned": proved.cosigned}, indent=2, ensure_ascii=False))
        return 0
    print(
        f"proved: {proved.event.get('type')} at {proved.event.get('time')}, version {proved.event.get('version')} of "
        f"{proved.event.get('stream')}: leaf {proved.position} of {head.size} of {head.origin}"
    )
    for name, row in proved.rows.items():
        print(f"  {name}")
        for column, value in row.items():
            print(f"    {column}: {value}")
    for name, time in proved.cosigned.items():
        print(f"  cosigned by {name} at {datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC")
    return 0


if __name__ == "__main__":
    sys.exit(main())
