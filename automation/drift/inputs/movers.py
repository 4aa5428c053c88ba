"""The features that have changed, then and now, ranked by what their change does to the model.

A model that tells its contributions (TreeSHAP, Lundberg et al. 2018, arXiv:1802.03888) adds them up to its log-odds.
How far a feature's contributions moved is the distance between their distributions then and now (Wasserstein-1, in
log-odds); its share is of all features' distances. A feature may change much and matter little: it ranks low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.drift.inputs.scales import is_named
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.drift.inputs.plan import InputPlan
    from automation.models import Model

# Contributions are asked of so many rows at most, evenly over the rows given.
ASKED = 4000
BARS = 20
# Values beyond these quantiles of both are shown in the outermost bars.
SHOWN = (0.01, 0.99)
NAMES = 12
POINTS = 200


class NoRowsError(WarrantError):
    """There are no cases to compare."""


@dataclass(frozen=True)
class Mover:
    """A feature that has changed.

    - ``share``: of the change in the model's contributions, in [0, 1]; None of a model that does not tell.
    - ``distance``: total variation between the histograms then and now, missing values included, in [0, 1].
    - ``bins``: what each bar holds, in words; ``then`` and ``now``: the bars' shares of the cases, the missing ones
      last.
    """

    feature: str
    share: float | None
    distance: float
    bins: tuple[str, ...]
    then: tuple[float, ...]
    now: tuple[float, ...]
    says: str


def movers(
    changed: Sequence[str], then: pl.DataFrame, now: pl.DataFrame, model: Model, plan: InputPlan
) -> tuple[Mover, ...]:
    """The ``changed`` features, those first that change most in the model's contributions.

    ``then`` and ``now`` are vectors of the model's features, before and since the change.

    Raises:
        NoRowsError: one of both has no rows.
    """
    for name, rows in (("then", then), ("now", now)):
        if not rows.height:
            raise NoRowsError(f"There are no cases from {name}.", remedy="Give the days before, and since, the change.")
    shares = _shares(then, now, model)
    told = [_mover(feature, then[feature], now[feature], shares, plan) for feature in changed]
    return tuple(sorted(told, key=lambda one: (-(one.share or 0.0), -one.distance, one.feature)))


def _shares(then: pl.DataFrame, now: pl.DataFrame, model: Model) -> dict[str, float] | None:
    before, after = (model.contributions(_evenly(rows)) for rows in (then, now))
    if before is None or after is None:
        return None
    moved = {name: _distance(before[name].to_numpy(), after[name].to_numpy()) for name in model.features}
    total = sum(moved.values()) or 1.0
    return {name: distance / total for name, distance in moved.items()}


def _evenly(rows: pl.DataFrame) -> pl.DataFrame:
    if rows.height <= ASKED:
        return rows
    return rows[np.linspace(0, rows.height - 1, ASKED).round().astype(int)]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    at = (np.arange(POINTS) + 0.5) / POINTS
    return float(np.abs(np.quantile(one, at) - np.quantile(other, at)).mean())


def _mover(feature: str, then: pl.Series, now: pl.Series, shares: dict[str, float] | None, plan: InputPlan) -> Mover:
    named = is_named(feature, then.dtype, plan)
    bins, before, after = _of_names(then, now) if named else _of_numbers(then, now)
    # Of a feature that the model has not, there is nothing to tell either.
    share = None if shares is None else shares.get(feature, 0.0)
    change = _names_moved(bins, before, after) if named else _numbers_moved(then, now)
    says = "; ".join(
        [
            f"{feature}: {change}",
            *_missing_moved(before[-1], after[-1]),
            *([] if share is None else [f"{share:.0%} of the change in the model's contributions"]),
        ]
    )
    return Mover(feature, share, float(np.abs(before - after).sum() / 2), bins, tuple(before), tuple(after), says)


def _of_numbers(then: pl.Series, now: pl.Series) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    values = [_present(column) for column in (then, now)]
    both = np.concatenate(values)
    low, high = np.quantile(both, SHOWN) if len(both) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, BARS + 1)
    counts = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] for part in values]
    shares = [_shares_of(count, column) for count, column in zip(counts, (then, now), strict=True)]
    return (*(f"{edge:.4g}" for edge in edges[:-1]), "missing"), shares[0], shares[1]


def _of_names(then: pl.Series, now: pl.Series) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    counts = [dict(column.cast(pl.String).drop_nulls().value_counts().iter_rows()) for column in (then, now)]
    total = {name: counts[0].get(name, 0) + counts[1].get(name, 0) for name in {*counts[0], *counts[1]}}
    names = sorted(total, key=lambda name: (-total[name], name))[:NAMES]
    shares = [
        _shares_of(np.asarray([*(count.get(name, 0) for name in names), _others(count, names)]), column)
        for count, column in zip(counts, (then, now), strict=True)
    ]
    return (*names, "others", "missing"), shares[0], shares[1]


def _others(count: dict[str, int], names: Sequence[str]) -> int:
    return sum(count.values()) - sum(count.get(name, 0) for name in names)


def _shares_of(counts: np.ndarray, column: pl.Series) -> np.ndarray:
    return np.append(counts, len(column) - counts.sum()) / len(column)


def _numbers_moved(then: pl.Series, now: pl.Series) -> str:
    before, after = _present(then), _present(now)
    if not len(before) or not len(after):
        return "no value then" if not len(before) else "no value now"
    means, deviations = ([_number(float(of(part))) for part in (before, after)] for of in (np.mean, np.std))
    told = f"mean {means[0]} then, {means[1]} now"
    # Where the means are told alike, the change is in the spread.
    return told if means[0] != means[1] else f"{told}; standard deviation {deviations[0]} then, {deviations[1]} now"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _names_moved(bins: Sequence[str], before: np.ndarray, after: np.ndarray) -> str:
    most = int(np.abs(before - after)[:-1].argmax())
    return f"{bins[most]} in {before[most]:.1%} of the cases then, {after[most]:.1%} now"


def _missing_moved(before: float, after: float) -> list[str]:
    return [f"missing in {before:.1%} then, {after:.1%} now"] if abs(before - after) >= 0.001 else []


def _present(column: pl.Series) -> np.ndarray:
    values = column.cast(pl.Float64).to_numpy()
    return values[~np.isnan(values)]
