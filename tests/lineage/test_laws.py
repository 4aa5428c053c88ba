"""The laws of the platform, on real days in a real home."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.stages.vectors import as_json, vectors
from automation import database
from automation.calendar import Days
from automation.derivation import derive
from automation.lakehouse import DAY, Lakehouse, digest, quarantine_of
from automation.policy.bundle import working
from automation.replay import Platform, Step
from automation.rollout.promotion import champion_on
from automation.workload import Workload
from tests.lineage.conftest import DECIDED, NAME, Home

RAW = ("flight_schedule", "flight_status", "weather")


def derived_tables(workload: Workload):
    spec = workload.spec
    return [spec.cases, spec.labels, *spec.features.views]


# ---------------------------------------------------------------- law 4


def test_rows_in_are_rows_valid_and_rows_quarantined_on_every_boundary_of_every_day(
    platform: Platform, workload: Workload, home: Home
) -> None:
    import dagster as dg

    daily = [*RAW, *(t.table for t in derived_tables(workload)), "scores", "decisions", "outcomes"]
    for table in daily:
        key = dg.AssetKey([NAME, table])
        for day in DECIDED:
            [record] = platform.instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day.isoformat()]), limit=1
            ).records
            said = {name: value.value for name, value in record.asset_materialization.metadata.items()}
            valid = home.lake.counts(NAME, table, Days.one(day)).get(day, 0)
            held = home.lake.counts(NAME, quarantine_of(table), Days.one(day)).get(day, 0)
            assert said["rows in"] == valid + held, (table, day)
            assert (said["dagster/partition_row_count"], said["quarantined"]) == (valid, held), (table, day)


def test_what_the_feed_delivered_is_in_the_raw_tables_or_their_quarantine(workload: Workload, home: Home) -> None:
    for table in RAW:
        days = Days(date(2013, 1, 1), DECIDED.last)
        delivered = getattr(workload.module("feed"), table)(workload.calendar, days).height
        counted = sum(home.lake.counts(NAME, table, days).values())
        held = sum(home.lake.counts(NAME, quarantine_of(table), days).values())
        assert delivered == counted + held > 0, table


# ---------------------------------------------------------------- law 1


def test_every_case_has_one_decision_that_names_all_its_evidence(
    platform: Platform, workload: Workload, home: Home
) -> None:
    cases = home.lake.read(NAME, "cases", DECIDED)
    decisions = home.lake.read(NAME, "decisions", DECIDED)
    assert sorted(decisions["case_key"]) == sorted(cases["flight_id"])
    assert decisions["case_key"].n_unique() == decisions.height > 1500
    champion = champion_on(platform.settings, NAME, DECIDED.first)
    wanted = {name: [found.version, found.digest] for name, found in workload.contracts.items()}
    vector = set(workload.contract("feature_vector").schema)
    policy = working(workload).version
    for row in decisions.iter_rows(named=True):
        assert json.loads(row["contracts"]) == wanted
        assert row["policy_version"] == policy
        assert row["feature_service"] == workload.spec.features.service
        features = json.loads(row["features"])
        if row["probability"] is None:
            assert (row["action"], row["status"]) == (workload.spec.policy.safe_action, "review")
            assert all(reason.startswith("not scored: ") for reason in json.loads(row["review_reasons"]))
            continue
        assert (row["model"], row["model_version"], row["model_digest"]) == (
            champion.model,
            champion.version,
            champion.digest,
        )
        assert set(features) == vector
        costs = json.loads(row["expected_costs"])
        assert row["expected_cost"] == costs[row["action"]]
        assert len(json.loads(row["reasons"])) >= 1
        odds = sum(json.loads(row["contributions"]).values())
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(row["probability"], abs=1e-9)
    assert decisions["probability"].null_count() < 0.1 * decisions.height


def test_some_cases_are_acted_on_and_no_limit_is_exceeded(workload: Workload, home: Home) -> None:
    decisions = home.lake.read(NAME, "decisions", DECIDED)
    assert set(decisions["action"]) == {"proceed", "notify", "protect"} or decisions["action"].n_unique() > 1
    protected = decisions.filter(pl.col("action") == "protect").with_columns(
        origin=pl.col("case_key").str.split(":").list.last()
    )
    assert all(count <= 60 for count in protected.group_by(DAY, "origin").len()["len"])


# ---------------------------------------------------------------- law 3


@pytest.fixture(scope="module", params=["the day the model is as of", "noon of a decided day"])
def rewritten(request: pytest.FixtureRequest, workload: Workload, home: Home, tmp_path_factory) -> tuple:
    """An instant T, and a copy of the lakehouse where all that became known after T is other, and derived anew."""
    instant = {
        "the day the model is as of": workload.calendar.begins(DECIDED.first),
        "noon of a decided day": datetime(2013, 1, 11, 17, tzinfo=UTC),
    }[request.param]
    folder: Path = tmp_path_factory.mktemp("rewritten") / "lakehouse"
    shutil.copytree(home.folder / "lakehouse", folder)
    lake, chance = Lakehouse(str(folder)), np.random.default_rng(11)
    days = Days(date(2013, 1, 1), DECIDED.last)
    for table in RAW:
        rows = lake.read(NAME, table, days)
        past, future = rows.filter(pl.col("known_time") <= instant), rows.filter(pl.col("known_time") > instant)
        keep = future.filter(pl.Series(chance.random(future.height) < 0.7))
        other = keep.with_columns(
            # Values of other rows, so that each column stays plausible; instants and keys stay, or the row moves.
            *(
                keep[name].gather(chance.permutation(keep.height))
                for name in keep.columns
                if name not in {DAY, "flight_id"} and keep.schema[name] != pl.Datetime("us", "UTC")
            )
        )
        numbers = [name for name, dtype in other.schema.items() if dtype.is_float()]
        other = other.with_columns(pl.col(numbers) * 1.7 + 3)
        lake.replace_days(NAME, table, pl.concat([past, other]), days)
    for table in derived_tables(workload):
        inputs = {name: lake.read(NAME, name) for name in table.reads}
        function = getattr(workload.module("features"), table.table)
        made = derive(function, inputs, workload.calendar, days, workload.contract(table.table).key)
        kept = [*workload.contract(table.table).schema, DAY]
        lake.replace_days(NAME, table.table, made.select(kept), days)
    return instant, lake


def test_no_row_of_any_table_known_by_then_rests_on_what_became_known_later(
    rewritten: tuple, workload: Workload, home: Home
) -> None:
    instant, lake = rewritten
    days = Days(date(2013, 1, 1), DECIDED.last)
    changed = set()
    for table in derived_tables(workload):
        before, after = (found.read(NAME, table.table, days) for found in (home.lake, lake))
        known = pl.col("known_time") <= instant
        if table is workload.spec.cases:
            # A case is known from the schedule, a day ahead of its decision.
            known = pl.col("event_time") <= instant
        assert digest(after.filter(known)) == digest(before.filter(known)), table.table
        if digest(after.filter(~known)) != digest(before.filter(~known)):
            changed.add(table.table)
    # And the rewriting was one that shows.
    assert {"labels", "origin_weather", "origin_congestion", "aircraft_rotation"} <= changed


def test_no_decision_made_by_then_rests_on_what_became_known_later(
    rewritten: tuple, platform: Platform, workload: Workload, home: Home
) -> None:
    from feature_repo.store import feature_store

    instant, lake = rewritten
    stored = home.lake.read(NAME, "scores", DECIDED).filter(pl.col("event_time") <= instant).sort("case_key")
    if instant == workload.calendar.begins(DECIDED.first):
        assert stored.is_empty(), "nothing was decided by then; the training set is what rests on it"
        return
    cases = lake.read(NAME, "cases", DECIDED).filter(pl.col("event_time") <= instant)
    found = vectors(feature_store(database.url(platform.settings, "feast"), lake.url), workload, cases)
    usable = found.usable.sort("flight_id")
    scored = stored.filter(pl.col("probability").is_not_null())
    assert usable["flight_id"].to_list() == scored["case_key"].to_list()
    assert as_json(usable).to_list() == scored["features"].to_list()
    assert scored.height > 500


def test_no_training_row_rests_on_what_became_known_later(
    rewritten: tuple, platform: Platform, workload: Workload, home: Home
) -> None:
    from feature_repo.store import feature_store

    _, lake = rewritten
    stored = home.lake.read(NAME, "training_set", Days.one(DECIDED.first)).drop(DAY).sort("flight_id")
    history = Days(date(2013, 1, 1), date(2013, 1, 9))
    labels = lake.read(NAME, "labels", history, ["flight_id", "label"])
    cases = lake.read(NAME, "cases", history).join(labels.select("flight_id"), on="flight_id")
    found = vectors(feature_store(database.url(platform.settings, "feast"), lake.url), workload, cases)
    made = found.usable.join(labels, on="flight_id").sort("flight_id")
    assert digest(made.select(stored.columns)) == digest(stored)
    assert stored["event_time"].max() < workload.calendar.begins(DECIDED.first)


def test_no_label_is_learnt_from_before_it_was_known(workload: Workload, home: Home) -> None:
    trained = home.lake.read(NAME, "training_set", Days.one(DECIDED.first), ["flight_id"])
    labels = home.lake.read(NAME, "labels", None, ["flight_id", "known_time"])
    known = trained.join(labels, on="flight_id", how="left")["known_time"]
    assert known.null_count() == 0
    assert known.max() < workload.calendar.begins(DECIDED.first)


# ---------------------------------------------------------------- law 7


def test_a_day_computed_alone_equals_the_same_day_computed_in_a_range(
    platform: Platform, workload: Workload, home: Home
) -> None:
    before = home.digests()
    assert platform.run(workload, Step("history", Days.one(date(2013, 1, 6)))) is None
    assert home.digests() == before


def test_a_day_run_again_gives_the_same_tables(platform: Platform, workload: Workload, home: Home) -> None:
    before = home.digests()
    assert platform.run(workload, Step("daily", Days.one(DECIDED.last))) is None
    assert home.digests() == before


def test_training_again_registers_no_second_version_and_changes_no_champion(
    platform: Platform, workload: Workload, home: Home
) -> None:
    import mlflow

    client = mlflow.MlflowClient(database.url(platform.settings, "mlflow"), database.url(platform.settings, "mlflow"))
    before = [found.version for found in client.search_model_versions(f"name = '{NAME}'")]
    champion = champion_on(platform.settings, NAME, DECIDED.last)
    assert platform.run(workload, Step("retrain", Days.one(DECIDED.first))) is None
    assert [found.version for found in client.search_model_versions(f"name = '{NAME}'")] == before
    assert len(before) == 1
    assert champion_on(platform.settings, NAME, DECIDED.last) == champion
    assert int(client.get_model_version_by_alias(NAME, "champion").version) == champion.version
