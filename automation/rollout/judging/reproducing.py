"""Whether a candidate says the same again: in another process, and of a row alone as of the row among others.

A decision is replayed from its inputs and versions, byte for byte (law 7): a model that draws, that remembers what it
was asked before, or that compares the rows of a batch with each other cannot decide. Compared are bits: numbers that
print alike, or are equal as 0.0 and -0.0 are, can still be two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automation.errors import WarrantError


class NotTheSameRowsError(WarrantError):
    """Predictions of different rows cannot be compared."""


@dataclass(frozen=True)
class Differs:
    """The first row that came out otherwise, what it was and what it was then, and how many rows did."""

    row: int
    was: float
    then: float
    rows: int


@dataclass(frozen=True)
class Reproduced:
    """How predictions of the same ``rows`` came out again; ``alone``: so many of them were predicted by themselves."""

    rows: int
    alone: int
    again: Differs | None
    by_itself: Differs | None

    @property
    def equal(self) -> bool:
        return self.again is None and self.by_itself is None

    @property
    def says(self) -> str:
        if self.equal:
            return (
                f"{self.rows:,} rows came out the same in two processes, to the bit, and {self.alone:,} of them the "
                "same alone."
            )
        return " ".join(
            f"{differs.rows:,} of {of:,} rows came out otherwise {how}: the first is row {differs.row}, "
            f"{differs.then!r} instead of {differs.was!r}."
            for differs, of, how in (
                (self.again, self.rows, "in another process"),
                (self.by_itself, self.alone, "alone than among the others"),
            )
            if differs is not None
        )


def reproduced(batch: np.ndarray, again: np.ndarray, rows_alone: np.ndarray, alone: np.ndarray) -> Reproduced:
    """Compares predictions of the same rows.

    Args:
        batch: all rows, predicted together. Shape (rows,), as all of float64.
        again: the same in another process.
        rows_alone: the positions of rows that were predicted one by one, each in a call of its own.
        alone: their predictions.

    Raises:
        NotTheSameRowsError: they are not as many, or there are none.
    """
    if not len(batch) == len(again) or not len(alone) == len(rows_alone) or not len(alone):
        raise NotTheSameRowsError(
            f"{len(batch)} predictions, {len(again)} of another process, {len(alone)} of {len(rows_alone)} rows alone.",
            remedy="Predict the same rows twice, and at least one of them by itself.",
        )
    return Reproduced(
        len(batch),
        len(alone),
        _differs(np.arange(len(batch)), batch, again),
        _differs(rows_alone, batch[rows_alone], alone),
    )


def _differs(rows: np.ndarray, was: np.ndarray, then: np.ndarray) -> Differs | None:
    first, second = (np.ascontiguousarray(values, dtype=np.float64).view(np.uint64) for values in (was, then))
    unlike = np.flatnonzero(first != second)
    if not unlike.size:
        return None
    at = int(unlike[0])
    return Differs(int(rows[at]), float(was[at]), float(then[at]), int(unlike.size))
