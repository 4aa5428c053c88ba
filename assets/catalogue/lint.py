"""What a view must say of itself, and whether a model that decides still reads what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from feature_repo.pins import changed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assets.catalogue.views import View
    from automation.workload import Workload


class Level(StrEnum):
    """How bad it is."""

    FAULT = "fault"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """What is wrong with one view, and what to do."""

    level: Level
    view: str
    says: str
    remedy: str


def lint(workload: Workload, views: Sequence[View]) -> list[Finding]:
    """What each view lacks of owner, description, known-time rule, described features and the contract as it is now."""
    return [finding for view in views for finding in _of(workload, view)]


def _of(workload: Workload, view: View) -> list[Finding]:
    found = []

    def say(says: str, remedy: str, level: Level = Level.FAULT) -> None:
        found.append(Finding(level, view.name, says, remedy))

    if not view.owner:
        say("has no owner", "Give it one: owner=..., or a contract whose team has an owner.")
    if not view.description:
        say("has no description", "Say in a sentence what it is about: description=..., or the contract's.")
    if bare := [feature.name for feature in view.features if not feature.description]:
        say(f"does not say what {', '.join(bare)} {_is(bare)}", "Describe each: Field(..., description=...).")
    if not view.known_time:
        say(
            "does not say when its rows became known: values would be used before they were",
            "Name the source's created_timestamp_column, or make it with feature_repo.contracted.view.",
        )
    if not view.on_demand:
        contract = workload.contracts.get(view.table)
        now = f"{contract.name} {contract.version}" if contract else ""
        if not view.contract:
            say("is made from no contract", "Make it with feature_repo.contracted.view.")
        elif contract is None:
            say(f"is made from {view.contract}, which the workload does not have", "Mend the table's name.")
        elif (view.contract, view.contract_digest) != (now, contract.digest):
            say(f"is made from {view.contract}, the contract is {now} by now", "Make it from the working contract.")
    if not view.services:
        say("is in no service: nothing reads it", "Add it to one, or remove it.", Level.NOTE)
    return found


def live(
    model: str, trained: Mapping[int, Mapping[str, str]], champion: int | None, now: Mapping[str, str]
) -> list[Finding]:
    """Views that mean something else now than when versions of the model were trained on them.

    ``trained`` and ``now`` say by view what it meant (`feature_repo.pins`). For the champion it is a fault: it would
    not score. Of other versions it is told that they cannot be gone back to.
    """
    found = []
    for version, pinned in sorted(trained.items()):
        for view in changed(dict(pinned), dict(now)) if pinned else ():
            means = "is gone" if view not in now else "is new" if view not in pinned else "means something else now"
            if version == champion:
                says = f"{means}; {model} version {version} decides and was trained otherwise: scoring will refuse"
                remedy = "Undo it and define a view of another name; or train and promote a version on it first."
                found.append(Finding(Level.FAULT, view, says, remedy))
            else:
                says = f"{means} than for {model} version {version}, which could not score any more"
                found.append(Finding(Level.NOTE, view, says, "Nothing, unless you mean to go back to that version."))
    return found


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
