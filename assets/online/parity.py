"""Parity: what is served of a case is what the offline store answers at that instant, value by value."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from feast import FeatureStore

    from feature_repo.online import OnlineReader, ServicePlan

SAMPLE, PARTS = 16, 4


@dataclass(frozen=True)
class Difference:
    """One feature of one case that is served otherwise than it should be."""

    case: str
    feature: str
    online: Any
    offline: Any


def sample(cases: pl.DataFrame, key: str, size: int = SAMPLE) -> pl.DataFrame:
    """Some cases, as if drawn by chance and yet always the same."""
    drawn = pl.Series([hashlib.sha256(str(name).encode()).digest() for name in cases[key]], dtype=pl.Binary)
    return cases[drawn.arg_sort().head(size)] if cases.height else cases


def in_turn(plan: ServicePlan, day: date, parts: int = PARTS) -> list[str]:
    """References to the features that are compared on ``day``: those of every ``parts``-th view.

    An offline answer reads each view's past as long as its values live, so all of them each day would cost more than
    materializing does. In as many days as there are parts every view has been compared.
    """
    parts = min(parts, len(plan.offers))  # A service of few views is compared every day, too.
    offered = [name for number, name in enumerate(plan.offers) if number % parts == day.toordinal() % parts]
    return [f"{name}:{feature}" for name in offered for feature in plan.offers[name]]


def differences(
    store: FeatureStore, reader: OnlineReader, asked: Sequence[str], cases: pl.DataFrame, key: str, at: datetime
) -> list[Difference]:
    """Those of the features ``asked`` whose online value at ``at`` is not the offline one, case by case.

    Pushed events do not count.
    """
    if cases.is_empty():
        return []
    from feature_repo.store import historical_values

    frame = cases.drop("known_time", "day", strict=False).with_columns(event_timestamp=pl.lit(at))
    offline = historical_values(store, asked, frame).to_dicts()
    online = reader.read(cases.to_dicts(), at, pushed=False)
    return compared(cases[key].to_list(), online, offline)


def compared(
    cases: Sequence[str], online: Sequence[dict[str, Any]], offline: Sequence[dict[str, Any]]
) -> list[Difference]:
    """Value by value and type by type; a float that is not a number counts as none."""
    return [
        Difference(case, name, served[name], expected)
        for case, served, right in zip(cases, online, offline, strict=True)
        for name, expected in right.items()
        if _value(served[name]) != _value(expected)
    ]


def _value(found: Any) -> tuple[str, Any]:
    if found is None or (isinstance(found, float) and math.isnan(found)):
        return ("none", None)
    # A bool equals an int and an int a float, and yet a model may see them otherwise.
    return (type(found).__name__, found)
