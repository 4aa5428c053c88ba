"""Gates: asset checks that judge each partition of a table and stop everything downstream when one fails.

This is the one module that leans on what Dagster calls preview, partitioned asset checks, and on evaluations that
an asset yields itself for each partition of a range. tests/lineage/test_gates.py pins both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.metadata import RawMetadataValue, normalize_metadata
from dagster._utils.warnings import disable_dagster_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Gate:
    """A named check and what it promises. One of severity WARN alerts and holds nothing."""

    name: str
    promise: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def blocking(self) -> bool:
        return self.severity is dg.AssetCheckSeverity.ERROR


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


def specs(
    asset: dg.AssetKey, gates: Sequence[Gate], partitions: dg.PartitionsDefinition | None
) -> list[dg.AssetCheckSpec]:
    """The check specs of ``gates``: blocking unless they only warn, per partition where the asset has partitions."""
    with disable_dagster_warnings():
        return [
            dg.AssetCheckSpec(
                gate.name, asset=asset, description=gate.promise, blocking=gate.blocking, partitions_def=partitions
            )
            for gate in gates
        ]


def record(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, judgements: Sequence[Judgement]
) -> Iterator[dg.Output | AssetCheckEvaluation]:
    """Yields the judgements as check evaluations, each against the partition's newest materialization.

    To be yielded from the asset after its own result. Every gate of the asset must be judged on every partition of
    the run: a gate that says nothing would let the run go on.
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
    targets = _newest_materializations(context, asset, expected)
    for name, judged in by_gate.items():
        if name not in selected:
            continue
        yield dg.Output(None, output_name=dg.AssetCheckSpec(name, asset=asset).get_python_identifier())
        for judgement in judged:
            yield AssetCheckEvaluation(
                asset_key=asset,
                check_name=name,
                passed=judgement.passed,
                metadata=normalize_metadata(judgement.metadata),
                severity=judgement.gate.severity,
                description=judgement.says,
                blocking=judgement.gate.blocking,
                partition=judgement.partition,
                target_materialization_data=targets.get(judgement.partition),
            )


class UnjudgedError(Exception):
    """A gate did not judge each partition of its run exactly once."""


def _newest_materializations(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, partitions: Sequence[str | None]
) -> dict[str | None, AssetCheckEvaluationTargetMaterializationData]:
    keys = [key for key in partitions if key is not None]
    query = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=keys or None)
    # The run's own materializations are the newest, one a partition.
    records = context.instance.fetch_materializations(query, limit=len(partitions)).records
    return {
        found.partition_key: AssetCheckEvaluationTargetMaterializationData(
            storage_id=found.storage_id, run_id=found.event_log_entry.run_id, timestamp=found.timestamp
        )
        for found in reversed(records)
    }


def downstream_condition(optional: Sequence[dg.AssetKey] = ()) -> dg.AutomationCondition:
    """Materialize a partition when an input of it is new, all inputs exist and every gate upstream has passed.

    It acts on any partition of the calendar, not only the newest, so that a day that was repaired is done again.
    ``optional`` inputs neither hold it back where they are missing nor set it going when they are new: a day that
    was decided is not decided again because a model was promoted since.
    """
    updated, missing = dg.AutomationCondition.any_deps_updated(), dg.AutomationCondition.any_deps_missing()
    if optional:
        ignored = dg.AssetSelection.assets(*optional)
        updated, missing = updated.ignore(ignored), missing.ignore(ignored)
    ready = (
        ~missing
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
    )
    new = (dg.AutomationCondition.newly_missing() | updated).since_last_handled()
    return (new & ready).with_label("inputs new, gates passed")
