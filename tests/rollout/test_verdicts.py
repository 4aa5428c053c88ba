"""Verdicts: error rates that hold while watched, power, and a state that can be stopped and gone on with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.rollout.verdicts import chart
from automation.rollout.verdicts.betting import (
    FRACTIONS,
    LEAST_DAYS,
    BoundBrokenError,
    Gain,
    Ordinary,
    Wealth,
    log_mean,
)
from automation.rollout.verdicts.pairs import PAIRS, Cohort, Count, NotPairedError, paired
from automation.rollout.verdicts.plan import (
    CALIBRATION,
    COST,
    ERRORS,
    ORDINARY,
    PROMOTION,
    Calibration,
    Costs,
    OrdinaryCosts,
    Saves,
    Share,
    VerdictPlan,
)
from automation.rollout.verdicts.watch import (
    NotInOrderError,
    NotMatureError,
    UnknownClaimError,
    Verdict,
    Watch,
    started,
)
from automation.workload import Action, Policy, Stake

DAY = date(2013, 3, 1)
LATER = DAY + timedelta(days=1000)
UNTOUCHED = Wealth()
PLAN = VerdictPlan(saves=Saves(least_days=1, least_pairs=1))
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


def cohort(
    day: int,
    savings_if_good: list[float],
    savings_if_bad: list[float],
    bad: list[bool | None],
    probability: list[float | None] | None = None,
) -> Cohort:
    """Cases of which the challenger saves so much if the outcome is good or bad."""
    count = len(bad)
    return Cohort(
        DAY + timedelta(days=day),
        pl.DataFrame(
            {
                "case_key": [f"{day}:{number}" for number in range(count)],
                "champion_if_good": [50.0 + saved for saved in savings_if_good],
                "champion_if_bad": [90.0 + saved for saved in savings_if_bad],
                "challenger_if_good": [50.0] * count,
                "challenger_if_bad": [90.0] * count,
                "bad": bad,
                "probability": [0.5] * count if probability is None else probability,
            },
            schema=PAIRS,
        ),
    )


@dataclass(frozen=True)
class Simulated:
    """A day's cases: savings if the outcome is good and if it is bad, outcomes, and their chance."""

    if_good: np.ndarray
    if_bad: np.ndarray
    bad: np.ndarray
    rate: float

    @property
    def saved(self) -> float:
        return float(np.where(self.bad, self.if_bad, self.if_good).sum())


def simulated(seed: int, days: int, advantage: float = 0.0, cases: int = 40) -> list[Simulated]:
    """Days that are good or bad as a whole, and stay so for a while. The two models differ in a third of the cases, and
    on most days nearly all of these speak for the same one; ``advantage`` is what the challenger saves in each."""
    chance = np.random.default_rng(seed)
    weather, found = 0.0, []
    for _ in range(days):
        weather = 0.6 * weather + chance.normal()
        rate = 1 / (1 + math.exp(-(weather - 1)))
        bad = chance.random(cases) < rate
        # Whom the day favours is drawn evenly, so that nothing is to be expected of it: a true hypothesis.
        side = chance.choice([-1.0, 1.0]) * chance.choice([-1.0, 0.0, 1.0], cases, p=[0.03, 2 / 3, 1 / 3 - 0.03])
        size = chance.lognormal(3, 1, cases)
        if_good, if_bad = (side * size * factor + advantage * np.abs(side) for factor in (-1.0, 2.0))
        found.append(Simulated(if_good, if_bad, bad, rate))
    return found


def correlated_days(seed: int, *, advantage: float = 0.0, days: int = 120, predicted: float = 1.0) -> list[Cohort]:
    """Such days as cohorts. The models' probabilities are ``predicted`` times the true chance."""
    return [
        cohort(
            number,
            day.if_good.tolist(),
            day.if_bad.tolist(),
            day.bad.tolist(),
            [day.rate * predicted] * len(day.bad),
        )
        for number, day in enumerate(simulated(seed, days, advantage))
    ]


def saves(days: list[Simulated]) -> list[Gain]:
    """The gains of the claim that the challenger saves anything."""
    return [Gain(day.saved, max(0.0, -float(np.minimum(day.if_good, day.if_bad).sum()))) for day in days]


def costs(days: list[Simulated]) -> list[Gain]:
    """The gains of the claim that the challenger costs anything."""
    return [Gain(-day.saved, max(0.0, float(np.maximum(day.if_good, day.if_bad).sum()))) for day in days]


