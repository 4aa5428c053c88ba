"""The scorecard: what a stretch of days came to, from the tables alone, as words for people or as data."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import click
import numpy as np
import polars as pl

from automation.calendar import Days
from automation.errors import WarrantError
from automation.evaluation import auc, calibration_error
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import store
from automation.options import DATE, WORKLOAD
from automation.quarantine import held
from automation.replay import Platform
from automation.versions import newest
from automation.workload import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from automation.ledger.store import Ledger
    from automation.policy.costs import Costs
    from automation.workload import Policy, Workload

THRESHOLDS = 60
AS_IT_WAS = "as it was"


class NothingDecidedError(WarrantError):
    """There is no decision on the days asked for."""


@dataclass(frozen=True)
class Baseline:
    """What another way of deciding would have cost, and what was saved against it, in dollars."""

    name: str
    cost: float
    saved: float


@dataclass(frozen=True)
class Month:
    """One month of outcomes."""

    month: str
    outcomes: int
    auc: float | None
    cost: float
    saved_against_doing_nothing: float


@dataclass(frozen=True)
class Retraining:
    """A way to retrain: dollars saved against doing nothing and AUC by month, the models it trained, and their cost.

    ``way`` is "as it was", or another that was compared with it (`warrant drift compare`).
    """

    way: str
    saved_by_month: dict[str, float]
    auc_by_month: dict[str, float | None]
    saved: float
    trainings: int
    cost: float


@dataclass(frozen=True)
class Scorecard:
    """What the days came to. Dollars are of decisions whose outcome is known; rates are of all decisions."""

    workload: str
    first: str
    last: str
    cases: int
    decisions_by_action: dict[str, int]
    automation_rate: float | None
    reviews_by_reason: dict[str, int]
    outcomes: int
    base_rate: float | None
    auc: float | None
    calibration_error: float | None
    cost: float
    baselines: tuple[Baseline, ...]
    months: tuple[Month, ...]
    quarantined_by_rule: dict[str, dict[str, int]]
    seconds_by_stage: dict[str, float]
    retraining: tuple[Retraining, ...] = ()
    # Ways to retrain that were compared on other days than these, or before all outcomes were there.
    not_compared: tuple[str, ...] = ()


def score(lake: Lakehouse, workload: Workload, days: Days, seconds_by_stage: dict[str, float]) -> Scorecard:
    """Computes the scorecard of ``days`` from the workload's tables."""
    from automation.policy.costs import costs

    spec = workload.spec
    decisions = _read(lake, workload, "decisions", days, ["case_key", "action", "status", "review_reasons"])
    wanted = [
        "case_key",
        "known_time",
        "label",
        "probability",
        "rule_value",
        "stake",
        "realised_cost",
        "foresight_cost",
        "decision_time",
    ]
    # Outcomes of the last days' decisions become known after them.
    found = _read(
        lake, workload, "outcomes", workload.calendar.within(Days(days.first, workload.calendar.days().last)), wanted
    )
    of_these = found.filter(pl.col("case_key").is_in(decisions["case_key"].implode()))
    outcomes = newest(of_these, "case_key").sort("decision_time", "case_key")
    label = outcomes["label"].cast(pl.Float64).to_numpy()
    realised = costs(label, outcomes["stake"].to_numpy(), spec.policy)
    cost = float(outcomes["realised_cost"].sum())
    judged = outcomes.drop_nulls("probability")
    probability = judged["probability"].to_numpy()
    judged_label = judged["label"].cast(pl.Int64).to_numpy()
    return Scorecard(
        workload=workload.name,
        first=str(days.first),
        last=str(days.last),
        cases=decisions.height,
        decisions_by_action={
            action.name: decisions.filter(pl.col("action") == action.name).height for action in spec.policy.actions
        },
        automation_rate=_known((decisions["status"] == "automated").mean()),
        reviews_by_reason=_reviews_by_reason(decisions["review_reasons"]),
        outcomes=outcomes.height,
        base_rate=_known(label.mean()) if len(label) else None,
        auc=_known(auc(probability, judged_label)) if judged.height else None,
        calibration_error=calibration_error(probability, judged_label) if judged.height else None,
        cost=cost,
        baselines=tuple(_baselines(realised, outcomes, spec.policy, spec.model.rule_fallback, cost)),
        months=tuple(_months(outcomes, realised, spec.policy, workload.calendar.timezone)),
        quarantined_by_rule=quarantined_by_rule(lake, workload, days),
        seconds_by_stage=seconds_by_stage,
    )


