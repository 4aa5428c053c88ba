"""Features: cases and what is known at each instant, computed from raw tables by Ibis; Feast knows them by name."""

import dagster as dg

from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.feature_store import FeatureStoreResource
from automation import gates
from automation.boundary import publish
from automation.derivation import derive
from automation.resources import LakehouseResource
from automation.workload import Delivery, DerivedTable, Stage, Workload

FEATURE_VIEWS = "feature_views"


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    tables = [spec.cases, *spec.features.views]
    return [*(derived(workload, table, Stage.FEATURES) for table in tables), _feature_views(workload)]


def derived(workload: Workload, table: DerivedTable, stage: Stage) -> dg.AssetsDefinition:
    """A daily table that a function of the workload computes from raw tables: of features.py or of migrations.py."""
    contract = workload.contract(table.table)
    _, module = workload.spec.derived_tables[table.table]
    whole = {feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.WHOLE}

    @gates.gated_asset(
        **declared(
            workload,
            stage,
            table.table,
            kinds={"ibis", "duckdb", "deltalake"},
            description=contract.description,
            contract=contract,
            deps=[
                key(workload, name) if name in whole else days_before(workload, name, table.lookback_days)
                for name in table.reads
            ],
        )
    )
    def computed(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days, lake = run_days(context), lakehouse.open()
        reach = workload.calendar.within(days.widened(table.lookback_days))
        inputs = {name: lake.read(workload.name, name, None if name in whole else reach) for name in table.reads}
        function = getattr(workload.module(module), table.table)
        rows = derive(function, inputs, workload.calendar, days, contract.key)
        yield from publish(context, lake, workload, table.table, rows, days)

    return computed


def _feature_views(workload: Workload) -> dg.AssetsDefinition:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.FEATURES,
            FEATURE_VIEWS,
            kinds={"feast", "postgres"},
            description="The entities, views and services of the workload, applied to Feast's registry.",
            daily=False,
            automated=False,
        )
    )
    def applied(feature_store: FeatureStoreResource) -> dg.MaterializeResult:
        from feature_repo.store import apply

        found = apply(feature_store.open(), workload.name)
        return dg.MaterializeResult(
            metadata={
                "entities": list(found.entities),
                "views": list(found.views),
                "services": list(found.services),
                "changed": list(found.changed),
                "removed": list(found.removed),
            }
        )

    return applied