def log_evidence_by_day(gains: list[Gain], wealth: Wealth = UNTOUCHED) -> list[float]:
    found = []
    for gain in gains:
        wealth = wealth.after(gain)
        found.append(wealth.log_evidence)
    return found


# ---------------------------------------------------------------- the rates hold


def test_an_equal_challenger_is_believed_better_or_worse_at_most_at_the_stated_rate_however_often_looked_at() -> None:
    trials = 200
    days = [simulated(seed, 100) for seed in range(trials)]
    for claim in (saves, costs):
        highest = [max(log_evidence_by_day(claim(each))) for each in days]
        for rate in (0.2, 0.05):
            false = sum(each >= math.log(1 / rate) for each in highest)
            assert false <= trials * rate + 3 * math.sqrt(trials * rate * (1 - rate))


def test_a_test_that_is_peeked_at_is_wrong_far_more_often_on_the_same_days() -> None:
    wrong = 0
    for seed in range(60):
        by_day = np.array([day.saved for day in simulated(seed, 100)])
        t = np.cumsum(by_day) / np.sqrt(np.cumsum(by_day**2))
        wrong += bool(np.any(t[7:] > 1.645))
    assert wrong > 9


def test_the_simulated_gains_are_those_of_the_cohorts() -> None:
    for number, each in enumerate(correlated_days(7, days=5)):
        days = simulated(7, 5)
        for claim, gain in ((saves, each.savings.save(0.0)), (costs, each.savings.cost(0.0))):
            assert gain.gained == pytest.approx(claim(days)[number].gained)
            assert gain.could_lose == pytest.approx(claim(days)[number].could_lose)


@pytest.mark.parametrize("start", [Wealth(5.0), Wealth.renewed(5.0)])
@pytest.mark.parametrize("history", [[], [Gain(5.0, 10.0)], [Gain(-3.0, 4.0), Gain(100.0, 20.0), Gain(-7.0, 7.0)]])
def test_a_fair_game_is_fair_whatever_the_days_were_before(start: Wealth, history: list[Gain]) -> None:
    """Wealth is expected to stay as it is, from every state, exactly: a martingale."""
    for gain in history:
        start = start.after(gain)
    # Loses 4 with a chance of 3/4, wins 12 with 1/4.
    outcomes = [(0.75, start.after(Gain(-4.0, 4.0))), (0.25, start.after(Gain(12.0, 4.0)))]
    expected = sum(chance * math.exp(after.log_evidence) for chance, after in outcomes)
    assert expected == pytest.approx(math.exp(start.log_evidence))


def test_a_challenger_that_first_loses_what_it_then_wins_has_proved_nothing() -> None:
    """The hypothesis is about sums: half a year worse and then half a year better is not better."""
    chance = np.random.default_rng(5)
    for _ in range(40):
        expected = np.repeat([-0.3, 0.3], 60)
        gains = [
            Gain(float(mean + step), 1.3) for mean, step in zip(expected, chance.choice([-1, 1], 120), strict=True)
        ]
        assert max(log_evidence_by_day(gains)) < math.log(100)


@settings(max_examples=60, deadline=None)
@given(days=st.lists(st.tuples(st.floats(-1, 3), st.floats(0, 5)), min_size=1, max_size=40))
def test_no_day_costs_more_than_what_is_bet_on_it(days: list[tuple[float, float]]) -> None:
    wealth = Wealth()
    for share, could_lose in days:
        before, wealth = wealth, wealth.after(Gain(share * could_lose, could_lose))
        assert wealth.scale >= before.scale
        assert all(math.isfinite(each) for each in (*wealth.logarithms, wealth.log_evidence))
        assert min(np.subtract(wealth.logarithms, before.logarithms)) >= math.log1p(-FRACTIONS[-1]) - 1e-9


def test_the_scale_is_settled_before_the_day_and_a_day_beyond_it_counts_for_less() -> None:
    wealth = Wealth()
    for could_lose in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
        assert (wealth.scale, wealth.log_evidence) == (0.0, 0.0)
        wealth = wealth.after(Gain(50.0, could_lose))
    assert wealth.scale == 4.0
    usual = wealth.after(Gain(2.0, 4.0))
    assert usual.scale == 4.0
    assert usual.logarithms[1] == pytest.approx(math.log1p(FRACTIONS[1] * 2.0 / 4.0))
    beyond = wealth.after(Gain(2.0, 44.0))
    assert beyond.scale == 72 / 8
    assert beyond.logarithms[1] == pytest.approx(math.log1p(FRACTIONS[1] * 2.0 / 44.0))


