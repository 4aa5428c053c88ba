"""Challengers: what each version that is watched would have decided of the day's cases. Nothing comes of it."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, run_days
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.scoring import SCORES, scores_of
from automation import gates
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import store
from automation.models import Model
from automation.plots import bars, image
from automation.policy import activation
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import Weighed, outcomes_of
from automation.policy.evidence import Stood, as_decided, day_of
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout.contests import WOULD_BE, Role, guard
from automation.rollout.machine import Champion, Rollout, rollout
from automation.workload import Stage, Workload
from contracts.canonical_json import frame
from feature_repo.pins import changed

CHALLENGER_DECISIONS = "challenger_decisions"
# Rows of scores of which a model was asked: the vector kept its contract.
ASKED = pl.col("model").is_not_null()


@dataclass(frozen=True)
class Contestant:
    """A version that decides a day's cases for comparison."""

    version: Champion
    role: Role


def contestants(found: Rollout, workload: Workload, day: date) -> tuple[Contestant, ...]:
    """Who is compared on a day, the champion first; nobody where it would be alone."""
    deciding, canary = found.deciding(day), found.canary(day)
    guarded = guard(found, workload.spec.rollout, day)
    others = [Contestant(each, Role.SHADOW) for each in found.shadows(day)]
    if canary is not None:
        others.append(Contestant(canary.champion, Role.CANARY))
    if guarded is not None and guarded.against is not None:
        others.append(Contestant(guarded.against, Role.FORMER))
    if deciding is None or not others:
        return ()
    return (Contestant(deciding.champion, Role.CHAMPION), *others)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec, name = workload.spec, workload.name

    @gates.gated_asset(
        **declared(
            workload,
            Stage.DECISIONS,
            CHALLENGER_DECISIONS,
            kinds={"python", "polars", "deltalake"},
            description="What challengers, the canary and a champion just replaced would have decided, each alone.",
            deps=[
                days_before(workload, SCORES, 0),
                days_before(workload, DECISIONS, 0),
                days_before(workload, spec.cases.table, 0),
            ],
            range_runs=False,
        )
    )
    def challenger_decisions(
        context: dg.AssetExecutionContext,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ) -> dg.MaterializeResult:
        days, lake = run_days(context), lakehouse.open()
        with store.opened(models.settings) as ledger:
            found = rollout(ledger, name)
            asked = contestants(found, workload, days.first)
            stood = as_decided(ledger, name, days.first)
            # A version that is off decides nothing, and is compared all the same.
            stood = replace(stood, off=stood.off.of_actions)
        if not asked:
            if lake.exists(name, CHALLENGER_DECISIONS):
                lake.replace_days(name, CHALLENGER_DECISIONS, pl.DataFrame(schema=WOULD_BE), days)
            return dg.MaterializeResult(metadata={"dagster/row_count": 0, "challengers": "none"})
        scores = lake.read(name, SCORES, days).sort("event_time", "case_key")
        cases = lake.read(name, spec.cases.table, days)
        policy = _policy_of(lake, workload, days.first, models)
        live = feature_store.meaning(spec.features.service)
        parts = []
        for each in asked:
            pins = found.pinned(each.version.version)
            different = changed(pins.feature_views, live) if pins and pins.feature_views else ()
            own = _scored(workload, models, each.version, scores, tuple(different))
            made = redecided(workload, own, cases, policy, stood)
            parts.append(
                own.select("case_key", "probability", "problems", DAY)
                .hstack(made.select("action", "status", "stake"))
                .with_columns(
                    version=pl.lit(each.version.version, pl.Int64),
                    role=pl.lit(each.role.value),
                    policy_version=pl.lit(policy.version),
                )
                .select(*WOULD_BE)
            )
        rows = pl.concat(parts)
        lake.replace_days(name, CHALLENGER_DECISIONS, rows, days)
        return dg.MaterializeResult(metadata=_shown(rows, asked, days.first))

    return [challenger_decisions]


