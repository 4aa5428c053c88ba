"""Evidence by betting, in blocks of a day: what a claim is worth against the hypothesis that it is false.

The hypothesis is that a claim *gains* nothing: on no day so far do the gains of all days until then, each as it was to
be expected from the days before, add up to more than zero. A claim starts with a wealth of one and bets on each day's
gain at odds that are fair under the hypothesis; its wealth is the evidence, an *e-value*. Under the hypothesis, the
chance that wealth ever reaches 20 is at most 1/20, whenever and however often it is looked at (Ville 1939; Shafer,
Testing by betting, JRSS A 2021; Ramdas, Grünwald, Vovk and Shafer, Game-theoretic statistics and safe anytime-valid
inference, Statistical Science 2023).

The bet. What a day could lose at most, b_t, follows from what was decided, whatever the outcomes are. Before the day, a
scale B_t is known: what an average day so far could have lost, set after the first week and again after each day that
could lose more than it, but never lowered. The day's gain x_t, over all its cases, counts as
y_t = x_t B_t / max(B_t, b_t): in full where the day could lose no more than B_t, and in proportion for less where it
could. So y_t is at least -B_t, and nothing is clipped; the hypothesis is about gains so weighed. A fraction f of the
wealth is put on y_t / B_t: wealth is multiplied by 1 + f y_t / B_t, which is positive for f < 1. Wealth is shared
equally among fixed fractions, each of which bets for itself (a mixture: Waudby-Smith and Ramdas, Estimating means of
bounded random variables by betting, JRSS B 2023): that the best of them is not known costs a factor of two at most.

Why it holds although days are unlike. Fractions that do not follow the data leave the hypothesis one about sums, not
about each day (the weak null of Choe and Ramdas, Comparing sequential forecasters, Operations Research 2024). With m_t
the expectation of y_t given the days before, the product of (1 + f y_t / B_t) / (1 + f m_t / B_t) is a martingale that
starts at one. As 1 + z <= exp(z), the product of (1 + f m_t / B_t) is no more than exp(f sum m_t / B_t). The B_t never
fall, so that the weights 1 / B_t never rise, and by Abel's summation sum m_t / B_t <= 0 wherever all of the sums
m_1 + ... + m_t are <= 0. So wealth is no more than a martingale that starts at one: an e-process. What is won in one
month and was lost in another is no evidence.

Ordinary days. What a day could lose, if every outcome were the worst, is many times what days do lose, and so bets by
it are small. A claim may be made of capped days in its place (`Ordinary`): a day's gain counts as a share of a cap, and
as one or minus one beyond it. The cap is fixed before the day, and the same whichever of the two models is the
challenger: so many times what the days before gained or lost on average, both as shares of the most that a day could
bring either way. Gains so capped have a bound, and the proof above holds for them word by word; what is tested is
another claim, about days that are mostly like this. Of two models between which there is nothing to choose, each day's
gain is as likely as the same loss, whatever a storm brings; then nothing is to be expected of it when it is capped. Of
a challenger that costs a little on most days and saves much on a few, something is. So it is for a guard, which gives
the way back to what is known, and not for a promotion.

Harm that begins late. Of a claim that is `renewed`, half of the wealth is kept back and put in little by little, so
that what was lost in good times does not hide what comes after. Each part bets from its own day on, and the hypothesis
is that the gains of no stretch of days add up to more than zero, from whatever day it starts.

Cases of a day may depend on each other in any way: a day is one bet. It is the whole day, since limits that the early
cases use up are the late ones' loss. Days may depend, too, through what is to be expected of a day given those before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Large, since days hardly ever lose what they could.
FRACTIONS = (0.3, 0.9)
WEEK = 7
# Before so many days nobody knows what an ordinary one is.
LEAST_DAYS = 3
# Sums of a day's dollars are exact to less than this share of the day's bound.
ROUNDING = 1e-9


class BoundBrokenError(WarrantError):
    """A gain is not a number, or less than was said to be possible."""


@dataclass(frozen=True)
class Gain:
    """What a claim gained on a day, in its unit, and the most that it could have lost by what was decided."""

    gained: float
    could_lose: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gained) and math.isfinite(self.could_lose) and self.could_lose >= 0):
            raise BoundBrokenError(
                f"A gain of {self.gained} with a bound of {self.could_lose} is nothing to bet on.",
                remedy="Both must be finite, and the bound not negative: look for costs that are not numbers.",
            )
        if self.gained < -self.could_lose - ROUNDING * (1 + self.could_lose):
            raise BoundBrokenError(
                f"A day lost {-self.gained}, and could lose no more than {self.could_lose}.",
                remedy="An outcome cost what the policy does not know: look at the costs of the day's pairs.",
            )


@dataclass(frozen=True)
class Ordinary:
    """What an ordinary day gains or loses, as a share of the most that it could either way: the mean of ``days`` days,
    whose shares add up to ``shares``."""

    days: int = 0
    shares: float = 0.0

    def after(self, gained: float, most: float) -> Ordinary:
        """With one more day. One on which nothing was to be gained or lost is none."""
        if most <= 0.0:
            return self
        return Ordinary(self.days + 1, math.fsum((self.shares, abs(gained) / most)))

    def capped(self, gained: float, most: float, times: float) -> Gain:
        """A day's gain as a share of its cap, ``times`` an ordinary day's; none while it is not known what that is."""
        if self.days < LEAST_DAYS or most <= 0.0 or self.shares == 0.0:
            return Gain(0.0, 1.0)
        cap = min(1.0, times * self.shares / self.days) * most
        return Gain(min(max(gained / cap, -1.0), 1.0), 1.0)


@dataclass(frozen=True)
class Wealth:
    """The wealth of one claim.

    - ``scale``: what a day may lose and still count in full; 0 while it is not known.
    - ``days`` so far, and what these ``could_lose`` in all.
    - ``kept``: what is not put in yet.
    - ``logarithms``: of what each of `FRACTIONS` became.
    """

    scale: float = 0.0
    days: int = 0
    could_lose: float = 0.0
    kept: float = 0.0
    logarithms: tuple[float, ...] = (0.0,) * len(FRACTIONS)

    @classmethod
    def renewed(cls, scale: float = 0.0) -> Wealth:
        """A wealth of one, half of which is kept back."""
        return cls(scale, kept=0.5, logarithms=(math.log(0.5),) * len(FRACTIONS))

    def after(self, gain: Gain) -> Wealth:
        """The wealth after a day."""
        days, could_lose, scale = self.days + 1, math.fsum((self.could_lose, gain.could_lose)), self.scale
        if days >= WEEK and (scale == 0.0 or gain.could_lose > scale):
            scale = max(scale, could_lose / days)
        if self.scale == 0.0:
            return Wealth(scale, days, could_lose, self.kept, self.logarithms)
        put_in = self.kept / (days + 1)
        share = max(gain.gained / max(self.scale, gain.could_lose), -1.0)
        logarithms = (
            _log_sum(had, put_in) + math.log1p(part * share)
            for had, part in zip(self.logarithms, FRACTIONS, strict=True)
        )
        return Wealth(scale, days, could_lose, self.kept - put_in, tuple(logarithms))

    @property
    def log_evidence(self) -> float:
        """The natural logarithm of the e-value: of what is kept and the mean of what the fractions became."""
        return _log_sum(log_mean(self.logarithms), self.kept)


def log_mean(logarithms: Sequence[float]) -> float:
    """The logarithm of the mean of numbers given by their logarithms. A mean of e-processes is an e-process."""
    most = max(logarithms)
    return most + math.log(math.fsum(math.exp(one - most) for one in logarithms) / len(logarithms))


def _log_sum(logarithm: float, more: float) -> float:
    """The logarithm of a number given by its logarithm and another that is added to it, zero or more."""
    if more == 0.0:
        return logarithm
    most = max(logarithm, math.log(more))
    return most + math.log(math.exp(logarithm - most) + more * math.exp(-most))