def test_calibrated_probabilities_are_called_off_at_most_at_the_stated_rate() -> None:
    trials, wrong = 20, 0
    for seed in range(trials):
        wealth = [Wealth.renewed()] * 8
        for each in correlated_days(seed, days=40):
            gains = each.miscalibrated((0.2, 0.5), 0.02)
            wealth = [part.after(gain) for part, gain in zip(wealth, gains, strict=True)]
            if log_mean([part.log_evidence for part in wealth]) >= math.log(20):
                wrong += 1
                break
    assert wrong <= trials * 0.05 + 3 * math.sqrt(trials * 0.05)


def test_no_guess_about_calibration_gains_more_than_the_calibration_error() -> None:
    chance = np.random.default_rng(3)
    probability = chance.random(500)
    bad = chance.random(500) < probability**2
    edges, at_most = (0.25, 0.5, 0.75), 0.07
    day = cohort(0, [0.0] * 500, [0.0] * 500, bad.tolist(), probability.tolist())
    group = np.digitize(probability, edges)
    error = sum(abs(np.sum((bad - probability)[group == number])) for number in range(4)) / 500
    best = max(gain.gained for gain in day.miscalibrated(edges, at_most))
    assert best == pytest.approx(500 * (error - at_most))


# ---------------------------------------------------------------- power


def after(cohorts: list[Cohort], plan: VerdictPlan = PLAN) -> Watch:
    watch = started(plan)
    for each in cohorts:
        watch = watch.matured(each, LATER)
    return watch


def watched(cohorts: list[Cohort], plan: VerdictPlan = PLAN) -> Watch:
    watch = started(plan)
    for each in cohorts:
        watch = watch.matured(each, LATER)
        if watch.decided:
            break
    return watch


def test_a_better_challenger_is_promoted_and_a_worse_one_aborted() -> None:
    promoted = [watched(correlated_days(seed, advantage=30.0)) for seed in range(3)]
    assert [each.verdict for each in promoted] == [Verdict.PROMOTE] * 3
    aborted = [watched(correlated_days(seed, advantage=-30.0)) for seed in range(3)]
    assert [each.verdict for each in aborted] == [Verdict.ABORT] * 3
    in_dollars = VerdictPlan(ordinary_costs=None)
    aborted = [watched(correlated_days(seed, advantage=-30.0), in_dollars) for seed in range(3)]
    assert [(each.verdict, each.decided.claim) for each in aborted if each.decided] == [(Verdict.ABORT, COST)] * 3


def test_a_margin_must_be_saved_for_a_promotion_and_lost_for_an_abort() -> None:
    wide = VerdictPlan(saves=Saves(margin=40.0), costs=Costs(margin=40.0), ordinary_costs=OrdinaryCosts(margin=40.0))
    for advantage in (30.0, -30.0):
        assert watched(correlated_days(1, advantage=advantage), wide).verdict is Verdict.WAIT


def days_of_dollars(saved: list[float], swing: float = 2000.0) -> list[Cohort]:
    """Days of one case each, on which that much was saved of what the day could bring either way."""
    return [
        cohort(day, [amount], [amount - swing if amount > 0 else amount + swing], [False])
        for day, amount in enumerate(saved)
    ]


def test_harm_of_ordinary_days_is_proved_while_the_dollars_that_a_day_could_bring_hide_it() -> None:
    chance = np.random.default_rng(2)
    harmful = days_of_dollars((-60.0 + 40.0 * chance.normal(size=25)).tolist())
    assert watched(harmful, VerdictPlan(ordinary_costs=None, calibration=None)).verdict is Verdict.WAIT
    watch = watched(harmful, VerdictPlan(calibration=None))
    assert watch.decided is not None
    assert (watch.verdict, watch.decided.claim) == (Verdict.ABORT, ORDINARY)
    assert "costs more than $0.00 a case beyond the champion on ordinary days" in watch.decided.says


