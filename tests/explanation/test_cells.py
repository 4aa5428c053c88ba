"""Cells: the candidates of a feature are as good as all the values it might have had."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from automation.explanation.cells import candidates, options, split_points
from automation.models import BoostedModel
from contracts.contract import Changeable, Direction
from contracts.document import Contract
from tests.explanation.conftest import NAMES


@bounded(max_examples=150)
@given(
    was=st.integers(-200, 200).map(lambda n: n / 10),
    step=st.sampled_from((0.1, 0.25, 1.0, 2.0)),
    direction=st.sampled_from(Direction),
    cuts=st.lists(st.integers(-300, 300).map(lambda n: n / 10), max_size=6, unique=True).map(sorted),
)
def test_the_nearest_multiple_in_every_cell_is_a_candidate_and_nothing_else_is(was, step, direction, cuts) -> None:
    stops = np.array(cuts, dtype=float)
    low, high = -20.0, 20.0
    found = candidates(was, Changeable(direction, step), stops, low, high).tolist()

    multiples = [round(n * step, 9) for n in range(math.floor(low / step), math.ceil(high / step) + 1)]
    nearest: dict[int, float] = {}
    for value in sorted((m for m in multiples if low <= m <= high), key=lambda m: abs(m - was)):
        cell = int(np.searchsorted(stops, value, side="left"))
        up = value > was
        if cell == np.searchsorted(stops, was, side="left") or direction is (Direction.DOWN if up else Direction.UP):
            continue
        nearest.setdefault(cell, value)
    assert found == sorted(nearest.values())


@pytest.mark.parametrize("name", ["delay", "queue", "wet"])
def test_between_two_split_points_the_model_says_the_same(
    name: str, model: BoostedModel, parcels: pl.DataFrame
) -> None:
    cuts = split_points(model, parcels)[name]
    assert cuts is not None
    assert len(cuts) > 3
    case = parcels.filter(pl.col("wet").is_not_null())[:1]
    grid = np.linspace(parcels[name].min(), parcels[name].max(), 4000)
    told = model.predict(pl.concat([case] * len(grid)).with_columns(pl.Series(name, grid)))
    cell = np.searchsorted(cuts, grid, side="left")
    assert all(len(np.unique(told[cell == each])) == 1 for each in np.unique(cell))


def test_categories_have_no_cells(model: BoostedModel, parcels: pl.DataFrame) -> None:
    assert split_points(model, parcels)["van"] is None


def test_of_a_model_that_does_not_tell_quantiles_stand_in(parcels: pl.DataFrame) -> None:
    class Linear:
        features = NAMES

        def predict(self, frame: pl.DataFrame) -> np.ndarray:
            return 1 / (1 + np.exp(-frame["delay"].to_numpy() / 10))

    cuts = split_points(Linear(), parcels)["delay"]
    assert cuts is not None
    assert 30 < len(cuts) < 40
    assert np.isin(np.searchsorted(np.sort(parcels["delay"].to_numpy()), cuts), range(parcels.height)).all()


def test_only_what_the_contract_lets_change_does_and_within_what_was_seen(
    vector: Contract, model: BoostedModel, parcels: pl.DataFrame
) -> None:
    case = {"delay": 3.3, "queue": 11.0, "wet": 0.0, "size": 40.0, "van": 2.0}
    found = {option.feature: option for option in options(vector, case, parcels[:200], model)}
    assert set(found) == {"delay", "queue", "wet"}
    assert (found["queue"].values < 11).all(), "it may only have been less"
    assert (found["wet"].values > 0).all(), "it may only have been more"
    seen = parcels["delay"][:200]
    assert found["delay"].values.min() >= seen.min()
    assert found["delay"].values.max() <= seen.max()
    assert (found["queue"].values % 2 == 0).all()
    assert np.allclose(found["delay"].distances * found["delay"].spread, np.abs(found["delay"].values - 3.3))


def test_what_is_missing_or_never_differs_is_left_as_it_is(
    vector: Contract, model: BoostedModel, parcels: pl.DataFrame
) -> None:
    alike = parcels.with_columns(queue=pl.lit(5.0))
    found = options(vector, {"delay": 1.0, "queue": 5.0, "wet": None}, alike, model)
    assert [option.feature for option in found] == ["delay"]


def test_a_feature_the_policy_looks_at_is_followed_step_by_step(
    vector: Contract, model: BoostedModel, parcels: pl.DataFrame
) -> None:
    [delay, _, _] = options(vector, {"delay": 3.3, "queue": 11.0, "wet": 0.0}, parcels, model, follow=["delay"])
    assert delay.values.tolist() == list(
        range(math.ceil(parcels["delay"].min()), math.floor(parcels["delay"].max()) + 1)
    )
