"""The rollout: what the outcomes that are there by now say of each version that is watched, and what follows."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from assets.stages.challengers import CHALLENGER_DECISIONS
from assets.stages.declaration import days_before, declared, run_days
from assets.stages.feature_store import FeatureStoreResource
from automation import gates
from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import store
from automation.plots import image
from automation.policy import activation
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout import moving
from automation.rollout.contests import Contest, Judged, Watched, contests, judged, watched
from automation.rollout.machine import rollout
from automation.rollout.verdicts import chart
from automation.settings import settings
from automation.workload import Policy, Stage, Workload

MODEL_ROLLOUT = "model_rollout"


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec, name = workload.spec, workload.name
    wait = spec.rollout.verdicts.wait_days

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            MODEL_ROLLOUT,
            kinds={"postgres", "deltalake"},
            description="Evidence for and against each version that is watched, and what followed from it.",
            deps=[
                days_before(workload, CHALLENGER_DECISIONS, 0),
                days_before(workload, spec.labels.table, 0),
            ],
            range_runs=False,
        )
    )
    def model_rollout(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ) -> dg.MaterializeResult:
        day, lake = run_days(context).first, lakehouse.open()
        with store.opened(models.settings) as ledger:
            found = rollout(ledger, name)
        watching = contests(found, spec.rollout, day)
        if not watching:
            return dg.MaterializeResult(metadata={"watched": "none"})
        rows, metadata = [], {}
        for contest in watching:
            seen = evidence(workload, lake, contest, day)
            follows = judged(contest, spec.rollout, seen, day)
            done = moving.moved(
                models.settings,
                workload,
                contest,
                follows,
                moving.Evidence.of(seen),
                day,
                views=lambda: feature_store.meaning(spec.features.service),
                now=lambda: datetime.now(UTC),
            )
            rows.append(_row(contest, seen, follows, done))
            title = f"Version {contest.version}, {contest.role.value}, since {contest.since}"
            if seen.history:
                metadata[f"evidence, version {contest.version}"] = image(chart.evidence(seen.history, title))
        # MLflow's alias follows by its sensor: what moves a version must not hang on whether MLflow answers.
        return dg.MaterializeResult(metadata={"watched": _table(rows), **metadata, "outcomes wait": f"{wait} days"})

    return [model_rollout]


def evidence(workload: Workload, lake: Lakehouse, contest: Contest, day: date) -> Watched:
    """What the tables say of a contest at the end of a day."""
    days = workload.calendar.within(Days(contest.since, day))
    policies: dict[str, Policy] = {}

    def policy_of(version: str) -> Policy:
        if version not in policies:
            policies[version] = activation.kept(settings(), version).declared
        return policies[version]

    columns = [workload.spec.case_key, "label", "known_time"]
    labels = lake.read(workload.name, workload.spec.labels.table, days, [*columns, DAY])
    return watched(
        contest,
        workload.spec.rollout.verdicts,
        lake.read(workload.name, CHALLENGER_DECISIONS, days),
        labels.rename({workload.spec.case_key: "case_key"}),
        day,
        policy_of,
    )


def _row(contest: Contest, seen: Watched, follows: Judged, done: str) -> Mapping[str, Any]:
    share = "" if contest.share is None else f" {contest.share:g}%"
    return {
        "version": contest.version,
        "role": f"{contest.role.value}{share}",
        "since": contest.since.isoformat(),
        "days with outcomes": len(seen.saved),
        "saved, dollars": round(seen.dollars),
        "follows": follows.move.value,
        "because": follows.says,
        "done": done,
    }


def _table(rows: list[Mapping[str, Any]]) -> dg.TableMetadataValue:
    types = {"version": "int", "days with outcomes": "int", "saved, dollars": "int"}
    return dg.TableMetadataValue(
        records=[dg.TableRecord(dict(row)) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(each, types.get(each, "string")) for each in rows[0]]),
    )
