"""What a day's cases say of a feature, in three numbers between 0 and 1.

On the first days a feature's *scale* is learned: quantiles of a number, or the most frequent of its names, the most
frequent first. A value's *place* is the share of the learned values below it, half of the equal ones included. Of a day
count the mean place of its values (`values`), how far they are from the middle on average (`spread`), and the share
that is missing (`missing`). Places are ranks: no value is too large, and a unit does not matter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from automation.drift.inputs.plan import InputPlan

PARTS = ("values", "spread", "missing")
# A day adds no more than so many values to what is learned of a number, and names to what is learned of names.
OF_A_DAY = 200
MOST_NAMES = 1000
# Numbers of a day are kept to so many decimals.
DECIMALS = 6


@dataclass(frozen=True)
class Sample:
    """What was seen of a feature while its scale is learned: numbers, or names with their counts."""

    numbers: tuple[float, ...] = ()
    names: Mapping[str, int] | None = None

    def with_day(self, column: pl.Series) -> Sample:
        if self.names is not None:
            counts = Counter(self.names)
            counts.update(_names(column).drop_nulls().to_list())
            kept = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST_NAMES]
            return Sample(names=dict(kept))
        present = np.sort(_present(_numbers(column)))
        if len(present) > OF_A_DAY:
            present = present[np.linspace(0, len(present) - 1, OF_A_DAY).round().astype(int)]
        return Sample((*self.numbers, *present.tolist()))

    def scale(self, bins: int) -> Scale:
        """The scale with ``bins`` bins at most. Of a feature that had no value, all values are alike."""
        if self.names is not None:
            counts = sorted(self.names.items(), key=lambda one: (-one[1], one[0]))
            told, rest = counts[: bins - 1], counts[bins - 1 :]
            seen = [count for _, count in told] + [sum(count for _, count in rest)]
            return Scale((), tuple(name for name, _ in told), _places(seen))
        if not self.numbers:
            return Scale((), None, (0.5,))
        values = np.asarray(self.numbers)
        # Values that occurred, so that one which is frequent has a bin of its own.
        edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
        seen = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
        return Scale(tuple(edges.tolist()), None, _places(seen.tolist()))


@dataclass(frozen=True)
class Scale:
    """The bins of a feature, by the greatest value of each but the last, or by name, and the place of each bin."""

    edges: tuple[float, ...]
    names: tuple[str, ...] | None
    places: tuple[float, ...]

    def counts(self, column: pl.Series) -> np.ndarray:
        """How many values each bin has, the missing ones left out. Shape (bins,)."""
        if self.names is None:
            found = np.searchsorted(np.asarray(self.edges), _present(_numbers(column)))
            return np.bincount(found, minlength=len(self.places))
        counts = np.zeros(len(self.places), dtype=np.int64)
        bins = {name: number for number, name in enumerate(self.names)}
        for name, count in _names(column).drop_nulls().value_counts().iter_rows():
            counts[bins.get(name, len(self.names))] += count
        return counts

    def of_day(self, column: pl.Series, least: int) -> tuple[float, float, float]:
        """`PARTS` of a day. Place and spread are NaN if there are fewer than ``least`` values."""
        counts = self.counts(column)
        total = int(counts.sum())
        missing = 1 - total / len(column) if len(column) else np.nan
        if total < least:
            return np.nan, np.nan, missing
        places = np.asarray(self.places)
        return float(counts @ places / total), float(counts @ np.abs(2 * places - 1) / total), missing


def is_named(feature: str, dtype: pl.DataType, plan: InputPlan) -> bool:
    """Whether the feature's values are names rather than numbers."""
    return feature in plan.categories or not (dtype.is_numeric() or dtype == pl.Null)


def statistics(scales: Sequence[Scale], rows: pl.DataFrame, least: int) -> np.ndarray:
    """`PARTS` of each column of a day, feature by feature. Shape (3 features,), float32."""
    told = [scale.of_day(column, least) for scale, column in zip(scales, rows.iter_columns(), strict=True)]
    return np.round(np.asarray(told, dtype=np.float64).reshape(-1), DECIMALS).astype(np.float32)


def _places(counts: Sequence[int]) -> tuple[float, ...]:
    """The middle of each bin among all that was counted."""
    seen = np.asarray(counts, dtype=float)
    return tuple(((seen.cumsum() - seen / 2) / max(seen.sum(), 1.0)).tolist())


def _numbers(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).to_numpy()


def _present(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def _names(column: pl.Series) -> pl.Series:
    return column.cast(pl.String)