def best_fixed_rule(rule: np.ndarray, realised: Costs) -> float:
    """The least cost of any rule that chooses by thresholds on one value, the thresholds found in hindsight.

    Actions are taken in the policy's order as the value rises. Cases are put into groups by quantiles of the value;
    dynamic programming over groups and actions finds the cheapest cut.
    """
    if len(rule) == 0:
        return 0.0
    edges = np.unique(np.quantile(rule, np.linspace(0, 1, THRESHOLDS + 1)[1:-1]))
    group = np.searchsorted(edges, rule, side="right")
    by_group = np.zeros((len(edges) + 1, realised.values.shape[1]))
    np.add.at(by_group, group, realised.values)
    least = by_group[0].copy()
    for values in by_group[1:]:
        least = np.minimum.accumulate(least) + values
    return float(least.min())


def _reviews_by_reason(reasons: pl.Series) -> dict[str, int]:
    """Cases that went to a person, by why, the most frequent first. What a reason says of one case's dollars is left
    out, so that cases of one kind count as one."""
    every = reasons.str.json_decode(pl.List(pl.String)).explode(empty_as_null=False)
    kinds = every.str.replace_all(r"\$[\d,.]+", "$…").alias("reason").value_counts()
    return dict(kinds.sort(["count", "reason"], descending=[True, False]).iter_rows())


def quarantined_by_rule(lake: Lakehouse, workload: Workload, days: Days) -> dict[str, dict[str, int]]:
    """Rows in quarantine by table and rule. A row counts once for each rule it broke."""
    result: dict[str, dict[str, int]] = {}
    for table in workload.contracts:
        rows = held(lake, workload.name, table)
        if DAY in rows.columns:
            rows = rows.filter(pl.col(DAY).is_between(days.first, days.last))
        counted = rows["rules"].explode(empty_as_null=False).value_counts().sort("rules")
        if counted.height:
            result[table] = dict(counted.iter_rows())
    return result


def retraining(
    lake: Lakehouse, ledger: Ledger, workload: Workload, decided: Sequence[date], months: Sequence[Month]
) -> tuple[tuple[Retraining, ...], tuple[str, ...]]:
    """What was done about retraining on the days that were ``decided``, then each other way that was compared on all of
    these and their outcomes; and the names of those that were compared on fewer, other or more. Nothing of a workload
    that is not watched for drift."""
    from automation.drift import asking
    from automation.drift.worth.ways import months_of, read
    from automation.rollout.machine import Kind, rollout

    plan = workload.spec.drift
    if plan is None:
        return (), ()
    days, costs = Days(min(decided), max(decided)), plan.worth.costs
    found = rollout(ledger, workload.name)
    # The model that decided the first day is one, as it is of each other way.
    own = {each.version for each in found.changes if each.kind is Kind.REGISTERED and each.as_of in days}
    looked = [each for each in asking.askings(ledger, workload.name) if each.day in days]
    tried = sum(each.trained for each in looked)
    told = Retraining(
        AS_IT_WAS,
        {each.month: each.saved_against_doing_nothing for each in months},
        {each.month: each.auc for each in months},
        sum(each.saved_against_doing_nothing for each in months),
        len(own) + tried,
        len(own) * costs.of(1) + tried * costs.compute,
    )
    outcomes = {each.month: each.outcomes for each in months}
    asked = [(part.first, part.last, outcomes.get(f"{part.first:%Y-%m}", 0)) for part in months_of(decided)]
    ways, others, stale = read(lake, workload.name, days), [], []
    for way in dict.fromkeys(each.way for each in ways):
        came = [each for each in ways if each.way is way]
        if [(each.first, each.last, each.outcomes) for each in came] != asked:
            stale.append(way.value)
            continue
        named, trainings = {f"{each.first:%Y-%m}": each for each in came}, sum(each.trainings for each in came)
        others.append(
            Retraining(
                way.value,
                {month: named[month].saved for month in outcomes},
                {month: named[month].auc for month in outcomes},
                sum(each.saved for each in came),
                trainings,
                trainings * costs.of(1),
            )
        )
    return (told, *others), tuple(stale)


