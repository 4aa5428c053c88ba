"""Parcels: a small real LightGBM model, a contract that says what could have been otherwise, and a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
import yaml

from automation.explanation.deciding import Turn
from automation.models import BoostedModel
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import Day, Weighed
from automation.policy.limits.use import Use
from automation.workload import Policy, Workload, WorkloadSpec
from contracts.document import Contract, load
from tests.policy.made import documents
from tests.policy.tables.made import Row, text

NAMES = ("delay", "queue", "wet", "size", "van")
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
ROWS = 3000


ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def workload() -> Workload:
    """The pilot, as it is declared."""
    declared = yaml.safe_load((ROOT / "assets" / "flight_disruption" / "defs.yaml").read_text())["attributes"]
    return Workload(WorkloadSpec.model_validate(declared), "assets.flight_disruption", ROOT / "contracts")


@pytest.fixture(scope="session")
def vector() -> Contract:
    return load(Path(__file__).parent / "parcel_vector.odcs.yaml")


@pytest.fixture(scope="session")
def parcels() -> pl.DataFrame:
    """Vectors of parcels, some values of which are missing."""
    chance = np.random.default_rng(11)
    return pl.DataFrame(
        {
            "delay": chance.normal(5, 12, ROWS).clip(-20, 60).round(2),
            "queue": chance.integers(0, 40, ROWS).astype(float),
            "wet": (chance.random(ROWS) * (chance.random(ROWS) < 0.3)).round(3),
            "size": chance.integers(10, 400, ROWS).astype(float),
            "van": chance.integers(0, 6, ROWS).astype(float),
        }
    ).with_columns(wet=pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise("wet"))


@pytest.fixture(scope="session")
def model(parcels: pl.DataFrame) -> BoostedModel:
    chance = np.random.default_rng(12)
    odds = 0.08 * parcels["delay"] + 0.06 * parcels["queue"] + 2 * parcels["wet"].fill_null(0.0) - 2.5
    label = (chance.random(ROWS) < 1 / (1 + np.exp(-odds.to_numpy()))).astype(int)
    given = {"objective": "binary", "num_leaves": 8, "min_data_in_leaf": 30, "verbosity": -1, "deterministic": True}
    data = lgb.Dataset(
        parcels.to_numpy(), label, feature_name=list(NAMES), categorical_feature=["van"], params={"verbosity": -1}
    )
    return BoostedModel(lgb.train({**given, "seed": 1, "num_threads": 1}, data, num_boost_round=25), NAMES)


INPUTS: dict[str, dict[str, Any]] = {
    "action": {"type": "string", "enum": ["wait", "tell", "act"]},
    "price": {"type": "number", "minimum": 0},
}
ANYTHING = Row("anything", "allow", "nothing speaks against it", {})
CEDAR = """
@id("the_automation_acts")
@says("parcels are its own")
permit (principal == Automation::"parcels", action, resource == Cases::"parcels");
"""


def policy_with(
    *rules: Row, limits: Sequence[dict[str, Any]] = (), inputs: dict[str, Any] | None = None, cedar: str = ""
) -> PolicyBundle:
    """Wait, tell or act: allowed, as far as no rule and no more Cedar speak against it."""
    declared = Policy.model_validate(
        {
            "stake": {"unit": "dollars", "feature": "size", "factor": 1.0, "otherwise": 50.0},
            "harm": 1.0,
            "actions": [
                {"name": "wait", "cost": 0.0, "mitigates": 0.0, "says": "wait"},
                {"name": "tell", "cost": 0.05, "mitigates": 0.2, "says": "tell them"},
                {"name": "act", "cost": 0.3, "mitigates": 0.8, "says": "act for them"},
            ],
            "safe_action": "wait",
            "limits": list(limits),
            "assumptions": ["None of this is real."],
        }
    )
    table = text(ANYTHING, *rules, inputs=INPUTS | (inputs or {}))
    return PolicyBundle(declared, table, documents("parcels", CEDAR + cedar))


def acting(at_most: int) -> dict[str, Any]:
    """So many a day and place may be acted for."""
    return {"action": "act", "at_most": at_most, "per": "place"}


def dear(above: float) -> Row:
    """What costs more than so many dollars is for a person."""
    return Row("dear", "review", f"${{price:,.0f}} is more than ${above:,.0f}", {"price": f"> {above}"})


def turns(day: Day, policy: PolicyBundle, used: Mapping[Use, int] | None = None) -> list[Turn]:
    """The turn of every case of a day."""
    weighed = Weighed(day, policy)
    choice = weighed.choose(used or {})
    return [Turn.of(weighed, choice, used or {}, row) for row in range(day.scores.height)]


@pytest.fixture(scope="session")
def day_of(model: BoostedModel) -> Callable[[pl.DataFrame], Day]:
    """A day of parcels, decided one every ten minutes, in two places by turns."""

    def made(features: pl.DataFrame) -> Day:
        numbered = range(features.height)
        scores = pl.DataFrame(
            {
                "case_key": [f"P{n:03}" for n in numbered],
                "event_time": [NOON + timedelta(minutes=10 * n) for n in numbered],
                "probability": model.predict(features),
                "problems": ["[]"] * features.height,
                "model_version": [3] * features.height,
            },
            schema_overrides={"event_time": pl.Datetime("us", "UTC")},
        )
        cases = pl.DataFrame({"place": ["here" if n % 2 else "there" for n in numbered]})
        return Day("parcels", scores, features, model.contributions(features), cases, "UTC")

    return made
