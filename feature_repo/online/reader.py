"""Reading a service's features of some cases at an instant, in one round trip."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.online.records import Record, instant, key_of, moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from feature_repo.online.plan import Computed, ServicePlan, ViewPlan
    from feature_repo.online.records import Backend

AT = "event_timestamp"


class KeyMissingError(ValueError):
    """A case does not say a key or a value that the service's views need."""


class OnlineReader:
    """A service's features, from a backend. Keep it: its plan is made once."""

    def __init__(self, plan: ServicePlan, backend: Backend) -> None:
        self.plan = plan
        self._backend = backend

    def read(self, cases: Sequence[Mapping[str, Any]], at: datetime, *, pushed: bool = True) -> list[dict[str, Any]]:
        """The features of each case, in order, as known at ``at`` (UTC, or with a zone); None where nothing is.

        Args:
            cases: the service's keys and what on-demand features take from a request, by name. A key may be None.
            pushed: whether events pushed since the last materialization count.

        Raises:
            KeyMissingError: a case lacks a key.
        """
        now = instant(at)
        reads = self.plan.reads
        try:
            keys = [[key_of([case[name] for name in served.given]) for served in reads] for case in cases]
        except KeyError as lacking:
            raise KeyMissingError(
                f"A case does not say its {lacking.args[0]}: the service {self.plan.name} is read by "
                f"{', '.join(self.plan.keys)}. Give null for one that is not known."
            ) from None
        asked = {(served.view.slot, key) for row in keys for served, key in zip(reads, row, strict=True) if key}
        found = self._backend.read(list(asked)) if asked else {}
        decoded: dict[tuple[str, str], dict[str, Any]] = {}
        answers = []
        for row in keys:
            answer: dict[str, Any] = {}
            for served, key in zip(reads, row, strict=True):
                place = (served.view.slot, key or "")
                values = decoded.get(place)
                if values is None:
                    values = decoded[place] = _values(served.view, found.get(place, ()), now, pushed=pushed)
                for name in served.features:
                    answer[name] = values.get(name)
            answers.append(answer)
        for view in self.plan.computed:
            _compute(view, cases, answers, at)
        return [{name: answer[name] for name in self.plan.features} for answer in answers]


def best(found: Sequence[tuple[bool, Record]], now: int, *, pushed: bool) -> Record | None:
    """The record that is right at an instant: of those visible the one with the greatest (event, known)."""
    visible = [
        record for was_pushed, record in found if max(record.event, record.known) <= now and (pushed or not was_pushed)
    ]
    return max(visible, key=lambda record: (record.event, record.known), default=None)


def _values(view: ViewPlan, found: Sequence[tuple[bool, Record]], now: int, *, pushed: bool) -> dict[str, Any]:
    record = best(found, now, pushed=pushed)
    if record is None or (view.ttl is not None and record.event < now - view.ttl):
        return {}
    values = dict(zip(view.features, json.loads(record.values), strict=True))
    for name in view.times:
        if values[name] is not None:
            values[name] = moment(values[name])
    return values


def _compute(view: Computed, cases: Sequence[Mapping[str, Any]], answers: list[dict[str, Any]], at: datetime) -> None:
    rows = [{AT: at, **case, **answer} for case, answer in zip(cases, answers, strict=True)]
    try:
        columns = {name: [row[name] for row in rows] for name in view.inputs}
    except KeyError as lacking:
        raise KeyMissingError(f"A case does not say its {lacking.args[0]}, which {view.name} needs.") from None
    if view.takes_arrays:
        given: Any = {name: _array(values) for name, values in columns.items()}
    else:
        import pandas as pd

        given = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    made = view.function(given)
    for name in view.features:
        for answer, value in zip(answers, made[name], strict=True):
            answer[name] = _plain(value)


def _array(values: list[Any]) -> np.ndarray:
    """Instants as datetime64 in UTC, numbers as float64 with NaN where there is none, anything else as objects."""
    known = next((value for value in values if value is not None), None)
    if hasattr(known, "tzinfo"):
        return np.array([None if v is None else instant(v) for v in values], dtype="datetime64[us]")
    if known is None or isinstance(known, int | float):
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    return np.array(values, dtype=object)


def _plain(value: Any) -> Any:
    """A computed value as Python has it: missing is None, whichever way a library says so."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
