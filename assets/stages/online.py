"""Features online: each day's window is materialized, and a sample of cases is held to the offline answer."""

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from assets.online import parity
from assets.online.materialization import materialize
from assets.online.pushes import settle
from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.features import FEATURE_VIEWS
from automation import gates
from automation.jobs import ONLINE_FEATURES
from automation.resources import LakehouseResource
from automation.settings import settings
from automation.workload import Delivery, Stage, Workload

PARITY = gates.Gate("parity", "What is served of a sample of the day's cases is the offline answer at that instant.")
SHOWN = 10


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    whole = [feed.table for feed in spec.feeds if feed.delivery is Delivery.WHOLE]

    @gates.gated_asset(
        **declared(
            workload,
            Stage.FEATURES,
            ONLINE_FEATURES,
            kinds={"feast", "polars"},
            description="The newest features of each key, where they are served from: what is known now of a case.",
            deps=[
                days_before(workload, spec.cases.table, 0),
                *(days_before(workload, view.table, 0) for view in spec.features.views),
                *(key(workload, table) for table in whole),
                key(workload, FEATURE_VIEWS),
            ],
            more_gates=[PARITY],
            range_runs=False,
        )
    )
    def online_features(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, feature_store: FeatureStoreResource
    ):
        from feature_repo.online import OnlineReader, service_plan

        days, lake, store, backend = run_days(context), lakehouse.open(), feature_store.open(), feature_store.online()
        plan = service_plan(store, spec.features.service)
        found = materialize(plan.views, lake, workload.calendar, backend, days.first)
        until = max(each.until for each in found)
        settle(settings(), workload.name, until)
        yield dg.MaterializeResult(
            metadata={
                "materialized until": until.isoformat(),
                "records": sum(each.records for each in found),
                "by view": _table([asdict(each) | {"until": each.until.isoformat()} for each in found]),
            }
        )
        cases = parity.sample(lake.read(workload.name, spec.cases.table, days), spec.case_key)
        asked = parity.in_turn(plan, days.first)
        different = parity.differences(store, OnlineReader(plan, backend), asked, cases, spec.case_key, until)
        wrong = len({each.case for each in different})
        features = sorted({each.feature for each in different})
        yield from gates.record(
            context,
            key(workload, ONLINE_FEATURES),
            [
                gates.Judgement(
                    PARITY,
                    passed=not different,
                    says=f"{wrong} of {cases.height} cases are served other values than the offline store has at "
                    f"{until:%Y-%m-%d %H:%M} UTC, in {', '.join(features)}."
                    if different
                    else f"{cases.height} cases are served what the offline store has at {until:%Y-%m-%d %H:%M} UTC.",
                    partition=days.first.isoformat(),
                    metadata={"cases": cases.height, "features": ", ".join(asked)}
                    | (
                        {"different": _table([{k: str(v) for k, v in asdict(d).items()} for d in different[:SHOWN]])}
                        if different
                        else {}
                    ),
                )
            ],
        )

    return [online_features]


def _table(rows: Sequence[dict]) -> dg.TableMetadataValue:
    names = list(rows[0])
    kinds = {name: "int" if isinstance(rows[0][name], int) else "string" for name in names}
    return dg.TableMetadataValue(
        records=[dg.TableRecord(row) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name, kinds[name]) for name in names]),
    )
