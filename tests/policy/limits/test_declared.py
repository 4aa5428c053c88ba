"""What a workload may declare as limits, and what is refused with the reason."""

import pytest
from pydantic import TypeAdapter, ValidationError

from automation.policy.limits.declared import AnyLimit, Budget, Every, Limit, contradictions

ANY = TypeAdapter(AnyLimit)
ACTIONS = ("proceed", "notify", "protect")


def test_a_limit_is_told_from_a_budget_by_what_it_says() -> None:
    assert ANY.validate_python({"action": "protect", "at_most": 60, "per": "origin"}) == Limit(
        action="protect", at_most=60, per="origin", every=Every.DAY
    )
    assert (
        ANY.validate_python({"action": "notify", "at_most": 20, "per": "origin", "every": "hour"}).every is Every.HOUR
    )
    assert ANY.validate_python({"dollars": 50_000, "every": "day", "actions": ["notify"]}).capacity == 5_000_000
    assert ANY.validate_python({"dollars": 0.07}).capacity == 7


@pytest.mark.parametrize(
    "declared",
    [
        {"action": "protect", "at_most": -1, "per": "origin"},
        {"action": "protect", "at_most": 1.5, "per": "origin"},
        {"action": "protect", "at_most": True, "per": "origin"},
        {"action": "protect", "at_most": "60", "per": "origin"},
        {"action": "protect", "at_most": 60},
        {"action": "protect", "at_most": 60, "per": "origin", "place": -1.0},
        {"dollars": 5, "place": 1.0},
        {"action": "protect", "at_most": 60, "per": "origin", "every": "week"},
        {"action": "protect", "at_most": 60, "per": "origin", "dollars": 5},
        {"dollars": 1.005},
        {"dollars": -1},
        {"dollars": float("nan")},
        {"dollars": float("inf")},
        {"dollars": 1e300},
        {"dollars": 5, "every": "hour"},
        {"dollars": 5, "actions": []},
        {},
    ],
)
def test_what_is_no_limit_is_refused(declared: dict) -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python(declared)


def test_contradictions_are_named() -> None:
    good = [
        Limit(action="protect", at_most=60, per="origin"),
        Limit(action="protect", at_most=9, per="origin", every=Every.HOUR),
        Budget(dollars=5),
        Budget(dollars=5, actions=("protect",)),
        Budget(dollars=5, per="origin"),
    ]
    assert list(contradictions(good, ACTIONS, "proceed")) == []
    bad = [
        Limit(action="fly", at_most=1, per="origin"),
        Budget(dollars=1, actions=("notify", "proceed")),
        Limit(action="protect", at_most=1, per="origin"),
        Limit(action="protect", at_most=2, per="origin"),
    ]
    assert list(contradictions(bad, ACTIONS, "proceed")) == [
        "limits names the action 'fly', which is none of proceed, notify, protect",
        "the safe action 'proceed' cannot be limited: every case must be able to get it",
        "two limits are of protect per origin every day",
    ]


def test_a_limit_keeps_its_past_when_it_is_raised() -> None:
    assert Limit(action="a", at_most=1, per="b").key == Limit(action="a", at_most=2, per="b").key
    assert Budget(dollars=1, actions=("a", "b")).key == Budget(dollars=2, actions=("b", "a")).key
    assert str(Budget(dollars=1234.5, actions=("a",), per="b")) == "at most $1,234.50 a day for a per b"
    assert str(Limit(action="hold", at_most=1, per="b", every=Every.HOUR)) == "at most 1 hold an hour per b"
