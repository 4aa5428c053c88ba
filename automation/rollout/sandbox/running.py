"""`Sandbox`: predicts with a model that came with code of its own, in a process that can do nothing else.

The features go in as Arrow IPC; the probabilities come back as the bytes of float64, of which there must be as many as
rows: nothing that foreign code wrote is ever parsed here. Each prediction is a process of its own (template.py), which
keeps nothing for the next. A `Sandbox` runs one at a time and may be used by several threads.
"""

from __future__ import annotations

import io
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from automation.errors import WarrantError
from automation.rollout.sandbox import mlmodel, verdict
from automation.rollout.sandbox.confinement import Protection, Protections
from automation.rollout.sandbox.talk import Talk, pipes
from automation.rollout.sandbox.template import CONTROL, READY, Ended, Request

if TYPE_CHECKING:
    from types import TracebackType

    import polars as pl

ROOT: Final = Path(__file__).parents[3]
ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    # Arrow's own allocator has threads, which a copy of a process is without.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # No folder of anybody's; as it is none at all, nothing can be put there either.
    "HOME": os.devnull,
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # Sums in a fixed order: a model answers the same each time, whatever else the machine does.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Otherwise joblib starts a program that counts the cores, and makes semaphores, which are files.
    "LOKY_MAX_CPU_COUNT": "1",
    "JOBLIB_MULTIPROCESSING": "0",
    # Each further one reserves addresses, which the limit on memory counts.
    "MALLOC_ARENA_MAX": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "ignore",
}
"""All that foreign code finds in its environment."""
_START_SECONDS: Final = 120
_GRACE_SECONDS: Final = 10
_MOST_REPLY: Final = 1 << 12


@dataclass(frozen=True)
class Limits:
    """What a model may use for one prediction, from its load to its answer.

    ``memory_bytes`` is beyond what Python and its packages take; ``threads`` beyond its first.
    """

    seconds: float = 20.0
    memory_bytes: int = 1024**3
    threads: int = 32
    model_bytes: int = 1024**3


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probabilities, float64 of shape (rows,), and what they took.

    ``seconds``, from the process's start to its end, and ``peak_memory_bytes``, with that of Python and its packages,
    are measured from outside. How much of it was loading and predicting is as the process says: good for reports, and
    no ground to trust a model on, which can say what it likes. ``printed`` is the last of what the model printed.
    """

    probability: np.ndarray
    seconds: float
    load_seconds: float
    predict_seconds: float
    peak_memory_bytes: int
    printed: str
    protections: Protections


class SandboxError(WarrantError):
    """The sandbox itself does not work; it says nothing about the model."""


class Sandbox:
    """Runs foreign models, each prediction in a confined process of its own. Close it, or use it with ``with``."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._template: _Template | None = None
        self._one_at_a_time = threading.Lock()

    def predict(self, model_dir: Path, frame: pl.DataFrame, limits: Limits | None = None) -> Prediction:
        """The model's probability for each row of ``frame``, whose columns are looked up by its signature.

        Within the sandbox's limits, or those given for this once.

        Raises:
            ModelFailedError: the model did anything but answer one probability a row; its ``kind`` and ``says`` tell.
            SandboxError: the sandbox could not be started.
        """
        limits = limits or self.limits
        with self._one_at_a_time, mlmodel.copied(model_dir, limits.model_bytes) as folder:
            taken = mlmodel.signature(folder).taken_from(frame)
            features = io.BytesIO()
            # Strings as every reader of Arrow knows them.
            taken.write_ipc_stream(features, compat_level=_oldest())
            data = mlmodel.only_data(folder)
            request = Request(str(folder), data, limits.seconds, limits.memory_bytes, limits.threads)
            if self._template is None:
                self._template = _Template()
            try:
                seen = self._template.run(request, features.getvalue(), frame.height)
            except SandboxError:
                self.close()
                raise
        probability = verdict.probabilities(seen.run, frame.height, limits.seconds, limits.memory_bytes)
        return Prediction(
            probability=probability,
            seconds=seen.seconds,
            load_seconds=seen.between("confined", "loaded"),
            predict_seconds=seen.between("loaded", "predicted"),
            peak_memory_bytes=seen.run.peak_memory_bytes,
            printed=seen.printed,
            protections=_protections(seen.run.notes),
        )

    def close(self) -> None:
        """Ends the sandbox's process. Predicting again starts another."""
        if self._template is not None:
            self._template.end()
            self._template = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Seen:
    """A run, what it printed last, and when each note came."""

    run: verdict.Run
    printed: str
    came: dict[str, float]
    seconds: float

    def between(self, first: str, second: str) -> float:
        return self.came.get(second, 0.0) - self.came.get(first, 0.0)


