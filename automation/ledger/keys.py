"""Signing keys: Ed25519, in a file of their own, as ``PRIVATE+KEY+name+id+key`` (C2SP signed-note's form in Go).

What they sign are notes: a text, an empty line, and a line for each signature. `warrant_verify` checks them.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from automation.errors import WarrantError
from warrant_verify import COSIGNATURE, ED25519, NAME, SIGNATURE, Key, cosigned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = "PRIVATE+KEY+"
SEED_BYTES = 32


class KeyFileError(WarrantError):
    """A signing key's file cannot be used. What it holds is never repeated."""


@dataclass(frozen=True)
class Signer:
    """A private key with the name it signs under. ``kind`` is ED25519 (a log's) or COSIGNATURE (a witness's)."""

    name: str
    kind: int
    seed: bytes

    def __repr__(self) -> str:
        return f"Signer({self.name!r})"

    @property
    def key(self) -> Key:
        """The public key."""
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Key(self.name, self.kind, public)

    def signature(self, body: str) -> str:
        """The line, with its end, by which this key signs a checkpoint's body as its log."""
        return self._line(self._private.sign(body.encode()))

    def cosignature(self, body: str, time: int) -> str:
        """The line by which a witness signs a checkpoint's body at a time, in seconds since 1970."""
        return self._line(time.to_bytes(8, "big") + self._private.sign(cosigned(body, time)))

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def _line(self, data: bytes) -> str:
        return f"{SIGNATURE}{self.name} {base64.b64encode(self.key.id + data).decode()}\n"


def generated(name: str, kind: int, random: Callable[[int], bytes] = os.urandom) -> Signer:
    """A new key.

    Raises:
        KeyFileError: the name cannot be a key's.
    """
    if not NAME.fullmatch(name):
        raise KeyFileError(
            f"{name!r} cannot be the name of a key.",
            remedy="Choose one without spaces and plus signs, like a host's name.",
        )
    return Signer(name, kind, random(SEED_BYTES))


def read(file: Path) -> Signer:
    """The key that lies in a file.

    Raises:
        KeyFileError: there is none, it is not one, or others may read it.
    """
    try:
        text = file.read_text("ascii")
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"The signing key {file} cannot be read: {type(error).__name__}.",
            remedy="Put it back from where it is kept safe, or make one with `warrant ledger keys create`.",
        ) from error
    if mode & 0o077:
        raise KeyFileError(f"Others may read the signing key {file}.", remedy=f"Run: chmod 600 {file}")
    parts = text.strip().removeprefix(HEAD).split("+", 2)
    try:
        data = base64.b64decode(parts[2], validate=True)
        found = Signer(parts[0], data[0], data[1:])
    except (IndexError, ValueError):
        found = None
    known = found is not None and found.kind in (ED25519, COSIGNATURE) and len(found.seed) == SEED_BYTES
    if not text.startswith(HEAD) or found is None or not known or found.key.id.hex() != parts[1]:
        raise KeyFileError(
            f"{file} does not hold a signing key.",
            remedy="Put it back from where it is kept safe: it was cut or changed.",
        )
    return found


def write(signer: Signer, file: Path) -> None:
    """Writes a key where none lies, for its owner alone to read. It is there whole, or not at all.

    Raises:
        KeyFileError: there is one, or it cannot be written.
    """
    text = (
        f"{HEAD}{signer.name}+{signer.key.id.hex()}+{base64.b64encode(bytes([signer.kind]) + signer.seed).decode()}\n"
    )
    draft = file.with_name(f"{file.name}.{os.getpid()}.{hashlib.sha256(os.urandom(8)).hexdigest()[:8]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            # Unlike a rename, a link never takes the place of a key that another process has just written.
            os.link(draft, file)
        finally:
            draft.unlink()
    except FileExistsError:
        raise KeyFileError(
            f"There is a signing key in {file} already.", remedy="Rotate it with `warrant ledger keys rotate`."
        ) from None
    except OSError as error:
        raise KeyFileError(
            f"The signing key {file} cannot be written: {error.strerror}.",
            remedy="Choose a folder that you may write to: WARRANT_LEDGER_KEY_FILE.",
        ) from error
