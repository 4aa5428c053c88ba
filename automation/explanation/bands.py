"""What a case would get at each probability, all else as it was: bands from 0 to 1, each with one decision."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from automation.explanation.deciding import Redecide

# A band narrower than a grid's step may be missed; its edges are found to a hundred thousandth of the step.
STEPS, FINER, ROUNDS = 400, 18, 4


@dataclass(frozen=True)
class Outcome:
    """What a case gets: an action, and who decides."""

    action: str
    status: str


@dataclass(frozen=True)
class Band:
    """Between two probabilities the decision is the same."""

    low: float
    high: float
    outcome: Outcome


@dataclass(frozen=True)
class Bands:
    """Bands in order, from 0 to 1 without a gap."""

    bands: tuple[Band, ...]

    def at(self, probability: np.ndarray) -> np.ndarray:
        """Which band each probability lies in."""
        return np.searchsorted([band.high for band in self.bands[:-1]], probability, side="left")

    def within(self, low: float, high: float) -> tuple[Band, ...]:
        """The parts of the bands that lie between two probabilities."""
        return tuple(
            Band(max(band.low, low), min(band.high, high), band.outcome)
            for band in self.bands
            if (band.low < high and band.high > low) or band.low <= low == high <= band.high
        )


def bands(case: pl.DataFrame, redecide: Redecide, steps: int = STEPS) -> Bands:
    """The bands of a case, given as a frame of one row of features, on a grid of so many steps."""
    grid = np.linspace(0.0, 1.0, steps + 1)
    found = outcomes(case, grid, redecide)
    changes = [at for at in range(steps) if found[at] != found[at + 1]]
    low, high = grid[changes], grid[[at + 1 for at in changes]]
    for _ in range(ROUNDS):
        if not changes:
            break
        finer = low + (high - low) * np.linspace(0.0, 1.0, FINER + 1)[:, None]
        told = np.array([hash(each) for each in outcomes(case, finer.T.ravel(), redecide)]).reshape(len(changes), -1)
        last = np.argmax(told[:, 1:] != told[:, :1], axis=1)
        columns = np.arange(len(changes))
        low, high = finer[last, columns], finer[last + 1, columns]
    edges = [0.0, *low.tolist(), 1.0]
    named = [*(found[at] for at in changes), found[-1]]
    return Bands(tuple(Band(a, b, each) for (a, b), each in zip(pairwise(edges), named, strict=True)))


def outcomes(case: pl.DataFrame, probability: np.ndarray, redecide: Redecide) -> list[Outcome]:
    """What the case would get at each of these probabilities."""
    rows = case[np.zeros(len(probability), dtype=np.uint32)]
    return [Outcome(*row) for row in redecide(rows, probability).select("action", "status").iter_rows()]
