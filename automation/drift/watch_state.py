"""What the watches of all channels have in common: days come in order, and the state is canonical JSON with its format
and the plan that it is of.

written(watch.plan, {"day": day_text(watch.day), ...})         # the same for the same watch
restored(content, plan, lambda told: Watch(plan, day_of(told["day"]), ...))
in_order(day, watch.day, "watched")                           # raises if a day is left out, or shown again
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from automation.errors import WarrantError
from automation.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

W = TypeVar("W")

FORMAT = 1


class OtherStateError(WarrantError):
    """The bytes are not the state of such a watch, or of one under another plan."""


class NotInOrderError(WarrantError):
    """A day was shown twice, or before the one that is next."""


def in_order(day: date, last: date | None, what: str) -> None:
    """Whether the day is the one after the ``last``; any day is, where there is none.

    Raises:
        NotInOrderError: it is another one.
    """
    if last is not None and day != last + timedelta(days=1):
        raise NotInOrderError(
            f"The next day to be {what} is {last + timedelta(days=1)}, not {day}.",
            remedy="Show each day once, in order, also one without cases.",
        )


def written(plan: BaseModel, told: Mapping[str, Any]) -> bytes:
    """The state of a watch under a plan, of what is told of it: texts, numbers, lists and mappings of them."""
    return canonical({"format": FORMAT, "plan": plan.model_dump(mode="json"), **told})


def restored(content: bytes, plan: BaseModel, watch: Callable[[Mapping[str, Any]], W]) -> W:
    """The watch of which `written` made the bytes; ``watch`` makes it of what was told.

    Raises:
        OtherStateError: it is something else, or was watched under another plan: error rates that are changed while
            they are watched hold no more.
    """
    try:
        told = json.loads(content)
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}")  # noqa: TRY301
        # What pydantic refuses is a ValueError, too.
        if type(plan).model_validate(told["plan"]) == plan:
            return watch(told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OtherStateError(
            f"This is not the state of such a watch: {error}.", remedy="Give what was kept of the watch, unchanged."
        ) from error
    raise OtherStateError(
        "It has been watched under another plan.",
        remedy="Go on under that plan, or start a new watch: error rates hold for one plan from its start.",
    )


def day_text(day: date | None) -> str | None:
    return day.isoformat() if day else None


def day_of(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
