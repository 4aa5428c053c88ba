"""Retraining: whether a new model is worth its cost, after an alarm and every so often, by what newer models saved.

Before any talk of drift: is the data whole? Then what is asked for, or declined, is said in the ledger with what it is
expected to be worth (`automation.drift.asking`); the sensor ``WORKLOAD_retraining`` has it done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.drift import decided_days
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.past import Past
from assets.stages.training import fit, labelled_cases, training_rows
from automation import gates
from automation.calendar import Days
from automation.drift import asking, states
from automation.drift.asking import Answer, Asking
from automation.drift.plan import Cause, DriftPlan
from automation.drift.states import CHANNELS, FEATURE_FAULTS, INPUT_DRIFT, REALISED_HARM
from automation.drift.triage import Triage, triage
from automation.drift.worth.backtest import Seams, Standing, backtest, pooled
from automation.drift.worth.budget import leave
from automation.drift.worth.judging import Decision, Worth, judged
from automation.engines.choice import chosen_engine
from automation.jobs import RETRAINING
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.models import Model
from automation.plots import image, lines
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout import kept as kept_models
from automation.rollout.machine import DECIDING, Change, Rollout, rollout
from automation.rollout.verdicts.pairs import Cohort, paired
from automation.workload import Stage, Workload


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    plan = workload.spec.drift
    return [] if plan is None else [_retraining(workload, plan)]


def _retraining(workload: Workload, plan: DriftPlan) -> dg.AssetsDefinition:
    name = workload.name

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            RETRAINING,
            kinds={"postgres"},
            description="Whether a new model is worth its cost, looked into after alarms and every so often.",
            deps=[days_before(workload, each, 0) for each in CHANNELS],
            range_runs=False,
        )
    )
    def retraining(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ) -> dg.MaterializeResult:
        day, lake = run_days(context).first, lakehouse.open()
        days = decided_days(lake, workload, models.settings)
        waived = _waived(context.instance, workload, plan, day)
        data = triage(waived, *days.unscored(day), _mending(lake, name, plan, day))
        with store.opened(models.settings) as ledger:
            found, before = rollout(ledger, name), asking.askings(ledger, name)
        causes = _causes(lake, name, plan, day)
        refused = _refused(found, before, plan, causes, data, day)
        metadata: dict[str, Any] = {"data": data.says, "causes": ", ".join(causes) or "none"}
        if refused is not None:
            return dg.MaterializeResult(metadata={"says": refused, "retraining": "not looked into", **metadata})
        as_of, earlier = day + timedelta(days=1), asking.looks(before, day)
        standing, former = _standing(found, earlier, plan, day)
        with store.opened(models.settings) as ledger:
            past = Past(workload, lake, models.settings, ledger, days)
            looked = _Looked(past, feature_store, former, day)
            saved = backtest(looked.seams, plan.worth, as_of, standing)
        since = as_of - timedelta(days=plan.worth.remembered_days)
        pool = pooled(saved, [each.saved for each in earlier], since)
        told = replace(_asking(judged(pool, plan.worth, day), saved, plan, causes, day), trained=len(looked.trained))
        with store.opened(models.settings) as ledger:
            told = asking.said(ledger, name, told, datetime.now(UTC))
        return dg.MaterializeResult(
            metadata={
                "says": told.says,
                "retraining": told.answer.value,
                **{
                    f"{each.replace('_', ' ')}, dollars": told.worth[each] for each in ("expected", "at_least", "costs")
                },
                "worth": dg.JsonMetadataValue(dict(told.worth)),
                **_plots([*earlier, told], since),
                **metadata,
            }
        )

    return retraining


def _waived(instance: dg.DagsterInstance, workload: Workload, plan: DriftPlan, day: date) -> list[gates.Standing]:
    """Gates of the feeds, and of what is computed of them, that failed lately and were waived, whether or not the
    waiver is over: harm that comes of such a day shows days after it. What failed and was held never came so far."""
    named = dict.fromkeys((*workload.spec.daily_raw_tables, *workload.spec.derived_tables))
    tables = [key(workload, table) for table in named]
    lately = workload.calendar.within(Days(day - timedelta(days=plan.repaired_days), day))
    asked = [
        gates.Asked(table, (gates.CONTRACT.name, gates.EXPECTATIONS.name), frozenset(lately.keys)) for table in tables
    ]
    # Of gates that did not fail, none has a waiver.
    return [each for each in gates.read(instance, asked, datetime.now(UTC)) if each.waiver is not None]


def _mending(lake: Lakehouse, name: str, plan: DriftPlan, day: date) -> tuple[str, ...]:
    """Faults of features found lately, in words: what a channel saw since may be theirs."""
    first = day - timedelta(days=plan.repaired_days)
    kept = states.history(lake, name, FEATURE_FAULTS, Days(first, day))
    return tuple(f"on {each.day}, {each.says}" for each in kept if each.alarm)


def _causes(lake: Lakehouse, name: str, plan: DriftPlan, day: date) -> tuple[Cause, ...]:
    """The alarms of the day that the plan takes for causes."""
    tables = {Cause.HARM: REALISED_HARM, Cause.INPUTS: INPUT_DRIFT}
    found = {cause: states.on(lake, name, tables[cause], day) for cause in plan.causes}
    return tuple(cause for cause, kept in found.items() if kept is not None and kept.alarm)


def _refused(
    found: Rollout, before: Sequence[Asking], plan: DriftPlan, causes: Sequence[Cause], data: Triage, day: date
) -> str | None:
    """Why retraining is not looked into today, in words; None if it is."""
    earlier = asking.looks(before, day)
    if not causes and not _due(found, earlier, plan, day):
        return "Nothing asks for a new model: no alarm is raised that the plan takes for a cause, and no look is due."
    if not data.whole:
        return f"{data.says} Retraining on it is not looked into."
    later = [each.day for each in before if each.day > day]
    if later and all(each.day != day for each in before):
        return f"{later[0]} was looked into already, on what was known then: days before it no longer are."
    under_way = asking.on_its_way(found)
    if under_way:
        return f"Version {under_way[-1]} is on its way already: what it comes to is waited for."
    if earlier and (day - earlier[-1].day).days < plan.worth.budget.least_days:
        again = earlier[-1].day + timedelta(days=plan.worth.budget.least_days)
        return f"It was looked into on {earlier[-1].day}, and is again from {again} on."
    given = leave(asking.tries(before, found, day), plan.worth.budget, day)
    return None if given.given else given.says


def _due(found: Rollout, earlier: Sequence[Asking], plan: DriftPlan, day: date) -> bool:
    """Whether the time has come to look, alarm or not."""
    if plan.worth.look_days is None:
        return False
    change = found.deciding(day)
    if earlier:
        last = earlier[-1].day
    elif change is not None:
        last = min(each.as_of for each in found.changes if each.kind in DECIDING) - timedelta(days=1)
    else:
        return False
    return (day - last).days >= plan.worth.look_days


def _standing(found: Rollout, earlier: Sequence[Asking], plan: DriftPlan, day: date) -> tuple[Standing, Change | None]:
    """Who decides, and who did before it if that is an older model."""
    change = found.deciding(day)
    assert change is not None  # noqa: S101 - the day has decisions
    trained, before = found.registered(change.version), found.deciding(change.as_of - timedelta(days=1))
    # After a rollback, whoever decided before is the newer model.
    is_older = before is not None and found.registered(before.version) < trained
    window = asking.window_of(earlier, trained) or plan.worth.everything
    looked = earlier[-1].as_of if earlier else None
    compared = max((each for look in earlier for days in look.saved.values() for each in days), default=None)
    return Standing(trained, change.as_of, window.name, is_older, looked, compared), before if is_older else None


def _asking(
    worth: Worth, saved: Mapping[str, Mapping[date, float]], plan: DriftPlan, causes: Sequence[Cause], day: date
) -> Asking:
    retrained = worth.decision is Decision.RETRAIN
    window = next((each for each in plan.worth.windows if each.name == worth.window), None)
    return Asking(
        day,
        Answer.ASKED if retrained else Answer.DECLINED,
        tuple(cause.value for cause in causes),
        window if retrained else None,
        worth.as_data(),
        worth.says,
        saved,
    )


def _plots(looks: Sequence[Asking], since: date) -> Mapping[str, Any]:
    """What newer models saved beside older ones, added up over the days that were compared."""
    return {
        f"what newer models saved, window {window}": image(
            lines(
                list(days),
                {"saved so far": np.cumsum(list(days.values())).tolist()},
                f"Newer beside older models, {window}",
                "dollars",
            )
        )
        for window, days in pooled({}, [each.saved for each in looks], since).items()
        if days
    }


@dataclass(frozen=True)
class _Looked:
    """What a look asks of the past, at the end of ``today``."""

    past: Past
    feature_store: FeatureStoreResource
    former: Change | None
    today: date
    # How many rows each model learned from that was trained for it.
    trained: list[int] = field(default_factory=list)

    @property
    def seams(self) -> Seams[Model]:
        workload = self.past.workload

        def train(rows: pl.DataFrame) -> Model:
            self.trained.append(rows.height)
            return fit(workload, rows).model

        return Seams(self.known, train, self.newer, self.older, workload.calendar.timezone)

    def known(self, as_of: date) -> pl.DataFrame:
        """The training set as of a day."""
        workload = self.past.workload
        labelled = labelled_cases(self.past.lake, workload, as_of)
        store = self.feature_store.open(chosen_engine(workload, self.past.settings))
        return training_rows(workload, labelled, store).usable

    def newer(self, model: Model, first: date, last: date) -> Iterator[Cohort]:
        """Days to which nothing more is to come, as they were decided and as a newer model would have."""
        return self._mature(model, first, last, lambda was, made: (was, made))

    def older(self, first: date, last: date) -> Iterator[Cohort]:
        """Such days, as the model would have decided them whose place the champion took, and as they were."""
        assert self.former is not None  # noqa: S101 - the back-test was told whether there is one
        model = kept_models.model(self.past.settings, self.former.champion.digest)
        return self._mature(model, first, last, lambda was, made: (made, was))

    def _mature(
        self,
        model: Model,
        first: date,
        last: date,
        order: Callable[[pl.DataFrame, pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]],
    ) -> Iterator[Cohort]:
        labels = self.past.days.labels(first, self.today)
        drift = self.past.workload.spec.drift
        wait = drift.harm.wait_days if drift else 0
        for day, was, policy in self.past.decided(first, last):
            if not self.past.was_the_champions(day):
                continue
            cohort = paired(*order(was, self.past.made(model, day, policy)), labels, day, policy.declared)
            if not cohort.is_mature(self.today, wait):
                return
            yield cohort
