"""Features that changed, ranked by what that does to the model."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from automation.drift.inputs import chart
from automation.drift.inputs.movers import NoRowsError, movers
from automation.drift.inputs.plan import InputPlan

PLAN = InputPlan(categories=("gate",))


@dataclass(frozen=True)
class Linear:
    """A model whose contributions are weights times values."""

    weights: dict[str, float]
    tells: bool = True
    digest: str = "none"

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(self.weights)

    def content(self) -> bytes:
        return b""

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        return np.full(frame.height, 0.5)

    def contributions(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        if not self.tells:
            return None
        return frame.select(pl.col(name).fill_null(0) * weight for name, weight in self.weights.items())


MODEL = Linear({"much": 0.1, "weighty": 1.0, "gate": 0.2, "still": 1.0})


def cases(seed: int, *, moved: bool) -> pl.DataFrame:
    random, count = np.random.default_rng(seed), 5000
    return pl.DataFrame(
        {
            "much": random.normal(2.0 * moved, 1, count),
            "weighty": random.normal(0.5 * moved, 1, count),
            "gate": np.where(random.random(count) < (0.8 if moved else 0.4), 1, 2),
            "still": random.normal(size=count),
        }
    )


def test_the_greatest_change_of_the_model_comes_first_not_of_the_values() -> None:
    found = movers(("much", "weighty", "gate"), cases(0, moved=False), cases(1, moved=True), MODEL, PLAN)
    assert [one.feature for one in found] == ["weighty", "much", "gate"]
    shares = [one.share for one in found]
    assert shares[0] == pytest.approx(0.5 / (0.5 + 0.2 + 0.08), abs=0.06)
    assert found[0].distance < found[1].distance
    assert found[0].says.startswith("weighty: mean ")
    assert found[0].says.endswith("of the change in the model's contributions")
    assert "1 in 38.4% of the cases then, 80.4% now" in found[2].says
    assert all(sum(bars) == pytest.approx(1) for one in found for bars in (one.then, one.now))


def test_a_model_that_does_not_tell_leaves_the_distance_to_rank_by() -> None:
    quiet = Linear(MODEL.weights, tells=False)
    found = movers(("weighty", "much"), cases(0, moved=False), cases(1, moved=True), quiet, PLAN)
    assert [(one.feature, one.share) for one in found] == [("much", None), ("weighty", None)]


def test_missing_values_are_told_and_drawn() -> None:
    now = cases(1, moved=False).with_columns(
        still=pl.when(pl.int_range(pl.len()) % 4 == 0).then(None).otherwise(pl.col("still"))
    )
    (found,) = movers(("still",), cases(0, moved=False), now, MODEL, PLAN)
    assert "missing in 0.0% then, 25.0% now" in found.says
    assert found.now[-1] == pytest.approx(0.25)
    drawn = chart.then_and_now(found)
    assert drawn.count("<rect") == 1 + 2 * len(found.bins) + 2


def test_days_without_cases_are_refused() -> None:
    with pytest.raises(NoRowsError, match="from now"):
        movers(("still",), cases(0, moved=False), cases(0, moved=False).head(0), MODEL, PLAN)
