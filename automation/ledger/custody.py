"""The log's signing key: made with the log, kept in a file, replaced by one that it signs for itself.

The stream ``ledger/keys`` says which key signs from which leaf on: `key_introduced` when the log begins, `key_rotated`
whenever one takes another's place. The first checkpoint after a rotation is signed by both, so that whoever trusted the
old key can trust the new one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.ledger import keys, sequencing
from automation.ledger.store import Happened, StreamConflictError
from warrant_verify import ED25519, Key, key

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from automation.ledger.keys import Signer
    from automation.ledger.store import Ledger
    from automation.settings import Settings

STREAM, INTRODUCED, ROTATED = "ledger/keys", "key_introduced", "key_rotated"


class KeyMissingError(WarrantError):
    """The log was signed before, and its key is not there."""


class OtherKeyError(WarrantError):
    """The key that lies in the file is not the one that the ledger names."""


def key_file(settings: Settings) -> Path:
    """Where the signing key lies."""
    return settings.ledger_key_file or settings.home / "keys" / "ledger.key"


def signer(settings: Settings, ledger: Ledger, now: datetime) -> Signer:
    """The key that signs now. A log that was never signed is given one, under the name WARRANT_LEDGER_NAME.

    Raises:
        KeyMissingError, OtherKeyError, KeyFileError: what lies in the file is not the log's key.
    """
    file, named = key_file(settings), current(ledger)
    if named is None:
        return _introduced(settings, ledger, file, now)
    if not file.exists():
        raise KeyMissingError(
            f"The ledger is signed with the key {named.id.hex()}, and {file} is not there.",
            remedy="Put it back from where it is kept safe, or name it by WARRANT_LEDGER_KEY_FILE. A lost key cannot "
            "be replaced: begin a new log, whose first event names the last checkpoint of this one.",
        )
    held = keys.read(file)
    if held.key != named:
        raise OtherKeyError(
            f"{file} holds the key {held.key.id.hex()} of {held.name}; the ledger is signed by {named.id.hex()} of "
            f"{named.name}.",
            remedy="Name the right one by WARRANT_LEDGER_KEY_FILE. If a rotation was cut off, run "
            "`warrant ledger rotate` again.",
        )
    return held


def _introduced(settings: Settings, ledger: Ledger, file: Path, now: datetime) -> Signer:
    if not file.exists():
        try:
            keys.write(keys.generated(settings.ledger_name, ED25519), file)
        except keys.KeyFileError:
            # Another process was first: its key is the log's.
            if not file.exists():
                raise
    held = keys.read(file)
    try:
        ledger.append(STREAM, 0, [Happened(INTRODUCED, {"key": str(held.key)}, now)])
    except StreamConflictError:
        named = current(ledger)
        if named != held.key:
            raise OtherKeyError(
                f"Another key was introduced while {held.key.id.hex()} was.",
                remedy="Let every process read one key: WARRANT_LEDGER_KEY_FILE.",
            ) from None
    return held


def public_keys(ledger: Ledger) -> list[Key]:
    """Every key that the ledger says it was signed with, in order; the last one signs now."""
    return [key(event.data["key"]) for event in ledger.events(STREAM) if event.type in (INTRODUCED, ROTATED)]


def current(ledger: Ledger) -> Key | None:
    """The key that signs now, as the ledger names it."""
    return next(reversed(public_keys(ledger)), None)


def rotate(settings: Settings, ledger: Ledger, now: datetime) -> Key:
    """Puts a new key in the old one's place and signs with both. Killed anywhere, it is finished by calling it again.

    The old private key is gone afterwards: what was signed with it stays verifiable with its public key.

    Raises:
        KeyFileError, KeyMissingError: the old or the new key cannot be read or written.
    """
    file = key_file(settings)
    following = file.with_name(f"{file.name}.next")
    if not file.exists() and not following.exists():
        return signer(settings, ledger, now).key
    old = keys.read(file)
    if not following.exists():
        if current(ledger) is None:
            signer(settings, ledger, now)
        keys.write(keys.generated(old.name, ED25519), following)
    new = keys.read(following)
    if current(ledger) != new.key:
        version = ledger.version(STREAM)
        ledger.append(STREAM, version, [Happened(ROTATED, {"key": str(new.key), "replaces": str(old.key)}, now)])
    if old.key != new.key:
        sequencing.sequence(ledger, old, now, also=new)
    os.replace(following, file)  # noqa: PTH105 - one call, whole or not at all
    return new.key
