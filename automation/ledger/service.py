"""Keeps the head of the ledger signed, cosigned and anchored, at most a second behind what is appended."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg2

from automation.errors import WarrantError
from automation.ledger import custody, sequencing, store, witnessing
from warrant_verify import checkpoint, key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from automation.ledger.store import Ledger
    from automation.settings import Settings

EVERY_SECONDS = 0.5
# What failed is tried again, but not so often that the log is full of it.
AGAIN_SECONDS = 10.0


def keep(settings: Settings, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Signs, has cosigned and anchors until ``stop`` is set. What fails is said and tried again."""
    said = ""
    while not stop.is_set():
        try:
            with store.opened(settings) as ledger:
                while not stop.wait(EVERY_SECONDS):
                    bring_up_to_date(settings, ledger, datetime.now(UTC))
                    said = ""
        except (WarrantError, psycopg2.Error) as error:
            if str(error) != said:
                said = str(error)
                say(said)
            stop.wait(AGAIN_SECONDS)


def bring_up_to_date(settings: Settings, ledger: Ledger, now: datetime) -> str | None:
    """Signs what waits; has the head cosigned and anchored where that is set up. Returns the newest checkpoint's text.

    A run that wants its proof at once calls it, too.

    Raises:
        WitnessRefusedError, WitnessUnreachableError: the head is signed and anchored, but not cosigned.
        The errors of `custody.signer`.
    """
    if custody.current(ledger) is None and not sequencing.waiting(ledger):
        return None
    signer = custody.signer(settings, ledger, now)
    sequencing.sequence(ledger, signer, now)
    note = sequencing.newest_note(ledger)
    if note is not None and settings.ledger_anchor is not None:
        anchor(note, settings.ledger_anchor)
    if settings.ledger_witness_url and settings.ledger_witness_key:
        witnessing.ask(ledger, settings.ledger_witness_url, key(settings.ledger_witness_key))
        note = sequencing.newest_note(ledger)
    return note


def anchor(note: str, folder: Path) -> Path:
    """Writes a checkpoint into a folder, under its size, once: what lies there is never written again.

    The folder is worth what its keeper is: somebody else than the database's administrator, a volume that can be
    written once (WORM), a mount of another organisation.

    Raises:
        AnchorError: it cannot be written, or another checkpoint of that size lies there.
    """
    given = checkpoint(note)
    file = folder / f"{given.size:012}.checkpoint"
    try:
        if file.exists():
            held = checkpoint(file.read_text("utf-8"))
            if held.root != given.root:
                raise AnchorError(
                    f"{file} has another root for {given.size} leaves: the log was forked.",
                    remedy="`warrant ledger verify --seen` with that file says where. Keep it: it is the evidence.",
                )
            return file
        folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_text(note, "utf-8")
        draft.replace(file)
    except OSError as error:
        raise AnchorError(
            f"The checkpoint cannot be written to {folder}: {error.strerror}.",
            remedy="Mend WARRANT_LEDGER_ANCHOR; the ledger is signed meanwhile, and anchored when that works again.",
        ) from error
    return file


class AnchorError(WarrantError):
    """A checkpoint cannot be put where it is safe."""


def run(settings: Settings) -> None:
    """`keep` until the process is asked to end."""
    import signal

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep(settings, stop, lambda says: print(says, file=sys.stderr, flush=True))  # noqa: T201 - its log is its output
