"""Input drift: evidence that what the champion is asked about has changed, and which features changed most."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.drift import decided_by, decided_days, reference, shown, table_of
from automation import gates
from automation.calendar import Days
from automation.drift import states
from automation.drift.days import DecidedDays
from automation.drift.inputs import chart
from automation.drift.inputs import state as input_state
from automation.drift.inputs.movers import Mover, movers
from automation.drift.inputs.watch import Evidence, Inputs
from automation.drift.inputs.words import inputs_say
from automation.drift.plan import DriftPlan
from automation.drift.states import INPUT_DRIFT, Kept, Watched
from automation.lakehouse import Lakehouse
from automation.plots import image
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout import kept as kept_models
from automation.rollout.machine import Change
from automation.settings import Settings
from automation.workload import Stage, Workload

# Then and now of a feature that changed: so many days at most.
COMPARED_DAYS = 28
MOVERS_DRAWN = 3

INPUTS_UNCHANGED = gates.Gate(
    "inputs_unchanged", "What the champion is asked about is like what it was trained on.", gates.Severity.WARNING
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    plan = workload.spec.drift
    return [] if plan is None else [_input_drift(workload, plan)]


def _input_drift(workload: Workload, plan: DriftPlan) -> dg.AssetsDefinition:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            INPUT_DRIFT,
            kinds={"polars", "deltalake"},
            description="Evidence that the champion's inputs have changed, feature by feature, and which changed most.",
            deps=[days_before(workload, DECISIONS, 0)],
            more_gates=[INPUTS_UNCHANGED],
            range_runs=False,
        )
    )
    def input_drift(context: dg.AssetExecutionContext, lakehouse: LakehouseResource, models: ModelRegistryResource):
        day, lake = run_days(context).first, lakehouse.open()
        days, change = decided_days(lake, workload, models.settings), decided_by(models, workload, day)
        watched = Watched.of(change, plan.inputs)
        inputs = _inputs(lake, workload, days, change, plan, day)
        says = inputs_say(inputs)
        told = [
            {"feature": each.feature, "log10": round(each.log10, 4), "needed": each.needed, "rejected": each.rejected}
            for each in inputs.evidence()
            # Before the first bet there is none.
            if math.isfinite(each.log10)
        ]
        alarm = bool(inputs.rejected)
        state = input_state.as_bytes(inputs)
        states.keep(lake, workload.name, INPUT_DRIFT, Kept(watched, day, state, alarm, says, told))
        moved = _movers(lake, workload, days, change, inputs, models.settings, day) if alarm else ()
        yield dg.MaterializeResult(
            metadata={
                "says": says,
                "watched since": change.as_of.isoformat(),
                "inputs that changed": len(inputs.rejected),
                **_evidence_plot(shown(lake, workload, INPUT_DRIFT, day), watched, plan),
                **table_of("movers", [{"feature": each.feature, "says": each.says} for each in moved]),
                **{f"then and now, {each.feature}": image(chart.then_and_now(each)) for each in moved[:MOVERS_DRAWN]},
            }
        )
        yield from gates.record(
            context,
            key(workload, INPUT_DRIFT),
            [gates.Judgement(INPUTS_UNCHANGED, not alarm, says, context.partition_key)],
        )

    return input_drift


def _inputs(
    lake: Lakehouse, workload: Workload, days: DecidedDays, change: Change, plan: DriftPlan, day: date
) -> Inputs:
    """The inputs under watch at the end of the day."""
    had = states.before(lake, workload.name, INPUT_DRIFT, Watched.of(change, plan.inputs), day)
    if had is not None:
        inputs = input_state.of_bytes(had.state, plan.inputs)
    else:
        inputs = Inputs.started(plan.inputs, workload.model_features)
        count = plan.inputs.scale_days + plan.inputs.learn_days
        for earlier, rows in reference(lake, workload, days, change.as_of, count).items():
            inputs = inputs.after(earlier, rows)
    first = change.as_of if inputs.day is None else inputs.day + timedelta(days=1)
    for each in Days(first, day):
        inputs = inputs.after(each, days.vectors(each))
    return inputs


def _movers(
    lake: Lakehouse,
    workload: Workload,
    days: DecidedDays,
    change: Change,
    inputs: Inputs,
    settings: Settings,
    day: date,
) -> Sequence[Mover]:
    """The features that changed, by what they do to the champion: the days since beside as many before it decided."""
    began = min((each.since for each in inputs.evidence() if each.rejected and each.since), default=change.as_of)
    first = max(began, change.as_of, day - timedelta(days=COMPARED_DAYS - 1))
    now = pl.concat([days.vectors(each) for each in Days(first, day)])
    then = pl.concat(
        list(reference(lake, workload, days, change.as_of, COMPARED_DAYS).values()), how="vertical_relaxed"
    )
    if not now.height or not then.height:
        return ()
    return movers(inputs.rejected, then, now, kept_models.model(settings, change.champion.digest), inputs.plan)


def _evidence_plot(shown: Sequence[Kept], watched: Watched, plan: DriftPlan) -> Mapping[str, Any]:
    history = [
        Evidence(each["feature"], one.day, each["log10"], each["needed"], each["rejected"], "values", None)
        for one in shown
        if one.watched == watched
        for each in one.evidence
    ]
    if not history:
        return {}
    title = f"Evidence that inputs changed, since {watched.since}"
    return {"evidence": image(chart.evidence(history, plan.inputs, title))}
