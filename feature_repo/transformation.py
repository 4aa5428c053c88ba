"""Which inputs each output of an on-demand feature view is computed from, read in its function's source.

Feast knows the views such a function is given, not which of their features end up in which output. The source is
followed from the columns of the frame that comes in to those of the frame that goes out. What cannot be followed is
taken to read everything, so the answer may name an input too many, never one too few. One habit is relied on:
columns are named by text that stands in the function.
"""

from __future__ import annotations

import ast
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Set

Names = frozenset[str]
NONE: Names = frozenset()
# Of a frame: the rows and their labels, which are the same for every feature.
_ABOUT_ROWS = frozenset({"index", "shape", "size", "empty"})
# Stands for whatever column an inner function is asked for: the call names it.
_ASKED = "(asked)"
_ANY = "(any)"


def inputs_of(source: str, inputs: Set[str], outputs: Sequence[str]) -> dict[str, Names]:
    """The inputs that each of ``outputs`` is computed from, in the source of ``f(inputs: DataFrame) -> DataFrame``."""
    functions = [node for node in ast.parse(textwrap.dedent(source)).body if isinstance(node, ast.FunctionDef)]
    if len(functions) != 1 or not functions[0].args.args:
        return dict.fromkeys(outputs, frozenset(inputs))
    reading = _Reading(functions[0].args.args[0].arg, frozenset(inputs))
    return reading.outputs(functions[0], outputs)


class _Reading:
    """What each name and each column of each frame was made from, wherever in the function that was."""

    def __init__(self, frame: str, inputs: Names) -> None:
        self._frame = frame
        self._inputs = inputs
        self._names: defaultdict[str, Names] = defaultdict(frozenset)
        self._columns: defaultdict[str, defaultdict[str, Names]] = defaultdict(lambda: defaultdict(frozenset))
        self._functions: dict[str, Names] = {}
        self._decides: Names = NONE
        self._returned: list[ast.expr] = []

    def outputs(self, function: ast.FunctionDef, names: Sequence[str]) -> dict[str, Names]:
        before = None
        # What is assigned further down may be read further up, in a loop: until nothing new is found.
        while before != (before := self._state()):
            self._returned = []
            self._statements(function.body)
        return {
            name: NONE.union(self._decides, *(self._output(value, name) for value in self._returned)) for name in names
        }

    def _state(self) -> tuple[object, ...]:
        columns = {frame: dict(made) for frame, made in self._columns.items()}
        return dict(self._names), columns, dict(self._functions), self._decides

    def _output(self, value: ast.expr, name: str) -> Names:
        match value:
            case ast.Name(id=frame):
                made = self._columns[frame]
                whole = NONE if frame == self._frame else self._names[frame]
                return made[name] | made[_ANY] | whole if name in made or whole else self._inputs
            case ast.Call(args=[ast.Dict(keys=keys, values=values), *others], keywords=given):
                beside = self._all([*others, *(keyword.value for keyword in given)])
                for key, column in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == name:
                        return beside | self._of(column)
                return self._inputs
            case _:
                return self._inputs

    def _statements(self, body: Iterable[ast.stmt]) -> None:  # noqa: PLR0912 - one case a kind of statement
        for statement in body:
            match statement:
                case ast.FunctionDef(name=name):
                    self._functions[name] = self._inner(statement)
                case ast.Return(value=value):
                    if value is not None:
                        self._returned.append(value)
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, self._of(value))
                case ast.AugAssign(target=target, value=value) | ast.AnnAssign(target=target, value=value):
                    self._assign(target, self._of(value) if value else NONE)
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=frame))) as call):
                    # A method called for its effect may change any column.
                    self._columns[frame][_ANY] |= self._of(call)
                case ast.For(target=target, iter=rows):
                    self._assign(target, self._of(rows))
                    self._decides |= self._of(rows)
                case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test):
                    self._decides |= self._of(test)
                case _:
                    self._decides |= self._all(_parts(statement))
            if not isinstance(statement, ast.FunctionDef):
                for name in ("body", "orelse", "finalbody"):
                    self._statements(getattr(statement, name, []))
                for handler in getattr(statement, "handlers", []):
                    self._statements(handler.body)

    def _inner(self, function: ast.FunctionDef) -> Names:
        """What an inner function reads besides what it is handed: its own names stand for nothing else."""
        arguments = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
        outer = {name: self._names.pop(name) for name in arguments & self._names.keys()}
        self._names |= dict.fromkeys(arguments, frozenset({_ASKED}))
        read = self._all(part for node in ast.walk(function) if isinstance(node, ast.stmt) for part in _parts(node))
        for name in arguments:
            del self._names[name]
        self._names |= outer
        return read

    def _assign(self, target: ast.expr, made_from: Names) -> None:
        match target:
            case ast.Name(id=name):
                self._names[name] |= made_from
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._assign(part, made_from)
            case ast.Starred(value=inner):
                self._assign(inner, made_from)
            case ast.Subscript(value=ast.Name(id=frame), slice=ast.Constant(value=str(column))):
                self._columns[frame][column] |= made_from
            case ast.Subscript(value=base, slice=where):
                self._columns[_base(base)][_ANY] |= made_from | self._of(where)
            case ast.Attribute(value=base):
                self._columns[_base(base)][_ANY] |= made_from

    def _of(self, value: ast.expr) -> Names:  # noqa: PLR0911 - one case a kind of expression
        """What an expression is made from."""
        frame = self._frame
        match value:
            case ast.Constant(value=str(text)):
                return frozenset({text}) & self._inputs
            case ast.Name(id=name):
                made = NONE.union(*self._columns[name].values())
                return made | (self._inputs if name == frame else self._names[name])
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == frame:
                if attribute in _ABOUT_ROWS:
                    return NONE
                return self._column(attribute) if attribute in self._inputs else self._inputs
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(column))) if name == frame:
                return self._column(column)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=column)) if name == frame:
                return self._names[column] or self._inputs
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(column))):
                made = self._columns[name]
                return self._names[name] | made[_ANY] | made[column]
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                read, handed = self._functions[name], self._all(_parts(value))
                return self._inputs if _ASKED in read and not handed else (read - {_ASKED}) | handed
            case _:
                return self._all(_parts(value))

    def _column(self, name: str) -> Names:
        made = self._columns[self._frame]
        return (frozenset({name}) & self._inputs) | made[name] | made[_ANY]

    def _all(self, values: Iterable[ast.expr]) -> Names:
        return NONE.union(*(self._of(value) for value in values))


def _parts(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions right under a node, those of its keywords and clauses too, but not those of statements in it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif not isinstance(child, ast.stmt | ast.excepthandler):
            yield from _parts(child)


def _base(value: ast.expr) -> str:
    """The name at the bottom of ``a.b[c]``."""
    while isinstance(value, ast.Attribute | ast.Subscript):
        value = value.value
    return value.id if isinstance(value, ast.Name) else ""
