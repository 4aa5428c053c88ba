"""A watch for harm as canonical JSON, and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from automation.drift.harm.detector import Detector
from automation.drift.harm.watch import Alarm, Bets, HarmWatch
from automation.drift.watch_state import day_of, day_text, restored, written
from automation.rollout.verdicts.betting import FRACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.drift.harm.plan import HarmPlan


def as_bytes(watch: HarmWatch) -> bytes:
    """The state of a watch. The same watch gives the same bytes."""
    alarm = watch.alarm
    return written(
        watch.plan,
        {
            "day": day_text(watch.day),
            "learned": list(watch.learned),
            "usual": watch.usual,
            "bets": {
                claim: {
                    "detector": {**asdict(bets.detector), "sums": list(bets.detector.sums)},
                    "first": day_text(bets.first),
                    "day": day_text(bets.day),
                }
                for claim, bets in watch.bets.items()
            },
            "alarm": {**asdict(alarm), "day": day_text(alarm.day), "since": day_text(alarm.since)} if alarm else None,
        },
    )


def of_bytes(content: bytes, plan: HarmPlan) -> HarmWatch:
    """The watch that `as_bytes` told of.

    Raises:
        OtherStateError: it is something else, or was watched under another plan.
    """
    return restored(content, plan, lambda told: _watch(told, plan))


def _watch(told: Mapping[str, Any], plan: HarmPlan) -> HarmWatch:
    # In the plan's order, which canonical JSON does not keep.
    bets = {claim: _bets(told["bets"][claim]) for claim in plan.needed if claim in told["bets"]}
    if len(bets) != len(told["bets"]):
        raise ValueError("it has other claims than its plan")
    usual = told["usual"]
    return HarmWatch(
        plan,
        day_of(told["day"]),
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
    return Bets(detector, day_of(told["first"]), day_of(told["day"]))


def _alarm(told: Mapping[str, Any] | None) -> Alarm | None:
    if told is None:
        return None
    day = date.fromisoformat(told["day"])
    return Alarm(told["claim"], day, day_of(told["since"]), told["says"])
