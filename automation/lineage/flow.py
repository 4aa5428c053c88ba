"""Which input columns each column of an Ibis expression depends on, found by walking the expression.

A dependency has one of two roles. A column *reads* the columns its value is computed from; it is *placed* by those
that say which rows take part in computing it: the groups of an aggregate, the partitions and the order of a window.
Which rows a table has at all depends on columns, too: those of filters, joins, groups, and all that a DISTINCT
compares. Together the three are sound: whatever changes when an input column changes depends on it here. They are
not exact: a column that is multiplied by zero is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from automation.derivation import WINDOW_TABLE, expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import ibis.expr.types as ir
    from ibis.expr.operations import Node, Relation

    from automation.derivation import Derivation, Schemas


class ColumnOf(NamedTuple):
    """A column of a table."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


Columns = frozenset[ColumnOf]
NONE: Columns = frozenset()


@dataclass(frozen=True)
class Dependency:
    """What one column depends on, apart from which rows its table has."""

    reads: Columns = NONE
    placed_by: Columns = NONE

    @property
    def all(self) -> Columns:
        return self.reads | self.placed_by

    def __or__(self, other: Dependency) -> Dependency:
        return Dependency(self.reads | other.reads, self.placed_by | other.placed_by)

    def as_placing(self) -> Dependency:
        """The same columns, where they say which rows take part rather than what the value is."""
        return Dependency(placed_by=self.all)


NOTHING = Dependency()


@dataclass(frozen=True)
class Flow:
    """What each column of a table depends on, and what it depends on which rows the table has."""

    columns: Mapping[str, Dependency]
    rows: Columns = NONE

    def everything(self) -> Columns:
        return self.rows.union(*(found.all for found in self.columns.values()))


class UntraceableError(Exception):
    """An expression holds something whose inputs cannot be seen, such as a query in SQL text."""


@cache
def flow_of(function: Derivation, schemas: Schemas) -> Flow:
    """The flow of a workload's function over tables of these schemas, as `automation.derivation` runs it.

    Raises:
        UntraceableError: the function hides what it reads.
    """
    return flow(expression(function, schemas))


def flow(table: ir.Table) -> Flow:
    """The flow of an expression over named tables.

    Raises:
        UntraceableError: part of it is a query in SQL text.
    """
    import ibis.expr.operations as ops

    relation = table.op()
    if not isinstance(relation, ops.Relation):
        raise UntraceableError(f"The expression is a {type(relation).__name__}, not a table.")
    return _Walk().relation(relation)


