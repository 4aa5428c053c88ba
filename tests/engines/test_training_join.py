"""Feast's training join on Spark gives what the offline store gives here, on the pilot and on data made to differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import feature_repo
from automation.engines.on_spark import Spark
from automation.lakehouse import DAY, Lakehouse
from automation.workload import Workload
from feature_repo.offline_store import EntityFrameError
from feature_repo.store import apply, feature_store, historical_features
from tests.engines.conftest import ASKED

TOYS = Path(__file__).parent.parent / "feature_repo" / "workloads"
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, workload: Workload) -> Callable:
    """Opens the store over a lakehouse, its join here or on Spark, with a registry that holds the pilot and the toy."""
    registry = tmp_path_factory.mktemp("registry") / "registry.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_repo, "__path__", [*feature_repo.__path__, str(TOYS)])
        store = feature_store(f"sqlite:///{registry}", "unused")
        for name in (workload.name, "toy"):
            apply(store, name)

        def open_(lakehouse: str, spark: Spark | None = None):
            settings = None if spark is None else spark.session_settings()
            return feature_store(f"sqlite:///{registry}", lakehouse, spark=settings)

        yield open_


def test_the_pilots_training_set_is_the_same_on_spark(
    workload: Workload, lake: Lakehouse, spark: Spark, opened: Callable
) -> None:
    spark.started()
    cases = lake.read(workload.name, "cases", ASKED).sort("event_time", "flight_id").drop(DAY, "known_time")
    asked = cases.with_columns(event_timestamp=pl.col("event_time"))
    service = workload.spec.features.service
    here = historical_features(opened(lake.url), service, asked)
    there = historical_features(opened(lake.url, spark), service, asked)
    assert here.height == asked.height > 1500
    assert here["departure_delay_mean_3h"].null_count() < here.height / 2
    assert there.schema == here.schema
    assert there.equals(here)


def toy_rows(chance: np.random.Generator, rows: int, *keys: pl.Series, **values: pl.Series) -> pl.DataFrame:
    """Rows of few keys in few hours: many share key and time, many are known late, some before they happen."""
    event = chance.integers(-8, 9, rows) * 1800
    known = event + chance.choice([-3600, 0, 0, 1800, 7200, 20_000], rows)
    return pl.DataFrame(
        [
            *keys,
            pl.Series("event_time", [NOON + timedelta(seconds=int(s)) for s in event], INSTANT),
            pl.Series("known_time", [NOON + timedelta(seconds=int(s), microseconds=250) for s in known], INSTANT),
            *(series.alias(name) for name, series in values.items()),
        ]
    )


def some(chance: np.random.Generator, rows: int, values: list, dtype: type[pl.DataType], name: str = "") -> pl.Series:
    return pl.Series(name, [values[int(n)] for n in chance.integers(0, len(values), rows)], dtype)


# Written one after the other, ("1", 11) and ("11", 1) are the same text.
AIRPORTS, PLANES = ["1", "11", "JFK", None], [1, 11, 111, None]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tables with every kind of trouble: ties, late news, missing keys and values."""
    lake, chance = Lakehouse(str(tmp_path_factory.mktemp("toys"))), np.random.default_rng(7)
    airports, planes = some(chance, 400, AIRPORTS, pl.String, "airport"), some(chance, 400, PLANES, pl.Int64, "plane")
    lake.replace(
        "toy",
        "weather",
        toy_rows(
            chance,
            400,
            airports,
            wind_kn=some(chance, 400, [None, -1.5, 0.0, 30.25], pl.Float64),
            gusts=some(chance, 400, [None, 1, 2], pl.Int64),
        ),
    )
    lake.replace("toy", "aircraft", toy_rows(chance, 400, planes, seats=some(chance, 400, [None, 50, 180], pl.Int64)))
    gates = some(chance, 400, [None, "A1", "B7", "Ä"], pl.String)
    lake.replace("toy", "gates", toy_rows(chance, 400, airports, planes, gate=gates))
    return lake.url


@pytest.fixture(scope="module")
def questions() -> pl.DataFrame:
    chance = np.random.default_rng(8)
    seconds = chance.integers(-20, 30, 600) * 1800
    micros = chance.choice([0, 249, 250], 600)
    return pl.DataFrame(
        [
            some(chance, 600, AIRPORTS, pl.String, "airport"),
            some(chance, 600, PLANES, pl.Int64, "plane"),
            pl.Series(
                "event_timestamp",
                [
                    NOON + timedelta(seconds=int(s), microseconds=int(m)) if n % 50 else None
                    for n, (s, m) in enumerate(zip(seconds, micros, strict=True))
                ],
                INSTANT,
            ),
            pl.Series("untouched", [f"case {n}" if n % 3 else None for n in range(600)]),
        ]
    )


def test_ties_late_news_and_missing_keys_are_settled_alike(
    toys: str, questions: pl.DataFrame, spark: Spark, opened: Callable
) -> None:
    spark.started()
    here = historical_features(opened(toys), "toy_v1", questions)
    there = historical_features(opened(toys, spark), "toy_v1", questions)
    # It is no use that both are alike where nothing is found.
    assert all(here[name].drop_nulls().n_unique() > 1 for name in ("wind", "gusts", "seats", "gate"))
    assert_frame_equal(there, here)


def test_the_rows_may_stay_on_spark(toys: str, questions: pl.DataFrame, spark: Spark, opened: Callable) -> None:
    spark.started()
    there = opened(toys, spark)
    service = there.get_feature_service("toy_v1")
    job = there.get_historical_features(questions.to_pandas(), service)
    stayed = job.to_spark_df()
    assert stayed.columns == [*questions.columns, "wind", "gusts", "seats", "gate"]
    here = historical_features(opened(toys), "toy_v1", questions)
    assert [
        tuple(row) for row in stayed.select("untouched", "wind", "gusts", "seats", "gate").collect()
    ] == here.select("untouched", "wind", "gusts", "seats", "gate").rows()


def test_a_key_of_another_type_is_refused(toys: str, spark: Spark, opened: Callable) -> None:
    spark.started()
    asked = pl.DataFrame({"airport": ["JFK"], "plane": ["no number"], "event_timestamp": [NOON]})
    with pytest.raises(EntityFrameError, match="toy_aircraft"):
        historical_features(opened(toys, spark), "toy_v1", asked)


def test_a_set_of_no_rows_keeps_its_types(toys: str, questions: pl.DataFrame, spark: Spark, opened: Callable) -> None:
    spark.started()
    here = historical_features(opened(toys), "toy_v1", questions.clear())
    there = historical_features(opened(toys, spark), "toy_v1", questions.clear())
    assert_frame_equal(there, here)
