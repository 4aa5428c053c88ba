"""Canonical JSON (RFC 8785, JCS): one text a value, so that a hash is of what is said and not of how it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rfc8785

from automation.errors import WarrantError

if TYPE_CHECKING:
    import polars as pl

# Whole numbers beyond are not told apart by JSON's doubles.
SAFE_INTEGER = 2**53 - 1
# From here to SAFE_INTEGER a fraction is written alike by orjson and by ECMAScript, which RFC 8785 follows.
PLAIN_FROM = 1e-3
# Of so many rows less than half have a text of their own: then texts are worth keeping.
SAME_TEXTS = 100


class NotCanonicalError(WarrantError):
    """The value cannot be said in canonical JSON."""


def canonical(value: Any) -> bytes:
    """The canonical JSON of ``None``, booleans, numbers, texts, lists and mappings of them.

    Raises:
        NotCanonicalError: a number is not finite or too large to be exact, or something is of another type.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, AttributeError, TypeError) as error:
        raise NotCanonicalError(
            f"This cannot be said in canonical JSON: {error}.",
            remedy="Give texts, booleans, finite numbers up to 2^53, lists and mappings; larger numbers as text.",
        ) from error


def canonical_rows(rows: pl.DataFrame) -> list[bytes]:
    """The canonical JSON of each row as an object of its columns, in the order given.

    Instants are texts in UTC with microseconds, days are ISO 8601; all else is as `canonical` has it. It is `canonical`
    of each row, some thirty times as fast.

    Raises:
        NotCanonicalError: a number is not finite, or a whole one too large to be exact.
    """
    import orjson

    told = _told(rows)
    names = told.columns
    if not all(name.isascii() for name in names):
        return [canonical(row) for row in told.iter_rows(named=True)]
    plain = _plain(told)
    values = zip(*(_values(told[name], told.height) for name in names), strict=True)
    return [
        orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_SORT_KEYS)
        if plain[at]
        else canonical(told.row(at, named=True))
        for at, row in enumerate(values)
    ]


def _told(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl
    import polars.selectors as cs

    instants = [
        pl.col(name).dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        if getattr(dtype, "time_zone", None)
        else pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        for name, dtype in rows.schema.items()
        if isinstance(dtype, pl.Datetime)
    ]
    return rows.with_columns(*instants, cs.date().dt.strftime("%Y-%m-%d"))


def _plain(told: pl.DataFrame) -> list[bool]:
    """Whether orjson writes all numbers of a row as ECMAScript does; rows of which it does not are written slowly."""
    import polars as pl
    import polars.selectors as cs

    size = cs.float().abs()
    fractions = ((size >= PLAIN_FROM) & (size <= SAFE_INTEGER)) | (size == 0)
    wholes = cs.integer().cast(pl.Float64).abs() <= SAFE_INTEGER
    nested = [pl.lit(value=False) for dtype in told.schema.values() if dtype.is_nested()]
    every = told.select(
        pl.all_horizontal(pl.lit(value=True), fractions.fill_null(True), wholes.fill_null(True), *nested)
    )
    found = every.to_series().to_list()
    return found * told.height if len(found) == 1 else found


def _values(column: pl.Series, rows: int) -> list[Any]:
    """The column's values as orjson shall be given them."""
    import orjson
    import polars as pl

    if column.dtype.is_float():
        values = column.to_list()
        # Canonical JSON does not tell 1.0 from 1, nor -0 from 0.
        for at in (column == column.round()).fill_null(False).arg_true().to_list():
            if abs(values[at]) <= SAFE_INTEGER:
                values[at] = int(values[at])
        return values
    if column.dtype == pl.String and rows > SAME_TEXTS and column.head(SAME_TEXTS).n_unique() < SAME_TEXTS / 2:
        # The same long texts again and again: each is written once.
        written = {text: orjson.Fragment(orjson.dumps(text)) for text in column.unique()}
        return [written[text] for text in column.to_list()]
    return column.to_list()
