"""Jobs: the selections of a workload's assets that schedules, sensors and replays run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from automation.boundary import QUARANTINE, ROWS_FROM
from automation.workload import Delivery, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from automation.workload import Workload


DELIVERIES, ONLINE_FEATURES, FEATURE_STATISTICS = "deliveries", "online_features", "feature_statistics"
MODEL_ALIASES = "model_aliases"
CANDIDATE_MODEL = "candidate_model"
RETRAINING, RETRAINING_WAYS = "retraining", "retraining_ways"
SUBMITTED_MODEL, ENTERED_MODEL = "submitted_model", "entered_model"


@dataclass(frozen=True)
class Jobs:
    """A workload's jobs."""

    setup: UnresolvedAssetJobDefinition
    history: UnresolvedAssetJobDefinition
    retrain: UnresolvedAssetJobDefinition
    submitted: UnresolvedAssetJobDefinition
    daily: UnresolvedAssetJobDefinition
    landing: UnresolvedAssetJobDefinition
    release: UnresolvedAssetJobDefinition
    upkeep: UnresolvedAssetJobDefinition
    ways: UnresolvedAssetJobDefinition | None

    @property
    def all(self) -> tuple[UnresolvedAssetJobDefinition, ...]:
        return (
            self.setup,
            self.history,
            self.retrain,
            self.submitted,
            self.daily,
            self.landing,
            self.release,
            self.upkeep,
            *([] if self.ways is None else [self.ways]),
        )


def name(workload: str, job: str) -> str:
    """A job's name: jobs of all workloads share one code location."""
    return f"{workload}_{job}"


def build(workload: Workload) -> Jobs:
    spec = workload.spec
    whole = [f"{workload.name}/{feed.table}" for feed in spec.feeds if feed.delivery is Delivery.WHOLE]
    set_up = dg.AssetSelection.assets(*whole, f"{workload.name}/feature_views")
    derived = dg.AssetSelection.assets(
        *(
            f"{workload.name}/{table}"
            for table in (
                *spec.daily_raw_tables,
                spec.cases.table,
                spec.labels.table,
                *(view.table for view in spec.features.views),
            )
        )
    )
    everyday = (
        derived
        | dg.AssetSelection.assets(f"{workload.name}/{ONLINE_FEATURES}")
        | _stage(workload, Stage.SCORING)
        | _stage(workload, Stage.DECISIONS)
        | _stage(workload, Stage.OUTCOMES)
        | _stage(workload, Stage.MONITORING)
    )
    # Asked for, and no part of a day.
    ways = dg.AssetSelection.assets(f"{workload.name}/{RETRAINING_WAYS}")
    if spec.drift is not None:
        everyday -= ways

    def job(
        kind: str, selection: dg.AssetSelection, description: str, tags: Mapping[str, str] | None = None
    ) -> UnresolvedAssetJobDefinition:
        return dg.define_asset_job(
            name(workload.name, kind),
            selection=selection,
            description=description,
            # Steps of a day are short: a process for each would cost more than all of them together.
            executor_def=dg.in_process_executor,
            tags={"workload": workload.name, **(tags or {})},
        )

    return Jobs(
        setup=job("setup", set_up, "The tables that have no days, and the feature views."),
        history=job(
            "history",
            derived | dg.AssetSelection.assets(f"{workload.name}/{FEATURE_STATISTICS}"),
            "Raw tables, cases, features and labels: what a first model is trained on.",
        ),
        retrain=job(
            "retrain", _stage(workload, Stage.TRAINING), "Training set, candidate and, past its gates, champion."
        ),
        submitted=job(
            "submitted",
            dg.AssetSelection.assets(*(f"{workload.name}/{each}" for each in (SUBMITTED_MODEL, ENTERED_MODEL))),
            "A version that others registered: judged by its gates, and past them on its way.",
        ),
        landing=job(
            "landing",
            dg.AssetSelection.assets(f"{workload.name}/{DELIVERIES}"),
            "Takes in what lies in the landing folder, or the one file that the run names.",
        ),
        daily=job("daily", everyday, "One day from the feed to decisions, outcomes and monitoring."),
        upkeep=job(
            "upkeep",
            _stage(workload, Stage.UPKEEP),
            "Compaction and retention of every table; ledger, decisions and aliases compared.",
        ),
        release=job(
            "release",
            derived,
            "What the tables and their quarantines hold, judged again by the contracts as they are now.",
            {ROWS_FROM: QUARANTINE},
        ),
        ways=None
        if spec.drift is None
        else job(RETRAINING_WAYS, ways, "A month of decisions, as other ways to retrain would have made them."),
    )


def _stage(workload: Workload, stage: Stage) -> dg.AssetSelection:
    return dg.AssetSelection.tag("workload", workload.name) & dg.AssetSelection.tag("stage", stage.value)
