"""The seam to the policy: a case decided again at its turn gets what its day gave it, and the rules that applied."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from automation.explanation.bands import bands
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import Day, Weighed, decide, each_alone
from automation.policy.limits.declared import Following, Limit
from automation.policy.limits.demand import Demand, Wanted, worth
from automation.policy.limits.use import WHOLE_DAY, Use, as_data, from_data
from tests.explanation.conftest import acting, dear, policy_with, turns
from tests.policy.tables.made import Row

BUDGET = {"dollars": 90.0, "actions": ["tell", "act"]}
HOURLY = {"action": "tell", "at_most": 1, "per": "place", "every": "hour"}
FOLLOWED = Limit(**acting(4), place=Following(least=1.0, days=7))
ACT_HERE = Use("act per place every day", "here", WHOLE_DAY)
UNLIKELY = Row("unlikely", "forbid", "{probability:.0%} is too little", {"action": '"act"', "probability": "< 0.5"})
PROBABILITY = {"probability": {"type": "number", "minimum": 0, "maximum": 1}}


@pytest.fixture(scope="module")
def day(parcels: pl.DataFrame, day_of: Callable[[pl.DataFrame], Day]) -> Day:
    made = day_of(parcels[100:130])
    # One that was not scored stands among them: it uses up no limit.
    problems = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit('["delay: required"]')).otherwise("problems")
    # Five an hour usually want to be acted for here, and would save two dollars more than the least by it.
    usual = {FOLLOWED.wanted: Demand(10, {"here": Wanted((50,) * 24, 24 * 50 * 200)})}
    return replace(made, scores=made.scores.with_columns(problems=problems), usual=usual)


@pytest.mark.parametrize(
    "policy",
    [
        policy_with(limits=[acting(0)]),
        policy_with(limits=[acting(2)]),
        policy_with(dear(40.0), limits=[acting(1), BUDGET, HOURLY]),
        policy_with(dear(40.0), UNLIKELY, inputs=PROBABILITY, limits=[acting(3), BUDGET]),
        policy_with(dear(40.0), limits=[FOLLOWED.model_dump(), BUDGET]),
    ],
    ids=["none may be acted for", "two may", "budget and hours", "forbidden, too", "a place follows the day"],
)
@pytest.mark.parametrize("others", [0, 1])
def test_every_case_decided_again_at_its_turn_gets_what_the_day_gave_it(
    day: Day, policy: PolicyBundle, others: int
) -> None:
    used = {ACT_HERE: others, Use(FOLLOWED.wanted, "here", WHOLE_DAY): 2 * others}
    whole = decide(day, policy, {}, used)
    for row, turn in enumerate(turns(day, policy, used)):
        said = from_data(json.loads(whole["limits_used"][row]))
        assert said == {use: turn.used[use] for use in said}, "a row says less of the limits, and nothing else"
        if day.scored[row]:
            again = turn.redecide(turn.features, day.scores["probability"][row : row + 1].to_numpy())
            assert again.row(0) == whole.select("action", "status", "expected_costs").row(row), row


@pytest.mark.parametrize("others", [0, 1])
def test_each_alone_on_what_its_row_says_of_the_limits_is_the_day(day: Day, others: int) -> None:
    policy = policy_with(dear(40.0), limits=[acting(1), BUDGET, HOURLY])
    whole = decide(day, policy, {}, {ACT_HERE: others})
    said = [from_data(json.loads(text)) for text in whole["limits_used"]]
    assert each_alone(Weighed(day, policy), {}, said).equals(whole)
    for row in range(day.scores.height):
        assert each_alone(Weighed(day.alone(row), policy), {}, said[row : row + 1]).equals(whole[row])


def test_what_a_place_was_worth_when_a_case_asked_for_it_is_among_its_rules(day: Day) -> None:
    policy = policy_with(limits=[FOLLOWED.model_dump()])
    told, places = {}, FOLLOWED.at_most
    for turn in turns(day, policy):
        [says] = [rule.says for rule in turn.applied() if rule.rule == f"limit {FOLLOWED.key}"] or [""]
        here = turn.row % 2 == 1
        seen, left = turn.weighed.wanted_before(FOLLOWED, turn.row), places - turn.used[turn.weighed.uses[turn.row][0]]
        minute = 12 * 60 + 10 * turn.row
        price = worth(FOLLOWED.follows, day.usual[FOLLOWED.wanted], "here" if here else "there", minute, seen, left)
        # Where there is no place left, and where no score says what one would save, nothing was asked for one.
        assert (f"a place worth ${price:,.2f}" in says) == (left > 0 and bool(day.scored[turn.row])), turn.row
        if here and "a place worth" in says:
            told[turn.row] = price
    assert len(set(told.values())) > 2, "it follows the day"


@bounded(max_examples=40, deadline=None)
@given(row=st.integers(4, 29), probability=st.floats(0, 1), at_most=st.integers(0, 3))
def test_the_bands_of_a_case_say_what_the_policy_does_at_any_probability(day, row, probability, at_most) -> None:
    policy = policy_with(dear(60.0), UNLIKELY, inputs=PROBABILITY, limits=[acting(at_most)])
    turn = turns(day, policy)[row]
    found = bands(turn.features, turn.redecide, 100)
    edges = [band.high for band in found.bands[:-1]]
    if any(abs(probability - edge) < 1e-6 for edge in edges):
        return
    [(action, status)] = turn.redecide(turn.features, np.array([probability])).select("action", "status").iter_rows()
    own = found.bands[int(found.at(np.array([probability]))[0])]
    assert (own.outcome.action, own.outcome.status) == (action, status)
    assert own.low <= probability <= own.high
    assert [found.bands[0].low, *edges, found.bands[-1].high] == sorted({0.0, *edges, 1.0})


def test_the_limits_that_applied_are_those_of_the_case_s_turn(day: Day) -> None:
    policy = policy_with(limits=[acting(2), BUDGET])
    used = {ACT_HERE: 1, Use("cents for act, tell every day", None, WHOLE_DAY): 1234}
    whole, every = decide(day, policy, {}, used), turns(day, policy, used)
    limited = [row for row in range(day.scores.height) if "but its limit was reached" in whole["reasons"][row]]
    assert limited, "no case met the limit: the test says nothing"
    for row in limited:
        told = {rule.rule: rule.says for rule in every[row].applied()}["limit act per place every day"]
        assert re.search(r": 2 of \w+ used before this one, 0 left, so not to act for them$", told)
    told = {rule.rule: rule.says for rule in every[1].applied()}
    assert told["limit act per place every day"] == (
        "at most 2 act a day per place: 1 of here used before this one, 1 left"
    )
    spent = [row for row, action in enumerate(whole["action"][:5]) if action != "wait"]
    cents = 1234 + sum(
        round(100 * whole["stake"][row] * {"tell": 0.05, "act": 0.3}[whole["action"][row]]) for row in spent
    )
    assert spent, "nothing was spent: the test says nothing"
    told = {rule.rule: rule.says for rule in every[5].applied()}
    dollars, left = cents / 100, 90 - cents / 100
    assert told["limit cents for act, tell every day"].startswith(
        f"at most $90.00 a day for tell and act: ${dollars:,.2f} used before this one, ${left:,.2f} left"
    )


def test_the_rules_of_the_table_that_applied_are_those_of_the_chosen_and_of_cheaper_actions(day: Day) -> None:
    policy = policy_with(dear(40.0), UNLIKELY, inputs=PROBABILITY)
    rows, every = decide(day, policy, {}, {}), turns(day, policy)
    kinds = set()
    for row, turn in enumerate(every):
        if not day.scored[row]:
            continue
        matched = json.loads(rows["rules"][row])
        costs = json.loads(rows["expected_costs"][row])
        chosen = turn.weighed.names[int(turn.choice.chosen[row])]
        asked = [name for name in sorted(costs, key=costs.__getitem__) if costs[name] <= costs[chosen]]
        told = turn.applied()
        assert [rule.rule for rule in told] == [
            "least cost",
            *(rule for name in asked for rule in matched[name]),
            "authorization",
        ]
        assert told[-1].says == "Permitted by the_automation_acts (parcels are its own)"
        for rule in told:
            if rule.rule == "unlikely":
                assert rule.says == f"to act for them is forbidden: {day.scores['probability'][row]:.0%} is too little"
            if rule.rule == "dear" and rows["status"][row] == "review":
                assert "is for a person: $" in rule.says
        kinds |= {rule.rule for rule in told}
    assert kinds == {"least cost", "anything", "dear", "unlikely", "authorization"}, "a rule never applied"
    assert [rule.rule for rule in every[3].applied()] == ["fail closed"]


def test_where_no_action_is_left_every_action_s_rules_are_told_and_nobody_is_asked(day: Day) -> None:
    strike = [Row(f"no-{name}", "forbid", "nobody works", {"action": f"'{name}'"}) for name in ("wait", "tell", "act")]
    told = turns(day, policy_with(*strike))[0].applied()
    assert sorted(rule.rule for rule in told) == ["anything"] * 3 + ["least cost", "no-act", "no-tell", "no-wait"]
    assert {rule.says.partition(": ")[2] for rule in told[1:]} == {"nothing speaks against it", "nobody works"}


def test_an_automation_that_may_not_is_told_by_which_policy(day: Day) -> None:
    policy = policy_with(cedar='@id("hands_off") @says("not today") forbid (principal, action, resource);')
    said = turns(day, policy)[0].applied()[-1].says
    assert said.startswith("Automation 'parcels' may not ")
    assert "Forbidden by hands_off (not today)" in said


def test_the_policy_reads_the_stake_and_the_features_among_the_inputs_of_its_table(day: Day) -> None:
    assert turns(day, policy_with())[0].reads == {"size"}
    more = {"wet": {"type": "number"}, "place": {"type": "string"}, "hour": {"type": "integer"}}
    assert turns(day, policy_with(inputs=more))[0].reads == {"size", "wet"}


def test_uses_are_written_and_read_alike() -> None:
    uses = {ACT_HERE: 3, Use("cents for all actions every day", None, WHOLE_DAY): 12}
    assert from_data(as_data(uses)) == uses
