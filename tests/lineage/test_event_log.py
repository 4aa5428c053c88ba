"""The event log: judgements of a step are stored together, and read as those that Dagster stores one by one."""

import logging
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.instance_for_test import instance_for_test
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from automation import database, gates
from automation.event_log import EventLogStorage
from automation.settings import Settings

DAYS = dg.DailyPartitionsDefinition(start_date="2013-01-01", end_date="2013-01-21")
TABLE = dg.AssetKey(["toy", "table"])
ROWS, DAY = gates.Gate("contract", "Rows keep it."), gates.Gate("expectations", "Days keep it.")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
BAD = "2013-01-05"


def location(raises: bool = False) -> dg.Definitions:
    @gates.gated_asset(
        key=TABLE,
        partitions_def=DAYS,
        check_specs=gates.specs(TABLE, [ROWS, DAY], DAYS),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def table(context: dg.AssetExecutionContext):
        yield dg.MaterializeResult()
        yield from gates.record(
            context,
            TABLE,
            [
                gates.Judgement(gate, passed=(gate, key) != (DAY, BAD), says=f"{gate.name} of {key}", partition=key)
                for gate in (ROWS, DAY)
                for key in context.partition_keys
            ],
        )
        if raises:
            raise ZeroDivisionError

    return dg.Definitions(assets=[table], jobs=[dg.define_asset_job("all")], executor=dg.in_process_executor)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    chosen = Settings(home=tmp_path_factory.mktemp("event_log") / "home")
    database.prepare(chosen)
    yield chosen
    database.stop(chosen)


@pytest.fixture(params=["ours", "stock"])
def instance(request: pytest.FixtureRequest, settings: Settings) -> Iterator[dg.DagsterInstance]:
    url = database.url(settings, "dagster")
    storage = {
        "ours": database.dagster_storage(url),
        "stock": {"storage": {"postgres": {"postgres_url": url}}},
    }[request.param]
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with instance_for_test(storage) as made:
        assert isinstance(made.event_log_storage, EventLogStorage) == (request.param == "ours")
        yield made
        made.wipe()
    logging.disable(before)


def run(instance: dg.DagsterInstance, first: str, last: str, *, raises: bool = False) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    job = location(raises).resolve_job_def("all")
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET)


def stored(instance: dg.DagsterInstance) -> list[tuple]:
    """What the table of judgements holds, less what differs from run to run."""
    table = AssetCheckExecutionsTable.c
    columns = (table.check_name, table.partition, table.execution_status)
    storage = instance.event_log_storage
    with storage.index_connection() as connection:  # pyrefly: ignore
        rows = connection.execute(sa.select(*columns, table.materialization_event_storage_id, table.evaluation_event))
        found = [(*row[:3], row[3] is not None, "asset_check_evaluation" in row[4].lower()) for row in rows]
    return sorted(found, key=str)


def test_what_is_stored_is_what_dagster_would_have_stored(instance: dg.DagsterInstance) -> None:
    assert not run(instance, "2013-01-01", "2013-01-20").success
    expected = [
        (gate.name, key, "FAILED" if (gate, key) == (DAY, BAD) else "SUCCEEDED", True)
        for gate in (ROWS, DAY)
        for key in DAYS.get_partition_keys()
    ]
    assert [row[:4] for row in stored(instance)] == sorted(expected, key=str)
    for gate in (ROWS, DAY):
        check = dg.AssetCheckKey(TABLE, gate.name)
        history = instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
        events = {found.partition: found.event for found in history}
        assert set(events) == set(DAYS.get_partition_keys())
        said = {key: event.dagster_event.asset_check_evaluation_data.description for key, event in events.items()}
        assert said == {key: f"{gate.name} of {key}" for key in said}
        info = instance.event_log_storage.get_asset_check_partition_info([check])
        assert all(found.is_current for found in info)


def test_judgements_are_in_the_log_before_whatever_follows_them(instance: dg.DagsterInstance) -> None:
    assert not run(instance, "2013-01-01", "2013-01-04", raises=True).success
    [failed] = instance.get_runs(limit=1)
    kinds = [entry.dagster_event_type.value for entry in instance.all_logs(failed.run_id) if entry.dagster_event_type]
    assert kinds.count("ASSET_CHECK_EVALUATION") == 8
    last = max(at for at, kind in enumerate(kinds) if kind == "ASSET_CHECK_EVALUATION")
    assert last < kinds.index("STEP_FAILURE")
    standings = gates.read(instance, [gates.Asked(TABLE, (ROWS.name, DAY.name), None)], _now())
    assert {standing.state for standing in standings} == {gates.State.PASSED}


def test_a_single_day_judged_again_replaces_its_judgement(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        assert not run(instance, BAD, BAD).success
    check = dg.AssetCheckKey(TABLE, DAY.name)
    assert len(instance.event_log_storage.get_asset_check_execution_history(check, limit=10)) == 2
    [info] = instance.event_log_storage.get_asset_check_partition_info([check])
    assert info.latest_execution_status.value == "FAILED"
    assert info.is_current


def _now():
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_a_home_of_the_platform_uses_it(tmp_path: Path) -> None:
    assert "automation.event_log" in database.dagster_yaml(Settings(home=tmp_path))
