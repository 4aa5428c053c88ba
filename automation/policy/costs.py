"""The least costly action for each case, within the policy's limits; a person where the machine may not decide.

Everything here is a pure function of the scores and the policy, so a day decides alike whenever it is replayed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.workload import Policy

AUTOMATED, REVIEW = "automated", "review"
REASONS_SHOWN = 3


@dataclass(frozen=True)
class Costs:
    """Dollars by case (rows) and action (columns, in the policy's order)."""

    actions: tuple[str, ...]
    values: np.ndarray

    def of(self, chosen: np.ndarray) -> np.ndarray:
        """The cost of each case's own action, given as its column."""
        return self.values[np.arange(len(chosen)), chosen]

    def as_json(self) -> list[str]:
        """Each case's costs as canonical JSON."""
        order = sorted(range(len(self.actions)), key=lambda column: self.actions[column])
        return [
            json.dumps({self.actions[c]: float(row[c]) for c in order}, separators=(",", ":")) for row in self.values
        ]


def stakes(features: pl.DataFrame, policy: Policy) -> np.ndarray:
    """Units at stake of each case: the feature times its factor, with the assumed value where it is not known."""
    stake = policy.stake
    if stake.feature not in features.columns:
        return np.full(features.height, stake.otherwise * stake.factor)
    value = features[stake.feature].cast(pl.Float64, strict=False)
    usable = value.is_finite() & (value > 0)
    return pl.select(pl.when(usable).then(value).otherwise(stake.otherwise) * stake.factor).to_series().to_numpy()


def costs(probability: np.ndarray, stake: np.ndarray, policy: Policy) -> Costs:
    """What each action costs each case: its own price and, with ``probability``, the harm it does not spare.

    With the outcome (0 or 1) in place of the probability, these are the realised costs.
    """
    price = np.array([action.cost for action in policy.actions])
    left = np.array([1.0 - action.mitigates for action in policy.actions])
    values = stake[:, None] * (price[None, :] + probability[:, None] * policy.harm * left[None, :])
    return Costs(tuple(action.name for action in policy.actions), values)


@dataclass(frozen=True)
class Choice:
    """For each case: the column of the action chosen, and of the one it would have been without limits."""

    chosen: np.ndarray
    wanted: np.ndarray


def choose(expected: Costs, policy: Policy, order: np.ndarray, groups: Mapping[str, np.ndarray]) -> Choice:
    """The least costly action of each case that the limits leave it, the cases served one by one in ``order``.

    Equal costs go to the action declared first. ``groups`` holds, for each limit's ``per``, each case's value.
    The safe action is never limited, so there is always one left.
    """
    wanted = np.argmin(expected.values, axis=1)
    chosen = wanted.copy()
    limits = {name: [limit for limit in policy.limits if limit.action == name] for name in expected.actions}
    served: Counter = Counter()
    for case, preferred in zip(order, np.argsort(expected.values[order], axis=1, kind="stable"), strict=True):
        for column in preferred:
            uses = {(limit, groups[limit.per][case]) for limit in limits[expected.actions[column]]}
            if all(served[use] < use[0].at_most for use in uses):
                served.update(uses)
                chosen[case] = column
                break
    return Choice(chosen, wanted)


def decide(
    scores: pl.DataFrame,
    features: pl.DataFrame,
    contributions: pl.DataFrame,
    groups: pl.DataFrame,
    phrases: Mapping[str, str],
    policy: Policy,
) -> pl.DataFrame:
    """Decides cases: rows of ``scores`` (case_key, event_time, probability, problems) beside their other frames.

    A case without a usable probability gets the safe action and a person (law 2). Returns, row by row: action,
    status, review_reasons, reasons, stake, expected_cost, expected_costs.
    """
    probability = scores["probability"].cast(pl.Float64).to_numpy()
    kept = scores["problems"].fill_null("").eq("[]").to_numpy()
    scored = np.isfinite(probability) & (probability >= 0) & (probability <= 1) & kept
    stake = stakes(features, policy)
    expected = costs(np.where(scored, probability, 0.0), stake, policy)
    safe = expected.actions.index(policy.safe_action)

    order = scores.with_row_index("row").filter(pl.Series(scored)).sort("event_time", "case_key")["row"].to_numpy()
    by_limit = {limit.per: groups[limit.per].to_numpy() for limit in policy.limits}
    choice = _choose_among(order, expected, policy, by_limit)

    price = stake * np.array([action.cost for action in policy.actions])[choice.chosen]
    too_dear = scored & (price > (policy.review_above if policy.review_above is not None else np.inf))
    reviewed = ~scored | too_dear
    action = np.where(reviewed, safe, choice.chosen)

    words = _Words(policy, phrases, features, contributions)
    json_costs = expected.as_json()
    rows = []
    for row in range(scores.height):
        final, limited = int(action[row]), bool(scored[row] and choice.chosen[row] != choice.wanted[row])
        if not scored[row]:
            problems = json.loads(scores["problems"][row] or "[]") or ["no usable score"]
            review, reasons = [f"not scored: {problem}" for problem in problems], []
        else:
            reasons = words.reasons(row, int(choice.chosen[row]), expected.values[row])
            if limited:
                reasons.append(f"{_says(policy, choice.wanted[row])} would cost least, but its limit was reached")
            review = [words.too_dear(int(choice.chosen[row]), float(price[row]))] if too_dear[row] else []
        rows.append(
            (
                expected.actions[final],
                REVIEW if reviewed[row] else AUTOMATED,
                json.dumps(review, ensure_ascii=False),
                json.dumps(reasons, ensure_ascii=False),
                float(stake[row]),
                float(expected.values[row, final]) if scored[row] else None,
                json_costs[row] if scored[row] else None,
            )
        )
    return pl.DataFrame(
        rows,
        schema={
            "action": pl.String,
            "status": pl.String,
            "review_reasons": pl.String,
            "reasons": pl.String,
            "stake": pl.Float64,
            "expected_cost": pl.Float64,
            "expected_costs": pl.String,
        },
        orient="row",
    )


def _choose_among(order: np.ndarray, expected: Costs, policy: Policy, groups: dict[str, np.ndarray]) -> Choice:
    """`choose` for the cases of ``order`` alone: a case that is not scored uses up no limit."""
    part = choose(
        Costs(expected.actions, expected.values[order]),
        policy,
        np.arange(len(order)),
        {name: values[order] for name, values in groups.items()},
    )
    safe = expected.actions.index(policy.safe_action)
    chosen, wanted = (np.full(len(expected.values), safe) for _ in range(2))
    chosen[order], wanted[order] = part.chosen, part.wanted
    return Choice(chosen, wanted)


def _says(policy: Policy, column: int) -> str:
    return policy.actions[column].says


class _Words:
    """Reasons in the words of the feature vector's contract."""

    def __init__(
        self, policy: Policy, phrases: Mapping[str, str], features: pl.DataFrame, contributions: pl.DataFrame
    ) -> None:
        self._policy = policy
        self._named = [name for name in contributions.columns if name in phrases]
        self._phrases = phrases
        self._values = {name: features[name].to_list() for name in self._named}
        self._shares = contributions.select(self._named).to_numpy() if self._named else np.zeros((features.height, 0))

    def reasons(self, row: int, chosen: int, expected: np.ndarray) -> list[str]:
        """What speaks most for the action, then what it is expected to cost against doing the safe thing."""
        policy = self._policy
        safe = next(i for i, action in enumerate(policy.actions) if action.name == policy.safe_action)
        sign = -1.0 if chosen == safe else 1.0
        shares = sign * self._shares[row]
        said = []
        for column in np.argsort(-shares, kind="stable"):
            value = self._values[self._named[column]][row]
            if shares[column] <= 0 or len(said) == REASONS_SHOWN:
                break
            if value is not None:
                said.append(self._phrases[self._named[column]].format(value=value))
        if chosen != safe:
            said.append(
                f"to {_says(policy, chosen)} is expected to cost ${expected[chosen]:,.0f}, "
                f"to {_says(policy, safe)} ${expected[safe]:,.0f}"
            )
        return said

    def too_dear(self, chosen: int, price: float) -> str:
        limit = self._policy.review_above
        return f"to {_says(self._policy, chosen)} costs ${price:,.0f}, more than the ${limit:,.0f} a machine may spend"