def test_a_challenger_whose_days_are_as_likely_good_as_bad_is_aborted_at_most_at_the_stated_rate() -> None:
    """Days as wild as they come: the hypothesis needs no more than that a loss is no likelier than the same gain."""
    chance, wrong, trials = np.random.default_rng(5), 0, 300
    for _ in range(trials):
        sizes = chance.standard_cauchy(120) * np.exp(np.cumsum(0.1 * chance.normal(size=120)))
        ordinary, wealth = Ordinary(), Wealth.renewed(1.0)
        for gained in np.clip(sizes, -1e6, 1e6).tolist():
            wealth, ordinary = wealth.after(ordinary.capped(gained, 1e6, 2.0)), ordinary.after(gained, 1e6)
            if wealth.log_evidence >= math.log(20):
                wrong += 1
                break
    assert wrong <= trials * 0.05 + 3 * math.sqrt(trials * 0.05)


def test_what_saves_in_all_is_not_aborted_for_what_it_costs_on_most_days() -> None:
    """A challenger that insures: little is lost on most days, much saved on a few."""
    insures = days_of_dollars([*[-20.0] * 5, 1900.0, *[-20.0] * 80])
    watch = after(insures, VerdictPlan(calibration=None))
    assert watch.standings[ORDINARY].log_evidence >= math.log(100)
    assert watch.standings[ORDINARY].gained == 85 * 20 - 1900
    assert watch.verdict is Verdict.WAIT


def test_an_ordinary_day_is_the_mean_of_those_before_and_caps_the_next_either_way() -> None:
    ordinary = Ordinary()
    for day, gained in enumerate((10.0, -20.0, 30.0)):
        assert (ordinary.days, ordinary.capped(gained, 100.0, 2.0)) == (day, Gain(0.0, 1.0))
        ordinary = ordinary.after(gained, 100.0)
    assert (ordinary.days, ordinary.shares) == (LEAST_DAYS, pytest.approx(0.6))
    # Twice a fifth of the thousand that this day could bring.
    assert ordinary.capped(-100.0, 1000.0, 2.0).gained == pytest.approx(-0.25)
    assert ordinary.capped(900.0, 1000.0, 2.0) == Gain(1.0, 1.0)
    assert ordinary.capped(-900.0, 1000.0, 2.0) == Gain(-1.0, 1.0)
    assert ordinary.capped(0.0, 0.0, 2.0) == Gain(0.0, 1.0)
    assert ordinary.after(0.0, 0.0) == ordinary


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=8), st.floats(0, 50))
def test_what_a_day_could_bring_is_alike_whichever_model_is_the_challenger(
    savings: list[tuple[float, float]], margin: float
) -> None:
    good, bad = (list(each) for each in zip(*savings, strict=True))
    day = cohort(0, good, bad, [True] * len(good))
    other = cohort(0, [-each for each in good], [-each for each in bad], [True] * len(good))
    assert day.savings.most(margin) == pytest.approx(other.savings.most(margin), abs=1e-6)
    assert abs(day.savings.cost(margin).gained) <= day.savings.most(margin) + 1e-6


def test_probabilities_that_are_off_abort() -> None:
    off = correlated_days(2, predicted=0.3)
    watch = watched(off, VerdictPlan(calibration=Calibration(at_most=0.05)))
    assert watch.decided is not None
    assert (watch.verdict, watch.decided.claim) == (Verdict.ABORT, CALIBRATION)


def test_errors_abort_on_the_day_that_they_are_many_and_not_when_they_are_few() -> None:
    watch = started(PLAN).counted("errors", DAY, Count(1, 1000))
    assert watch.verdict is Verdict.WAIT
    watch = watch.counted("errors", DAY + timedelta(days=1), Count(900, 1000))
    assert watch.decided is not None
    assert (watch.verdict, watch.decided.claim, watch.decided.day) == (
        Verdict.ABORT,
        "errors",
        DAY + timedelta(days=1),
    )


def test_errors_that_begin_after_many_good_days_abort_within_days() -> None:
    watch = started(PLAN)
    for number in range(200):
        watch = watch.counted("errors", DAY + timedelta(days=number), Count(0, 1000))
    assert watch.verdict is Verdict.WAIT
    for number in range(200, 204):
        watch = watch.counted("errors", DAY + timedelta(days=number), Count(200, 1000))
    assert watch.verdict is Verdict.ABORT


def test_a_share_at_its_limit_is_believed_above_it_at_most_at_the_stated_rate() -> None:
    chance, wrong = np.random.default_rng(11), 0
    for _ in range(150):
        gains = [Count(int(bad), 500).exceeds(0.01) for bad in chance.binomial(500, 0.01, 100)]
        wrong += max(log_evidence_by_day(gains, Wealth.renewed(0.01))) >= math.log(20)
    assert wrong <= 150 * 0.05 + 3 * math.sqrt(150 * 0.05)


