"""A rule's reason in the words of one case: the one place where fields are filled in, whichever engine ran the rules.

A template is a sentence with fields as Python's `str.format` has them, each the plain name of an input and at most a
format specification: ``costs ${price:,.0f}``. Numbers are formatted as rounded to six decimals, whole numbers as such.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from automation.policy.tables.cells import SCALE
from automation.policy.tables.document import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.policy.tables.document import Input


@dataclass(frozen=True)
class Template:
    """``pattern`` has the fields by their places in ``fields``, each of which is named once."""

    pattern: str
    fields: tuple[str, ...]


def template_of(reason: str, inputs: Mapping[str, Input]) -> Template:
    """Reads a reason.

    Raises:
        ValueError: a brace is not closed, a field is no input, or its specification does not suit the input's type.
    """
    pattern, fields = [], []
    for literal, field, specification, conversion in string.Formatter().parse(reason):
        pattern.append(literal.replace("{", "{{").replace("}", "}}"))
        if field is None:
            continue
        if field not in inputs:
            raise ValueError(f"{field!r} is no input")
        if conversion or "{" in (specification or ""):
            raise ValueError(f"{field!r} has a conversion or a field within")
        if field not in fields:
            fields.append(field)
        pattern.append(f"{{{fields.index(field)}:{specification}}}")
    template = Template("".join(pattern), tuple(fields))
    samples = {Kind.NUMBER: 1.5, Kind.INTEGER: 1, Kind.BOOLEAN: True, Kind.STRING: "x"}
    template.pattern.format(*(samples[inputs[field].kind] for field in fields))
    return template


def filled(template: Template, values: pl.DataFrame, inputs: Mapping[str, Input]) -> pl.Series:
    """The reason of each row of normalised ``values``. What several rows share is formatted once."""
    fields = list(template.fields)
    if not fields:
        return pl.Series([template.pattern.format()] * values.height, dtype=pl.String)
    different = values.select(fields).unique(maintain_order=True)
    texts = map(template.pattern.format, *(_told(different[name], inputs[name].kind) for name in fields))
    said = different.with_columns(pl.Series("__said", list(texts), dtype=pl.String))
    if different.height == values.height:
        return said["__said"]
    return values.select(fields).join(said, on=fields, how="left", maintain_order="left")["__said"]


def _told(column: pl.Series, kind: Kind) -> list:
    """Values as people know them. Numpy divides exactly rounded, which polars does not promise."""
    if kind is Kind.NUMBER:
        return (column.to_numpy() / SCALE).tolist()
    return (column // SCALE).to_list() if kind is Kind.INTEGER else column.to_list()


def told(values: pl.DataFrame, inputs: Mapping[str, Input]) -> pl.DataFrame:
    """Normalised values as the numbers, texts and truth values that they stand for."""
    return pl.DataFrame(
        {name: pl.Series(_told(values[name], given.kind), dtype=_DTYPES[given.kind]) for name, given in inputs.items()}
    )


_DTYPES = {Kind.NUMBER: pl.Float64, Kind.INTEGER: pl.Int64, Kind.STRING: pl.String, Kind.BOOLEAN: pl.Boolean}
