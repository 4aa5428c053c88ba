"""Outcomes: what became of the cases, when it was known, and what each decision turned out to be worth."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, run_days
from assets.stages.features import derived
from automation import gates
from automation.boundary import publish
from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse
from automation.policy.activation import kept
from automation.policy.costs import costs
from automation.resources import LakehouseResource
from automation.settings import settings
from automation.workload import Policy, Stage, Workload

OUTCOMES = "outcomes"
# An outcome that is corrected becomes known again.
KNOWN = ("case_key", "known_time")
# An outcome that takes longer than this to become known is looked for no further back; law 4's check would say so.
LONGEST_WAIT_DAYS = 30
EVERY_DECISION = gates.Gate(
    "every_outcome_joined", "Each outcome that became known of a decided case is joined to its decision, once."
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [derived(workload, workload.spec.labels, Stage.OUTCOMES), _outcomes(workload)]


def _outcomes(workload: Workload) -> dg.AssetsDefinition:
    spec = workload.spec
    contract = workload.contract(OUTCOMES)

    @gates.gated_asset(
        **declared(
            workload,
            Stage.OUTCOMES,
            OUTCOMES,
            kinds={"python", "polars", "deltalake"},
            description="Each decision whose outcome became known on the day, or was corrected: what it cost and what "
            "others would have.",
            contract=contract,
            deps=[days_before(workload, spec.labels.table, 0), days_before(workload, DECISIONS, LONGEST_WAIT_DAYS)],
            more_gates=[EVERY_DECISION],
            # The first days after the first champion have no decisions of weeks before.
            optional=[DECISIONS],
            range_runs=False,
        )
    )
    def outcomes(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days, lake = run_days(context), lakehouse.open()
        labels = lake.read(workload.name, spec.labels.table, days).rename({spec.case_key: "case_key"})
        decided = _decided(lake, workload, workload.calendar.within(days.widened(LONGEST_WAIT_DAYS)))
        joined = labels.join(decided, on="case_key", how="inner").sort("known_time", "case_key")
        valued = [_valued(part, kept(settings(), version).declared) for version, part in _by_policy(joined)]
        rows = pl.concat([joined.clear().pipe(_valued, spec.policy), *valued]).sort("known_time", "case_key")
        saved = (rows["safe_cost"] - rows["realised_cost"]).sum()
        rows = rows.select(*contract.schema, DAY)
        known = labels.filter(pl.col("case_key").is_in(decided["case_key"].implode())).height
        yield from publish(
            context,
            lake,
            workload,
            OUTCOMES,
            rows,
            days,
            more=[
                gates.Judgement(
                    EVERY_DECISION,
                    passed=rows.height == known == rows.select(KNOWN).n_unique(),
                    says=f"{labels.height} outcomes became known, {known} of decided cases, {rows.height} joined.",
                    partition=context.partition_key,
                )
            ],
            metadata={
                "outcomes known": labels.height,
                "of cases decided here": known,
                "dollars saved against doing nothing": float(saved),
            },
        )

    return outcomes


def _by_policy(joined: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Outcomes by the policy that their decisions were made under."""
    for (version,), part in joined.partition_by("policy_version", as_dict=True).items():
        yield str(version), part


def _valued(joined: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """What each decision turned out to cost, and what each action would have, by the costs of its policy."""
    realised = costs(joined["label"].cast(pl.Float64).to_numpy(), joined["stake"].to_numpy(), policy)
    chosen = joined["action"].replace_strict(
        {name: column for column, name in enumerate(realised.actions)}, return_dtype=pl.Int64
    )
    return joined.with_columns(
        realised_cost=pl.Series(realised.of(chosen.to_numpy()), dtype=pl.Float64),
        costs_by_action=pl.Series(realised.as_json(), dtype=pl.String),
        foresight_cost=pl.Series(realised.values.min(axis=1), dtype=pl.Float64),
        safe_cost=pl.Series(realised.values[:, realised.actions.index(policy.safe_action)], dtype=pl.Float64),
    )


def _decided(lake: Lakehouse, workload: Workload, days: Days) -> pl.DataFrame:
    columns = ["case_key", "event_time", "action", "status", "probability", "rule_value", "stake", "policy_version"]
    return lake.read(workload.name, DECISIONS, days, columns).rename({"event_time": "decision_time"})
