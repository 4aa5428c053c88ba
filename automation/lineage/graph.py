"""Everything that depends on a column, from raw tables to decisions, as one graph of a workload.

The workload's own tables are followed through their expressions, feature views through Feast's definitions (handed in
as `ServedFeature`: they take five seconds to import), the model and the policy through the declaration. What the
platform's own stages compute is declared here, once for all workloads, and tests change one input at a time to hold
it true.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from automation.lineage.flow import ColumnOf, Columns, Flow, flow_of

if TYPE_CHECKING:
    from automation.workload import Workload

SCORES, DECISIONS, OUTCOMES, TRAINING_SET = "scores", "decisions", "outcomes", "training_set"


class Kind(StrEnum):
    """What a consumer is."""

    TABLE = "table"
    FEATURE = "feature"
    VECTOR = "vector"
    MODEL = "model"
    POLICY = "policy"
    DECISION = "decision"
    TRAINING = "training"
    OUTCOME = "outcome"


class Role(StrEnum):
    """How a consumer depends on a column: its value is computed from it, or the column says which rows take part."""

    READS = "reads"
    ROWS = "rows"


class Node(NamedTuple):
    """A column of a table, a feature of a view, an input of a model, or a clause of the policy.

    With ``part`` None it stands for which rows a table has.
    """

    kind: Kind
    name: str
    part: str | None

    def __str__(self) -> str:
        if self.kind is Kind.POLICY:
            return f"{self.name} {self.part}" if self.part else self.name
        return f"{self.name}.{self.part}" if self.part else f"the rows of {self.name}"


class Edge(NamedTuple):
    source: Node
    consumer: Node
    role: Role


@dataclass(frozen=True)
class ServedFeature:
    """A feature of the workload's service: the columns its value is read from, and those it is found by."""

    name: str
    view: str
    reads: Columns
    found_by: Columns


@dataclass(frozen=True)
class Consumer:
    """What depends on a column: how, and through what, the nearest first."""

    node: Node
    role: Role
    via: tuple[Node, ...]


class Graph:
    """What depends on what. Asked downstream for consumers, upstream for the columns of tables behind a column."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self._down: dict[Node, dict[Node, Role]] = {}
        self._up: dict[Node, dict[Node, Role]] = {}
        for source, consumer, role in edges:
            for ends, here, there in ((self._down, source, consumer), (self._up, consumer, source)):
                held = ends.setdefault(here, {})
                if held.get(there) is not Role.READS:
                    held[there] = role

    def consumers(self, sources: Iterable[Node]) -> tuple[Consumer, ...]:
        """Everything that depends on any of ``sources``, each once, by the shortest way, reads before rows."""
        start = tuple(sources)
        read = self._reached(start, {Role.READS})
        any_way = self._reached(start, {Role.READS, Role.ROWS})
        found = {node: Consumer(node, Role.ROWS, via) for node, via in any_way.items()}
        found |= {node: Consumer(node, Role.READS, via) for node, via in read.items()}
        order = list(Kind)
        return tuple(sorted(found.values(), key=lambda c: (order.index(c.node.kind), c.node.name, c.node.part or "")))

    def columns_behind(self, node: Node, tables: Mapping[Kind, ColumnOf]) -> Columns:
        """The columns of tables that ``node`` is computed from, seen through features, models and the policy.

        ``tables`` says in which column a table holds what is of that kind, for tables that do.
        """
        found: set[ColumnOf] = set()
        waiting, seen = [node], {node}
        while waiting:
            for source, role in self._up.get(waiting.pop(), {}).items():
                if role is not Role.READS:
                    continue
                if source.kind in tables:
                    found.add(tables[source.kind])
                elif source.kind in _IN_TABLES:
                    found.add(ColumnOf(source.name, str(source.part)))
                elif source not in seen:
                    seen.add(source)
                    waiting.append(source)
        return frozenset(found)

    def _reached(self, start: Sequence[Node], roles: set[Role]) -> dict[Node, tuple[Node, ...]]:
        """Each node that can be reached, with the nodes on the way to it."""
        found: dict[Node, tuple[Node, ...]] = {}
        waiting: deque[tuple[Node, tuple[Node, ...]]] = deque((node, ()) for node in start)
        begun = set(start)
        while waiting:
            node, way = waiting.popleft()
            for consumer, role in self._down.get(node, {}).items():
                if role in roles and consumer not in found and consumer not in begun:
                    found[consumer] = way
                    waiting.append((consumer, (*way, consumer)))
        return found


_IN_TABLES = frozenset({Kind.TABLE, Kind.DECISION, Kind.TRAINING, Kind.OUTCOME})
_KINDS = {SCORES: Kind.DECISION, DECISIONS: Kind.DECISION, OUTCOMES: Kind.OUTCOME, TRAINING_SET: Kind.TRAINING}


def column(table: str, name: str | None) -> Node:
    """The node of a table's column, or of its rows."""
    return Node(_KINDS.get(table, Kind.TABLE), table, name)


