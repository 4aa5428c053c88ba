"""What a candidate policy would have decided: the same cases, with what was known of them then, at what it came to.

Each day is decided again from the evidence in its decisions (probability, features, contributions), in order, under the
candidate's rules, authorization and limits. What others used of the limits and what was switched off count as they did
then. Cases that both policies decide alike are not looked at further. Dollars are realised ones, of cases whose outcome
is known, by the costs of the policy that decided: what a candidate says that things cost is no evidence of what they
do.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.calendar import Days
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.policy.costs import costs
from automation.policy.deciding import decided
from automation.policy.evidence import DECISIONS, PastDemand, as_decided, phrases, weighed_again
from automation.policy.tables.answers import NO_RULE as NO_RULE_MATCHED
from automation.versions import newest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from automation.lakehouse import Lakehouse
    from automation.ledger.store import Ledger
    from automation.policy.bundle import PolicyBundle
    from automation.policy.evidence import Stood
    from automation.workload import Workload

OUTCOMES = "outcomes"
# In place of a rule: the same rules matched, and costs or limits made the difference.
NO_RULE = "costs, limits or authorization"
DIFFERENCE = {
    "case_key": pl.String,
    DAY: pl.Date,
    "was": pl.String,
    "was_status": pl.String,
    "would_be": pl.String,
    "would_be_status": pl.String,
    "rules": pl.List(pl.String),
    "saved": pl.Float64,
}


class NothingDecidedError(WarrantError):
    """There is no decision on the days asked for."""


@dataclass(frozen=True)
class ByRule:
    """The cases that are decided otherwise where this rule matched under one policy and not under the other.

    ``saved``: dollars that the candidate would have saved, of those whose outcome is known; a case counts with each
    of its rules.
    """

    rule: str
    cases: int
    known: int
    saved: float


@dataclass(frozen=True, eq=False)
class Backtest:
    """What a candidate would have changed. ``differences``: a row of `DIFFERENCE` for each case decided otherwise."""

    candidate: str
    first: date
    last: date
    cases: int
    known: int
    decided: Mapping[str, int]
    would_be: Mapping[str, int]
    reviewed: tuple[int, int]
    cost: float
    would_cost: float
    by_rule: tuple[ByRule, ...]
    saved_by_day: Mapping[date, float]
    differences: pl.DataFrame

    @property
    def saved(self) -> float:
        return self.cost - self.would_cost

    def as_json(self) -> dict:
        """The figures, without the single cases."""
        return {
            "candidate": self.candidate,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "cases": self.cases,
            "outcomes_known": self.known,
            "decided_otherwise": self.differences.height,
            "decided": dict(self.decided),
            "would_be": dict(self.would_be),
            "reviewed": self.reviewed[0],
            "would_be_reviewed": self.reviewed[1],
            "cost": self.cost,
            "would_cost": self.would_cost,
            "saved": self.saved,
            "by_rule": [asdict(each) for each in self.by_rule],
        }


def backtest(
    lake: Lakehouse,
    ledger: Ledger,
    workload: Workload,
    candidate: PolicyBundle,
    days: Days,
    policy_of: Callable[[str], PolicyBundle],
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Backtest:
    """Decides ``days`` again under ``candidate``. ``policy_of`` gives the policy of a version that a row names.

    Raises:
        NothingDecidedError: no day of these was decided.
    """
    held = sorted(day for day in lake.counts(workload.name, DECISIONS, days) if day is not None)
    if not held:
        raise NothingDecidedError(
            f"No case of {workload.name} was decided from {days.first} to {days.last}.",
            remedy="Choose days that were: `warrant scorecard` shows them.",
        )
    after = workload.calendar.within(Days(days.first, workload.calendar.days().last))
    labels = newest(lake.read(workload.name, OUTCOMES, after, ["case_key", "known_time", "label"]), "case_key")
    parts, demand = [], PastDemand(lake, ledger, workload, candidate)
    for number, day in enumerate(held, start=1):
        rows = lake.read(workload.name, DECISIONS, Days.one(day)).sort("event_time", "case_key")
        stood = as_decided(ledger, workload.name, day)
        made = redecided(lake, workload, candidate, rows, replace(stood, usual=demand.usual(day)))
        parts.append(compared(rows, made, labels, policy_of))
        progress(number, len(held))
    return summed(candidate.version, held, pl.concat(parts))


def redecided(
    lake: Lakehouse, workload: Workload, policy: PolicyBundle, rows: pl.DataFrame, stood: Stood
) -> pl.DataFrame:
    """A day's decisions made again under a policy, row by row. ``rows``: the day's decisions, in order; things stand as
    they ``stood`` when it was decided.
    """
    return decided(weighed_again(lake, workload, policy, rows, stood), phrases(workload), stood.used)


def compared(
    rows: pl.DataFrame, made: pl.DataFrame, labels: pl.DataFrame, policy_of: Callable[[str], PolicyBundle]
) -> pl.DataFrame:
    """What was decided beside what would be: `DIFFERENCE`'s columns, cost and would_cost, and whether they differ."""
    both = rows.select("case_key", DAY, "action", "status", "rules", "stake", "policy_version").with_columns(
        would_be=made["action"], would_be_status=made["status"], would_be_rules=made["rules"]
    )
    both = both.join(labels.select("case_key", "label"), on="case_key", how="left", maintain_order="left")
    both = both.with_columns(
        differs=(pl.col("action") != pl.col("would_be")) | (pl.col("status") != pl.col("would_be_status"))
    )
    was, would = (np.full(both.height, np.nan) for _ in range(2))
    known = both["label"].is_not_null().to_numpy()
    for (version,), part in (
        both.with_row_index("row").filter(known).partition_by("policy_version", as_dict=True).items()
    ):
        declared = policy_of(str(version)).declared
        realised = costs(part["label"].cast(pl.Float64).to_numpy(), part["stake"].to_numpy(), declared)
        at = part["row"].to_numpy()
        for costs_of, column in ((was, "action"), (would, "would_be")):
            index = {name: number for number, name in enumerate(realised.actions)}
            costs_of[at] = [
                realised.values[row, index[name]] if name in index else np.nan for row, name in enumerate(part[column])
            ]
    return both.with_columns(
        cost=pl.Series(was).fill_nan(None),
        would_cost=pl.Series(would).fill_nan(None),
        changed=pl.Series(
            [
                _changed(was_rules, would_rules, {was, would_be}) if differs else []
                for differs, was_rules, would_rules, was, would_be in both.select(
                    "differs", "rules", "would_be_rules", "action", "would_be"
                ).iter_rows()
            ],
            dtype=pl.List(pl.String),
        ),
    )


