"""The state of a watch of inputs as bytes, and back: canonical JSON, arrays as base64 of little-endian numbers."""

from __future__ import annotations

import base64
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from automation.drift.inputs.betting import SHIFTS, Wealth
from automation.drift.inputs.scales import PARTS, Sample, Scale
from automation.drift.inputs.watch import Inputs
from automation.drift.watch_state import day_of, day_text, restored, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.drift.inputs.plan import InputPlan


def as_bytes(inputs: Inputs) -> bytes:
    """The state: `of_bytes` reads it. The same for the same plan, features, days and cases."""
    return written(
        inputs.plan,
        {
            "features": list(inputs.features),
            "day": day_text(inputs.day),
            "shown": inputs.shown,
            "samples": [
                {
                    "numbers": _text(np.asarray(one.numbers), "<f8"),
                    "names": dict(one.names) if one.names is not None else None,
                }
                for one in inputs.samples
            ],
            "scales": [
                {
                    "edges": _text(np.asarray(one.edges), "<f8"),
                    "names": list(one.names) if one.names is not None else None,
                    "places": _text(np.asarray(one.places), "<f8"),
                }
                for one in inputs.scales
            ],
            "bag": _text(inputs.bag, "<f4"),
            "discount": _text(inputs.discount, "<f8"),
            "sums": _text(inputs.wealth.sums, "<f8"),
            "rise": _text(inputs.wealth.rise, "<f8"),
            "began": _text(inputs.wealth.began, "<i8"),
            "changed": {name: day.isoformat() for name, day in inputs.changed.items()},
        },
    )


def of_bytes(content: bytes, plan: InputPlan) -> Inputs:
    """The watch that `as_bytes` told of.

    Raises:
        OtherStateError: it is something else, or was watched under another plan.
    """
    return restored(content, plan, lambda told: _watch(told, plan))


def _watch(told: Mapping[str, Any], plan: InputPlan) -> Inputs:
    features = tuple(told["features"])
    count = len(PARTS) * len(features)
    shape = (len(SHIFTS), count)
    discount = _array(told["discount"], "<f8", (-1,))
    scales = tuple(
        Scale(
            tuple(_array(one["edges"], "<f8", (-1,)).tolist()),
            tuple(one["names"]) if one["names"] is not None else None,
            tuple(_array(one["places"], "<f8", (-1,)).tolist()),
        )
        for one in told["scales"]
    )
    samples = tuple(
        Sample(tuple(_array(one["numbers"], "<f8", (-1,)).tolist()), one["names"]) for one in told["samples"]
    )
    if len(discount) not in {0, count} or len(scales) not in {0, len(features)}:
        raise ValueError("it has other features than it says")
    return Inputs(
        plan=plan,
        features=features,
        day=day_of(told["day"]),
        shown=int(told["shown"]),
        samples=samples,
        scales=scales,
        bag=_array(told["bag"], "<f4", (-1, count)),
        discount=discount,
        wealth=Wealth(
            _array(told["sums"], "<f8", shape), _array(told["rise"], "<f8", shape), _array(told["began"], "<i8", shape)
        ),
        changed={name: date.fromisoformat(day) for name, day in told["changed"].items()},
    )


def _text(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode()


def _array(text: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype).reshape(shape)
