"""MLflow's alias ``champion`` and its tags ``warrant.state`` are a projection of the ledger's rollout.

Somebody who moves the alias there decides nothing: the change is recorded in the ledger (stream ``aliases/WORKLOAD``),
and undone; or, where the plan says ``adopt`` and the version passed its gates, promoted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.ledger.store import Happened
from automation.policy import activation
from automation.policy.authorization.requests import Automation
from automation.policy.evidence import first_undecided
from automation.registry import CHAMPION_ALIAS
from automation.rollout import pinned, promotion
from automation.rollout.machine import UnknownModelVersionError, rollout
from automation.rollout.plan import AliasMoved
from automation.rollout.promotion import NotAllowedError, PromotionConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from automation.registry import ModelRegistry
    from automation.settings import Settings
    from automation.workload import Workload

FOUND_MOVED, ADOPTED, NOT_ADOPTED = "found_moved", "adopted", "not_adopted"


@dataclass(frozen=True)
class Alias:
    """Where MLflow's alias is, where it should be, and where the platform put it last; None where there is none.

    An alias that is where the platform put it is only behind: the version that decides changed since. ``behind`` has
    the versions whose tag does not say their state, with their state.
    """

    model: str
    is_at: int | None
    belongs_at: int | None
    put_at: int | None
    behind: Mapping[int, str] = field(default_factory=dict)
    adopted: bool = False

    @property
    def right(self) -> bool:
        return self.is_at == self.belongs_at

    @property
    def current(self) -> bool:
        """Whether there is nothing to put right."""
        return self.right and not self.behind

    @property
    def moved(self) -> bool:
        """Whether somebody else moved it."""
        return not self.right and self.is_at != self.put_at

    @property
    def says(self) -> str:
        at, belongs = _version(self.is_at), _version(self.belongs_at)
        if self.right and self.behind:
            told = ", ".join(_version(each) for each in sorted(self.behind))
            return f"MLflow's tags of {self.model} were behind the states of {told}, and follow."
        if self.right:
            return f"MLflow's alias {CHAMPION_ALIAS} of {self.model} is at {at}, as promoted."
        was = f"MLflow's alias {CHAMPION_ALIAS} of {self.model} was at {at}, and {belongs} was promoted"
        if not self.moved:
            return f"{was}: it was behind, and follows."
        if self.adopted:
            return f"{was}: it was moved by other means than promotion. As the plan says, {at} was promoted."
        return f"{was}: it was moved by other means than promotion. It decided nothing, is recorded, and was put back."


def alias(settings: Settings, workload: Workload, registry: ModelRegistry) -> Alias:
    """Where the champion's alias is now, and where the last promotion or rollback has it."""
    with store.opened(settings) as ledger:
        found = rollout(ledger, workload.name)
    said = registry.states()
    states = {each: state.value for each in found.versions if each in said and (state := found.state(each))}
    return Alias(
        workload.spec.model.name,
        registry.champion_alias(),
        None if found.champion is None else found.champion.version,
        registry.followed(),
        {version: state for version, state in states.items() if said[version] != state},
    )


def put_back(settings: Settings, workload: Workload, registry: ModelRegistry, now: datetime) -> Alias:
    """Has MLflow say what the ledger says. An alias that was moved behind the ledger's back is recorded first, and then
    put where it belongs or adopted. Returns what was found.

    Killed in between, it is found and recorded once more.
    """
    found = alias(settings, workload, registry)
    if found.current:
        return found
    adopted = False
    if found.moved:
        _record(settings, workload, found, FOUND_MOVED, now)
        if workload.spec.rollout.alias_moved is AliasMoved.ADOPT and found.is_at is not None:
            adopted = _adopt(settings, workload, found, found.is_at, now)
    now_right = alias(settings, workload, registry) if adopted else found
    if now_right.belongs_at is not None:
        registry.follow(now_right.belongs_at)
    elif not found.right:
        registry.project_champion(None)
    registry.project_states(now_right.behind)
    return replace(found, adopted=adopted)


def _adopt(settings: Settings, workload: Workload, found: Alias, version: int, now: datetime) -> bool:
    """Promotes the version that the alias was moved to, if it may be. What keeps it from that is recorded."""
    try:
        activation.authorized(settings, workload, Automation(workload.name), "promote_model")
        as_of = first_undecided(workload, Lakehouse(settings.lakehouse))
        with store.opened(settings) as ledger:
            last = promotion.refuse_unless_waiting(rollout(ledger, workload.name), version)
            champion = promotion.from_day(last, as_of)
            running = pinned.running(ledger, workload, champion.as_of)
        promotion.promote(
            settings,
            workload.name,
            champion,
            running,
            {},
            now,
            approvals=workload.spec.rollout.approvals_needed,
            why=f"MLflow's alias {CHAMPION_ALIAS} was moved to it, and the plan adopts that",
        )
    except (
        activation.NotAuthorizedError,
        NotAllowedError,
        UnknownModelVersionError,
        PromotionConflictError,
    ) as refused:
        _record(settings, workload, found, NOT_ADOPTED, now, because=refused.message)
        return False
    _record(settings, workload, found, ADOPTED, now)
    return True


def _record(settings: Settings, workload: Workload, found: Alias, kind: str, now: datetime, **more: str) -> None:
    named = f"aliases/{workload.name}"
    said = {"model": found.model, "alias": CHAMPION_ALIAS, "is_at": found.is_at, "belongs_at": found.belongs_at, **more}
    with store.opened(settings) as ledger:
        ledger.append(named, ledger.version(named), [Happened(kind, said, now)])


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
