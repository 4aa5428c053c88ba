"""Which policy decides from which day on: events of the ledger's stream ``policy/WORKLOAD``, and their fold.

A policy decides the days from its first on, until another's first day: so a day that is replayed is decided by the
policy that decided it, whatever was activated since. A policy is activated from a day that was not decided yet, unless
somebody says otherwise. A candidate may shadow from a day on: it decides the same cases, and nothing comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from automation import database
from automation.errors import WarrantError
from automation.ledger import store
from automation.ledger.store import Happened, StreamConflictError
from automation.policy import bundle as bundles
from automation.policy.authorization.requests import Automation, Person, Request
from automation.policy.authorization.requests import Workload as WorkloadResource

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.ledger.store import Event, Ledger
    from automation.policy.bundle import PolicyBundle
    from automation.settings import Settings
    from automation.workload import Workload

ACTIVATED, ROLLED_BACK, SHADOWED, SHADOW_ENDED = "activated", "rolled_back", "shadowed", "shadow_ended"
DECIDING = (ACTIVATED, ROLLED_BACK)
FIRST = "warrant"


class NoPolicyError(WarrantError):
    """No policy was activated for that day, or none of that version is kept."""


class NotAuthorizedError(WarrantError):
    """The policy in force does not let that person do this."""


class PolicyConflictError(WarrantError):
    """Something else was done to the workload's policy at the same time, or there is nothing to do."""


@dataclass(frozen=True)
class Change:
    """One event: a policy that decides, or shadows, from a day on. ``version`` is None where a shadow ends."""

    number: int
    type: str
    version: str | None
    first_day: date
    by: str
    why: str
    time: str

    @classmethod
    def of(cls, event: Event) -> Change:
        said = event.data
        first = date.fromisoformat(said["first_day"])
        return cls(event.version, event.type, said["version"], first, said["by"], said["why"], event.said["time"])


@dataclass(frozen=True)
class Standing:
    """What a workload's stream says, in order."""

    changes: tuple[Change, ...]

    def in_force(self, day: date) -> Change | None:
        """The policy that decides a day: of those from the newest first day not after it, the last."""
        return _newest([each for each in self.changes if each.type in DECIDING], day)

    def shadow(self, day: date) -> Change | None:
        """The candidate that shadows a day, if one does."""
        found = _newest([each for each in self.changes if each.type not in DECIDING], day)
        return None if found is None or found.version is None else found

    @property
    def last(self) -> Change | None:
        """The policy that decides the days to come."""
        return self.in_force(date.max)

    @property
    def first_day(self) -> date | None:
        """The first day that any policy decides."""
        return min((each.first_day for each in self.changes if each.type in DECIDING), default=None)

    def before(self, change: Change) -> Change | None:
        """The policy that decided until a change, which a rollback brings back; not one that was rolled back itself."""
        standing: list[Change] = []
        for each in self.changes:
            if each.type not in DECIDING or each.number > change.number:
                continue
            if each.type == ROLLED_BACK:
                # What was activated since the policy that came back is gone.
                while standing and standing[-1].version != each.version:
                    standing.pop()
            elif not standing or standing[-1].version != each.version:
                standing.append(each)
        return standing[-2] if len(standing) > 1 else None


def _newest(changes: list[Change], day: date) -> Change | None:
    begun = [each for each in changes if each.first_day <= day]
    return max(begun, key=lambda each: (each.first_day, each.number), default=None)


def stream(workload: str) -> str:
    """The events of a workload's policy."""
    return f"policy/{workload}"


def standing(ledger: Ledger, workload: str) -> Standing:
    return Standing(tuple(Change.of(event) for event in ledger.events(stream(workload))))


def in_force(settings: Settings, ledger: Ledger, workload: Workload, day: date, now: datetime) -> PolicyBundle:
    """The policy that decides a day. A workload that never had one gets the working one, from its first day on.

    Raises:
        NoPolicyError: the first that was activated decides from a later day on.
        PolicyError: the first one cannot be activated, since its files are wrong.
    """
    found = standing(ledger, workload.name)
    if found.last is None:
        first = bundles.working(workload)
        keep(settings, first)
        said = _said(first.version, workload.calendar.start, FIRST, "the workload's first policy")
        try:
            # A candidate may have shadowed before anything decided.
            ledger.append(stream(workload.name), len(found.changes), [Happened(ACTIVATED, said, now)])
        except StreamConflictError:
            return in_force(settings, ledger, workload, day, now)
        return first
    change = found.in_force(day)
    if change is None or change.version is None:
        raise NoPolicyError(
            f"No policy of {workload.name} decides {day}: the first one does from {found.first_day} on.",
            remedy=f"Activate one from an earlier day: `warrant policy activate --first-day {day}`.",
        )
    return kept(settings, change.version)


def shadow_of(settings: Settings, ledger: Ledger, workload: str, day: date) -> PolicyBundle | None:
    """The candidate that shadows a day, if one does."""
    change = standing(ledger, workload).shadow(day)
    return None if change is None or change.version is None else kept(settings, change.version)


