"""The pilot's recipe and its boosters."""

from __future__ import annotations

import os
import subprocess
import sys

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from assets.flight_disruption import model as recipe
from automation.models import BoostedModel, averaged, matrix, restored

ROWS = 2000


@pytest.fixture(autouse=True, scope="module")
def _few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "MOST_TREES", 30)
        patch.setitem(recipe.PARAMETERS, "num_leaves", 7)
        yield


@pytest.fixture(scope="module")
def data() -> tuple[pl.DataFrame, np.ndarray]:
    chance = np.random.default_rng(3)
    values = chance.normal(size=(ROWS, 3))
    odds = 1.2 * values[:, 0] - 0.8 * values[:, 1] - 1.0
    label = (chance.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    frame = pl.DataFrame(values, schema=["delay", "wind", "noise"]).with_columns(
        origin_code=pl.Series(chance.integers(0, 3, ROWS)),
        wind=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("wind")),
    )
    return frame, label


@pytest.fixture(scope="module")
def fitted(data):
    return recipe.fit(*data, seed=7)


def test_contributions_add_up_exactly_to_the_log_odds(fitted, data) -> None:
    frame, _ = data
    probability = fitted.model.predict(frame)
    total = fitted.model.contributions(frame).sum_horizontal().to_numpy()
    assert np.abs(total - np.log(probability / (1 - probability))).max() < 1e-9


def test_what_scores_is_what_is_kept_of_it(fitted, data) -> None:
    again = BoostedModel(restored(fitted.model.booster), fitted.model.features)
    assert again.digest == fitted.model.digest
    assert again.predict(data[0]).tobytes() == fitted.model.predict(data[0]).tobytes()


def test_the_same_training_gives_the_same_bytes(fitted, data) -> None:
    again = recipe.fit(*data, seed=7)
    assert again.model.text == fitted.model.text
    assert again.validation_probability.tobytes() == fitted.validation_probability.tobytes()
    assert recipe.fit(*data, seed=8).model.digest != fitted.model.digest


def test_validation_is_on_the_newest_rows_which_training_had_not_seen(fitted, data) -> None:
    frame, label = data
    assert fitted.validation_rows == ROWS // 10
    turned = label.copy()
    turned[-fitted.validation_rows :] = 1 - turned[-fitted.validation_rows :]
    blind = recipe.fit(frame, turned, seed=7)
    assert blind.validation_probability.tobytes() == fitted.validation_probability.tobytes()
    assert blind.model.digest != fitted.model.digest


def test_validation_is_of_a_model_that_is_trained_as_the_candidate_is(fitted, data) -> None:
    frame, label = data
    values, names, seen = matrix(frame, frame.columns), list(frame.columns), ROWS - fitted.validation_rows
    boosters = [
        lgb.train(
            {**recipe.PARAMETERS, "seed": 7 + number},
            lgb.Dataset(
                values[:seen],
                label[:seen],
                feature_name=names,
                categorical_feature=["origin_code"],
                params={"verbosity": -1},
            ),
            num_boost_round=fitted.parameters["trees"],
        )
        for number in range(recipe.BOOSTERS)
    ]
    odds = np.mean([each.predict(values[seen:], raw_score=True) for each in boosters], axis=0)
    assert fitted.validation_probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-12)


def test_a_model_predicts_alike_one_by_one_and_together(fitted, data) -> None:
    frame = data[0].head(50)
    one_by_one = np.concatenate([fitted.model.predict(frame[row]) for row in range(frame.height)])
    assert one_by_one.tobytes() == fitted.model.predict(frame).tobytes()


def test_importance_is_shares_of_one(fitted) -> None:
    importance = fitted.model.importance()
    assert sum(importance.values()) == pytest.approx(1.0)
    assert list(importance)[:2] == ["delay", "wind"]


def test_threads_of_a_training_sleep_while_they_wait() -> None:
    asked = "import automation, os; print(os.environ['OMP_WAIT_POLICY'])"
    for given, expected in ({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"):
        inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        said = subprocess.run(
            [sys.executable, "-c", asked], env={**inherited, **given}, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == expected


def test_the_mean_of_boosters_has_the_mean_of_their_log_odds_and_contributions(data) -> None:
    frame, label = data
    values, names = matrix(frame, frame.columns), tuple(frame.columns)
    boosters = [
        lgb.train(
            {**recipe.PARAMETERS, "seed": seed},
            lgb.Dataset(values, label, feature_name=list(names), categorical_feature=["origin_code"]),
            num_boost_round=10 + seed,
        )
        for seed in range(3)
    ]
    model = BoostedModel(averaged(boosters), names)
    odds = np.mean([each.predict(values, raw_score=True) for each in boosters], axis=0)
    assert model.booster.predict(values, raw_score=True) == pytest.approx(odds, abs=1e-12)
    shares = np.mean([each.predict(values, pred_contrib=True) for each in boosters], axis=0)
    assert model.contributions(frame).to_numpy() == pytest.approx(shares, abs=1e-12)
    assert model.booster.num_trees() == 10 + 11 + 12


def test_a_mean_of_one_is_that_one(fitted) -> None:
    assert BoostedModel(averaged([fitted.model.booster]), fitted.model.features).digest == fitted.model.digest


def test_the_pilots_model_is_the_mean_of_boosters_that_were_drawn_apart(fitted) -> None:
    assert fitted.model.booster.num_trees() == fitted.parameters["trees"] * recipe.BOOSTERS
    trees = fitted.model.booster.trees_to_dataframe()
    first = trees[trees["tree_index"] == 0]["threshold"].tolist()
    assert first != trees[trees["tree_index"] == fitted.parameters["trees"]]["threshold"].tolist()