# ---------------------------------------------------------------- order, delay, optional stopping


def test_a_day_gives_no_verdict_before_its_outcomes_are_there() -> None:
    watch = started(PLAN)
    young = cohort(0, [1.0, 1.0], [1.0, 1.0], [True, None])
    with pytest.raises(NotMatureError, match=r"1 of 2 outcomes of 2013-03-01 are .*\n.*2013-03-05"):
        watch.matured(young, DAY + timedelta(days=3))
    assert watch.matured(young, DAY + timedelta(days=4)).standings[PROMOTION].cases == 2


def test_an_outcome_that_never_comes_counts_against_either_claim() -> None:
    lost, known = (cohort(0, [-10.0], [30.0], [bad]) for bad in (None, True))
    assert (lost.savings.save(0.0), lost.savings.cost(0.0)) == (Gain(-10.0, 10.0), Gain(-30.0, 30.0))
    assert (known.savings.save(0.0).gained, known.savings.cost(0.0).gained) == (30.0, -30.0)
    assert {gain.gained for gain in lost.miscalibrated((), 0.1)} == {-0.6}


def test_every_day_is_shown_once_and_in_order() -> None:
    watch = started(PLAN).matured(cohort(0, [1.0], [1.0], [True]), LATER)
    assert watch.next_day(COST) == DAY + timedelta(days=1)
    for wrong in (0, 2):
        with pytest.raises(NotInOrderError):
            watch.matured(cohort(wrong, [1.0], [1.0], [True]), LATER)
    empty = watch.matured(cohort(1, [], [], []), LATER)
    assert (empty.standings[PROMOTION].days, empty.standings[PROMOTION].cases) == (2, 1)
    assert empty.standings[PROMOTION].log_evidence == 0.0


def test_a_verdict_stands_whatever_comes_after_and_a_guard_goes_first() -> None:
    better = correlated_days(1, advantage=30.0)
    watch = watched(better)
    assert watch.verdict is Verdict.PROMOTE
    day = watch.next_day(COST)
    assert day is not None
    worse = correlated_days(1, advantage=-300.0)[(day - DAY).days :]
    for each in worse[:30]:
        watch = watch.matured(each, LATER)
    assert watch.verdict is Verdict.PROMOTE
    both = watched(
        correlated_days(3, advantage=60.0, predicted=0.3), VerdictPlan(saves=Saves(least_days=60, least_pairs=1))
    )
    assert both.verdict is Verdict.ABORT


def test_no_verdict_on_dollars_that_all_days_in_full_speak_against() -> None:
    """Days beyond the scale count for less as evidence, and in full as dollars."""
    days = [*(cohort(day, [-5.0], [5.0], [True]) for day in range(29)), cohort(29, [-1000.0], [1000.0], [False])]
    watch = after(days, VerdictPlan(saves=Saves(least_days=30, least_pairs=1), calibration=None))
    assert watch.evidence()[0].enough
    assert watch.standings[PROMOTION].gained == 29 * 5 - 1000
    assert watch.verdict is Verdict.WAIT
    mirrored = [*(cohort(day, [5.0], [-5.0], [True]) for day in range(7)), cohort(7, [1000.0], [-1000.0], [False])]
    mirrored += [cohort(day, [5.0], [-5.0], [True]) for day in range(8, 200)]
    watch = after(mirrored, VerdictPlan(costs=Costs(rate=0.05), calibration=None))
    assert watch.evidence()[1].enough
    assert watch.standings[COST].gained == 199 * 5 - 1000
    assert watch.verdict is Verdict.WAIT


def test_no_promotion_before_the_least_days_and_pairs() -> None:
    days = correlated_days(1, advantage=60.0)
    patient = watched(days, VerdictPlan(saves=Saves(least_days=50, least_pairs=3000), calibration=None))
    assert patient.decided is not None
    assert patient.decided.day == DAY + timedelta(days=74)


def test_the_order_of_the_cases_changes_nothing() -> None:
    days = correlated_days(4, days=2)
    shuffled = [Cohort(each.day, each.pairs.sample(fraction=1.0, shuffle=True, seed=3)) for each in days]
    assert after(days) == after(shuffled)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_cost_or_a_probability_that_is_no_number_is_refused(broken: float) -> None:
    with pytest.raises(NotPairedError, match="not a number"):
        cohort(0, [broken], [1.0], [True])
    with pytest.raises(NotPairedError, match="not between 0 and 1"):
        cohort(0, [1.0], [1.0], [True], [broken])
    with pytest.raises(BoundBrokenError):
        Gain(broken, 1.0)
    with pytest.raises(BoundBrokenError, match="could lose no more"):
        Gain(-2.0, 1.0)