@cache
def graph(workload: Workload, served: tuple[ServedFeature, ...] = ()) -> Graph:
    """The workload's graph. Without ``served`` features it ends at the tables and begins again at the vector."""
    return Graph(
        [
            *(edge for table in workload.spec.derived_tables for edge in _derived(workload, table)),
            *_served(served),
            *platform_edges(workload, served),
        ]
    )


def derived_flow(workload: Workload, table: str) -> Flow:
    """The flow of a table that the workload's own code computes, over inputs as their contracts have them."""
    declared, module = workload.spec.derived_tables[table]
    schemas = tuple(sorted((name, tuple(workload.contract(name).schema.items())) for name in declared.reads))
    return flow_of(getattr(workload.module(module), table), schemas)


def _derived(workload: Workload, table: str) -> Iterator[Edge]:
    found = derived_flow(workload, table)
    rows = column(table, None)
    for source in found.rows:
        yield Edge(column(*source), rows, Role.ROWS)
    for declared in workload.spec.derived_tables[table][0].reads:
        yield Edge(column(declared, None), rows, Role.ROWS)
    for name, dependency in found.columns.items():
        for source in dependency.placed_by:
            yield Edge(column(*source), column(table, name), Role.ROWS)
        for source in dependency.reads:
            yield Edge(column(*source), column(table, name), Role.READS)


def _served(served: Sequence[ServedFeature]) -> Iterator[Edge]:
    for feature in served:
        node = Node(Kind.FEATURE, feature.view, feature.name)
        for table in {table for table, _ in feature.reads}:
            yield Edge(column(table, None), node, Role.ROWS)
        for source in feature.found_by:
            yield Edge(column(*source), node, Role.ROWS)
        for source in feature.reads:
            yield Edge(column(*source), node, Role.READS)


def platform_edges(workload: Workload, served: Sequence[ServedFeature] = ()) -> Iterator[Edge]:
    """What the stages that every workload passes make of the vector, the model, the policy and one another."""
    spec = workload.spec
    vector = workload.contract(spec.model.contract)
    features = {feature.name: Node(Kind.FEATURE, feature.view, feature.name) for feature in served}
    case = workload.contract(spec.cases.table).schema

    def seen(name: str) -> Node:
        return Node(Kind.VECTOR, vector.name, name)

    def reads(consumer: Node, *sources: Node) -> Iterator[Edge]:
        return (Edge(source, consumer, Role.READS) for source in sources)

    every = [seen(promised.name) for promised in vector.columns]
    for node in every:
        if node.part in features:
            yield from reads(node, features[node.part])
        elif node.part in case:
            yield from reads(node, column(spec.cases.table, node.part))
        else:
            # Not served, or not by that name: by its name it is the column of a view's table, if of any.
            tables = [view.table for view in spec.features.views if node.part in workload.contract(view.table).schema]
            yield from reads(node, *(column(table, node.part) for table in tables))
    inputs = [Node(Kind.MODEL, spec.model.name, name) for name in workload.model_features]
    for node in inputs:
        yield from reads(node, seen(str(node.part)))
    clauses = _policy(workload)
    for clause, source in clauses.items():
        yield from reads(clause, *source)
    bounds = [clause for clause in clauses if clause.name in {_LIMIT, _RULES}]

    made = _scores(workload, every, inputs)
    # The automation may do less by a score of no registered model.
    choice = (*(column(SCORES, name) for name in ("probability", "problems", "model_version")), _STAKE, *bounds)
    if spec.policy.limits:
        choice += (column(SCORES, "event_time"), column(SCORES, "case_key"))
    reasons = [seen(promised.name) for promised in vector.columns if promised.reason]
    made |= {column(DECISIONS, name): (column(SCORES, name),) for name in _CARRIED_TO_DECISIONS}
    made |= {column(DECISIONS, name): choice for name in ("action", "status", "expected_cost")}
    made |= {
        column(DECISIONS, "review_reasons"): choice,
        column(DECISIONS, "reasons"): (*choice, column(SCORES, "contributions"), *reasons),
        column(DECISIONS, "stake"): (_STAKE,),
        column(DECISIONS, "expected_costs"): (column(SCORES, "probability"), column(SCORES, "problems"), _STAKE),
        column(DECISIONS, "rule_value"): (_RULE,),
        column(DECISIONS, "feature_service"): (),
        column(DECISIONS, "contracts"): (),
        column(DECISIONS, "policy_version"): (),
        column(DECISIONS, "rules"): choice,
        column(DECISIONS, "limits_used"): choice,
        column(DECISIONS, None): (column(SCORES, None),),
    }
    made |= _outcomes(workload)
    made |= _training_set(workload, every)
    for consumer, sources in made.items():
        if consumer.part is None:
            yield from (Edge(source, consumer, Role.ROWS) for source in sources)
        else:
            yield from reads(consumer, *sources)
    # A case whose vector breaks its contract in any column is not scored.
    for name in ("probability", "contributions", *_MODEL):
        yield from (Edge(source, column(SCORES, name), Role.ROWS) for source in every)


