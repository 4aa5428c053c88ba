"""What becomes of a candidate that passed its gates: it is pinned, and goes as far as the plan lets it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.ledger import store
from automation.policy import activation
from automation.policy.authorization.requests import Automation
from automation.rollout import kept, pinned, promotion
from automation.rollout.golden import GoldenSet
from automation.rollout.machine import Champion, Kind, Rollout, State, rollout
from automation.rollout.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import polars as pl

    from automation.models import Model
    from automation.settings import Settings
    from automation.workload import Workload


@dataclass(frozen=True, eq=False)
class Passed:
    """A candidate that passed its gates: with its model, the rows it was trained on, and what they rest on."""

    candidate: Champion
    model: Model
    rows: pl.DataFrame
    feature_views: Mapping[str, str]
    tables: Mapping[str, int]
    evidence: Mapping[str, object]


@dataclass(frozen=True)
class Entered:
    """Where the candidate is now, which version decides the days to come, and why in words."""

    state: State
    champion: int | None
    says: str


def enter(settings: Settings, workload: Workload, passed: Passed, now: datetime) -> Entered:
    """Takes a candidate through GATED to what the plan has next: shadow, canary, or champion. Done again it changes
    nothing; a version that was aborted or rolled back stays so.

    Raises:
        PromotionConflictError: another promotion was appended at the same time; look at it before trying again.
    """
    candidate, name = passed.candidate, workload.name
    version, as_of = candidate.version, candidate.as_of
    # What an event names by digest is there before the event is.
    kept.keep_model(settings, passed.model)
    golden = kept.keep(settings, GoldenSet.of(passed.model, passed.rows).content())
    with store.opened(settings) as ledger:
        running = pinned.running(ledger, workload, as_of)
    pins = Pinned(golden, pinned.contracts_of(workload), passed.feature_views, passed.tables, running)
    promotion.register(settings, name, candidate, passed.evidence, now)
    promotion.gate(settings, name, candidate, pins, passed.evidence, now)
    with store.opened(settings) as ledger:
        found = rollout(ledger, name)
    says = _onward(settings, workload, found, passed, now)
    with store.opened(settings) as ledger:
        found = rollout(ledger, name)
    state, champion = found.state(version), found.champion
    assert state is not None  # noqa: S101 - it passed its gates
    return Entered(state, None if champion is None else champion.version, says)


def _onward(settings: Settings, workload: Workload, found: Rollout, passed: Passed, now: datetime) -> str:
    """Takes a candidate that passed its gates on, unless it is on its way or out. Returns `advance`'s words."""
    state = found.state(passed.candidate.version)
    if state in (State.ABORTED, State.ROLLED_BACK):
        return "no: it was taken out of the running, and stays so"
    if state in (State.SHADOW, State.CANARY):
        return "not yet: it goes on as the plan says"
    return advance(settings, workload, passed.candidate, why="it passed its gates", evidence=passed.evidence, now=now)


def advance(
    settings: Settings,
    workload: Workload,
    candidate: Champion,
    *,
    why: str,
    evidence: Mapping[str, object],
    now: datetime,
) -> str:
    """Takes a version that did well where it is to what the plan has next, from the day ``candidate.as_of`` on. Returns
    whether it was promoted, in words.

    Raises:
        NotAllowedError: it is in no state from which this leads on, or another version is the canary.
        PromotionConflictError: another promotion was appended at the same time; look at it before trying again.
    """
    name, plan, version, as_of = workload.name, workload.spec.rollout, candidate.version, candidate.as_of
    with store.opened(settings) as ledger:
        found, running = rollout(ledger, name), pinned.running(ledger, workload, as_of)
    kind, share = promotion.next_stage(plan, found, version)
    if kind is Kind.SHADOWED:
        promotion.shadow(settings, name, version, as_of=as_of, why=why, now=now)
        return "not yet: it scores beside the champion first"
    if share is not None:
        promotion.canary(settings, name, version, share, as_of=as_of, why=why, evidence=evidence, now=now)
        return f"not yet: it decides {share:g}% of the cases first"
    try:
        activation.authorized(settings, workload, Automation(name), "promote_model")
        new = promotion.promote(
            settings, name, candidate, running, evidence, now, approvals=plan.approvals_needed, why=why
        )
    except (activation.NotAuthorizedError, promotion.NotApprovedError) as refused:
        return f"not yet: {refused.message}"
    return "now" if new else "before, nothing changed"
