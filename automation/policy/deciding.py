"""Decides cases: the least costly action that the policy leaves each, and a person where the machine may not decide.

For each case, in the order of decision times: the decision table says of each action whether it may be taken, by the
machine or by a person, or not at all; the least costly of those that may, and that the limits leave, is chosen; then
the authorization says whether this automation may do it. A case goes to a person, and gets the safe action until then,
if it is not scored, if nothing is left to it, if the table says so of what was chosen, if the automation may not, or if
the workload or the model that scored it is switched off. Where an action is switched off, a case gets a lesser one.

Everything here is a pure function of scores, policy and what others used of the limits: a day decides alike whenever
it is replayed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from automation.policy import choice as choices
from automation.policy.authorization.requests import Automation, Cases, ModelStage, Request
from automation.policy.cents import cents
from automation.policy.choice import NONE, PERSON, Actions, Usual
from automation.policy.costs import Costs, costs, stakes
from automation.policy.limits.declared import Every, Limit
from automation.policy.tables.document import Verdict
from automation.switches.lesser import lesser
from automation.switches.switch import ALL_ON, WORKLOAD, Off, of_action, of_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from automation.policy.authorization.requests import Answer
    from automation.policy.bundle import PolicyBundle
    from automation.policy.choice import Choice
    from automation.policy.limits.demand import Demands
    from automation.policy.limits.use import Use
    from automation.workload import Policy

AUTOMATED, REVIEW = "automated", "review"
REASONS_SHOWN = 3
# One encoder for all rows: `json.dumps` with options makes one for each.
_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
# What a decision says, in the order of the columns.
MADE = {
    "action": pl.String,
    "status": pl.String,
    "review_reasons": pl.String,
    "reasons": pl.String,
    "stake": pl.Float64,
    "expected_cost": pl.Float64,
    "expected_costs": pl.String,
    "rules": pl.String,
    "limits_used": pl.String,
}


@dataclass(frozen=True, eq=False)
class Day:
    """What is decided from, row beside row, in the order of decision times and keys.

    - ``scores``: case_key, event_time (UTC), probability and problems (a JSON list; not ``[]`` where the case is not
      scored), model_version.
    - ``features`` and ``contributions``: numbers by name; null where there is none.
    - ``cases``: the cases' own columns.
    - ``timezone``: whose hours limits and tables mean.
    - ``stage``: which model's scores they are, where the scores have no column ``model_stage`` that says so.
    - ``off``: what is switched off.
    - ``usual``: how many cases wanted places on the days before, by which places that follow the day have their worth.
    """

    workload: str
    scores: pl.DataFrame
    features: pl.DataFrame
    contributions: pl.DataFrame
    cases: pl.DataFrame
    timezone: str
    stage: ModelStage = ModelStage.CHAMPION
    off: Off = ALL_ON
    usual: Demands = field(default_factory=dict)

    @cached_property
    def hours(self) -> pl.Series:
        """The local hour of each decision time."""
        return self._local.dt.hour().cast(pl.Int64).alias("hour")

    @cached_property
    def minutes(self) -> list[int]:
        """The minute of the local day of each decision time."""
        return (self._local.dt.hour().cast(pl.Int64) * 60 + self._local.dt.minute()).to_list()

    @cached_property
    def _local(self) -> pl.Series:
        return self.scores["event_time"].dt.convert_time_zone(self.timezone)

    @cached_property
    def probability(self) -> pl.Series:
        """The probabilities as they were given; none where the column is not one of numbers: "0.9" is no score."""
        given = self.scores["probability"]
        if given.dtype.is_numeric():
            return given.cast(pl.Float64)
        return pl.Series("probability", [None] * given.len(), dtype=pl.Float64)

    @cached_property
    def scored(self) -> np.ndarray:
        """Whether a case has a probability that can be used (law 2)."""
        probability = self.probability.to_numpy()
        kept = self.scores["problems"].fill_null("").eq("[]").to_numpy()
        return np.isfinite(probability) & (probability >= 0) & (probability <= 1) & kept

    def alone(self, row: int) -> Day:
        """One of its cases, by itself."""
        frames = {name: getattr(self, name)[row] for name in ("scores", "features", "contributions", "cases")}
        return replace(self, **frames)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the decision table says: by case (rows) and action (columns)."""

    verdicts: np.ndarray
    rules: list[list[list[str]]]
    reasons: list[list[list[str]]]


