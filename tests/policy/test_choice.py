"""The choice is what its definition says, whatever others used; within limits, always; and one case can be replayed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.policy.choice import NONE, PERSON, Actions, Choice, Usual, choose
from automation.policy.limits.declared import AnyLimit, Budget, Every, Following, Limit
from automation.policy.limits.demand import Demand, Wanted, worth
from automation.policy.limits.use import WHOLE_DAY, Use

NAMES, SAFE = ("proceed", "notify", "protect"), "proceed"
POOL: list[AnyLimit] = [
    Limit(action="protect", at_most=2, per="origin"),
    Limit(action="protect", at_most=1, per="origin", every=Every.HOUR),
    Limit(action="notify", at_most=1, per="carrier", every=Every.HOUR),
    Limit(action="protect", at_most=0, per="carrier"),
    Budget(dollars=0.06),
    Budget(dollars=0.04, actions=("protect",), per="origin"),
    Limit(action="notify", at_most=2, per="carrier", place=1.0),
    Limit(action="notify", at_most=2, per="origin", place=Following(least=0.5, days=7)),
]
# A place is worth more than the least only where much is usual: so much that one of two is.
USUAL = {
    limit.wanted: Demand(7, {"EWR": Wanted((3,) * 24, 9_000), None: Wanted((0,) * 23 + (99,), 6_000)})
    for limit in POOL
    if isinstance(limit, Limit) and limit.follows
}


@dataclass
class Day:
    actions: Actions
    order: list[int]
    limits: list[AnyLimit]
    groups: dict[str, list]
    hours: list[int]
    used: dict[Use, int]
    minutes: list[int] = field(default_factory=list)

    def chosen(self, used: dict[Use, int] | None = None) -> Choice:
        used = self.used if used is None else used
        usual = Usual(USUAL, self.minutes)
        return choose(self.actions, self.order, self.limits, self.groups, self.hours, used, usual)

    def use(self, case: int, limit: AnyLimit) -> Use:
        group = None if limit.per is None else self.groups[limit.per][case]
        return Use(limit.key, group, WHOLE_DAY if limit.every is Every.DAY else str(self.hours[case]))

    def limited(self, column: int) -> list[AnyLimit]:
        return [
            limit
            for limit in self.limits
            if NAMES[column] != SAFE
            and (
                limit.action == NAMES[column] if isinstance(limit, Limit) else NAMES[column] in (limit.actions or NAMES)
            )
        ]

    def units(self, case: int, column: int, limit: AnyLimit) -> int:
        return 1 if isinstance(limit, Limit) else int(self.actions.prices[case, column])


def uses_of(draw, day: Day) -> dict[Use, int]:
    every = sorted({day.use(case, limit) for case in range(len(day.hours)) for limit in day.limits}, key=str)
    return {use: draw(st.integers(0, 3)) for use in every if draw(st.booleans())}


@st.composite
def days(draw) -> Day:
    count = draw(st.integers(1, 9))
    shape = (count, 3)

    def table(values, dtype) -> np.ndarray:
        cells = draw(st.lists(values, min_size=count * 3, max_size=count * 3))
        return np.array(cells, dtype=dtype).reshape(shape)

    costs = table(st.one_of(st.integers(0, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf])), float)
    actions = Actions(NAMES, SAFE, costs, table(st.integers(-1, 4), np.int64), table(st.booleans(), bool))
    column = st.lists(st.sampled_from(["EWR", "JFK", None]), min_size=count, max_size=count)
    day = Day(
        actions,
        draw(st.permutations(range(count)))[: draw(st.integers(0, count))],
        draw(st.lists(st.sampled_from(POOL), unique=True)),
        {"origin": draw(column), "carrier": draw(column)},
        draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)),
        {},
        draw(st.lists(st.integers(0, 24 * 60 - 1), min_size=count, max_size=count)),
    )
    day.used = uses_of(draw, day)
    return day


def wants(day: Day, case: int, limit: AnyLimit) -> bool:
    """Whether a case would save more than the least by an action that the limit counts, beside those it does not."""
    costs = day.actions.costs[case]
    usable = [column for column in range(3) if day.actions.usable[case, column]]
    within = [costs[column] for column in usable if limit in day.limited(column)]
    without = [costs[column] for column in usable if limit not in day.limited(column)]
    return bool(within and without) and min(without) - min(within) > limit.least


def place(day: Day, case: int, limit: AnyLimit, chosen: dict[int, int]) -> float:
    """What a place is worth when the turn of a case comes."""
    if not isinstance(limit, Limit) or not limit.follows:
        return limit.least
    use = day.use(case, limit)
    alike = [before for before in chosen if day.use(before, limit) == use]
    seen = day.used.get(Use(limit.wanted, use.group, use.window), 0) + sum(wants(day, at, limit) for at in alike)
    taken = day.used.get(use, 0) + sum(chosen[at] != PERSON and limit in day.limited(chosen[at]) for at in alike)
    return worth(limit.follows, USUAL[limit.wanted], use.group, day.minutes[case], seen, limit.at_most - taken)


def defined(day: Day) -> list[int]:
    """The definition, counted from the beginning for each case."""
    chosen: dict[int, int] = {}
    for case in day.order:
        worth_of = {limit.key: place(day, case, limit, chosen) for limit in day.limits}
        chosen[case] = PERSON
        fit = [
            (day.actions.costs[case, column] + sum(worth_of[each.key] for each in day.limited(column)), column)
            for column in range(3)
            if day.actions.open[case, column]
            and math.isfinite(day.actions.costs[case, column])
            and day.actions.prices[case, column] >= 0
            and all(
                day.used.get(day.use(case, limit), 0)
                + sum(
                    day.units(before, at, limit)
                    for before, at in chosen.items()
                    if at != PERSON and limit in day.limited(at) and day.use(before, limit) == day.use(case, limit)
                )
                + day.units(case, column, limit)
                <= limit.capacity
                for limit in day.limited(column)
            )
        ]
        if fit:
            chosen[case] = min(fit)[1]
    return [chosen.get(case, PERSON) for case in range(len(day.hours))]


def roomy(limit: AnyLimit) -> AnyLimit:
    wide = {"at_most": 10**6} if isinstance(limit, Limit) else {"dollars": 1e9}
    return limit.model_copy(update=wide)


def total(day: Day, choice: Choice) -> dict[Use, int]:
    every = {}
    for case, column in enumerate(choice.chosen):
        for limit in day.limited(column) if column != PERSON else ():
            use = day.use(case, limit)
            every[use] = every.get(use, 0) + day.units(case, int(column), limit)
    for limit in day.limits:
        if isinstance(limit, Limit) and limit.follows:
            for case in day.order:
                use = Use(limit.wanted, day.use(case, limit).group, WHOLE_DAY)
                every[use] = every.get(use, 0) + wants(day, case, limit)
    return {use: units for use, units in every.items() if units}


@given(days())
@settings(max_examples=200)
def test_the_choice_is_what_its_definition_says(day: Day) -> None:
    choice = day.chosen()
    assert choice.chosen.tolist() == defined(day)
    # With room for all, each case gets what it wants; what a place is worth is asked of it all the same, but where that
    # is the more, the fewer places are left.
    unlimited = replace(day, limits=[roomy(limit) for limit in day.limits], used={})
    assert unlimited.chosen().chosen.tolist() == defined(unlimited)
    if not any(limit.follows for limit in day.limits):
        assert choice.wanted.tolist() == unlimited.chosen().chosen.tolist()
    assert ((choice.held_back != NONE) == (choice.chosen != choice.wanted)).all()
    for case, number in enumerate(choice.held_back):
        if number != NONE:
            assert day.limits[number] in day.limited(choice.wanted[case])
    # Exactly what was chosen is used, and no limit is exceeded by it.
    assert choice.uses == total(day, choice)
    for limit in day.limits:
        for use, units in choice.uses.items():
            if use.limit == limit.key:
                assert units + day.used.get(use, 0) <= limit.capacity
    assert day.chosen().chosen.tolist() == choice.chosen.tolist()


@given(days())
def test_one_case_is_replayed_alone_from_what_was_used_at_its_turn(day: Day) -> None:
    choice = day.chosen()
    for case in day.order:
        one = slice(case, case + 1)
        alone = choose(
            Actions(NAMES, SAFE, day.actions.costs[one], day.actions.prices[one], day.actions.open[one]),
            [0],
            day.limits,
            {name: values[one] for name, values in day.groups.items()},
            day.hours[one],
            choice.turns[case],
            Usual(USUAL, day.minutes[one]),
        )
        assert (alone.chosen[0], alone.wanted[0], alone.held_back[0], alone.turns[0], alone.worth[0].tolist()) == (
            choice.chosen[case],
            choice.wanted[case],
            choice.held_back[case],
            choice.turns[case],
            choice.worth[case].tolist(),
        )


@given(days(), st.data())
def test_what_others_take_of_the_rest_changes_nothing_when_it_is_decided_again(day: Day, data) -> None:
    """So a day decided again beside later batches comes out as before, whichever snapshot it is given. Not where a
    place's worth follows what is left: then it is decided anew on the rest."""
    day.limits = [limit for limit in day.limits if not limit.follows]
    choice = day.chosen()
    later = dict(day.used)
    for limit in day.limits:
        for case in range(len(day.hours)):
            use = day.use(case, limit)
            rest = limit.capacity - day.used.get(use, 0) - choice.uses.get(use, 0)
            later[use] = day.used.get(use, 0) + data.draw(st.integers(0, max(0, rest)))
    again = day.chosen(later)
    assert again.chosen.tolist() == choice.chosen.tolist()
    assert again.uses == choice.uses


