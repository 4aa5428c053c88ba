"""Submitted models: a version that somebody registered is judged by its gates, in the sandbox, and past them enters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.stages.declaration import declared, key
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.features import FEATURE_VIEWS
from assets.stages.vectors import vectors
from automation import gates
from automation.boundary import table_gates
from automation.calendar import Days
from automation.errors import WarrantError
from automation.gates.gate import Judgement
from automation.jobs import ENTERED_MODEL, SUBMITTED_MODEL
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import store
from automation.policy import activation
from automation.policy.bundle import PolicyBundle
from automation.policy.evidence import first_undecided
from automation.registry import ModelRegistry, Submitted, UnknownVersionError
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout import aliases, discovery, entering, explanation, kept, promotion
from automation.rollout.foreign import ForeignModel, archived
from automation.rollout.judging import card as cards
from automation.rollout.judging import gates as judging_gates
from automation.rollout.judging.cost import Cost
from automation.rollout.judging.findings import Findings, Ran, found
from automation.rollout.judging.holdout import (
    LABEL,
    Holdout,
    Judged,
    Scored,
    SliceColumnError,
    TooLittleHeldOutError,
    days_before,
    held_out,
)
from automation.rollout.judging.reproducing import reproduced
from automation.rollout.judging.signature import Fit, Served, fitted
from automation.rollout.machine import Champion, Rollout, rollout
from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.rollout.sandbox.running import Limits
from automation.versions import newest
from automation.workload import Stage, Workload

# In place of the digest of files that could not be had.
NO_FILES = "0" * 64
# Of the resamples that intervals come from: one number for all, so that the same version is judged alike again.
SEED = 20130101
# Rows that are predicted twice, as many as a day has, and of these so many by themselves: each is a process of its own.
TRIED, ALONE = 1000, 8
# What a prediction takes at least, and how many times slower than allowed one may be before it is ended.
LEAST_SECONDS, SLOWER_TRIED = 10.0, 5
# Days whose vectors its golden set is taken from.
GOLDEN_DAYS = 7


class NotSubmittedError(WarrantError):
    """The version is not one that somebody registered."""


@dataclass(frozen=True)
class Told:
    """A version that was judged: what its gates say, and what there is to show."""

    judgements: tuple[Judgement, ...]
    metadata: dict[str, Any]


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [_submitted(workload), _entered(workload)]


def _submitted(workload: Workload) -> dg.AssetsDefinition:
    spec, name = workload.spec, workload.name

    @gates.gated_asset(
        **declared(
            workload,
            Stage.SUBMITTED,
            SUBMITTED_MODEL,
            kinds={"mlflow", "python"},
            description="A version that somebody registered in MLflow, judged on the last days beside the champion.",
            deps=[key(workload, FEATURE_VIEWS)],
            by=discovery.partitions(workload),
            more_gates=judging_gates.ALL_GATES,
            range_runs=False,
            automated=False,
        )
    )
    def submitted_model(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ):
        lake, now, partition = lakehouse.open(), datetime.now(UTC), context.partition_key
        registry = models.open(name, spec.model.name)
        submitted = registry.submitted().get(int(partition))
        if submitted is None:
            raise NotSubmittedError(
                f"MLflow has no version {partition} of {spec.model.name} that somebody else registered.",
                remedy="Versions that are trained here are judged as candidate_model. Look at the registered model.",
            )
        as_of = first_undecided(workload, lake)
        candidate = Champion(spec.model.name, submitted.version, NO_FILES, as_of)
        try:
            model = _fetched(registry, submitted.version)
        except ModelFailedError as error:
            told = _failed(error, partition)
        else:
            candidate = replace(candidate, digest=kept.keep_model(models.settings, model))
            judge = _Judge(workload, lake, feature_store, models, submitted, candidate, model, partition, now)
            told = judge.judged(context.instance)
        evidence = {explanation.SUBMITTED_BY: submitted.by, "run": submitted.run_id, "dagster_run": context.run_id}
        promotion.register(models.settings, name, candidate, evidence, now)
        aliases.put_back(models.settings, workload, registry, now)
        if "model card" in told.metadata:
            registry.attach(submitted.run_id, "model_card.md", told.metadata["model card"].value)
        yield dg.MaterializeResult(
            metadata={
                "model version": submitted.version,
                "digest": candidate.digest,
                "registered by": submitted.by,
                "may decide from": as_of.isoformat(),
                **told.metadata,
            }
        )
        yield from gates.record(context, key(workload, SUBMITTED_MODEL), told.judgements)

    return submitted_model


def _entered(workload: Workload) -> dg.AssetsDefinition:
    spec, name = workload.spec, workload.name

    @gates.gated_asset(
        **declared(
            workload,
            Stage.SUBMITTED,
            ENTERED_MODEL,
            kinds={"mlflow", "postgres"},
            description="The version that passed its gates goes as far as the plan lets it at once.",
            deps=[key(workload, SUBMITTED_MODEL)],
            by=discovery.partitions(workload),
            range_runs=False,
            automated=False,
        )
    )
    def entered_model(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ) -> dg.MaterializeResult:
        lake, now, version = lakehouse.open(), datetime.now(UTC), int(context.partition_key)
        with store.opened(models.settings) as ledger:
            known = rollout(ledger, name)
        candidate = known.of(version)[0].champion
        judged = explanation.judged(
            context.instance,
            key(workload, SUBMITTED_MODEL),
            [gate.name for gate in judging_gates.ALL_GATES],
            context.partition_key,
            now,
        )
        days = Days(days_before(candidate.as_of, spec.rollout.judging).last, candidate.as_of).widened(GOLDEN_DAYS)
        cases = lake.read(name, spec.cases.table, workload.calendar.within(days))
        passed = entering.Passed(
            candidate,
            kept.model(models.settings, candidate.digest),
            vectors(feature_store.open(), workload, cases).usable,
            feature_store.meaning(spec.features.service),
            {},
            {
                "dagster_run": context.run_id,
                "gates": {each.gate: f"{each.state}: {each.says}" for each in judged},
            },
        )
        entered = entering.enter(models.settings, workload, passed, now)
        aliases.put_back(models.settings, workload, models.open(name, spec.model.name), now)
        return dg.MaterializeResult(
            metadata={"model version": version, "state": entered.state.value, "promoted": entered.says}
        )

    return entered_model


@dataclass(frozen=True, eq=False)
class _Judge:
    """Judges one version."""

    workload: Workload
    lake: Lakehouse
    feature_store: FeatureStoreResource
    models: ModelRegistryResource
    submitted: Submitted
    candidate: Champion
    model: ForeignModel
    partition: str
    now: datetime

    def judged(self, instance: dg.DagsterInstance) -> Told:
        """What its gates say. A gate that there is nothing to judge by fails, and says so."""
        plan, partition = self.workload.spec.rollout.judging, self.partition
        try:
            fit = fitted(self.model.signature, Served.of(self.workload))
        except ModelFailedError as error:
            return _failed(error, partition)
        if fit.problems:
            others = [gate for gate in judging_gates.ALL_GATES if gate is not judging_gates.SIGNATURE]
            says = "It was not run, since what it takes is not what there is."
            return Told((judging_gates.fits(fit, partition), *judging_gates.unjudged(others, says, partition)), {})
        cases, usable = self._cases(instance)
        try:
            holdout = held_out(self.workload, cases, usable, self._labels(instance), plan)
        except (TooLittleHeldOutError, SliceColumnError) as error:
            others = [gate for gate in judging_gates.ALL_GATES if gate is not judging_gates.SIGNATURE]
            unjudged = judging_gates.unjudged(others, f"{error.message} {error.remedy}", partition)
            return Told((judging_gates.fits(fit, partition), *unjudged), {})
        try:
            ran = self._ran(fit, usable)
            on_run = judging_gates.on_run(ran, plan, partition)
            if ran.cost.problems(plan):
                says = "It takes too much to be run on all that is held out."
                return Told((*on_run, *judging_gates.unjudged(judging_gates.HOLDOUT_GATES, says, partition)), {})
            given = self.model.predicted(usable, self._limits(usable.height))
        except ModelFailedError as error:
            return _failed(error, partition, fit)
        findings, policy = self._found(holdout, usable, given.probability, fit)
        judgements = (*on_run, *judging_gates.on_holdout(findings, self.workload.spec.model, plan, partition))
        shown = self._card(ran, findings, judgements, policy)
        return Told(judgements, {"model card": dg.MetadataValue.md(shown)})

    def _cases(self, instance: dg.DagsterInstance) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The cases held out, with the vectors of those that have one. Days that a gate holds are left out."""
        spec = self.workload.spec
        wanted = self.workload.calendar.within(days_before(self.candidate.as_of, spec.rollout.judging))
        cases = self.lake.read(self.workload.name, spec.cases.table, wanted)
        tables = (spec.cases.table, *(view.table for view in spec.features.views))
        cases = cases.filter(~pl.col(DAY).is_in(self._held(instance, tables, wanted)))
        return cases, vectors(self.feature_store.open(), self.workload, cases).usable

    def _held(self, instance: dg.DagsterInstance, tables: Sequence[str], days: Days) -> list[date]:
        """The days that a gate of one of the tables holds: a version has no days, so Dagster cannot ask for them."""
        asked, day_keys = [], frozenset[str | None](days.keys)
        for table in tables:
            declared_gates = table_gates(self.workload.contract(table))
            names = tuple(gate.name for gate in declared_gates if gate.severity is gates.Severity.ERROR)
            asked.append(gates.Asked(key(self.workload, table), names, day_keys))
        closed = {each.partition for each in gates.read(instance, asked, self.now) if not each.open}
        return [date.fromisoformat(each) for each in sorted(filter(None, closed))]

    def _labels(self, instance: dg.DagsterInstance) -> pl.DataFrame:
        """The outcomes that were known before the version may decide, less those of days that a gate holds."""
        spec = self.workload.spec
        days = self.workload.calendar.within(days_before(self.candidate.as_of, spec.rollout.judging))
        columns = [spec.case_key, LABEL, "known_time", DAY]
        known = self.lake.read(self.workload.name, spec.labels.table, days, columns)
        held = self._held(instance, (spec.labels.table,), days)
        return newest(known.filter(~pl.col(DAY).is_in(held)), spec.case_key)

    def _ran(self, fit: Fit, usable: pl.DataFrame) -> Ran:
        """How it runs on as many cases as a day has: twice together, and some by themselves."""
        rows = usable.gather_every(max(1, usable.height // TRIED)).head(TRIED)
        limits = self._limits(rows.height)
        first, again = (self.model.predicted(rows, limits) for _ in range(2))
        alone = np.unique(np.linspace(0, rows.height - 1, min(ALONE, rows.height)).astype(int))
        by_itself = np.concatenate([self.model.predicted(rows[int(row)], limits).probability for row in alone])
        same = reproduced(first.probability, again.probability, alone, by_itself)
        return Ran(fit, same, Cost(rows.height, first.seconds, first.peak_memory_bytes))

    def _limits(self, rows: int) -> Limits:
        """Some times what is allowed, so that one which is too slow says by how much, and one that hangs is ended."""
        plan = self.workload.spec.rollout.judging
        seconds = max(LEAST_SECONDS, SLOWER_TRIED * plan.slowest * rows / 1000)
        return Limits(seconds=seconds, memory_bytes=plan.most_memory)

    def _found(
        self, holdout: Holdout, usable: pl.DataFrame, probability: np.ndarray, fit: Fit
    ) -> tuple[Findings, PolicyBundle]:
        spec, name = self.workload.spec, self.workload.name
        with store.opened(self.models.settings) as ledger:
            known = rollout(ledger, name)
            policy = activation.in_force(self.models.settings, ledger, self.workload, self.candidate.as_of, self.now)
        judged = Judged(
            holdout,
            Scored(self.candidate.version, holdout.placed(usable[spec.case_key], probability)),
            self._champion(known, holdout, usable),
        )
        until = self.submitted.trained_until
        return found(judged, spec.model, policy, spec.rollout.judging, fit.takes, until, SEED), policy

    def _champion(self, known: Rollout, holdout: Holdout, usable: pl.DataFrame) -> Scored | None:
        """What the champion says of the same cases, if there is one."""
        now = known.deciding(self.candidate.as_of)
        if now is None:
            return None
        champion = kept.model(self.models.settings, now.champion.digest)
        return Scored(now.version, holdout.placed(usable[self.workload.spec.case_key], champion.predict(usable)))

    def _card(self, ran: Ran, findings: Findings, judgements: Sequence[Judgement], policy: PolicyBundle) -> str:
        submitted, spec = self.submitted, self.workload.spec
        origin = cards.Origin(
            submitted.model,
            submitted.version,
            self.candidate.digest,
            f"run {submitted.run_id}" if submitted.run_id else "registered without a run",
            self.model.flavor,
            submitted.by,
            submitted.at,
            submitted.trained_until,
            submitted.description,
        )
        judging = cards.Judging(self.now, spec.rollout.judging, SEED, policy.version, judgements)
        return cards.card(origin, spec, ran, findings, judging)


def _fetched(registry: ModelRegistry, version: int) -> ForeignModel:
    """A version's files, out of MLflow."""
    try:
        with registry.files(version) as folder:
            return ForeignModel(archived(folder))
    except UnknownVersionError as error:
        raise ModelFailedError(Failure.NO_MODEL, error.message.rstrip(".")) from error


def _failed(failure: ModelFailedError, partition: str, fit: Fit | None = None) -> Told:
    """What the gates say of a version that did not answer."""
    first = [] if fit is None else [judging_gates.fits(fit, partition)]
    said = {judging_gates.RUNS, *(each.gate for each in first)}
    others = [gate for gate in judging_gates.ALL_GATES if gate not in said]
    unjudged = judging_gates.unjudged(others, "It did not answer.", partition)
    return Told((*first, judging_gates.failed(failure, partition), *unjudged), {})
