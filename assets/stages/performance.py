"""Performance: how the champion does, estimated before outcomes are there, and whether it does harm when they are."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.drift import decided_by, decided_days, shown, table_of
from automation import gates
from automation.calendar import Days
from automation.drift import states
from automation.drift.harm import chart
from automation.drift.harm import state as harm_state
from automation.drift.harm import watch as harm_watch
from automation.drift.plan import DriftPlan
from automation.drift.proxy import state as proxy_state
from automation.drift.proxy import watch as proxy_watch
from automation.drift.states import ESTIMATED_PERFORMANCE, REALISED_HARM, Kept, Watched
from automation.plots import image, lines
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.workload import Stage, Workload

EXPECTED_PERFORMANCE = gates.Gate(
    "expected_performance",
    "Before outcomes are there, the champion is not expected to rank worse than the plan asks for.",
    gates.Severity.WARNING,
)
NO_HARM = gates.Gate(
    "no_harm",
    "The champion's losses have not become more than they were when it was accepted.",
    gates.Severity.WARNING,
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    plan = workload.spec.drift
    return [] if plan is None else [_estimated_performance(workload, plan), _realised_harm(workload, plan)]


def _estimated_performance(workload: Workload, plan: DriftPlan) -> dg.AssetsDefinition:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            ESTIMATED_PERFORMANCE,
            kinds={"polars", "deltalake"},
            description="How the champion did, estimated before outcomes are there, and how such estimates came out.",
            deps=[days_before(workload, DECISIONS, 0), days_before(workload, workload.spec.labels.table, 0)],
            more_gates=[EXPECTED_PERFORMANCE],
            range_runs=False,
        )
    )
    def estimated_performance(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, models: ModelRegistryResource
    ):
        day, lake = run_days(context).first, lakehouse.open()
        days, change = decided_days(lake, workload, models.settings), decided_by(models, workload, day)
        watched = Watched.of(change, plan.proxy)
        had = states.before(lake, workload.name, ESTIMATED_PERFORMANCE, watched, day)
        watch = proxy_watch.started(plan.proxy) if had is None else proxy_state.of_bytes(had.state, plan.proxy)
        first = change.as_of if watch.estimated_to is None else watch.estimated_to + timedelta(days=1)
        none = pl.DataFrame(schema={"case_key": pl.String, "label": pl.Boolean})
        for each in Days(first, day):
            watch = watch.estimated(days.cohort(each, none))
        todo = change.as_of if watch.judged_to is None else watch.judged_to + timedelta(days=1)
        for cohort in days.mature(todo, day, plan.proxy.wait_days):
            watch = watch.after(cohort, day)
        told = [
            {"measure": name, "low": span.low, "expected": span.expected, "high": span.high}
            for name, span in watch.estimates.get(day, {}).items()
        ]
        asks = watch.asks is proxy_watch.Ask.SHADOW
        states.keep(
            lake,
            workload.name,
            ESTIMATED_PERFORMANCE,
            Kept(watched, day, proxy_state.as_bytes(watch), asks, watch.says, told),
        )
        yield dg.MaterializeResult(
            metadata={
                "says": watch.says,
                "asks for": watch.asks.value,
                **table_of("estimates", told),
                **_estimate_plots(shown(lake, workload, ESTIMATED_PERFORMANCE, day)),
            }
        )
        yield from gates.record(
            context,
            key(workload, ESTIMATED_PERFORMANCE),
            [gates.Judgement(EXPECTED_PERFORMANCE, not asks, watch.says, context.partition_key)],
        )

    return estimated_performance


def _estimate_plots(shown: Sequence[Kept]) -> Mapping[str, Any]:
    days = [one.day for one in shown]
    found = {}
    for measure in proxy_watch.MEASURES:
        told = [next((each for each in one.evidence if each["measure"] == measure), None) for one in shown]
        if any(told):
            series = {
                end: [float("nan") if each is None else each[end] for each in told]
                for end in ("low", "expected", "high")
            }
            found[f"estimated {measure}"] = image(lines(days, series, f"Estimated {measure}", measure))
    return found


# ---------------------------------------------------------------- harm


def _realised_harm(workload: Workload, plan: DriftPlan) -> dg.AssetsDefinition:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            REALISED_HARM,
            kinds={"polars", "deltalake"},
            description="Evidence that the champion's losses have become more than they were, as outcomes come in.",
            deps=[days_before(workload, DECISIONS, 0), days_before(workload, workload.spec.labels.table, 0)],
            more_gates=[NO_HARM],
            range_runs=False,
        )
    )
    def realised_harm(context: dg.AssetExecutionContext, lakehouse: LakehouseResource, models: ModelRegistryResource):
        day, lake = run_days(context).first, lakehouse.open()
        days, change = decided_days(lake, workload, models.settings), decided_by(models, workload, day)
        watched = Watched.of(change, plan.harm)
        had = states.before(lake, workload.name, REALISED_HARM, watched, day)
        watch = harm_watch.started(plan.harm) if had is None else harm_state.of_bytes(had.state, plan.harm)
        for cohort in days.mature(watch.next_day or change.as_of, day, plan.harm.wait_days):
            watch = watch.after(cohort, day)
        told = [
            {
                "claim": each.claim,
                "day": each.day.isoformat(),
                "log10": round(each.log10, 4),
                "needed": each.needed,
                "says": each.says,
            }
            for each in watch.evidence()
            if each.day is not None
        ]
        alarm = watch.alarm is not None
        kept_now = Kept(watched, day, harm_state.as_bytes(watch), alarm, watch.says, told)
        states.keep(lake, workload.name, REALISED_HARM, kept_now)
        yield dg.MaterializeResult(
            metadata={
                "says": watch.says,
                "watched since": change.as_of.isoformat(),
                "outcomes until": str(watch.day or "none yet"),
                **_harm_plot(shown(lake, workload, REALISED_HARM, day), watched),
            }
        )
        yield from gates.record(
            context,
            key(workload, REALISED_HARM),
            [gates.Judgement(NO_HARM, not alarm, watch.says, context.partition_key)],
        )

    return realised_harm


def _harm_plot(shown: Sequence[Kept], watched: Watched) -> Mapping[str, Any]:
    history = [
        harm_watch.Evidence(
            each["claim"], date.fromisoformat(each["day"]), each["log10"], each["needed"], None, each["says"]
        )
        for one in shown
        if one.watched == watched
        for each in one.evidence
    ]
    if not history:
        return {}
    return {"evidence": image(chart.evidence(history, f"Evidence of harm, since {watched.since}"))}