class Weighed:
    """A day's cases as a policy sees them, before the limits: what each action costs and whether it may be taken."""

    def __init__(self, day: Day, policy: PolicyBundle) -> None:
        self.day, self.policy = day, policy
        self.declared: Policy = policy.declared
        self.names = tuple(action.name for action in self.declared.actions)
        self.safe = self.names.index(self.declared.safe_action)
        probability = day.probability.to_numpy()
        self.stake = stakes(day.features, self.declared)
        self.expected: Costs = costs(np.where(day.scored, probability, 0.0), self.stake, self.declared)
        with np.errstate(over="ignore"):
            self.prices = self.stake[:, None] * np.array([action.cost for action in self.declared.actions])[None, :]

    @cached_property
    def table(self) -> Verdicts:
        height, width = self.day.scores.height, len(self.names)
        answers = self.policy.table.judge(pl.concat([self._asked(column) for column in range(width)]))
        verdicts, rules, reasons = (answers[name] for name in ("verdict", "rules", "reasons"))
        return Verdicts(
            verdicts.to_numpy().reshape(width, height).T,
            _by_case(rules.to_list(), height, width),
            _by_case(reasons.to_list(), height, width),
        )

    def _asked(self, column: int) -> pl.DataFrame:
        """What the table may read of one action: what is worked out comes before the cases' columns and features."""
        day, values = self.day, self.expected.values
        wanted = {given.name for given in self.policy.table.inputs}
        with np.errstate(invalid="ignore"):
            saving = values[:, self.safe] - values[:, column]
        worked_out = {
            "action": pl.repeat(self.names[column], day.scores.height, dtype=pl.String, eager=True),
            "probability": day.probability,
            "price": pl.Series(self.prices[:, column]),
            "stake": pl.Series(self.stake),
            "cost": pl.Series(values[:, column]),
            "saving": pl.Series(saving),
            "hour": day.hours,
        }
        # The action whether or not the table reads it: what lacks every column would lack every row.
        found = [series.alias(name) for name, series in worked_out.items() if name in {*wanted, "action"}]
        for frame in (day.cases, day.features):
            there = {series.name for series in found}
            found += [frame[name] for name in frame.columns if name in wanted and name not in there]
        return pl.DataFrame(found)

    @cached_property
    def actions(self) -> Actions:
        open_ = (self.table.verdicts != Verdict.FORBID.value) & self.day.scored[:, None]
        return Actions(
            self.names,
            self.declared.safe_action,
            self.expected.values,
            np.column_stack([cents(self.prices[:, column]) for column in range(len(self.names))]),
            open_.astype(bool),
        )

    def choose(self, used: Mapping[Use, int]) -> Choice:
        """What each case gets, given what others used."""
        limits = self.declared.limits
        return choices.choose(self.actions, self.order, limits, self._groups, self._hours, used, self._usual)

    def choose_alone(self, turns: Sequence[Mapping[Use, int]]) -> Choice:
        """What each case gets by itself, given what was used when its turn came."""
        limits = self.declared.limits
        return choices.choose_alone(self.actions, self.order, limits, self._groups, self._hours, turns, self._usual)

    def left(self, choice: Choice) -> Choice:
        """What each case gets of what was chosen for it: a lesser action where that one is switched off."""
        got = lesser(self.actions, self.declared.limits, choice.chosen, self.day.off.actions)
        return replace(choice, chosen=got)

    def held(self, row: int) -> list[str]:
        """Why a person decides a case, whatever it would get: the workload or the model that scored it is off."""
        off, versions = self.day.off, self.day.scores.get_column("model_version", default=None)
        version = None if versions is None else versions[row]
        workload, model = off.get(WORKLOAD), off.get(of_model(version)) if version in off.models else None
        said = [f"{self.day.workload} {workload.says}"] if workload else []
        return said + ([f"{model.switch} {model.says}"] if model else [])

    @cached_property
    def order(self) -> list[int]:
        """The cases that are scored, in the order in which they are served."""
        scores = self.day.scores.with_row_index("row").filter(pl.Series(self.day.scored))
        return scores.sort("event_time", "case_key")["row"].to_list()

    @cached_property
    def uses(self) -> list[tuple[Use, ...]]:
        """For each case, what it would use of each limit, in the limits' order."""
        return choices.uses_of(self.declared.limits, self._groups, self._hours, self.day.scores.height)

    @cached_property
    def demand(self) -> Demands:
        """How many of the cases want places whose worth follows the day, and when, by limit."""
        return choices.demand_of(self.actions, self.order, self.declared.limits, self._groups, self.day.minutes)

    def wanted_before(self, limit: Limit, row: int) -> int:
        """How many of the cases before one want a place of its group, of a limit whose place follows the day."""
        group = choices.group_of(self._groups[limit.per][row])
        wants = choices.wanting(self.actions, limit) > 0
        return sum(
            choices.group_of(self._groups[limit.per][earlier]) == group for earlier in np.flatnonzero(wants[:row])
        )

    @cached_property
    def _usual(self) -> Usual:
        return Usual(self.day.usual, self.day.minutes)

    @cached_property
    def _groups(self) -> dict[str, list[Any]]:
        return {per: self.day.cases[per].to_list() for per in {limit.per for limit in self.declared.limits} if per}

    @cached_property
    def _hours(self) -> list[int] | None:
        return self.day.hours.to_list() if any(each.every is Every.HOUR for each in self.declared.limits) else None


