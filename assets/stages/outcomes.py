"""Outcomes: what became of the cases, when it was known, and what each decision turned out to be worth."""

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, run_days
from assets.stages.features import derived
from automation import gates
from automation.boundary import publish
from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse
from automation.policy.costs import costs
from automation.resources import LakehouseResource
from automation.workload import Stage, Workload

OUTCOMES = "outcomes"
# An outcome that takes longer than this to become known is looked for no further back; law 4's check would say so.
LONGEST_WAIT_DAYS = 7
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
            description="Each decision whose outcome became known on the day, what it cost and what others would have.",
            contract=contract,
            deps=[days_before(workload, spec.labels.table, 0), days_before(workload, DECISIONS, LONGEST_WAIT_DAYS)],
            more_gates=[EVERY_DECISION],
            # The first days after the first champion have no decisions of a week before.
            optional=[DECISIONS],
            range_runs=False,
        )
    )
    def outcomes(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days, lake = run_days(context), lakehouse.open()
        labels = lake.read(workload.name, spec.labels.table, days).rename({spec.case_key: "case_key"})
        decided = _decided(lake, workload, workload.calendar.within(days.widened(LONGEST_WAIT_DAYS)))
        joined = labels.join(decided, on="case_key", how="inner").sort("known_time", "case_key")
        realised = costs(joined["label"].cast(pl.Float64).to_numpy(), joined["stake"].to_numpy(), spec.policy)
        chosen = joined["action"].replace_strict(
            {name: column for column, name in enumerate(realised.actions)}, return_dtype=pl.Int64
        )
        rows = joined.with_columns(
            realised_cost=pl.Series(realised.of(chosen.to_numpy()), dtype=pl.Float64),
            costs_by_action=pl.Series(realised.as_json(), dtype=pl.String),
            foresight_cost=pl.Series(realised.values.min(axis=1), dtype=pl.Float64),
        ).select(*contract.schema, DAY)
        known = labels.filter(pl.col("case_key").is_in(decided["case_key"].implode())).height
        safe = realised.values[:, realised.actions.index(spec.policy.safe_action)].sum()
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
                    passed=rows.height == known and rows["case_key"].n_unique() == rows.height,
                    says=f"{labels.height} outcomes became known, {known} of decided cases, {rows.height} joined.",
                    partition=context.partition_key,
                )
            ],
            metadata={
                "outcomes known": labels.height,
                "of cases decided here": known,
                "dollars saved against doing nothing": float(safe - rows["realised_cost"].sum()),
            },
        )

    return outcomes


def _decided(lake: Lakehouse, workload: Workload, days: Days) -> pl.DataFrame:
    columns = ["case_key", "event_time", "action", "status", "probability", "rule_value", "stake"]
    return lake.read(workload.name, DECISIONS, days, columns).rename({"event_time": "decision_time"})