def _policy_of(lake: Lakehouse, workload: Workload, day: date, models: ModelRegistryResource) -> PolicyBundle:
    """The policy that decided the day."""
    from automation.calendar import Days

    [version] = lake.read(workload.name, DECISIONS, Days.one(day), ["policy_version"])["policy_version"].unique()
    return activation.kept(models.settings, version)


def _scored(
    workload: Workload,
    models: ModelRegistryResource,
    version: Champion,
    scores: pl.DataFrame,
    different: tuple[str, ...],
) -> pl.DataFrame:
    """The day's scores as if the version had given all of them. What it gave in earnest is not asked for again."""
    own = scores.filter((pl.col("model_version") == version.version) & (pl.col("model_digest") == version.digest))
    rest = scores.join(own, on="case_key", how="anti", maintain_order="left")
    if different:
        said = pl.lit(f'["{", ".join(different)} changed since it was trained"]')
        problems = pl.when(ASKED).then(said).otherwise("problems")
        again = rest.with_columns(probability=pl.lit(None, pl.Float64), problems=problems)
    else:
        again = rescored(
            workload, models.open(workload.name, version.model).load(version.version, version.digest), rest
        )
    return (
        pl.concat([own, again])
        .with_columns(
            model_version=pl.lit(version.version, pl.Int64),
            model_digest=pl.lit(version.digest),
            # As it would be if it decided in earnest, which is what is compared.
            model_stage=pl.lit(Role.CHAMPION.value),
        )
        .sort("event_time", "case_key")
    )


def rescored(workload: Workload, model: Model, scores: pl.DataFrame) -> pl.DataFrame:
    """Rows of scores with the probabilities that another model would have given, in their order. Of a case whose vector
    broke its contract no model is asked: its row stays as it is."""
    vector = workload.contract(workload.spec.model.contract)
    asked = scores.filter(ASKED)
    given = scores_of(model, frame(asked["features"].to_list(), vector.schema), workload.spec.case_key)
    given = given.select("case_key", given="probability", why="problems")
    return (
        scores.join(given, on="case_key", how="left", maintain_order="left")
        .with_columns(probability="given", problems=pl.coalesce("why", "problems"))
        .select(scores.columns)
    )


def redecided(
    workload: Workload,
    scores: pl.DataFrame,
    cases: pl.DataFrame,
    policy: PolicyBundle,
    stood: Stood,
) -> pl.DataFrame:
    """What a policy decides on a day's scores with its limits, things standing as they ``stood``.

    An outcome a row, with the stake, in the order of the scores.
    """
    weighed = Weighed(replace(day_of(workload, scores, cases), off=stood.off, usual=stood.usual), policy)
    return outcomes_of(weighed, weighed.choose(stood.used)).with_columns(stake=pl.Series(weighed.stake))


def _shown(rows: pl.DataFrame, asked: tuple[Contestant, ...], day: date) -> dict[str, Any]:
    """How each decided, beside the champion."""
    by_case = rows.filter(pl.col("version") == asked[0].version.version).select("case_key", was="action")
    records, counts = [], {}
    for each in asked:
        own = rows.filter(pl.col("version") == each.version.version)
        unlike = own.join(by_case, on="case_key").filter(pl.col("action") != pl.col("was")).height
        records.append(
            dg.TableRecord(
                {
                    "version": each.version.version,
                    "role": each.role.value,
                    "cases": own.height,
                    "not scored": own["probability"].null_count(),
                    "to a person": own.filter(pl.col("status") == "review").height,
                    "decided otherwise": unlike,
                }
            )
        )
        counts[f"version {each.version.version}, {each.role.value}"] = unlike
    names = ("version", "role", "cases", "not scored", "to a person", "decided otherwise")
    return {
        "dagster/row_count": rows.height,
        "challengers": dg.TableMetadataValue(
            records=records,
            schema=dg.TableSchema([dg.TableColumn(each, "string" if each == "role" else "int") for each in names]),
        ),
        "decided otherwise": image(bars(counts, f"Cases decided otherwise than by the champion, {day}", "cases")),
    }
