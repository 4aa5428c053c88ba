"""Evidence that days are not alike any more: conformal test martingales whose observations are days.

A day's number is ranked among those of the days before it, the *bag*, which grows: with a draw among equals, the share
of the bag below it is a p-value. If the days are exchangeable, p-values are uniform and independent of each other, so
that a bet on them that is fair is a martingale (Vovk, Testing randomness online, Statistical Science 2021; Volkhonskiy
et al., Inductive conformal martingales for change-point detection, COPA 2017). A reference sample that does not grow
makes p-values that depend on each other, and false alarms. The bet is on a shift: with z the normal quantile of p,
wealth is multiplied by exp(l z - l^2 / 2), for each of some shifts l, up and down.

Days that resemble each other. Weather lasts for days, and a bad day's delays reach the next. Then p-values of days in a
row are alike, and what looks like a shift is a spell. So z is divided by d, where d^2 = (1 + r) / (1 - r): of a series
whose correlation from one day to the next is r, a mean of many days varies d times as much as it would without. r is
estimated on the days that come before all bets, its bias corrected and one standard error too high, from nothing but
the order of their ranks: under exchangeability that order has nothing to do with what comes later, and as d >= 1 the
bet only gets smaller. So wealth is at most a martingale if days are exchangeable, and about one if they resemble the
day before as estimated.

A change that comes late. On each day a new bet of one is begun, and evidence is the sum of what all of them became (the
Shiryaev-Roberts form of an e-detector: Shin, Ramdas and Rinaldo, E-detectors, NEJSDS 2023; Vovk et al., Retrain or not
retrain, COPA 2021). After t days its expectation is at most t. So divided by the days T of a season it is an e-value on
each of them; the chance that it ever reaches 1 / a within T days is at most a (Doob's inequality), and it takes at
least T / a days on average until it does so wrongly. Wealth that was lost in quiet times hides nothing.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from automation.drift.inputs.scales import DECIMALS

# In standard deviations of a day's number; a shift between two of them is found little later than by its own bet.
SHIFTS = (0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
MOST_RESEMBLANCE = 0.97
NORMAL = NormalDist()


@dataclass(frozen=True, eq=False)
class Wealth:
    """What the bets on each number became.

    - ``sums``: natural logarithms of the sums over all beginnings. Shape (shifts, numbers).
    - ``rise``: the logarithm of what the bet that was begun on the best of days became. Shape (shifts, numbers).
    - ``began``: that day, as an ordinal; 0 if there is none. Shape (shifts, numbers).
    """

    sums: np.ndarray
    rise: np.ndarray
    began: np.ndarray

    @classmethod
    def of(cls, numbers: int) -> Wealth:
        shape = len(SHIFTS), numbers
        return cls(np.full(shape, -np.inf), np.zeros(shape), np.zeros(shape, dtype=np.int64))

    def after(self, scores: np.ndarray, ordinal: int) -> Wealth:
        """The wealth after a day. A number whose score is NaN was not bet on."""
        shifts = np.asarray(SHIFTS)[:, None]
        logs = shifts * scores - shifts**2 / 2
        played = ~np.isnan(scores)
        sums = np.where(played, np.logaddexp(self.sums, 0.0) + logs, self.sums)
        began = np.where(played & (self.rise <= 0), ordinal, self.began)
        rise = np.where(played, np.maximum(self.rise, 0.0) + logs, self.rise)
        return Wealth(sums, rise, began)

    def log_evidence(self, season_days: int) -> np.ndarray:
        """The natural logarithm of each number's e-value. Shape (numbers,)."""
        return log_mean(self.sums) - math.log(season_days)

    def since(self) -> np.ndarray:
        """The ordinal of the day on which the best bet on each number was begun, 0 without a bet. Shape (numbers,)."""
        return self.began[self.sums.argmax(axis=0), np.arange(self.sums.shape[1])]


