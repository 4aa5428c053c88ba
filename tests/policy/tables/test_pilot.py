"""What the pilot's table says of the situations it was written for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import assets.flight_disruption
from automation.policy.tables.document import Kind, Verdict
from automation.policy.tables.judge import By, Table

FOLDER = Path(assets.flight_disruption.__path__[0])
CASE = {
    "action": "protect",
    "probability": 0.6,
    "price": 1095.6,
    "stake": 91.3,
    "saving": 876.48,
    "origin": "JFK",
    "hour": 17,
}


@pytest.fixture(scope="module")
def table() -> Table:
    return Table.load(FOLDER / "policy" / "decision_table.json")


def said(table: Table, **stated: Any) -> tuple[str, list[str], list[str]]:
    return table.judge(pl.DataFrame([CASE | stated])).row(0)


def test_it_is_compiled(table: Table) -> None:
    assert table.how.by is By.COMPILED


def test_it_knows_the_actions_of_the_workload(table: Table) -> None:
    policy = yaml.safe_load((FOLDER / "defs.yaml").read_text())["attributes"]["policy"]
    action = next(given for given in table.inputs if given.name == "action")
    assert action.kind is Kind.STRING
    assert list(action.values) == [stated["name"] for stated in policy["actions"]]


SITUATIONS = [
    ({"action": "proceed", "price": 0.0, "saving": 0.0}, Verdict.ALLOW, ["proceed"]),
    ({"action": "proceed", "price": 0.0, "saving": 0.0, "probability": 0.0, "hour": 23}, Verdict.ALLOW, ["proceed"]),
    ({"action": "notify", "saving": 0.01}, Verdict.ALLOW, ["notify-saves"]),
    ({"action": "notify", "saving": 0.0}, Verdict.FORBID, ["table:no-rule"]),
    ({"action": "notify", "saving": -5.0}, Verdict.FORBID, ["table:no-rule"]),
    ({}, Verdict.ALLOW, ["protect-saves"]),
    ({"saving": -1.0}, Verdict.FORBID, ["table:no-rule"]),
    ({"price": 3000.0}, Verdict.ALLOW, ["protect-saves"]),
    ({"price": 3000.01}, Verdict.REVIEW, ["protect-saves", "protect-dear"]),
    ({"probability": 0.05}, Verdict.ALLOW, ["protect-saves"]),
    ({"probability": 0.049999}, Verdict.FORBID, ["protect-saves", "protect-unlikely"]),
    ({"probability": 0.01, "price": 4000.0}, Verdict.FORBID, ["protect-saves", "protect-dear", "protect-unlikely"]),
    ({"hour": 20}, Verdict.REVIEW, ["protect-saves", "protect-late-evening"]),
    ({"hour": 19}, Verdict.ALLOW, ["protect-saves"]),
    ({"hour": 19, "origin": "LGA"}, Verdict.REVIEW, ["protect-saves", "protect-late-evening-lga"]),
    ({"hour": 24}, Verdict.REVIEW, ["input:hour"]),
    ({"action": "cancel"}, Verdict.REVIEW, ["input:action"]),
]


@pytest.mark.parametrize(("stated", "verdict", "rules"), SITUATIONS)
def test_what_it_says(table: Table, stated: dict[str, Any], verdict: Verdict, rules: list[str]) -> None:
    assert said(table, **stated)[:2] == (verdict, rules)


def test_its_reasons_are_words_about_the_case(table: Table) -> None:
    assert said(table, price=3285.6, hour=22)[2] == [
        "seats elsewhere for 91 passengers are expected to save $876",
        "seats elsewhere cost $3,286, more than the $3,000 a machine may spend",
        "at 22 o'clock few seats out of JFK are left that day: a person finds them",
    ]
    assert said(table, probability=0.0125)[2][1] == "a probability of 1.2% is too small to hold seats elsewhere for"
    assert said(table, action="notify", saving=-1.0)[2] == ["no rule of the table allows it"]
