"""Input drift: evidence that what the champion is asked about has changed, and which features changed most.

A day on which a feature looks broken tells of the feed, not of the world: it is neither learned from nor bet on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
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
from automation.drift.states import FEATURE_FAULTS, INPUT_DRIFT, Kept, Watched
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
    "inputs_unchanged",
    "What the champion is asked about is like it was before it began to decide.",
    gates.Severity.WARNING,
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
            deps=[days_before(workload, DECISIONS, 0), days_before(workload, FEATURE_FAULTS, 0)],
            more_gates=[INPUTS_UNCHANGED],
            range_runs=False,
        )
    )
    def input_drift(context: dg.AssetExecutionContext, lakehouse: LakehouseResource, models: ModelRegistryResource):
        day, lake = run_days(context).first, lakehouse.open()
        days, change = decided_days(lake, workload, models.settings), decided_by(models, workload, day)
        watched = Watched.of(change, plan.inputs)
        broken = _broken(lake, workload, change, plan, day)
        inputs = _inputs(lake, workload, days, change, plan, day, broken)
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
        moved = _movers(lake, workload, days, change, inputs, models.settings, day, broken) if alarm else ()
        yield dg.MaterializeResult(
            metadata={
                "says": says,
                "watched since": change.as_of.isoformat(),
                "inputs that changed": len(inputs.rejected),
                "left out": left_out(broken),
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


def _broken(lake: Lakehouse, workload: Workload, change: Change, plan: DriftPlan, day: date) -> frozenset[date]:
    """The days, of the champion's and of its reference, on which a feature looked broken."""
    days = Days(change.as_of - timedelta(days=_reference_days(plan)), day)
    return frozenset(each.day for each in states.history(lake, workload.name, FEATURE_FAULTS, days) if each.alarm)


def _reference_days(plan: DriftPlan) -> int:
    return plan.inputs.scale_days + plan.inputs.learn_days


def _inputs(
    lake: Lakehouse,
    workload: Workload,
    days: DecidedDays,
    change: Change,
    plan: DriftPlan,
    day: date,
    broken: Set[date],
) -> Inputs:
    """The inputs under watch at the end of the day."""
    had = states.before(lake, workload.name, INPUT_DRIFT, Watched.of(change, plan.inputs), day)
    if had is not None:
        inputs = input_state.of_bytes(had.state, plan.inputs)
    else:
        learned = reference(lake, workload, days, change.as_of, _reference_days(plan))
        inputs = whole_days(Inputs.started(plan.inputs, workload.model_features), learned.items(), broken)
    first = change.as_of if inputs.day is None else inputs.day + timedelta(days=1)
    return whole_days(inputs, ((each, days.vectors(each)) for each in Days(first, day)), broken)


def whole_days(inputs: Inputs, days: Iterable[tuple[date, pl.DataFrame]], broken: Set[date]) -> Inputs:
    """The watch after these days. A broken one is shown without its cases: it is neither learned from nor bet on."""
    for day, rows in days:
        inputs = inputs.after(day, rows.clear() if day in broken else rows)
    return inputs


def left_out(broken: Set[date]) -> str:
    """How many days were left out, in words."""
    if not broken:
        return "No day was left out."
    days = "1 day was" if len(broken) == 1 else f"{len(broken)} days were"
    return f"{days} left out because a feature looked broken."


def _movers(
    lake: Lakehouse,
    workload: Workload,
    days: DecidedDays,
    change: Change,
    inputs: Inputs,
    settings: Settings,
    day: date,
    broken: Set[date],
) -> Sequence[Mover]:
    """The features that changed, by what they do to the champion: the days since beside as many before it decided."""
    began = min((each.since for each in inputs.evidence() if each.rejected and each.since), default=change.as_of)
    first = max(began, change.as_of, day - timedelta(days=COMPARED_DAYS - 1))
    before = reference(lake, workload, days, change.as_of, COMPARED_DAYS)
    then = [rows for each, rows in before.items() if each not in broken]
    now = [days.vectors(each) for each in Days(first, day) if each not in broken]
    if not sum(rows.height for rows in now) or not sum(rows.height for rows in then):
        return ()
    model = kept_models.model(settings, change.champion.digest)
    return movers(inputs.rejected, pl.concat(then, how="vertical_relaxed"), pl.concat(now), model, inputs.plan)


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
