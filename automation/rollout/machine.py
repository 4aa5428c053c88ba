"""The states of a workload's model versions: a fold over the ledger's stream ``rollout/WORKLOAD``, and the edges.

    REGISTERED -> GATED -> SHADOW -> CANARY -> CHAMPION -> RETIRED
                                                        -> ROLLED_BACK
    from any before CHAMPION -> ABORTED

One stream a workload, and the champion is whom the fold picks: so there is never more than one, and once there was one
there always is. A promotion and a rollback are each one event, which names the version that leaves.

What decides a day is asked as of that day: the event of the newest first day not after it, and of those the last. So a
day that is replayed is decided by the version that decided it, whatever was promoted since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from automation.errors import WarrantError
from automation.ledger import store
from automation.rollout.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from automation.ledger.store import Event, Ledger
    from automation.settings import Settings


class State(StrEnum):
    """Where a model version is."""

    REGISTERED = "registered"
    GATED = "gated"
    SHADOW = "shadow"
    CANARY = "canary"
    CHAMPION = "champion"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    RETIRED = "retired"


class Kind(StrEnum):
    """What an event says. Its version is the one that it happened to; of ROLLED_BACK, the one that decides again."""

    REGISTERED = "registered"
    GATED = "gated"
    SHADOWED = "shadowed"
    CANARIED = "canaried"
    APPROVED = "approved"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_REFUSED = "rollback_refused"


DECIDING = (Kind.PROMOTED, Kind.ROLLED_BACK)
ENTERED = {
    Kind.REGISTERED: State.REGISTERED,
    Kind.GATED: State.GATED,
    Kind.SHADOWED: State.SHADOW,
    Kind.CANARIED: State.CANARY,
}
EDGES: Mapping[State | None, frozenset[Kind]] = {
    None: frozenset({Kind.REGISTERED}),
    State.REGISTERED: frozenset({Kind.GATED, Kind.ABORTED}),
    State.GATED: frozenset({Kind.SHADOWED, Kind.CANARIED, Kind.PROMOTED, Kind.APPROVED, Kind.ABORTED}),
    State.SHADOW: frozenset({Kind.CANARIED, Kind.PROMOTED, Kind.APPROVED, Kind.ABORTED}),
    State.CANARY: frozenset({Kind.CANARIED, Kind.PROMOTED, Kind.APPROVED, Kind.ABORTED}),
    State.CHAMPION: frozenset({Kind.PROMOTED, Kind.ROLLING_BACK}),
    # The same training gives the same version: a recipe that is changed back has its old one promoted again.
    State.RETIRED: frozenset({Kind.PROMOTED, Kind.APPROVED}),
    State.ABORTED: frozenset(),
    State.ROLLED_BACK: frozenset(),
}
"""By state: what may happen to a version next. What leaves a state is in the event that makes another champion."""


class NoChampionError(WarrantError):
    """No model version decides on that day."""


class UnknownModelVersionError(WarrantError):
    """The workload's rollout knows no such version."""


@dataclass(frozen=True)
class Champion:
    """A model version that decides from the day ``as_of`` on, until the next."""

    model: str
    version: int
    digest: str
    as_of: date


@dataclass(frozen=True)
class Change:
    """One event of the stream.

    ``share`` is a canary's, in percent of the cases; ``pinned`` is there from GATED on; ``leaves`` is the version that
    is champion no more, or would be.
    """

    number: int
    kind: Kind
    champion: Champion
    by: str
    why: str
    time: str
    evidence: Mapping[str, Any]
    share: float | None = None
    pinned: Pinned | None = None
    leaves: int | None = None

    @classmethod
    def of(cls, event: Event) -> Change:
        said = event.data
        named = Champion(said["model"], said["model_version"], said["digest"], date.fromisoformat(said["as_of"]))
        return cls(
            event.version,
            Kind(event.type),
            named,
            said["by"],
            said["why"],
            event.said["time"],
            said["evidence"],
            said.get("share"),
            Pinned.of(said["pinned"]) if "pinned" in said else None,
            said.get("leaves"),
        )

    @property
    def version(self) -> int:
        return self.champion.version

    @property
    def as_of(self) -> date:
        return self.champion.as_of

    @property
    def order(self) -> tuple[date, int]:
        """Of two that say what happens on a day, the greater holds."""
        return self.as_of, self.number


