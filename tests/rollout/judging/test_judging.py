"""What is judged of a candidate: the honest pass, and each fault is caught by the gate that is about it."""

from __future__ import annotations

import base64
import dataclasses
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from automation import gates as platform_gates
from automation import plots
from automation.rollout.judging import gates
from automation.rollout.judging.beside import beside
from automation.rollout.judging.decisions import Decisions
from automation.rollout.judging.findings import Findings, found
from automation.rollout.judging.holdout import Holdout, Judged, NotScoredAlikeError, Scored
from automation.rollout.judging.leak import looked_for
from automation.rollout.judging.metrics import Metric
from automation.rollout.judging.resampling import Resamples
from automation.rollout.judging.slices import Slices, sliced
from tests.policy.made import small
from tests.policy.tables.made import Row
from tests.rollout.judging.made import FIRST, MODEL, PLAN, POLICY, Made, judged, made, sigmoid

SEED = 7


@pytest.fixture(scope="module")
def days() -> Made:
    return made()


@pytest.fixture(scope="module")
def few() -> Made:
    """Fewer days, where cases are decided: that takes the longest."""
    return made(1, days=12, cases=45)


@pytest.fixture(scope="module")
def equal(days: Made) -> Findings:
    return findings(days, days.honest(2), days.honest(1))


@pytest.fixture(scope="module")
def kept(equal: Findings) -> Decisions:
    """What two equal models would decide."""
    return equal.decisions


def findings(made_: Made, candidate: Scored, champion: Scored | None) -> Findings:
    return found(judged(made_, candidate, champion), MODEL, POLICY, PLAN, ["queue"], None, SEED)


def beyond_decisions(
    held: Holdout,
    candidate: Scored,
    champion: Scored,
    kept: Decisions,
    takes: tuple[str, ...] = ("queue",),
    trained_until: date | None = None,
) -> Findings:
    """All but the decisions, which take the longest: ``kept`` in place of them."""
    both, resamples = Judged(held, candidate, champion), Resamples.drawn(len(held.days), SEED)
    compared = beside(both, kept, MODEL, PLAN, resamples)
    leak = looked_for(both, compared, takes, trained_until)
    return Findings(both, compared, sliced(both, PLAN, SEED), leak, kept)


def verdicts(found_: Findings) -> dict[str, platform_gates.Judgement]:
    return {each.gate.name: each for each in gates.on_holdout(found_, MODEL, PLAN, "2013-06-17")}


def failing(found_: Findings) -> set[str]:
    return {name for name, each in verdicts(found_).items() if not each.passed}


def slices_of(made_: Made, candidate: Scored, champion: Scored) -> Slices:
    result = sliced(judged(made_, candidate, champion), PLAN, SEED)
    assert result is not None
    return result


# ---------------------------------------------------------------- the honest pass


def test_an_equal_model_fails_nothing_and_every_gate_shows_a_plot(equal: Findings) -> None:
    told = verdicts(equal)
    assert [name for name, each in told.items() if not each.passed] == []
    assert list(told) == [gate.name for gate in gates.HOLDOUT_GATES]
    for name, each in told.items():
        assert each.partition == "2013-06-17"
        if name not in ("beats_base_rate", "beats_simple_rule"):
            assert any("data:image/svg+xml" in str(value.value) for value in each.metadata.values()), name


def test_the_same_model_differs_by_exactly_nothing(few: Made) -> None:
    one = few.honest(1)
    result = findings(few, Scored(2, one.probability), one)
    assert {each.more.high for each in result.beside.metrics if each.more} == {0.0}
    assert result.decisions.otherwise == 0
    assert failing(result) == set()


def test_the_first_version_has_no_champion_to_be_worse_than_but_must_be_worth_its_decisions(days: Made) -> None:
    result = findings(days, days.honest(1), None)
    told = verdicts(result)
    assert failing(result) == set()
    assert told["beside_champion"].says.endswith("There is no champion yet to be worse than.")
    assert result.slices is None
    assert all(each.champion is None and each.more is None for each in result.beside.metrics)
    # One that tells only those who need it least costs more than doing nothing.
    backwards = findings(days, Scored(1, np.where(days.log_odds < -2.5, 0.16, 0.01)), None)
    assert {"beats_base_rate", "beats_simple_rule", "decisions_kept"} <= failing(backwards)
    assert "a case more than doing nothing" in verdicts(backwards)["decisions_kept"].says


def test_of_equal_models_no_more_than_the_rate_are_blamed_for_any_slice() -> None:
    plan, trials, blamed = PLAN.model_copy(update={"rate": 0.1, "least_slice_cases": 250}), 60, 0
    for seed in range(trials):
        some = made(seed, cases=60)
        worse = sliced(judged(some, some.honest(100 + seed), some.honest(200 + seed)), plan, SEED)
        assert worse is not None
        blamed += bool(worse.proven_worse(0.0))
    assert blamed <= trials * plan.rate + 2 * (trials * plan.rate * (1 - plan.rate)) ** 0.5


# ---------------------------------------------------------------- each fault is caught