def decide(day: Day, policy: PolicyBundle, phrases: Mapping[str, str], used: Mapping[Use, int]) -> pl.DataFrame:
    """Decides the cases, given what others used of the limits. ``phrases``: features in words, by name.

    Returns the columns of `MADE`, row by row.
    """
    return decided(Weighed(day, policy), phrases, used)


def decided(weighed: Weighed, phrases: Mapping[str, str], used: Mapping[Use, int]) -> pl.DataFrame:
    """`decide`, of what was weighed already."""
    return said_of(weighed, weighed.choose(used), phrases)


def each_alone(weighed: Weighed, phrases: Mapping[str, str], turns: Sequence[Mapping[Use, int]]) -> pl.DataFrame:
    """Decides each case by itself, on what was used of the limits when its turn came (``limits_used``)."""
    return said_of(weighed, weighed.choose_alone(turns), phrases)


def said_of(weighed: Weighed, choice: Choice, phrases: Mapping[str, str]) -> pl.DataFrame:
    """What a choice comes to, in the columns of `MADE`: action and status, with reasons, costs, rules and limits."""
    day, table = weighed.day, weighed.table
    # A case whose action is off keeps its place in the limits, and a person it would have gone to.
    left = weighed.left(choice)
    elsewhere = np.flatnonzero(left.chosen != choice.chosen).tolist()
    answers, instead = authorized(weighed, choice), authorized(weighed, left, elsewhere)
    words = _Words(weighed.declared, phrases, day.features, day.contributions)
    json_costs, turns = weighed.expected.as_json(), choice.turns_as_data()
    rows = []
    for row in range(day.scores.height):
        if not day.scored[row]:
            problems = json.loads(day.scores["problems"][row] or "[]") or ["no usable score"]
            review = [f"not scored: {problem}" for problem in problems] + weighed.held(row)
            reasons, rules = [], "{}"
            chosen = weighed.safe
        else:
            chosen = int(choice.chosen[row])
            answer = answers.get(row)
            review = _review(weighed, table, row, chosen, answer)
            if not review and left.chosen[row] != chosen:
                chosen, answer = int(left.chosen[row]), instead.get(row)
                review = _review(weighed, table, row, chosen, answer)
            review += weighed.held(row)
            shown = weighed.safe if chosen == PERSON else chosen
            reasons = words.reasons(row, shown, weighed.expected.values[row])
            reasons += _instead(weighed, table, choice, row) + switched(weighed, choice, row)
            rules = _json(
                {
                    **{name: table.rules[row][column] for column, name in enumerate(weighed.names)},
                    "authorization": list(answer.policies) if answer else [],
                }
            )
        final = weighed.safe if review else chosen
        # Costs that are no numbers cannot be said; such a case is a person's, since none of its actions is usable.
        weighable = bool(day.scored[row] and np.isfinite(weighed.expected.values[row]).all())
        rows.append(
            (
                weighed.names[final],
                REVIEW if review else AUTOMATED,
                json.dumps(review, ensure_ascii=False),
                json.dumps(reasons, ensure_ascii=False),
                float(weighed.stake[row]),
                float(weighed.expected.values[row, final]) if weighable else None,
                json_costs[row] if weighable else None,
                rules,
                _json(turns[row]),
            )
        )
    return pl.DataFrame(rows, schema=MADE, orient="row")


