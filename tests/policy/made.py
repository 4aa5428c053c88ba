"""Small policies and days, for tests: whether to wait, to tell people or to act for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from automation.policy.authorization.documents import Documents
from automation.policy.authorization.requests import ModelStage
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import Day
from automation.workload import Policy
from tests.policy.tables.made import Row, text

NAME = "toy"
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
ACTIONS = ("wait", "tell", "act")
INPUTS: dict[str, dict[str, Any]] = {
    "action": {"type": "string", "enum": list(ACTIONS)},
    "probability": {"type": "number", "minimum": 0, "maximum": 1},
    "price": {"type": "number", "minimum": 0},
    "hour": {"type": "integer", "minimum": 0, "maximum": 23},
}
ANYTHING = Row("anything", "allow", "{action} at {probability} for {price} at {hour}", {})

CEDAR = """
@id("the_automation_acts")
permit (principal == Automation::"toy", action, resource == Cases::"toy");

@id("nothing_dear")
@says("a person spends more than $10,000")
forbid (principal, action, resource) when { context.price_cents > 1000000 };
"""
SCHEMA = """
entity ModelStage enum ["champion", "canary", "challenger", "none"];
entity Automation { stage: ModelStage, model_version: Long };
entity Cases;
action wait, tell, act appliesTo { principal: Automation, resource: Cases, context: { price_cents: Long } };
"""
ENTITIES = """[
  {"uid": {"type": "Automation", "id": "WORKLOAD"},
   "attrs": {"stage": {"__entity": {"type": "ModelStage", "id": "none"}}, "model_version": 0}, "parents": []},
  {"uid": {"type": "Cases", "id": "WORKLOAD"}, "attrs": {}, "parents": []}
]"""


def documents(workload: str, cedar: str) -> Documents:
    """Who may do what in a made-up workload, by these policies: to wait, to tell or to act."""
    return Documents(cedar, SCHEMA, ENTITIES.replace("WORKLOAD", workload))


def declared(*limits: dict[str, Any]) -> Policy:
    """Telling costs $1 a unit and spares 12% of a harm of $60; acting, $12 and 60%. Half of a size is at stake."""
    return Policy.model_validate(
        {
            "stake": {"unit": "units", "feature": "size", "factor": 0.5, "otherwise": 100},
            "harm": 60.0,
            "actions": [
                {"name": "wait", "cost": 0.0, "mitigates": 0.0, "says": "do nothing"},
                {"name": "tell", "cost": 1.0, "mitigates": 0.12, "says": "tell them"},
                {"name": "act", "cost": 12.0, "mitigates": 0.6, "says": "act for them"},
            ],
            "safe_action": "wait",
            "limits": list(limits),
            "assumptions": ["None of this is real."],
        }
    )


def small(policy: Policy, *rows: Row, cedar: str = CEDAR) -> PolicyBundle:
    """A policy that allows whatever no row of its table, and no Cedar policy, speaks against."""
    return PolicyBundle(policy, text(ANYTHING, *rows, inputs=INPUTS), documents("toy", cedar))


@dataclass
class Case:
    """A case of the toy; ``size`` 80 puts 40 units at stake."""

    key: str
    probability: Any = 0.9
    place: str | None = "P"
    size: float | None = 80.0
    problems: str | None = "[]"
    at: datetime | None = NOON
    model_version: int | None = 3
    features: dict[str, float | None] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)


def day(*cases: Case, timezone: str = "UTC", stage: ModelStage = ModelStage.CHAMPION) -> Day:
    scores = pl.DataFrame(
        {
            "case_key": [case.key for case in cases],
            "event_time": pl.Series([case.at for case in cases], dtype=pl.Datetime("us", "UTC")),
            "probability": pl.Series([case.probability for case in cases], dtype=pl.Float64),
            "problems": pl.Series([case.problems for case in cases], dtype=pl.String),
            "model_version": pl.Series([case.model_version for case in cases], dtype=pl.Int64),
        }
    )
    size = pl.Series("size", [case.size for case in cases], dtype=pl.Float64)
    return Day(
        NAME,
        scores,
        pl.DataFrame([case.features for case in cases]).with_columns(size) if cases[0].features else size.to_frame(),
        pl.DataFrame([case.shares for case in cases]) if cases[0].shares else pl.DataFrame(height=len(cases)),
        pl.DataFrame({"place": pl.Series([case.place for case in cases], dtype=pl.String)}),
        timezone,
        stage,
    )
