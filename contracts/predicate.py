"""Row predicates: SQL boolean expressions that look at one row at a time.

A predicate is parsed by polars (`pl.sql_expr`) and then refused if it looks at more than one row
(aggregates, windows, row numbers): such a rule would give a row another verdict when it stands in
another batch, and replay would not be exact.
"""

import json
from collections.abc import Mapping

import polars as pl

_ROW_NODES = frozenset({"Column", "Literal", "BinaryExpr", "Cast", "Ternary", "Function", "Alias"})
_ROW_FUNCTION_FAMILIES = frozenset({"StringExpr", "TemporalExpr", "Boolean", "Sql", "Trigonometry", "Log", "Pow"})
_ROW_FUNCTIONS = frozenset(
    {"Abs", "Coalesce", "MaxHorizontal", "MinHorizontal", "FillNull", "Sign", "Exp", "Floor", "Ceil"}
)
_CHILDREN = {
    "BinaryExpr": ("left", "right"),
    "Cast": ("expr",),
    "Ternary": ("predicate", "truthy", "falsy"),
}


class PredicateError(ValueError):
    """A predicate that cannot be enforced row by row. The message says what to change."""


def parse(predicate: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """The polars expression of `predicate` over a row with the columns of `schema`.

    The expression gives one Boolean a row: TRUE or NULL when the row keeps the rule, FALSE when it
    breaks it (a SQL CHECK constraint, ISO 9075-2 section 4.20).

    Raises `PredicateError` when the text does not parse, names a column outside `schema`, is not
    boolean, or looks at more than the row.
    """
    try:
        expression = pl.sql_expr(predicate)
    except pl.exceptions.PolarsError as error:
        raise PredicateError(f"it does not parse as SQL: {error}") from error
    names = set(expression.meta.root_names())
    if unknown := sorted(names - set(schema)):
        raise PredicateError(f"it names columns the table does not have: {', '.join(unknown)}")
    _refuse_other_rows(json.loads(expression.meta.serialize(format="json")))
    if not names:
        raise PredicateError("it names no column, so it says nothing about a row")
    try:
        # Evaluated for real, on no rows: some mismatches of types show only then.
        (dtype,) = pl.DataFrame(schema=dict(schema)).select(expression).dtypes
    except pl.exceptions.PolarsError as error:
        raise PredicateError(f"it cannot be evaluated on the declared types: {error}") from error
    if dtype != pl.Boolean:
        raise PredicateError(f"it gives {dtype}, not a Boolean")
    return expression


def _refuse_other_rows(node: object) -> None:
    """Walk polars' own serialisation of the expression and allow only what is known to be row-wise.

    The serialisation is not a stable format; an upgrade that changes it makes predicates fail here,
    loudly, rather than pass unread.
    """
    if not isinstance(node, dict) or len(node) != 1:
        raise PredicateError(f"it uses {node}, which looks at more than one row")
    ((kind, body),) = node.items()
    if kind not in _ROW_NODES:
        raise PredicateError(f"it uses {kind}, which looks at more than one row")
    for child in _CHILDREN.get(kind, ()):
        _refuse_other_rows(body[child])
    if kind == "Alias":
        _refuse_other_rows(body[0])
    if kind == "Function":
        function = body["function"]
        name = next(iter(function)) if isinstance(function, dict) else function
        if name not in (_ROW_FUNCTION_FAMILIES if isinstance(function, dict) else _ROW_FUNCTIONS):
            raise PredicateError(f"it uses the function {name}, which is not known to look at one row only")
        for child in body["input"]:
            _refuse_other_rows(child)
