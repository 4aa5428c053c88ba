"""What was decided about retraining: events of the ledger's stream ``drift/WORKLOAD``.

One event for each day on which it was looked into, asked for or declined, with what was found by day and what it was
expected to be worth: the counterfactual that it can be judged by later, and what later looks pool with theirs. Looked
into again on the same day, it stays as it was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from automation.drift.worth.budget import Try
from automation.drift.worth.plan import Window
from automation.errors import WarrantError
from automation.ledger.store import Happened, StreamConflictError
from automation.rollout.machine import DECIDING, Kind, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set
    from datetime import datetime

    from automation.ledger.store import Event, Ledger
    from automation.rollout.machine import Rollout

ON_ITS_WAY = (State.GATED, State.SHADOW, State.CANARY)


class Answer(StrEnum):
    """What an event says."""

    ASKED = "retraining_asked"
    DECLINED = "retraining_declined"


class AskingConflictError(WarrantError):
    """Something else was said about retraining at the same time."""


@dataclass(frozen=True)
class Asking:
    """One event: on the evidence of ``day``, a model as of the day after it is asked for, or is not.

    ``causes`` are the alarms; none where the time had come to look. ``window`` is what it learns from, ``worth`` what
    it is expected to save and to cost, ``saved`` what this look found, in dollars by window and day, and ``trained``
    how many models it trained for that.
    """

    day: date
    answer: Answer
    causes: tuple[str, ...]
    window: Window | None
    worth: Mapping[str, Any]
    says: str
    saved: Mapping[str, Mapping[date, float]] = field(default_factory=dict)
    trained: int = 0

    @property
    def as_of(self) -> date:
        """The first day that the new model may decide."""
        return self.day + timedelta(days=1)

    @classmethod
    def of(cls, event: Event) -> Asking:
        said = event.data
        window = said["window"]
        return cls(
            date.fromisoformat(said["day"]),
            Answer(event.type),
            tuple(said["causes"]),
            None if window is None else Window.model_validate(window),
            said["worth"],
            said["says"],
            {
                name: {date.fromisoformat(day): dollars for day, dollars in days.items()}
                for name, days in said["saved"].items()
            },
            said["trained"],
        )

    def as_data(self) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "causes": list(self.causes),
            "window": None if self.window is None else self.window.model_dump(mode="json"),
            "worth": dict(self.worth),
            "says": self.says,
            "saved": {
                name: {day.isoformat(): dollars for day, dollars in days.items()} for name, days in self.saved.items()
            },
            "trained": self.trained,
        }


def stream(workload: str) -> str:
    """The events about retraining a workload's model."""
    return f"drift/{workload}"


def askings(ledger: Ledger, workload: str) -> tuple[Asking, ...]:
    """All that was said, in order."""
    return tuple(Asking.of(event) for event in ledger.events(stream(workload)))


def said(ledger: Ledger, workload: str, asking: Asking, now: datetime) -> Asking:
    """Appends it, unless something was said of the day already. Returns what holds.

    Raises:
        AskingConflictError: something else was said at the same time.
    """
    found = askings(ledger, workload)
    had = next((each for each in found if each.day == asking.day), None)
    if had is not None:
        return had
    try:
        ledger.append(stream(workload), len(found), [Happened(asking.answer, asking.as_data(), now)])
    except StreamConflictError:
        raise AskingConflictError(
            f"Something else was said about retraining {workload} at the same time.",
            remedy="Run the day again: it goes on from what is there.",
        ) from None
    return asking


def waiting(found: Sequence[Asking], trained: Set[str]) -> tuple[Asking, ...]:
    """What was asked for and not tried, by the as-of days for which a candidate is ``trained``."""
    return tuple(each for each in found if each.answer is Answer.ASKED and each.as_of.isoformat() not in trained)


def window_of(found: Sequence[Asking], as_of: date) -> Window | None:
    """The window that a model as of a day learns from; None if nobody asked for one: all that is known."""
    asked = [each for each in found if each.answer is Answer.ASKED and each.as_of == as_of]
    return asked[-1].window if asked else None


def tries(found: Sequence[Asking], rollout: Rollout, day: date) -> list[Try]:
    """The tries before ``day``, for the budget: each model that was asked for, and what came of it."""
    asked = [each for each in looks(found, day) if each.answer is Answer.ASKED]
    return [Try(each.day, _came_to_something(each, rollout)) for each in asked]


def _came_to_something(asking: Asking, rollout: Rollout) -> bool | None:
    version = _version(asking, rollout)
    if version is None:
        return None
    if any(each.kind in DECIDING for each in rollout.of(version)):
        return True
    return None if rollout.state(version) in ON_ITS_WAY else False


def _version(asking: Asking, rollout: Rollout) -> int | None:
    """The version that was trained as asked for."""
    made = [each for each in rollout.changes if each.kind is Kind.REGISTERED and each.as_of == asking.as_of]
    return made[-1].version if made else None


def came_to(asking: Asking, rollout: Rollout) -> str:
    """What came of it, in words."""
    if asking.answer is Answer.DECLINED:
        return "Nothing was trained."
    version = _version(asking, rollout)
    if version is None:
        return f"A model as of {asking.as_of} is asked for."
    state = rollout.state(version)
    return f"Version {version} was trained as of {asking.as_of}, and is {state.value if state else 'gone'}."


def looks(found: Sequence[Asking], day: date) -> tuple[Asking, ...]:
    """The looks before ``day``, in the order of their days."""
    return tuple(sorted((each for each in found if each.day < day), key=lambda each: each.day))


def on_its_way(rollout: Rollout) -> tuple[int, ...]:
    """The versions that may still become champion."""
    return tuple(each for each in rollout.versions if rollout.state(each) in ON_ITS_WAY)
