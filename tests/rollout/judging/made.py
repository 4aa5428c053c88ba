"""Made-up holdouts: days that are good or bad as a whole, cases at five airports, and models that know more or less."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from automation.rollout.judging.holdout import SEASONS, Holdout, Judged, Scored
from automation.rollout.judging.plan import JudgingPlan
from automation.workload import ModelSpec
from tests.policy.made import NAME, declared, small

FIRST = date(2013, 5, 20)
AIRPORTS = ("BOS", "EWR", "JFK", "LGA", "SFO")
PLAN = JudgingPlan(slices=("airport", "hour", "season"), least_cases=500, least_slice_cases=80)
MODEL = ModelSpec(name="toy", contract="vector", rule_feature="queue")
POLICY = small(declared({"action": "act", "at_most": 5, "per": "airport"}))


def sigmoid(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-score))


@dataclass(frozen=True, eq=False)
class Made:
    """A holdout, and the log-odds from which its outcomes were drawn."""

    holdout: Holdout
    log_odds: np.ndarray

    def scored(self, version: int, log_odds: np.ndarray) -> Scored:
        return Scored(version, sigmoid(log_odds))

    def honest(self, version: int = 2, *, noise: float = 0.5) -> Scored:
        """A model that knows the log-odds up to some noise of its own, and is calibrated for that."""
        off = np.random.default_rng(version).normal(0, noise, len(self.log_odds))
        # The truth is less extreme than what a noisy reading of it says.
        return self.scored(version, self.log_odds + off - 0.1 * noise * (self.log_odds + off))

    @property
    def airport(self) -> np.ndarray:
        return self.holdout.cases["airport"].to_numpy()


def made(seed: int = 0, *, days: int = 28, cases: int = 60, day_effect: float = 0.8, first: date = FIRST) -> Made:
    chance = np.random.default_rng(seed)
    total = days * cases
    day = np.repeat(np.arange(days), cases)
    queue = chance.normal(0, 1.2, total)
    log_odds = -1.2 + chance.normal(0, day_effect, days)[day] + queue
    hour = np.tile(np.arange(cases) * 16 // cases + 6, days)
    local = ZoneInfo("America/New_York")
    at = [datetime.combine(first + timedelta(int(d)), datetime.min.time(), local) for d in day]
    airport = chance.choice(AIRPORTS, total, p=[0.25, 0.25, 0.25, 0.2, 0.05])
    event_time = pl.Series([time.replace(hour=int(h)) for time, h in zip(at, hour, strict=True)]).dt.convert_time_zone(
        "UTC"
    )
    cases_ = pl.DataFrame(
        {
            "case_key": [f"case {number:06}" for number in range(total)],
            "event_time": event_time.cast(pl.Datetime("us", "UTC")),
            "day": [first + timedelta(int(d)) for d in day],
            "label": pl.Series((chance.random(total) < sigmoid(log_odds)).astype(np.int8)),
            "airport": airport,
        }
    )
    slices = pl.DataFrame(
        {
            "airport": airport,
            "hour": [f"{h:02}:00" for h in hour],
            "season": [SEASONS[d.month % 12 // 3] for d in cases_["day"]],
        }
    )
    vectors = pl.DataFrame({"queue": queue, "size": chance.choice([40.0, 80.0, 160.0], total)})
    return Made(Holdout(NAME, "America/New_York", cases_, vectors, np.ones(total, dtype=bool), slices), log_odds)


def judged(found: Made, candidate: Scored, champion: Scored | None) -> Judged:
    return Judged(found.holdout, candidate, champion)
