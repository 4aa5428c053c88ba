"""A proxy watch as canonical JSON, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from automation.drift.proxy.conformal import Conformal, Span
from automation.drift.proxy.plan import ProxyPlan
from automation.drift.proxy.watch import MEASURES, ProxyWatch
from automation.errors import WarrantError
from automation.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1


class OtherStateError(WarrantError):
    """The bytes are not the state of a proxy watch, or of one under another plan."""


def as_bytes(watch: ProxyWatch) -> bytes:
    """The state of a watch. The same watch gives the same bytes."""
    return canonical(
        {
            "format": FORMAT,
            "plan": watch.plan.model_dump(mode="json"),
            "past": {name: {**asdict(past), "errors": list(past.errors)} for name, past in watch.past.items()},
            "estimates": {
                day.isoformat(): {name: asdict(span) for name, span in spans.items()}
                for day, spans in watch.estimates.items()
            },
            "estimated_to": watch.estimated_to.isoformat() if watch.estimated_to else None,
            "judged_to": watch.judged_to.isoformat() if watch.judged_to else None,
            "low_days": watch.low_days,
        }
    )


def of_bytes(content: bytes, plan: ProxyPlan) -> ProxyWatch:
    """The watch that `as_bytes` told of.

    Raises:
        OtherStateError: it is something else, or was watched under another plan.
    """
    try:
        watch = _told(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise OtherStateError(
            f"This is not the state of a proxy watch: {error}.", remedy="Give what was kept of the watch, unchanged."
        ) from error
    if watch.plan != plan:
        raise OtherStateError(
            "The champion's performance has been estimated under another plan.",
            remedy="Go on under its plan, or start a new watch: intervals learn at one rate.",
        )
    return watch


def _told(told: Mapping[str, Any]) -> ProxyWatch:
    if told["format"] != FORMAT:
        raise ValueError(f"its format is {told['format']}")
    return ProxyWatch(
        ProxyPlan.model_validate(told["plan"]),
        {name: _past(told["past"][name]) for name in MEASURES},
        {
            date.fromisoformat(day): {name: Span(**spans[name]) for name in MEASURES if name in spans}
            for day, spans in sorted(told["estimates"].items())
        },
        date.fromisoformat(told["estimated_to"]) if told["estimated_to"] else None,
        date.fromisoformat(told["judged_to"]) if told["judged_to"] else None,
        int(told["low_days"]),
    )


def _past(told: Mapping[str, Any]) -> Conformal:
    errors = tuple(float(one) for one in told["errors"])
    return Conformal(float(told["level"]), errors, int(told["judged"]), int(told["held"]))