def test_a_model_that_is_worse_at_one_airport_is_caught_there_and_nowhere_else(days: Made, kept: Decisions) -> None:
    good = days.honest(1)
    # There it has high and low the wrong way round.
    at_one = np.where(days.airport == "LGA", sigmoid(-2.4 - days.log_odds), good.probability)
    candidate = Scored(2, at_one)
    worse = slices_of(days, candidate, good).proven_worse(PLAN.slice_margin)
    assert {each.name for each in worse if each.column == "airport"} == {"airport LGA"}
    told = verdicts(beyond_decisions(days.holdout, candidate, good, kept))["no_slice_worse"]
    assert not told.passed
    assert "airport LGA by 0." in told.says
    assert "JFK" not in told.says


def test_a_model_that_is_worse_everywhere_is_caught_beside_the_champion(days: Made, kept: Decisions) -> None:
    result = beyond_decisions(days.holdout, days.honest(2, noise=2.0), days.honest(1, noise=0.2), kept)
    assert "beside_champion" in failing(result)
    more = result.beside.of(Metric.BRIER).more
    assert more is not None
    assert more.low > PLAN.champion_margin
    ranking = result.beside.of(Metric.AUC).more
    assert ranking is not None
    assert ranking.high < 0
    # Drawn so that right is worse: the AUC that was lost, too, lies beyond the margin.
    drawn = str(verdicts(result)["beside_champion"].metadata["metrics"].value)
    svg = base64.b64decode(drawn.partition("base64,")[2].rstrip(")")).decode()
    assert "AUC, lost" in svg
    assert svg.count(f'r="3.2" fill="{plots.ORANGE}"') >= 2


def test_a_model_that_memorised_the_holdout_is_too_good_to_be_true(days: Made, kept: Decisions) -> None:
    label = days.holdout.label
    knows = np.where(np.random.default_rng(1).random(len(label)) < 0.9, 0.98 * label + 0.01, 0.3)
    result = beyond_decisions(days.holdout, Scored(2, knows), days.honest(1), kept)
    assert failing(result) == {"no_leak"}
    assert "on cases it has not seen is more than 0.95" in verdicts(result)["no_leak"].says


def test_one_that_is_far_above_the_champion_is_looked_at_by_a_person(days: Made, kept: Decisions) -> None:
    told = verdicts(beyond_decisions(days.holdout, days.honest(2, noise=0.1), days.honest(1, noise=2.5), kept))[
        "no_leak"
    ]
    assert not told.passed
    assert "above the champion's, more than 0.10" in told.says


def test_a_feature_that_is_the_outcome_in_disguise_is_named(days: Made, kept: Decisions) -> None:
    late = pl.Series("arrived_late", days.holdout.label)
    leaking = dataclasses.replace(days.holdout, vectors=days.holdout.vectors.with_columns(late))
    result = beyond_decisions(leaking, days.honest(2), days.honest(1), kept, ("queue", "arrived_late"))
    assert "arrived_late alone has AUC 1.000" in verdicts(result)["no_leak"].says


def test_one_that_says_it_was_trained_on_what_it_is_judged_on_is_refused(days: Made, kept: Decisions) -> None:
    before = beyond_decisions(days.holdout, days.honest(2), days.honest(1), kept, trained_until=FIRST - timedelta(1))
    assert failing(before) == set()
    overlapping = dataclasses.replace(before, leak=dataclasses.replace(before.leak, trained_until=FIRST))
    assert failing(overlapping) == {"no_leak"}
    assert "trained on days up to 2013-05-20, and what it is judged on begins on 2013-05-20" in (
        verdicts(overlapping)["no_leak"].says
    )


def test_an_overconfident_model_is_caught_although_it_ranks_as_well(days: Made, kept: Decisions) -> None:
    good = days.honest(1, noise=0.2)
    log_odds = np.log(good.probability / (1 - good.probability))
    result = beyond_decisions(days.holdout, days.scored(2, 3 * log_odds), good, kept)
    ranking = result.beside.of(Metric.AUC).more
    assert ranking is not None
    assert ranking.estimate == pytest.approx(0.0, abs=1e-9)
    assert "calibrated" in failing(result)
    assert "more than 0.050" in verdicts(result)["calibrated"].says


def test_a_model_under_which_many_more_cases_go_to_persons_is_caught(few: Made) -> None:
    # Whatever is at least as probable as this is not the machine's to decide.
    shy = small(POLICY.declared, Row("sure", "review", "too sure of it", {"probability": "> 0.9"}))
    certain = few.scored(2, few.log_odds + 2.0)
    told = verdicts(found(judged(few, certain, few.honest(1)), MODEL, shy, PLAN, ["queue"], None, SEED))
    assert not told["decisions_kept"].passed
    assert "more of the cases would go to a person: more than 2.0%." in told["decisions_kept"].says


# ---------------------------------------------------------------- what the decisions would become


