"""What a place is worth follows the day: more where more are to come than are left, never less than the least."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.policy.choice import Actions, Usual, choose, demand_of
from automation.policy.limits.declared import Budget, Every, Following, Limit
from automation.policy.limits.demand import (
    FEWEST_DAYS,
    MOST_DOLLARS,
    Demand,
    DemandInvalidError,
    DemandTooWideError,
    Wanted,
    as_data,
    from_data,
    longest,
    said,
    usual,
    worth,
)

PLACE = Following(least=200.0, days=28)
LIMIT = Limit(action="protect", at_most=4, per="origin", place=PLACE)
NOON, EVENING = 12 * 60, 20 * 60


def wanted(beyond: float = 100.0, **by_hour: int) -> Wanted:
    """So many cases by hour (``h8=3``), each of which would save so many dollars beyond the least."""
    counts = [by_hour.get(f"h{hour}", 0) for hour in range(24)]
    return Wanted(tuple(counts), round(sum(counts) * beyond * 100))


def days_alike(demand: Wanted, days: int = 10) -> Demand:
    found = Demand(1, {"EWR": demand})
    for _ in range(days - 1):
        found = found + Demand(1, {"EWR": demand})
    return found


AFTERNOON = days_alike(wanted(h8=2, h15=8))


def at(minute: int, seen: int, left: int, demand: Demand | None = AFTERNOON, group: str | None = "EWR") -> float:
    return worth(PLACE, demand, group, minute, seen, left)


def test_a_place_is_worth_what_as_many_as_are_left_would_save_by_it() -> None:
    # Two of the usual ten came by noon, as usual: eight are to come for four places. Half of them save more than the
    # median of an exponential of mean 100: 100 * ln 2.
    assert at(NOON, seen=2, left=4) == pytest.approx(200 + 100 * np.log(2), abs=0.01)
    # Twice as many as usual, of four that the prior and the usual count as: 8 * (2 + 6) / (2 + 2).
    assert at(NOON, seen=6, left=4) == pytest.approx(200 + 100 * np.log(16 / 4), abs=0.01)
    # Of those of the hour, as many are still to come as there is left of it.
    assert at(15 * 60 + 45, seen=8, left=1) == pytest.approx(200 + 100 * np.log(2 * 10 / 10), abs=0.01)


@pytest.mark.parametrize(
    ("why", "price"),
    [
        ("fewer come than are left", at(NOON, 2, 8)),
        ("nothing comes after", at(EVENING, 30, 1)),
        ("nothing is known", at(NOON, 2, 1, None)),
        ("less than a week is known", at(NOON, 2, 1, days_alike(wanted(h15=8), FEWEST_DAYS - 1))),
        ("the group wants none", at(NOON, 2, 1, group="JFK")),
        ("none is left", at(NOON, 2, 0)),
    ],
)
def test_a_place_is_worth_the_least_where(why: str, price: float) -> None:
    assert price == 200.0, why


hours = st.lists(st.integers(0, 50), min_size=24, max_size=24).map(tuple)


@given(hours, st.integers(0, 10**6), st.integers(7, 60), st.integers(0, 1439), st.integers(0, 99), st.integers(1, 99))
def test_it_never_falls_where_fewer_are_left_or_more_were_seen(
    by_hour: tuple[int, ...], beyond: int, days: int, minute: int, seen: int, left: int
) -> None:
    demand = Demand(days, {"EWR": Wanted(by_hour, beyond)})
    price = at(minute, seen, left, demand)
    assert price >= 200.0
    assert at(minute, seen, left + 1, demand) <= price <= at(minute, seen + 1, left, demand)


def test_places_are_kept_for_those_who_come_later_and_save_more() -> None:
    """A day with a storm: first come, first served gives the places to the first; their worth keeps them,
    and one place too many where it asks for more than comes."""
    saves = [250.0, 260.0, 240.0, 270.0, 255.0, 245.0, 800.0, 900.0, 850.0, 820.0]
    minutes = [8 * 60 + 5 * n for n in range(6)] + [15 * 60 + 10 * n for n in range(4)]
    costs = np.array([[0.0, 5.0, -saving] for saving in saves])
    actions = Actions(("wait", "tell", "act"), "wait", costs, np.ones((10, 3), int), np.ones((10, 3), bool))
    limit = Limit(action="act", at_most=4, per="origin", place=PLACE)
    origin = {"origin": ["EWR"] * 10}
    fixed = limit.model_copy(update={"place": 200.0})
    assert choose(actions, range(10), [fixed], origin, None, {}).chosen.tolist() == [2] * 4 + [0] * 6
    demands = {limit.wanted: days_alike(wanted(600.0, h8=2, h15=8))}
    choice = choose(actions, range(10), [limit], origin, None, {}, Usual(demands, minutes))
    assert choice.chosen.tolist() == [0] * 7 + [2] * 3
    assert (choice.worth[:, 0] >= 200.0).all()
    # Without what is usual it is as if the least were all that it is worth.
    assert choose(actions, range(10), [limit], origin, None, {}).chosen.tolist() == [2] * 4 + [0] * 6
    # What is wanted is told by the hour, in whole cents beyond the least, whoever got a place.
    [(name, found)] = demand_of(actions, range(10), [limit], origin, minutes).items()
    assert (name, found.days) == (limit.wanted, 1)
    assert found.of("EWR").by_hour[8] == 6
    assert found.of("EWR").by_hour[15] == 4
    assert found.of("EWR").beyond == round(sum(saves) - 10 * 200) * 100


def test_what_is_usual_is_of_the_days_before_that_the_limit_learns_from() -> None:
    day = date(2013, 5, 1)
    demands = {day + timedelta(days=n): {LIMIT.wanted: Demand(1, {"EWR": wanted(h8=1)})} for n in range(-40, 3)}
    del demands[day - timedelta(days=3)]
    demands[day - timedelta(days=4)] = {"of another least": Demand(1, {"EWR": wanted(h8=99)})}
    [(name, found)] = usual([LIMIT, Budget(dollars=1.0)], demands, day).items()
    assert (name, found.days, found.of("EWR").cases) == (LIMIT.wanted, 26, 26)
    assert usual([LIMIT.model_copy(update={"place": 200.0})], demands, day) == {}
    assert (longest([LIMIT, Budget(dollars=1.0)]), longest([])) == (28, 0)


def test_a_day_on_which_nothing_was_served_is_no_day_that_wanted_nothing() -> None:
    actions = Actions(("wait", "act"), "wait", np.array([[0.0, -900.0]]), np.ones((1, 2), int), np.ones((1, 2), bool))
    origin = {"origin": ["EWR"]}
    limit = LIMIT.model_copy(update={"action": "act"})
    assert demand_of(actions, [], [limit], origin, [0]) == {}
    assert demand_of(actions, [0], [limit], origin, [0])[limit.wanted].of("EWR").cases == 1
    # A day without any case is one.
    none = Actions(("wait", "act"), "wait", np.zeros((0, 2)), np.zeros((0, 2), int), np.zeros((0, 2), bool))
    assert demand_of(none, [], [limit], {"origin": []}, []) == {limit.wanted: Demand()}


def test_what_is_absurdly_much_is_counted_as_much_as_can_be_said() -> None:
    costs = np.array([[0.0, -1e300], [0.0, -900.0]])
    actions = Actions(("wait", "act"), "wait", costs, np.ones((2, 2), int), np.ones((2, 2), bool))
    limit = LIMIT.model_copy(update={"action": "act"})
    found = demand_of(actions, [0, 1], [limit], {"origin": ["EWR"] * 2}, [0, 0])
    assert found[limit.wanted].of("EWR").beyond == round((MOST_DOLLARS + 700) * 100)
    assert from_data(as_data(found)) == found


def test_more_values_than_an_event_holds_are_refused_before_anything_is_decided() -> None:
    wide = {LIMIT.wanted: Demand(1, {f"N{n}": wanted(h8=2, h15=8) for n in range(2_000)})}
    assert said({}, {}) == {"demand": {}, "demand_usual": {}}
    with pytest.raises(DemandTooWideError, match=r"2,000 values; all demand has \d+,\d+ bytes") as raised:
        said({}, wide)
    assert "a column of fewer values" in raised.value.remedy


def test_demand_is_read_as_it_was_written() -> None:
    demands = {LIMIT.wanted: Demand(3, {"EWR": wanted(h8=2, h15=8), None: wanted(h0=1), "JFK": Wanted()})}
    told = json.loads(json.dumps(as_data(demands)))
    assert told == {LIMIT.wanted: [3, [[None, {"0": 1}, 10_000], ["EWR", {"8": 2, "15": 8}, 100_000]]]}
    assert as_data(from_data(told)) == told
    for wrong in (
        [],
        {"x": 1},
        {"x": [1, [["EWR", {"24": 1}, 0]]]},
        {"x": [1, [["EWR", {"8": -1}, 0]]]},
        {"x": [1.5, []]},
    ):
        with pytest.raises(DemandInvalidError, match="does not say how many"):
            from_data(wrong)


def test_a_place_that_follows_the_day_is_declared_so() -> None:
    limit = Limit.model_validate({"action": "act", "at_most": 3, "per": "origin", "place": {"least": 200, "days": 28}})
    assert (limit.least, limit.follows) == (200.0, Following(least=200.0, days=28))
    assert str(limit) == (
        "at most 3 act a day per origin, each where it saves more than $200.00 or than the day makes it worth"
    )
    with pytest.raises(ValueError, match="this one is by the hour"):
        Limit(action="act", at_most=3, per="origin", every=Every.HOUR, place=PLACE)
    for wrong in (True, {"least": True, "days": 28}, {"least": 1, "days": 28, "weight": True}):
        with pytest.raises(ValueError, match="true is no number; a place that follows the day says"):
            Limit.model_validate({"action": "act", "at_most": 3, "per": "origin", "place": wrong})
    for wrong in ({"least": -1, "days": 28}, {"least": 0.001, "days": 28}, {"least": 1, "days": 6}, {"days": 28}):
        with pytest.raises(ValueError, match=r"least|days|cents"):
            Limit.model_validate({"action": "act", "at_most": 3, "per": "origin", "place": wrong})
