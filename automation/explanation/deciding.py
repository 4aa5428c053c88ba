"""The seam to the policy: a case when its turn came, decided again as it was or otherwise, and the rules that applied.

A case is decided by itself: what was used of the limits when its turn came is all that it needs to know of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.policy.bundle import WORKED_OUT
from automation.policy.cents import IN_A_DOLLAR
from automation.policy.choice import PERSON
from automation.policy.deciding import Weighed, authorized, each_alone, switched
from automation.policy.limits.declared import Budget, Limit
from automation.policy.limits.use import WHOLE_DAY, Use
from automation.policy.tables.document import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from automation.policy.choice import Choice
    from automation.policy.limits.declared import AnyLimit

# What a case would get, had its features or its probability been others: one row each of action, status and
# expected_costs (canonical JSON), for rows of features beside their probabilities. Rows do not see each other.
Redecide = Callable[[pl.DataFrame, np.ndarray], pl.DataFrame]

_SCORED = ("case_key", "event_time", "model_version", "model_stage")
_VERDICTS = {Verdict.ALLOW: "is allowed", Verdict.REVIEW: "is for a person", Verdict.FORBID: "is forbidden"}


@dataclass(frozen=True)
class Applied:
    """A rule of the policy that had a say in a decision: its name, and what it said of this case."""

    rule: str
    says: str


@dataclass(frozen=True, eq=False)
class Turn:
    """A case of a day, a row of it, when its turn came; ``choice`` is what the day's cases got.

    ``used`` is what was used by then of every limit. A decision row holds this of the limits that an action open to the
    case uses; had the case been another, another action might have been open: so it is known here of all.
    """

    weighed: Weighed
    choice: Choice
    row: int
    used: Mapping[Use, int]

    @classmethod
    def of(cls, weighed: Weighed, choice: Choice, used: Mapping[Use, int], row: int) -> Turn:
        """The turn of a row; the day's choice was made on what others ``used``."""
        return cls(weighed, choice, row, _used_before(weighed, choice, used, row))

    @property
    def features(self) -> pl.DataFrame:
        return self.weighed.day.features[self.row]

    @property
    def actions(self) -> dict[str, str]:
        """The actions there are, with their words, in the policy's order."""
        return {action.name: action.says for action in self.weighed.declared.actions}

    @property
    def reads(self) -> frozenset[str]:
        """The features that the policy looks at itself, besides the probability that the model makes of them."""
        asked = {given.name for given in self.weighed.policy.table.inputs}
        asked -= {*WORKED_OUT, *self.weighed.day.cases.columns}
        return frozenset({self.weighed.declared.stake.feature, *asked})

    def redecide(self, features: pl.DataFrame, probability: np.ndarray) -> pl.DataFrame:
        """What the case would get (see `Redecide`)."""
        return decided_at([self] * features.height, features, probability)

    def applied(self) -> tuple[Applied, ...]:
        """The rules that had a say, in their order: costs, table, limits, authorization, switches.

        Of the table, the rules that matched for the action that was chosen and for those that would cost less.
        """
        if not self.weighed.day.scored[self.row]:
            says = self.actions[self.weighed.declared.safe_action]
            closed = Applied("fail closed", f"without a usable score the machine does not decide: {says}, and ask")
            return (closed, *self._switches())
        order = np.argsort(self.weighed.expected.values[self.row], kind="stable").tolist()
        chosen = int(self.choice.chosen[self.row])
        asked = order if chosen == PERSON else order[: order.index(chosen) + 1]
        answers = authorized(self.weighed, self.choice, [self.row]).values()
        return (
            self._least_cost(order),
            *(rule for column in asked for rule in self._table(column)),
            *self._limits(),
            *(Applied("authorization", answer.says.rstrip(".")) for answer in answers),
            *self._switches(),
        )

    def _least_cost(self, order: list[int]) -> Applied:
        values = self.weighed.expected.values[self.row]
        told = [f"to {self._says(column)} ${values[column]:,.0f}" for column in order]
        return Applied("least cost", f"expected to cost least first: {', '.join(told)}")

    def _table(self, column: int) -> Iterator[Applied]:
        table, known = self.weighed.table, self.weighed.policy.table.verdict_of
        whole = Verdict(table.verdicts[self.row, column])
        for rule, reason in zip(table.rules[self.row][column], table.reasons[self.row][column], strict=True):
            # What is no rule of the table (an input that is wrong, no rule at all) speaks for the whole answer.
            yield Applied(rule, f"to {self._says(column)} {_VERDICTS[known.get(rule, whole)]}: {reason}")

    def _limits(self) -> Iterator[Applied]:
        limits, held_back = self.weighed.declared.limits, int(self.choice.held_back[self.row])
        for number, (limit, use) in enumerate(zip(limits, self.weighed.uses[self.row], strict=True)):
            so = f", so not to {self._says(int(self.choice.wanted[self.row]))}" if number == held_back else ""
            used, left = self.used[use], max(0, limit.capacity - self.used[use])
            asked = limit.follows and self.choice.asked[self.row, number]
            worth = f", a place worth ${self.choice.worth[self.row, number]:,.2f}" if asked else ""
            says = (
                f"{limit}: {_units(limit, used)}{_of(use)} used before this one, {_units(limit, left)} left{worth}{so}"
            )
            yield Applied(f"limit {limit.key}", says)

    def _switches(self) -> Iterator[Applied]:
        for says in (*switched(self.weighed, self.choice, self.row), *self.weighed.held(self.row)):
            yield Applied("switch", says)

    def _says(self, column: int) -> str:
        return self.weighed.declared.actions[column].says


