"""The golden set of a model version: a few of its training vectors with the scores it gave them, to the bit.

Whatever changed since (the model's bytes, LightGBM, the machine): a version that gives other scores to these vectors is
not the one that was good.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from automation.models import Model

ROWS = 256
SCORE = "score of the version"


@dataclass(frozen=True)
class Compared:
    """How a golden set came out when it was scored again. ``says`` is in words, with the first row that differs."""

    rows: int
    different: int
    says: str

    @property
    def equal(self) -> bool:
        return self.different == 0


@dataclass(frozen=True, eq=False)
class GoldenSet:
    """``vectors`` has a column for each feature, ``scores`` the probability of each row as float64."""

    vectors: pl.DataFrame
    scores: np.ndarray

    @classmethod
    def of(cls, model: Model, rows: pl.DataFrame) -> GoldenSet:
        """Some of ``rows``, which have the model's features, spread evenly over them; scored one by one."""
        chosen = rows.gather_every(max(1, rows.height // ROWS)).head(ROWS)
        vectors = chosen.select(pl.col(list(model.features)))
        return cls(vectors, _scored(model, vectors))

    @classmethod
    def read(cls, content: bytes) -> GoldenSet:
        """What `content` wrote."""
        frame = pl.read_ipc(io.BytesIO(content))
        return cls(frame.drop(SCORE), frame[SCORE].to_numpy())

    def content(self) -> bytes:
        """The set as an Arrow file, uncompressed."""
        file = io.BytesIO()
        self.vectors.with_columns(pl.Series(SCORE, self.scores, dtype=pl.Float64)).write_ipc(
            file, compression="uncompressed"
        )
        return file.getvalue()

    def compared(self, model: Model) -> Compared:
        """The set scored again by ``model``, byte for byte."""
        rows = self.vectors.height
        if set(model.features) != set(self.vectors.columns):
            other = ", ".join(sorted(set(model.features) ^ set(self.vectors.columns)))
            return Compared(rows, rows, f"the model and its golden set have not the same features: {other}")
        again = _scored(model, self.vectors)
        # As bytes: a number that only prints alike, or compares equal as -0.0 does, is another one.
        unlike = np.flatnonzero(self.scores.view(np.uint64) != again.view(np.uint64))
        if not unlike.size:
            return Compared(rows, 0, f"all {rows} vectors of the golden set have the scores they had, byte for byte")
        first = int(unlike[0])
        return Compared(
            rows,
            int(unlike.size),
            f"{unlike.size} of {rows} vectors of the golden set are scored otherwise, the first, number {first}, "
            f"{again[first]!r} instead of {self.scores[first]!r}",
        )


def _scored(model: Model, vectors: pl.DataFrame) -> np.ndarray:
    return np.ascontiguousarray(model.predict(vectors), dtype=np.float64)
