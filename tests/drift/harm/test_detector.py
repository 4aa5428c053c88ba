"""Evidence that something began to be lost: how rarely where there is nothing, how soon where there is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from automation.drift.harm.detector import Detector
from automation.rollout.verdicts.betting import FRACTIONS, Gain

BOUND = 0.2


def test_evidence_is_what_all_bets_that_have_started_have_together():
    gains = [0.1, -0.05, 0.2, -0.2, 0.15]
    detector = Detector(BOUND)
    for gain in gains:
        detector = detector.after(Gain(gain, BOUND))
    by_hand = [
        sum(math.prod(1 + part * gain / BOUND for gain in gains[start:]) for start in range(len(gains)))
        for part in FRACTIONS
    ]
    assert math.exp(detector.log_evidence) == pytest.approx(np.mean(by_hand))


def test_before_the_first_day_there_is_no_evidence():
    assert Detector(BOUND).log_evidence == -math.inf


def test_a_day_that_could_lose_more_than_the_scale_counts_in_proportion():
    plain, large = Detector(BOUND).after(Gain(0.1, BOUND)), Detector(BOUND).after(Gain(0.2, 2 * BOUND))
    assert plain == large


def _run(seed: int, needed: float, most: int) -> int:
    """Days to an alarm by fair, lopsided days: mostly small losses, rarely a large gain. Their mean is zero."""
    chance = np.random.default_rng(seed)
    detector = Detector(BOUND)
    for day in range(1, most + 1):
        detector = detector.after(Gain(3 * BOUND if chance.random() < 0.25 else -BOUND, BOUND))
        if detector.log_evidence >= math.log(needed):
            return day
    return most


def test_a_false_alarm_comes_after_the_stated_days_on_average_or_more():
    needed = 30
    assert np.mean([_run(seed, needed, 600) for seed in range(200)]) >= needed


def test_a_loss_that_lasts_is_found_and_its_first_day_nearly_so():
    chance = np.random.default_rng(1)
    detector, found = Detector(BOUND), None
    for day in range(1, 400):
        expected = 0.06 if day > 200 else -0.02
        detector = detector.after(Gain(float(np.clip(chance.normal(expected, 0.06), -BOUND, 1)), BOUND))
        if found is None and detector.log_evidence >= math.log(1000):
            found = day, detector.since
    assert found is not None
    assert 200 < found[0] < 240
    assert 190 < found[1] < 215
