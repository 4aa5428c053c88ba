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
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.instance_for_test import instance_for_test
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.backfill import execute_backfill_iteration
from sqlalchemy.exc import IntegrityError

from automation import database, gates
from automation.gates import commands, refusal, waivers
from automation.ledger import store
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
    storage = database.dagster_storage(database.url(settings, "dagster"))
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


def backfill(
    instance: dg.DagsterInstance, toy: Toy, *days: str, tables: tuple[dg.AssetKey, ...] = (DOWNSTREAM,)
) -> None:
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
            asset_selection=list(tables),
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


@pytest.mark.parametrize(("runs", "materialized"), [(Runs.ONE, set()), (Runs.SEVERAL, {GOOD, DAY_BEFORE})])
def test_a_backfill_of_both_tables_goes_on_with_the_runs_in_which_no_day_failed(
    instance: dg.DagsterInstance, runs: Runs, materialized: set[str]
) -> None:
    toy = Toy(Primitive.OURS, Row.FAILS, runs)
    backfill(instance, toy, GOOD, DAY_BEFORE, BAD, tables=(UPSTREAM, DOWNSTREAM))
    assert set(instance.get_materialized_partitions(UPSTREAM)) == {GOOD, DAY_BEFORE, BAD}
    assert set(instance.get_materialized_partitions(DOWNSTREAM)) == materialized


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


# ---------------------------------------------------------------- waivers

NOW = datetime.now(UTC)
A_WEEK = NOW + timedelta(days=7)


def waive(
    settings: Settings, days: tuple[str, str] | None = (BAD, BAD), made: datetime = NOW, until: datetime = A_WEEK
):
    return waivers.waive(
        settings, UPSTREAM, "contract", days, by="A. Jensen", reason="the mast is moved", until=until, now=made
    )


def judgement(instance: dg.DagsterInstance) -> AssetCheckEvaluation:
    [newest_one, *_] = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=1)
    assert newest_one.evaluation is not None
    return newest_one.evaluation


@pytest.fixture
def waivable(instance: dg.DagsterInstance, settings: Settings) -> Iterator[dg.DagsterInstance]:
    """No waiver of an earlier test is in force."""
    yield instance
    for waiver in waivers.of_assets(instance, [UPSTREAM]):
        if waiver.ends > datetime.now(UTC):
            waivers.revoke(settings, waiver.number, by="the test", now=datetime.now(UTC))


def test_a_waived_failure_goes_on_on_every_path_and_is_still_shown_as_a_failure(
    waivable: dg.DagsterInstance, settings: Settings
) -> None:
    instance, toy = waivable, Toy(Primitive.OURS, Row.FAILS)
    _, cursor = asked_for(instance, toy)
    make(instance, toy)
    asked, cursor = asked_for(instance, toy, cursor)
    assert BAD not in asked
    waiver = waive(settings)
    place = commands.Place(UPSTREAM, "contract", (BAD, BAD))
    assert [each.partition for each in commands.show(instance, place, datetime.now(UTC))] == [BAD]

    shown = judgement(instance)
    assert not shown.passed
    assert shown.severity == dg.AssetCheckSeverity.WARN
    assert (shown.description or "").startswith("WAIVED by A. Jensen until ")
    assert "What failed: of 2013-01-04" in (shown.description or "")
    assert shown.metadata["waiver"].value["number"] == waiver.number

    asked, _ = asked_for(instance, toy, cursor)
    outcomes = {
        Way.AUTOMATED: BAD in asked,
        Way.MANUAL: goes_on(instance, lambda: run(instance, toy, "downstream", BAD)),
        Way.BACKFILLED_IN_ONE_RUN: goes_on(instance, lambda: backfill(instance, toy, BAD)),
        Way.IN_RUN: goes_on(instance, lambda: run(instance, toy, "both", BAD)),
    }
    assert outcomes == dict.fromkeys(outcomes, True)
    # Judged again in that run, it failed again and is a failure still; what went on says under which waiver.
    assert (judgement(instance).passed, judgement(instance).severity) == (False, dg.AssetCheckSeverity.WARN)
    query = dg.AssetRecordsFilter(asset_key=DOWNSTREAM, asset_partitions=[BAD])
    made = instance.fetch_materializations(query, limit=1).records[0].asset_materialization
    assert made is not None
    assert [each["number"] for each in made.metadata[refusal.MADE_UNDER].value] == [waiver.number]

    waivers.revoke(settings, waiver.number, by="B. Olsen", now=datetime.now(UTC))
    commands.show(instance, place, datetime.now(UTC))
    assert (judgement(instance).severity, judgement(instance).description) == (
        dg.AssetCheckSeverity.ERROR,
        f"of {BAD}",
    )
    assert not goes_on(instance, lambda: run(instance, toy, "downstream", BAD))


def test_a_gate_holds_again_when_its_waiver_expires_and_the_refusal_says_so(
    waivable: dg.DagsterInstance, settings: Settings
) -> None:
    instance, toy = waivable, Toy(Primitive.OURS, Row.FAILS)
    make(instance, toy)
    long_ago = NOW - timedelta(days=20)
    waive(settings, made=long_ago, until=long_ago + timedelta(days=10))
    refused = run(instance, toy, "downstream", BAD)
    assert not refused.success
    [error] = [e.step_failure_data.error for e in refused.all_events if e.is_step_failure]
    assert (
        "toy/downstream for 2013-01-04 is refused: the gate contract of toy/upstream failed on 2013-01-04 "
        "(its waiver by A. Jensen is over): of 2013-01-04." in error.cause.message
    )
    assert "warrant gate waive --workload toy --asset upstream --gate contract --partition 2013-01-04" in str(error)
    # It did stand under the waiver then.
    asked = [gates.Asked(UPSTREAM, ("contract",), frozenset({BAD}))]
    [then] = gates.read(instance, asked, long_ago + timedelta(days=9))
    [after] = gates.read(instance, asked, long_ago + timedelta(days=10))
    assert (then.state, after.state) == (gates.State.WAIVED, gates.State.FAILED)


