"""Pairs: what each case of a day cost under the champion's and under the challenger's decision.

Both models decide every case, one of them in earnest. What a decision costs is known for either outcome when it is
made, and so is the least that the challenger can save with it: the bound that bets need (`betting`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.errors import WarrantError
from automation.policy.costs import costs
from automation.rollout.verdicts.betting import Gain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from automation.workload import Policy

# Dollars of either model's action if the outcome is good and if it is bad; whether it was bad (null: not known); the
# challenger's probability that it would be (null: not scored).
PAIRS = {
    "case_key": pl.String,
    "champion_if_good": pl.Float64,
    "champion_if_bad": pl.Float64,
    "challenger_if_good": pl.Float64,
    "challenger_if_bad": pl.Float64,
    "bad": pl.Boolean,
    "probability": pl.Float64,
}
DOLLARS = tuple(name for name in PAIRS if "_if_" in name)


class NotPairedError(WarrantError):
    """The two models' decisions are not of the same cases, or a pair holds what cannot be counted."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """The cases that were decided on a day: columns `PAIRS`, with the outcomes known by now."""

    day: date
    pairs: pl.DataFrame

    def __post_init__(self) -> None:
        if dict(self.pairs.schema) != PAIRS:
            raise NotPairedError(
                f"The pairs of {self.day} have the columns {dict(self.pairs.schema)}.",
                remedy=f"They must be {', '.join(PAIRS)}: `paired` makes them.",
            )
        for problem in self._problems():
            raise NotPairedError(
                f"A pair of {self.day} {problem}.", remedy="Every case is paired once, with finite costs."
            )

    def _problems(self) -> Iterator[str]:
        if self.pairs["case_key"].has_nulls() or self.pairs["case_key"].is_duplicated().any():
            yield "has no case, or one that another pair has"
        if any(self.pairs[name].has_nulls() or not self.pairs[name].is_finite().all() for name in DOLLARS):
            yield "has a cost that is not a number"
        if not self.pairs["probability"].drop_nulls().is_between(0, 1).all():
            yield "has a probability that is not between 0 and 1"

    @property
    def cases(self) -> int:
        return self.pairs.height

    def is_mature(self, today: date, wait_days: int) -> bool:
        """Whether nothing more is to come: every outcome is known, or the time that they were given is over."""
        return (today - self.day).days > wait_days or not self.pairs["bad"].has_nulls()

    @cached_property
    def savings(self) -> Savings:
        """What the challenger saved. Summed exactly, so that the order of the cases changes no byte."""
        good, bad = (
            (self.pairs[f"champion_{outcome}"] - self.pairs[f"challenger_{outcome}"]).to_numpy()
            for outcome in ("if_good", "if_bad")
        )
        outcome = self.pairs["bad"]
        known, was_bad = outcome.is_not_null().to_numpy(), outcome.fill_null(value=False).to_numpy()
        low, high, realised = np.minimum(good, bad), np.maximum(good, bad), np.where(was_bad, bad, good)
        return Savings(
            self.cases,
            at_least=math.fsum(np.where(known, realised, low)),
            at_most=math.fsum(np.where(known, realised, high)),
            worst=math.fsum(low),
            best=math.fsum(high),
        )

    def miscalibrated(self, edges: tuple[float, ...], at_most: float) -> list[Gain]:
        """The gains of the claims that the calibration error is more than ``at_most``: one for each guess in which of
        the groups between ``edges`` too little was predicted and in which too much.

        The calibration error adds up how far off each group is, whichever way; so it is the greatest of what these
        guesses, which fix the ways beforehand, add up to. If it is at most ``at_most``, no guess has a gain to expect,
        nor has the mean of what they win (compare Arnold, Henzi and Ziegel, Sequentially valid tests for forecast
        calibration, Annals of Applied Statistics 2023).
        """
        scored = self.pairs.filter(pl.col("probability").is_not_null())
        probability, bad = scored["probability"].to_numpy(), scored["bad"].cast(pl.Float64).to_numpy()
        group, groups = np.searchsorted(np.array(edges), probability, side="right"), len(edges) + 1
        # An outcome that is not known is the one that speaks most against the claim.
        little, much = (
            np.where(np.isnan(bad), worst, off)
            for worst, off in (
                (-probability, bad - probability),
                (probability - 1, probability - bad),
            )
        )
        gained = [[math.fsum(way[group == number]) for way in (little, much)] for number in range(groups)]
        risked = [
            [math.fsum(way[group == number]) for way in (probability, 1 - probability)] for number in range(groups)
        ]
        dues = at_most * scored.height
        return [
            Gain(
                math.fsum(gained[number][guess >> number & 1] for number in range(groups)) - dues,
                math.fsum(risked[number][guess >> number & 1] for number in range(groups)) + dues,
            )
            for guess in range(2**groups)
        ]


