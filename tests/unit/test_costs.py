"""Choosing actions: the least expected cost within the limits, equal to what trying everything finds."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.policy.costs import Costs, choose, costs, decide, stakes
from automation.workload import Policy

ACTIONS = ("wait", "tell", "act")


def limited(*limits: tuple[str, int, str]) -> Policy:
    return Policy.model_validate(
        {
            "stake": {"unit": "units", "feature": "size", "factor": 1.0, "otherwise": 1.0},
            "harm": 1.0,
            "actions": [{"name": name, "cost": 0, "mitigates": 0, "says": name} for name in ACTIONS],
            "safe_action": "wait",
            "limits": [{"action": action, "at_most": most, "per": per} for action, most, per in limits],
            "assumptions": ["none"],
        }
    )


@st.composite
def situations(draw: st.DrawFn):
    cases = draw(st.integers(0, 8))
    values = draw(st.lists(st.tuples(*[st.integers(0, 4).map(float)] * len(ACTIONS)), min_size=cases, max_size=cases))
    groups = {
        per: np.array(draw(st.lists(st.sampled_from("xy"), min_size=cases, max_size=cases)), dtype=object)
        for per in ("place", "kind")
    }
    limits = draw(
        st.lists(
            st.tuples(st.sampled_from(ACTIONS[1:]), st.integers(0, 3), st.sampled_from(("place", "kind"))), max_size=3
        )
    )
    order = np.array(draw(st.permutations(range(cases))), dtype=np.int64)
    expected = Costs(ACTIONS, np.array(values, dtype=float).reshape(cases, len(ACTIONS)))
    return expected, limited(*limits), order, groups


def taken(chosen: np.ndarray, groups: dict[str, np.ndarray], policy: Policy) -> list[Counter]:
    return [
        Counter(groups[limit.per][case] for case in range(len(chosen)) if ACTIONS[chosen[case]] == limit.action)
        for limit in policy.limits
    ]


@given(situations())
def test_no_limit_is_ever_exceeded(situation) -> None:
    expected, policy, order, groups = situation
    chosen = choose(expected, policy, order, groups).chosen
    for limit, counted in zip(policy.limits, taken(chosen, groups, policy), strict=True):
        assert all(count <= limit.at_most for count in counted.values())


@given(situations())
def test_no_case_gets_a_costlier_action_than_one_still_to_be_had(situation) -> None:
    expected, policy, order, groups = situation
    chosen = choose(expected, policy, order, groups).chosen
    counts = taken(chosen, groups, policy)
    for case, column in enumerate(chosen):
        for other, action in enumerate(ACTIONS):
            full = any(
                limit.action == action and counted[groups[limit.per][case]] >= limit.at_most
                for limit, counted in zip(policy.limits, counts, strict=True)
            )
            if not full:
                assert expected.values[case, column] <= expected.values[case, other]


@given(situations())
def test_it_is_what_serving_the_cases_one_by_one_in_order_finds(situation) -> None:
    expected, policy, order, groups = situation
    used: Counter = Counter()
    served = np.zeros(len(order), dtype=np.int64)
    for case in order:
        free = [
            column
            for column, action in enumerate(ACTIONS)
            if all(
                used[number, groups[limit.per][case]] < limit.at_most
                for number, limit in enumerate(policy.limits)
                if limit.action == action
            )
        ]
        best = min(free, key=lambda column: (expected.values[case, column], column))
        served[case] = best
        for number, limit in enumerate(policy.limits):
            if limit.action == ACTIONS[best]:
                used[number, groups[limit.per][case]] += 1
    choice = choose(expected, policy, order, groups)
    assert choice.chosen.tolist() == served.tolist()
    assert choice.wanted.tolist() == np.argmin(expected.values, axis=1).tolist()


@given(st.floats(0, 1), st.floats(0.1, 500))
def test_expected_costs_are_price_and_the_harm_that_is_left(probability: float, stake: float) -> None:
    policy = _pilot_like()
    [row] = costs(np.array([probability]), np.array([stake]), policy).values
    for value, action in zip(row, policy.actions, strict=True):
        assert value == pytest.approx(stake * (action.cost + probability * 60.0 * (1 - action.mitigates)))


def _pilot_like() -> Policy:
    return Policy.model_validate(
        {
            "stake": {"unit": "passengers", "feature": "size", "factor": 0.5, "otherwise": 100},
            "harm": 60.0,
            "actions": [
                {"name": "wait", "cost": 0.0, "mitigates": 0.0, "says": "do nothing"},
                {"name": "tell", "cost": 1.0, "mitigates": 0.12, "says": "tell them"},
                {"name": "act", "cost": 12.0, "mitigates": 0.6, "says": "act for them"},
            ],
            "safe_action": "wait",
            "assumptions": ["none"],
        }
    )


# Telling pays from p * 60 * 0.12 = 1 on, acting instead of telling from p * 60 * (0.6 - 0.12) = 12 - 1 on.
TELL, ACT = 1 / 7.2, 11 / 28.8


@pytest.mark.parametrize(
    ("probability", "action"),
    [
        (0.0, "wait"),
        (TELL - 1e-9, "wait"),
        (TELL + 1e-9, "tell"),
        (ACT - 1e-9, "tell"),
        (ACT + 1e-9, "act"),
        (1.0, "act"),
    ],
)
def test_the_action_changes_where_it_begins_to_pay(probability: float, action: str) -> None:
    policy = _pilot_like()
    expected = costs(np.array([probability]), np.array([80.0]), policy)
    [chosen] = choose(expected, policy, np.array([0]), {}).chosen
    assert policy.actions[chosen].name == action


def test_equal_costs_go_to_the_action_declared_first() -> None:
    [chosen] = choose(Costs(ACTIONS, np.array([[2.0, 1.0, 1.0]])), limited(), np.array([0]), {}).chosen
    assert ACTIONS[chosen] == "tell"


def test_two_limits_on_one_action_do_not_count_a_case_that_the_other_turned_away() -> None:
    policy = limited(("act", 1, "place"), ("act", 1, "kind"))
    expected = Costs(ACTIONS, np.array([[9.0, 5.0, 0.0]] * 3))
    groups = {"place": np.array(["x", "x", "y"]), "kind": np.array(["1", "2", "2"])}
    chosen = choose(expected, policy, np.arange(3), groups).chosen
    assert [ACTIONS[column] for column in chosen] == ["act", "tell", "act"]


@pytest.mark.parametrize("size", [None, float("nan"), float("inf"), -float("inf"), 0.0, -3.0])
def test_a_stake_that_is_not_known_is_the_declared_assumption(size: float | None, policy: Policy) -> None:
    found = stakes(pl.DataFrame({"size": [size, 80.0]}, schema={"size": pl.Float64}), policy)
    assert found.tolist() == [50.0, 40.0]


def test_a_stake_without_its_column_is_the_declared_assumption(policy: Policy) -> None:
    assert stakes(pl.DataFrame({"other": [1.0, 2.0]}), policy).tolist() == [50.0, 50.0]


def test_costs_are_written_as_canonical_json() -> None:
    assert Costs(("b", "a"), np.array([[1.0, 2.5]])).as_json() == ['{"a":2.5,"b":1.0}']


def test_what_a_limit_denied_is_said(policy: Policy) -> None:
    decided = decide(
        pl.DataFrame(
            {
                "case_key": ["c", "a", "b"],
                "event_time": [1, 1, 1],
                "probability": [0.9, 0.9, 0.9],
                "problems": ["[]"] * 3,
            }
        ),
        pl.DataFrame({"size": [80.0] * 3}),
        pl.DataFrame({"x": [0.0] * 3}),
        pl.DataFrame({"place": ["P"] * 3}),
        {},
        policy,
    )
    # At one instant the keys decide who is served first.
    assert decided["action"].to_list() == ["tell", "act", "act"]
    assert "act for them would cost least, but its limit was reached" in json.loads(decided["reasons"][0])
    assert decided["status"].to_list() == ["automated"] * 3


def test_reasons_are_the_features_that_speak_most_for_the_action_in_words(policy: Policy) -> None:
    decided = decide(
        pl.DataFrame({"case_key": ["a"], "event_time": [1], "probability": [0.9], "problems": ["[]"]}),
        pl.DataFrame({"size": [80.0], "gust": [40.0], "delay": [25.0], "calm": [1.0]}),
        pl.DataFrame({"gust": [0.5], "delay": [1.5], "calm": [-2.0]}),
        pl.DataFrame({"place": ["P"]}),
        {"gust": "gusts of {value:.0f}", "delay": "{value:.0f} minutes late", "calm": "calm"},
        policy,
    )
    assert json.loads(decided["reasons"][0])[:2] == ["25 minutes late", "gusts of 40"]
    assert "expected to cost $1,344, to do nothing $2,160" in json.loads(decided["reasons"][0])[2]
