"""How far a feature must move for anything to change: a tree model is the same between two of its split points.

For each cell between split points, `candidates` gives the value in it that lies nearest, in multiples of the step that
the contract states; so trying the candidates of a feature is as good as trying every multiple.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.models import BoostedModel
from contracts.contract import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from automation.models import Model
    from contracts.contract import Changeable, Column
    from contracts.document import Contract

QUANTILES = 40
# Of a feature that is followed step by step, so many steps each way are tried.
MOST_STEPS = 500
CATEGORICAL = 1


@dataclass(frozen=True, eq=False)
class Option:
    """A feature that could have been otherwise: values it might have had, each with its distance in spreads."""

    feature: str
    was: float
    spread: float
    values: np.ndarray
    distances: np.ndarray


def options(
    vector: Contract, case: Mapping[str, float | None], seen: pl.DataFrame, model: Model, follow: Iterable[str] = ()
) -> list[Option]:
    """What could have been otherwise of a case, within what was ``seen`` of other cases and what the contract allows.

    A value that is missing stays so: nothing says how far it is from being known. A feature's spread is the median
    distance of its values from their median; where most are alike, the mean distance. Features to ``follow`` (the
    policy looks at them itself) are tried step by step.
    """
    cuts, step_by_step = split_points(model, seen), set(follow)
    found = []
    for column in vector.columns:
        was = case.get(column.name)
        if column.changeable is None or was is None or column.name not in seen.columns:
            continue
        known = seen[column.name].drop_nulls().to_numpy()
        known = np.append(known[np.isfinite(known)], was)
        away = np.abs(known - np.median(known))
        spread = float(np.median(away)) or float(np.mean(away))
        if not spread:
            continue
        low, high = _allowed(column, float(known.min()), float(known.max()))
        stops = cuts.get(column.name) if column.name not in step_by_step else None
        if stops is None and (column.name in cuts or column.name in step_by_step):
            values = _every(was, column.changeable, low, high)
        else:
            values = candidates(was, column.changeable, np.array([]) if stops is None else stops, low, high)
        if len(values):
            found.append(Option(column.name, was, spread, values, np.abs(values - was) / spread))
    return found


def candidates(was: float, changeable: Changeable, cuts: np.ndarray, low: float, high: float) -> np.ndarray:
    """In each cell of a feature but its own, the multiple of the step that lies nearest, between ``low`` and ``high``,
    between which ``was`` lies, too.

    A value equal to a split point lies below it.
    """
    step, found = changeable.step, []
    if changeable.direction is not Direction.DOWN:
        found += [_above(cut, step) for cut in cuts[cuts >= was]]
    if changeable.direction is not Direction.UP:
        found += [_not_above(cut, step) for cut in cuts[cuts < was]]
    values = np.unique(np.array(found, dtype=float))
    return values[(values >= low) & (values <= high) & (values != was)]


def split_points(model: Model, seen: pl.DataFrame) -> dict[str, np.ndarray | None]:
    """By feature, the values at which the model's answer can change; None where any value may change it.

    Of LightGBM these are the thresholds of its trees, exactly, and None for categories. Of a model that does not tell,
    quantiles of what was seen stand in.
    """
    if not isinstance(model, BoostedModel):
        share = np.linspace(0.0, 1.0, QUANTILES + 1)[1:-1]
        known = {name: seen[name].drop_nulls().to_numpy() for name in model.features if name in seen.columns}
        return {name: np.unique(np.quantile(values, share)) for name, values in known.items() if len(values)}
    found: dict[str, set[float] | None] = {}
    for tree in model.text.split("\nTree=")[1:]:
        said = dict(line.split("=", 1) for line in tree.splitlines() if "=" in line)
        columns = zip(
            said.get("split_feature", "").split(),
            said.get("threshold", "").split(),
            said.get("decision_type", "").split(),
            strict=True,
        )
        for feature, threshold, kind in columns:
            name = model.features[int(feature)]
            held = found.setdefault(name, set())
            if int(kind) & CATEGORICAL:
                found[name] = None
            elif held is not None:
                held.add(float(threshold))
    return {name: None if held is None else np.array(sorted(held)) for name, held in found.items()}


def _allowed(column: Column, low: float, high: float) -> tuple[float, float]:
    if isinstance(column.minimum, int | float):
        low = max(low, float(column.minimum))
    if isinstance(column.maximum, int | float):
        high = min(high, float(column.maximum))
    return low, high


def _every(was: float, changeable: Changeable, low: float, high: float) -> np.ndarray:
    step = changeable.step
    first = 0 if changeable.direction is Direction.UP else -MOST_STEPS
    last = 0 if changeable.direction is Direction.DOWN else MOST_STEPS
    values = np.unique([_multiple(math.floor(was / step) + n, step) for n in range(first, last + 2)])
    kept = (values >= low) & (values <= high) & (values != was)
    kept &= (values > was) if changeable.direction is Direction.UP else True
    kept &= (values < was) if changeable.direction is Direction.DOWN else True
    return values[kept]


def _above(cut: float, step: float) -> float:
    """The least multiple of the step above a split point."""
    times = math.floor(cut / step) - 1
    while _multiple(times, step) <= cut:
        times += 1
    return _multiple(times, step)


def _not_above(cut: float, step: float) -> float:
    """The greatest multiple of the step that is not above a split point."""
    times = math.floor(cut / step) + 1
    while _multiple(times, step) > cut:
        times -= 1
    return _multiple(times, step)


def _multiple(times: int, step: float) -> float:
    """As one writes it: 3 times 0.1 is 0.3."""
    return round(times * step, 9)
