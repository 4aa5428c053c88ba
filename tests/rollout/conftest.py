"""Rollouts on a real embedded PostgreSQL, a database of its own for each test, with real small models."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg2
import pytest
import yaml
from psycopg2 import sql
from pydantic import SecretStr

from automation import database
from automation.ledger import store
from automation.models import BoostedModel
from automation.rollout import kept, pinned, promotion
from automation.rollout.golden import GoldenSet
from automation.rollout.machine import Champion, Rollout, rollout
from automation.rollout.pinned import Pinned, Running
from automation.settings import Settings
from automation.workload import Workload, WorkloadSpec

ROOT = Path(__file__).parent.parent.parent
NAME = "flight_disruption"
NOW = datetime(2013, 6, 1, tzinfo=UTC)
OPERATOR, REVIEWER = "M. Okafor", "R. Silva"
MARCH, APRIL, MAY, JUNE = (date(2013, month, 1) for month in (3, 4, 5, 6))
_NUMBERS = itertools.count()


def spec(**rollout_plan: Any) -> WorkloadSpec:
    """The pilot's declaration, with a rollout plan."""
    attributes = yaml.safe_load((ROOT / "assets" / NAME / "defs.yaml").read_text())["attributes"]
    return WorkloadSpec.model_validate({**attributes, "rollout": rollout_plan})


def workload_with(**rollout_plan: Any) -> Workload:
    return Workload(spec(**rollout_plan), f"assets.{NAME}", ROOT / "contracts")


@pytest.fixture(scope="session")
def workload() -> Workload:
    """The pilot."""
    return workload_with()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server's address, as a URL without a database."""
    chosen = Settings(home=tmp_path_factory.mktemp("rollout") / "home", database_url=None)
    database.start(chosen)
    yield database._base(chosen)
    database.stop(chosen)


@pytest.fixture
def settings(server: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a database that is new."""
    name = f"rollout_{next(_NUMBERS)}"
    administrator = psycopg2.connect(server)
    administrator.autocommit = True
    with administrator.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = Settings(home=tmp_path, database_url=SecretStr(server.replace("/postgres?", f"/{name}?")))
    database.prepare(made)
    yield made
    with administrator.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    administrator.close()


@pytest.fixture(scope="session")
def rows() -> pl.DataFrame:
    chance = np.random.default_rng(3)
    frame = pl.DataFrame(chance.normal(size=(600, 3)), schema=["delay", "wind", "noise"])
    return frame.with_columns(wind=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("wind")))


@pytest.fixture(scope="session")
def models(rows: pl.DataFrame) -> dict[int, BoostedModel]:
    """Three versions, each a real booster that scores otherwise."""
    import lightgbm as lgb

    made = {}
    label = (rows["delay"] + rows["noise"].fill_null(0) > 0).cast(pl.Int8).to_numpy()
    for version in (1, 2, 3):
        data = lgb.Dataset(rows.to_numpy(), label, feature_name=rows.columns, params={"verbose": -1})
        given = {"objective": "binary", "num_leaves": 4 + version, "verbose": -1, "num_threads": 1, "seed": version}
        made[version] = BoostedModel(lgb.train(given, data, num_boost_round=8), tuple(rows.columns))
    return made


@pytest.fixture
def gated(
    settings: Settings, workload: Workload, models: dict[int, BoostedModel], rows: pl.DataFrame
) -> Callable[[int, date], Champion]:
    """Takes a version through its gates."""

    def made(version: int, as_of: date, views: dict[str, str] | None = None) -> Champion:
        candidate = Champion(NAME, version, kept.keep_model(settings, models[version]), as_of)
        golden = kept.keep(settings, GoldenSet.of(models[version], rows).content())
        pins = Pinned(golden, pinned.contracts_of(workload), views or {}, {"training_set": version}, RUNNING)
        promotion.register(settings, NAME, candidate, {"run": f"run {version}"}, NOW)
        promotion.gate(settings, NAME, candidate, pins, {"run": f"run {version}"}, NOW)
        return candidate

    return made


RUNNING = Running("p" * 64, "0.1.0+c", None)


@pytest.fixture
def promoted(settings: Settings, gated: Callable[..., Champion]) -> Callable[..., Champion]:
    """Takes a version to champion."""

    def made(version: int, as_of: date, views: dict[str, str] | None = None) -> Champion:
        champion = gated(version, as_of, views)
        promotion.promote(settings, NAME, champion, RUNNING, {}, NOW)
        return champion

    return made


def standing(settings: Settings, name: str = NAME) -> Rollout:
    with store.opened(settings) as ledger:
        return rollout(ledger, name)


class KilledError(BaseException):
    """The process ends here: nothing of ours catches it."""
