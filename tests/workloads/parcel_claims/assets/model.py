"""A handful of small trees, uncalibrated."""

import numpy as np

from automation.models import BoostedModel, Fitted, matrix


def fit(features, label, seed: int) -> Fitted:
    import lightgbm as lgb

    names, learn = tuple(features.columns), int(features.height * 0.8)
    parameters = {
        "objective": "binary",
        "num_leaves": 4,
        "min_data_in_leaf": 10,
        "learning_rate": 0.3,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    values = matrix(features, names)

    def grown(rows: int) -> BoostedModel:
        data = lgb.Dataset(values[:rows], np.asarray(label)[:rows], feature_name=list(names), params={"verbosity": -1})
        booster = lgb.train(parameters, data, num_boost_round=20)
        return BoostedModel(lgb.Booster(model_str=booster.model_to_string()), names)

    return Fitted(
        model=grown(features.height),
        validation_rows=features.height - learn,
        validate=lambda: grown(learn).predict(features[learn:]),
        parameters=parameters,
    )
