"""Decisions: the least costly action within the policy's limits, with its evidence; every case gets one."""

import json
from collections.abc import Sequence

import dagster as dg
import polars as pl

from assets.stages.declaration import days_before, declared, run_days
from assets.stages.scoring import SCORES
from automation import gates
from automation.boundary import publish
from automation.lakehouse import DAY
from automation.plots import bars, image
from automation.policy.costs import decide
from automation.resources import LakehouseResource
from automation.workload import Stage, Workload

DECISIONS = "decisions"
EVERY_CASE = gates.Gate("every_case_decided", "Each case of the day has exactly one decision, and no other has.")
POLICY = gates.Gate("policy_kept", "Every action is one the policy knows, and no limit is exceeded.")


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    contract = workload.contract(DECISIONS)
    vector = workload.contract(spec.model.contract)
    phrases = {column.name: column.reason for column in vector.columns if column.reason}
    evidence = json.dumps(
        {name: [found.version, found.digest] for name, found in sorted(workload.contracts.items())},
        separators=(",", ":"),
    )

    @gates.gated_asset(
        **declared(
            workload,
            Stage.DECISIONS,
            DECISIONS,
            kinds={"python", "polars", "deltalake"},
            description=f"{spec.description} Policy version {spec.policy.version[:12]}.",
            contract=contract,
            deps=[days_before(workload, SCORES, 0), days_before(workload, spec.cases.table, 0)],
            more_gates=[EVERY_CASE, POLICY],
            range_runs=False,
            metadata={"policy": dg.JsonMetadataValue(spec.policy.model_dump(mode="json"))},
        )
    )
    def decisions(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days, lake = run_days(context), lakehouse.open()
        scores = lake.read(workload.name, SCORES, days).sort("event_time", "case_key")
        cases = lake.read(workload.name, spec.cases.table, days)
        groups = (
            scores.select("case_key")
            .join(cases.rename({spec.case_key: "case_key"}), on="case_key", how="left", maintain_order="left")
            .drop("case_key")
        )
        features = _parsed(scores["features"], [column.name for column in vector.columns])
        contributions = _parsed(scores["contributions"], workload.model_features)
        chosen = decide(scores, features, contributions, groups, phrases, spec.policy)
        rows = (
            scores.hstack(chosen)
            .with_columns(
                rule_value=features[spec.model.rule_feature].cast(pl.Float64),
                feature_service=pl.lit(spec.features.service),
                contracts=pl.lit(evidence),
                policy_version=pl.lit(spec.policy.version),
            )
            .select(*contract.schema, DAY)
        )
        judgements = [
            _every_case(cases[spec.case_key], rows["case_key"], days.first.isoformat()),
            _policy_kept(workload, rows, groups, days.first.isoformat()),
        ]
        by_action = dict(rows["action"].value_counts().sort("action").iter_rows())
        automated = rows.filter(pl.col("status") == "automated").height
        yield from publish(
            context,
            lake,
            workload,
            DECISIONS,
            rows,
            days,
            more=judgements,
            metadata={
                "decisions by action": dg.JsonMetadataValue(by_action),
                "automation rate": automated / max(1, rows.height),
                "actions": image(bars(by_action, f"Decisions of {days.first}", "decisions")),
                "first decisions": _shown(rows),
            },
        )

    return [decisions]


def _parsed(column: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """Columns of numbers out of canonical JSON; null where a row has none, or has something else there."""
    numbers = pl.Struct(dict.fromkeys(names, pl.Float64))
    try:
        return column.str.json_decode(numbers).struct.unnest().select(names)
    except pl.exceptions.ComputeError:
        # Some row, one that broke its contract, has text where a number belongs: row by row, then.
        rows = [json.loads(text) if text else {} for text in column]
        values = [{name: row.get(name) for name in names} for row in rows]
        plain = [{name: _plain_number(v) for name, v in row.items()} for row in values]
        return pl.DataFrame(plain, schema=dict.fromkeys(names, pl.Float64))


def _plain_number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _every_case(cases: pl.Series, decided: pl.Series, partition: str) -> gates.Judgement:
    wanted, found = set(cases), set(decided)
    missing, extra, twice = wanted - found, found - wanted, decided.len() - len(found)
    return gates.Judgement(
        EVERY_CASE,
        passed=not missing and not extra and not twice,
        says=f"{len(wanted)} cases, {decided.len()} decisions: {len(missing)} missing, {len(extra)} of no case, "
        f"{twice} twice.",
        partition=partition,
        metadata={"cases": len(wanted), "decisions": decided.len()},
    )


def _policy_kept(workload: Workload, rows: pl.DataFrame, groups: pl.DataFrame, partition: str) -> gates.Judgement:
    policy = workload.spec.policy
    known = {action.name for action in policy.actions}
    problems = [f"unknown action {name}" for name in sorted(set(rows["action"]) - known)]
    for limit in policy.limits:
        counted = groups.filter(rows["action"] == limit.action)[limit.per].value_counts()
        problems += [
            f"{limit.action} for {count} cases of {limit.per} {value}, at most {limit.at_most} may"
            for value, count in counted.sort(limit.per).iter_rows()
            if count > limit.at_most
        ]
    return gates.Judgement(
        POLICY, passed=not problems, says="; ".join(problems) or "Every limit is kept.", partition=partition
    )


def _shown(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """A few decisions of each kind, in words."""
    names = ("case_key", "action", "status", "probability", "expected_cost", "reasons", "review_reasons")
    chosen = rows.group_by("action", "status", maintain_order=True).head(3).select(names)
    return dg.TableMetadataValue(
        records=[
            dg.TableRecord(
                {name: _sentence(row[name]) if name.endswith("reasons") else _plain(row[name]) for name in names}
            )
            for row in chosen.iter_rows(named=True)
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def _sentence(reasons: str) -> str:
    return "; ".join(json.loads(reasons))


def _plain(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
