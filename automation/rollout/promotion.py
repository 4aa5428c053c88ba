"""Promotion: what takes a model version from one state to the next, up to where it decides.

Each function appends one event to the stream ``rollout/WORKLOAD`` with compare-and-swap, or finds that it is there and
appends nothing; so whatever was killed is done again. MLflow's alias is moved afterwards, which is a projection: what
decides is what the ledger says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from automation.errors import WarrantError
from automation.ledger import store
from automation.ledger.store import Happened, StreamConflictError
from automation.rollout.machine import (
    EDGES,
    Champion,
    Change,
    Kind,
    NoChampionError,
    Rollout,
    State,
    UnknownModelVersionError,
    deciding_in,
    rollout,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from automation.ledger.store import Ledger
    from automation.rollout.pinned import Pinned, Running
    from automation.rollout.plan import RolloutPlan
    from automation.settings import Settings

# Whoever asks which version decides needs no other module.
__all__ = ["Champion", "NoChampionError", "champion_in", "champion_on", "stream"]

PLATFORM = "warrant"
# Each round that is lost was won by somebody who appended: so many rivals at once are a fault of something else.
ROUNDS = 50


class PromotionConflictError(WarrantError):
    """Another promotion of the workload came first."""


class NotAllowedError(WarrantError):
    """The version is in no state from which this leads on."""


class NotApprovedError(NotAllowedError):
    """Fewer persons approve it than the plan asks for."""


def champion_on(settings: Settings, workload: str, day: date) -> Champion:
    """The version that decides on ``day``: the newest as-of day not after it, and of those the last promotion.

    Raises:
        NoChampionError: none was promoted for that day or an earlier one.
    """
    with store.opened(settings) as ledger:
        return champion_in(ledger, workload, day)


def champion_in(ledger: Ledger, workload: str, day: date) -> Champion:
    """`champion_on`, in a ledger that is open."""
    return deciding_in(ledger, workload, day)[0]


def register(
    settings: Settings, workload: str, candidate: Champion, evidence: Mapping[str, object], now: datetime
) -> bool:
    """Makes a version known, with the first day it may decide. Returns whether that was new."""

    def decide(found: Rollout) -> Happened | None:
        if found.state(candidate.version) is not None:
            return None
        return happened(Kind.REGISTERED, candidate, PLATFORM, "it was registered in MLflow", evidence, now)

    with store.opened(settings) as ledger:
        return appended(ledger, workload, decide) is not None


def gate(
    settings: Settings,
    workload: str,
    candidate: Champion,
    pinned: Pinned,
    evidence: Mapping[str, object],
    now: datetime,
) -> bool:
    """Says that a version passed its gates. Returns whether that was new.

    Whatever ``pinned`` names by digest must be kept by then.
    """

    def decide(found: Rollout) -> Happened | None:
        state = found.state(candidate.version)
        if state not in (None, State.REGISTERED):
            return None
        refuse_unless(found, candidate.version, Kind.GATED)
        return happened(Kind.GATED, candidate, PLATFORM, "it passed its gates", evidence, now, pinned=pinned.as_data())

    with store.opened(settings) as ledger:
        return appended(ledger, workload, decide) is not None


def next_stage(plan: RolloutPlan, found: Rollout, version: int) -> tuple[Kind, float | None]:
    """What the plan has happen to a version that did well where it is; a canary's share with it.

    A first version has no champion to be compared with, so it becomes one; one that decided before does so again.
    """
    state, own = found.state(version), found.of(version)
    if found.champion is None or state in (State.CHAMPION, State.RETIRED):
        return Kind.PROMOTED, None
    if state is State.GATED and plan.shadow:
        return Kind.SHADOWED, None
    wider = plan.wider(_share(own) if state is State.CANARY else None) if plan.canary else None
    return (Kind.PROMOTED, None) if wider is None else (Kind.CANARIED, wider)


def _share(own: list[Change]) -> float | None:
    return next((each.share for each in reversed(own) if each.kind is Kind.CANARIED), None)


def shadow(settings: Settings, workload: str, version: int, *, as_of: date, why: str, now: datetime) -> bool:
    """Has a version score the cases beside the champion from ``as_of`` on. Returns whether that was new.

    Raises:
        NotAllowedError: it has not passed its gates, or is beyond.
    """

    def decide(found: Rollout) -> Happened | None:
        if found.state(version) is State.SHADOW:
            return None
        last = refuse_unless(found, version, Kind.SHADOWED)
        return happened(Kind.SHADOWED, from_day(last, as_of), PLATFORM, why, {}, now)

    with store.opened(settings) as ledger:
        return appended(ledger, workload, decide) is not None


def canary(
    settings: Settings,
    workload: str,
    version: int,
    share: float,
    *,
    as_of: date,
    why: str,
    evidence: Mapping[str, object],
    now: datetime,
) -> bool:
    """Has a version decide ``share`` percent of the cases from ``as_of`` on. Returns whether that was new.

    Raises:
        NotAllowedError: it is in no state for that, the share does not grow, or another version is the canary.
    """

    def decide(found: Rollout) -> Happened | None:
        last = refuse_unless(found, version, Kind.CANARIED)
        if found.state(version) is State.CANARY:
            held = _share(found.of(version)) or 0.0
            if share == held:
                return None
            if share < held:
                raise NotAllowedError(
                    f"Version {version} of {workload} decides {held:g}% of the cases; {share:g}% would be fewer.",
                    remedy=f"Abort it: `warrant model abort {version} --workload {workload}`.",
                )
        others = [each for each in found.versions if each != version and found.state(each) is State.CANARY]
        if others:
            raise NotAllowedError(
                f"Version {others[0]} of {workload} is the canary, so version {version} cannot be one.",
                remedy=f"Wait for its verdict, or abort it: `warrant model abort {others[0]} --workload {workload}`.",
            )
        return happened(Kind.CANARIED, from_day(last, as_of), PLATFORM, why, evidence, now, share=share)

    with store.opened(settings) as ledger:
        return appended(ledger, workload, decide) is not None


def approve(settings: Settings, workload: str, version: int, *, by: str, why: str, now: datetime) -> tuple[str, ...]:
    """Records that a person approves a version's promotion. Returns who approves it by now.

    Raises:
        NotAllowedError: it has not passed its gates, or is out of the running.
    """

    def decide(found: Rollout) -> Happened | None:
        if by in found.approved_by(version):
            return None
        last = refuse_unless(found, version, Kind.APPROVED)
        return happened(Kind.APPROVED, last.champion, by, why, {}, now)

    with store.opened(settings) as ledger:
        appended(ledger, workload, decide)
        return rollout(ledger, workload).approved_by(version)


def promote(
    settings: Settings,
    workload: str,
    champion: Champion,
    running: Running,
    evidence: Mapping[str, object],
    now: datetime,
    *,
    approvals: int = 0,
    by: str = PLATFORM,
    why: str = "it passed its gates",
) -> bool:
    """Makes ``champion`` decide from its day on. Returns whether that was new: promoting twice changes nothing.

    Raises:
        NotAllowedError: it has not passed its gates, or was aborted or rolled back.
        NotApprovedError: fewer than ``approvals`` persons approve it.
        PromotionConflictError: another promotion was appended at the same time; look at it before trying again.
    """
    version = champion.version
    seen: list[int | None] = []

    def decide(found: Rollout) -> Happened | None:
        last = _last_decided(found)
        if not seen:
            seen.append(last)
        if seen != [last]:
            raise _conflict(workload, version)
        standing = [each for each in found.changes if each.kind is Kind.PROMOTED and each.as_of == champion.as_of]
        if found.state(version) is not State.ROLLED_BACK and standing and standing[-1].champion == champion:
            return None
        refuse_unless(found, version, Kind.PROMOTED)
        pinned = found.pinned(version)
        assert pinned is not None  # noqa: S101 - a version that passed its gates is pinned
        approvers = found.approved_by(version)
        if len(approvers) < approvals:
            raise NotApprovedError(
                f"Version {version} of {workload} has {len(approvers)} of the {approvals} approvals that its plan asks "
                f"for{': ' + ', '.join(approvers) if approvers else ''}.",
                remedy=f"Another person approves it with `warrant model promote {version} --workload {workload}`.",
            )
        now_deciding = found.champion
        takes_over = now_deciding is None or champion.as_of >= now_deciding.as_of
        leaves = now_deciding.version if takes_over and now_deciding and now_deciding.version != version else None
        more: dict[str, Any] = {"pinned": replace(pinned, running=running).as_data()}
        if leaves is not None:
            more["leaves"] = leaves
        said = {**evidence, "approved_by": list(approvers)} if approvers else evidence
        return happened(Kind.PROMOTED, champion, by, why, said, now, **more)

    with store.opened(settings) as ledger:
        try:
            return appended(ledger, workload, decide) is not None
        except StreamConflictError:
            raise _conflict(workload, version) from None


def abort(settings: Settings, workload: str, version: int, *, as_of: date, by: str, why: str, now: datetime) -> bool:
    """Takes a version that is no champion out of the running, for good. Returns whether that was new.

    Raises:
        NotAllowedError: it decides, or decided.
    """

    def decide(found: Rollout) -> Happened | None:
        if found.state(version) is State.ABORTED:
            return None
        last = refuse_unless(found, version, Kind.ABORTED)
        return happened(Kind.ABORTED, from_day(last, as_of), by, why, {}, now)

    with store.opened(settings) as ledger:
        return appended(ledger, workload, decide) is not None


# ---------------------------------------------------------------- how an edge is appended


def appended(ledger: Ledger, workload: str, decide: Callable[[Rollout], Happened | None]) -> Change | None:
    """Appends what ``decide`` says of the stream as it is; if something else came first, it is asked again.

    Raises:
        StreamConflictError: it never came first.
        WarrantError: whatever ``decide`` raises.
    """
    for round_ in range(ROUNDS):
        found = rollout(ledger, workload)
        event = decide(found)
        if event is None:
            return None
        try:
            ledger.append(stream(workload), len(found.changes), [event])
        except StreamConflictError:
            if round_ == ROUNDS - 1:
                raise
            continue
        [made] = ledger.events(stream(workload), after=len(found.changes), most=1)
        return Change.of(made)
    return None


def happened(
    kind: Kind,
    champion: Champion,
    by: str,
    why: str,
    evidence: Mapping[str, object],
    now: datetime,
    **more: object,
) -> Happened:
    """An event of the stream."""
    said = {
        "model": champion.model,
        "model_version": champion.version,
        "digest": champion.digest,
        "as_of": champion.as_of.isoformat(),
        "by": by.strip(),
        "why": why.strip(),
        "evidence": dict(evidence),
        **more,
    }
    return Happened(kind.value, said, now)


_REASONS = {
    State.REGISTERED: "has not passed its gates",
    State.GATED: "has passed its gates and goes on as the plan says",
    State.SHADOW: "is in shadow",
    State.CANARY: "is the canary",
    State.CHAMPION: "is the champion",
    State.ABORTED: "was aborted",
    State.ROLLED_BACK: "was rolled back",
    State.RETIRED: "decided before and was replaced",
}
_ACTS = {
    Kind.GATED: "pass its gates now",
    Kind.SHADOWED: "be a shadow",
    Kind.CANARIED: "be the canary",
    Kind.APPROVED: "be approved",
    Kind.PROMOTED: "be promoted",
    Kind.ABORTED: "be aborted",
    Kind.ROLLING_BACK: "be rolled back",
}


def refuse_unless(found: Rollout, version: int, kind: Kind) -> Change:
    """The version's last event, if ``kind`` may happen to it now.

    Raises:
        UnknownModelVersionError: it was never registered.
        NotAllowedError: its state has no such edge.
    """
    state, workload = found.state(version), found.workload
    if state is None:
        raise unknown(found, version)
    if kind not in EDGES[state]:
        raise NotAllowedError(
            f"Version {version} of {workload} {_REASONS[state]}: it cannot {_ACTS[kind]}.",
            remedy=f"`warrant model explain {version} --workload {workload}` says why. A version that was aborted or "
            "rolled back stays so: train another.",
        )
    return found.of(version)[-1]


def refuse_unless_waiting(found: Rollout, version: int) -> Change:
    """The version's last event, if it passed its gates and waits to be promoted by somebody's hand.

    Raises:
        UnknownModelVersionError: it was never registered.
        NotAllowedError: it waits for nothing; if it decided before, a rollback brings it back.
    """
    last, state = refuse_unless(found, version, Kind.PROMOTED), found.state(version)
    if state is State.CHAMPION:
        raise NotAllowedError(
            f"Version {version} of {found.workload} is the champion already.", remedy="There is nothing to do."
        )
    if state is State.RETIRED:
        raise NotAllowedError(
            f"Version {version} of {found.workload} decided before: it comes back by a rollback, which proves it is as "
            "it was.",
            remedy=f"`warrant model rollback --to {version} --workload {found.workload}`.",
        )
    return last


def unknown(found: Rollout, version: int) -> UnknownModelVersionError:
    """The error that says which versions there are."""
    return UnknownModelVersionError(
        f"The rollout of {found.workload} knows no version {version}.",
        remedy=f"It knows {', '.join(map(str, found.versions)) or 'none'}: see `warrant model list`.",
    )


def from_day(last: Change, as_of: date) -> Champion:
    """A version from a day on, but not before what was said last of it."""
    return replace(last.champion, as_of=max(as_of, last.as_of))


def _last_decided(found: Rollout) -> int | None:
    """The last event that made a version decide."""
    return max((each.number for each in found.changes if each.kind in (Kind.PROMOTED, Kind.ROLLED_BACK)), default=None)


def _conflict(workload: str, version: int) -> PromotionConflictError:
    return PromotionConflictError(
        f"Another promotion of {workload} was made while version {version} was being promoted.",
        remedy=f"Look at it (`warrant ledger show {stream(workload)}`), then materialize the champion again.",
    )