def test_the_decisions_are_those_of_the_policy_with_its_limits_day_by_day(days: Made, kept: Decisions) -> None:
    for would in (kept.candidate, kept.champion):
        assert would is not None
        assert would.cases == days.holdout.cases.height == sum(volume.cases for volume in would.volumes)
        acts = next(volume.cases for volume in would.volumes if volume.action == "act")
        # Five a day and airport, and there are days on which more would be acted for.
        assert 0 < acts <= 5 * 5 * 28
        assert would.held_back > 0
        assert would.automation_rate == 1.0
    assert 0 < kept.otherwise < days.holdout.cases.height
    assert kept.above_nothing.high < 0


def test_a_case_without_a_usable_vector_goes_to_a_person_under_both_and_is_no_part_of_the_metrics(few: Made) -> None:
    usable = np.ones(few.holdout.cases.height, dtype=bool)
    usable[::10] = False
    holdout = dataclasses.replace(few.holdout, usable=usable)
    unscored = np.where(usable, few.honest(2).probability, np.nan)
    result = found(Judged(holdout, Scored(2, unscored), few.honest(1)), MODEL, POLICY, PLAN, ["queue"], None, SEED)
    assert result.decisions.candidate.automation_rate == pytest.approx(0.9)
    assert result.decisions.reviews_more == 0
    assert result.beside.cases == usable.sum()
    assert verdicts(result)["decisions_kept"].passed


def test_a_case_whose_outcome_is_not_known_is_decided_and_not_judged(few: Made) -> None:
    cases = few.holdout.cases.with_columns(label=pl.when(pl.int_range(pl.len()) % 7 != 0).then(pl.col("label")))
    holdout = dataclasses.replace(few.holdout, cases=cases)
    result = found(Judged(holdout, few.honest(2), few.honest(1)), MODEL, POLICY, PLAN, ["queue"], None, SEED)
    assert result.decisions.candidate.cases == cases.height
    assert result.beside.cases == cases["label"].count()


# ---------------------------------------------------------------- slices


def test_small_slices_are_judged_together_and_what_is_too_small_even_so_is_told(days: Made) -> None:
    names = np.where(days.airport == "SFO", "BOS", days.airport).astype(object)
    names[:120] = [f"S{number % 5}" for number in range(120)]
    few = days.holdout.slices.with_columns(
        airport=pl.Series(names.tolist(), dtype=pl.String),
        hour=pl.when(pl.int_range(pl.len()) < 40).then(pl.lit("03:00")).otherwise("hour"),
    )
    holdout = dataclasses.replace(days.holdout, slices=few)
    result = sliced(Judged(holdout, days.honest(2), days.honest(1)), PLAN, SEED)
    assert result is not None
    # The five small ones have enough cases together, but of two days.
    assert [(left.column, left.values) for left in result.left_out if left.column == "airport"] == [("airport", 1)]
    assert str(next(left for left in result.left_out if left.column == "hour")) == "hour: 1 value with 40 cases"
    judged_ = {each.name for each in result.slices}
    assert "hour 03:00" not in judged_
    assert not any(name.startswith("airport others") for name in judged_)
    spread = days.holdout.slices.with_columns(
        airport=pl.when(pl.int_range(pl.len()) % 19 == 0)
        .then(pl.format("S{}", pl.int_range(pl.len()) % 5))
        .otherwise("airport")
    )
    pooled = sliced(
        Judged(dataclasses.replace(days.holdout, slices=spread), days.honest(2), days.honest(1)), PLAN, SEED
    )
    assert pooled is not None
    # With the sixth airport, which is small now, too.
    assert "airport others (6)" in {each.name for each in pooled.slices}


def test_days_of_one_outcome_are_no_obstacle(days: Made, kept: Decisions) -> None:
    good = pl.when(pl.col("day") < FIRST + timedelta(days=5)).then(pl.lit(0, dtype=pl.Int8)).otherwise("label")
    held = dataclasses.replace(days.holdout, cases=days.holdout.cases.with_columns(label=good))
    result = beyond_decisions(held, days.honest(2), days.honest(1), kept)
    for each in result.beside.metrics:
        assert np.isfinite([each.candidate.low, each.candidate.high]).all(), each
    assert failing(result) == set()


# ---------------------------------------------------------------- what cannot be judged


def test_probabilities_that_are_not_one_for_each_case_are_refused(days: Made) -> None:
    with pytest.raises(NotScoredAlikeError, match=r"gives \(3,\) probabilities for 1,680 cases"):
        Judged(days.holdout, Scored(2, np.zeros(3)), None)
    for wrong in (np.nan, -0.1, 1.1):
        given = days.honest(2).probability.copy()
        given[5] = wrong
        with pytest.raises(NotScoredAlikeError, match="gives 1 cases held out no probability from 0 to 1"):
            Judged(days.holdout, Scored(2, given), None)


def test_a_gate_without_a_finding_fails_and_says_why() -> None:
    told = gates.unjudged(gates.HOLDOUT_GATES, "It did not run.", "2013-06-17")
    assert {each.gate for each in told} == set(gates.HOLDOUT_GATES)
    assert not any(each.passed for each in told)
    assert {each.says for each in told} == {"Not judged. It did not run."}
