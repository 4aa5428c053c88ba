"""Features: cases and what is known at each instant, computed from raw tables by Ibis; Feast knows them by name."""

import dagster as dg

from assets.catalogue.lint import Level
from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.feature_store import FeatureStoreResource
from automation import gates
from automation.boundary import publish
from automation.derivation import derive_table
from automation.engines.choice import chosen_engine, engine_of
from automation.resources import LakehouseResource
from automation.settings import settings
from automation.workload import Delivery, DerivedTable, Stage, Workload

FEATURE_VIEWS = "feature_views"
# A warning: it is by applying a changed view that a model can be trained on it. Scoring refuses meanwhile.
LIVE_MODELS = gates.Gate(
    "live_models", "The model that decides was trained on views that mean what they mean now.", gates.Severity.WARNING
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    tables = [spec.cases, *spec.features.views]
    return [*(derived(workload, table, Stage.FEATURES) for table in tables), _feature_views(workload)]


def derived(workload: Workload, table: DerivedTable, stage: Stage) -> dg.AssetsDefinition:
    """A daily table that a function of the workload computes from raw tables: of features.py or of migrations.py."""
    contract = workload.contract(table.table)
    whole = {feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.WHOLE}

    @gates.gated_asset(
        **declared(
            workload,
            stage,
            table.table,
            kinds={"ibis", chosen_engine(workload, settings()).value, "deltalake"},
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
        engine = engine_of(workload, settings())
        rows = derive_table(engine, lake, workload, table, days)
        yield from publish(context, lake, workload, table.table, rows, days, metadata={"engine": engine.name.value})

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
            more_gates=[LIVE_MODELS],
        )
    )
    def applied(context: dg.AssetExecutionContext, feature_store: FeatureStoreResource):
        from assets.catalogue.live import findings
        from feature_repo.store import apply

        found = apply(feature_store.open(), workload.name)
        yield dg.MaterializeResult(
            metadata={
                "entities": list(found.entities),
                "views": list(found.views),
                "services": list(found.services),
                "changed": list(found.changed),
                "removed": list(found.removed),
            }
        )
        said = findings(settings(), workload, feature_store.meaning(workload.spec.features.service))
        breaks = [each for each in said if each.level is Level.FAULT]
        yield from gates.record(
            context,
            key(workload, FEATURE_VIEWS),
            [
                gates.Judgement(
                    LIVE_MODELS,
                    passed=not breaks,
                    says=" ".join(f"{each.view} {each.says}. {each.remedy}" for each in breaks)
                    or "The model that decides, if one does, was trained on views that mean what they mean now.",
                    partition=None,
                )
            ],
        )

    return applied
