"""The nearest change of a case's features that would have changed its decision (Wachter et al. 2017,
arXiv:1711.00399).

All single changes are tried, in order of their distance, then pairs of changes up to a stated distance. A distance is
counted in spreads of the feature (`cells.Option`), that of a pair is the sum. What is found was scored by the model and
decided again by the policy. Features are taken one by one, as if others could stay as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.explanation.bands import Outcome
from automation.explanation.shares import says
from automation.policy.deciding import AUTOMATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from automation.explanation.bands import Bands
    from automation.explanation.cells import Option
    from automation.explanation.deciding import Redecide
    from automation.models import Model
    from contracts.document import Contract

# The nearest single changes that pairs are made of, how many pairs are tried at most, and how many at once.
PAIRED, MOST_PAIRS, AT_ONCE = 400, 30_000, 10_000
# Distances that differ by less are alike, whatever the order in which they were added up.
DIGITS = 9


@dataclass(frozen=True)
class Target:
    """Another decision: an action taken by the machine, or, with no action named, any that it may take alone."""

    action: str | None
    words: str

    def reached(self, found: Outcome) -> bool:
        return found.status == AUTOMATED and self.action in (None, found.action)


@dataclass(frozen=True)
class Change:
    """One feature, what it was and what it would have had to be; the distance in spreads of the feature."""

    feature: str
    was: float
    would_be: float
    unit: str | None
    distance: float
    says: str


@dataclass(frozen=True)
class Counterfactual:
    """What would have led to another decision: changes, or none that was found, and what ``says`` so in words."""

    target: str
    changes: tuple[Change, ...]
    distance: float | None
    probability: float | None
    action: str | None
    says: str


@dataclass(frozen=True, eq=False)
class Asked:
    """A case as a frame of one row of features, its probability, and all that scores and decides it."""

    case: pl.DataFrame
    probability: float
    model: Model
    redecide: Redecide
    bands: Bands
    reads: frozenset[str]
    vector: Contract


@dataclass(frozen=True, eq=False)
class _Trials:
    """Changed cases in order of distance: for each, the positions of its changes in the list of all single changes."""

    changed: np.ndarray
    distance: np.ndarray

    def parts(self) -> Iterator[_Trials]:
        for first in range(0, len(self.distance), AT_ONCE):
            yield _Trials(self.changed[first : first + AT_ONCE], self.distance[first : first + AT_ONCE])


@dataclass(frozen=True, eq=False)
class _Singles:
    """All single changes, the nearest first; equal distances in the order of feature and value."""

    feature: np.ndarray
    value: np.ndarray
    distance: np.ndarray

    @classmethod
    def of(cls, options: Sequence[Option]) -> _Singles:
        ordered = sorted(
            (round(float(distance), DIGITS), option.feature, float(value))
            for option in options
            for value, distance in zip(option.values, option.distances, strict=True)
        )
        distance, feature, value = zip(*ordered, strict=True) if ordered else ((), (), ())
        return cls(np.array(feature, dtype=object), np.array(value, dtype=float), np.array(distance, dtype=float))

    def trials(self) -> _Trials:
        return _Trials(np.arange(len(self.value)).reshape(-1, 1), self.distance)

    def pairs(self) -> _Trials:
        """Pairs in order of distance, every one that is no further than ``reach``."""
        near = min(PAIRED, len(self.value))
        first, second = np.triu_indices(near, k=1)
        distance = np.round(self.distance[first] + self.distance[second], DIGITS)
        kept = (self.feature[first] != self.feature[second]) & (distance <= self.reach)
        first, second, distance = first[kept], second[kept], distance[kept]
        order = np.lexsort((second, first, distance))[:MOST_PAIRS]
        return _Trials(np.stack([first[order], second[order]], axis=1), distance[order])

    @property
    def reach(self) -> float:
        """Up to this distance no pair is left out because one of its changes is not among the nearest."""
        if len(self.value) <= PAIRED:
            return float("inf")
        return float(self.distance[PAIRED] + self.distance[0])


def counterfactuals(asked: Asked, options: Sequence[Option], targets: Sequence[Target]) -> tuple[Counterfactual, ...]:
    """For each target the nearest change that reaches it, or that none was found within the bounds."""
    singles = _Singles.of(options)
    found: dict[Target, Counterfactual] = {}
    missing = [target for target in targets if _possible(asked, singles, target)]
    singly, pairs = singles.trials(), singles.pairs()
    for trials in (singly, pairs):
        for part in trials.parts():
            hits = _nearest(asked, singles, part, missing)
            found |= {target: _told(asked, singles, target, options, *hit) for target, hit in hits.items()}
            missing = [target for target in missing if target not in found]
            if not missing:
                break
    none = _looked(singles, pairs)
    return tuple(
        found.get(target) or _none(target, none if target in missing else _impossible(asked)) for target in targets
    )


def _possible(asked: Asked, singles: _Singles, target: Target) -> bool:
    """Whether some probability reaches the target, or the policy may decide otherwise by a feature itself."""
    if any(target.reached(band.outcome) for band in asked.bands.bands):
        return True
    return bool(asked.reads & set(singles.feature.tolist()))


def _looked(singles: _Singles, pairs: _Trials) -> str:
    """What was tried in vain."""
    if not len(singles.value):
        return (
            "nothing of it could have been otherwise: no known feature is changeable by the contract, or ever differs"
        )
    if not len(pairs.distance):
        return "no single change within what was seen of other cases would have led to it, and there are no pairs"
    return (
        f"no single change within what was seen of other cases, and none of the {len(pairs.distance):,} nearest pairs "
        f"of changes (up to {pairs.distance[-1]:.2g} spreads away), would have led to it"
    )


def _impossible(asked: Asked) -> str:
    return f"whatever its probability, from 0 to 1, the policy would not have done so: {_all(asked.bands)}"


def _all(bands: Bands) -> str:
    return ", ".join(dict.fromkeys(f"{b.outcome.action} ({b.outcome.status})" for b in bands.bands))


def _none(target: Target, says: str) -> Counterfactual:
    return Counterfactual(target.words, (), None, None, None, says)


def _nearest(
    asked: Asked, singles: _Singles, trials: _Trials, targets: Sequence[Target]
) -> dict[Target, tuple[np.ndarray, float, Outcome]]:
    """By target, the first of the trials that reaches it: its changes, its probability and what it gets."""
    if not targets or not len(trials.distance):
        return {}
    rows = _changed(asked, singles, trials.changed)
    probability = np.asarray(asked.model.predict(rows))
    got = _decided(asked, singles, trials.changed, rows, probability)
    found: dict[Target, tuple[np.ndarray, float, Outcome]] = {}
    for target in targets:
        reached = {outcome: target.reached(outcome) for outcome in set(got)}
        for at, outcome in enumerate(got):
            # Bands are found on a grid: what they say is asked of the policy itself before it is told.
            if reached[outcome] and _really(asked, rows[at], probability[at]) == outcome:
                found[target] = (trials.changed[at], float(probability[at]), outcome)
                break
    return found


def _changed(asked: Asked, singles: _Singles, changed: np.ndarray) -> pl.DataFrame:
    """The case once for each trial, with its changes made."""
    names = asked.case.columns
    values = np.repeat(asked.case.cast(pl.Float64).to_numpy(), len(changed), axis=0)
    column = np.array([names.index(name) for name in singles.feature])
    for part in changed.T:
        values[np.arange(len(changed)), column[part]] = singles.value[part]
    return pl.DataFrame(values, schema=names, orient="row").with_columns(pl.all().fill_nan(None))


def _decided(
    asked: Asked, singles: _Singles, changed: np.ndarray, rows: pl.DataFrame, probability: np.ndarray
) -> list[Outcome]:
    """What each trial gets: by its band, or by the policy itself where a feature it looks at was changed."""
    known = [band.outcome for band in asked.bands.bands]
    got = [known[at] for at in asked.bands.at(probability)]
    looked_at = np.isin(singles.feature[changed].astype(str), sorted(asked.reads)).any(axis=1)
    asked_of = np.flatnonzero(looked_at)
    if len(asked_of):
        decided = asked.redecide(rows[asked_of], probability[asked_of]).select("action", "status")
        for at, outcome in zip(asked_of, decided.iter_rows(), strict=True):
            got[at] = Outcome(*outcome)
    return got


def _really(asked: Asked, row: pl.DataFrame, probability: float) -> Outcome:
    [outcome] = asked.redecide(row, np.array([probability])).select("action", "status").iter_rows()
    return Outcome(*outcome)


def _told(
    asked: Asked,
    singles: _Singles,
    target: Target,
    options: Sequence[Option],
    changed: np.ndarray,
    probability: float,
    outcome: Outcome,
) -> Counterfactual:
    was = {option.feature: option.was for option in options}
    changes = tuple(
        Change(
            feature := str(singles.feature[at]),
            was[feature],
            would_be := float(singles.value[at]),
            asked.vector.column(feature).unit,
            float(singles.distance[at]),
            f"{says(asked.vector, feature, would_be)} (it was {was[feature]:.4g})",
        )
        for at in sorted(changed, key=lambda at: str(singles.feature[at]))
    )
    distance = round(sum(change.distance for change in changes), DIGITS)
    told = " and ".join(change.says for change in changes)
    return Counterfactual(
        target.words,
        changes,
        distance,
        probability,
        outcome.action,
        f"{told}: the probability would have been {probability:.1%} instead of {asked.probability:.1%}, "
        f"{distance:.2g} spreads away",
    )
