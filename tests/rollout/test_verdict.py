"""What a run comes to is decided on plain values, of which the notes and the answer may be lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.rollout.sandbox.verdict import Run, probabilities

CONFINED = (("confined",), ("loaded",), ("predicted",))
RIGHT = Run(
    status=0,
    timed_out=False,
    peak_memory_bytes=1,
    notes=CONFINED,
    answer=np.array([0.0, 0.25, 1.0]).tobytes(),
    overflowed=False,
)


def kind(run: Run, rows: int = 3) -> Failure:
    with pytest.raises(ModelFailedError) as caught:
        probabilities(run, rows, seconds=1.0, memory_bytes=1 << 20)
    return caught.value.kind


def test_an_answer_of_probabilities_is_one() -> None:
    assert probabilities(RIGHT, 3, seconds=1.0, memory_bytes=1).tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("run", "is_a"),
    [
        (replace(RIGHT, timed_out=True, status=-9), Failure.TIMED_OUT),
        (replace(RIGHT, status=-9), Failure.CRASHED),
        (replace(RIGHT, status=1), Failure.CRASHED),
        (replace(RIGHT, answer=b""), Failure.CRASHED),
        (replace(RIGHT, overflowed=True), Failure.WRONG_ANSWER),
        (replace(RIGHT, notes=(*CONFINED, ("tried", "read /etc/passwd"))), Failure.FORBIDDEN),
        (replace(RIGHT, timed_out=True, notes=(*CONFINED, ("tried", "start a process"))), Failure.FORBIDDEN),
        (replace(RIGHT, notes=(("failed", "X", "NotConfinedError", "why"),)), Failure.UNPROTECTED),
        # Once confined, only foreign code would say so.
        (replace(RIGHT, notes=(*CONFINED, ("failed", "X", "NotConfinedError", "why"))), Failure.RAISED),
        (replace(RIGHT, notes=(*CONFINED, ("failed", "X", "MemoryError", ""))), Failure.OUT_OF_MEMORY),
        (replace(RIGHT, notes=(*CONFINED, ("failed", "X", "ModuleNotFoundError", ""))), Failure.MISSING_PACKAGE),
    ],
)
def test_each_end_has_its_kind_whatever_was_answered(run: Run, is_a: Failure) -> None:
    assert kind(run) is is_a


ANYTHING = st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=4).map(tuple), max_size=4).map(tuple)


@settings(max_examples=60)
@given(st.binary(max_size=40), ANYTHING, st.integers(-64, 255), st.booleans(), st.booleans(), st.integers(1, 4))
@example(np.array([np.nan]).tobytes(), (), 0, False, False, 1)
@example(np.array([-0.0]).tobytes(), (), 0, False, False, 1)
def test_whatever_comes_back_it_is_probabilities_or_a_failure(
    answer: bytes, notes: tuple[tuple[str, ...], ...], status: int, timed_out: bool, overflowed: bool, rows: int
) -> None:
    run = Run(status, timed_out, 1, notes, answer, overflowed)
    try:
        found = probabilities(run, rows, seconds=1.0, memory_bytes=1)
    except ModelFailedError:
        return
    assert found.shape == (rows,)
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert (status, timed_out, overflowed) == (0, False, False)