def decided_at(turns: Sequence[Turn], features: pl.DataFrame, probability: np.ndarray) -> pl.DataFrame:
    """`Redecide`, of several cases of one day at once: each row is decided at the turn beside it."""
    weighed = turns[0].weighed
    rows = np.array([turn.row for turn in turns], dtype=np.uint32)
    day = replace(
        weighed.day,
        scores=weighed.day.scores.select(pl.col("^(" + "|".join(_SCORED) + ")$"))[rows].with_columns(
            probability=pl.Series(probability, dtype=pl.Float64), problems=pl.lit("[]")
        ),
        features=features,
        contributions=pl.DataFrame(height=features.height),
        cases=weighed.day.cases[rows],
    )
    made = each_alone(Weighed(day, weighed.policy), {}, [turn.used for turn in turns])
    return made.select("action", "status", "expected_costs")


def _used_before(weighed: Weighed, choice: Choice, used: Mapping[Use, int], row: int) -> dict[Use, int]:
    """What was used of each limit by others and by the day's cases before this one."""
    own, safe = weighed.uses[row], weighed.declared.safe_action
    before = {use: used.get(use, 0) for use in own}
    for limit, use in zip(weighed.declared.limits, own, strict=True):
        if isinstance(limit, Limit) and limit.follows:
            seen = Use(limit.wanted, use.group, use.window)
            before[seen] = used.get(seen, 0) + weighed.wanted_before(limit, row)
    for earlier in np.flatnonzero(choice.chosen[:row] != PERSON).tolist():
        column = int(choice.chosen[earlier])
        for limit, use, mine in zip(weighed.declared.limits, weighed.uses[earlier], own, strict=True):
            if use == mine and limit.limits(weighed.names[column], safe):
                before[use] += limit.units(int(weighed.actions.prices[earlier, column]))
    return before


def _units(limit: AnyLimit, units: int) -> str:
    return f"${units / IN_A_DOLLAR:,.2f}" if isinstance(limit, Budget) else f"{units:,}"


def _of(use: Use) -> str:
    """Which part of a limit a case counts in."""
    group = f" of {use.group}" if use.group is not None else ""
    return group if use.window == WHOLE_DAY else f"{group} in hour {use.window}"
