"""What a day of decisions lost, by two losses that a bad week of weather does not move by itself.

Dollars lost follow the weather: a stormy week is no harm that the model does. So each loss here is beside what the day
itself allows.

- *Ranking*: by how much the AUC among the cases of the day falls short of what the model's own probabilities promise.
  How well cases can be ranked at all follows the season, and a model that is right follows it, too.
- *Surprise*: dollars that decisions cost beyond what the model expected of them, as a share of the dollars at risk:
  by how much bad outcomes of all cases would cost more than good ones. A storm that was foreseen is no surprise.

Both take a cohort of the champion paired with itself (`automation.rollout.verdicts.pairs.paired`) and give gains of the
claim that there is harm, with what could be lost at most whatever the outcomes are. Cases that were not scored are left
out: there is nothing that the model said of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.drift.proxy.expected import expected_auc, realised_auc
from automation.errors import WarrantError
from automation.rollout.verdicts.betting import Gain

if TYPE_CHECKING:
    from automation.rollout.verdicts.pairs import Cohort


class NegativeRiskError(WarrantError):
    """A bad outcome costs less than a good one."""


@dataclass(frozen=True, eq=False)
class Scored:
    """The scored cases of a day: probability, dollars at risk and outcome (1: bad, NaN: not known). Shapes (cases,)."""

    probability: np.ndarray
    at_risk: np.ndarray
    bad: np.ndarray

    @classmethod
    def of(cls, cohort: Cohort) -> Scored:
        """The scored cases of a cohort. Of its pairs the champion's side counts.

        Raises:
            NegativeRiskError: of some case a bad outcome costs less than a good one.
        """
        rows = cohort.pairs.filter(pl.col("probability").is_not_null()).sort("case_key")
        at_risk = (rows["champion_if_bad"] - rows["champion_if_good"]).to_numpy()
        if (at_risk < 0).any():
            raise NegativeRiskError(
                f"Of {int((at_risk < 0).sum())} cases of {cohort.day} a bad outcome costs less than a good one.",
                remedy="Look at the policy's actions: none may spare more than the harm.",
            )
        return cls(rows["probability"].to_numpy(), at_risk, rows["bad"].cast(pl.Float64).to_numpy())

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.bad)

    def ranked(self, least_cases: int) -> float | None:
        """The day's AUC; where outcomes are not known, the greatest that it can be. None if too few cases are bad or
        good, however the unknown ones came out."""
        known = self.known
        bad, good = int((self.bad == 1).sum()), int((self.bad == 0).sum())
        if min(bad, good) < least_cases:
            return None
        if known.all():
            return realised_auc(self.probability, self.bad == 1)
        # The greatest has a threshold above which all unknown ones are bad: another labelling has a pair to exchange.
        unknown = np.sort(self.probability[~known])
        return max(
            realised_auc(self.probability, np.where(known, self.bad == 1, self.probability >= threshold))
            for threshold in (*np.unique(unknown), np.inf)
        )

    def shortfall(self, least_cases: int) -> float | None:
        """By how much the day's AUC is below what the probabilities promise; None if `ranked` is."""
        auc, promised = self.ranked(least_cases), expected_auc(self.probability)
        return None if auc is None or promised is None else promised - auc

    def worse_ranked(self, usual: float, least_cases: int) -> Gain:
        """The gain of the claim that the day's shortfall is to be expected above ``usual``: by how much it is."""
        auc, promised = self.ranked(least_cases), expected_auc(self.probability)
        if auc is None or promised is None:
            return Gain(0.0, 0.0)
        return Gain(promised - auc - usual, 1 - promised + usual)

    def surprise(self, margin: float) -> Gain:
        """The gain of the claim that decisions cost more than expected, by more than ``margin`` of what is at risk.

        An outcome that is not known counts as a good one.
        """
        total = math.fsum(self.at_risk)
        if total == 0:
            return Gain(0.0, 0.0)
        expected = math.fsum(self.at_risk * self.probability) / total
        happened = math.fsum(self.at_risk * np.where(self.known, self.bad, 0.0)) / total
        return Gain(happened - expected - margin, expected + margin)
