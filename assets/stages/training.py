"""Training: the set as of a day, a candidate trained from it, and the champion that passed the candidate's gates.

Partitioned by as-of day: partition D is made of what was known before D begins, and D is the first day the champion
of that partition may decide.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.stages.declaration import days_before, declared, key
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.features import FEATURE_VIEWS
from assets.stages.served import served_features
from assets.stages.vectors import Vectors, vectors
from automation import evaluation, gates, plots
from automation.calendar import Days
from automation.drift.asking import askings, window_of
from automation.drift.worth.plan import Window
from automation.drift.worth.windows import cut
from automation.engines.choice import chosen_engine
from automation.errors import WarrantError
from automation.jobs import CANDIDATE_MODEL
from automation.lakehouse import DAY, Lakehouse, digest
from automation.ledger import store
from automation.lineage.metadata import vector_lineage
from automation.models import Fitted
from automation.policy import activation
from automation.registry import RegisteredVersion, TrainingRecord
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout import aliases, entering, explanation, kept, promotion
from automation.rollout.judging.findings import found
from automation.rollout.judging.gates import (
    COMPARISON_GATES,
    VALIDATION_GATES,
    on_holdout,
    on_validation,
    too_little,
)
from automation.rollout.judging.holdout import Judged, Scored, SliceColumnError, TooLittleHeldOutError, held_out
from automation.rollout.machine import Champion, rollout
from automation.settings import settings
from automation.versions import newest
from automation.workload import Delivery, Stage, Workload

if TYPE_CHECKING:
    from feast import FeatureStore

TRAINING_SET, CANDIDATE, CHAMPION = "training_set", CANDIDATE_MODEL, "champion"
LABEL = "label"

NOTHING_LOST = gates.Gate("nothing_lost", "Each labelled case is in the training set or left out for a stated reason.")


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [_training_set(workload), _candidate(workload), _champion(workload)]


def _as_of(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


def _history(workload: Workload, as_of: date) -> Days:
    if as_of <= workload.calendar.start:
        raise NoHistoryError(
            f"Nothing is known before {as_of}: the data of {workload.name} begins on {workload.calendar.start}.",
            remedy="Train as of a later day.",
        )
    return Days(workload.calendar.start, as_of - timedelta(days=1))


def labelled_cases(lake: Lakehouse, workload: Workload, as_of: date) -> pl.DataFrame:
    """The cases whose label was known before ``as_of`` begins, with it, in the order a recipe is given them.

    A label that was corrected by then is the corrected one; as of an earlier day it is still the first.

    Raises:
        NoHistoryError: the data begins on that day or later.
    """
    spec, history = workload.spec, _history(workload, as_of)
    # Law 3 for labels: a partition holds what became known on its day, so all of these were known by then.
    labels = newest(
        lake.read(workload.name, spec.labels.table, history, [spec.case_key, LABEL, "known_time"]), spec.case_key
    )
    cases = lake.read(workload.name, spec.cases.table, history)
    return cases.join(labels.drop("known_time"), on=spec.case_key, how="inner").sort("event_time", spec.case_key)


def training_rows(workload: Workload, labelled: pl.DataFrame, store: "FeatureStore") -> Vectors:
    """The vectors of `labelled_cases` in their order, as known when they were decided. The usable ones, which a recipe
    learns from, have their labels."""
    found = vectors(store, workload, labelled.drop(LABEL))
    labels = labelled.select(workload.spec.case_key, LABEL)
    usable = found.usable.join(labels, on=workload.spec.case_key, how="left", maintain_order="left")
    return replace(found, usable=usable)


def fit(workload: Workload, rows: pl.DataFrame) -> Fitted:
    """Trains the workload's recipe on usable vectors with their labels, in order of decision time."""
    features, label = rows.select(workload.model_features), rows[LABEL].cast(pl.Int8).to_numpy()
    return workload.module("model").fit(features, label, workload.spec.model.seed)


def _learned_from(
    lake: Lakehouse, models: ModelRegistryResource, workload: Workload, as_of: date
) -> tuple[pl.DataFrame, Window | None]:
    """The training set as of a day, cut to the window that the model was asked for with; None: nobody asked for one."""
    rows = lake.read(workload.name, TRAINING_SET, Days.one(as_of)).sort("event_time", workload.spec.case_key)
    with store.opened(models.settings) as ledger:
        window = window_of(askings(ledger, workload.name), as_of)
    return (rows if window is None else cut(rows, window, as_of, workload.calendar.timezone)), window


class NoHistoryError(WarrantError):
    """A training set was asked for as of a day before any data."""