def _changed(was: str, would_be: str, actions: set[str]) -> list[str]:
    """The rules that matched under one policy and not under the other: those of the two actions, or else any."""
    before, after = json.loads(was), json.loads(would_be)

    def rules(of: dict[str, list[str]], names: set[str]) -> set[str]:
        return {rule for name in names for rule in of.get(name, [])}

    everything = {*before, *after} - {"authorization"}
    for names in (actions, everything):
        unlike = rules(before, names) ^ rules(after, names)
        # That no rule matched is said by the rules that then did not.
        if named := sorted(rule for rule in unlike if rule != NO_RULE_MATCHED) or sorted(unlike):
            return named
    return [NO_RULE]


def summed(candidate: str, days: Sequence[date], both: pl.DataFrame) -> Backtest:
    known = both.filter(pl.col("cost").is_not_null() & pl.col("would_cost").is_not_null())
    unlike = both.filter("differs").with_columns(saved=pl.col("cost") - pl.col("would_cost"))
    counted = (
        unlike.explode("changed")
        .group_by("changed")
        .agg(pl.len().alias("cases"), pl.col("saved").count().alias("known"), pl.col("saved").sum().alias("saved"))
        .sort(pl.col("saved").abs(), "changed", descending=[True, False])
    )
    by_day = known.group_by(DAY).agg((pl.col("cost") - pl.col("would_cost")).sum().alias("saved")).sort(DAY)
    return Backtest(
        candidate=candidate,
        first=days[0],
        last=days[-1],
        cases=both.height,
        known=known.height,
        decided=_counts(both["action"]),
        would_be=_counts(both["would_be"]),
        reviewed=(int((both["status"] == "review").sum()), int((both["would_be_status"] == "review").sum())),
        cost=float(known["cost"].sum()),
        would_cost=float(known["would_cost"].sum()),
        by_rule=tuple(ByRule(*row) for row in counted.iter_rows()),
        saved_by_day=dict.fromkeys(days, 0.0) | dict(by_day.iter_rows()),
        differences=unlike.select(
            "case_key",
            DAY,
            pl.col("action").alias("was"),
            pl.col("status").alias("was_status"),
            "would_be",
            "would_be_status",
            pl.col("changed").alias("rules"),
            "saved",
        ).cast(DIFFERENCE),  # pyrefly: ignore[bad-argument-type]
    )


def _counts(actions: pl.Series) -> dict[str, int]:
    return dict(sorted(Counter(actions.to_list()).items()))


def plot(found: Backtest) -> str:
    """Dollars that the candidate would have saved, summed up day by day, as SVG."""
    from automation.plots import lines

    days = sorted(found.saved_by_day)
    total = np.cumsum([found.saved_by_day[day] for day in days]).tolist()
    return lines(days, {"saved": total}, f"What {found.candidate[:12]} would have saved, summed up", "dollars")
