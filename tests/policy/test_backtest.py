"""A backtest's figures, worked out by hand: who is decided otherwise, by which rule, and what that is worth."""

from __future__ import annotations

import json
from datetime import date

import polars as pl
import pytest

from automation.lakehouse import DAY
from automation.policy.backtest import NO_RULE, compared, summed
from tests.policy.made import declared, small

FIRST, SECOND = date(2013, 3, 1), date(2013, 3, 2)
# Ten units at stake. Waiting costs $600 if it comes out badly; telling $10 and 88% of that; acting $120 and 40%.
BAD = {"wait": 600.0, "tell": 538.0, "act": 360.0}
GOOD = {"wait": 0.0, "tell": 10.0, "act": 120.0}


def rules(**by_action: list[str]) -> str:
    return json.dumps({"wait": ["anything"], "tell": [], "act": [], "authorization": ["x"], **by_action})


# Case, day, action and status that were, rules that matched; then what would be, and its rules; then the label.
CASES = [
    ("same", FIRST, "wait", "automated", rules(), "wait", "automated", rules(), False),
    ("saved", FIRST, "wait", "automated", rules(), "act", "automated", rules(act=["acts"]), True),
    ("lost", SECOND, "act", "automated", rules(act=["acted"]), "wait", "automated", rules(), True),
    ("needless", SECOND, "act", "automated", rules(act=["acted"]), "tell", "automated", rules(), False),
    ("reviewed", SECOND, "act", "automated", rules(act=["acts"]), "wait", "review", rules(act=["acts"]), False),
    ("unknown", SECOND, "tell", "automated", rules(), "act", "automated", rules(act=["acts"]), None),
]
SAVED = {
    "saved": BAD["wait"] - BAD["act"],
    "lost": BAD["act"] - BAD["wait"],
    "needless": GOOD["act"] - GOOD["tell"],
    "reviewed": GOOD["act"] - GOOD["wait"],
}


@pytest.fixture(scope="module")
def both() -> pl.DataFrame:
    policy = small(declared())
    names = ("case_key", DAY, "action", "status", "rules")
    rows = pl.DataFrame([case[:5] for case in CASES], schema=names, orient="row").with_columns(
        stake=pl.lit(10.0), policy_version=pl.lit(policy.version)
    )
    made = pl.DataFrame([case[5:8] for case in CASES], schema=("action", "status", "rules"), orient="row")
    known = [(case[0], case[8]) for case in CASES if case[8] is not None]
    labels = pl.DataFrame(known, schema=("case_key", "label"), orient="row")
    asked = []
    found = compared(rows, made, labels, lambda version: asked.append(version) or policy)
    assert asked == [policy.version]
    return found


def test_each_case_is_worth_what_its_two_actions_came_to(both: pl.DataFrame) -> None:
    worth = {name: (cost, would) for name, cost, would in both.select("case_key", "cost", "would_cost").iter_rows()}
    assert worth["saved"] == pytest.approx((BAD["wait"], BAD["act"]))
    assert worth["needless"] == pytest.approx((GOOD["act"], GOOD["tell"]))
    assert worth["reviewed"] == pytest.approx((GOOD["act"], GOOD["wait"]))
    assert worth["unknown"] == (None, None)


def test_the_sums_are_of_what_differs_and_is_known(both: pl.DataFrame) -> None:
    found = summed(small(declared()).version, [FIRST, SECOND], both)
    assert (found.cases, found.known, found.differences.height) == (6, 5, 5)
    assert (found.reviewed, found.would_be) == ((0, 1), {"act": 2, "tell": 1, "wait": 3})
    assert found.saved == pytest.approx(sum(SAVED.values()))
    assert found.saved_by_day == {
        FIRST: pytest.approx(SAVED["saved"]),
        SECOND: pytest.approx(SAVED["lost"] + SAVED["needless"] + SAVED["reviewed"]),
    }
    by_rule = {each.rule: (each.cases, each.known, each.saved) for each in found.by_rule}
    assert by_rule == {
        "acts": (2, 1, pytest.approx(SAVED["saved"])),
        "acted": (2, 2, pytest.approx(SAVED["lost"] + SAVED["needless"])),
        # The same rules matched: it was the costs, the limits or who may.
        NO_RULE: (1, 1, pytest.approx(SAVED["reviewed"])),
    }
    saved = dict(found.differences.select("case_key", "saved").iter_rows())
    assert saved == {**{name: pytest.approx(worth) for name, worth in SAVED.items()}, "unknown": None}
