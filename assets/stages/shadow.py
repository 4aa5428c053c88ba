"""Shadow decisions: what a candidate policy would have decided of the day's cases. Nothing comes of them."""

from dataclasses import replace
from datetime import date

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared, run_days
from automation import gates
from automation.lakehouse import DAY
from automation.ledger import store
from automation.plots import bars, image
from automation.policy import activation
from automation.policy.backtest import NO_RULE, compared, redecided
from automation.policy.deciding import MADE
from automation.policy.evidence import PastDemand, as_decided
from automation.resources import LakehouseResource
from automation.settings import settings
from automation.workload import Stage, Workload

SHADOW_DECISIONS = "shadow_decisions"
SCHEMA = {"case_key": pl.String, **MADE, "policy_version": pl.String, "differs": pl.Boolean, DAY: pl.Date}
SHOWN = 20


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec

    @gates.gated_asset(
        **declared(
            workload,
            Stage.DECISIONS,
            SHADOW_DECISIONS,
            kinds={"python", "polars", "deltalake"},
            description="What the policy that shadows would have decided, where one does (`warrant policy shadow`).",
            deps=[days_before(workload, DECISIONS, 0), days_before(workload, spec.cases.table, 0)],
            range_runs=False,
        )
    )
    def shadow_decisions(context: dg.AssetExecutionContext, lakehouse: LakehouseResource) -> dg.MaterializeResult:
        days, lake, chosen = run_days(context), lakehouse.open(), settings()
        day: date = days.first
        with store.opened(chosen) as ledger:
            candidate = activation.shadow_of(chosen, ledger, workload.name, day)
            stood = as_decided(ledger, workload.name, day)
            if candidate is not None:
                stood = replace(stood, usual=PastDemand(lake, ledger, workload, candidate).usual(day))
        if candidate is None:
            if lake.exists(workload.name, SHADOW_DECISIONS):
                lake.replace_days(workload.name, SHADOW_DECISIONS, pl.DataFrame(schema=SCHEMA), days)
            return dg.MaterializeResult(metadata={"dagster/row_count": 0, "shadow": "none"})
        rows = lake.read(workload.name, DECISIONS, days).sort("event_time", "case_key")
        made = redecided(lake, workload, candidate, rows, stood)
        none_known = pl.DataFrame(schema={"case_key": pl.String, "label": pl.Boolean})
        both = compared(rows, made, none_known, lambda version: activation.kept(chosen, version))
        found = pl.concat(
            [both.select("case_key", "differs", DAY), made.with_columns(policy_version=pl.lit(candidate.version))],
            how="horizontal",
        ).select(*SCHEMA)
        lake.replace_days(workload.name, SHADOW_DECISIONS, found, days)
        unlike = both.filter("differs")
        by_rule = dict(unlike.explode("changed")["changed"].value_counts().sort("changed").iter_rows())
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": found.height,
                "shadow": candidate.version,
                "decided otherwise": unlike.height,
                "by rule": image(bars(by_rule or {NO_RULE: 0}, f"Decided otherwise on {day}", "cases")),
                "first differences": _table(unlike.head(SHOWN)),
            }
        )

    return [shadow_decisions]


def _table(unlike: pl.DataFrame) -> dg.TableMetadataValue:
    names = ("case_key", "action", "status", "would_be", "would_be_status")
    return dg.TableMetadataValue(
        records=[
            dg.TableRecord({**{name: row[name] for name in names}, "rules": ", ".join(row["changed"])})
            for row in unlike.iter_rows(named=True)
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in (*names, "rules")]),
    )
