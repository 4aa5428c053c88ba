"""The conformance suite of gates: every way a gate can go wrong, on every path to what lies downstream.

Each row is run twice: with our primitive, where nothing goes on that must not, and with stock Dagster in its place,
where each row (but the one in which nothing is wrong) comes out wrong on the paths that are written here. So a test
that could not fail is found out, and so is an upgrade of Dagster that changes what we lean on.
"""

import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.instance_for_test import instance_for_test
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.backfill import execute_backfill_iteration

from automation import database
from automation.settings import Settings
from tests.lineage import gate_rows
from tests.lineage.gate_rows import BAD, DAY_BEFORE, DOWNSTREAM, GOOD, UPSTREAM, Primitive, Row, Runs, Toy, location

ROOT = Path(__file__).parent.parent.parent
CHECK = dg.AssetCheckKey(UPSTREAM, "contract")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Way(StrEnum):
    """A way to what lies downstream."""

    AUTOMATED = "automated"
    MANUAL = "manual"
    BACKFILLED_IN_ONE_RUN = "backfilled in one run"
    BACKFILLED_IN_SEVERAL = "backfilled in several"
    IN_RUN = "in run"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    chosen = Settings(home=tmp_path_factory.mktemp("gates") / "home")
    database.prepare(chosen)
    yield chosen
    database.stop(chosen)


@pytest.fixture(scope="module")
def shared(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster on the real database, launching runs in this process."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    storage = {"storage": {"postgres": {"postgres_url": database.url(settings, "dagster")}}}
    with instance_for_test(storage, synchronous_run_launcher=True, synchronous_run_coordinator=True) as made:
        made.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=20)
        yield made
    logging.disable(before)


