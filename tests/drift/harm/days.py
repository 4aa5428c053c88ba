"""Days of a champion's decisions whose outcomes are drawn from what it says, or from something else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.rollout.verdicts.pairs import PAIRS, Cohort

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST = date(2030, 1, 1)


def cohort(day: date, probability: Sequence[float | None], bad: Sequence[bool | None], at_risk: float = 60.0) -> Cohort:
    """A champion paired with itself, of whose cases each has as much at risk."""
    cases = len(probability)
    dollars = {name: [at_risk * name.endswith("bad")] * cases for name in PAIRS if "_if_" in name}
    told = {"case_key": [f"{n:05d}" for n in range(cases)], **dollars, "bad": bad, "probability": probability}
    return Cohort(day, pl.DataFrame(told, schema=PAIRS))


def days(seed: int, count: int, cases: int = 150, worse_from: int = 10**6, blurred: float = 0.0) -> Iterator[Cohort]:
    """Days of probabilities of which outcomes are drawn, with a shock that all cases of a day share.

    From day ``worse_from`` on the log-odds of the outcomes are one higher. With ``blurred``, they are as much more or
    less than what the probabilities say, at random: these rank worse.
    """
    chance = np.random.default_rng(seed)
    for number in range(count):
        said = chance.normal(-1.6, 1.2, cases)
        true = said + chance.normal(0, 0.5) + (1.0 if number >= worse_from else 0.0)
        if number >= worse_from and blurred:
            true = chance.permutation(true) * blurred + true * (1 - blurred) - 1.0
        bad = chance.random(cases) < 1 / (1 + np.exp(-true))
        yield cohort(FIRST + timedelta(days=number), (1 / (1 + np.exp(-said))).tolist(), bad.tolist())