def one_case(**given_) -> Actions:
    parts = {"costs": [[3.0, 2.0, 1.0]], "prices": [[0, 1, 12]], "open": [[True] * 3], **given_}
    return Actions(NAMES, SAFE, np.array(parts["costs"], float), np.array(parts["prices"]), np.array(parts["open"]))


def test_a_case_that_is_left_no_action_is_a_persons() -> None:
    full = Use(POOL[0].key, "EWR", WHOLE_DAY)
    for actions, chosen, wanted in [
        (one_case(), 1, 2),
        (one_case(open=[[True, False, True]]), 0, 2),
        (one_case(open=[[False, False, True]]), PERSON, 2),
        (one_case(open=[[False, False, False]]), PERSON, PERSON),
        (one_case(open=[[False, True, True]]), 1, 2),
        (one_case(costs=[[math.nan, math.nan, 1.0]]), PERSON, 2),
        (one_case(prices=[[-1, -1, -1]]), PERSON, PERSON),
    ]:
        choice = choose(actions, [0], POOL[:1], {"origin": ["EWR"]}, None, {full: 2})
        assert (choice.chosen[0], choice.wanted[0]) == (chosen, wanted)
        assert choice.held_back[0] == (0 if wanted == 2 else NONE)
        assert choice.uses == {}


