"""What each feature adds to a case's probability, from the exact contributions that its decision holds.

A contribution is a feature's share in the log-odds (TreeSHAP, Lundberg et al. 2018, arXiv:1802.03888); with the base
they add up to the log-odds of the probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.explanation.evidence import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.document import Contract

# Probabilities are told apart from 0 and 1 up to here.
EDGE = 1e-12


@dataclass(frozen=True)
class Share:
    """A feature of a case, what it says, and what it adds to the log-odds.

    ``without`` is what the probability would be less this share. ``value`` is None where it was not known.
    """

    feature: str
    says: str
    value: float | None
    unit: str | None
    log_odds: float
    without: float

    @property
    def effect(self) -> str:
        return "raises" if self.log_odds > 0 else "lowers" if self.log_odds < 0 else "leaves"


@dataclass(frozen=True)
class Shares:
    """Every feature's share, the greatest first whichever way it goes.

    ``base`` is the probability of the mean log-odds of the cases the model was trained on, where all shares start.
    ``rest`` is what base and shares lack to the probability's log-odds: rounding, or else evidence that was changed.
    """

    base: float
    shares: tuple[Share, ...]
    rest: float

    @property
    def missing(self) -> tuple[Share, ...]:
        """The features that were not known."""
        return tuple(share for share in self.shares if share.value is None)


def shares(
    contributions: Mapping[str, float | None],
    features: Mapping[str, float | None],
    probability: float,
    vector: Contract,
) -> Shares:
    """The shares of a case, in the words of the vector's contract."""
    whole = log_odds(probability)
    found = []
    for column in vector.columns:
        share = contributions.get(column.name)
        if share is None:
            continue
        value = features.get(column.name)
        without = chance(whole - share)
        found.append(Share(column.name, says(vector, column.name, value), value, column.unit, share, without))
    found.sort(key=lambda each: (-abs(each.log_odds), each.feature))
    base = contributions.get(BASE) or 0.0
    rest = whole - base - math.fsum(share.log_odds for share in found)
    return Shares(chance(base), tuple(found), rest)


def says(vector: Contract, feature: str, value: float | None) -> str:
    """A feature's value in words: the contract's phrase, or else its name."""
    column = vector.column(feature)
    if value is None:
        return f"{column.description.rstrip('.') or feature}: not known"
    return column.reason.format(value=value) if column.reason else f"{feature} {value:g}"


def log_odds(probability: float) -> float:
    clipped = min(max(probability, EDGE), 1 - EDGE)
    return math.log(clipped / (1 - clipped))


def chance(odds: float) -> float:
    """The probability of log-odds."""
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
