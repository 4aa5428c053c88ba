"""Windows of history: which rows of a training set a model learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.errors import WarrantError

if TYPE_CHECKING:
    from datetime import date

    from automation.drift.worth.plan import Window


class EmptyWindowError(WarrantError):
    """A window holds no rows of a training set."""


def cut(rows: pl.DataFrame, window: Window, as_of: date, timezone: str) -> pl.DataFrame:
    """The rows that the window holds, in their order.

    Args:
        rows: with ``event_time``, the decision time; all of it before ``as_of`` begins.
        timezone: in which days are days, the calendar's.

    Whole days are kept or left out: the cases of a day share its weather, and some of them tell nearly as much as all.
    Days are thinned evenly, the newest first, so that the same rows give the same window.

    Raises:
        EmptyWindowError: the window holds none of them.
    """
    day = rows["event_time"].dt.convert_time_zone(timezone).dt.date().to_numpy().astype("datetime64[D]")
    age = (np.datetime64(as_of, "D") - day).astype(int)
    if window.last_days is not None:
        kept = age <= window.last_days
    elif window.half_life_days is not None:
        ages = np.unique(age)
        so_far = np.cumsum(0.5 ** ((ages - ages[:1]) / window.half_life_days))
        # A day is kept where the weights so far pass a whole number: as many as they add up to.
        kept = np.isin(age, ages[np.ceil(so_far) > np.ceil(np.concatenate([[0.0], so_far[:-1]]))])
    else:
        kept = np.ones(rows.height, dtype=bool)
    if not kept.any():
        raise EmptyWindowError(
            f"The window {window.name} holds none of the {rows.height:,} rows known as of {as_of}.",
            remedy="Wait for outcomes, or declare a longer window.",
        )
    return rows.filter(pl.Series(kept))
