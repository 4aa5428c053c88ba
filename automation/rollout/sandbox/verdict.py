"""What a run of a foreign model comes to: its probabilities, or the failure that it was. Decided on plain values."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

import numpy as np

from automation.rollout.sandbox.failure import Failure, ModelFailedError

ITEM: Final = 8


@dataclass(frozen=True)
class Run:
    """What was seen of a process that ran a model.

    ``status`` is its exit code, or minus the signal that ended it. ``notes`` are the lines it said of itself and are as
    trustworthy as the model: they can make its failure worse, and cannot make a success of it. ``answer`` is what it
    answered, cut short and ``overflowed`` if that was more than the rows asked for.
    """

    status: int
    timed_out: bool
    peak_memory_bytes: int
    notes: tuple[tuple[str, ...], ...]
    answer: bytes
    overflowed: bool


def probabilities(run: Run, rows: int, seconds: float, memory_bytes: int) -> np.ndarray:
    """What the model answered for each of ``rows`` rows, as float64 in [0, 1].

    Raises:
        ModelFailedError: it answered something else, or nothing, or tried what a model may not.
    """
    tried = [note[1] for note in run.notes if note[0] == "tried" and len(note) > 1]
    if tried:
        others = f", and {len(tried) - 3} other things" if len(tried) > 3 else ""
        says = f"it tried to {'; to '.join(tried[:3])}{others}. It was prevented"
        raise ModelFailedError(Failure.FORBIDDEN, says)
    if run.timed_out:
        raise ModelFailedError(Failure.TIMED_OUT, f"timed out after {seconds:g} s, {_doing(run)}")
    if run.overflowed:
        # Nobody listened any more, which is what ended it.
        raise ModelFailedError(Failure.WRONG_ANSWER, f"answered more than {rows:,} values for {rows:,} rows")
    _judge_error(run, memory_bytes)
    if run.status < 0:
        raise ModelFailedError(Failure.CRASHED, f"crashed with signal {_signal(-run.status)}, {_doing(run)}")
    if run.status > 0:
        says = f"ended its process with the exit code {run.status}, {_doing(run)}"
        raise ModelFailedError(Failure.CRASHED, says)
    if not run.answer and rows:
        raise ModelFailedError(Failure.CRASHED, f"ended its process before it answered, {_doing(run)}")
    return _judge_answer(run.answer, rows)


def _judge_error(run: Run, memory_bytes: int) -> None:
    failed = next((note for note in run.notes if note[0] == "failed" and len(note) == 4), None)
    if failed is None:
        return
    _, name, kind, words = failed
    # Said before anything foreign ran, or it is not the process that says it.
    if kind == "NotConfinedError" and not any(note[0] == "confined" for note in run.notes):
        says = f"its code would run here without the protections that foreign code needs: {words}"
        raise ModelFailedError(Failure.UNPROTECTED, says)
    if kind == "MemoryError":
        says = f"needed more than {memory_bytes / 1024**2:,.0f} MiB of memory, {_doing(run)}"
        raise ModelFailedError(Failure.OUT_OF_MEMORY, says)
    if kind == "ModuleNotFoundError":
        raise ModelFailedError(Failure.MISSING_PACKAGE, f"needs a package that is not here: {words}")
    if kind == "WrongAnswerError":
        raise ModelFailedError(Failure.WRONG_ANSWER, words)
    raise ModelFailedError(Failure.RAISED, f"raised {name}, {_doing(run)}: {words}")


def _judge_answer(answer: bytes, rows: int) -> np.ndarray:
    if len(answer) != rows * ITEM:
        values, rest = divmod(len(answer), ITEM)
        what = f"{len(answer):,} bytes, which are no whole values," if rest else f"{values:,} values"
        raise ModelFailedError(Failure.WRONG_ANSWER, f"answered {what} for {rows:,} rows")
    values = np.frombuffer(answer, dtype="<f8").astype(np.float64)
    for wrong, what in (
        (~np.isfinite(values), "no finite number"),
        ((values < 0.0) | (values > 1.0), "not between 0 and 1"),
    ):
        if wrong.any():
            first = int(np.argmax(wrong))
            says = f"answered {values[first]:g} in row {first}, which is {what}, and so in {int(wrong.sum()):,} rows"
            raise ModelFailedError(Failure.WRONG_ANSWER, says)
    return values


def _doing(run: Run) -> str:
    reached = {note[0] for note in run.notes}
    if "predicted" in reached:
        return "after predicting"
    return "while predicting" if "loaded" in reached else "while being loaded"


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)
