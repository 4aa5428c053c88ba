"""What in a day's cases looks like a broken feed or pipeline rather than a changed world.

A world changes by some, in many features at once, and over days. A feed breaks overnight, in a few features, and by
much:

- **nulls**: the share of missing values is more by half than on any usual day.
- **stuck**: there are less than a quarter as many different values as on any usual day; one, of a constant.
- **unit**: the quantiles lie outside of all that is usual, and within it if they are taken for another unit's than the
  feature's. Only of features whose unit is given: any shift is as good as some conversion.

A usual day is one of the last, with cases enough and without a fault in the feature. What is found is asked about
before any talk of drift; what a rule does not know is left to the contracts and to the evidence on drift.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.errors import WarrantError
from automation.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USUAL_DAYS = 28
LEAST_DAYS = 7
LEAST_CASES = 50
MISSING_MORE = 0.5
STUCK_BELOW = 0.25
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Of the range of what is usual, at each end: so far beyond is unusual, and so near is usual again once converted.
BEYOND, NEAR = 0.5, 0.25
# Of a value's size, for features that hardly vary from day to day.
ROUNDING = 1e-3
# By the unit of a feature: what its values may come in instead, as value * factor + offset.
CONVERSIONS: dict[str, dict[str, tuple[float, float]]] = {
    "degrees Fahrenheit": {"degrees Celsius": (5 / 9, -160 / 9), "kelvin": (5 / 9, 459.67 * 5 / 9)},
    "degrees Celsius": {"degrees Fahrenheit": (9 / 5, 32.0), "kelvin": (1.0, 273.15)},
    "miles": {"kilometres": (1.609344, 0.0), "metres": (1609.344, 0.0)},
    "kilometres": {"miles": (1 / 1.609344, 0.0), "metres": (1000.0, 0.0)},
    "miles an hour": {
        "metres a second": (0.44704, 0.0),
        "kilometres an hour": (1.609344, 0.0),
        "knots": (0.868976, 0.0),
    },
    "metres a second": {"miles an hour": (1 / 0.44704, 0.0), "kilometres an hour": (3.6, 0.0)},
    "inches": {"millimetres": (25.4, 0.0), "centimetres": (2.54, 0.0)},
    "millibars": {"inches of mercury": (0.02953, 0.0), "pascals": (100.0, 0.0)},
    "minutes": {"seconds": (60.0, 0.0), "hours": (1 / 60, 0.0)},
    "seconds": {"minutes": (1 / 60, 0.0), "milliseconds": (1000.0, 0.0)},
    "share": {"per cent": (100.0, 0.0)},
    "per cent": {"share": (0.01, 0.0)},
    "dollars": {"cents": (100.0, 0.0), "thousands of dollars": (0.001, 0.0)},
}
# As contracts write them.
ABBREVIATED = {
    "degF": "degrees Fahrenheit",
    "degC": "degrees Celsius",
    "mph": "miles an hour",
    "percent": "per cent",
}


class FaultKind(StrEnum):
    NULLS = "nulls"
    STUCK = "stuck"
    UNIT = "unit"


class OtherUsualError(WarrantError):
    """The bytes do not tell what is usual, the day's rows lack a feature, or a unit is not known."""


@dataclass(frozen=True)
class Fault:
    """A feature of a day that looks broken, and why, in words."""

    feature: str
    kind: FaultKind
    says: str