def outcomes_of(weighed: Weighed, choice: Choice) -> pl.DataFrame:
    """`said_of`, of ``action`` and ``status`` alone: for whoever decides many days to compare them."""
    left, table = weighed.left(choice), weighed.table
    elsewhere = np.flatnonzero(left.chosen != choice.chosen).tolist()
    answers, instead = authorized(weighed, choice), authorized(weighed, left, elsewhere)

    def review(row: int, chosen: int, answer: Answer | None) -> bool:
        if chosen == PERSON or table.verdicts[row, chosen] != Verdict.ALLOW.value:
            return True
        return answer is not None and not answer.allowed

    actions, statuses = [], []
    for row in range(weighed.day.scores.height):
        chosen, person = int(choice.chosen[row]), not weighed.day.scored[row]
        if not person:
            person = review(row, chosen, answers.get(row))
            if not person and left.chosen[row] != chosen:
                chosen = int(left.chosen[row])
                person = review(row, chosen, instead.get(row))
        person = person or bool(weighed.held(row))
        actions.append(weighed.names[weighed.safe if person else chosen])
        statuses.append(REVIEW if person else AUTOMATED)
    return pl.DataFrame({"action": actions, "status": statuses}, schema={"action": pl.String, "status": pl.String})


def _review(weighed: Weighed, table: Verdicts, row: int, chosen: int, answer: Answer | None) -> list[str]:
    """Why a person decides; nothing where the machine does."""
    if chosen == PERSON:
        said = [
            f"to {_says(weighed.declared, column)}: {reason}"
            for column in range(len(weighed.names))
            for reason in table.reasons[row][column]
        ]
        return ["no action is left to it", *said]
    review = []
    if table.verdicts[row, chosen] != Verdict.ALLOW.value:
        review = _not_allowing(weighed, table, row, chosen)
    return review + ([answer.says] if answer and not answer.allowed else [])


def _not_allowing(weighed: Weighed, table: Verdicts, row: int, column: int) -> list[str]:
    """The reasons of the rules that stand against an action of a case; or that there is none that allows it."""
    verdicts, rules, reasons = weighed.policy.table.verdict_of, table.rules[row][column], table.reasons[row][column]
    if len(rules) != len(reasons):
        return list(reasons)
    against = [reason for rule, reason in zip(rules, reasons, strict=True) if verdicts.get(rule) is not Verdict.ALLOW]
    return against or list(reasons)


