"""Retraining: whether the day's alarms are worth a new model, by what models of the past would have saved since.

Before any talk of drift: is the data whole? Then what is asked for, or declined, is said in the ledger with what it is
expected to be worth (`automation.drift.asking`); the sensor ``WORKLOAD_retraining`` has it done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.stages.challengers import rescored
from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.drift import decided_days
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.scoring import SCORES
from assets.stages.training import fit, labelled_cases, training_rows
from automation import gates
from automation.calendar import Days
from automation.drift import asking, states
from automation.drift.asking import Answer, Asking
from automation.drift.days import DecidedDays
from automation.drift.plan import Cause, DriftPlan
from automation.drift.states import CHANNELS, FEATURE_FAULTS, INPUT_DRIFT, REALISED_HARM
from automation.drift.triage import Triage, triage
from automation.drift.worth.backtest import Seams, backtest
from automation.drift.worth.budget import leave
from automation.drift.worth.judging import Decision, Worth, judged
from automation.engines.choice import chosen_engine
from automation.jobs import RETRAINING
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.ledger.store import Ledger
from automation.models import Model
from automation.policy import activation
from automation.policy.deciding import Weighed, outcomes_of
from automation.policy.evidence import day_of, off_as_decided, used_by_others
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout.machine import Rollout, rollout
from automation.rollout.verdicts.pairs import Cohort, paired
from automation.settings import Settings
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
            description="Whether a new model is worth its cost, where an alarm asks for one, and what was decided.",
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
        waived = _waived(context.instance, workload, day)
        data = triage(waived, *days.unscored(day), _mending(lake, name, plan, day))
        with store.opened(models.settings) as ledger:
            found, before = rollout(ledger, name), asking.askings(ledger, name)
        causes = _causes(lake, name, plan, day)
        refused = _refused(found, before, plan, causes, data, day)
        metadata: dict[str, Any] = {"data": data.says, "causes": ", ".join(causes) or "none"}
        if refused is not None:
            return dg.MaterializeResult(metadata={"says": refused, "retraining": "not looked into", **metadata})
        change = found.deciding(day)
        assert change is not None  # noqa: S101 - the day has decisions
        with store.opened(models.settings) as ledger:
            past = _Past(workload, lake, models.settings, ledger, feature_store, days, day)
            saved = backtest(past.seams, plan.worth, day, change.as_of)
        if not saved:
            says = f"The champion decides since {change.as_of}: {plan.worth.least_days} days are needed to judge by."
            return dg.MaterializeResult(metadata={"says": says, "retraining": "not looked into", **metadata})
        worth = judged(saved, plan.worth, day)
        told = _asking(worth, plan, causes, day)
        with store.opened(models.settings) as ledger:
            told = asking.said(ledger, name, told, datetime.now(UTC))
        return dg.MaterializeResult(
            metadata={
                "says": told.says,
                "retraining": told.answer.value,
                "expected, dollars": worth.expected,
                "at least, dollars": worth.at_least,
                "costs, dollars": worth.costs,
                "worth": dg.JsonMetadataValue(dict(told.worth)),
                **metadata,
            }
        )

    return retraining


def _waived(instance: dg.DagsterInstance, workload: Workload, day: date) -> list[gates.Standing]:
    """Gates of the day's feeds that failed and were waived. What failed and holds never comes so far."""
    tables = [key(workload, table) for table in workload.spec.daily_raw_tables]
    asked = [
        gates.Asked(table, (gates.CONTRACT.name, gates.EXPECTATIONS.name), frozenset({day.isoformat()}))
        for table in tables
    ]
    found = gates.read(instance, asked, datetime.now(UTC))
    return [each for each in found if each.state is gates.State.WAIVED]


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
    if not causes:
        return "Nothing asks for a new model: no alarm is raised that the plan takes for a cause."
    if not data.whole:
        return f"{data.says} Retraining on it is not looked into."
    under_way = asking.on_its_way(found)
    if under_way:
        return f"Version {under_way[-1]} is on its way already: what it comes to is waited for."
    given = leave(asking.tries(before, found, day), plan.worth.budget, day)
    return None if given.given else given.says


def _asking(worth: Worth, plan: DriftPlan, causes: Sequence[Cause], day: date) -> Asking:
    retrained = worth.decision is Decision.RETRAIN
    window = next((each for each in plan.worth.windows if each.name == worth.window), None)
    return Asking(
        day,
        Answer.ASKED if retrained else Answer.DECLINED,
        tuple(cause.value for cause in causes),
        window if retrained else None,
        worth.as_data(),
        worth.says,
    )


@dataclass(frozen=True)
class _Past:
    """What a back-test asks for, of the tables as they are on the day."""

    workload: Workload
    lake: Lakehouse
    settings: Settings
    ledger: Ledger
    feature_store: FeatureStoreResource
    days: DecidedDays
    today: date

    @property
    def seams(self) -> Seams[Model]:
        return Seams(self.known, lambda rows: fit(self.workload, rows).model, self.decided)

    def known(self, as_of: date) -> pl.DataFrame:
        """The training set as of a day."""
        labelled = labelled_cases(self.lake, self.workload, as_of)
        store = self.feature_store.open(chosen_engine(self.workload, self.settings))
        return training_rows(self.workload, labelled, store).usable

    def decided(self, model: Model, first: date, last: date) -> Iterator[Cohort]:
        """The days to which nothing more is to come, as they were decided and as the model would have."""
        labels = self.days.labels(first, self.today)
        wait = self.workload.spec.drift.harm.wait_days if self.workload.spec.drift else 0
        for day in self.workload.calendar.within(Days(first, last)):
            if self.days.decisions(day).is_empty():
                continue
            cohort = self._beside(model, day, labels)
            if not cohort.is_mature(self.today, wait):
                return
            yield cohort

    def _beside(self, model: Model, day: date, labels: pl.DataFrame) -> Cohort:
        name, was = self.workload.name, self.days.decisions(day)
        scores = self.lake.read(name, SCORES, Days.one(day)).sort("event_time", "case_key")
        own = rescored(self.workload, model, scores)
        cases = self.lake.read(name, self.workload.spec.cases.table, Days.one(day))
        policy = activation.kept(self.settings, str(was["policy_version"][0]))
        used = used_by_others(self.ledger, name, day)
        off = off_as_decided(self.ledger, name, day).of_actions
        weighed = Weighed(replace(day_of(self.workload, own, cases), off=off), policy)
        made = own.select("case_key", "probability").hstack(outcomes_of(weighed, weighed.choose(used)).select("action"))
        return paired(was, made, labels, day, policy.declared)