@dataclass(frozen=True)
class Rollout:
    """What a workload's stream says, in order."""

    workload: str
    changes: tuple[Change, ...]

    def deciding(self, day: date) -> Change | None:
        """What made a version decide a day; None if none does."""
        return _newest(each for each in self.changes if each.kind in DECIDING and each.as_of <= day)

    @property
    def champion(self) -> Change | None:
        """What made the version champion that decides the days to come."""
        return self.deciding(date.max)

    @property
    def former(self) -> Change | None:
        """What made the version decide that did before the champion and was not rolled back itself."""
        now = self.champion
        if now is None:
            return None
        return _newest(
            each
            for each in self.changes
            if each.kind in DECIDING and each.order < now.order and self.state(each.version) is State.RETIRED
        )

    @property
    def rolling_back(self) -> Change | None:
        """A rollback that was begun, and neither done nor refused, of the version that is champion still."""
        found: Change | None = None
        for each in self.changes:
            if each.kind is Kind.ROLLING_BACK:
                found = each
            elif each.kind in (Kind.ROLLED_BACK, Kind.ROLLBACK_REFUSED, Kind.PROMOTED):
                found = None
        return found

    def of(self, version: int) -> list[Change]:
        """A version's events, in order."""
        return [each for each in self.changes if each.version == version]

    def registered(self, version: int) -> date:
        """The day as of which a version was trained, or came here. It was trained on nothing that is known later."""
        return next(each.as_of for each in self.of(version) if each.kind is Kind.REGISTERED)

    def about(self, version: int) -> list[Change]:
        """A version's events and those that made another one champion in its place, in order."""
        return [each for each in self.changes if version in (each.version, each.leaves)]

    @cached_property
    def versions(self) -> tuple[int, ...]:
        """Every version that was registered."""
        return tuple(sorted({each.version for each in self.changes}))

    def state(self, version: int) -> State | None:
        """Where a version is; None if it was never registered."""
        now, own = self.champion, self.of(version)
        if now is not None and now.version == version:
            return State.CHAMPION
        if any(each.kind is Kind.ABORTED for each in own):
            return State.ABORTED
        if any(each.kind is Kind.ROLLED_BACK and each.leaves == version for each in self.changes):
            return State.ROLLED_BACK
        if any(each.kind in DECIDING for each in own):
            return State.RETIRED
        entered = [each for each in own if each.kind in ENTERED]
        return ENTERED[entered[-1].kind] if entered else None

    def pinned(self, version: int) -> Pinned | None:
        """What a version was last pinned to; None before it passed its gates."""
        return next((each.pinned for each in reversed(self.of(version)) if each.pinned is not None), None)

    def approved_by(self, version: int) -> tuple[str, ...]:
        """Who approved a version's promotion, in order."""
        return tuple(dict.fromkeys(each.by for each in self.of(version) if each.kind is Kind.APPROVED))

    def canary(self, day: date) -> Change | None:
        """The challenger that decides a share of the cases of a day, if one does."""
        found = [each for each in (self._stage(number, day) for number in self.versions) if each is not None]
        return _newest(each for each in found if each.kind is Kind.CANARIED)

    def shadows(self, day: date) -> tuple[Champion, ...]:
        """The challengers that score the cases of a day to no effect, by version."""
        found = [each for each in (self._stage(number, day) for number in self.versions) if each is not None]
        return tuple(each.champion for each in found if each.kind is Kind.SHADOWED)

    def _stage(self, version: int, day: date) -> Change | None:
        """Of a version's edges up to a day, the one that holds on it."""
        edges = (*ENTERED, *DECIDING, Kind.ABORTED)
        return _newest(each for each in self.of(version) if each.kind in edges and each.as_of <= day)


def _newest(changes: Iterable[Change]) -> Change | None:
    return max(changes, key=lambda each: each.order, default=None)


def stream(workload: str) -> str:
    """The ledger's stream of a workload's rollout."""
    return f"rollout/{workload}"


def rollout(ledger: Ledger, workload: str) -> Rollout:
    """What the stream of a workload says now."""
    return Rollout(workload, tuple(Change.of(event) for event in ledger.events(stream(workload))))


def deciding_on(settings: Settings, workload: str, day: date) -> tuple[Champion, Pinned]:
    """The version that decides on ``day``, and what it is pinned to.

    Raises:
        NoChampionError: none was promoted for that day or an earlier one.
    """
    with store.opened(settings) as ledger:
        return deciding_in(ledger, workload, day)


def deciding_in(ledger: Ledger, workload: str, day: date) -> tuple[Champion, Pinned]:
    """`deciding_on`, in a ledger that is open."""
    return decider(rollout(ledger, workload), day)


def decider(found: Rollout, day: date) -> tuple[Champion, Pinned]:
    """`deciding_on`, of a stream that was read."""
    change = found.deciding(day)
    if change is None:
        raise NoChampionError(
            f"No model of {found.workload} was promoted as of {day} or earlier.",
            remedy=f"Train one first: materialize training_set, candidate_model and champion of {found.workload} for a "
            f"day not after {day}.",
        )
    assert change.pinned is not None  # noqa: S101 - what makes a version decide is pinned
    return change.champion, change.pinned