class _Walk:
    """One walk over an expression's graph. Nodes are visited once, however often they are used."""

    def __init__(self) -> None:
        self._relations: dict[Relation, Flow] = {}
        self._values: dict[Node, Dependency] = {}

    def relation(self, node: Relation) -> Flow:
        found = self._relations.get(node)
        if found is None:
            found = self._relations[node] = self._relation(node)
        return found

    def value(self, node: Node) -> Dependency:
        found = self._values.get(node)
        if found is None:
            found = self._values[node] = self._value(node)
        return found

    def _relation(self, node: Relation) -> Flow:  # noqa: PLR0911, PLR0912 - one case a kind of relation
        import ibis.expr.operations as ops

        match node:
            case ops.JoinReference() | ops.SelfReference() | ops.AliasedRelation():
                return self.relation(node.parent)
            case ops.PhysicalTable(name=name):
                inside = name == WINDOW_TABLE or isinstance(node, ops.InMemoryTable)
                return Flow(
                    {
                        column: NOTHING if inside else Dependency(reads=frozenset({ColumnOf(name, column)}))
                        for column in node.schema
                    }
                )
            case ops.DummyTable():
                return Flow(self._each(node.values), self._multiplied(node.values))
            case ops.Project():
                return Flow(self._each(node.values), self.relation(node.parent).rows | self._multiplied(node.values))
            case ops.DropColumns():
                parent = self.relation(node.parent)
                kept = {name: found for name, found in parent.columns.items() if name not in node.columns_to_drop}
                return Flow(kept, parent.rows)
            case ops.Filter():
                parent = self.relation(node.parent)
                return Flow(parent.columns, parent.rows | self._all(node.predicates))
            case ops.Sort():
                # Alone, an order changes nothing; together with a limit it says which rows stay.
                parent = self.relation(node.parent)
                return Flow(parent.columns, parent.rows | self._all(node.keys))
            case ops.Aggregate():
                parent = self.relation(node.parent)
                groups = self._each(node.groups)
                keys = Dependency(placed_by=NONE.union(*(found.all for found in groups.values())))
                metrics = {name: found | keys for name, found in self._each(node.metrics).items()}
                return Flow(groups | metrics, parent.rows | keys.placed_by)
            case ops.JoinChain():
                tables = [self.relation(table) for table in node.tables]
                matched = self._all(predicate for link in node.rest for predicate in link.predicates)
                return Flow(self._each(node.values), matched.union(*(table.rows for table in tables)))
            case ops.Set():
                left, right = self.relation(node.left), self.relation(node.right)
                columns = {name: left.columns[name] | right.columns[name] for name in left.columns}
                compared = node.distinct or not isinstance(node, ops.Union)
                rows = left.rows | right.rows
                return Flow(columns, rows | left.everything() | right.everything() if compared else rows)
            case ops.TableUnnest():
                parent, lists = self.relation(node.parent), self.value(node.column)
                numbered = {} if node.offset is None else {node.offset: NOTHING}
                return Flow({**parent.columns, **numbered, node.column_name: lists}, parent.rows | lists.all)
            case ops.FillNull():
                # Whatever fills a column, it is taken to be read by every column.
                parent, filling = self.relation(node.parent), self._arguments(node)
                return Flow({name: found | filling for name, found in parent.columns.items()}, parent.rows)
            case ops.Limit():
                parent = self.relation(node.parent)
                return Flow(parent.columns, parent.rows | self._arguments(node).all)
            case ops.Distinct() | ops.DropNull() | ops.Sample():
                parent = self.relation(node.parent)
                return Flow(parent.columns, parent.everything())
            case _:
                raise UntraceableError(
                    f"The expression holds a {type(node).__name__}, whose inputs cannot be followed: "
                    "write it with Ibis's own operations."
                )

    def _value(self, node: Node) -> Dependency:
        import ibis.expr.operations as ops

        match node:
            case ops.Field(rel=relation, name=name):
                return self.relation(relation).columns[name]
            case ops.WindowFunction(func=function):
                beside = [*node.group_by, *node.order_by, *filter(None, (node.start, node.end))]
                return self.value(function) | Dependency(placed_by=self._all(beside))
            case ops.ScalarSubquery(rel=relation):
                inner = self.relation(relation)
                [column] = inner.columns.values()
                return column | Dependency(placed_by=inner.rows)
            case ops.Subquery(rel=relation):
                inner = Dependency(placed_by=self.relation(relation).everything())
                return self._arguments(node) | inner
            case _:
                return self._arguments(node)

    def _arguments(self, node: Node) -> Dependency:
        """What a node's arguments depend on. A relation among them, as in COUNT(*), is asked for its rows."""
        import ibis.expr.operations as ops

        found = NOTHING
        for child in node.__children__:
            if isinstance(child, ops.Value):
                found |= self.value(child)
            elif not isinstance(child, ops.Relation):
                continue
            elif isinstance(node, ops.CountStar):
                found |= Dependency(placed_by=self.relation(child).rows)
            elif isinstance(node, ops.Value):
                found |= Dependency(reads=self.relation(child).everything())
        return found

    def _each(self, values: Mapping[str, Node]) -> dict[str, Dependency]:
        return {name: self.value(value) for name, value in values.items()}

    def _all(self, values: Iterable[Node]) -> Columns:
        return NONE.union(*(self.value(value).all for value in values))

    def _multiplied(self, values: Mapping[str, Node]) -> Columns:
        """What the number of rows depends on where a list is unnested among the values."""
        import ibis.expr.operations as ops

        return self._all(value for value in values.values() if value.find(ops.Unnest, filter=ops.Value))
