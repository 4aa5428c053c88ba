"""A gate, what it found, and how that is declared and recorded in Dagster.

This is the one module that leans on what Dagster calls preview, partitioned asset checks, and on evaluations that
an asset yields itself for each partition of a range. tests/lineage/test_gates.py pins both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.metadata import RawMetadataValue, normalize_metadata
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.instance.utils import RUNLESS_JOB_NAME
from dagster._core.utils import make_new_run_id
from dagster._utils.warnings import disable_dagster_warnings

from automation.gates import waivers
from contracts.contract import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from automation.gates.waivers import Waiver


@dataclass(frozen=True)
class Gate:
    """A named check and what it promises. One of severity WARNING is shown and alerted, and holds nothing."""

    name: str
    promise: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Judgement:
    """What a gate found of one partition, or of the whole asset if ``partition`` is None."""

    gate: Gate
    passed: bool
    says: str
    partition: str | None = None
    metadata: Mapping[str, RawMetadataValue] = field(default_factory=dict)


CONTRACT = Gate("contract", "No more rows break the contract than it allows, and none is lost: rows in are rows kept.")
EXPECTATIONS = Gate("expectations", "The day as a whole is what the contract expects: volume, freshness, distribution.")
ADVICE = Gate(
    "advice", "What the contract expects with severity warning: shown and alerted, it holds nothing.", Severity.WARNING
)


def specs(
    asset: dg.AssetKey, gates: Sequence[Gate], partitions: dg.PartitionsDefinition | None
) -> list[dg.AssetCheckSpec]:
    """The check specs of ``gates``: blocking unless they only warn, by partition where the asset has partitions."""
    with disable_dagster_warnings():
        return [
            dg.AssetCheckSpec(
                gate.name,
                asset=asset,
                description=gate.promise,
                blocking=gate.severity is Severity.ERROR,
                partitions_def=partitions,
            )
            for gate in gates
        ]


def record(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, judgements: Sequence[Judgement]
) -> Iterator[dg.Output | AssetCheckEvaluation]:
    """Yields the judgements as check evaluations, each against the partition's newest materialization.

    To be yielded from the asset after its own result. Every gate of the asset must be judged on every partition of
    the run: a gate that says nothing would let the run go on. A failure under a waiver lets it go on, as a failure.
    """
    selected = {check.name for check in context.selected_asset_check_keys if check.asset_key == asset}
    by_gate: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_gate.setdefault(judgement.gate.name, []).append(judgement)
    expected = context.partition_keys if context.has_partition_key or context.has_partition_key_range else [None]
    for name in selected:
        judged = [judgement.partition for judgement in by_gate.get(name, [])]
        if sorted(map(str, judged)) != sorted(map(str, expected)):
            raise UnjudgedError(
                f"The gate {name} of {asset.to_user_string()} judged {judged or 'nothing'}, not {list(expected)}."
            )
    evaluations = _evaluations(
        context.instance, asset, [judgement for judgement in judgements if judgement.gate.name in selected], expected
    )
    for name in by_gate:
        if name in selected:
            yield dg.Output(None, output_name=dg.AssetCheckSpec(name, asset=asset).get_python_identifier())
    yield from evaluations


def report(instance: dg.DagsterInstance, asset: dg.AssetKey, judgements: Sequence[Judgement]) -> None:
    """Records judgements made outside a run, of data that was materialized before, as `record` does within one."""
    partitions = [judgement.partition for judgement in judgements]
    for evaluation in _evaluations(instance, asset, judgements, partitions):
        target = evaluation.target_materialization_data
        store(instance, evaluation, target.run_id if target else None)


def store(instance: dg.DagsterInstance, evaluation: AssetCheckEvaluation, run_id: str | None) -> None:
    """Stores an evaluation made outside a run, beside those of the run ``run_id`` whose judgement it replaces.

    Not as Dagster's runless event: of these its database holds one a check and partition, and refuses a second.
    Without a run it gets an id of its own. The event that it replaces stays in the event log.
    """
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=RUNLESS_JOB_NAME,
        event_specific_data=evaluation,
    )
    instance.report_dagster_event(event, run_id=run_id or make_new_run_id())


class UnjudgedError(Exception):
    """A gate did not judge each partition of its run exactly once."""


def _evaluations(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    judgements: Sequence[Judgement],
    partitions: Sequence[str | None],
) -> list[AssetCheckEvaluation]:
    targets = _newest_materializations(instance, asset, partitions)
    # Waivers are looked up when something failed: a day that passes asks for none.
    held = any(not judgement.passed and judgement.gate.severity is Severity.ERROR for judgement in judgements)
    given = waivers.of_assets(instance, [asset]) if held else ()
    now = datetime.now(UTC)
    result = []
    for judgement in judgements:
        evaluation = AssetCheckEvaluation(
            asset_key=asset,
            check_name=judgement.gate.name,
            passed=judgement.passed,
            metadata=normalize_metadata(judgement.metadata),
            severity=dg.AssetCheckSeverity.ERROR
            if judgement.gate.severity is Severity.ERROR
            else dg.AssetCheckSeverity.WARN,
            description=judgement.says,
            blocking=judgement.gate.severity is Severity.ERROR,
            partition=judgement.partition,
            target_materialization_data=targets.get(judgement.partition),
        )
        waiver = waivers.in_force(given, asset, judgement.gate.name, judgement.partition, now)
        result.append(evaluation if judgement.passed or waiver is None else waived(evaluation, waiver))
    return result


WAIVER, WHAT_FAILED = "waiver", "what failed"


def waived(evaluation: AssetCheckEvaluation, waiver: Waiver) -> AssetCheckEvaluation:
    """A failure under a waiver: still a failure, of a severity that Dagster lets a run go on with."""
    failure = unwaived(evaluation)
    return _changed(
        failure,
        dg.AssetCheckSeverity.WARN,
        f"{waiver.words}. What failed: {failure.description}",
        {WAIVER: waiver.as_metadata(), WHAT_FAILED: failure.description or ""},
    )


def unwaived(evaluation: AssetCheckEvaluation) -> AssetCheckEvaluation:
    """The failure as it was before it was waived."""
    if WHAT_FAILED not in evaluation.metadata:
        return evaluation
    return _changed(evaluation, dg.AssetCheckSeverity.ERROR, str(evaluation.metadata[WHAT_FAILED].value), {})


def _changed(
    evaluation: AssetCheckEvaluation,
    severity: dg.AssetCheckSeverity,
    description: str,
    metadata: Mapping[str, RawMetadataValue],
) -> AssetCheckEvaluation:
    kept = {name: value for name, value in evaluation.metadata.items() if name not in (WAIVER, WHAT_FAILED)}
    return AssetCheckEvaluation(
        asset_key=evaluation.asset_key,
        check_name=evaluation.check_name,
        passed=evaluation.passed,
        metadata={**metadata, **kept},
        severity=severity,
        description=description,
        blocking=evaluation.blocking,
        partition=evaluation.partition,
        target_materialization_data=evaluation.target_materialization_data,
    )


def _newest_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Sequence[str | None]
) -> dict[str | None, AssetCheckEvaluationTargetMaterializationData]:
    def newest(keys: Sequence[str], limit: int) -> Iterator[dg.EventRecord]:
        query = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=list(keys) or None)
        yield from instance.fetch_materializations(query, limit=limit).records

    keys = [key for key in partitions if key is not None]
    # In a run its own materializations are the newest, one a partition: one query finds them all.
    found = {record.partition_key: record for record in reversed(list(newest(keys, max(1, len(keys)))))}
    for key in keys:
        if key not in found:
            found |= {record.partition_key: record for record in newest([key], 1)}
    return {
        partition: AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.event_log_entry.run_id, timestamp=record.timestamp
        )
        for partition, record in found.items()
    }
