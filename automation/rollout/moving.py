"""What follows from a verdict is done: a version goes on, is aborted, or the champion is rolled back.

From the day after the one that was judged, which is the first that is not decided yet. Done again, nothing happens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from automation.ledger import store
from automation.policy.activation import NotAuthorizedError
from automation.policy.authorization.requests import Automation
from automation.rollout import entering, promotion
from automation.rollout.contests import Move, Role, acts_on
from automation.rollout.machine import rollout
from automation.rollout.promotion import NotAllowedError, PromotionConflictError
from automation.rollout.rollback import NothingToRollBackToError, RollbackRefusedError, roll_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from automation.rollout.contests import Contest, Judged, Watched
    from automation.settings import Settings
    from automation.workload import Workload


@dataclass(frozen=True)
class Evidence:
    """What an event of the rollout says of its evidence: by claim, its odds as a power of ten, and those needed."""

    days: int
    saved: float
    claims: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, seen: Watched) -> Evidence:
        told = {
            each.claim: {"log10": round(each.log10, 6), "needed": each.needed, "says": each.says}
            for each in seen.watch.evidence()
        }
        return cls(len(seen.saved), round(seen.dollars, 2), told)


def moved(
    settings: Settings,
    workload: Workload,
    contest: Contest,
    follows: Judged,
    evidence: Evidence,
    day: date,
    *,
    views: Callable[[], Mapping[str, str]],
    now: Callable[[], datetime],
) -> str:
    """Does what follows from the evidence at the end of ``day``. Returns in words what was done.

    What somebody or something forbids now is not done, and is tried again when the next day is judged. ``views`` is as
    of `roll_back`.
    """
    if follows.move is Move.WAIT:
        return "nothing"
    with store.opened(settings) as ledger:
        found = rollout(ledger, workload.name)
    if not acts_on(found, contest, day):
        return "nothing: it was done before, or something else came first"
    first = day + timedelta(days=1)
    try:
        match follows.move:
            case Move.ABORT:
                _abort(settings, workload, contest, follows, first, now)
                return "aborted"
            case Move.ROLL_BACK:
                return _rolled_back(settings, workload, contest, follows, first, views, now)
            case _:
                candidate = replace(contest.champion, as_of=first)
                said = entering.advance(
                    settings, workload, candidate, why=follows.says, evidence=asdict(evidence), now=now()
                )
                return f"goes on; promoted: {said}"
    except (NotAllowedError, NotAuthorizedError, PromotionConflictError) as refused:
        return f"not done: {refused.message}"


def _abort(
    settings: Settings, workload: Workload, contest: Contest, follows: Judged, first: date, now: Callable[[], datetime]
) -> None:
    promotion.abort(
        settings,
        workload.name,
        contest.version,
        as_of=first,
        by=promotion.PLATFORM,
        why=follows.says,
        now=now(),
    )


def _rolled_back(
    settings: Settings,
    workload: Workload,
    contest: Contest,
    follows: Judged,
    first: date,
    views: Callable[[], Mapping[str, str]],
    now: Callable[[], datetime],
) -> str:
    assert contest.role is Role.CHAMPION  # noqa: S101 - nobody else is rolled back
    assert contest.against is not None  # noqa: S101 - it is watched beside the version that it replaced
    try:
        done = roll_back(
            settings,
            workload,
            to=contest.against.version,
            by=Automation(workload.name),
            why=follows.says,
            as_of=first,
            views=views,
            now=now,
        )
    except (NothingToRollBackToError, RollbackRefusedError) as refused:
        return f"not rolled back: {refused.message}"
    return f"rolled back to version {done.change.version}: {done.golden}"
