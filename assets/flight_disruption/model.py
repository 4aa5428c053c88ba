"""The training recipe: gradient boosted trees on log-loss, stopped on rows newer than the training's.

The rows come in order of decision time and are cut in time: the trees learn from the oldest, stopping uses the next,
and the newest are left for validation, which the gates judge. Then the trees are grown anew, to the same number, on all
rows, since the newest days say the most about tomorrow: by three boosters that draw other rows and features, and the
model is their mean (docs/decisions/0130-a-model-is-the-mean-of-three-boosters.md). Validation judges one. Nothing is
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
    stopped = lgb.Booster(model_str=trial.model_to_string(num_iteration=trees))
    validated = BoostedModel(stopped, names)
    everything, seeds = data(0, rows), range(seed, seed + BOOSTERS)
    grown = [lgb.train({**parameters, "seed": each}, everything, num_boost_round=trees) for each in seeds]
    return Fitted(
        model=BoostedModel(averaged(grown), names),
        validation_rows=rows - tune,
        validation_probability=validated.predict(features[tune:]),
        parameters={**parameters, "trees": trees, "boosters": BOOSTERS},
    )
