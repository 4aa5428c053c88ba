"""A witness: a process with a key and a memory of its own, which cosigns a log's heads while each continues the last.

C2SP tlog-witness: ``POST /add-checkpoint`` with the size it has seen, a consistency proof and the checkpoint. It
answers with its cosignature, or refuses: 409 with the size it has seen, 422 for a proof that does not hold (a fork),
403 for a signature that is not the log's, 404 for a log it does not know, 400 for what it cannot read. What it has seen
is on disk before it answers, so that it never signs two stories, killed or not.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from warrant_verify import (
    EMPTY_ROOT,
    Checkpoint,
    VerificationError,
    checkpoint,
    verify_checkpoint,
    verify_consistency,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from automation.ledger.keys import Signer
    from warrant_verify import Key

PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
MOST_BYTES = 64 * 1024
MOST_HASHES = 63
OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
FORM = "A request is `old N`, a proof in base 64, an empty line and a checkpoint."


@dataclass(frozen=True)
class Answer:
    """A status of HTTP, and the body that goes with it."""

    status: HTTPStatus
    body: str = ""
    type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Seen:
    """The head of a log that was cosigned last."""

    size: int
    root: bytes
    note: str


class Witness:
    """Cosigns the logs whose keys it knows. Its memory is a folder: a file for each log, replaced as a whole."""

    def __init__(self, signer: Signer, logs: Sequence[Key], folder: Path, clock: Callable[[], datetime]) -> None:
        self._signer = signer
        self._logs = {key.name: key for key in logs}
        self._folder = folder
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answers one request."""
        try:
            old, proof, note = read_request(body)
            given = checkpoint(note)
        except VerificationError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        key = self._logs.get(given.origin)
        if key is None:
            return Answer(HTTPStatus.NOT_FOUND, f"The log {given.origin} is not known here.\n")
        try:
            verify_checkpoint(note, key)
        except VerificationError as error:
            return Answer(HTTPStatus.FORBIDDEN, f"{error}\n")
        if old > given.size:
            return Answer(HTTPStatus.BAD_REQUEST, f"The old size, {old}, is more than the checkpoint's.\n")
        with self._one_at_a_time(given.origin):
            return self._cosign(given, note, old, proof)

    def _cosign(self, given: Checkpoint, note: str, old: int, proof: Sequence[bytes]) -> Answer:
        seen = self.seen(given.origin)
        size, root = (seen.size, seen.root) if seen else (0, EMPTY_ROOT)
        if old != size:
            return Answer(HTTPStatus.CONFLICT, f"{size}\n", SIZE_TYPE)
        if given.size == size and given.root != root:
            return Answer(HTTPStatus.CONFLICT, f"{size}\n", SIZE_TYPE)
        try:
            verify_consistency(size, root, given.size, given.root, proof)
        except VerificationError as error:
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}\n")
        self._remember(given, note)
        return Answer(HTTPStatus.OK, self._signer.cosignature(given.body, int(self._clock().timestamp())))

    def seen(self, origin: str) -> Seen | None:
        """The head of a log that was cosigned last; None if none was."""
        try:
            held = json.loads(self._file(origin).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return Seen(held["size"], base64.b64decode(held["root"]), held["note"])

    def _remember(self, given: Checkpoint, note: str) -> None:
        file = self._file(given.origin)
        draft = file.with_suffix(".new")
        told = {"origin": given.origin, "size": given.size, "root": base64.b64encode(given.root).decode(), "note": note}
        with draft.open("w", encoding="utf-8") as handle:
            json.dump(told, handle)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _file(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"

    @contextmanager
    def _one_at_a_time(self, origin: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file(origin).with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def request(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of a request: the size that the witness has seen, a proof from there, and the checkpoint."""
    lines = [f"old {old}", *(base64.b64encode(hash_).decode() for hash_ in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def read_request(body: bytes) -> tuple[int, list[bytes], str]:
    """The parts of a request's body.

    Raises:
        VerificationError: it is none.
    """
    try:
        head, gap, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        proof = [base64.b64decode(line, validate=True) for line in lines]
    except (ValueError, binascii.Error):
        raise VerificationError(FORM) from None
    old = OLD.fullmatch(first)
    if not gap or old is None:
        raise VerificationError(FORM)
    if len(proof) > MOST_HASHES:
        raise VerificationError(f"A proof has at most {MOST_HASHES} hashes.")
    return int(old[1]), proof, note


def server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """An HTTP server that answers for the witness. Its `server_address` says where; `serve_forever` runs it."""

    class Handler(BaseHTTPRequestHandler):
        # A connection that sends nothing must not hold a thread for ever.
        timeout = 10

        def do_POST(self) -> None:
            if self.path != PATH:
                self._answer(Answer(HTTPStatus.NOT_FOUND))
                return
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                self.close_connection = True
                self._answer(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
                return
            self._answer(witness.add_checkpoint(self.rfile.read(int(length))))

        def _answer(self, answer: Answer) -> None:
            body = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is said of each request: the log that asks keeps the cosignatures."""

    return ThreadingHTTPServer((host, port), Handler)
