"""Contests: who is watched on a day, what evidence that day had, and what follows, whenever it is judged again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from automation.lakehouse import DAY
from automation.rollout.contests import (
    WOULD_BE,
    Contest,
    Judged,
    Move,
    Role,
    Watched,
    acts_on,
    contests,
    judged,
    watched,
)
from automation.rollout.machine import Champion, Change, Kind, Rollout
from automation.rollout.plan import RolloutPlan, Then
from automation.workload import Action, Policy, Stake

FIRST = date(2013, 3, 1)
POLICY = Policy(
    stake=Stake(unit="passengers", feature="seats", factor=1.0, otherwise=100),
    harm=60.0,
    actions=(
        Action(name="proceed", cost=0.0, mitigates=0.0, says="do nothing"),
        Action(name="protect", cost=12.0, mitigates=0.6, says="hold seats"),
    ),
    safe_action="proceed",
    limits=(),
    assumptions=("made up",),
)
PLAN = RolloutPlan.model_validate(
    {
        "shadow": True,
        "canary": True,
        "shares": [5, 50],
        "step_days": 3,
        "step_cases": 10,
        "undecided": {"after_days": 30},
        "guard_days": 40,
    }
)
CASES = 60


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def champion(version: int, from_day: int = 0) -> Champion:
    return Champion("toy", version, f"{version:064d}", day(from_day))


def rollout(*events: tuple) -> Rollout:
    """Events: kind, version, the number of its first day, and what else it says."""
    return Rollout(
        "toy",
        tuple(
            Change(number, kind, champion(version, first), "warrant", "because", "2013-03-01T00:00:00Z", {}, **more)
            for number, (kind, version, first, more) in enumerate(events, start=1)
        ),
    )


BEGUN = ((Kind.REGISTERED, 1, 0, {}), (Kind.GATED, 1, 0, {}), (Kind.PROMOTED, 1, 0, {}))
SHADOWED = (*BEGUN, (Kind.REGISTERED, 2, 5, {}), (Kind.GATED, 2, 5, {}), (Kind.SHADOWED, 2, 5, {}))
CANARIED = (*SHADOWED, (Kind.CANARIED, 2, 9, {"share": 5.0}), (Kind.CANARIED, 2, 12, {"share": 50.0}))
PROMOTED = (*CANARIED, (Kind.PROMOTED, 2, 20, {"leaves": 1}))


@pytest.mark.parametrize("events", [SHADOWED, CANARIED, PROMOTED], ids=["shadow", "canary", "champion"])
def test_who_is_watched_on_a_day_is_the_same_whatever_came_after(events: tuple) -> None:
    now = rollout(*events)
    assert contests(now, PLAN, day(4)) == ()
    [shadow] = contests(now, PLAN, day(8))
    assert (shadow.version, shadow.role, shadow.since) == (2, Role.SHADOW, day(5))
    if events is SHADOWED:
        return
    [canary] = contests(now, PLAN, day(11))
    assert (canary.role, canary.since, canary.share, canary.share_since) == (Role.CANARY, day(9), 5.0, day(9))
    [canary] = contests(now, PLAN, day(13))
    assert (canary.since, canary.share, canary.share_since, canary.proved) == (day(9), 50.0, day(12), True)


def test_a_new_champion_is_watched_beside_the_one_it_replaced_for_as_long_as_the_plan_says() -> None:
    now = rollout(*PROMOTED)
    [guarded] = contests(now, PLAN, day(21))
    assert (guarded.version, guarded.role, guarded.against) == (2, Role.CHAMPION, champion(1))
    last = 20 + PLAN.guard_days + PLAN.verdicts.wait_days
    assert contests(now, PLAN, day(last)) != ()
    assert contests(now, PLAN, day(last + 1)) == ()
    assert contests(now, PLAN.model_copy(update={"guard_days": 0}), day(60)) == ()


def test_what_led_to_something_already_leads_to_nothing_again() -> None:
    [contest] = contests(rollout(*SHADOWED), PLAN, day(8))
    assert acts_on(rollout(*SHADOWED), contest, day(8))
    assert not acts_on(rollout(*CANARIED), contest, day(8))
    assert not acts_on(rollout(*SHADOWED, (Kind.ABORTED, 2, 9, {})), contest, day(8))
    [canary] = contests(rollout(*CANARIED), PLAN, day(11))
    assert not acts_on(rollout(*CANARIED), canary, day(11)), "it has a larger share since"
    [guarded] = contests(rollout(*PROMOTED), PLAN, day(21))
    assert acts_on(rollout(*PROMOTED), guarded, day(21))
    assert not acts_on(rollout(*PROMOTED, (Kind.ROLLED_BACK, 1, 22, {"leaves": 2})), guarded, day(21))


# ---------------------------------------------------------------- evidence


def labels(days: int, *, late: int = 0) -> pl.DataFrame:
    """Outcomes of each day: known on the next, ``late`` of them three days later."""
    chance, rows = np.random.default_rng(1), []
    for number in range(days):
        for case in range(CASES):
            known = day(number + (3 if case < late else 1))
            at = datetime(known.year, known.month, known.day, 12, tzinfo=UTC)
            rows.append((f"{number}:{case}", bool(chance.random() < 0.3), at, known))
    schema = {"case_key": pl.String, "label": pl.Boolean, "known_time": pl.Datetime("us", "UTC"), DAY: pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def would_be(days: int, skill: float, *, fails_from: int | None = None) -> pl.DataFrame:
    """What versions 1 and 2 decide: 1 protects at random, 2 sees the outcome with a chance of ``skill``."""
    chance = np.random.default_rng(2)
    truth = dict(labels(days).select("case_key", "label").iter_rows())
    rows = []
    for number in range(days):
        for case in range(CASES):
            key = f"{number}:{case}"
            guesses = {1: chance.random() < 0.3, 2: chance.random() < 0.3}
            if chance.random() < abs(skill):
                guesses[2] = truth[key] if skill > 0 else not truth[key]
            for version, role in ((1, Role.CHAMPION), (2, Role.SHADOW)):
                failed = version == 2 and fails_from is not None and number >= fails_from
                action = "protect" if guesses[version] and not failed else "proceed"
                probability = None if failed else 0.3
                rows.append((key, version, role.value, probability, "[]", action, "automated", 100.0, "p", day(number)))
    return pl.DataFrame(rows, schema=WOULD_BE, orient="row")


SHADOW = Contest("toy", champion(2), Role.SHADOW, FIRST)
CANARY = replace(SHADOW, role=Role.CANARY, share=50.0, share_since=FIRST, proved=True)
GUARDED = replace(SHADOW, role=Role.CHAMPION, against=champion(1))


def seen(contest: Contest, rows: pl.DataFrame, known: pl.DataFrame, until: int) -> Watched:
    known = known.filter(pl.col(DAY) <= day(until))
    rows = rows.filter(pl.col(DAY) <= day(until))
    return watched(contest, PLAN.verdicts, rows, known, day(until), lambda _: POLICY)


def judged_on(contest: Contest, until: int, skill: float, **given: int) -> Judged:
    days = until + 1
    return judged(contest, PLAN, seen(contest, would_be(days, skill, **given), labels(days), until), day(until))


def first_move(contest: Contest, skill: float, until: int, **given: int) -> tuple[int, Judged]:
    """The first day on which something follows, of those that are looked at."""
    rows, known = would_be(until + 1, skill, **given), labels(until + 1)
    for number in range(4, until + 1, 4):
        found = judged(contest, PLAN, seen(contest, rows, known, number), day(number))
        if found.move is not Move.WAIT:
            return number, found
    return until, found


def test_a_better_challenger_goes_on_and_a_worse_one_is_aborted_each_with_its_evidence_in_words() -> None:
    number, found = first_move(SHADOW, 0.5, 25)
    assert found.move is Move.ADVANCE
    assert number >= PLAN.verdicts.saves.least_days
    assert "pairs the evidence that it saves more than $0.00 a case is" in found.says
    found = judged_on(SHADOW, 29, -0.9)
    assert found.move is Move.ABORT
    assert "it costs more than $0.00 a case beyond the champion" in found.says


def test_without_a_verdict_it_waits_and_then_ends_as_the_plan_says() -> None:
    assert judged_on(SHADOW, 28, 0.0).move is Move.WAIT
    found = judged_on(SHADOW, 29, 0.0)
    assert (found.move, found.says.startswith("it is not proved better in 30 days")) == (Move.ABORT, True)
    lenient = PLAN.model_copy(update={"undecided": PLAN.undecided.model_copy(update={"then": Then.PROMOTE})})
    evidence = seen(SHADOW, would_be(30, 0.0), labels(30), 29)
    found = judged(SHADOW, lenient, evidence, day(29))
    assert found.move is Move.ADVANCE
    assert found.says.startswith("nothing is proved against it in 30 days, which the plan takes for enough")


def test_a_canary_takes_its_steps_by_days_and_cases_and_needs_no_second_proof() -> None:
    assert judged_on(CANARY, 1, 0.0).says.startswith("2 of 3 days")
    found = judged_on(CANARY, 4, 0.0)
    assert (found.move, "a verdict took it out of shadow" in found.says) == (Move.ADVANCE, True)
    small = replace(CANARY, share=5.0)
    assert judged_on(small, 8, 0.0).move is Move.ADVANCE
    assert judged_on(small, 3, 0.0).says.split(" and ")[1].endswith("of 10 cases at 5%")
    assert judged_on(small, 35, -0.9).move is Move.ABORT
    unproved = replace(CANARY, proved=False)
    assert judged_on(unproved, 6, 0.0).says.startswith("no verdict in 7 of 30 days")
    assert judged_on(unproved, 29, 0.8).move is Move.ADVANCE


def test_a_champion_that_is_proved_harmful_is_rolled_back_and_no_other() -> None:
    assert judged_on(GUARDED, 35, -0.9).move is Move.ROLL_BACK
    for skill in (0.0, 0.5):
        assert judged_on(GUARDED, 20, skill).move is Move.WAIT


def test_harm_after_it_was_proved_better_is_still_found() -> None:
    """The watch that promotes ends with its verdict; the guards of a champion do not."""
    days = 75
    good, bad = would_be(days, 0.7), would_be(days, -0.9)
    rows = pl.concat([good.filter(pl.col(DAY) < day(20)), bad.filter(pl.col(DAY) >= day(20))])
    assert seen(SHADOW, rows, labels(days), days - 1).watch.verdict == "promote"
    found = seen(GUARDED, rows, labels(days), days - 1)
    assert judged(GUARDED, PLAN, found, day(days - 1)).move is Move.ROLL_BACK


def test_a_challenger_that_fails_to_score_what_the_champion_scores_is_aborted_for_it() -> None:
    found = judged_on(SHADOW, 8, 0.0, fails_from=3)
    assert found.move is Move.ABORT
    assert "were not scored, which the champion scored" in found.says


def test_a_day_counts_once_its_outcomes_are_there_and_what_is_corrected_later_changes_nothing() -> None:
    rows, known = would_be(12, 0.5), labels(12, late=1)
    assert list(seen(SHADOW, rows, known, 2).saved) == []
    assert list(seen(SHADOW, rows, known, 3).saved) == [day(0)]
    before = seen(SHADOW, rows, known, 8)
    corrected = known.filter(pl.col("case_key") == "0:5").with_columns(
        label=~pl.col("label"), known_time=pl.col("known_time").dt.offset_by("5d"), day=pl.lit(day(6))
    )
    after = seen(SHADOW, rows, pl.concat([known, corrected]), 8)
    assert after.history == before.history
    # Judged on a later day, the days that were seen say the same.
    later = seen(SHADOW, rows, known, 11)
    assert later.history[: len(before.history)] == before.history


def test_an_outcome_that_never_comes_is_waited_for_as_long_as_the_plan_says() -> None:
    rows, known = would_be(10, 0.5), labels(10).filter(pl.col("case_key") != "0:0")
    wait = PLAN.verdicts.wait_days
    assert list(seen(SHADOW, rows, known, wait).saved) == []
    assert day(0) in seen(SHADOW, rows, known, wait + 1).saved


def test_a_day_that_was_not_scored_holds_up_the_days_after_it() -> None:
    rows = would_be(10, 0.5).filter(pl.col(DAY) != day(4))
    assert max(seen(SHADOW, rows, labels(10), 9).saved) == day(3)