def test_counts_and_claims_that_cannot_be_are_refused() -> None:
    with pytest.raises(NotPairedError):
        Count(3, 2)
    for claim in ("nothing", COST):
        with pytest.raises(UnknownClaimError):
            started(PLAN).counted(claim, DAY, Count(0, 1))


def test_rates_that_add_up_to_too_much_and_claims_of_one_name_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="add up"):
        VerdictPlan(costs=Costs(rate=0.2))
    with pytest.raises(pydantic.ValidationError, match="called errors"):
        VerdictPlan(shares=(ERRORS, ERRORS))
    with pytest.raises(pydantic.ValidationError, match="called saves"):
        VerdictPlan(shares=(Share(name="saves", says="failed", at_most=0.1),))
    with pytest.raises(pydantic.ValidationError, match="rise"):
        Calibration(edges=(0.5, 0.2))
    assert VerdictPlan().false_aborts == pytest.approx(0.04)
    assert VerdictPlan(ordinary_costs=None).false_aborts == pytest.approx(0.03)


def test_two_models_that_decide_alike_prove_nothing() -> None:
    watch = started(PLAN)
    for day in range(50):
        watch = watch.matured(cohort(day, [0.0] * 3, [0.0] * 3, [True] * 3, [None] * 3), LATER)
    assert [each.log10 for each in watch.evidence()] == pytest.approx([0.0] * 5)
    assert watch.verdict is Verdict.WAIT


# ---------------------------------------------------------------- pairs of decisions


def test_pairs_cost_what_the_policy_says_of_both_actions() -> None:
    champion = pl.DataFrame({"case_key": ["a", "b"], "action": ["proceed", "protect"], "stake": [100.0, 10.0]})
    challenger = pl.DataFrame({"case_key": ["b", "a"], "action": ["protect", "protect"], "probability": [None, 0.6]})
    outcomes = pl.DataFrame({"case_key": ["a", "z"], "label": [True, False]})
    found = paired(champion, challenger, outcomes, DAY, POLICY)
    assert found.pairs.rows() == [
        ("a", 0.0, 6000.0, 1200.0, 3600.0, True, 0.6),
        ("b", 120.0, 360.0, 120.0, 360.0, None, None),
    ]
    assert found.savings.save(1.0) == Gain(2400.0 - 2.0, 1202.0)
    assert not found.is_mature(DAY, 0)
    with pytest.raises(NotPairedError, match="same cases"):
        paired(champion, challenger.head(1), outcomes, DAY, POLICY)
    with pytest.raises(NotPairedError, match="no action hold"):
        paired(champion.with_columns(action=pl.lit("hold")), challenger, outcomes, DAY, POLICY)


# ---------------------------------------------------------------- in words and pictures


def test_the_evidence_is_said_in_odds() -> None:
    plan = VerdictPlan(saves=Saves(margin=0.05, least_days=1, least_pairs=1))
    watch = watched(correlated_days(1, advantage=30.0), plan)
    assert watch.decided is not None
    assert watch.decided.says.startswith(f"after {watch.standings[PROMOTION].days} days and ")
    assert " the evidence that it saves more than $0.05 a case is " in watch.decided.says
    assert watch.decided.says.endswith(" to 1, of 20 to 1 needed")
    said = {each.claim: each.says for each in watch.evidence()}
    assert said["errors"] == (
        "after 0 days and 0 cases the evidence that more than 0.1% of cases were not scored, which the champion "
        "scored is 1 to 1, of 100 to 1 needed"
    )


def test_the_plot_shows_every_claim_and_what_is_needed_and_is_the_same_every_time() -> None:
    watch, history = started(PLAN), []
    for each in correlated_days(1, days=10):
        watch = watch.matured(each, LATER)
        history += watch.evidence()
    drawn = chart.evidence(history, "Evidence on version 4")
    for name in (PROMOTION, COST, CALIBRATION, "20 to 1 needed", "100 to 1 needed", "2013-03-10"):
        assert f">{name}<" in drawn
    assert ">latency<" not in drawn
    assert drawn == chart.evidence(history, "Evidence on version 4")
    assert chart.evidence([], "Nothing yet").startswith("<svg")