@dataclass(frozen=True)
class Savings:
    """Dollars that the challenger saved on a day: at least and at most, alike where every outcome is known; and at
    worst and at best, whatever the outcomes are."""

    cases: int
    at_least: float
    at_most: float
    worst: float
    best: float

    def save(self, margin: float) -> Gain:
        """The gain of the claim that it saves more than ``margin`` dollars a case."""
        dues = margin * self.cases
        return Gain(self.at_least - dues, max(0.0, dues - self.worst))

    def cost(self, margin: float) -> Gain:
        """The gain of the claim that it costs more than ``margin`` dollars a case."""
        dues = margin * self.cases
        return Gain(-self.at_most - dues, max(0.0, dues + self.best))

    def most(self, margin: float) -> float:
        """The most that the day could bring either way, in dollars; alike whichever model is the challenger."""
        return max(abs(self.best), abs(self.worst)) + margin * self.cases


@dataclass(frozen=True)
class Count:
    """How many of a day's calls or decisions were bad."""

    bad: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.of:
            raise NotPairedError(
                f"{self.bad} of {self.of} cannot be bad.", remedy="Count the bad ones among all, on the same day."
            )

    def exceeds(self, share: float) -> Gain:
        """The gain of the claim that more than ``share`` are bad: by how much the day's share is more.

        It is never less than ``-share``, however many there are; nothing on a day without any.
        """
        return Gain(self.bad / self.of - share, share) if self.of else Gain(0.0, 0.0)


def paired(
    champion: pl.DataFrame, challenger: pl.DataFrame, outcomes: pl.DataFrame, day: date, policy: Policy
) -> Cohort:
    """The day's would-be decisions of both models, case by case, with the outcomes known by now.

    Args:
        champion: case_key, action and stake of each case.
        challenger: case_key, action and probability (null where it could not be scored) of the same cases.
        outcomes: case_key and label (true: bad) of those that are known; there may be others.

    Raises:
        NotPairedError: the two did not decide the same cases, each once, with actions that the policy has.
    """
    names = [action.name for action in policy.actions]
    keys = [sorted(frame["case_key"].to_list()) for frame in (champion, challenger)]
    if keys[0] != keys[1]:
        raise NotPairedError(
            f"Champion and challenger did not decide the same cases of {day}.",
            remedy="Score and decide every case of the day with both.",
        )
    both = champion.select("case_key", "stake", champion="action").join(
        challenger.select("case_key", pl.col("probability").cast(pl.Float64), challenger="action"),
        on="case_key",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    both = both.join(
        outcomes.select("case_key", bad=pl.col("label").cast(pl.Boolean)),
        on="case_key",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    strange = sorted({*both["champion"], *both["challenger"]} - set(names))
    if strange:
        raise NotPairedError(
            f"The policy has no action {', '.join(map(str, strange))}, which a case of {day} got.",
            remedy="Value decisions by the policy that decided.",
        )
    stake = both["stake"].to_numpy()
    spent = {
        outcome: costs(np.full(both.height, probability), stake, policy).values
        for outcome, probability in (("if_good", 0.0), ("if_bad", 1.0))
    }
    rows = np.arange(both.height)
    column = {
        who: both[who].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
        for who in ("champion", "challenger")
    }
    dollars = {
        f"{who}_{outcome}": pl.Series(values[rows, column[who]], dtype=pl.Float64)
        for who in column
        for outcome, values in spent.items()
    }
    return Cohort(day, both.with_columns(**dollars).select(*PAIRS))
