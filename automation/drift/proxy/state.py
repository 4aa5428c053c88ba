"""A proxy watch as canonical JSON, and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from automation.drift.proxy.conformal import Conformal, Span
from automation.drift.proxy.watch import MEASURES, ProxyWatch
from automation.drift.watch_state import day_of, day_text, restored, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.drift.proxy.plan import ProxyPlan


def as_bytes(watch: ProxyWatch) -> bytes:
    """The state of a watch. The same watch gives the same bytes."""
    return written(
        watch.plan,
        {
            "past": {name: {**asdict(past), "errors": list(past.errors)} for name, past in watch.past.items()},
            "estimates": {
                day.isoformat(): {name: asdict(span) for name, span in spans.items()}
                for day, spans in watch.estimates.items()
            },
            "estimated_to": day_text(watch.estimated_to),
            "judged_to": day_text(watch.judged_to),
            "low_days": watch.low_days,
        },
    )


def of_bytes(content: bytes, plan: ProxyPlan) -> ProxyWatch:
    """The watch that `as_bytes` told of.

    Raises:
        OtherStateError: it is something else, or was watched under another plan.
    """
    return restored(content, plan, lambda told: _watch(told, plan))


def _watch(told: Mapping[str, Any], plan: ProxyPlan) -> ProxyWatch:
    return ProxyWatch(
        plan,
        {name: _past(told["past"][name]) for name in MEASURES},
        {
            date.fromisoformat(day): {name: Span(**spans[name]) for name in MEASURES if name in spans}
            for day, spans in sorted(told["estimates"].items())
        },
        day_of(told["estimated_to"]),
        day_of(told["judged_to"]),
        int(told["low_days"]),
    )


def _past(told: Mapping[str, Any]) -> Conformal:
    errors = tuple(float(one) for one in told["errors"])
    return Conformal(float(told["level"]), errors, int(told["judged"]), int(told["held"]))