def seconds_by_stage(platform: Platform, workload: Workload, days: Days) -> dict[str, float]:
    """Seconds of the newest successful run of each day, by stage, from Dagster's event log."""
    import dagster as dg

    from automation.jobs import name

    stages = {
        key.to_python_identifier(): str(spec.tags["stage"])
        for key, spec in ((s.key, s) for s in platform.definitions.resolve_all_asset_specs())
        if spec.tags.get("workload") == workload.name
    }
    spent: dict[str, float] = defaultdict(float)
    seen: set[str] = set()
    runs = platform.instance.get_runs(
        dg.RunsFilter(job_name=name(workload.name, "daily"), statuses=[dg.DagsterRunStatus.SUCCESS])
    )
    for run in runs:
        partition = run.tags.get("dagster/partition")
        if partition is None or partition in seen or not days.keys[0] <= partition <= days.keys[-1]:
            continue
        seen.add(partition)
        for step in platform.instance.get_run_step_stats(run.run_id):
            if step.start_time and step.end_time and step.step_key in stages:
                spent[stages[step.step_key]] += step.end_time - step.start_time
    return {stage.value: round(spent[stage.value], 2) for stage in Stage if stage.value in spent}


def _read(lake: Lakehouse, workload: Workload, table: str, days: Days, columns: list[str]) -> pl.DataFrame:
    if lake.exists(workload.name, table):
        return lake.read(workload.name, table, days, columns)
    return pl.DataFrame(schema={name: workload.contract(table).schema[name] for name in columns})


def _baselines(realised: Costs, outcomes: pl.DataFrame, policy: Policy, fallback: float, cost: float):
    for column, action in enumerate(policy.actions):
        total = float(realised.values[:, column].sum())
        name = "doing nothing" if action.name == policy.safe_action else f"{action.name} for everybody"
        yield Baseline(name, total, total - cost)
    rule = best_fixed_rule(outcomes["rule_value"].fill_null(fallback).to_numpy(), realised)
    yield Baseline("the best fixed rule, chosen in hindsight", rule, rule - cost)
    foresight = float(outcomes["foresight_cost"].sum())
    yield Baseline("perfect foresight", foresight, foresight - cost)


