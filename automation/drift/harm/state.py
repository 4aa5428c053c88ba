"""A watch for harm as canonical JSON, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from automation.drift.harm.detector import Detector
from automation.drift.harm.plan import HarmPlan
from automation.drift.harm.watch import Alarm, Bets, HarmWatch
from automation.errors import WarrantError
from automation.ledger.canonical import canonical
from automation.rollout.verdicts.betting import FRACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1


class OtherStateError(WarrantError):
    """The bytes are not the state of a watch for harm, or of one under another plan."""


def as_bytes(watch: HarmWatch) -> bytes:
    """The state of a watch. The same watch gives the same bytes."""
    alarm = watch.alarm
    return canonical(
        {
            "format": FORMAT,
            "plan": watch.plan.model_dump(mode="json"),
            "day": _day(watch.day),
            "learned": list(watch.learned),
            "usual": watch.usual,
            "bets": {
                claim: {
                    "detector": {**asdict(bets.detector), "sums": list(bets.detector.sums)},
                    "first": _day(bets.first),
                    "day": _day(bets.day),
                }
                for claim, bets in watch.bets.items()
            },
            "alarm": {**asdict(alarm), "day": _day(alarm.day), "since": _day(alarm.since)} if alarm else None,
        }
    )


def of_bytes(content: bytes, plan: HarmPlan) -> HarmWatch:
    """The watch that `as_bytes` told of.

    Raises:
        OtherStateError: it is something else, or was watched under another plan: how rarely a false alarm comes holds
            for one plan from its start.
    """
    try:
        watch = _told(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise OtherStateError(
            f"This is not the state of a watch for harm: {error}.", remedy="Give what was kept of the watch, unchanged."
        ) from error
    if watch.plan != plan:
        raise OtherStateError(
            "The champion has been watched for harm under another plan.",
            remedy="Go on under its plan, or start a new watch: how rarely false alarms come holds for one plan.",
        )
    return watch


def _told(told: Mapping[str, Any]) -> HarmWatch:
    if told["format"] != FORMAT:
        raise ValueError(f"its format is {told['format']}")
    plan = HarmPlan.model_validate(told["plan"])
    # In the plan's order, which canonical JSON does not keep.
    bets = {claim: _bets(told["bets"][claim]) for claim in plan.needed if claim in told["bets"]}
    if len(bets) != len(told["bets"]):
        raise ValueError("it has other claims than its plan")
    usual = told["usual"]
    return HarmWatch(
        plan,
        _date(told["day"]),
        tuple(float(one) for one in told["learned"]),
        None if usual is None else float(usual),
        bets,
        _alarm(told["alarm"]),
    )


def _bets(told: Mapping[str, Any]) -> Bets:
    kept = told["detector"]
    sums = tuple(None if one is None else float(one) for one in kept["sums"])
    if len(sums) != len(FRACTIONS):
        raise ValueError(f"it has {len(sums)} fractions in place of {len(FRACTIONS)}")
    detector = Detector(float(kept["scale"]), int(kept["days"]), sums, float(kept["best"]), int(kept["since"]))
    return Bets(detector, _date(told["first"]), _date(told["day"]))


def _alarm(told: Mapping[str, Any] | None) -> Alarm | None:
    if told is None:
        return None
    day = date.fromisoformat(told["day"])
    return Alarm(told["claim"], day, _date(told["since"]), told["says"])


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _date(told: str | None) -> date | None:
    return date.fromisoformat(told) if told else None