def test_a_budget_counts_dollars_and_the_safe_action_is_outside_it() -> None:
    count = 10
    actions = Actions(
        NAMES,
        SAFE,
        np.tile([3.0, 2.0, 1.0], (count, 1)),
        np.tile([700, 100, 1_200], (count, 1)),
        np.ones((count, 3), bool),
    )
    choice = choose(actions, range(count), [Budget(dollars=40)], {}, None, {})
    # 3 x 12 dollars, then 4 x 1 dollar, then nothing is left but the safe action, which costs 7 and is not counted.
    assert choice.chosen.tolist() == [2] * 3 + [1] * 4 + [0] * 3
    assert choice.uses == {Use("cents for all actions every day", None, WHOLE_DAY): 4_000}
    assert choice.turns_as_data()[3] == {"cents for all actions every day": [[None, {"day": 3_600}]]}


def test_a_place_goes_to_a_case_that_it_saves_more_than_it_is_worth_to_later_ones() -> None:
    saves = [1.0, 5.0, 1.5, 9.0, 7.0, 2.0]
    costs = np.array([[10.0, 9.5, 9.5 - each] for each in saves])
    actions = Actions(NAMES, SAFE, costs, np.ones((6, 3), int), np.ones((6, 3), bool))
    origin = {"origin": ["EWR"] * 6}
    first = Limit(action="protect", at_most=2, per="origin")
    assert choose(actions, range(6), [first], origin, None, {}).chosen.tolist() == [2, 2, 1, 1, 1, 1]
    worth = Limit(action="protect", at_most=2, per="origin", place=5.0)
    choice = choose(actions, range(6), [worth], origin, None, {})
    # The fifth of them saves what a place is worth and no more: it goes to the action named first.
    assert choice.chosen.tolist() == [1, 1, 1, 2, 2, 1]
    assert choice.wanted.tolist() == choice.chosen.tolist()
    assert (choice.held_back == NONE).all()