def _instead(weighed: Weighed, table: Verdicts, choice: Choice, row: int) -> list[str]:
    """Why the case does not get what would cost least: the policy forbids it, or a limit was reached."""
    declared, values = weighed.declared, weighed.expected.values[row]
    cheapest, wanted = int(np.argmin(values)), int(choice.wanted[row])
    said = []
    if cheapest != wanted and table.verdicts[row, cheapest] == Verdict.FORBID.value:
        why = "; ".join(_not_allowing(weighed, table, row, cheapest))
        said.append(f"{_says(declared, cheapest)} would cost least, but is forbidden: {why}")
    elif cheapest != wanted and np.isfinite(values).all():
        said += _not_worth_a_place(weighed, choice, cheapest, row)
    if wanted != PERSON and choice.held_back[row] != NONE:
        limit = declared.limits[int(choice.held_back[row])]
        which = "its limit was reached" if isinstance(limit, Limit) else f"the budget was reached: {limit}"
        said.append(f"{_says(declared, wanted)} would cost least, but {which}")
    return said


def _not_worth_a_place(weighed: Weighed, choice: Choice, cheapest: int, row: int) -> list[str]:
    """That the case would take a place which is worth more to later ones."""
    declared, values, wanted = weighed.declared, weighed.expected.values[row], int(choice.wanted[row])
    limited = [limit.limits(weighed.names[cheapest], declared.safe_action) for limit in declared.limits]
    place = math.fsum(choice.worth[row][limited].tolist())
    if wanted == PERSON or place == 0.0 or not weighed.actions.usable[row, cheapest]:
        return []
    saves = values[wanted] - values[cheapest]
    beside = f"saves ${saves:,.0f}, and its place is worth ${place:,.0f} to later cases"
    return [f"{_says(declared, cheapest)} would cost least, but {beside}"]


def switched(weighed: Weighed, choice: Choice, row: int) -> list[str]:
    """Why the case does not get what was chosen for it: it is switched off."""
    column = int(choice.chosen[row])
    off = None if column in (PERSON, weighed.safe) else weighed.day.off.get(of_action(weighed.names[column]))
    if off is None:
        return []
    of_the_rest = "" if column == int(np.argmin(weighed.expected.values[row])) else " of the rest"
    return [f"{_says(weighed.declared, column)} would cost least{of_the_rest}, but {off.says}"]


def authorized(weighed: Weighed, choice: Choice, rows: Sequence[int] | None = None) -> dict[int, Answer]:
    """For each case that gets an action, by its row: whether the automation may do it. Of ``rows``, if given, alone."""
    day = weighed.day
    given = range(day.scores.height) if rows is None else rows
    rows = [row for row in given if day.scored[row] and choice.chosen[row] != PERSON]
    versions = day.scores["model_version"].to_list() if "model_version" in day.scores.columns else None
    stages = day.scores["model_stage"].to_list() if "model_stage" in day.scores.columns else None
    asked = []
    for row in rows:
        column = int(choice.chosen[row])
        version = (versions[row] if versions else None) or 0
        stage = _stage(stages[row] if stages else day.stage) if version else ModelStage.NONE
        context = {"price_cents": int(weighed.actions.prices[row, column])}
        principal = Automation(day.workload, stage, int(version))
        asked.append(Request(principal, weighed.names[column], Cases(day.workload), context))
    return dict(zip(rows, weighed.policy.authorizer.authorize(asked), strict=True))


def _stage(said: str | None) -> ModelStage:
    """A stage as a row says it. What says something else decides as no model, which the policy permits least."""
    return ModelStage(said) if said in list(ModelStage) else ModelStage.NONE


def _by_case(values: list[list[str]], height: int, width: int) -> list[list[list[str]]]:
    return [[values[column * height + row] for column in range(width)] for row in range(height)]


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
            # A model that does not tell has no shares, and so no reasons.
            if not shares[column] > 0 or len(said) == REASONS_SHOWN:
                break
            if value is not None:
                said.append(self._phrases[self._named[column]].format(value=value))
        if chosen != safe:
            said.append(
                f"to {_says(policy, chosen)} is expected to cost ${expected[chosen]:,.0f}, "
                f"to {_says(policy, safe)} ${expected[safe]:,.0f}"
            )
        return said
