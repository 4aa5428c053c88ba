"""Scoring: the champion of the day scores each case on what was known of it, or the case says why not."""

import json
from collections.abc import Callable, Mapping

import dagster as dg
import polars as pl

from assets.stages.declaration import days_before, declared, key, run_days
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.features import FEATURE_VIEWS
from assets.stages.served import served_features
from assets.stages.vectors import as_json, vectors
from automation import gates
from automation.boundary import publish
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.ledger import store
from automation.lineage.metadata import vector_lineage
from automation.models import Model
from automation.policy.authorization.requests import ModelStage
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout.machine import Champion, Change, decider, rollout
from automation.rollout.routing import routed
from automation.rollout.sandbox.failure import ModelFailedError
from automation.switches.flags import off_on
from automation.switches.switch import SwitchedOff, of_model
from automation.workload import Delivery, Stage, Workload
from feature_repo.pins import changed

SCORES = "scores"
# A vector may rest on features of the day before (the evening's last weather) and on older records.
FEATURE_DAYS = 1


class FeatureViewChangedError(WarrantError):
    """The champion was trained on views that mean something else now."""


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    whole = [feed.table for feed in spec.feeds if feed.delivery is Delivery.WHOLE]
    contract = workload.contract(SCORES)

    @gates.gated_asset(
        **declared(
            workload,
            Stage.SCORING,
            SCORES,
            kinds={"feast", "lightgbm", "deltalake"},
            description="Each case's calibrated probability with every feature's exact share in it.",
            contract=contract,
            deps=[
                days_before(workload, spec.cases.table, 0),
                *(days_before(workload, view.table, FEATURE_DAYS) for view in spec.features.views),
                *(key(workload, table) for table in whole),
                key(workload, FEATURE_VIEWS),
                days_before(workload, "champion", len(workload.calendar.days())),
            ],
            optional=["champion"],
            range_runs=False,
        )
    )
    def scores(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ):
        days, lake, name = run_days(context), lakehouse.open(), workload.name
        with store.opened(models.settings) as ledger:
            found = rollout(ledger, name)
        champion, pinned = decider(found, days.first)
        live = feature_store.meaning(spec.features.service)
        _refuse_other_views(pinned.feature_views, live, champion)
        cases = lake.read(name, spec.cases.table, days)
        drawn = vectors(feature_store.open(), workload, cases)

        def scored(version: Champion, usable: pl.DataFrame, stage: ModelStage) -> pl.DataFrame:
            model = models.open(name, version.model).load(version.version, version.digest)
            return scores_of(model, usable, spec.case_key).with_columns(
                model=pl.lit(version.model),
                model_version=pl.lit(version.version, pl.Int64),
                model_digest=pl.lit(version.digest),
                model_stage=pl.lit(stage.value),
            )

        usable, parts, told = drawn.usable, [], "none"
        canary = found.canary(days.first)
        if canary is not None:
            taken = pl.Series(
                routed(name, canary.version, canary.share or 0.0, usable[spec.case_key]), dtype=pl.Boolean
            )
            pins = found.pinned(canary.version)
            off = off_on(models.settings, name, (), [canary.version], days.first).get(of_model(canary.version))
            trained = pins.feature_views if pins else {}
            told, part = _by_canary(canary, off, trained, live, usable.filter(taken), scored)
            if part is not None:
                parts.append(part)
                usable = usable.filter(~taken)
        parts.append(scored(champion, usable, ModelStage.CHAMPION))
        unscored = drawn.broken.rename({spec.case_key: "case_key"})
        rows = (
            pl.concat([*parts, unscored], how="diagonal")
            .join(
                cases.select(pl.col(spec.case_key).alias("case_key"), "event_time", "known_time", DAY),
                on="case_key",
                how="full",
                coalesce=True,
            )
            .select(*contract.schema, DAY)
            .sort("event_time", "case_key")
        )
        yield from publish(
            context,
            lake,
            workload,
            SCORES,
            rows,
            days,
            metadata={
                "champion": f"{champion.model} version {champion.version}",
                "canary": told,
                "not scored": rows["probability"].null_count(),
                **vector_lineage(workload, SCORES, served_features(workload)),
            },
        )

    return [scores]


def scores_of(model: Model, usable: pl.DataFrame, case_key: str) -> pl.DataFrame:
    """What a model says of usable vectors: case_key, probability, features, contributions and problems.

    A foreign model that fails scores no case of the batch, and each says so (law 2).
    """
    problems, shares = "[]", None
    try:
        probability = pl.Series(model.predict(usable) if usable.height else [], dtype=pl.Float64)
        shares = model.contributions(usable) if usable.height else None
    except ModelFailedError as error:
        probability = pl.Series([None] * usable.height, dtype=pl.Float64)
        problems = json.dumps([error.message.rstrip(".")], ensure_ascii=False)
    return pl.DataFrame(
        {
            "case_key": usable[case_key],
            "probability": probability,
            "features": as_json(usable),
            "contributions": pl.Series([None] * usable.height, dtype=pl.String) if shares is None else as_json(shares),
        }
    ).with_columns(problems=pl.lit(problems))


def _by_canary(
    canary: Change,
    off: SwitchedOff | None,
    trained: Mapping[str, str],
    live: Mapping[str, str],
    usable: pl.DataFrame,
    scored: Callable[[Champion, pl.DataFrame, ModelStage], pl.DataFrame],
) -> tuple[str, pl.DataFrame | None]:
    """What the canary says of its cases, and how that went in words. No scores where it cannot be asked: then the
    champion decides these cases, too, as it would without a canary."""
    named = f"version {canary.version}"
    if off is not None:
        return f"{named} is passed over: it {off.says}", None
    if trained and (different := changed(trained, live)):
        return f"{named} is passed over: {', '.join(different)} changed since it was trained", None
    part = scored(canary.champion, usable, ModelStage.CANARY)
    if usable.height and part["probability"].null_count() == usable.height:
        return f"{named} is passed over: {part['problems'][0]}", None
    return f"{named} decides {usable.height} cases ({canary.share:g}%)", part


def _refuse_other_views(trained: Mapping[str, str], live: Mapping[str, str], champion: Champion) -> None:
    """Features that mean something else than in training would be scored as if they did not: fail closed.

    A version that does not say what it was trained with is not refused: it was registered by other means.
    """
    if trained and (different := changed(trained, live)):
        raise FeatureViewChangedError(
            f"{', '.join(different)} {'means' if len(different) == 1 else 'mean'} something else now than when "
            f"{champion.model} version {champion.version} was trained.",
            remedy="Undo the change and apply it under a new name; or train and promote a version on it: "
            "materialize training_set, candidate_model and champion of the day.",
        )
