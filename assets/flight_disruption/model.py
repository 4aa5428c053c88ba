"""The training recipe: gradient boosted trees on log-loss, stopped on rows newer than the training's.

The rows come in order of decision time and are cut in time: how many trees there are is learned from the oldest, and
stopped on the next. Then so many are grown anew on all rows, since the newest days say the most about tomorrow: by
three boosters that draw other rows and features, and the model is their mean
(docs/decisions/0130-a-model-is-the-mean-of-three-boosters.md). For validation, which the gates judge, they are grown
on all rows but the newest: beside a champion, only what was trained in the same way is worth a comparison. Nothing is
fitted to the probabilities afterwards (docs/decisions/0128-nothing-calibrates-on-the-newest-days.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from automation.models import BoostedModel, Fitted, averaged, matrix

if TYPE_CHECKING:
    import lightgbm as lgb
    import polars as pl

PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 24,
    # Shallow trees: exact contributions cost the square of the depth.
    "max_depth": 6,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_cat_to_onehot": 4,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}
BOOSTERS = 3
MOST_TREES = 400
PATIENCE = 30
TUNING_SHARE = 0.1
VALIDATION_SHARE = 0.1
CATEGORIES = ("origin_code", "carrier_code")


def fit(features: pl.DataFrame, label: np.ndarray, seed: int) -> Fitted:
    """Trains on ``features`` (rows by model features, in order of decision time) and 0/1 labels."""
    import lightgbm as lgb

    names = tuple(features.columns)
    values, rows = matrix(features, names), features.height
    learn, tune = int(rows * (1 - TUNING_SHARE - VALIDATION_SHARE)), int(rows * (1 - VALIDATION_SHARE))
    parameters = {**PARAMETERS, "seed": seed}

    def data(first: int, last: int) -> lgb.Dataset:
        return lgb.Dataset(
            values[first:last],
            label[first:last],
            feature_name=list(names),
            categorical_feature=[name for name in CATEGORIES if name in names],
            params={"verbosity": -1},
        )

    trial = lgb.train(
        parameters,
        data(0, learn),
        num_boost_round=MOST_TREES,
        valid_sets=[data(learn, tune)],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    trees = max(1, trial.best_iteration)

    def grown(last: int) -> BoostedModel:
        seen, seeds = data(0, last), range(seed, seed + BOOSTERS)
        boosters = [lgb.train({**parameters, "seed": each}, seen, num_boost_round=trees) for each in seeds]
        return BoostedModel(averaged(boosters), names)

    return Fitted(
        model=grown(rows),
        validation_rows=rows - tune,
        validate=lambda: grown(tune).predict(features[tune:]),
        parameters={**parameters, "trees": trees, "boosters": BOOSTERS},
    )