def test_an_hours_limit_begins_anew_with_the_hour() -> None:
    count = 12
    actions = Actions(
        NAMES, SAFE, np.tile([3.0, 2.0, 1.0], (count, 1)), np.ones((count, 3), int), np.ones((count, 3), bool)
    )
    hours, origin = [case // 4 for case in range(count)], ["EWR", "JFK"] * 6
    hourly = Limit(action="protect", at_most=1, per="origin", every=Every.HOUR)
    choice = choose(actions, range(count), [hourly], {"origin": origin}, hours, {Use(hourly.key, "JFK", "1"): 1})
    assert choice.chosen.tolist() == [2, 2, 1, 1, 2, 1, 1, 1, 2, 2, 1, 1]
    with pytest.raises(ValueError, match="needs the hour of each case"):
        choose(actions, range(count), [hourly], {"origin": origin}, None, {})


def test_what_is_not_given_as_it_must_be_is_refused() -> None:
    good = one_case()
    for wrong in (
        {"prices": good.prices.astype(float)},
        {"prices": good.open},
        {"open": good.prices},
        {"costs": good.costs[:, :2]},
        {"safe": "fly"},
        {"names": ("proceed", "notify", "notify")},
    ):
        with pytest.raises(ValueError, match=r"is of|must be one"):
            Actions(**{**vars(good), **wrong})
    with pytest.raises(ValueError, match="two turns"):
        choose(good, [0, 0], [], {}, None, {})
    with pytest.raises(ValueError, match="the same key"):
        choose(good, [0], [POOL[0], POOL[0]], {"origin": ["EWR"]}, None, {})
    with pytest.raises(KeyError, match="origin"):
        choose(good, [0], [POOL[0]], {}, None, {})


def test_a_days_thousand_cases_are_chosen_in_no_time() -> None:
    rng, count = np.random.default_rng(7), 1_000
    actions = Actions(
        NAMES, SAFE, rng.random((count, 3)), rng.integers(0, 300_000, (count, 3)), rng.random((count, 3)) < 0.9
    )
    groups = {name: rng.choice(["EWR", "JFK", "LGA"], count) for name in ("origin", "carrier")}
    took = []
    for _ in range(5):
        began = time.perf_counter()
        choose(actions, np.arange(count), POOL, groups, rng.integers(0, 24, count), {})
        took.append(time.perf_counter() - began)
    # The goal is 50 ms; a busy machine is given some more before it fails.
    assert min(took) < 0.15, took
