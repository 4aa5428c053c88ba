"""What can be switched off, and what is off on a day, as decisions read it and as their evidence keeps it.

| what is off | what becomes of a case |
|---|---|
| the workload | a person decides it; until then it gets the safe action |
| a model version that scored it | likewise |
| the action that it would get | it gets a lesser one (`automation.switches.lesser`), at the least the safe action |

The safe action cannot be switched off: it is what is left when everything else is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Kind(StrEnum):
    """What a switch is of."""

    WORKLOAD = "workload"
    ACTION = "action"
    MODEL = "model"


class SwitchesInvalidError(WarrantError):
    """This does not say what is switched off."""


@dataclass(frozen=True, order=True)
class Switch:
    """One switch of a workload. ``name`` is an action, or a model's version in digits; of the workload it is empty."""

    kind: Kind
    name: str = ""

    def __post_init__(self) -> None:
        """Raises SwitchesInvalidError where the name is none for its kind."""
        fits = {
            Kind.WORKLOAD: not self.name,
            Kind.ACTION: bool(self.name),
            Kind.MODEL: self.name.isdecimal() and self.name == str(int(self.name)),
        }
        if not fits[self.kind]:
            raise SwitchesInvalidError(
                f"{self.name!r} names no switch of the kind {self.kind}.",
                remedy="A workload's has no name, an action's is the action's, a model's is its version: 7.",
            )

    def __str__(self) -> str:
        return {Kind.WORKLOAD: "the workload", Kind.ACTION: f"the action {self.name}"}.get(
            self.kind, f"model version {self.name}"
        )


WORKLOAD = Switch(Kind.WORKLOAD)


def of_action(name: str) -> Switch:
    return Switch(Kind.ACTION, name)


def of_model(version: int) -> Switch:
    return Switch(Kind.MODEL, str(version))


@dataclass(frozen=True, order=True)
class SwitchedOff:
    """A switch that is off, by whom and why."""

    switch: Switch
    by: str
    why: str

    @property
    def says(self) -> str:
        """To be put after what it is of."""
        return f"is switched off by {self.by}: {self.why}"


@dataclass(frozen=True)
class Off:
    """What is off on a day, in the order of the switches. Two that say the same are equal."""

    switches: tuple[SwitchedOff, ...] = ()

    @classmethod
    def of(cls, switches: Iterable[SwitchedOff]) -> Off:
        return cls(tuple(sorted(switches)))

    @cached_property
    def _held(self) -> dict[Switch, SwitchedOff]:
        return {each.switch: each for each in self.switches}

    def get(self, switch: Switch) -> SwitchedOff | None:
        """By whom and why a switch is off; None where it is on."""
        return self._held.get(switch)

    @property
    def workload(self) -> bool:
        return WORKLOAD in self._held

    @cached_property
    def actions(self) -> frozenset[str]:
        return frozenset(switch.name for switch in self._held if switch.kind is Kind.ACTION)

    @cached_property
    def models(self) -> frozenset[int]:
        return frozenset(int(switch.name) for switch in self._held if switch.kind is Kind.MODEL)

    @property
    def of_actions(self) -> Off:
        """The actions that are off, whoever decides."""
        return Off(tuple(each for each in self.switches if each.switch.kind is Kind.ACTION))

    @property
    def but_models(self) -> Off:
        """What is off for a model that is not off itself."""
        return Off(tuple(each for each in self.switches if each.switch.kind is not Kind.MODEL))

    def __str__(self) -> str:
        return "; ".join(f"{each.switch} {each.says}" for each in self.switches) or "nothing"

    def as_data(self) -> list[dict[str, str]]:
        """The switches as an event holds them."""
        return [
            {"kind": each.switch.kind.value, "name": each.switch.name, "by": each.by, "why": each.why}
            for each in self.switches
        ]


ALL_ON = Off()


def from_data(said: Any) -> Off:
    """What `Off.as_data` wrote.

    Raises:
        SwitchesInvalidError: it did not write this.
    """
    try:
        found = [SwitchedOff(Switch(Kind(each["kind"]), each["name"]), each["by"], each["why"]) for each in said]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _invalid(f"{type(error).__name__}: {error}") from error
    if not all(isinstance(text, str) for each in found for text in (each.by, each.why)):
        raise _invalid("who and why are no texts")
    return Off.of(found)


def _invalid(says: str) -> SwitchesInvalidError:
    return SwitchesInvalidError(
        f"This does not say what is switched off: {says}.",
        remedy="It is [{kind, name, by, why}, ...]; `warrant ledger verify` says whether the ledger was changed.",
    )
