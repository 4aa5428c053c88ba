"""What each action costs each case: its price, and the harm that it does not spare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from automation.workload import Policy


@dataclass(frozen=True)
class Costs:
    """Dollars by case (rows) and action (columns, in the policy's order)."""

    actions: tuple[str, ...]
    values: np.ndarray

    def of(self, chosen: np.ndarray) -> np.ndarray:
        """The cost of each case's own action, given as its column."""
        return self.values[np.arange(len(chosen)), chosen]

    def as_json(self) -> list[str]:
        """Each case's costs as canonical JSON."""
        order = sorted(range(len(self.actions)), key=lambda column: self.actions[column])
        encode = json.JSONEncoder(separators=(",", ":")).encode
        return [encode({self.actions[c]: row[c] for c in order}) for row in self.values.tolist()]


def stakes(features: pl.DataFrame, policy: Policy) -> np.ndarray:
    """Units at stake of each case: the feature times its factor, with the assumed value where it is not known."""
    stake = policy.stake
    if stake.feature not in features.columns or not features[stake.feature].dtype.is_numeric():
        return np.full(features.height, stake.otherwise * stake.factor)
    value = features[stake.feature].cast(pl.Float64, strict=False)
    usable = value.is_finite() & (value > 0)
    return pl.select(pl.when(usable).then(value).otherwise(stake.otherwise) * stake.factor).to_series().to_numpy()


def costs(probability: np.ndarray, stake: np.ndarray, policy: Policy) -> Costs:
    """What each action costs each case: its own price and, with ``probability``, the harm it does not spare.

    With the outcome (0 or 1) in place of the probability, these are the realised costs.
    """
    price = np.array([action.cost for action in policy.actions])
    left = np.array([1.0 - action.mitigates for action in policy.actions])
    # What is too much for a double is infinite: no action of such a case can be weighed.
    with np.errstate(over="ignore", invalid="ignore"):
        values = stake[:, None] * (price[None, :] + probability[:, None] * policy.harm * left[None, :])
    return Costs(tuple(action.name for action in policy.actions), values)
