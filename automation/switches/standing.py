"""Which switches are off from which day on: events of the ledger's stream ``switches/WORKLOAD``, and their fold.

A switch is as its last event of the newest first day not after a day says: so a day that is replayed is decided as it
was, whatever was switched since. Switches work from a day on that was not decided yet, unless somebody says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.ledger import store
from automation.ledger.store import Happened, StreamConflictError
from automation.policy import activation
from automation.policy import bundle as bundles
from automation.rollout.machine import rollout
from automation.switches.switch import Kind, Off, Switch, SwitchedOff

if TYPE_CHECKING:
    from datetime import datetime

    from automation.ledger.store import Event, Ledger
    from automation.settings import Settings
    from automation.workload import Policy, Workload

PERMISSION = "switch"
"""The action of Cedar's that a person needs."""


class Turned(StrEnum):
    """What an event says became of its switch."""

    OFF = "switched_off"
    ON = "switched_on"

    @property
    def word(self) -> str:
        return self.value.removeprefix("switched_")


class UnknownSwitchError(WarrantError):
    """There is nothing of that name to be switched off."""


class SafeActionError(WarrantError):
    """The safe action cannot be switched off."""


class SwitchConflictError(WarrantError):
    """The switch is so already, something else was switched at the same time, or it is not said by whom and why."""


@dataclass(frozen=True)
class Change:
    """One event: a switch that is off, or on, from a day on."""

    number: int
    turned: Turned
    switch: Switch
    first_day: date
    by: str
    why: str
    time: str

    @classmethod
    def of(cls, event: Event) -> Change:
        said = event.data
        return cls(
            event.version,
            Turned(event.type),
            Switch(Kind(said["kind"]), said["name"]),
            date.fromisoformat(said["first_day"]),
            said["by"],
            said["why"],
            event.said["time"],
        )


@dataclass(frozen=True)
class Standing:
    """What a workload's stream says, in order."""

    changes: tuple[Change, ...]

    def last(self, switch: Switch, day: date) -> Change | None:
        """What a switch is by on a day: of its events from the newest first day not after it, the last."""
        begun = [each for each in self.changes if each.switch == switch and each.first_day <= day]
        return max(begun, key=lambda each: (each.first_day, each.number), default=None)

    def off(self, day: date) -> Off:
        """What is off on a day."""
        found = [self.last(switch, day) for switch in {each.switch for each in self.changes}]
        return Off.of(
            SwitchedOff(each.switch, each.by, each.why) for each in found if each and each.turned is Turned.OFF
        )


def stream(workload: str) -> str:
    """The events of a workload's switches."""
    return f"switches/{workload}"


def standing(ledger: Ledger, workload: str) -> Standing:
    return Standing(tuple(Change.of(event) for event in ledger.events(stream(workload))))


def switch_off(
    settings: Settings, workload: Workload, switch: Switch, *, by: str, why: str, first_day: date, now: datetime
) -> Change:
    """Has a switch be off from ``first_day`` on.

    Raises:
        NotAuthorizedError: the policy that decides now does not let this person switch.
        UnknownSwitchError: there is no such action or model version.
        SafeActionError: it is the safe action's.
        SwitchConflictError: it is off on that day already, or something else was switched at the same time.
    """
    _refuse_unknown(settings, workload, switch, first_day)
    return _switch(settings, workload, switch, Turned.OFF, by, why, first_day, now)


def switch_on(
    settings: Settings, workload: Workload, switch: Switch, *, by: str, why: str, first_day: date, now: datetime
) -> Change:
    """Has a switch be on again from ``first_day`` on. What the workload has no more can be switched on, too.

    Raises:
        NotAuthorizedError: the policy that decides now does not let this person switch.
        SwitchConflictError: it is on on that day already, or something else was switched at the same time.
    """
    return _switch(settings, workload, switch, Turned.ON, by, why, first_day, now)


def _switch(
    settings: Settings,
    workload: Workload,
    switch: Switch,
    turned: Turned,
    by: str,
    why: str,
    first_day: date,
    now: datetime,
) -> Change:
    by, why, name = by.strip(), why.strip(), workload.name
    if not by or not why:
        raise SwitchConflictError("A switch names who turns it and why.", remedy="Give --by and --reason.")
    activation.authorized(settings, workload, by, PERMISSION)
    with store.opened(settings) as ledger:
        found = standing(ledger, name)
        last = found.last(switch, first_day)
        if (last.turned if last else Turned.ON) is turned:
            since = f" from {last.first_day} on, by {last.by}: {last.why}" if last else ""
            raise SwitchConflictError(
                f"Of {name}, {switch} is {turned.word} on {first_day} already{since}.",
                remedy=f"There is nothing to do. `warrant switch list --workload {name}` shows every switch.",
            )
        said = {"kind": switch.kind.value, "name": switch.name, "first_day": first_day.isoformat()}
        try:
            ledger.append(stream(name), len(found.changes), [Happened(turned, {**said, "by": by, "why": why}, now)])
        except StreamConflictError:
            raise SwitchConflictError(
                f"Something else of {name} was switched at the same time.",
                remedy=f"Look at `warrant switch list --workload {name}`, then do it again if it is still needed.",
            ) from None
        [event] = ledger.events(stream(name), after=len(found.changes), most=1)
    return Change.of(event)


def _refuse_unknown(settings: Settings, workload: Workload, switch: Switch, first_day: date) -> None:
    if switch.kind is Kind.ACTION:
        declared = _declared(settings, workload, first_day)
        names = [action.name for action in declared.actions if action.name != declared.safe_action]
        if switch.name == declared.safe_action:
            raise SafeActionError(
                f"{switch.name} is the safe action of {workload.name}: it is left when all else is off.",
                remedy="Switch the whole workload off, without --action: then a person decides every case.",
            )
        if switch.name not in names:
            raise UnknownSwitchError(
                f"{workload.name} has no action {switch.name}.", remedy=f"Choose one of these: {', '.join(names)}."
            )
    if switch.kind is Kind.MODEL:
        with store.opened(settings) as ledger:
            versions = rollout(ledger, workload.name).versions
        if int(switch.name) not in versions:
            raise UnknownSwitchError(
                f"{workload.name} has no {switch}.",
                remedy=f"`warrant model list --workload {workload.name}` shows those that were registered.",
            )


def _declared(settings: Settings, workload: Workload, day: date) -> Policy:
    """The policy that decides a day or, where none does, the working one."""
    with store.opened(settings) as ledger:
        change = activation.standing(ledger, workload.name).in_force(day)
    found = activation.kept(settings, change.version) if change and change.version else bundles.working(workload)
    return found.declared