def p_values(bag: np.ndarray, today: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """Where a day's numbers are among those of the days before and its own: the share below, and a share ``draw`` of
    the equal ones. NaN where today's is. Shapes (days, numbers), (numbers,), (numbers,)."""
    below, equal = (bag < today).sum(axis=0), (bag == today).sum(axis=0) + 1
    found = (below + draw * equal) / ((~np.isnan(bag)).sum(axis=0) + 1)
    return np.where(np.isnan(today), np.nan, found)


def scores(p: np.ndarray, discount: np.ndarray) -> np.ndarray:
    """The normal quantiles of p-values, discounted. Shape (numbers,)."""
    found = [math.nan if math.isnan(one) else NORMAL.inv_cdf(min(max(one, 1e-12), 1 - 1e-12)) for one in p.tolist()]
    return np.asarray(found) / discount


def discounts(bag: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """What scores of later days are divided by, at least 1, from the order of the first. Shapes (days, numbers)."""
    return np.asarray([_discount(bag[:, number], draws[:, number]) for number in range(bag.shape[1])])


def _discount(series: np.ndarray, draw: np.ndarray) -> float:
    told = ~np.isnan(series)
    days = int(told.sum())
    if days < 4:
        return math.sqrt((1 + MOST_RESEMBLANCE) / (1 - MOST_RESEMBLANCE))
    ranks = np.empty(days)
    ranks[np.lexsort((draw[told], series[told]))] = np.arange(days)
    centred = ranks - ranks.mean()
    lag = float(centred[1:] @ centred[:-1] / (centred @ centred))
    # Of so few days it is estimated too low by (1 + 4 r) / n (Marriott and Pope, Biometrika 1954).
    resemblance = min(max(lag + (1 + 4 * lag) / days + 1 / math.sqrt(days), 0.0), MOST_RESEMBLANCE)
    return math.sqrt((1 + resemblance) / (1 - resemblance))


def draws(names: tuple[str, ...], number: int, seed: int) -> np.ndarray:
    """A uniform draw for each name on the day of a number: the same for the same seed. Shape (names,)."""
    return np.asarray([_uniform(f"{seed}/{number}/{name}") for name in names])


def _uniform(text: str) -> float:
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) + 0.5) / 2**48


def compared(days: np.ndarray, seasonal: np.ndarray, trailing: int) -> np.ndarray:
    """The days' numbers as they are ranked: those that are ``seasonal`` less the mean of the ``trailing`` days before.
    Shapes (days, numbers), (numbers,)."""
    if not seasonal.any():
        return days
    values = days[:, seasonal].astype(np.float64)
    told = ~np.isnan(values)
    sums, counts = (
        np.cumsum(np.vstack([np.zeros_like(part[:1]), part]), axis=0)
        for part in (np.where(told, values, 0.0), told.astype(float))
    )
    at = np.arange(len(values))
    first = np.maximum(at - trailing, 0)
    count = counts[at] - counts[first]
    usual = np.divide(sums[at] - sums[first], count, out=np.full_like(values, np.nan), where=count > 0)
    found = days.astype(np.float64)
    found[:, seasonal] = np.round(values - usual, DECIMALS)
    return found


def chosen(log_evidence: np.ndarray, rate: float) -> np.ndarray:
    """Which of the hypotheses are rejected by e-BH at a rate, as a mask: those with the k greatest e-values, for the
    greatest k of which the k-th is at least n / (k rate). The expected share of false ones among them is at most the
    rate, whatever e-values have to do with each other (Wang and Ramdas, JRSS B 2022). Shape (hypotheses,)."""
    count = len(log_evidence)
    order = np.argsort(-log_evidence, kind="stable")
    needed = np.log(count / (np.arange(1, count + 1) * rate))
    enough = np.flatnonzero(log_evidence[order] >= needed)
    found = np.zeros(count, dtype=bool)
    found[order[: enough[-1] + 1 if len(enough) else 0]] = True
    return found


def log_mean(logs: np.ndarray, axis: int = 0) -> np.ndarray:
    """The logarithms of the means over an axis. A mean of e-values is an e-value."""
    most = logs.max(axis=axis, keepdims=True)
    safe = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(divide="ignore"):
        return safe.squeeze(axis) + np.log(np.exp(logs - safe).mean(axis=axis))
