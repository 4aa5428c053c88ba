"""How much of limits is used, window by window, as the ledger and decisions say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE_DAY = "day"


class UsesInvalidError(WarrantError):
    """This does not say what is used of limits."""


class Use(NamedTuple):
    """What is counted by itself: a limit, the value of its column (None: of no value, or of no column), its window.

    The window is `WHOLE_DAY` or an hour of it.
    """

    limit: str
    group: str | None
    window: str


def group_of(value: Any) -> str | None:
    """A column's value as uses are kept by it."""
    return None if value is None else str(value)


def as_data(uses: Mapping[Use, int]) -> dict[str, list]:
    """Uses as an event holds them: {limit: [[group, {window: units}], ...]}. Equal uses are written alike."""
    said: dict[str, list] = {}
    for (limit, group, window), units in sorted(uses.items(), key=_place):
        groups = said.setdefault(limit, [])
        if not groups or groups[-1][0] != group:
            groups.append([group, {}])
        groups[-1][1][window] = units
    return said


def from_data(said: Any) -> dict[Use, int]:
    """What `as_data` wrote.

    Raises:
        UsesInvalidError: it did not write this.
    """
    uses: dict[Use, int] = {}
    try:
        for limit, groups in said.items():
            for group, windows in groups:
                for window, units in windows.items():
                    uses[Use(limit, group, window)] = units
    except (AttributeError, TypeError, ValueError) as error:
        raise _invalid(str(error)) from error
    for use, units in uses.items():
        if type(units) is not int or units < 0 or not isinstance(use.group, str | None):
            raise _invalid(f"{use} has {units!r} units")
    return uses


def _place(item: tuple[Use, int]) -> tuple:
    (limit, group, window), _ = item
    return limit, group is not None, group or "", window


def _invalid(says: str) -> UsesInvalidError:
    return UsesInvalidError(
        f"This does not say what is used of limits: {says}.",
        remedy="It is {limit: [[group, {window: units}], ...]}, units being whole and not negative.",
    )


@dataclass(frozen=True)
class Snapshot:
    """What others have used of a day's limits when the stream was at a version: what a batch is decided on.

    What is used of it is in the event that commits to the decisions: it is what they are decided on again.
    """

    stream: str
    version: int
    used: Mapping[Use, int]