@pytest.fixture
def instance(shared: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    yield shared
    shared.wipe()


def run(instance: dg.DagsterInstance, toy: Toy, job: str, day: str | None) -> dg.ExecuteInProcessResult:
    resolved = location(toy).resolve_job_def(job)
    return resolved.execute_in_process(instance=instance, partition_key=day, raise_on_error=False, run_config=QUIET)


def make(instance: dg.DagsterInstance, toy: Toy) -> None:
    """Brings the table into the row's state."""
    if toy.row is Row.WHOLE_TABLE_FAILS:
        run(instance, toy, "upstream", None)
        return
    days = {
        Row.ONE_DAY_OF_TWO: (BAD, GOOD),
        Row.DAY_BEFORE_FAILS: ("2013-01-01", GOOD, DAY_BEFORE, BAD),
        Row.NEVER_RUN: (GOOD,),
    }
    for day in days.get(toy.row, (GOOD, BAD)):
        run(instance, toy, "upstream", day)
    if toy.row in (Row.NEVER_RUN, Row.OVERTAKEN):
        # As the UI does when a person marks a partition as materialized.
        instance.report_runless_asset_event(dg.AssetMaterialization(UPSTREAM, partition=BAD))


def asked_for(instance: dg.DagsterInstance, toy: Toy, cursor: object = None) -> tuple[set[str], object]:
    found = dg.evaluate_automation_conditions(location(toy), instance, cursor=cursor)
    return set(found.get_requested_partitions(DOWNSTREAM)), found.cursor


def newest(instance: dg.DagsterInstance, day: str) -> int:
    query = dg.AssetRecordsFilter(asset_key=DOWNSTREAM, asset_partitions=[day])
    records = instance.fetch_materializations(query, limit=1).records
    return records[0].storage_id if records else 0


def backfill(instance: dg.DagsterInstance, toy: Toy, *days: str) -> None:
    """A backfill of what lies downstream, as the daemon runs one."""
    origin = LoadableTargetOrigin(
        executable_path=sys.executable,
        module_name=gate_rows.__name__,
        working_directory=str(ROOT),
        attribute=toy.attribute,
    )
    target = InProcessTestWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin))
    with WorkspaceProcessContext(instance, target) as workspace:
        started = PartitionBackfill.from_asset_partitions(
            backfill_id=uuid.uuid4().hex[:8],
            asset_graph=workspace.create_request_context().asset_graph,
            partition_names=days,
            asset_selection=[DOWNSTREAM],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        instance.add_backfill(started)
        for _ in range(5):
            assert list(execute_backfill_iteration(workspace, logging.getLogger("backfill"))) in ([], [None])
            found = instance.get_backfill(started.backfill_id)
            if found and found.status.value.startswith("COMPLETED"):
                return
    raise AssertionError(f"the backfill is {found.status if found else 'gone'}")


def goes_on(instance: dg.DagsterInstance, act: Callable[[], object]) -> bool:
    """Whether the bad day of what lies downstream is materialized by ``act``."""
    before = newest(instance, BAD)
    act()
    return newest(instance, BAD) != before


@pytest.mark.parametrize("row", Row)
def test_a_gate_holds_on_every_path_what_it_must_and_nothing_else(instance: dg.DagsterInstance, row: Row) -> None:
    toy = Toy(Primitive.OURS, row)
    _, cursor = asked_for(instance, toy)
    make(instance, toy)
    asked, _ = asked_for(instance, toy, cursor)
    good_days = {GOOD} if row is not Row.WHOLE_TABLE_FAILS else set()
    assert good_days <= asked, "a gate of another day holds the good day"
    outcomes = {
        Way.AUTOMATED: BAD in asked,
        Way.MANUAL: goes_on(instance, lambda: run(instance, toy, "downstream", BAD)),
        Way.BACKFILLED_IN_ONE_RUN: goes_on(instance, lambda: backfill(instance, toy, BAD)),
        Way.BACKFILLED_IN_SEVERAL: goes_on(
            instance, lambda: backfill(instance, Toy(Primitive.OURS, row, Runs.SEVERAL), GOOD, BAD)
        ),
    }
    assert bool(newest(instance, GOOD)) == bool(good_days), "a gate of another day holds the good day"
    if row not in WITHOUT_A_RUN:
        outcomes[Way.IN_RUN] = goes_on(instance, lambda: run(instance, toy, "both", BAD))
    assert outcomes == dict.fromkeys(outcomes, row.goes_on)


# No run judges in these states, or none can hold both tables.
WITHOUT_A_RUN = (Row.NEVER_RUN, Row.OVERTAKEN, Row.DAY_BEFORE_FAILS, Row.WHOLE_TABLE_FAILS)

# Where stock Dagster goes on, by what asks: the run itself, eager(), eager() with all_deps_blocking_checks_passed(),
# and a person.
STOCK: dict[Row, dict[str, bool]] = {
    Row.PASSES: {"in run": True, "eager": True, "eager_and_passed": True, "manual": True},
    Row.FAILS: {"in run": False, "eager": True, "eager_and_passed": False, "manual": True},
    Row.WARNS: {"in run": True, "eager": True, "eager_and_passed": False, "manual": True},
    Row.NEVER_RUN: {"eager": True, "eager_and_passed": False, "manual": True},
    Row.OVERTAKEN: {"eager": True, "eager_and_passed": False, "manual": True},
    Row.ONE_DAY_OF_TWO: {"in run": False, "eager": True, "eager_and_passed": True, "manual": True},
    Row.RAISES: {"in run": False, "eager": True, "eager_and_passed": False, "manual": True},
    Row.SILENT: {"in run": True, "eager": True, "eager_and_passed": False, "manual": True},
    Row.DAY_BEFORE_FAILS: {"eager": True, "eager_and_passed": True, "manual": True},
    Row.WHOLE_TABLE_FAILS: {"eager": True, "eager_and_passed": False, "manual": True},
}


@pytest.mark.parametrize("row", Row)
def test_stock_dagster_in_place_of_the_primitive_comes_out_wrong(instance: dg.DagsterInstance, row: Row) -> None:
    toy, careful = Toy(Primitive.EAGER, row), Toy(Primitive.EAGER_AND_PASSED, row)
    _, cursor = asked_for(instance, toy)
    _, careful_cursor = asked_for(instance, careful)
    make(instance, toy)
    outcomes = {
        "eager": BAD in asked_for(instance, toy, cursor)[0],
        "eager_and_passed": BAD in asked_for(instance, careful, careful_cursor)[0],
        "manual": goes_on(instance, lambda: run(instance, toy, "downstream", BAD)),
    }
    if row not in WITHOUT_A_RUN:
        outcomes["in run"] = goes_on(instance, lambda: run(instance, toy, "both", BAD))
    assert outcomes == STOCK[row]
    assert (set(outcomes.values()) == {row.goes_on}) == (row is Row.PASSES), "the row would not find it out"