class _Template:
    """The process in `template.py`, and the talk with it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(ROOT), str(theirs.fileno())],
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._control = ours
        self._control.settimeout(_START_SECONDS)
        try:
            ready = self._control.recv(len(READY))
        except TimeoutError:
            ready = b""
        if ready != READY:
            self.end()
            raise self._broken("did not start")

    def run(self, request: Request, features: bytes, rows: int) -> _Seen:
        theirs, ours = pipes()
        try:
            line = json.dumps(request.__dict__).encode() + b"\n"
            socket.send_fds(self._control, [line], theirs)
        except OSError as error:
            for descriptor in ours:
                os.close(descriptor)
            raise self._broken("ended") from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        talk = Talk(ours, features, rows * verdict.ITEM)
        begun = time.monotonic()
        try:
            reply = self._listen(talk, begun + request.seconds + _GRACE_SECONDS)
        finally:
            talk.end()
        ended = Ended(**json.loads(reply))
        run = verdict.Run(
            status=os.waitstatus_to_exitcode(ended.status),
            timed_out=ended.timed_out,
            peak_memory_bytes=ended.peak_memory_bytes,
            notes=talk.notes,
            answer=talk.answer,
            overflowed=talk.overflowed,
        )
        return _Seen(run, talk.printed, talk.came, time.monotonic() - begun)

    def _listen(self, talk: Talk, deadline: float) -> bytes:
        """The template's reply, which it gives once the copy has ended, by when all that the copy said is heard too."""
        reply = b""
        talk.selector.register(self._control, selectors.EVENT_READ)
        while talk.goes_on or not reply.endswith(b"\n"):
            ready = talk.selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._broken("did not answer")
            for key, _ in ready:
                if key.fileobj is not self._control:
                    talk.attend(key.fd, time.monotonic())
                elif received := self._control.recv(_MOST_REPLY):
                    reply += received
                else:
                    raise self._broken("ended")
        return reply

    def end(self) -> None:
        self._control.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _broken(self, how: str) -> SandboxError:
        self._complaints.seek(0)
        last = (self._complaints.read().decode(errors="replace").strip().splitlines() or ["it left no message"])[-1]
        return SandboxError(
            f"The process that runs foreign models {how}: {last}",
            remedy="Run `warrant doctor`: its line on foreign models says what works here.",
        )


_START: Final = (
    "import os, sys; root, control = sys.argv[1:]; sys.path.insert(0, root); "
    f"os.dup2(int(control), {CONTROL}, inheritable=False); "
    f"int(control) == {CONTROL} or os.close(int(control)); "
    "from automation.rollout.sandbox import template; sys.path.remove(root); template.main()"
)


def _protections(notes: tuple[tuple[str, ...], ...]) -> Protections:
    """What the process said before it loaded anything foreign."""
    said = {each.partition(" ")[0]: each.partition(" ")[2] for each in notes[0][1:]}
    lacking = tuple((each, said[each.name]) for each in Protection if said[each.name])
    return Protections(tuple(each for each in Protection if not said[each.name]), lacking)


def _oldest():
    import polars as pl

    return pl.CompatLevel.oldest()
