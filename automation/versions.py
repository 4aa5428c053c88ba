"""A fact may be corrected: a later row about the same thing, known later. What was known before is never rewritten."""

from __future__ import annotations

import polars as pl


def newest(rows: pl.DataFrame, *key: str) -> pl.DataFrame:
    """Of the rows with the same ``key`` the one that became known last, in the order of ``known_time`` and key.

    As of an instant: give it the rows that were known by then.
    """
    return rows.sort("known_time", *key).unique(list(key), keep="last", maintain_order=True)
