"""How well a probability is known: what became of cases scored alike, as far as it was known at the decision.

Of the matured cases nearest in log-odds, how many came out badly, with an interval for that share by Korn and Graubard
(1998): Clopper and Pearson's for as many independent cases as these are worth. Cases of one day share its weather, so
that four hundred of ten days may be worth forty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.calendar import Days
from automation.lakehouse import DAY
from automation.versions import newest

if TYPE_CHECKING:
    from datetime import date, datetime

    from automation.explanation.bands import Bands
    from automation.lakehouse import Lakehouse
    from automation.workload import Workload

TABLE = "outcomes"
# Outcomes of so many days are looked at; of them the nearest so many cases, if their log-odds differ by no more.
DAYS, NEAREST, ALIKE = 60, 400, 0.5
LEVEL = 0.95
# Below so many cases an interval would only say that nothing is known.
FEWEST = 20


@dataclass(frozen=True)
class Uncertainty:
    """Of ``cases`` scored between ``scored_low`` and ``scored_high``, ``bad`` came out badly: the share lies between
    ``low`` and ``high`` with the stated confidence. ``worth`` is how many independent cases they count as."""

    low: float
    high: float
    cases: int
    bad: int
    days: int
    worth: float
    scored_low: float
    scored_high: float


@dataclass(frozen=True)
class NoInterval:
    """Why nothing can be said of how well a probability is known."""

    says: str


@dataclass(frozen=True)
class Robustness:
    """Whether the decision is the same wherever in the interval the truth lies."""

    same: bool
    says: str


def known_outcomes(lake: Lakehouse, workload: Workload, day: date, by: datetime) -> pl.DataFrame:
    """The scored cases whose outcome was known ``by`` an instant of ``day``: probability, label and the day decided."""
    columns = ["case_key", "known_time", "decision_time", "probability", "label"]
    if not lake.exists(workload.name, TABLE):
        return pl.DataFrame(schema={"probability": pl.Float64, "label": pl.Boolean, DAY: pl.Date})
    days = workload.calendar.within(Days.one(day).widened(DAYS))
    rows = lake.read(workload.name, TABLE, days, columns).filter(pl.col("known_time") <= by)
    zone = workload.calendar.timezone
    return (
        newest(rows, "case_key")
        .drop_nulls("probability")
        .select("probability", "label", pl.col("decision_time").dt.convert_time_zone(zone).dt.date().alias(DAY))
    )


def uncertainty(outcomes: pl.DataFrame, probability: float) -> Uncertainty | NoInterval:
    """The interval from what became of cases scored alike, if they are enough to say anything."""
    near = (
        outcomes.with_columns(away=(_log_odds(pl.col("probability")) - _log_odds(pl.lit(probability))).abs())
        .filter(pl.col("away") <= ALIKE)
        .sort("away", "probability", "label", DAY)
        .head(NEAREST)
    )
    if near.height < FEWEST:
        return NoInterval(
            f"of {outcomes.height:,} outcomes known by then {near.height} are of cases scored alike, and {FEWEST} are "
            "the fewest that say anything"
        )
    label = near["label"].cast(pl.Float64).to_numpy()
    days = near[DAY].to_numpy()
    if near[DAY].n_unique() == 1:
        return NoInterval(
            f"the {near.height} cases scored alike whose outcomes were known by then are all of one day, which says "
            "nothing of how days differ"
        )
    worth = _worth(label, days)
    share = float(label.mean())
    low, high = clopper_pearson(share * worth, worth)
    scored = near["probability"]
    return Uncertainty(
        low,
        high,
        near.height,
        int(label.sum()),
        len(np.unique(days)),
        worth,
        float(scored.to_numpy().min()),
        float(scored.to_numpy().max()),
    )


def clopper_pearson(bad: float, cases: float) -> tuple[float, float]:
    """The exact interval for a share (Clopper and Pearson 1934), for numbers of cases that need not be whole."""
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    low = float(betaincinv(bad, cases - bad + 1, tail)) if bad > 0 else 0.0
    high = float(betaincinv(bad + 1, cases - bad, 1 - tail)) if bad < cases else 1.0
    return low, high


def _worth(label: np.ndarray, days: np.ndarray) -> float:
    """How many independent cases these are worth, with days as clusters (Korn and Graubard 1998). Outcomes that are all
    alike do not say how days differ: then they count as they are."""
    from scipy.special import stdtrit

    cases, share = len(label), label.mean()
    _, cluster = np.unique(days, return_inverse=True)
    clusters = int(cluster.max()) + 1
    sums = np.bincount(cluster, weights=label - share)
    variance = clusters / (clusters - 1) * float(np.sum(sums**2)) / cases**2
    upper = 1 - (1 - LEVEL) / 2
    adjusted = (stdtrit(cases - 1, upper) / stdtrit(clusters - 1, upper)) ** 2
    if not variance:
        return float(cases)
    return float(min(cases, max(1.0, share * (1 - share) / variance * adjusted)))


def robustness(bands: Bands, probability: float, found: Uncertainty) -> Robustness:
    """Whether the decision would be the same over the whole interval, with the probability itself in it."""
    low, high = min(found.low, probability), max(found.high, probability)
    parts = bands.within(low, high)
    own = bands.bands[int(bands.at(np.array([probability]))[0])]
    if all(part.outcome == own.outcome for part in parts):
        return Robustness(True, f"the same between {low:.3f} and {high:.3f}")
    others = [
        f"{part.outcome.action} ({part.outcome.status}) between {part.low:.3f} and {part.high:.3f}"
        for part in parts
        if part.outcome != own.outcome
    ]
    return Robustness(
        False, f"the same between {max(low, own.low):.3f} and {min(high, own.high):.3f}; {', '.join(others)}"
    )


def _log_odds(probability: pl.Expr) -> pl.Expr:
    clipped = probability.clip(1e-12, 1 - 1e-12)
    return (clipped / (1 - clipped)).log()
