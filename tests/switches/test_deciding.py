"""Whatever is switched off, a decision is never more permissive for it, and is made again alike."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.explanation.deciding import Turn
from automation.policy.bundle import PolicyBundle
from automation.policy.choice import PERSON
from automation.policy.deciding import AUTOMATED, REVIEW, Day, Weighed, decide, decided, each_alone
from automation.policy.evidence import phrases
from automation.policy.limits.use import WHOLE_DAY, Use, from_data
from automation.switches.switch import (
    ALL_ON,
    WORKLOAD,
    Off,
    Switch,
    SwitchedOff,
    SwitchesInvalidError,
    of_action,
    of_model,
)
from automation.switches.switch import (
    from_data as off_from_data,
)
from automation.workload import Workload
from tests.policy.made import NOON, Case, day, declared, small
from tests.policy.tables.made import Row
from tests.policy.test_deciding import ACT_PER_PLACE, KINDS, pilot_day

BY, WHY = "M. Okafor", "no seats are left"
SAYS = f"is switched off by {BY}: {WHY}"


def off(*switches: Switch) -> Off:
    return Off.of(SwitchedOff(switch, BY, WHY) for switch in switches)


def made(policy: PolicyBundle, switched: Off, *cases: Case) -> list[dict[str, Any]]:
    rows = decide(replace(day(*cases), off=switched), policy, {}, {})
    texts = ("review_reasons", "reasons", "rules", "limits_used")
    return [{**row, **{name: json.loads(row[name]) for name in texts}} for row in rows.iter_rows(named=True)]


# ---------------------------------------------------------------- an action


def test_a_case_whose_action_is_off_gets_the_least_costly_lesser_one_and_hears_why() -> None:
    [row] = made(small(declared()), off(of_action("act")), Case("a"))
    assert (row["action"], row["status"], row["review_reasons"]) == ("tell", AUTOMATED, [])
    assert row["reasons"][-1] == f"act for them would cost least, but {SAYS}"
    assert row["expected_cost"] == json.loads(row["expected_costs"])["tell"]
    [row] = made(small(declared()), off(of_action("act"), of_action("tell")), Case("a"))
    assert (row["action"], row["status"]) == ("wait", AUTOMATED)


def test_a_case_that_would_not_have_got_it_is_decided_as_ever() -> None:
    policy = small(declared(ACT_PER_PLACE))
    assert made(policy, off(of_action("act")), Case("a", 0.2)) == made(policy, ALL_ON, Case("a", 0.2))


def test_a_dearer_action_never_takes_the_place_of_one_that_is_off() -> None:
    # Here telling costs least, then acting, then waiting: closing alone would have the machine act.
    [row] = made(small(declared()), ALL_ON, Case("a", 0.36))
    costs = json.loads(row["expected_costs"])
    assert costs["tell"] < costs["act"] < costs["wait"]
    [row] = made(small(declared()), off(of_action("tell")), Case("a", 0.36))
    assert (row["action"], row["status"]) == ("wait", AUTOMATED)


def test_what_an_action_that_is_off_would_have_used_of_a_budget_goes_to_nobody_else() -> None:
    # $500: acting for the first ($480) leaves too little to tell the second ($40).
    policy = small(declared({"dollars": 500}))
    first, second = Case("a"), Case("b", at=NOON + timedelta(minutes=1))
    assert [row["action"] for row in made(policy, ALL_ON, first, second)] == ["act", "wait"]
    rows = made(policy, off(of_action("act")), first, second)
    # The place that it holds covers the lesser action.
    assert [row["action"] for row in rows] == ["tell", "wait"]
    assert rows[0]["limits_used"] == made(policy, ALL_ON, first, second)[0]["limits_used"]


def test_a_limit_that_a_case_holds_no_place_in_is_not_used_in_its_stead() -> None:
    policy = small(declared({"action": "tell", "at_most": 1, "per": "place"}))
    [row] = made(policy, off(of_action("act")), Case("a"))
    assert (row["action"], row["status"]) == ("wait", AUTOMATED)


def test_what_a_person_would_have_decided_a_person_decides_still() -> None:
    dear = Row("dear", "review", "dear", {"action": "'act'", "price": "> 400"})
    [row] = made(small(declared(), dear), off(of_action("act")), Case("a"))
    assert (row["action"], row["status"], row["review_reasons"]) == ("wait", REVIEW, ["dear"])
    # By the authorization: more than $10,000.
    [row] = made(small(declared()), off(of_action("act")), Case("a", size=200_000.0))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert "nothing_dear" in row["review_reasons"][0]


def test_the_lesser_action_is_authorized_itself() -> None:
    no_telling = """
    @id("acts") permit (principal, action in [Action::"act", Action::"wait"], resource);
    """
    [row] = made(small(declared(), cedar=no_telling), off(of_action("act")), Case("a"))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert row["review_reasons"] == ["Automation 'toy' may not tell Cases 'toy': no policy permits it."]
    assert row["rules"]["authorization"] == []


def test_a_case_to_which_nothing_lesser_is_open_is_a_persons() -> None:
    only_acting = Row("only-acting", "forbid", "not today", {"action": "in ['wait', 'tell']"})
    [row] = made(small(declared(), only_acting), off(of_action("act")), Case("a"))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert row["review_reasons"][0] == "no action is left to it"


def test_the_safe_action_and_what_the_policy_does_not_know_cannot_be_off() -> None:
    policy = small(declared())
    switched = off(of_action("wait"), of_action("sing"), of_model(4))
    assert made(policy, switched, Case("a", model_version=-1)) == made(policy, ALL_ON, Case("a", model_version=-1))
    assert made(policy, switched, Case("a"), Case("b", 0.0)) == made(policy, ALL_ON, Case("a"), Case("b", 0.0))


# ---------------------------------------------------------------- a workload and a model


def test_of_a_workload_that_is_off_a_person_decides_every_case() -> None:
    rows = made(small(declared()), off(WORKLOAD), Case("a"), Case("b", 0.0), Case("c", math.nan))
    assert {(row["action"], row["status"]) for row in rows} == {("wait", REVIEW)}
    assert [row["review_reasons"] for row in rows] == [
        [f"toy {SAYS}"],
        [f"toy {SAYS}"],
        ["not scored: no usable score", f"toy {SAYS}"],
    ]


def test_of_a_model_version_that_is_off_a_person_decides_the_cases_it_scored() -> None:
    rows = made(small(declared()), off(of_model(3)), Case("a"), Case("b", model_version=4), Case("c", 0.0))
    assert [(row["action"], row["status"]) for row in rows] == [("wait", REVIEW), ("act", AUTOMATED), ("wait", REVIEW)]
    assert rows[0]["review_reasons"] == [f"model version 3 {SAYS}"]


def test_the_cases_of_a_model_that_is_off_hold_their_places_in_the_limits() -> None:
    policy = small(declared({**ACT_PER_PLACE, "at_most": 1}))
    rows = made(policy, off(of_model(3)), Case("a"), Case("b", model_version=4))
    assert [(row["action"], row["status"]) for row in rows] == [("wait", REVIEW), ("tell", AUTOMATED)]


# ---------------------------------------------------------------- in an explanation


def test_an_explanation_names_the_switches_that_had_a_say_and_decides_what_if_by_them() -> None:
    switched = off(of_action("act"), of_model(3))
    weighed = Weighed(replace(day(Case("a"), Case("b", None)), off=switched), small(declared()))
    first, second = (Turn.of(weighed, weighed.choose({}), {}, row) for row in range(2))
    said = [applied.says for applied in first.applied() if applied.rule == "switch"]
    assert said == [f"act for them would cost least, but {SAYS}", f"model version 3 {SAYS}"]
    assert [applied.rule for applied in second.applied()] == ["fail closed", "switch"]
    made_again = first.redecide(pl.DataFrame({"size": [80.0]}), np.array([0.1]))
    assert made_again.select("action", "status").rows() == [("wait", REVIEW)]


# ---------------------------------------------------------------- laws 2 and 7

SWITCHES = [WORKLOAD, *map(of_action, ("wait", "tell", "act", "sing")), *map(of_model, (3, 4))]
ROWS = [
    Row("dear", "review", "${price:,.0f} is much", {"action": "'act'", "price": "> 500"}),
    Row("small", "forbid", "{price} is little", {"action": "'act'", "price": "< 250"}),
    Row("likely", "forbid", "{probability} is much", {"action": "'tell'", "probability": "> 0.8"}),
]
LIMITS = [
    ACT_PER_PLACE,
    {"action": "tell", "at_most": 1, "per": "place", "every": "hour"},
    {"dollars": 1200.5},
    {"dollars": 500, "actions": ["act"]},
    {"dollars": 100, "actions": ["tell"], "per": "place"},
]
# All of it together would leave most cases to a person: so there are some of each, and none.
POLICIES = [
    small(declared()),
    small(declared(*LIMITS[:2]), ROWS[0]),
    small(declared(LIMITS[2]), ROWS[1]),
    small(declared(LIMITS[0], *LIMITS[3:]), ROWS[2]),
    small(declared(*LIMITS), *ROWS),
]


@st.composite
def days_with_switches(draw: st.DrawFn) -> tuple[Day, PolicyBundle, dict[Use, int]]:
    cases = [
        Case(
            f"{number}",
            draw(st.sampled_from([0.0, 0.2, 0.36, 0.5, 0.9, None])),
            draw(st.sampled_from(["P", "Q"])),
            draw(st.sampled_from([None, 40.0, 80.0, 120.0, 200_000.0])),
            at=NOON + timedelta(minutes=20 * draw(st.integers(0, 5))),
            model_version=draw(st.sampled_from([3, 3, 4, None])),
        )
        for number in draw(st.permutations(range(draw(st.integers(1, 8)))))
    ]
    switched = off(*draw(st.sets(st.sampled_from(SWITCHES))))
    used = {Use("act per place every day", "P", WHOLE_DAY): draw(st.integers(0, 2))}
    policy = draw(st.sampled_from(POLICIES))
    return replace(day(*cases), off=switched), policy, used


def _permits(row: dict[str, Any]) -> int:
    """How much a machine does of its own accord: a case that a person decides is the least."""
    return KINDS[row["action"]] + 1 if row["status"] == AUTOMATED else 0


def _keeps_limits(weighed: Weighed, actions: list[str], automated: list[bool], used: dict[Use, int]) -> None:
    """Worked out anew: what the machine does of its own accord is within every limit."""
    taken, limits = Counter(used), weighed.declared.limits
    for row in (row for row, alone in enumerate(automated) if alone):
        price = int(weighed.actions.prices[row, weighed.names.index(actions[row])])
        for limit, use in zip(limits, weighed.uses[row], strict=True):
            if limit.limits(actions[row], "wait"):
                taken[use] += limit.units(price)
                assert taken[use] <= limit.capacity, (use, actions)


@given(days_with_switches())
@settings(max_examples=60, deadline=None)
def test_no_switch_makes_any_decision_more_permissive(given_: tuple) -> None:
    toys, policy, used = given_
    switched, plain = Weighed(toys, policy), Weighed(replace(toys, off=ALL_ON), policy)
    now, before = decided(switched, {}, used), decided(plain, {}, used)
    _keeps_limits(switched, now["action"].to_list(), (now["status"] == AUTOMATED).to_list(), used)
    for row, was, model in zip(
        now.iter_rows(named=True), before.iter_rows(named=True), toys.scores["model_version"], strict=True
    ):
        assert _permits(row) <= _permits(was), (toys.off, row, was)
        if row["status"] == AUTOMATED:
            assert not toys.off.workload
            assert model not in toys.off.models
            assert row["action"] == "wait" or row["action"] not in toys.off.actions
    assert switched.choose(used).uses == plain.choose(used).uses


@given(days_with_switches())
@settings(max_examples=20, deadline=None)
def test_a_case_alone_is_decided_as_in_its_day_whatever_is_off(given_: tuple) -> None:
    toys, policy, used = given_
    weighed = Weighed(toys, policy)
    together = decided(weighed, {}, used)
    turns = [from_data(json.loads(text)) for text in together["limits_used"]]
    assert each_alone(weighed, {}, turns).equals(together)
    for row in range(toys.scores.height):
        assert each_alone(Weighed(toys.alone(row), policy), {}, [turns[row]]).equals(together[row])


@pytest.mark.parametrize("name", ["notify", "protect"])
def test_the_pilot_never_does_more_for_an_action_that_is_off(
    pilots: PolicyBundle, workload: Workload, name: str
) -> None:
    few = pilots.declared.limits[0].model_copy(update={"at_most": 20})
    policy = replace(pilots, declared=pilots.declared.model_copy(update={"limits": (few,)}))
    flights = pilot_day(6, 300)
    before = decide(flights, policy, phrases(workload), {})
    now = decide(replace(flights, off=off(of_action(name))), policy, phrases(workload), {})
    assert name in before["action"].to_list()
    assert name not in now["action"].to_list()
    changed = 0
    for row, was in zip(now.iter_rows(named=True), before.iter_rows(named=True), strict=True):
        assert _permits(row) <= _permits(was)
        assert (row == was) == (SAYS not in row["reasons"])
        changed += row != was
    assert changed >= before.filter(action=name).height


def test_a_column_is_never_left_to_a_case_that_had_none() -> None:
    weighed = Weighed(replace(day(Case("a", None), Case("b")), off=off(of_action("act"))), small(declared()))
    assert weighed.left(weighed.choose({})).chosen.tolist() == [PERSON, 1]
    assert np.array_equal(weighed.choose({}).chosen, [PERSON, 2])


# ---------------------------------------------------------------- as evidence keeps it


@given(st.sets(st.sampled_from(SWITCHES)), st.text(min_size=1), st.text(min_size=1))
@settings(max_examples=30)
def test_what_is_off_is_read_back_as_it_was_written(switches: set[Switch], by: str, why: str) -> None:
    held = Off.of(SwitchedOff(switch, by, why) for switch in switches)
    assert off_from_data(json.loads(json.dumps(held.as_data()))) == held


@pytest.mark.parametrize(
    "said",
    [
        None,
        {"kind": "model"},
        ["model"],
        [{"kind": "feature", "name": "x", "by": "a", "why": "b"}],
        [{"kind": "model", "name": "seven", "by": "a", "why": "b"}],
        [{"kind": "model", "name": "07", "by": "a", "why": "b"}],
        [{"kind": "model", "name": 7, "by": "a", "why": "b"}],
        [{"kind": "action", "name": "", "by": "a", "why": "b"}],
        [{"kind": "workload", "name": "x", "by": "a", "why": "b"}],
        [{"kind": "workload", "name": "", "by": None, "why": "b"}],
        [{"kind": "workload", "name": "", "by": "a"}],
    ],
)
def test_what_does_not_say_what_is_off_is_refused(said: Any) -> None:
    with pytest.raises(SwitchesInvalidError):
        off_from_data(said)


def test_what_is_off_is_said_in_words() -> None:
    assert str(ALL_ON) == "nothing"
    assert str(off(of_action("act"), WORKLOAD, of_model(3))) == (
        f"the action act {SAYS}; model version 3 {SAYS}; the workload {SAYS}"
    )
