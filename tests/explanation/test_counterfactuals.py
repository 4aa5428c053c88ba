"""Counterfactuals: what is found decides otherwise, nothing nearer does, and where nothing does it is said."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from automation.explanation.bands import bands
from automation.explanation.cells import options
from automation.explanation.counterfactual import Asked, Counterfactual, Target, counterfactuals
from automation.models import BoostedModel
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import Day, decide
from contracts.contract import Direction
from contracts.document import Contract
from tests.explanation.conftest import acting, dear, policy_with, turns
from tests.policy.tables.made import Row

CASES = 60
ACTIONS = ("wait", "tell", "act")


@pytest.fixture(scope="module")
def day(parcels: pl.DataFrame, day_of: Callable[[pl.DataFrame], Day]) -> Day:
    return day_of(parcels[:CASES])


@pytest.fixture
def unlikely(day: Day, model: BoostedModel, vector: Contract) -> Asked:
    """The least likely case of which every changeable feature is known and could move."""
    able = (day.features["wet"] < 0.9) & (day.features["queue"] > 8)
    row = min(able.arg_true(), key=lambda at: day.scores["probability"][at])
    return asked_of(day, row, policy_with(), model, vector)


def asked_of(day: Day, row: int, policy: PolicyBundle, model: BoostedModel, vector: Contract) -> Asked:
    turn, case = turns(day, policy)[row], day.features[row]
    around = bands(case, turn.redecide)
    return Asked(case, day.scores["probability"][row], model, turn.redecide, around, turn.reads, vector)


def search(
    asked: Asked, day: Day, seen: pl.DataFrame, targets: tuple[str | None, ...]
) -> dict[str | None, Counterfactual]:
    case = asked.case.row(0, named=True)
    possible = options(asked.vector, case, seen, asked.model, asked.reads)
    found = counterfactuals(asked, possible, [Target(name, str(name)) for name in targets])
    return dict(zip(targets, found, strict=True))


def multiples(asked: Asked, seen: pl.DataFrame) -> dict[str, list[tuple[float, float]]]:
    """Every value each feature may have had, with its distance: brute force, from the contract alone."""
    found = {}
    for column in asked.vector.columns:
        was = asked.case.row(0, named=True).get(column.name)
        if column.changeable is None or was is None:
            continue
        step, known = column.changeable.step, seen[column.name].drop_nulls().append(pl.Series([was]))
        spread = (known - known.median()).abs().median() or (known - known.median()).abs().mean()
        values = np.arange(np.floor(known.min() / step), np.ceil(known.max() / step) + 1) * step
        values = values[(values >= known.min()) & (values <= known.max()) & (values != was)].round(9)
        if column.changeable.direction is not Direction.EITHER:
            values = values[values > was if column.changeable.direction is Direction.UP else values < was]
        found[column.name] = [(float(v), abs(float(v) - was) / spread) for v in values]
    return found


def decided(asked: Asked, changes: list[dict[str, float]]) -> list[tuple[str, str]]:
    rows = pl.concat(
        [asked.case.with_columns(*(pl.lit(v).alias(k) for k, v in each.items())) for each in changes]
    ).select(asked.case.columns)
    probability = asked.model.predict(rows)
    return list(asked.redecide(rows, probability).select("action", "status").iter_rows())


@pytest.mark.parametrize("row", range(0, CASES, 6))
def test_a_single_change_decides_otherwise_and_nothing_nearer_does(
    row: int, day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    asked = asked_of(day, row, policy_with(limits=[acting(2)]), model, vector)
    [now] = decided(asked, [{}])
    every = [
        (distance, {name: value}) for name, values in multiples(asked, parcels).items() for value, distance in values
    ]
    outcomes = decided(asked, [change for _, change in every])
    found = search(asked, day, parcels, tuple(action for action in ACTIONS if action != now[0]))
    for action, told in found.items():
        reach = [d for (d, _), outcome in zip(every, outcomes, strict=True) if outcome == (action, "automated")]
        if len(told.changes) == 1:
            [change] = told.changes
            assert decided(asked, [{change.feature: change.would_be}]) == [(action, "automated")]
            assert told.distance == pytest.approx(min(reach))
        else:
            assert not reach, "a single change is preferred to none or to a pair"


def test_where_no_single_change_does_the_nearest_pair_is_found(
    day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    """Brute force over all pairs of multiples, for cases of which no single change reaches the action."""
    pairs = 0
    for row in range(36, 48):
        asked = asked_of(day, row, policy_with(), model, vector)
        [now] = decided(asked, [{}])
        for action, told in search(asked, day, parcels[:40], tuple(a for a in ACTIONS if a != now[0])).items():
            if len(told.changes) != 2:
                continue
            pairs += 1
            each = multiples(asked, parcels[:40])
            nearer = [
                {a: u, b: v}
                for a, b in itertools.combinations(each, 2)
                for (u, one), (v, other) in itertools.product(each[a], each[b])
                if one + other < (told.distance or 0) - 1e-6
            ]
            changes = {change.feature: change.would_be for change in told.changes}
            assert decided(asked, [changes]) == [(action, "automated")]
            if nearer:
                assert (action, "automated") not in decided(asked, nearer)
    assert pairs, "no case needed a pair: the test says nothing"


def test_the_same_question_has_the_same_answer(
    day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    asked = asked_of(day, 5, policy_with(limits=[acting(2)]), model, vector)
    first = search(asked, day, parcels, ("wait", "tell", "act"))
    assert first == search(asked, day, parcels.sample(fraction=1.0, shuffle=True, seed=3), ("wait", "tell", "act"))


def test_what_a_limit_closes_no_change_opens_and_that_is_said(
    day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    asked = asked_of(day, CASES - 1, policy_with(limits=[acting(0)]), model, vector)
    told = search(asked, day, parcels, ("act",))["act"]
    assert not told.changes
    assert "whatever its probability" in told.says
    assert "wait (automated)" in told.says


def test_where_nothing_in_reach_decides_otherwise_it_is_said_how_far_was_looked(
    day: Day, unlikely: Asked, parcels: pl.DataFrame
) -> None:
    around = parcels.with_columns(delay=pl.col("delay").clip(-1, 1), wet=pl.lit(0.0))
    told = search(unlikely, day, around, ("act",))["act"]
    assert (told.changes, told.distance, told.probability) == ((), None, None)
    assert told.says.startswith("no single change within what was seen of other cases, and none of the ")
    assert "spreads away" in told.says


def test_where_the_contract_lets_nothing_change_that_is_said(
    unlikely: Asked, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    act = Target("act", "act")
    [told] = counterfactuals(unlikely, [], [act])
    assert told.says.startswith("nothing of it could have been otherwise")
    possible = options(vector, unlikely.case.row(0, named=True), parcels, model)
    [told] = counterfactuals(unlikely, [option for option in possible if option.feature == "queue"], [act])
    assert told.says.endswith("and there are no pairs")


def test_of_a_case_that_a_person_decides_it_is_found_when_the_machine_would(
    day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    policy = policy_with(dear(20.0))
    whole = decide(day, policy, {}, {})
    row = int(np.flatnonzero((whole["status"] == "review").to_numpy())[0])
    asked = asked_of(day, row, policy, model, vector)
    told = search(asked, day, parcels, (None,))[None]
    assert told.changes
    assert decided(asked, [{c.feature: c.would_be for c in told.changes}])[0] == (told.action, "automated")


def test_a_feature_that_the_table_reads_is_asked_of_the_table(
    day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    """A rule on the delay alone, which no probability shows: over 15.5 minutes, a person decides."""
    late = Row("late", "review", "{delay:.0f} minutes", {"delay": "> 15.5"})
    policy = policy_with(late, inputs={"delay": {"type": "number", "minimum": -20, "maximum": 60}})
    row = int(np.argmax(day.features["delay"].to_numpy() > 15.5))
    asked = asked_of(day, row, policy, model, vector)
    assert asked.reads == {"delay", "size"}
    assert day.features["delay"][row] > 15.5
    assert decided(asked, [{}])[0][1] == "review"
    told = search(asked, day, parcels, (None,))[None]
    [change] = told.changes
    assert (change.feature, change.would_be) == ("delay", 15.0)
    assert decided(asked, [{"delay": 15.0}]) == [(told.action, "automated")]
    assert decided(asked, [{"delay": 16.0}])[0][1] == "review"


def test_what_the_table_or_the_authorization_forbids_no_change_allows(
    day: Day, model: BoostedModel, vector: Contract, parcels: pl.DataFrame
) -> None:
    never = Row("never", "forbid", "nobody acts", {"action": '"act"'})
    for policy, instead in (
        (policy_with(never), {"wait (automated)", "tell (automated)"}),
        (
            policy_with(cedar='@id("no_act") forbid (principal, action == Action::"act", resource);'),
            {"wait (automated)", "tell (automated)", "wait (review)"},
        ),
    ):
        told = search(asked_of(day, 7, policy, model, vector), day, parcels, ("act",))["act"]
        assert (told.changes, told.action) == ((), None)
        assert told.says.startswith("whatever its probability, from 0 to 1, the policy would not have done so: ")
        assert set(told.says.partition("so: ")[2].split(", ")) == instead