@dataclass(frozen=True, eq=False)
class Usual:
    """What the last days' features looked like: the share that is missing, how many different values, and `QUANTILES`
    (NaN of a feature without numbers). Shape (days, features, 2 + quantiles). ``units``: of some features."""

    features: tuple[str, ...]
    units: Mapping[str, str]
    days: np.ndarray

    @classmethod
    def of(cls, features: Sequence[str], units: Mapping[str, str]) -> Usual:
        """Nothing is usual yet.

        Raises:
            OtherUsualError: a unit is of no feature, or not one of `CONVERSIONS`.
        """
        for feature, unit in units.items():
            if feature not in features or unit not in CONVERSIONS:
                raise OtherUsualError(
                    f"{feature} cannot be in {unit}.",
                    remedy=f"Name features that are watched, each in one of these units: {', '.join(CONVERSIONS)}.",
                )
        return cls(tuple(features), dict(units), np.empty((0, len(features), 2 + len(QUANTILES))))

    def after(self, rows: pl.DataFrame) -> Usual:
        """What is usual after a day. One with too few cases changes nothing, nor does a feature that is at fault: it
        keeps a blank, so that a fault never becomes usual."""
        if rows.height < LEAST_CASES:
            return self
        shape = self._shape(rows)
        for fault in self._faults(shape):
            shape[self.features.index(fault.feature)] = np.nan
        return replace(self, days=np.concatenate([self.days, shape[None]])[-USUAL_DAYS:])

    def faults(self, rows: pl.DataFrame) -> tuple[Fault, ...]:
        """What looks broken of a day's cases, one fault a feature, in the features' order.

        Raises:
            OtherUsualError: a feature is not among the columns.
        """
        return self._faults(self._shape(rows)) if rows.height >= LEAST_CASES else ()

    def _faults(self, shape: np.ndarray) -> tuple[Fault, ...]:
        found = (self._fault(name, self.days[:, at], shape[at]) for at, name in enumerate(self.features))
        return tuple(one for one in found if one is not None)

    def _shape(self, rows: pl.DataFrame) -> np.ndarray:
        if missing := [name for name in self.features if name not in rows.columns]:
            raise OtherUsualError(
                f"The day's cases lack {', '.join(missing)}.", remedy="Show the vectors that the model scored."
            )
        return np.asarray([_shape_of(rows[name]) for name in self.features])

    def _fault(self, feature: str, days: np.ndarray, today: np.ndarray) -> Fault | None:
        usual = days[~np.isnan(days[:, 0])]
        if len(usual) < LEAST_DAYS:
            return None
        missing, most = today[0], usual[:, 0].max()
        if missing > most + MISSING_MORE:
            says = f"{missing:.0%} of its values are missing, of {most:.0%} at most on {len(usual)} days before"
            return Fault(feature, FaultKind.NULLS, f"{feature}: {says}")
        different, least = today[1], usual[:, 1].min()
        if 0 < different < STUCK_BELOW * least:
            says = f"it has {different:.0f} different values, of {least:.0f} at least on {len(usual)} days before"
            return Fault(feature, FaultKind.STUCK, f"{feature}: {says}")
        unit = self.units.get(feature)
        other = _other_unit(CONVERSIONS[unit], usual[:, 2:], today[2:]) if unit else None
        if other is None:
            return None
        says = f"its median is {today[4]:.4g}, usually {np.nanmedian(usual[:, 4]):.4g}: as if in {other}, not {unit}"
        return Fault(feature, FaultKind.UNIT, f"{feature}: {says}")

    def as_bytes(self) -> bytes:
        """What is usual, as canonical JSON: `of_bytes` reads it."""
        days = [[[None if np.isnan(one) else one for one in part] for part in day] for day in self.days.tolist()]
        return canonical({"features": list(self.features), "units": dict(self.units), "days": days})

    @classmethod
    def of_bytes(cls, text: bytes) -> Usual:
        """
        Raises:
            OtherUsualError: it is something else.
        """
        try:
            told = json.loads(text)
            blank = cls.of(told["features"], told["units"])
            days = np.asarray(told["days"], dtype=float).reshape(-1, *blank.days.shape[1:])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OtherUsualError(
                f"This does not tell what is usual: {error}.", remedy="Give what was kept of it, unchanged."
            ) from error
        return cls(blank.features, blank.units, days)


def unit_of(written: str | None) -> str | None:
    """The unit of `CONVERSIONS` that a contract means; None if it is none of them."""
    named = ABBREVIATED.get(written, written) if written else None
    return named if named in CONVERSIONS else None


def _shape_of(column: pl.Series) -> list[float]:
    if not column.dtype.is_numeric():
        return [column.null_count() / len(column), column.drop_nulls().n_unique(), *[np.nan] * len(QUANTILES)]
    values = column.cast(pl.Float64).to_numpy()
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return [1.0, 0.0, *[np.nan] * len(QUANTILES)]
    at = (np.asarray(QUANTILES) * (len(present) - 1)).round().astype(int)
    different = 1 + np.count_nonzero(np.diff(present))
    return [1 - len(present) / len(values), float(different), *present[at]]


def _other_unit(ways: Mapping[str, tuple[float, float]], usual: np.ndarray, today: np.ndarray) -> str | None:
    """The unit that explains the quantiles, if they need one: the one that brings them nearest to what is usual."""
    told = usual[~np.isnan(usual[:, 0])]
    if len(told) < LEAST_DAYS or np.isnan(today).any() or not np.ptp(told):
        return None
    low, high = told.min(axis=0), told.max(axis=0)
    reach = high - low + ROUNDING * np.abs(told).max(axis=0)

    def off(values: np.ndarray) -> np.ndarray:
        """How far beyond the usual range each is, in such ranges."""
        return np.maximum(np.maximum(low - values, values - high), 0) / np.where(reach > 0, reach, 1.0)

    # A zero stays a zero in most units, so that some quantiles may be as usual; most of them are not.
    if np.count_nonzero(off(today) > BEYOND) <= len(QUANTILES) // 2:
        return None
    nearest = {name: off((today - offset) / factor).max() for name, (factor, offset) in ways.items()}
    best = min(nearest, key=lambda name: (nearest[name], name))
    factor, offset = ways[best]
    middle, plain, taken = float(np.median(told[:, 2])), float(today[2]), float((today[2] - offset) / factor)
    # A hundredth of anything is near zero: what it explains must be nearer by ratio, too.
    if min(middle, plain, taken) > 0 and abs(math.log(taken / middle)) >= abs(math.log(plain / middle)):
        return None
    return best if nearest[best] <= NEAR else None
