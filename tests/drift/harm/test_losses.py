"""What a day lost: by how much it ranked worse than promised, and cost more than expected."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from automation.drift.harm.losses import NegativeRiskError, Scored
from tests.drift.harm.days import FIRST, cohort

PROBABILITY = [0.1, 0.2, 0.2, 0.4, 0.6, 0.9]
BAD = [False, True, False, False, True, True]


def test_the_auc_is_that_of_the_days_cases_with_ties_as_halves():
    found = Scored.of(cohort(FIRST, PROBABILITY, BAD)).ranked(1)
    assert found == pytest.approx(roc_auc_score(BAD, PROBABILITY))


def test_outcomes_that_are_not_known_rank_as_well_as_they_can():
    known = [False, None, None, True, None, True]
    best = max(
        roc_auc_score([False, *guess[:2], True, guess[2], True], PROBABILITY)
        for guess in itertools.product([False, True], repeat=3)
    )
    assert Scored.of(cohort(FIRST, PROBABILITY, known)).ranked(1) == pytest.approx(best)


def test_a_day_with_too_few_bad_cases_is_no_bet_on_ranking():
    scored = Scored.of(cohort(FIRST, PROBABILITY, BAD))
    assert scored.ranked(4) is None
    assert scored.worse_ranked(0.05, 4).could_lose == 0


def test_ranking_can_lose_no_more_than_said_whatever_comes():
    for bad in itertools.product([False, True], repeat=len(PROBABILITY)):
        scored = Scored.of(cohort(FIRST, PROBABILITY, list(bad)))
        gain = scored.worse_ranked(0.03, 1)
        assert gain.gained >= -gain.could_lose - 1e-12


def test_a_surprise_is_what_bad_outcomes_cost_beyond_what_was_expected():
    gain = Scored.of(cohort(FIRST, PROBABILITY, BAD)).surprise(0.05)
    assert gain.gained == pytest.approx(0.5 - np.mean(PROBABILITY) - 0.05)
    assert gain.could_lose == pytest.approx(np.mean(PROBABILITY) + 0.05)


def test_an_outcome_that_is_not_known_is_no_surprise():
    some, none = (Scored.of(cohort(FIRST, [0.5, 0.5], bad)).surprise(0.0) for bad in ([True, None], [True, False]))
    assert some == none


def test_a_case_that_was_not_scored_is_left_out():
    some = Scored.of(cohort(FIRST, [*PROBABILITY, None], [*BAD, True])).surprise(0.0)
    assert some == Scored.of(cohort(FIRST, PROBABILITY, BAD)).surprise(0.0)


def test_a_day_without_scored_cases_is_no_bet():
    scored = Scored.of(cohort(FIRST, [], []))
    assert scored.surprise(0.05).could_lose == 0
    assert scored.worse_ranked(0.05, 1).could_lose == 0


def test_a_bad_outcome_that_costs_less_than_a_good_one_is_refused():
    with pytest.raises(NegativeRiskError, match="cases of 2030-01-01"):
        Scored.of(cohort(FIRST, [0.5], [True], at_risk=-1.0))
