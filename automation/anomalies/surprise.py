"""How surprising a day is: its distance from what the days before it led to expect, ranked among theirs.

For each measure a day's *expectation* is the median of the seven days before it, plus what the same weekday usually
adds to that: the median of its last four. Its *residual* is how far it was from that. A residual is scaled by the mean
of the worst tenth of the measure's other residuals, so that a measure which often runs wild has to run wilder, and
never by less than counting noise. A day's *score* is its greatest scaled residual.

The score of the judged day is ranked among those of the days before it. Scales leave out the day they are applied to
and take in all others, the judged one too, so that every day is scored by one rule that knows no order: where the
residuals are exchangeable, the rank is uniform, and the share of the days that score as high (`p`) is a p-value that
holds for any distribution and any dependence between measures (full conformal prediction: Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World, 2005, section 2.2). It cannot be less than 1 / (days + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL_DAYS = 7
SEASON_WEEKS = 4
LEAST_WEEKS = 2
TAIL_SHARE = 0.1
# A measure with fewer residuals says nothing about a day: no tail is known of it.
LEAST_RESIDUALS = 21


@dataclass(frozen=True)
class Surprise:
    """What was found of a day: each measure's residual in multiples of its tail and of its greatest one before.

    NaN for a measure that cannot be judged. ``ranked`` are the scores of the days before, ``p`` the share of all
    scores, the day's own included, that are as high as its own.
    """

    scaled: np.ndarray
    beyond: np.ndarray
    score: float
    ranked: np.ndarray
    p: float


def level(values: np.ndarray) -> np.ndarray:
    """The median of the seven days (rows) by measures; NaN where fewer than half of seven have one."""
    return _median(values, LEVEL_DAYS)


def season(off: np.ndarray) -> np.ndarray:
    """What a weekday adds to the level, given how far off it its days so far were; NaN for fewer than two of them."""
    return _median(off, 2 * LEAST_WEEKS)


def _median(values: np.ndarray, of: int) -> np.ndarray:
    """Medians of columns; NaN for a column in which there are fewer than half of ``of`` values."""
    if 2 * len(values) < of:
        return np.full(values.shape[1], np.nan)
    there = np.isfinite(values).sum(axis=0)
    ordered = np.sort(values, axis=0)
    columns = np.arange(values.shape[1])
    low, high = np.maximum(there - 1, 0) // 2, np.minimum(there // 2, len(ordered) - 1)
    return np.where(2 * there >= of, (ordered[low, columns] + ordered[high, columns]) / 2, np.nan)


def surprise(residuals: np.ndarray, noise: np.ndarray) -> Surprise | None:
    """How surprising the last of the days (rows) is after the others; None where they are too few.

    ``residuals`` has a column a measure, with NaN where a day has none. ``noise`` is what chance alone moves each
    measure by.
    """
    there = np.isfinite(residuals)
    usable = there[:-1].sum(axis=0) >= LEAST_RESIDUALS
    filled = np.where(there & usable, residuals, -1.0)
    scored = np.any(filled >= 0, axis=1)
    if np.count_nonzero(scored[:-1]) < LEAST_RESIDUALS:
        return None
    scaled = filled / np.maximum(_tails(filled), noise)
    scores = scaled.max(axis=1)
    ranked, score = scores[:-1][scored[:-1]], float(scores[-1])
    judged = filled[-1] >= 0
    worst = np.maximum(filled[:-1].max(axis=0), noise)
    return Surprise(
        scaled=np.where(judged, scaled[-1], np.nan),
        beyond=np.where(judged, filled[-1] / worst, np.nan),
        score=score,
        ranked=ranked,
        p=float((1 + (ranked >= score).sum()) / (1 + len(ranked))),
    )


def _tails(filled: np.ndarray) -> np.ndarray:
    """For each day and measure, the mean of the worst tenth of the residuals of all other days; -1 is none."""
    others = (filled >= 0).sum(axis=0) - 1
    size = np.clip(np.ceil(TAIL_SHARE * others).astype(int), 1, len(filled) - 1)
    columns = np.arange(filled.shape[1])
    # Only the greatest are wanted, in order: sorting all of them would take most of a judgement's time.
    most = int(size.max()) + 1
    greatest = -np.sort(np.partition(-filled, most - 1, axis=0)[:most], axis=0)
    sums = np.cumsum(np.maximum(greatest, 0.0), axis=0)
    top, last = sums[size - 1, columns], greatest[size - 1, columns]
    following = np.maximum(greatest[size, columns], 0.0)
    return np.where(filled >= last, top - np.maximum(filled, 0.0) + following, top) / size
