"""What the decisions would become: the holdout's days decided under the policy with each model's probabilities.

Every case of a day is decided, in order and under its limits, as `automation.policy.deciding` does it in earnest: also
those without a usable vector, which go to a person, and those whose outcome is not known, which use limits, too. What
others used of the limits is left out, alike for both. Dollars are realised ones, of the cases whose outcome is known;
a case that goes to a person counts as nothing done.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.lakehouse import DAY
from automation.policy.authorization.requests import ModelStage
from automation.policy.choice import NONE
from automation.policy.costs import costs
from automation.policy.deciding import AUTOMATED, Day, Weighed, outcomes_of
from automation.policy.limits.demand import usual
from automation.rollout.judging.holdout import CASE_KEY, EVENT_TIME, LABEL, Holdout
from automation.rollout.judging.metrics import Compared, Metric, compare
from automation.rollout.judging.resampling import Difference, Interval, Mean, interval

if TYPE_CHECKING:
    from datetime import date

    from automation.policy.bundle import PolicyBundle
    from automation.policy.limits.demand import Demands
    from automation.rollout.judging.holdout import Judged, Scored
    from automation.rollout.judging.plan import JudgingPlan
    from automation.rollout.judging.resampling import Resamples


@dataclass(frozen=True)
class Volume:
    """How many cases get an action."""

    action: str
    cases: int


@dataclass(frozen=True)
class WouldDecide:
    """What a version would decide: ``automated`` cases without a person; ``held_back`` ones whose least costly open
    action a limit left no room for."""

    version: int
    cases: int
    automated: int
    volumes: tuple[Volume, ...]
    held_back: int

    @property
    def automation_rate(self) -> float:
        return self.automated / self.cases


@dataclass(frozen=True)
class Decisions:
    """What both would decide; ``otherwise``: cases that get another action or another hand.

    ``compared`` has the dollars; ``above_nothing``: dollars a case beyond those of doing nothing (less is better).
    """

    candidate: WouldDecide
    champion: WouldDecide | None
    otherwise: int
    compared: Compared
    above_nothing: Interval

    @property
    def reviews_more(self) -> float:
        """The share of the cases that go to a person under the candidate and would not under the champion, net."""
        return 0.0 if self.champion is None else self.champion.automation_rate - self.candidate.automation_rate

    @property
    def dollars_worse(self) -> Interval:
        """Dollars a case beyond the champion's, or beyond those of doing nothing where there is no champion."""
        return self.above_nothing if self.compared.more is None else self.compared.more


def would_decide(judged: Judged, policy: PolicyBundle, plan: JudgingPlan, resamples: Resamples) -> Decisions:
    """Decides the holdout with the candidate's probabilities, and with the champion's."""
    holdout = judged.holdout
    known, days = holdout.known, len(holdout.days)
    day = holdout.day[known]

    def mean(dollars: np.ndarray) -> Mean:
        return Mean.of(dollars, day, days)

    candidate = _decided(holdout, judged.candidate, policy)
    champion = None if judged.champion is None else _decided(holdout, judged.champion, policy)
    names = [action.name for action in policy.declared.actions]
    label = holdout.cases[LABEL].cast(pl.Float64).to_numpy()[known]
    realised = costs(label, candidate.stake[known], policy.declared)
    nothing = mean(realised.values[:, names.index(policy.declared.safe_action)])
    spent = mean(realised.of(candidate.action[known]))
    spent_beside = None if champion is None else mean(realised.of(champion.action[known]))
    return Decisions(
        candidate.counted(names),
        None if champion is None else champion.counted(names),
        0 if champion is None else candidate.unlike(champion),
        compare(Metric.DOLLARS, spent, spent_beside, resamples, plan.rate),
        interval(Difference(spent, nothing), resamples, plan.rate),
    )


@dataclass(frozen=True, eq=False)
class _Decided:
    """By case: the action's column, whether no person decides, whether a limit stood against what it wanted, stake."""

    version: int
    action: np.ndarray
    automated: np.ndarray
    held_back: np.ndarray
    stake: np.ndarray

    def unlike(self, other: _Decided) -> int:
        """How many cases get another action or another hand."""
        return int(np.count_nonzero((self.action != other.action) | (self.automated != other.automated)))

    def counted(self, names: list[str]) -> WouldDecide:
        counts = Counter(self.action.tolist())
        return WouldDecide(
            self.version,
            len(self.action),
            int(self.automated.sum()),
            tuple(Volume(name, counts[column]) for column, name in enumerate(names)),
            int(self.held_back.sum()),
        )


def _decided(holdout: Holdout, scored: Scored, policy: PolicyBundle) -> _Decided:
    names = [action.name for action in policy.declared.actions]
    actions, automated, held_back, stakes = [], [], [], []
    # What is usual is what the model itself wanted before: of its first days, nothing.
    demands: dict[date, Demands] = {}
    for number, at in enumerate(holdout.days):
        day = _day(holdout, scored, np.flatnonzero(holdout.day == number))
        weighed = Weighed(replace(day, usual=usual(policy.declared.limits, demands, at)), policy)
        choice, demands[at] = weighed.choose({}), weighed.demand
        made = outcomes_of(weighed, choice)
        actions.append(made["action"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy())
        automated.append((made["status"] == AUTOMATED).to_numpy())
        held_back.append(choice.held_back != NONE)
        stakes.append(weighed.stake)
    return _Decided(scored.version, *(np.concatenate(parts) for parts in (actions, automated, held_back, stakes)))


def _day(holdout: Holdout, scored: Scored, rows: np.ndarray) -> Day:
    cases, usable = holdout.cases[rows], pl.Series(holdout.usable[rows])
    scores = cases.select(
        CASE_KEY,
        EVENT_TIME,
        probability=pl.when(usable).then(pl.Series(scored.probability[rows], dtype=pl.Float64)),
        problems=pl.when(usable).then(pl.lit("[]")).otherwise(pl.lit('["its vector breaks its contract"]')),
        model_version=pl.lit(scored.version, dtype=pl.Int64),
    )
    # The label is no more to be seen by a policy than by a model. Both decide as they would as champion.
    own = cases.drop(DAY, LABEL)
    return Day(
        holdout.workload, scores, holdout.vectors[rows], pl.DataFrame(), own, holdout.timezone, ModelStage.CHAMPION
    )
