"""Who reads a column, by kind, transitively; and so what a breaking change of it breaks.

`broken_by` is for whoever judges a change of a contract: it says, for the columns that the change touches, which
features, models, clauses of the policy and decisions rest on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.lineage.graph import DECISIONS, Consumer, Kind, Node, Role, column, graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from automation.lineage.graph import ServedFeature
    from automation.rollout.promotion import Champion
    from automation.workload import Workload
    from contracts.document import Contract


class UnknownColumnError(WarrantError):
    """A table or a column was named that no contract of the workload has."""


@dataclass(frozen=True)
class Consumers:
    """Everything that depends on some columns of one table. ``champion`` is the model version that decides, if any."""

    table: str
    columns: tuple[str, ...]
    found: tuple[Consumer, ...]
    champion: Champion | None

    def of(self, kind: Kind, role: Role | None = None) -> list[Node]:
        """The consumers of one kind, in order; those of one role, if it is given."""
        return [c.node for c in self.found if c.node.kind is kind and role in {None, c.role}]

    def breaks(self, change: str = "dropping") -> str:
        """One sentence: what ``change``, an action in words, breaks."""
        one = len(self.columns) == 1
        what = f"{self.table}.{self.columns[0]}" if one else f"{_few(self.columns)} of {self.table}"
        decided = [str(node) for node in self.of(Kind.DECISION) if node.name == DECISIONS and node.part]
        broken = [
            _counted("table column", self._columns(Kind.TABLE)),
            _counted("feature", self._columns(Kind.FEATURE)),
            self._model(),
            _counted("policy clause", [str(node) for node in self.of(Kind.POLICY)]),
            _counted("decision column", decided),
            _counted("outcome column", self._columns(Kind.OUTCOME)),
        ]
        said = "; ".join(filter(None, broken))
        return f"{change} {what} breaks {said}" if said else f"nothing reads {what}"

    def _columns(self, kind: Kind) -> list[str]:
        return [str(node) for node in self.of(kind) if node.part]

    def _model(self) -> str | None:
        inputs = [str(node.part) for node in self.of(Kind.MODEL)]
        if not inputs:
            return None
        if self.champion is None:
            return f"every version of the model, which sees {_few(inputs)}"
        return f"champion version {self.champion.version} of {self.champion.model}, which sees {_few(inputs)}"


def consumers(
    workload: Workload,
    served: Sequence[ServedFeature],
    table: str,
    columns: Iterable[str] | None = None,
    champion: Champion | None = None,
) -> Consumers:
    """Everything that depends on ``columns`` of ``table``, or on any column of it or its rows, if none are given.

    Raises:
        UnknownColumnError: the workload has no contract for the table, or the contract lacks a column.
    """
    if table not in workload.contracts:
        raise UnknownColumnError(
            f"{workload.name} has no table {table}.", remedy=f"Choose one of these: {', '.join(workload.contracts)}."
        )
    contract = workload.contract(table)
    asked = tuple(contract.schema) if columns is None else tuple(columns)
    for name in asked:
        if name not in contract.schema:
            raise UnknownColumnError(
                f"{table} has no column {name}.", remedy=f"Choose one of these: {', '.join(contract.schema)}."
            )
    whole = graph(workload, tuple(served))
    start = [_node(workload, table, name) for name in asked]
    if columns is None:
        start.append(_node(workload, table, None))
    return Consumers(table, asked, whole.consumers(start), champion)


def broken_by(
    workload: Workload,
    table: str,
    columns: Iterable[str],
    champion: Champion | None = None,
    before: Contract | None = None,
) -> Consumers:
    """What a breaking change of ``columns`` of ``table`` breaks; ``.breaks("dropping")`` says it in a sentence.

    ``before`` is the table's contract before the change, where the workload has the changed one already: the code is
    then followed over the columns of both, so that it does not matter which of the two it was written for. Imports
    Feast, which takes five seconds, and needs neither a database nor data.

    Raises:
        UnknownColumnError: the workload has no contract for the table, or neither contract has a column.
    """
    if before is not None and table in workload.contracts:
        now = workload.contract(table)
        gone = tuple(column for column in before.columns if column.name not in now.schema)
        workload = workload.promising(replace(now, columns=(*now.columns, *gone)))
    return consumers(workload, served(workload), table, columns, champion)


def served(workload: Workload) -> tuple[ServedFeature, ...]:
    """The features the workload serves. They are known where Feast is: in the defs folder the workload lies in."""
    root = workload.package.partition(".")[0]
    return import_module(f"{root}.stages.served").served_features(workload)


def in_words(found: Iterable[Node]) -> list[str]:
    """Nodes by what they belong to, each with its parts: ``origin_weather: visibility_miles, wind_gust_mph``."""
    parts: dict[str, list[str]] = {}
    for node in found:
        if node.kind is Kind.POLICY:
            parts[str(node)] = []
        else:
            parts.setdefault(node.name, []).append(node.part or "which rows it has")
    return [f"{name}: {', '.join(held)}" if held else name for name, held in parts.items()]


def _node(workload: Workload, table: str, name: str | None) -> Node:
    if table == workload.spec.model.contract:
        return Node(Kind.VECTOR, table, name)
    return column(table, name)


def _counted(kind: str, names: Sequence[str]) -> str | None:
    """``feature a`` or ``features a, b``; None where there is none."""
    return f"{kind}{'s' if len(names) > 1 else ''} {_few(names)}" if names else None


def _few(names: Sequence[str]) -> str:
    """All names where they are few, otherwise the first ones and how many more there are."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: SHOWN - 1])} and {len(names) - SHOWN + 1} more"


SHOWN = 5
