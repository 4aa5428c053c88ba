"""Gates: what Dagster's partitioned checks, still a preview, do for us. An upgrade that changes it fails here."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from hypothesis import given, settings
from hypothesis import strategies as st

from automation import boundary, gates
from automation.calendar import Days
from automation.lakehouse import Lakehouse, quarantine_of
from contracts.contract import Contract, ExpectationKind
from contracts.document import load

DAYS = dg.DailyPartitionsDefinition(start_date="2013-01-01", end_date="2013-01-05")
UPSTREAM, DOWNSTREAM = dg.AssetKey(["toy", "upstream"]), dg.AssetKey(["toy", "downstream"])
GATE = gates.Gate("contract", "No row breaks the contract.")
CHECK = dg.AssetCheckKey(UPSTREAM, GATE.name)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Judge = Callable[[str], bool]


def code_location(judge: Judge, silent: frozenset[str] = frozenset()) -> dg.Definitions:
    """An asset with a gate that judges each of its days, and one downstream of it."""

    @gates.gated_asset(
        key=UPSTREAM,
        partitions_def=DAYS,
        check_specs=gates.specs(UPSTREAM, [GATE], DAYS),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def upstream(context: dg.AssetExecutionContext):
        yield dg.MaterializeResult()
        yield from gates.record(
            context,
            UPSTREAM,
            [
                gates.Judgement(GATE, passed=judge(day), says=f"of {day}", partition=day, metadata={"rows": len(day)})
                for day in context.partition_keys
                if day not in silent
            ],
        )

    @gates.gated_asset(
        key=DOWNSTREAM,
        deps=[UPSTREAM],
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=gates.downstream_condition(),
    )
    def downstream() -> None: ...

    jobs = [dg.define_asset_job("all"), dg.define_asset_job("upstream_alone", dg.AssetSelection.assets(UPSTREAM))]
    return dg.Definitions(assets=[upstream, downstream], jobs=jobs, executor=dg.in_process_executor)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, first: str, last: str | None = None, job: str = "all"
) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=None if last else first, tags=tags, raise_on_error=False
    )


def statuses(instance: dg.DagsterInstance) -> Mapping[str | None, str]:
    found = instance.event_log_storage.get_asset_check_partition_info([CHECK])
    assert all(info.is_current for info in found)
    return {info.partition_key: info.latest_execution_status.value for info in found}


def materialized(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_materialized_partitions(DOWNSTREAM))


PASSED, FAILED = AssetCheckExecutionRecordStatus.SUCCEEDED.value, AssetCheckExecutionRecordStatus.FAILED.value


def test_a_gate_that_passes_lets_the_day_go_on(instance: dg.DagsterInstance) -> None:
    assert run(code_location(lambda _: True), instance, "2013-01-02").success
    assert statuses(instance) == {"2013-01-02": PASSED}
    assert materialized(instance) == {"2013-01-02"}


def test_a_gate_that_fails_holds_everything_downstream_in_the_same_run(instance: dg.DagsterInstance) -> None:
    assert not run(code_location(lambda _: False), instance, "2013-01-02").success
    assert statuses(instance) == {"2013-01-02": FAILED}
    assert materialized(instance) == set()
    assert set(instance.get_materialized_partitions(UPSTREAM)) == {"2013-01-02"}


def test_a_range_is_judged_day_by_day_and_held_as_one_run(instance: dg.DagsterInstance) -> None:
    assert not run(code_location(lambda day: day != "2013-01-03"), instance, "2013-01-01", "2013-01-04").success
    assert statuses(instance) == {
        "2013-01-01": PASSED,
        "2013-01-02": PASSED,
        "2013-01-03": FAILED,
        "2013-01-04": PASSED,
    }
    assert materialized(instance) == set()


def test_a_range_whose_days_all_pass_goes_on(instance: dg.DagsterInstance) -> None:
    assert run(code_location(lambda _: True), instance, "2013-01-01", "2013-01-04").success
    assert set(statuses(instance).values()) == {PASSED}
    assert len(materialized(instance)) == 4


def test_one_day_that_passes_says_nothing_of_another_that_failed(instance: dg.DagsterInstance) -> None:
    run(code_location(lambda _: False), instance, "2013-01-02")
    run(code_location(lambda _: True), instance, "2013-01-03")
    assert statuses(instance) == {"2013-01-02": FAILED, "2013-01-03": PASSED}


def test_a_repaired_day_is_passed_by_its_newest_judgement(instance: dg.DagsterInstance) -> None:
    run(code_location(lambda _: False), instance, "2013-01-02")
    assert run(code_location(lambda _: True), instance, "2013-01-02").success
    assert statuses(instance) == {"2013-01-02": PASSED}
    assert materialized(instance) == {"2013-01-02"}


@pytest.mark.parametrize("silent", [{"2013-01-02"}, {"2013-01-01", "2013-01-02"}])
def test_a_gate_that_does_not_judge_every_day_of_its_run_stops_it(instance: dg.DagsterInstance, silent) -> None:
    result = run(code_location(lambda _: True, frozenset(silent)), instance, "2013-01-01", "2013-01-02")
    assert not result.success
    assert materialized(instance) == set()
    [error] = [e.step_failure_data.error for e in result.all_events if e.is_step_failure]
    assert "UnjudgedError" in str(error.cause or error)


def test_a_check_that_raises_stops_the_run(instance: dg.DagsterInstance) -> None:
    def broken(day: str) -> bool:
        raise ZeroDivisionError(day)

    assert not run(code_location(broken), instance, "2013-01-02").success
    assert materialized(instance) == set()


def test_judgements_carry_their_words_and_their_evidence(instance: dg.DagsterInstance) -> None:
    run(code_location(lambda _: False), instance, "2013-01-02")
    [record] = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=1)
    found = record.event.dagster_event.asset_check_evaluation_data
    assert (found.description, found.partition, found.blocking) == ("of 2013-01-02", "2013-01-02", True)
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert found.metadata["rows"].value == 10


# ---------------------------------------------------------------- automation conditions


def requested(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor=None) -> tuple[set[str], object]:
    result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
    return set(result.get_requested_partitions(DOWNSTREAM)), result.cursor


def test_automation_asks_for_a_day_whose_gates_passed_and_for_no_other(instance: dg.DagsterInstance) -> None:
    good, bad = code_location(lambda _: True), code_location(lambda _: False)
    _, cursor = requested(good, instance)
    run(bad, instance, "2013-01-02", job="upstream_alone")
    run(good, instance, "2013-01-03", job="upstream_alone")
    asked, cursor = requested(good, instance, cursor)
    assert asked == {"2013-01-03"}
    # A later day that passes does not free the one that failed.
    run(good, instance, "2013-01-04", job="upstream_alone")
    asked, cursor = requested(good, instance, cursor)
    assert asked == {"2013-01-04"}


def test_automation_asks_for_a_held_day_once_it_is_repaired(instance: dg.DagsterInstance) -> None:
    good, bad = code_location(lambda _: True), code_location(lambda _: False)
    _, cursor = requested(good, instance)
    run(bad, instance, "2013-01-02", job="upstream_alone")
    asked, cursor = requested(good, instance, cursor)
    assert asked == set()
    run(good, instance, "2013-01-02", job="upstream_alone")
    asked, cursor = requested(good, instance, cursor)
    assert asked == {"2013-01-02"}


def test_automation_asks_for_a_day_only_once(instance: dg.DagsterInstance) -> None:
    good = code_location(lambda _: True)
    _, cursor = requested(good, instance)
    run(good, instance, "2013-01-02", job="upstream_alone")
    asked, cursor = requested(good, instance, cursor)
    assert asked == {"2013-01-02"}
    assert requested(good, instance, cursor)[0] == set()


def test_the_days_of_these_tests_are_those_of_the_partitions() -> None:
    assert DAYS.get_partition_keys()[-1] == date(2013, 1, 4).isoformat()


# ---------------------------------------------------------------- inputs that an asset may do without


def with_optional_input(judge: Judge) -> dg.Definitions:
    """`code_location` with a reader that may do without what is upstream, and reads a window of three days of it."""
    upstream = next(each for each in code_location(judge).assets or () if isinstance(each, dg.AssetsDefinition))
    window = dg.TimeWindowPartitionMapping(start_offset=-2, allow_nonexistent_upstream_partitions=True)

    @gates.gated_asset(
        key=DOWNSTREAM,
        deps=[dg.AssetDep(UPSTREAM, partition_mapping=window)],
        partitions_def=DAYS,
        metadata=gates.optional_inputs([UPSTREAM]),
    )
    def downstream() -> None: ...

    jobs = [
        dg.define_asset_job("upstream_alone", dg.AssetSelection.assets(UPSTREAM)),
        dg.define_asset_job("downstream_alone", dg.AssetSelection.assets(DOWNSTREAM)),
    ]
    return dg.Definitions(assets=[upstream, downstream], jobs=jobs, executor=dg.in_process_executor)


def test_an_optional_input_may_be_missing_and_holds_where_its_gate_failed(instance: dg.DagsterInstance) -> None:
    definitions = with_optional_input(lambda day: day != "2013-01-03")
    assert run(definitions, instance, "2013-01-02", job="downstream_alone").success
    run(definitions, instance, "2013-01-03", job="upstream_alone")
    assert not run(definitions, instance, "2013-01-04", job="downstream_alone").success
    assert run(definitions, instance, "2013-01-01", job="downstream_alone").success


# ---------------------------------------------------------------- what only warns

WEATHER = Path(__file__).parent.parent.parent / "contracts" / "flight_disruption" / "weather.odcs.yaml"


@dataclass(frozen=True, eq=False)
class Weather:
    """What the boundary asks of a workload."""

    found: Contract
    name: str = "toy"
    # No feed delivers it by the day, so that it is not judged by its past.
    spec: SimpleNamespace = dataclasses.field(default_factory=lambda: SimpleNamespace(feeds=(), derived_tables={}))

    def contract(self, table: str) -> Contract:
        assert table == self.found.name
        return self.found


def weather(severity: gates.Severity, folder: Path) -> dg.Definitions:
    """A table written through the boundary: each day lacks rows, which its contract says with ``severity``."""
    read = load(WEATHER)
    [few] = [each for each in read.expectations if each.kind is ExpectationKind.ROW_COUNT]
    contract = dataclasses.replace(read, expectations=(dataclasses.replace(few, severity=severity),))
    key = dg.AssetKey(["toy", "weather"])

    @gates.gated_asset(
        key=key,
        partitions_def=DAYS,
        check_specs=gates.specs(key, boundary.table_gates(contract), DAYS),
    )
    def delivered(context: dg.AssetExecutionContext):
        rows = pl.DataFrame(schema={**contract.schema, "day": pl.Date})
        days = Days.one(date.fromisoformat(context.partition_key))
        yield from boundary.publish(context, Lakehouse(str(folder)), Weather(contract), "weather", rows, days)

    @gates.gated_asset(key=DOWNSTREAM, deps=[key], partitions_def=DAYS)
    def downstream() -> None: ...

    return dg.Definitions(
        assets=[delivered, downstream], jobs=[dg.define_asset_job("all")], executor=dg.in_process_executor
    )


@pytest.mark.parametrize(
    ("severity", "gate", "goes_on"),
    [(gates.Severity.WARNING, gates.ADVICE, True), (gates.Severity.ERROR, gates.EXPECTATIONS, False)],
)
def test_an_expectation_that_only_warns_is_shown_and_holds_nothing(
    instance: dg.DagsterInstance, tmp_path: Path, severity: gates.Severity, gate: gates.Gate, goes_on: bool
) -> None:
    result = run(weather(severity, tmp_path), instance, "2013-01-02")
    assert result.success == goes_on
    assert bool(materialized(instance)) == goes_on
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert set(found) == {gates.CONTRACT.name, gate.name}
    assert not found[gate.name].passed
    assert found[gate.name].severity.value == ("WARN" if goes_on else "ERROR")
    assert " is 0, expected " in (found[gate.name].description or "")


# ---------------------------------------------------------------- how a gate stands

PARTITIONS = ("2013-01-01", "2013-01-02")
Happened = tuple[str, str | None, bool]


HAPPENED = st.tuples(st.sampled_from(("materialized", "judged")), st.sampled_from((*PARTITIONS, None)), st.booleans())


def test_a_gate_stands_by_its_newest_judgement_if_that_is_of_the_newest_materialization(
    instance: dg.DagsterInstance,
) -> None:
    """Whatever was materialized and judged, in whatever order: days, and the table as a whole (None)."""
    tables = (dg.AssetKey(["toy", f"table_{number}"]) for number in itertools.count())

    @given(st.lists(HAPPENED, max_size=10))
    @settings(max_examples=40, deadline=None)
    def holds(log: list[Happened]) -> None:
        stands_as_the_log_says(instance, next(tables), log)

    holds()


def stands_as_the_log_says(instance: dg.DagsterInstance, table: dg.AssetKey, log: list[Happened]) -> None:
    newest: dict[str | None, int] = {}
    judged: dict[str | None, tuple[int | None, bool]] = {}
    for number, (what, partition, passed) in enumerate(log):
        if what == "materialized":
            instance.report_runless_asset_event(dg.AssetMaterialization(table, partition=partition))
            newest[partition] = number
        elif partition is not None:
            gates.report(instance, table, [gates.Judgement(GATE, passed, "", partition)])
            judged[partition] = (newest.get(partition), passed)
    found = gates.read(instance, [gates.Asked(table, (GATE.name,), frozenset(PARTITIONS))], NOW)
    assert [standing.partition for standing in found] == list(PARTITIONS)
    for standing in found:
        last = max((newest[key] for key in (standing.partition, None) if key in newest), default=None)
        target, passed = judged.get(standing.partition, (None, False))
        if last is None:
            expected = gates.State.MISSING
        elif standing.partition not in judged:
            expected = gates.State.NEVER_RUN
        elif target != last:
            expected = gates.State.OVERTAKEN
        else:
            expected = gates.State.PASSED if passed else gates.State.FAILED
        assert standing.state is expected, (standing, log)
        assert standing.open == (expected is gates.State.PASSED)


# ---------------------------------------------------------------- law 4: what the boundary counts is what lies there

CARRIERS = WEATHER.parent / "carriers.odcs.yaml"


@dataclass(frozen=True)
class Forgetful(Lakehouse):
    """A lakehouse that writes one table without its last row."""

    forgets: str = ""

    def replace_days(self, workload, table, frame, days, revisions=None) -> int:
        return super().replace_days(workload, table, self._kept(table, frame), days, revisions)

    def replace(self, workload, table, frame, revisions=None) -> int:
        return super().replace(workload, table, self._kept(table, frame), revisions)

    def _kept(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.head(-1) if table == self.forgets else frame


@pytest.mark.parametrize("by_day", [True, False])
@pytest.mark.parametrize("forgets", ["", "carriers", quarantine_of("carriers")])
def test_a_row_that_is_written_to_neither_side_fails_the_gate(
    instance: dg.DagsterInstance, tmp_path: Path, forgets: str, by_day: bool
) -> None:
    contract = dataclasses.replace(load(CARRIERS), expectations=(), quarantine_limit=1.0)
    key = dg.AssetKey(["toy", "carriers"])
    days = DAYS if by_day else None
    lake = Forgetful(str(tmp_path), forgets)
    rows = pl.DataFrame({"carrier": ["AA", "UA", None, None], "name": ["American", "United", "a", "b"]})

    @gates.gated_asset(key=key, partitions_def=days, check_specs=gates.specs(key, boundary.table_gates(contract), days))
    def carriers(context: dg.AssetExecutionContext):
        if by_day:
            day = date.fromisoformat(context.partition_key)
            dated = rows.with_columns(day=pl.lit(day))
            yield from boundary.publish(context, lake, Weather(contract), "carriers", dated, Days.one(day))
        else:
            yield from boundary.publish_whole(context, lake, Weather(contract), "carriers", rows)

    definitions = dg.Definitions(assets=[carriers], jobs=[dg.define_asset_job("all")], executor=dg.in_process_executor)
    result = definitions.resolve_job_def("all").execute_in_process(
        instance=instance, partition_key="2013-01-02" if by_day else None, raise_on_error=False
    )
    [found] = result.get_asset_check_evaluations()
    assert found.check_name == gates.CONTRACT.name
    assert found.passed == (not forgets)
    said = "1 of 4 rows are neither in the table nor in its quarantine." if forgets else "2 of 4 rows"
    assert (found.description or "").startswith(said)
