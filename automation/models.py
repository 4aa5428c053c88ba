"""Models: what a recipe returns, how one is registered in MLflow and loaded to score.

`BoostedModel` is a LightGBM booster and nothing behind it: the registered model is a plain LightGBM model to any MLflow
client, and its contributions (TreeSHAP, Lundberg et al. 2018, arXiv:1802.03888) add up exactly to the log-odds of what
it predicts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import lightgbm as lgb


# Rows are predicted independently, so that the number of threads changes no result.
THREADS = 2


class Model(Protocol):
    """A model that scores cases: one that was trained here, or one that somebody registered."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it takes, in its order."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of what is kept of it."""
        ...

    def content(self) -> bytes:
        """What is kept of it: `automation.rollout.kept` makes the same model of it."""
        ...

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        """The probability of each row, in [0, 1]. Shape (rows,)."""
        ...

    def contributions(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        """Each feature's exact share in each row's log-odds; None of a model that does not tell."""
        ...


class Recipe(Protocol):
    """What a workload's ``model.py`` offers."""

    def fit(self, features: pl.DataFrame, label: np.ndarray, seed: int) -> Fitted:
        """Trains on rows in order of their decision time; ``label`` is 1 where the case came out badly."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model, how many of the newest rows it is validated on, and what it was trained with.

    ``validate`` trains the same way on all other rows, and says what that gives for these. Who needs the model alone
    does not ask for it.
    """

    model: BoostedModel
    validation_rows: int
    validate: Callable[[], np.ndarray]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def validation_probability(self) -> np.ndarray:
        """The probability of each of the newest rows, by a model that had not seen them. Shape (validation rows,)."""
        return self.validate()


@dataclass(frozen=True, eq=False)
class BoostedModel:
    """A LightGBM booster over named features."""

    booster: lgb.Booster
    features: tuple[str, ...]

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        """The probability of each row, in [0, 1]. Shape (rows,)."""
        return np.asarray(self.booster.predict(self._matrix(frame), num_threads=THREADS))

    def contributions(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Each feature's share in each row's log-odds, and the rest, which is the same for all, as ``_base``."""
        shares = np.asarray(self.booster.predict(self._matrix(frame), pred_contrib=True, num_threads=THREADS))
        return pl.DataFrame(shares.reshape(frame.height, -1), schema=[*self.features, "_base"], orient="row")

    def content(self) -> bytes:
        return self.text.encode()

    @property
    def text(self) -> str:
        """The model as text, the same for the same training."""
        return self.booster.model_to_string()

    @property
    def digest(self) -> str:
        """SHA-256 of the model's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def importance(self) -> dict[str, float]:
        """Each feature's share of the total gain, greatest first."""
        gain = np.asarray(self.booster.feature_importance("gain"), dtype=float)
        total = gain.sum() or 1.0
        pairs = zip(self.features, gain / total, strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def _matrix(self, frame: pl.DataFrame) -> np.ndarray:
        return matrix(frame, self.features)


def matrix(frame: pl.DataFrame, features: Sequence[str]) -> np.ndarray:
    """The features as floats, missing values as NaN. Shape (rows, features)."""
    return frame.select(pl.col(list(features)).cast(pl.Float64)).to_numpy()


def averaged(boosters: Sequence[lgb.Booster]) -> lgb.Booster:
    """One booster whose log-odds are the mean of theirs, and so is each feature's contribution to them.

    Boosters of other seeds that see the same features differ by chance, which their mean has less of (Breiman 1996,
    "Bagging predictors"). It holds all their trees, each leaf's value divided by their number, and is a plain booster
    to whatever loads it.
    """
    from lightgbm import basic

    whole = restored(boosters[0])
    for other in boosters[1:]:
        # What LightGBM's own continued training does: its Python has no public name for it.
        basic._safe_call(basic._LIB.LGBM_BoosterMerge(whole._handle, other._handle))
    for number, tree in enumerate(whole.dump_model()["tree_info"]):
        for leaf in range(tree["num_leaves"]):
            whole.set_leaf_output(number, leaf, whole.get_leaf_output(number, leaf) / len(boosters))
    return restored(whole)


def restored(booster: lgb.Booster) -> lgb.Booster:
    """The booster as its text tells of it, so that what scores now is what MLflow will load."""
    import lightgbm as lgb

    return lgb.Booster(model_str=booster.model_to_string())