def _training_set(workload: Workload) -> dg.AssetsDefinition:
    spec, far = workload.spec, len(workload.calendar.days())
    whole = [feed.table for feed in spec.feeds if feed.delivery is Delivery.WHOLE]

    @gates.gated_asset(
        **declared(
            workload,
            Stage.TRAINING,
            TRAINING_SET,
            kinds={"feast", chosen_engine(workload, settings()).value, "deltalake"},
            description="Cases whose outcome was known before the day begins, with what was known when decided.",
            deps=[
                *(days_before(workload, name, far, 1) for name in (spec.cases.table, spec.labels.table)),
                *(days_before(workload, view.table, far, 1) for view in spec.features.views),
                *(key(workload, table) for table in whole),
                key(workload, FEATURE_VIEWS),
            ],
            more_gates=[NOTHING_LOST],
            range_runs=False,
            automated=False,
        )
    )
    def training_set(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, feature_store: FeatureStoreResource
    ):
        as_of, lake = _as_of(context), lakehouse.open()
        history = _history(workload, as_of)
        labelled = labelled_cases(lake, workload, as_of)
        engine = chosen_engine(workload, settings())
        found = training_rows(workload, labelled, feature_store.open(engine))
        rows = found.usable.with_columns(pl.lit(as_of).alias(DAY))
        lake.replace_days(workload.name, TRAINING_SET, rows, Days.one(as_of))
        left_out = labelled.height - rows.height
        yield dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": rows.height,
                "labelled cases": labelled.height,
                "left out, vector broke its contract": found.broken.height,
                "bad outcomes": float(rows[LABEL].cast(pl.Float64).to_numpy().mean()) if rows.height else 0.0,
                "from": str(history.first),
                "until": str(history.last),
                "engine": engine.value,
                **vector_lineage(workload, TRAINING_SET, served_features(workload)),
            }
        )
        yield from gates.record(
            context,
            key(workload, TRAINING_SET),
            [
                gates.Judgement(
                    NOTHING_LOST,
                    passed=left_out == found.broken.height and rows.height > 0,
                    says=f"{labelled.height:,} labelled cases: {rows.height:,} to train on, "
                    f"{found.broken.height:,} left out because their vector breaks its contract.",
                    partition=context.partition_key,
                )
            ],
        )

    return training_set


def _candidate(workload: Workload) -> dg.AssetsDefinition:
    spec = workload.spec

    @gates.gated_asset(
        **declared(
            workload,
            Stage.TRAINING,
            CANDIDATE,
            kinds={"lightgbm", "mlflow"},
            description="A model trained on the set as of the day and registered; the same inputs register once.",
            deps=[days_before(workload, TRAINING_SET, 0)],
            more_gates=(*VALIDATION_GATES, *COMPARISON_GATES),
            range_runs=False,
        )
    )
    def candidate_model(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ):
        as_of, lake = _as_of(context), lakehouse.open()
        rows, window = _learned_from(lake, models, workload, as_of)
        label = rows[LABEL].cast(pl.Int8).to_numpy()
        fitted = fit(workload, rows)
        latest = rows.tail(fitted.validation_rows)
        result = evaluation.evaluate(
            fitted.validation_probability,
            label[-fitted.validation_rows :],
            latest,
            workload.spec,
            workload.model_features,
        )
        registry = models.open(workload.name, spec.model.name)
        views = feature_store.meaning(spec.features.service)
        training_key = _training_key(workload, rows, views)
        version = registry.find(training_key)
        drawn = {
            "reliability": plots.reliability(result.probability, result.label, f"Reliability, {as_of}"),
            "lift": plots.lift(result.probability, result.label, f"Lift, {as_of}"),
            "importance": plots.bars(dict(list(fitted.model.importance().items())[:12]), "Importance", "share of gain"),
        }
        if version is None or version.digest != fitted.model.digest:
            record = TrainingRecord(
                training_key=training_key,
                as_of=as_of,
                parameters=fitted.parameters,
                metrics=result.metrics,
                evidence=_evidence(workload, lake, views),
                plots=drawn,
            )
            version = registry.register(fitted.model, record, latest.head(5))
        kept.keep_model(models.settings, fitted.model)
        promotion.register(
            models.settings,
            workload.name,
            Champion(version.model, version.version, version.digest, as_of),
            {"run": version.run_id, "dagster_run": context.run_id},
            datetime.now(UTC),
        )
        aliases.put_back(models.settings, workload, registry, datetime.now(UTC))
        yield dg.MaterializeResult(
            metadata={
                "model version": version.version,
                "digest": version.digest,
                "learned from": "all that was known" if window is None else f"the window {window.name}",
                **result.metrics,
                **{name: dg.MetadataValue.url(url) for name, url in registry.links(version).items()},
                **{name: plots.image(svg) for name, svg in drawn.items()},
            }
        )
        yield from gates.record(
            context,
            key(workload, CANDIDATE),
            [
                *on_validation(result, fitted.model, spec.model, spec.rollout.judging.rate, context.partition_key),
                *_compared(workload, lake, models, version, latest, fitted.validation_probability, as_of),
            ],
        )

    return candidate_model


