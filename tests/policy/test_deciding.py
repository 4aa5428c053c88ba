"""What is decided is what the policy says: never more than the table, the authorization and the limits leave."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.policy.authorization.requests import ModelStage
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import (
    AUTOMATED,
    MADE,
    REVIEW,
    Day,
    Weighed,
    decide,
    decided,
    each_alone,
    outcomes_of,
    said_of,
)
from automation.policy.evidence import day_of, phrases
from automation.policy.limits.demand import Demand, Wanted
from automation.policy.limits.use import WHOLE_DAY, Use, from_data
from automation.switches.switch import ALL_ON, WORKLOAD, Off, Switch, SwitchedOff, of_action, of_model
from automation.workload import Workload
from tests.policy.made import NOON, Case, day, declared, small
from tests.policy.tables.made import Row

ACT_PER_PLACE = {"action": "act", "at_most": 2, "per": "place"}
KINDS = {"proceed": 0, "notify": 1, "protect": 2, "wait": 0, "tell": 1, "act": 2}


def made(policy: PolicyBundle, *cases: Case, used: dict[Use, int] | None = None, **given_: Any) -> list[dict[str, Any]]:
    """The decisions of some cases of the toy, with what is JSON in them read."""
    rows = decide(day(*cases, **given_), policy, {}, used or {})
    texts = ("review_reasons", "reasons", "rules", "limits_used")
    return [{**row, **{name: json.loads(row[name]) for name in texts}} for row in rows.iter_rows(named=True)]


def outcomes(policy: PolicyBundle, *cases: Case, **given_: Any) -> list[tuple[str, str]]:
    return [(row["action"], row["status"]) for row in made(policy, *cases, **given_)]


# ---------------------------------------------------------------- the least costly action

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
    [row] = made(small(declared()), Case("a", probability))
    assert (row["action"], row["status"], row["review_reasons"]) == (action, AUTOMATED, [])
    assert row["expected_cost"] == json.loads(row["expected_costs"])[action]
    assert row["stake"] == 40.0


# ---------------------------------------------------------------- the table


def test_what_the_table_forbids_is_never_chosen_and_the_reason_is_said() -> None:
    forbidden = Row("not-at-noon", "forbid", "nobody is there at {hour}", {"action": "'act'", "hour": "12"})
    [row] = made(small(declared(), forbidden), Case("a"))
    assert (row["action"], row["status"]) == ("tell", AUTOMATED)
    assert row["reasons"][-1] == "act for them would cost least, but is forbidden: nobody is there at 12"
    assert row["rules"] == {
        "act": ["anything", "not-at-noon"],
        "authorization": ["the_automation_acts"],
        "tell": ["anything"],
        "wait": ["anything"],
    }


def test_what_a_person_must_look_at_gets_the_safe_action_until_then_and_the_reason() -> None:
    dear = Row(
        "dear", "review", "${price:,.0f} is more than a machine may spend", {"action": "'act'", "price": "> 400"}
    )
    [row] = made(small(declared(), dear), Case("a"))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    # Of the rules that matched, those that allow it are no reason to ask a person.
    assert row["review_reasons"] == ["$480 is more than a machine may spend"]
    assert row["expected_cost"] == json.loads(row["expected_costs"])["wait"]


def test_a_case_to_which_no_action_is_open_is_a_persons_and_says_all_that_stands_against() -> None:
    never = Row("never", "forbid", "not today", {"probability": ">= 0"})
    [row] = made(small(declared(), never), Case("a"))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    said = row["review_reasons"]
    assert said[0] == "no action is left to it"
    assert {f"to {says}: not today" for says in ("do nothing", "tell them", "act for them")} <= set(said)
    assert row["rules"]["authorization"] == []


def test_a_safe_action_that_is_forbidden_does_not_come_back_as_the_rest_of_a_limit() -> None:
    forbidden = Row("not-wait", "forbid", "not to wait", {"action": "in ['wait', 'tell']"})
    policy = small(declared({**ACT_PER_PLACE, "at_most": 1}), forbidden)
    rows = made(policy, Case("a"), Case("b"))
    assert [(row["action"], row["status"]) for row in rows] == [("act", AUTOMATED), ("wait", REVIEW)]
    assert rows[1]["review_reasons"][0] == "no action is left to it"


# ---------------------------------------------------------------- the authorization


def test_what_the_automation_may_not_do_a_person_decides_and_hears_why() -> None:
    [row] = made(small(declared()), Case("a", size=200_000.0))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert row["review_reasons"] == [
        "Automation 'toy' may not act Cases 'toy'. Forbidden by nothing_dear (a person spends more than $10,000)."
    ]
    assert row["rules"]["authorization"] == ["nothing_dear"]


def test_what_no_policy_permits_is_denied() -> None:
    only_waiting = '@id("waits") permit (principal, action == Action::"wait", resource);'
    rows = made(small(declared(), cedar=only_waiting), Case("a"), Case("b", 0.0))
    assert [(row["action"], row["status"]) for row in rows] == [("wait", REVIEW), ("wait", AUTOMATED)]
    assert rows[0]["review_reasons"] == ["Automation 'toy' may not act Cases 'toy': no policy permits it."]
    assert rows[1]["rules"]["authorization"] == ["waits"]


def test_a_policy_that_fails_while_it_is_asked_denies() -> None:
    fails = """
    @id("all") permit (principal, action, resource);
    @id("far") forbid (principal, action, resource) when { context.price_cents * 9223372036854775807 > 0 };
    """
    [row] = made(small(declared(), cedar=fails), Case("a"))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert "a policy could not be evaluated" in row["review_reasons"][0]


def test_a_score_of_no_registered_model_and_a_challengers_are_none_to_act_on() -> None:
    champions = """
    @id("waits") permit (principal, action == Action::"wait", resource);
    @id("champion") permit (principal, action, resource)
    when { principal.stage == ModelStage::"champion" && principal.model_version > 0 };
    """
    policy = small(declared(), cedar=champions)
    assert outcomes(policy, Case("a"), Case("b", model_version=None)) == [("act", AUTOMATED), ("wait", REVIEW)]
    assert outcomes(policy, Case("a", model_version=0)) == [("wait", REVIEW)]
    assert outcomes(policy, Case("a"), stage=ModelStage.CHALLENGER) == [("wait", REVIEW)]
    [row] = decide(_without(day(Case("a")), "model_version"), policy, {}, {}).iter_rows(named=True)
    assert (row["action"], row["status"]) == ("wait", REVIEW)


def _without(of: Day, column: str) -> Day:
    return replace(of, scores=of.scores.drop(column))


# ---------------------------------------------------------------- limits


def test_a_limit_serves_the_earlier_first_and_at_one_instant_the_lesser_key() -> None:
    later = NOON + timedelta(minutes=1)
    rows = made(small(declared(ACT_PER_PLACE)), Case("c"), Case("a", at=later), Case("b"), Case("d", place="Q"))
    assert [row["action"] for row in rows] == ["act", "tell", "act", "act"]
    assert "act for them would cost least, but its limit was reached" in rows[1]["reasons"]
    assert [row["status"] for row in rows] == [AUTOMATED] * 4


def test_a_case_that_a_place_saves_less_than_it_is_worth_leaves_it_and_the_reason_says_so() -> None:
    [alone] = made(small(declared(ACT_PER_PLACE)), Case("a"))
    expected = json.loads(alone["expected_costs"])
    saves = expected["tell"] - expected["act"]
    for place, action in ((saves - 1, "act"), (saves + 1, "tell")):
        [row] = made(small(declared({**ACT_PER_PLACE, "place": round(place, 2)})), Case("a"))
        assert row["action"] == action
        beside = f"saves ${saves:,.0f}, and its place is worth ${place:,.0f} to later cases"
        why = f"act for them would cost least, but {beside}"
        assert (why in row["reasons"]) == (action == "tell")
    # Twenty usually come later for two places: a place is worth what a tenth of them save by it.
    policy = small(declared({**ACT_PER_PLACE, "place": {"least": 1.0, "days": 7}}))
    for worth, action in ((saves - 1, "act"), (saves + 1, "tell")):
        beyond = round(7 * 20 * 100 * (worth - 1.0) / math.log(10))
        demand = Demand(7, {"P": Wanted((0,) * 13 + (7 * 20,) + (0,) * 10, beyond)})
        noon = replace(day(Case("a")), usual={policy.declared.limits[0].wanted: demand})
        [row] = decide(noon, policy, {}, {}).iter_rows(named=True)
        assert row["action"] == action
        assert (f"its place is worth ${worth:,.0f} to later cases" in row["reasons"]) == (action == "tell")


def test_what_others_used_is_not_there_to_take() -> None:
    policy = small(declared(ACT_PER_PLACE))
    use = Use("act per place every day", "P", WHOLE_DAY)
    assert outcomes(policy, Case("a"), Case("b"), used={use: 1}) == [("act", AUTOMATED), ("tell", AUTOMATED)]
    assert outcomes(policy, Case("a"), used={use: 2}) == [("tell", AUTOMATED)]
    assert Weighed(day(Case("a"), Case("b")), policy).choose({use: 1}).uses == {use: 1}


def test_an_hours_limit_begins_anew_with_the_local_hour() -> None:
    hourly = small(declared({"action": "act", "at_most": 1, "per": "place", "every": "hour"}))
    # Half past in Kolkata is on the hour here.
    times = [NOON, NOON + timedelta(minutes=29), NOON + timedelta(minutes=30)]
    cases = [Case(str(at), at=at) for at in times]
    assert [action for action, _ in outcomes(hourly, *cases)] == ["act", "tell", "tell"]
    assert [action for action, _ in outcomes(hourly, *cases, timezone="Asia/Kolkata")] == ["act", "tell", "act"]
    uses = Weighed(day(*cases, timezone="Asia/Kolkata"), hourly).choose({}).uses
    assert {use.window for use in uses} == {"17", "18"}


def test_a_budget_counts_what_actions_cost_and_the_reason_names_it() -> None:
    # Acting costs $480 a case, telling $40.
    rows = made(small(declared({"dollars": 1000, "actions": ["act"]})), *(Case(key) for key in "abc"))
    assert [row["action"] for row in rows] == ["act", "act", "tell"]
    assert (
        "act for them would cost least, but the budget was reached: at most $1,000.00 a day for act"
        in rows[2]["reasons"]
    )
    assert rows[1]["limits_used"] == {"cents for act every day": [[None, {"day": 48_000}]]}


def test_a_reviewed_case_holds_its_place_in_the_limits_and_an_unscored_one_none() -> None:
    dear = Row("big", "review", "big", {"action": "'act'", "price": "> 481"})
    policy = small(declared({**ACT_PER_PLACE, "at_most": 1}), dear)
    cases = [Case("a", math.nan), Case("b", size=90.0), Case("c")]
    assert outcomes(policy, *cases) == [("wait", REVIEW), ("wait", REVIEW), ("tell", AUTOMATED)]
    assert outcomes(policy, cases[0], cases[2]) == [("wait", REVIEW), ("act", AUTOMATED)]


# ---------------------------------------------------------------- law 2


@pytest.mark.parametrize("probability", [None, math.nan, math.inf, -math.inf, -0.01, 1.01, 1e300, -5e-324], ids=str)
def test_a_probability_that_is_none_gets_the_safe_action_and_a_person(probability: float | None) -> None:
    [row] = made(small(declared()), Case("a", probability))
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert row["review_reasons"] == ["not scored: no usable score"]
    assert (row["expected_cost"], row["expected_costs"], row["rules"], row["limits_used"]) == (None, None, {}, {})


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["0.9"]),
        pl.Series([True]),
        pl.Series([[0.9]]),
        pl.Series([{"p": 0.9}]),
        pl.Series([b"0.9"]),
        pl.Series([NOON]),
        pl.Series([None]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_a_probability_that_is_no_number_is_none(column: pl.Series) -> None:
    clean = day(Case("a"))
    wrong = replace(clean, scores=clean.scores.with_columns(column.alias("probability")))
    [row] = decide(wrong, small(declared()), {}, {}).iter_rows(named=True)
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert json.loads(row["review_reasons"]) == ["not scored: no usable score"]


@pytest.mark.parametrize(
    ("problems", "says"),
    [
        ('["size: required"]', ["not scored: size: required"]),
        ('["size: required", "x: finite"]', ["not scored: size: required", "not scored: x: finite"]),
        (None, ["not scored: no usable score"]),
        ("", ["not scored: no usable score"]),
    ],
)
def test_a_case_with_problems_is_not_decided_even_if_it_carries_a_probability(problems: Any, says: list[str]) -> None:
    [row] = made(small(declared()), Case("a", problems=problems))
    assert (row["action"], row["status"], row["review_reasons"]) == ("wait", REVIEW, says)


@given(st.lists(st.floats() | st.none(), min_size=1, max_size=5), st.floats(0, 1))
@settings(max_examples=40)
def test_a_broken_case_never_uses_up_a_limit_that_a_whole_one_needs(found: list, clean: float) -> None:
    policy = _ONE_ACT
    broken = [p if p is None or not 0 <= p <= 1 else math.nan for p in found]
    cases = [*(Case(f"{number}", p) for number, p in enumerate(broken)), Case("whole", clean)]
    *others, whole = outcomes(policy, *cases)
    assert set(others) == {("wait", REVIEW)}
    assert whole == (outcomes(policy, Case("whole", clean))[0])


_ONE_ACT = small(declared({**ACT_PER_PLACE, "at_most": 1}))


# ---------------------------------------------------------------- the pilot, whole


def pilot_day(seed: int, cases: int, **fixed: list) -> Day:
    """Flights of 1 June 2013 that nothing is wrong with, out of a seed."""
    chance = np.random.default_rng(seed)
    minutes = np.sort(chance.integers(0, 24 * 60, cases))
    midnight = datetime(2013, 6, 1, 4, tzinfo=UTC)
    columns = {
        "case_key": [f"F{number:03d}" for number in chance.permutation(cases)],
        "event_time": [midnight + timedelta(minutes=int(minute)) for minute in minutes],
        "probability": np.round(chance.beta(0.6, 1.2, cases), 6).tolist(),
        "model_version": [3] * cases,
        **{name: fixed[name] for name in fixed if name not in ("seats", "origin")},
    }
    scores = pl.DataFrame(
        columns, schema_overrides={"event_time": pl.Datetime("us", "UTC"), "model_version": pl.Int64}
    ).with_columns(problems=pl.lit("[]"))
    return Day(
        "flight_disruption",
        scores,
        pl.DataFrame({"seats": fixed.get("seats", chance.integers(20, 420, cases).astype(float))}),
        pl.DataFrame({"seats": chance.normal(size=cases)}),
        pl.DataFrame({"origin": fixed.get("origin", chance.choice(["EWR", "JFK", "LGA"], cases))}),
        "America/New_York",
    )


def test_the_pilot_decides_as_its_parts_say_when_they_are_asked_one_by_one(pilots: PolicyBundle) -> None:
    """Against the definition: zen-engine itself is asked about each case and action, costs and limits counted here."""
    few = pilots.declared.limits[0].model_copy(update={"at_most": 4})
    policy = replace(pilots, declared=pilots.declared.model_copy(update={"limits": (few,)}))
    flights = pilot_day(1, 250, model_version=[3 if number % 7 else None for number in range(250)])
    rows = decide(flights, policy, {}, {})
    engine, declared_ = policy.table.by_engine(), policy.declared
    taken: dict[str, int] = {}
    seen = set()
    asked = []
    for p, seats, at, origin in zip(
        flights.scores["probability"],
        flights.features["seats"],
        flights.scores["event_time"].dt.convert_time_zone("America/New_York"),
        flights.cases["origin"],
        strict=True,
    ):
        stake = 0.83 * seats
        costs = {a.name: stake * (a.cost + p * 60 * (1 - a.mitigates)) for a in declared_.actions}
        asked += [
            {"action": a.name, "probability": p, "price": stake * a.cost, "stake": stake, "origin": origin}
            | {"saving": costs["proceed"] - costs[a.name], "hour": at.hour, "cost": costs[a.name]}
            for a in declared_.actions
        ]
    verdicts = engine.judge(pl.DataFrame(asked))["verdict"].to_list()
    order = flights.scores.with_row_index("row").sort("event_time", "case_key")["row"].to_list()
    for row in order:
        # A place is worth so much to later flights: it is taken where it saves more.
        tolls = (0.0, 0.0, few.least)
        options = [(asked[3 * row + n]["cost"] + tolls[n], n) for n in range(3) if verdicts[3 * row + n] != "forbid"]
        origin = flights.cases["origin"][row]
        options = [each for each in options if each[1] != 2 or taken.get(origin, 0) < 4]
        _, chosen = min(options)
        taken[origin] = taken.get(origin, 0) + (chosen == 2)
        price, model = asked[3 * row + chosen]["price"], flights.scores["model_version"][row]
        may = round(price * 100) <= 300_000 and (chosen == 0 or model is not None)
        automated = may and verdicts[3 * row + chosen] == "allow"
        action, status = rows["action"][row], rows["status"][row]
        wanted = (declared_.actions[chosen].name, AUTOMATED) if automated else ("proceed", REVIEW)
        assert (action, status) == wanted, asked[3 * row : 3 * row + 3]
        seen.add((chosen, status, model is None))
    assert len(seen) == 7, seen


def bad_values() -> Iterator[tuple[str, str, pl.Series]]:
    """Every kind of bad input: its frame and column, what is wrong, and the column that is given instead."""
    numbers = [None, math.nan, math.inf, -math.inf, -1.0, 1e300, -1e300, 1e308]
    columns: dict[tuple[str, str], list] = {
        ("scores", "probability"): [*numbers, 1.0000001, -5e-324],
        ("scores", "problems"): ['["seats: required"]', "", " []", "[ ]", "null", None],
        ("scores", "model_version"): [None, 0, -1, 2**62],
        ("features", "seats"): [*numbers, 0.0, -0.0],
        ("cases", "origin"): [None, "", "jfk", " JFK", "JFK\t", "SFO", "*", "$", "'JFK'"],
    }
    for (frame, name), values in columns.items():
        for value in values:
            kind = pl.String if frame == "cases" or name == "problems" else None
            number = pl.Int64 if name == "model_version" else pl.Float64
            yield f"{frame}.{name}", repr(value), pl.Series(name, [value], dtype=kind or number)
    for frame, name in columns:
        for value in (None, True, "0.5", b"JFK", [0.5], {"x": 0.5}, date(2013, 6, 1)):
            if name not in ("problems", "model_version"):
                yield f"{frame}.{name}", f"a column of {type(value).__name__}", pl.Series(name, [value])


def test_no_bad_input_makes_the_pilot_more_permissive(pilots: PolicyBundle, record_property) -> None:
    """Through the whole pipeline, for each kind of bad input and every case of a day, and for others beside it."""
    flights = pilot_day(2, 40)
    clean = decide(flights, pilots, {}, {})
    allowed = [_permits(row) for row in clean.iter_rows(named=True)]
    assert {AUTOMATED, REVIEW} == set(clean["status"])
    assert set(clean["action"]) == {"proceed", "notify", "protect"}
    # An unknown number of seats is the declared assumption: then the machine may do what it might on that.
    seats = pl.Series("seats", [None] * 40, dtype=pl.Float64)
    unknown = decide(replace(flights, features=flights.features.with_columns(seats)), pilots, {}, {})
    assumed = [_permits(row) for row in unknown.iter_rows(named=True)]
    tried, kinds = 0, set()
    half = pl.int_range(flights.scores.height, eager=True) % 2 == 0
    for where, what, bad in bad_values():
        frame, name = where.split(".")
        held: pl.DataFrame = getattr(flights, frame)
        whole = bad.new_from_index(0, held.height)
        changes = [whole]
        if whole.dtype == held[name].dtype:
            changes.append(held.select(pl.when(half).then(whole).otherwise(pl.col(name)).alias(name))[name])
        for change in changes:
            rows = decide(replace(flights, **{frame: held.with_columns(change)}), pilots, {}, {})
            assert rows.height == held.height
            most = np.maximum(allowed, assumed) if name == "seats" else allowed
            for row, before in zip(rows.iter_rows(named=True), most, strict=True):
                assert _permits(row) <= before, (where, what, row)
                tried += 1
        kinds.add((where, what))
    record_property("cases_tried", tried)
    print(f"{tried:,} cases of {len(kinds)} kinds of bad input: 0 more permissive")  # noqa: T201 - the count is the point
    assert len(kinds) > 45
    assert tried > 2_000


def _permits(row: dict[str, Any]) -> int:
    """How much a machine does of its own accord: a case that a person decides is the least."""
    return KINDS[row["action"]] + 1 if row["status"] == AUTOMATED else 0


def test_an_unknown_number_of_seats_is_decided_as_the_assumption(pilots: PolicyBundle) -> None:
    assumed = pilots.declared.stake.otherwise
    known = decide(pilot_day(3, 60, seats=[float(assumed) / 0.83 * 0.83] * 60), pilots, {}, {})
    for value in (None, math.nan, math.inf, -math.inf, 0.0, -3.0):
        unknown = pilot_day(3, 60, seats=pl.Series([value] * 60, dtype=pl.Float64))
        assert decide(unknown, pilots, {}, {}).equals(known)


# ---------------------------------------------------------------- law 7

PLACES = st.sampled_from(["P", "Q", None])


@st.composite
def toy_days(draw: st.DrawFn) -> tuple[Day, dict[Use, int]]:
    count = draw(st.integers(1, 8))
    cases = [
        Case(
            f"{number}",
            draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, math.nan, None])),
            draw(PLACES),
            draw(st.sampled_from([None, 40.0, 80.0, 120.0, 200_000.0])),
            draw(st.sampled_from(["[]", "[]", "[]", '["x"]'])),
            NOON + timedelta(minutes=20 * draw(st.integers(0, 5))),
        )
        for number in draw(st.permutations(range(count)))
    ]
    uses = [Use("act per place every day", place, WHOLE_DAY) for place in ("P", None)]
    return day(*cases), {use: draw(st.integers(0, 2)) for use in uses}


_EVERYTHING = small(
    declared(
        ACT_PER_PLACE,
        {"action": "tell", "at_most": 1, "per": "place", "every": "hour"},
        {"dollars": 1200.5},
    ),
    Row("dear", "review", "${price:,.0f} is much", {"action": "'act'", "price": "> 500"}),
    Row("small", "forbid", "{price} is little", {"action": "'act'", "price": "< 250"}),
)


@given(toy_days())
@settings(max_examples=40)
def test_each_case_alone_on_what_was_used_at_its_turn_is_decided_as_in_its_day(given_: tuple) -> None:
    toys, used = given_
    weighed = Weighed(toys, _EVERYTHING)
    together = decided(weighed, {}, used)
    turns = [from_data(json.loads(text)) for text in together["limits_used"]]
    assert each_alone(weighed, {}, turns).equals(together)
    # So is a case of which nothing else of its day is at hand.
    for row in range(toys.scores.height):
        frames = {name: getattr(toys, name)[row : row + 1] for name in ("scores", "features", "cases")}
        alone = replace(toys, contributions=pl.DataFrame(height=1), **frames)
        assert each_alone(Weighed(alone, _EVERYTHING), {}, [turns[row]]).equals(together[row : row + 1])


def _off(switch: Switch) -> Off:
    return Off.of([SwitchedOff(switch, "A. Person", "a reason")])


@given(toy_days(), st.sampled_from([ALL_ON, _off(of_action("act")), _off(of_model(1)), _off(WORKLOAD)]))
@settings(max_examples=60)
def test_what_comes_out_is_the_same_said_in_full_and_in_brief(given_: tuple, off: Off) -> None:
    toys, used = given_
    weighed = Weighed(replace(toys, off=off), _EVERYTHING)
    choice = weighed.choose(used)
    assert outcomes_of(weighed, choice).equals(said_of(weighed, choice, {}).select("action", "status"))


@given(toy_days(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_in_which_rows_come_changes_no_byte(given_: tuple, random: Any) -> None:
    toys, used = given_
    order = list(range(toys.scores.height))
    random.shuffle(order)
    frames = {name: getattr(toys, name)[order] for name in ("scores", "features", "cases")}
    shuffled = decide(replace(toys, **frames), _EVERYTHING, {}, used)
    plain = decide(toys, _EVERYTHING, {}, used)
    assert shuffled.equals(plain[order])
    moved = replace(toys, **frames)
    assert Weighed(moved, _EVERYTHING).choose(used).uses == Weighed(toys, _EVERYTHING).choose(used).uses


def test_a_day_of_the_pilot_is_decided_alike_alone_together_and_shuffled(
    pilots: PolicyBundle, workload: Workload
) -> None:
    flights, words = pilot_day(4, 400), phrases(workload)
    weighed = Weighed(flights, pilots)
    together = decided(weighed, words, {})
    assert together.schema == MADE
    assert each_alone(weighed, words, [from_data(json.loads(t)) for t in together["limits_used"]]).equals(together)
    order = np.random.default_rng(5).permutation(400).tolist()
    frames = {n: getattr(flights, n)[order] for n in ("scores", "features", "contributions", "cases")}
    assert decide(replace(flights, **frames), pilots, words, {}).equals(together[order])
    assert decided(weighed, words, {}).write_csv() == together.write_csv()


def test_a_day_without_cases_is_one_without_decisions(pilots: PolicyBundle, workload: Workload) -> None:
    none = decide(pilot_day(1, 0), pilots, phrases(workload), {})
    assert (none.height, none.schema) == (0, MADE)
    assert each_alone(Weighed(pilot_day(1, 0), pilots), {}, []).schema == MADE


def test_what_the_tables_hold_is_put_row_beside_row(workload: Workload) -> None:
    keys = ["F2", "F1", "F3"]
    scores = pl.DataFrame(
        {
            "case_key": keys,
            "event_time": pl.Series([NOON] * 3, dtype=pl.Datetime("us", "UTC")),
            "probability": [0.1, None, 0.3],
            "features": ['{"seats":100}', None, '{"seats":"many"}'],
            "contributions": ['{"seats":0.5}', None, "{}"],
        }
    )
    cases = pl.DataFrame({"flight_id": ["F1", "F2"], "origin": ["EWR", "JFK"], "day": [date(2013, 6, 1)] * 2})
    found = day_of(workload, scores, cases)
    assert found.cases["origin"].to_list() == ["JFK", "EWR", None]
    assert found.features["seats"].to_list() == [100.0, None, None]
    assert found.contributions["seats"].to_list() == [0.5, None, None]
    # Decisions hold no problems: what has no probability had some.
    assert found.scored.tolist() == [True, False, True]
    with pytest.raises(pl.exceptions.ComputeError, match="m:1"):
        day_of(workload, scores, pl.concat([cases, cases]))


# ---------------------------------------------------------------- reasons


def test_reasons_are_the_features_that_speak_most_for_the_action_in_words() -> None:
    windy = Case(
        "a",
        features={"gust": 40.0, "delay": 25.0, "calm": 1.0},
        shares={"gust": 0.5, "delay": 1.5, "calm": -2.0},
    )
    words = {"gust": "gusts of {value:.0f}", "delay": "{value:.0f} minutes late", "calm": "calm"}
    policy = small(declared())

    def reasons(case: Case) -> list[str]:
        return json.loads(decide(day(case), policy, words, {})["reasons"][0])

    assert reasons(windy) == [
        "25 minutes late",
        "gusts of 40",
        "to act for them is expected to cost $1,344, to do nothing $2,160",
    ]
    # What speaks against it speaks for doing nothing.
    assert reasons(replace(windy, probability=0.01)) == ["calm"]
    # What is not known is no reason.
    assert reasons(replace(windy, features={"gust": None, "delay": 25.0, "calm": 1.0}))[0] == "25 minutes late"