def activate(
    settings: Settings, workload: Workload, policy: PolicyBundle, *, by: str, why: str, first_day: date, now: datetime
) -> Change:
    """Has ``policy`` decide from ``first_day`` on.

    Raises:
        NotAuthorizedError: the policy that decides now does not let this person activate another.
        PolicyConflictError: it decides already, or another change came first.
    """
    _explained(by, why)
    keep(settings, policy)
    with store.opened(settings) as ledger:
        found = standing(ledger, workload.name)
        _authorized(settings, workload.name, found, policy, by, "activate_policy")
        now_deciding = found.in_force(first_day)
        if now_deciding is not None and now_deciding.version == policy.version:
            raise PolicyConflictError(
                f"Policy {policy.version[:12]} decides from {now_deciding.first_day} on already.",
                remedy="There is nothing to do.",
            )
        return _append(ledger, workload.name, found, ACTIVATED, _said(policy.version, first_day, by, why), now)


def roll_back(settings: Settings, workload: Workload, *, by: str, why: str, first_day: date, now: datetime) -> Change:
    """Has the policy decide again that did before the last change.

    Raises:
        NotAuthorizedError: the policy that decides now does not let this person roll it back.
        PolicyConflictError: there is none to go back to, the last change is of a later day, or another came first.
    """
    _explained(by, why)
    with store.opened(settings) as ledger:
        found = standing(ledger, workload.name)
        last = found.last
        before = found.before(last) if last else None
        if last is None or before is None or before.version is None:
            raise PolicyConflictError(
                f"{workload.name} has no policy to go back to.", remedy="`warrant policy list` shows those there were."
            )
        if first_day < last.first_day:
            raise PolicyConflictError(
                f"A rollback from {first_day} on would end on {last.first_day}, from when on what it is to replace "
                f"decides: policy {str(last.version)[:12]}.",
                remedy=f"Roll back from {last.first_day} on, or activate another policy from {first_day} on.",
            )
        _authorized(settings, workload.name, found, kept(settings, before.version), by, "rollback_policy")
        return _append(ledger, workload.name, found, ROLLED_BACK, _said(before.version, first_day, by, why), now)


def shadow(
    settings: Settings,
    workload: Workload,
    policy: PolicyBundle | None,
    *,
    by: str,
    why: str,
    first_day: date,
    now: datetime,
) -> Change:
    """Has ``policy`` shadow from ``first_day`` on, or has shadowing end.

    Raises:
        NotAuthorizedError: the policy that decides now does not let this person shadow one.
        PolicyConflictError: another change came first.
    """
    _explained(by, why)
    if policy is not None:
        keep(settings, policy)
    with store.opened(settings) as ledger:
        found = standing(ledger, workload.name)
        _authorized(settings, workload.name, found, policy, by, "shadow_policy")
        kind = SHADOW_ENDED if policy is None else SHADOWED
        said = _said(policy.version if policy else None, first_day, by, why)
        return _append(ledger, workload.name, found, kind, said, now)


def keep(settings: Settings, policy: PolicyBundle) -> None:
    """Keeps a policy's text under its version, before an event names it."""
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO policy_contents (version, content) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (policy.version, policy.content()),
        )


def kept(settings: Settings, version: str) -> PolicyBundle:
    """The policy of a version.

    Raises:
        NoPolicyError: none is kept.
        OtherContentError: what is kept is another.
    """
    return _kept(settings, version)


@lru_cache(maxsize=8)
def _kept(settings: Settings, version: str) -> PolicyBundle:
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT content FROM policy_contents WHERE version = %s", (version,))
        row = cursor.fetchone()
    if row is None:
        raise NoPolicyError(
            f"No policy of version {version[:12]} is kept.",
            remedy="`warrant policy list` shows those that were ever activated or shadowed.",
        )
    return bundles.of_content(row[0], version)


def _authorized(
    settings: Settings,
    workload: str,
    found: Standing,
    candidate: PolicyBundle | None,
    by: str | Automation,
    action: str,
) -> None:
    """By the policy that decides now; where none does yet, by the candidate itself."""
    last = found.last
    judge = kept(settings, last.version) if last and last.version else candidate
    if judge is None:
        return
    principal = Person(by) if isinstance(by, str) else by
    [answer] = judge.authorizer.authorize([Request(principal, action, WorkloadResource(workload))])
    if not answer.allowed:
        raise NotAuthorizedError(
            answer.says, remedy="Let somebody do it whom authorization.cedar of the policy in force permits it."
        )


def authorized(settings: Settings, workload: Workload, by: str | Automation, action: str) -> None:
    """Whether the policy that decides now, or the working one where none does yet, lets a person, or the workload's
    automation, do ``action``.

    Raises:
        NotAuthorizedError: it does not.
    """
    with store.opened(settings) as ledger:
        found = standing(ledger, workload.name)
    _authorized(settings, workload.name, found, None if found.changes else bundles.working(workload), by, action)


def _explained(by: str, why: str) -> None:
    if not by.strip() or not why.strip():
        raise PolicyConflictError("A change of policy names who makes it and why.", remedy="Give --by and --reason.")


def _said(version: str | None, first_day: date, by: str, why: str) -> dict[str, str | None]:
    return {"version": version, "first_day": first_day.isoformat(), "by": by.strip(), "why": why.strip()}


def _append(ledger: Ledger, workload: str, found: Standing, kind: str, said: dict, now: datetime) -> Change:
    named = stream(workload)
    try:
        ledger.append(named, len(found.changes), [Happened(kind, said, now)])
    except StreamConflictError:
        raise PolicyConflictError(
            f"Something else was done to the policy of {workload} at the same time.",
            remedy="Look at `warrant policy list`, then decide again.",
        ) from None
    [event] = ledger.events(named, after=len(found.changes), most=1)
    return Change.of(event)


def _connected(settings: Settings) -> AbstractContextManager[Connection]:
    return database.with_tables(settings, "policy_contents", files("automation.policy") / "contents.sql")