Made = dict[Node, tuple[Node, ...]]
_LIMIT, _RULES = "limit", "rule"
_STAKE = Node(Kind.POLICY, "stake", None)
_RULE = Node(Kind.POLICY, "simple rule", None)
_MODEL = ("model", "model_version", "model_digest", "model_stage")
_CARRIED_TO_DECISIONS = (
    *("case_key", "event_time", "known_time", "probability", "features", "contributions"),
    *_MODEL,
)


def _policy(workload: Workload) -> Made:
    """The policy's clauses, each with the columns it reads."""
    spec = workload.spec
    vector = workload.contract(spec.model.contract)
    given = spec.policy.stake.feature
    return {
        _STAKE: (Node(Kind.VECTOR, vector.name, given),) if given in vector.schema else (),
        _RULE: (Node(Kind.VECTOR, vector.name, spec.model.rule_feature),),
        **{
            Node(Kind.POLICY, _LIMIT, limit.key): (column(spec.cases.table, limit.per),) if limit.per else ()
            for limit in spec.policy.limits
        },
        **_rules(workload),
    }


def _rules(workload: Workload) -> Made:
    """The rules of the decision table, each with the columns that its cells read."""
    from automation.policy.bundle import columns, working

    cases, vector = workload.spec.cases.table, workload.spec.model.contract
    probability = column(SCORES, "probability")
    worked_out = {
        "action": (),
        "probability": (probability,),
        "price": (_STAKE,),
        "stake": (_STAKE,),
        "cost": (_STAKE, probability),
        "saving": (_STAKE, probability),
        "hour": (column(SCORES, "event_time"),),
    }
    tables = columns(workload)

    def sources(name: str) -> tuple[Node, ...]:
        if name in worked_out:
            return worked_out[name]
        return (Node(Kind.VECTOR, vector, name) if tables[name] == vector else column(cases, name),)

    return {
        Node(Kind.POLICY, _RULES, rule): tuple(dict.fromkeys(node for name in reads for node in sources(name)))
        for rule, reads in working(workload).table.reads.items()
    }


def _scores(workload: Workload, every: Sequence[Node], inputs: Sequence[Node]) -> Made:
    cases, key = workload.spec.cases.table, workload.spec.case_key
    return {
        column(SCORES, "case_key"): (column(cases, key),),
        column(SCORES, "event_time"): (column(cases, "event_time"),),
        column(SCORES, "known_time"): (column(cases, "known_time"),),
        column(SCORES, "features"): tuple(every),
        column(SCORES, "problems"): tuple(every),
        **{column(SCORES, name): tuple(inputs) for name in ("probability", "contributions")},
        # Which model a case gets depends on its key where a canary runs.
        **{column(SCORES, name): (column(cases, key),) for name in _MODEL},
        column(SCORES, None): (column(cases, None), column(cases, key)),
    }


def _outcomes(workload: Workload) -> Made:
    labels, key = workload.spec.labels.table, workload.spec.case_key
    label, stake = column(labels, "label"), column(DECISIONS, "stake")
    return {
        column(OUTCOMES, "case_key"): (column(labels, key),),
        **{
            column(OUTCOMES, name): (column(labels, name),) for name in ("event_time", "known_time", "outcome", "label")
        },
        column(OUTCOMES, "decision_time"): (column(DECISIONS, "event_time"),),
        **{
            column(OUTCOMES, name): (column(DECISIONS, name),)
            for name in ("action", "status", "probability", "rule_value", "stake")
        },
        column(OUTCOMES, "realised_cost"): (label, stake, column(DECISIONS, "action")),
        **{column(OUTCOMES, name): (label, stake) for name in ("costs_by_action", "foresight_cost")},
        column(OUTCOMES, None): (
            *(column(labels, None), column(labels, key)),
            *(column(DECISIONS, None), column(DECISIONS, "case_key")),
        ),
    }


def _training_set(workload: Workload, every: Sequence[Node]) -> Made:
    spec = workload.spec
    return {
        **{column(TRAINING_SET, node.part): (node,) for node in every},
        column(TRAINING_SET, "label"): (column(spec.labels.table, "label"),),
        # What is trained on has a vector that keeps its contract, and a label known by then.
        column(TRAINING_SET, None): (
            *every,
            *(column(spec.cases.table, part) for part in (None, spec.case_key)),
            *(column(spec.labels.table, part) for part in (None, spec.case_key, "known_time")),
        ),
    }