def _champion(workload: Workload) -> dg.AssetsDefinition:
    spec = workload.spec

    @gates.gated_asset(
        **declared(
            workload,
            Stage.TRAINING,
            CHAMPION,
            kinds={"mlflow", "postgres"},
            description="The candidate that passed its gates decides from this day on.",
            deps=[days_before(workload, CANDIDATE, 0)],
            range_runs=False,
        )
    )
    def champion(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ) -> dg.MaterializeResult:
        as_of = _as_of(context)
        rows, _ = _learned_from(lakehouse.open(), models, workload, as_of)
        registry = models.open(workload.name, spec.model.name)
        version = registry.find(_training_key(workload, rows, feature_store.meaning(spec.features.service)))
        if version is None:
            raise NoCandidateError(
                f"No version of {spec.model.name} was trained on the training set as of {as_of} as it is now.",
                remedy="Materialize candidate_model for this day first.",
            )
        now = datetime.now(UTC)
        judged = explanation.judged(
            context.instance,
            key(workload, CANDIDATE),
            [gate.name for gate in (*VALIDATION_GATES, *COMPARISON_GATES)],
            context.partition_key,
            now,
        )
        passed = entering.Passed(
            Champion(version.model, version.version, version.digest, as_of),
            registry.load(version.version, version.digest),
            rows,
            registry.trained_with(version.version),
            registry.trained_on().get(version.version, {}),
            {
                "run": version.run_id,
                "dagster_run": context.run_id,
                "gates": {each.gate: f"{each.state}: {each.says}" for each in judged},
            },
        )
        entered = entering.enter(models.settings, workload, passed, now)
        aliases.put_back(models.settings, workload, registry, now)
        return dg.MaterializeResult(
            metadata={
                "model version": version.version,
                "decides from": str(as_of),
                "state": entered.state.value,
                "promoted": entered.says,
                **{name: dg.MetadataValue.url(url) for name, url in registry.links(version).items()},
            }
        )

    return champion


def _compared(
    workload: Workload,
    lake: Lakehouse,
    models: ModelRegistryResource,
    version: RegisteredVersion,
    latest: pl.DataFrame,
    probability: np.ndarray,
    as_of: date,
) -> Sequence[gates.Judgement]:
    """What the gates that compare say, by the model that had not seen the ``latest`` rows, on those of their whole days
    that the champion had not seen either.
    """
    spec, plan, partition = workload.spec, workload.spec.rollout.judging, as_of.isoformat()
    with store.opened(models.settings) as ledger:
        so_far = rollout(ledger, workload.name)
        before = so_far.deciding(as_of - timedelta(days=1))
        policy = activation.in_force(models.settings, ledger, workload, as_of, datetime.now(UTC))
    local: list[date] = latest["event_time"].dt.convert_time_zone(workload.calendar.timezone).dt.date().to_list()
    whole = unseen(local, None if before is None else so_far.registered(before.version))
    if whole is None:
        return too_little(
            COMPARISON_GATES, "The champion was trained on every whole day of the newest rows.", partition
        )
    cases = lake.read(workload.name, spec.cases.table, workload.calendar.within(whole))
    cases = cases.join(latest.select(spec.case_key), on=spec.case_key, how="semi")
    try:
        holdout = held_out(workload, cases, latest.drop(LABEL, DAY), latest.select(spec.case_key, LABEL), plan)
    except (TooLittleHeldOutError, SliceColumnError) as error:
        return too_little(COMPARISON_GATES, f"{error.message} {error.remedy}", partition)
    keys, champion = latest[spec.case_key], None
    if before is not None:
        said = kept.model(models.settings, before.champion.digest).predict(latest)
        champion = Scored(before.version, holdout.placed(keys, said))
    judged = Judged(holdout, Scored(version.version, holdout.placed(keys, probability)), champion)
    findings = found(judged, spec.model, policy, plan, workload.model_features, None, spec.model.seed)
    names = {gate.name for gate in COMPARISON_GATES}
    return [each for each in on_holdout(findings, spec.model, plan, partition) if each.gate.name in names]


def unseen(local: Sequence[date], champion_as_of: date | None) -> Days | None:
    """The whole days of the newest rows that a champion was not trained on, by the rows' local days; None: no day.

    The first day is cut where the newest rows begin. A champion as of a day knows no outcome of that day or later.
    """
    first, last = min(max(local), min(local) + timedelta(days=1)), max(local)
    first = first if champion_as_of is None else max(first, champion_as_of)
    return None if first > last else Days(first, last)


class NoCandidateError(WarrantError):
    """There is no registered version to promote."""


def _training_key(workload: Workload, rows: pl.DataFrame, views: Mapping[str, str]) -> str:
    """What a training is made of: the set's content, the recipe's code, its seed, what it sees and what that means."""
    recipe = Path(str(workload.module("model").__file__)).read_bytes()
    parts = [digest(rows), hashlib.sha256(recipe).hexdigest(), str(workload.spec.model.seed), *workload.model_features]
    parts += [f"{name} {meaning}" for name, meaning in sorted(views.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _evidence(workload: Workload, lake: Lakehouse, views: Mapping[str, str]) -> dict[str, object]:
    spec = workload.spec
    tables = [TRAINING_SET, spec.cases.table, spec.labels.table, *(view.table for view in spec.features.views)]
    return {
        "delta_versions": {table: lake.version(workload.name, table) for table in tables},
        "contracts": {name: [found.version, found.digest] for name, found in sorted(workload.contracts.items())},
        "feature_service": spec.features.service,
        "feature_views": dict(views),
    }
