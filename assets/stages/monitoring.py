"""Monitoring: what came in, what was decided and how it turned out, day by day, as pictures in the metadata."""

from datetime import timedelta

import dagster as dg
import numpy as np
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, run_days
from assets.stages.outcomes import OUTCOMES
from automation import gates, plots
from automation.calendar import Days
from automation.evaluation import auc, calibration_error
from automation.lakehouse import DAY, quarantine_of
from automation.resources import LakehouseResource
from automation.versions import newest
from automation.workload import Delivery, Stage, Workload

DATA_QUALITY, DECISION_QUALITY = "data_quality", "decision_quality"
SHOWN_DAYS = 28


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [_data_quality(workload), _decision_quality(workload)]


def _shown(workload: Workload, last: Days) -> Days:
    return workload.calendar.within(Days(last.last - timedelta(days=SHOWN_DAYS - 1), last.last))


def _data_quality(workload: Workload) -> dg.AssetsDefinition:
    daily = [feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.DAILY]

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            DATA_QUALITY,
            kinds={"python", "polars"},
            description=f"Rows and quarantined rows of each feed over {SHOWN_DAYS} days.",
            deps=[days_before(workload, table, 0) for table in daily],
            range_runs=False,
        )
    )
    def data_quality(context: dg.AssetExecutionContext, lakehouse: LakehouseResource) -> dg.MaterializeResult:
        shown, lake = _shown(workload, run_days(context)), lakehouse.open()
        volumes = {table: lake.counts(workload.name, table, shown) for table in daily}
        held = {table: lake.counts(workload.name, quarantine_of(table), shown) for table in daily}
        days = list(shown)
        return dg.MaterializeResult(
            metadata={
                "rows": plots.image(
                    plots.lines(
                        days, {t: [v.get(d, 0) for d in days] for t, v in volumes.items()}, "Rows a day", "rows"
                    )
                ),
                "quarantined": plots.image(
                    plots.lines(days, {t: [v.get(d, 0) for d in days] for t, v in held.items()}, "Quarantined", "rows")
                ),
                "quarantined today": dg.JsonMetadataValue({t: v.get(shown.last, 0) for t, v in held.items()}),
            }
        )

    return data_quality


def _decision_quality(workload: Workload) -> dg.AssetsDefinition:
    spec = workload.spec

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            DECISION_QUALITY,
            kinds={"python", "polars"},
            description=f"Decision mix, calibration and dollars over {SHOWN_DAYS} days of outcomes.",
            deps=[days_before(workload, DECISIONS, 0), days_before(workload, OUTCOMES, 0)],
            range_runs=False,
        )
    )
    def decision_quality(context: dg.AssetExecutionContext, lakehouse: LakehouseResource) -> dg.MaterializeResult:
        shown, lake = _shown(workload, run_days(context)), lakehouse.open()
        decisions = lake.read(workload.name, DECISIONS, shown, [DAY, "action", "status"])
        columns = ["case_key", "known_time", "probability", "label", "realised_cost", "foresight_cost"]
        outcomes = newest(lake.read(workload.name, OUTCOMES, shown, columns), "case_key")
        days = list(shown)
        mix = {
            action.name: [
                decisions.filter((pl.col(DAY) == day) & (pl.col("action") == action.name)).height for day in days
            ]
            for action in spec.policy.actions
        }
        automated = (decisions["status"] == "automated").mean() if decisions.height else None
        judged = outcomes.drop_nulls("probability")
        metadata: dict = {
            "decision mix": plots.image(plots.lines(days, mix, "Decisions a day", "decisions")),
            "automation rate": _float(automated),
            "automation objective": spec.objectives.automation_rate,
            "outcomes": outcomes.height,
            "realised cost": float(outcomes["realised_cost"].sum()),
            "cost with perfect foresight": float(outcomes["foresight_cost"].sum()),
        }
        if judged.height:
            probability = judged["probability"].to_numpy()
            label = judged["label"].cast(pl.Int8).to_numpy().astype(np.int64)
            metadata |= {
                "calibration": plots.image(plots.reliability(probability, label, f"Until {shown.last}")),
                "calibration error": calibration_error(probability, label),
                "calibration objective": spec.objectives.calibration_error,
                "auc": _float(auc(probability, label)),
            }
        return dg.MaterializeResult(metadata=metadata)

    return decision_quality


def _float(value: object) -> float | str:
    """A figure, or a dash where there is nothing to compute it from."""
    return value if isinstance(value, float) and np.isfinite(value) else "-"
