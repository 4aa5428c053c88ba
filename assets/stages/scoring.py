"""Scoring: the champion of the day scores each case on what was known of it, or the case says why not."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.features import FEATURE_VIEWS
from assets.stages.served import served_features
from assets.stages.vectors import as_json, vectors
from automation import gates
from automation.boundary import publish
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.lineage.metadata import vector_lineage
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout.machine import Champion, deciding_on
from automation.workload import Delivery, Stage, Workload
from feature_repo.pins import changed

SCORES = "scores"
# A vector may rest on features of the day before (the evening's last weather) and on older records.
FEATURE_DAYS = 1


class FeatureViewChangedError(WarrantError):
    """The champion was trained on views that mean something else now."""


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    whole = [feed.table for feed in spec.feeds if feed.delivery is Delivery.WHOLE]
    contract = workload.contract(SCORES)

    @gates.gated_asset(
        **declared(
            workload,
            Stage.SCORING,
            SCORES,
            kinds={"feast", "lightgbm", "deltalake"},
            description="Each case's calibrated probability with every feature's exact share in it.",
            contract=contract,
            deps=[
                days_before(workload, spec.cases.table, 0),
                *(days_before(workload, view.table, FEATURE_DAYS) for view in spec.features.views),
                *(key(workload, table) for table in whole),
                key(workload, FEATURE_VIEWS),
                days_before(workload, "champion", len(workload.calendar.days())),
            ],
            optional=["champion"],
            range_runs=False,
        )
    )
    def scores(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ):
        days, lake = run_days(context), lakehouse.open()
        champion, pinned = deciding_on(models.settings, workload.name, days.first)
        _refuse_other_views(pinned.feature_views, feature_store.meaning(spec.features.service), champion)
        model = models.open(workload.name, champion.model).load(champion.version, champion.digest)
        cases = lake.read(workload.name, spec.cases.table, days)
        found = vectors(feature_store.open(), workload, cases)

        usable = found.usable
        scored = pl.DataFrame(
            {
                "case_key": usable[spec.case_key],
                "probability": model.predict(usable) if usable.height else [],
                "features": as_json(usable),
                "contributions": as_json(model.contributions(usable)) if usable.height else [],
            },
            schema_overrides={"probability": pl.Float64, "contributions": pl.String},
        ).with_columns(
            problems=pl.lit("[]"),
            model=pl.lit(champion.model),
            model_version=pl.lit(champion.version, pl.Int64),
            model_digest=pl.lit(champion.digest),
        )
        unscored = found.broken.rename({spec.case_key: "case_key"})
        rows = (
            pl.concat([scored, unscored], how="diagonal")
            .join(
                cases.select(pl.col(spec.case_key).alias("case_key"), "event_time", "known_time", DAY),
                on="case_key",
                how="full",
                coalesce=True,
            )
            .select(*contract.schema, DAY)
            .sort("event_time", "case_key")
        )
        yield from publish(
            context,
            lake,
            workload,
            SCORES,
            rows,
            days,
            metadata={
                "champion": f"{champion.model} version {champion.version}",
                "not scored": unscored.height,
                **vector_lineage(workload, SCORES, served_features(workload)),
            },
        )

    return [scores]


def _refuse_other_views(trained: Mapping[str, str], live: Mapping[str, str], champion: Champion) -> None:
    """Features that mean something else than in training would be scored as if they did not: fail closed.

    A version that does not say what it was trained with is not refused: it was registered by other means.
    """
    if trained and (different := changed(trained, live)):
        raise FeatureViewChangedError(
            f"{', '.join(different)} {'means' if len(different) == 1 else 'mean'} something else now than when "
            f"{champion.model} version {champion.version} was trained.",
            remedy="Undo the change and apply it under a new name; or train and promote a version on it: "
            "materialize training_set, candidate_model and champion of the day.",
        )
