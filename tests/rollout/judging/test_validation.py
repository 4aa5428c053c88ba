"""A candidate that was trained here is held for an error that whole days prove, not for the weather of a few."""

from __future__ import annotations

import numpy as np
import pytest

from automation.evaluation import Evaluation, FeatureStrength, auc, calibration_error
from automation.rollout.judging import gates
from automation.rollout.judging.gates import TELLING_DAYS
from automation.workload import ModelSpec

LIMIT, RATE, CASES = 0.05, 0.01, 300


class Nothing:
    """A model that has no feature to tell of."""

    def importance(self) -> dict[str, float]:
        return {}


def evaluation(days: int, overstated: float, weather: float, seed: int = 3) -> Evaluation:
    """Cases whose log-odds are ``overstated`` by the model, and shifted on each day by a weather of its own."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), CASES)
    odds = chance.normal(-1.5, 1.0, days * CASES)
    label = chance.random(len(odds)) < 1 / (1 + np.exp(-(odds + weather * chance.standard_normal(days)[day])))
    probability = 1 / (1 + np.exp(-(odds + overstated)))
    metrics = {"calibration_error": calibration_error(probability, label), "auc": auc(probability, label)}
    metrics |= {"brier": 0.1, "brier_base_rate": 0.2, "auc_simple_rule": 0.5}
    return Evaluation(probability, label.astype(int), day, metrics, FeatureStrength("wind", 0.6))


def calibrated(found: Evaluation) -> tuple[bool, str]:
    given = ModelSpec.model_construct(calibration_error_limit=LIMIT, leak_auc_limit=0.9, rule_feature="wind")
    judged = {each.gate.name: each for each in gates.on_validation(found, Nothing(), given, RATE, None)}
    return judged["calibrated"].passed, judged["calibrated"].says


def test_a_model_that_overstates_everything_is_held() -> None:
    passed, says = calibrated(evaluation(30, overstated=1.2, weather=0.3))
    assert not passed
    assert says.endswith("more than 0.050.")


def test_a_few_days_of_weather_prove_nothing() -> None:
    found = [evaluation(12, overstated=0.0, weather=1.2, seed=seed) for seed in range(20)]
    above = [each for each in found if each.metrics["calibration_error"] > LIMIT]
    assert len(above) >= 5, "the error alone would hold them"
    held = [each for each in above if not calibrated(each)[0]]
    assert len(held) <= 1


def test_what_is_within_the_limit_passes() -> None:
    passed, says = calibrated(evaluation(30, overstated=0.0, weather=0.1))
    assert passed
    assert "not proven to be more than 0.050" in says


@pytest.mark.parametrize("days", [1, TELLING_DAYS - 1])
def test_of_too_few_days_the_error_itself_is_judged(days: int) -> None:
    found = evaluation(days, overstated=0.0, weather=0.0)
    for error, passes in ((LIMIT + 0.001, False), (LIMIT - 0.001, True)):
        found.metrics["calibration_error"] = error
        assert calibrated(found)[0] is passes
