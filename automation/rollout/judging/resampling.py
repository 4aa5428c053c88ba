"""Confidence intervals by resampling whole days.

Cases of a day share its weather, crews and crowds, so that 900 of them tell much less than 900 that have nothing to do
with each other. So days are drawn with return, each with all of its cases: the bootstrap of clusters (Davison and
Hinkley, Bootstrap Methods and Their Application, 1997, section 3.8; Field and Welsh, JRSS B 69, 2007), or the block
bootstrap (Künsch, Annals of Statistics 17, 1989) with a day as block. What one day has to do with the next it does not
see: intervals are too narrow by that much.

With some thirty days the plain percentiles are too narrow, too. The intervals here are studentised (bootstrap-t: Efron
1981; Hall, Annals of Statistics 16, 1988): how far a resample lies from the sample is measured in its standard error
(of the days' influences), so that skewness and a bias, such as that of a calibration error, which is never below
zero, are allowed for.

Everything is a function of how often each day was drawn (weights of shape (resamples, days)), by sums that are worked
out once a day: exact for means and, by the wins of each day's bad cases over each day's good ones, for the AUC. Not
exact for the calibration error: its groups stay those of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np

RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate, and what it may be with the stated confidence. Unbounded where too few days tell."""

    estimate: float
    low: float
    high: float

    def within(self, least: float, most: float) -> Interval:
        """The same where nothing beyond ``least`` and ``most`` is possible."""
        return Interval(self.estimate, max(self.low, least), min(self.high, most))


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each day was drawn. The first row is the sample itself: each day once."""

    weights: np.ndarray

    @classmethod
    def drawn(cls, days: int, seed: int, count: int = RESAMPLES) -> Self:
        chance = np.random.default_rng(seed)
        return cls(np.vstack([np.ones(days), chance.multinomial(days, np.full(days, 1 / days), count)]).astype(float))


@dataclass(frozen=True, eq=False)
class Under:
    """A statistic in each resample: ``values`` (resamples,), and each day's influence on it (resamples, days)."""

    values: np.ndarray
    influence: np.ndarray

    def errors(self, resamples: Resamples) -> np.ndarray:
        """The standard error of each value."""
        days = resamples.weights.shape[1]
        return np.sqrt((resamples.weights * self.influence**2).sum(axis=1) * days / (days - 1))


class Statistic(Protocol):
    """Something worked out of days."""

    def under(self, resamples: Resamples) -> Under: ...


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of a number that each case has: ``sums`` and ``counts`` by day."""

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, day: np.ndarray, days: int) -> Self:
        return cls(np.bincount(day, values, days), np.bincount(day, minlength=days).astype(float))

    def under(self, resamples: Resamples) -> Under:
        with np.errstate(divide="ignore", invalid="ignore"):
            count = resamples.weights @ self.counts
            value = (resamples.weights @ self.sums) / count
            return Under(value, (self.sums - value[:, None] * self.counts) / count[:, None])

    def spread(self, resamples: Resamples) -> tuple[np.ndarray, np.ndarray]:
        """The values in all resamples and their standard errors, as `under` has them, without a number for each day."""
        parts = (self.sums, self.counts, self.sums**2, self.sums * self.counts, self.counts**2)
        total, count, squares, products, counts = (resamples.weights @ np.column_stack(parts)).T
        days = resamples.weights.shape[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            value = total / count
            left = np.maximum(squares - 2 * value * products + value**2 * counts, 0.0)
            return value, np.sqrt(left * days / (days - 1)) / count


@dataclass(frozen=True, eq=False)
class Auc:
    """The chance that a bad case outranks a good one.

    ``wins[d, e]``: pairs of a bad case of day ``d`` and a good one of day ``e`` in which the bad one ranks higher;
    a tie is half of one.
    """

    wins: np.ndarray
    bad: np.ndarray
    good: np.ndarray

    @classmethod
    def of(cls, score: np.ndarray, label: np.ndarray, day: np.ndarray, days: int) -> Self:
        is_bad = label == 1
        order = np.argsort(score[is_bad], kind="stable")
        score_bad, day_bad = score[is_bad][order], day[is_bad][order]
        wins = np.zeros((days, days))
        for other in range(days):
            beside = np.sort(score[~is_bad & (day == other)])
            below, up_to = (np.searchsorted(beside, score_bad, side) for side in ("left", "right"))
            wins[:, other] = np.bincount(day_bad, (below + up_to) / 2, days)
        bad, good = (np.bincount(day[kind], minlength=days).astype(float) for kind in (is_bad, ~is_bad))
        return cls(wins, bad, good)

    def under(self, resamples: Resamples) -> Under:
        weights = resamples.weights
        of_good, of_bad = weights @ self.wins, weights @ self.wins.T
        bad, good = weights @ self.bad, weights @ self.good
        with np.errstate(divide="ignore", invalid="ignore"):
            pairs = bad * good
            value = (of_good * weights).sum(axis=1) / pairs
            share = self.bad / bad[:, None] + self.good / good[:, None]
            return Under(value, (of_good + of_bad) / pairs[:, None] - value[:, None] * share)


@dataclass(frozen=True, eq=False)
class CalibrationError:
    """The expected calibration error (`automation.evaluation.calibration_error`). ``gaps``: by day and group, by how
    much more was predicted than happened, summed up."""

    gaps: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, label: np.ndarray, day: np.ndarray, days: int, groups: int = 10) -> Self:
        order = np.argsort(probability, kind="stable")
        group = np.empty(len(order), dtype=np.int64)
        for number, rows in enumerate(np.array_split(order, groups)):
            group[rows] = number
        gaps = np.bincount(day * groups + group, probability - label, days * groups).reshape(days, groups)
        return cls(gaps, np.bincount(day, minlength=days).astype(float))

    def under(self, resamples: Resamples) -> Under:
        gap = resamples.weights @ self.gaps
        with np.errstate(divide="ignore", invalid="ignore"):
            count = resamples.weights @ self.counts
            value = np.abs(gap).sum(axis=1) / count
            return Under(value, (np.sign(gap) @ self.gaps.T - value[:, None] * self.counts) / count[:, None])


@dataclass(frozen=True, eq=False)
class Difference:
    """By how much more the one is than the other, on the same days."""

    one: Statistic
    other: Statistic

    def under(self, resamples: Resamples) -> Under:
        one, other = self.one.under(resamples), self.other.under(resamples)
        return Under(one.values - other.values, one.influence - other.influence)


def interval(statistic: Statistic, resamples: Resamples, rate: float) -> Interval:
    """The statistic with an interval that misses the truth, on either side, with a chance of ``rate / 2``."""
    under = statistic.under(resamples)
    return ends(under.values, under.errors(resamples), rate / 2)


def ends(values: np.ndarray, errors: np.ndarray, rate: float) -> Interval:
    """The first of the values, the sample's, with ends of which each misses the truth with a chance of ``rate``."""
    estimate, error = float(values[0]), float(errors[0])
    if error == 0:
        return Interval(estimate, estimate, estimate)
    off = values[1:] - estimate
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(off == 0, 0.0, off / errors[1:])
    # What a resample could not tell speaks for neither side: it widens both.
    above, below = np.where(np.isnan(far), np.inf, far), np.where(np.isnan(far), -np.inf, far)
    return Interval(
        estimate,
        estimate - error * float(np.quantile(above, 1 - rate, method="higher")),
        estimate - error * float(np.quantile(below, rate, method="lower")),
    )
