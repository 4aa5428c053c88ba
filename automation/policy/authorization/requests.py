"""What is asked and what is answered: may this principal do this action to this resource, in this context?

Requests are typed here, before Cedar sees them, because Cedar is not asked about what it would take for something else:
to Python ``True`` is 1 and 1.0 is 1, and a negative amount passes every test for not being too much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LARGEST, SMALLEST = 2**63 - 1, 0


class ModelStage(StrEnum):
    """Which model's score an automation decides by. ``none``: by no model's."""

    CHAMPION = "champion"
    CANARY = "canary"
    CHALLENGER = "challenger"
    NONE = "none"


@dataclass(frozen=True)
class Automation:
    """A workload's automation, and the model by whose score it decides: its stage and its version in the registry."""

    workload: str
    stage: ModelStage = ModelStage.NONE
    model_version: int = 0


@dataclass(frozen=True)
class Person:
    """A person, by the name that entities.json gives them."""

    name: str


@dataclass(frozen=True)
class Cases:
    """The cases of a workload: what decisions are about. What tells them apart is in a request's context."""

    workload: str


@dataclass(frozen=True)
class Workload:
    """A workload itself: its policies, tables and models."""

    name: str


Principal = Automation | Person
Resource = Cases | Workload


@dataclass(frozen=True)
class Request:
    """May ``principal`` do ``action`` to ``resource``? Amounts in ``context`` are whole: cents, parts per million."""

    principal: Principal
    action: str
    resource: Resource
    context: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def key(self) -> tuple:
        """What equal requests have in common. Only of a request without a fault: see `fault`."""
        return self.principal, self.action, self.resource, tuple(sorted(self.context.items()))

    def as_cedar(self) -> dict[str, Any]:
        """The request as cedarpy takes it. Ids are data there, never a part of an expression."""
        return {
            "principal": _uid(self.principal),
            "action": {"type": "Action", "id": self.action},
            "resource": _uid(self.resource),
            "context": dict(self.context),
        }


@dataclass(frozen=True)
class Answer:
    """Whether it is allowed, the ids of the policies that determined it, and why in words.

    No policy is named where none permits it, and where the request could not be judged.
    """

    allowed: bool
    policies: tuple[str, ...]
    says: str


def uid(entity: Principal | Resource) -> tuple[str, str]:
    """An entity's Cedar type and id."""
    name = entity.name if isinstance(entity, Person | Workload) else entity.workload
    return type(entity).__name__, name


def said(entity: Principal | Resource) -> str:
    kind, name = uid(entity)
    return f"{kind} {name!r}"


def fault(request: Request) -> str | None:
    """What is wrong with a request's types, in words; None if Cedar can be asked."""
    return next(_faults(request), None)


def _faults(request: Request) -> Iterator[str]:
    """Each fault in its turn: what comes after one may rest on there being none before."""
    principal, resource = request.principal, request.resource
    if not isinstance(principal, Automation | Person):
        yield f"the principal is no automation and no person: {_shown(principal)}"
    if not isinstance(resource, Cases | Workload):
        yield f"the resource is neither cases nor a workload: {_shown(resource)}"
    for what, name in (("principal", uid(principal)[1]), ("action", request.action), ("resource", uid(resource)[1])):
        if not _text(name) or not name:
            yield f"the {what}'s name is no text: {_shown(name)}"
    if isinstance(principal, Automation):
        if not isinstance(principal.stage, ModelStage):
            yield f"the automation's stage is none of {', '.join(ModelStage)}: {_shown(principal.stage)}"
        if wrong := _no_amount(principal.model_version):
            yield f"the automation's model_version {wrong}"
    if not isinstance(request.context, Mapping):
        yield f"the context is no mapping: {_shown(request.context)}"
    for name, value in request.context.items():
        if not _text(name):
            yield f"a name in the context is no text: {_shown(name)}"
        if isinstance(value, str) and not _text(value):
            yield f"{name} is no text that UTF-8 can say: {_shown(value)}"
        if not isinstance(value, str) and (wrong := _no_amount(value)):
            yield f"{name} {wrong}"


def _no_amount(value: object) -> str | None:
    if type(value) is not int:
        return f"is of type {type(value).__name__}, and must be a whole number: {_shown(value)}"
    if not SMALLEST <= value <= LARGEST:
        return f"is {value:.3g}: an amount is from 0 to 2^63 - 1" if abs(value) < 10**300 else "is far too large"
    return None


def _text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    """A value as it may stand in a sentence, however long it is."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _uid(entity: Principal | Resource) -> dict[str, str]:
    kind, name = uid(entity)
    return {"type": kind, "id": name}