def _months(outcomes: pl.DataFrame, realised: Costs, policy: Policy, timezone: str):
    safe = realised.actions.index(policy.safe_action)
    frame = outcomes.with_columns(
        month=pl.col("decision_time").dt.convert_time_zone(timezone).dt.to_string("%Y-%m"),
        nothing=pl.Series(realised.values[:, safe], dtype=pl.Float64),
    )
    for (month,), part in frame.group_by("month", maintain_order=True):
        judged = part.drop_nulls("probability")
        cost = float(part["realised_cost"].sum())
        yield Month(
            month=str(month),
            outcomes=part.height,
            auc=_known(auc(judged["probability"].to_numpy(), judged["label"].cast(pl.Int64).to_numpy()))
            if judged.height
            else None,
            cost=cost,
            saved_against_doing_nothing=float(part["nothing"].sum()) - cost,
        )


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def show(card: Scorecard, policy: Policy) -> None:
    """Prints the scorecard for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=120)

    def table(title: str, columns: list[str], rows: list[tuple[str, ...]]) -> None:
        made = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
        for number, column in enumerate(columns):
            made.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            made.add_row(*row)
        console.print()
        console.print(made)

    def figure(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    console.rule(f"[bold]{card.workload}[/]: {card.first} to {card.last}", align="left")
    console.print(
        f"{card.cases:,} cases decided, {figure(card.automation_rate, '.1%')} by the machine alone; "
        f"{card.outcomes:,} outcomes known, {figure(card.base_rate, '.1%')} bad."
    )
    console.print(f"AUC {figure(card.auc, '.3f')}, calibration error {figure(card.calibration_error, '.3f')}.")
    table(
        "Decisions",
        ["action", "cases", "share"],
        [(name, f"{n:,}", f"{n / max(1, card.cases):.1%}") for name, n in card.decisions_by_action.items()],
    )
    if card.reviews_by_reason:
        table(
            "Given to a person",
            ["because", "cases"],
            [(reason, f"{n:,}") for reason, n in card.reviews_by_reason.items()],
        )
    table(
        f"Dollars: the decisions cost ${card.cost:,.0f}",
        ["against", "its cost", "saved"],
        [(b.name, f"${b.cost:,.0f}", f"${b.saved:,.0f}") for b in card.baselines],
    )
    table(
        "By month",
        ["month", "outcomes", "AUC", "cost", "saved against doing nothing"],
        [
            (
                m.month,
                f"{m.outcomes:,}",
                figure(m.auc, ".3f"),
                f"${m.cost:,.0f}",
                f"${m.saved_against_doing_nothing:,.0f}",
            )
            for m in card.months
        ],
    )
    if len(card.retraining) > 1:
        table(
            "Ways to retrain: AUC, and saved against doing nothing",
            ["month", *(each.way for each in card.retraining)],
            [
                *(
                    (
                        month,
                        *(
                            f"{figure(each.auc_by_month[month], '.3f')}  ${each.saved_by_month[month]:,.0f}"
                            for each in card.retraining
                        ),
                    )
                    for month in card.retraining[0].saved_by_month
                ),
                ("in all", *(f"${each.saved:,.0f}" for each in card.retraining)),
                ("models trained", *(f"{each.trainings:,}" for each in card.retraining)),
                ("their cost", *(f"${each.cost:,.0f}" for each in card.retraining)),
            ],
        )
    if card.not_compared:
        ways = " ".join(f"--way {each}" for each in card.not_compared)
        console.print()
        console.print(
            f"Retrained {' or '.join(card.not_compared)} is not beside it: that was compared on other days, or before "
            f"all outcomes were there. Again: warrant drift compare --workload {card.workload} --again {ways}",
            style="dim",
        )
    table(
        "Quarantined rows",
        ["table: rule", "rows"],
        [(f"{name}: {rule}", f"{n:,}") for name, rules in card.quarantined_by_rule.items() for rule, n in rules.items()]
        or [("none", "0")],
    )
    table("Seconds by stage", ["stage", "seconds"], [(s, f"{t:,.1f}") for s, t in card.seconds_by_stage.items()])
    console.print()
    console.print("These dollars rest on assumptions:", style="dim")
    for assumption in policy.assumptions:
        console.print(f"  {assumption}", style="dim")


@click.command("scorecard")
@WORKLOAD
@click.option("--from", "first", type=DATE, help="First day; by default the first that was decided.")
@click.option("--to", "last", type=DATE, help="Last day; by default the last that was decided.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, first, last, as_json: bool) -> None:
    """Say what the decided days came to: cases, actions, quality, dollars, quarantine, time; and what other ways to
    retrain would have come to, where `warrant drift compare` was asked for all of their months.

    \b
    Examples:
      warrant scorecard --workload flight_disruption
      warrant scorecard --workload flight_disruption --from 2013-03-01 --to 2013-03-07 --json

    Exit code 0: the scorecard was printed. 1: nothing was decided on those days.
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    card = scorecard_of(platform, workload, first.date() if first else None, last.date() if last else None)
    if as_json:
        click.echo(json.dumps(asdict(card), indent=2, allow_nan=False))
    else:
        show(card, workload.spec.policy)


def scorecard_of(platform: Platform, workload: Workload, first=None, last=None) -> Scorecard:
    """The scorecard of the days from ``first`` to ``last``, or of all days that were decided.

    Raises:
        NothingDecidedError: there is no decision to score.
    """
    lake = Lakehouse(platform.settings.lakehouse)
    decided = sorted(lake.counts(workload.name, "decisions"))
    chosen = [day for day in decided if (first is None or day >= first) and (last is None or day <= last)]
    if not chosen:
        raise NothingDecidedError(
            f"No case of {workload.name} was decided on those days.",
            remedy=f"Replay some: warrant replay --workload {workload.name} --from … --to …",
        )
    days = Days(chosen[0], chosen[-1])
    card = score(lake, workload, days, seconds_by_stage(platform, workload, days))
    with store.opened(platform.settings) as ledger:
        told, stale = retraining(lake, ledger, workload, chosen, card.months)
    return replace(card, retraining=told, not_compared=stale)
