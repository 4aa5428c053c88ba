"""Feature faults: features of the day's cases that look as if a feed or a pipeline were broken."""

from collections.abc import Collection

import dagster as dg

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.drift import decided_days, table_of
from automation import gates
from automation.drift import states
from automation.drift.inputs.faults import Usual, unit_of
from automation.drift.states import FEATURE_FAULTS, Kept, Watched, plan_digest
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.workload import Stage, Workload
from contracts.contract import Contract

FEATURES_WHOLE = gates.Gate(
    "features_whole",
    "No feature of the day's cases looks as if its feed or pipeline were broken.",
    gates.Severity.WARNING,
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [] if workload.spec.drift is None else [_feature_faults(workload)]


def units_of(vector: Contract, features: Collection[str]) -> dict[str, str]:
    """The features' units, as far as they are known to come in others."""
    found = {column.name: unit_of(column.unit) for column in vector.columns if column.name in features}
    return {name: unit for name, unit in found.items() if unit is not None}


def _feature_faults(workload: Workload) -> dg.AssetsDefinition:
    vector = workload.contract(workload.spec.model.contract)
    features = workload.model_features
    units = units_of(vector, features)
    # What is usual is so whoever decides.
    nobody = Watched("", workload.calendar.start, plan_digest({"features": list(features), "units": units}))

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            FEATURE_FAULTS,
            kinds={"polars", "deltalake"},
            description="Features whose values look as if a feed or a pipeline were broken.",
            deps=[days_before(workload, DECISIONS, 0)],
            more_gates=[FEATURES_WHOLE],
            range_runs=False,
        )
    )
    def feature_faults(context: dg.AssetExecutionContext, lakehouse: LakehouseResource, models: ModelRegistryResource):
        day, lake = run_days(context).first, lakehouse.open()
        days = decided_days(lake, workload, models.settings)
        had = states.before(lake, workload.name, FEATURE_FAULTS, nobody, day)
        usual = Usual.of(features, units) if had is None else Usual.of_bytes(had.state)
        rows = days.vectors(day)
        found = usual.faults(rows)
        says = "; ".join(each.says for each in found) or f"None of {len(features)} features looks broken."
        told = [{"feature": each.feature, "kind": each.kind.value, "says": each.says} for each in found]
        kept_now = Kept(nobody, day, usual.after(rows).as_bytes(), bool(found), says, told)
        states.keep(lake, workload.name, FEATURE_FAULTS, kept_now)
        yield dg.MaterializeResult(
            metadata={"says": says, "features that look broken": len(found), **table_of("faults", told)}
        )
        yield from gates.record(
            context,
            key(workload, FEATURE_FAULTS),
            [gates.Judgement(FEATURES_WHOLE, not found, says, context.partition_key)],
        )

    return feature_faults