@pytest.mark.parametrize("row", [Row.OVERTAKEN, Row.NEVER_RUN])
def test_a_waiver_is_of_a_judgement_and_lets_nothing_go_on_that_was_not_judged(
    waivable: dg.DagsterInstance, settings: Settings, row: Row
) -> None:
    toy = Toy(Primitive.OURS, row)
    make(waivable, toy)
    waive(settings)
    assert not goes_on(waivable, lambda: run(waivable, toy, "downstream", BAD))


def test_a_waiver_covers_its_days_and_no_other(waivable: dg.DagsterInstance, settings: Settings) -> None:
    toy = Toy(Primitive.OURS, Row.DAY_BEFORE_FAILS)
    make(waivable, toy)
    waive(settings, (GOOD, GOOD))
    assert not goes_on(waivable, lambda: run(waivable, toy, "downstream", BAD))
    waive(settings, (GOOD, DAY_BEFORE))
    assert goes_on(waivable, lambda: run(waivable, toy, "downstream", BAD))


@pytest.mark.parametrize(
    ("by", "reason", "until", "says"),
    [
        (" ", "why", A_WEEK, "names who waives and why"),
        ("A. Jensen", "", A_WEEK, "names who waives and why"),
        ("A. Jensen", "why", NOW, "at most 30 days"),
        ("A. Jensen", "why", NOW + timedelta(days=32), "at most 30 days"),
    ],
)
def test_a_waiver_names_who_and_why_and_ends(settings: Settings, by: str, reason: str, until: datetime, says: str):
    with pytest.raises(waivers.WaiverError, match=says) as raised:
        waivers.waive(settings, UPSTREAM, "contract", None, by=by, reason=reason, until=until, now=NOW)
    assert raised.value.remedy


def test_waivers_are_events_of_the_ledger(settings: Settings) -> None:
    """Which nobody can change: tests/ledger."""
    number = waive(settings).number
    waivers.revoke(settings, number, by="B. Olsen", now=NOW + timedelta(seconds=1))
    with store.opened(settings) as ledger:
        made, revoked = ledger.events(f"waivers/{UPSTREAM.to_user_string()}")[-2:]
    assert (made.id, made.type, revoked.type) == (number, "waived", "revoked")
    assert revoked.data == {"waiver": number, "by": "B. Olsen"}


def test_a_waiver_is_revoked_once(settings: Settings) -> None:
    number = waive(settings).number
    waivers.revoke(settings, number, by="B. Olsen", now=NOW)
    with pytest.raises(waivers.WaiverError, match="has been over since"):
        waivers.revoke(settings, number, by="B. Olsen", now=NOW)
    with pytest.raises(waivers.WaiverError, match="There is no waiver 0"):
        waivers.revoke(settings, 0, by="B. Olsen", now=NOW)


# ---------------------------------------------------------------- judgements outside a run


def test_a_judgement_made_outside_a_run_replaces_the_runs_as_often_as_need_be(instance: dg.DagsterInstance) -> None:
    toy = Toy(Primitive.OURS, Row.FAILS)
    make(instance, toy)
    for passed in (True, False, True):
        gates.report(instance, UPSTREAM, [gates.Judgement(toy.gate, passed, "looked at again", BAD)])
        asked = [gates.Asked(UPSTREAM, ("contract",), frozenset({BAD, GOOD}))]
        states = [found.open for found in gates.read(instance, asked, datetime.now(UTC))]
        assert states == [True, passed]
    assert goes_on(instance, lambda: run(instance, toy, "downstream", BAD))


def test_dagster_holds_one_runless_evaluation_of_a_partition_and_refuses_a_second(
    instance: dg.DagsterInstance,
) -> None:
    """Which is why ours go beside a run's."""
    evaluation = AssetCheckEvaluation(asset_key=UPSTREAM, check_name="contract", passed=True, partition=BAD)
    instance.report_runless_asset_event(evaluation)
    with pytest.raises(IntegrityError):
        instance.report_runless_asset_event(evaluation)


# ---------------------------------------------------------------- the sensor


def test_the_sensor_that_evaluates_our_condition_asks_for_what_no_gate_holds(instance: dg.DagsterInstance) -> None:
    """In the code location, as the daemon has it done."""
    toy = Toy(Primitive.OURS, Row.FAILS)
    sensor = dg.AutomationConditionSensorDefinition("automation", target="*", use_user_code_server=True)
    definitions = dg.Definitions.merge(location(toy), dg.Definitions(sensors=[sensor]))
    repository = definitions.get_repository_def()

    def tick(cursor: str | None) -> tuple[set[str | None], str | None]:
        context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
        found = sensor.evaluate_tick(context)
        return {request.partition_key for request in found.run_requests or ()}, found.cursor

    _, cursor = tick(None)
    make(instance, toy)
    asked, _ = tick(cursor)
    assert asked == {GOOD}
