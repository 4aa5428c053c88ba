"""Rollback: a version that decided before decides again, as it was.

It is begun (event ``rolling_back``), which changes nothing yet; the version is loaded from where it is kept and its
golden set scored again, byte for byte; then it decides (``rolled_back``), or what differs is recorded
(``rollback_refused``) and the champion stays. The last event is appended only if the champion is still the one it was
begun for. Killed anywhere, the same command finishes it. Nothing of it asks MLflow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.ledger import store
from automation.ledger.store import Happened, StreamConflictError
from automation.policy import activation
from automation.policy.authorization.requests import Automation
from automation.rollout import kept, pinned
from automation.rollout.golden import GoldenSet
from automation.rollout.machine import DECIDING, Change, Kind, Rollout, State
from automation.rollout.promotion import PromotionConflictError, appended, happened, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from automation.ledger.store import Ledger
    from automation.settings import Settings
    from automation.workload import Workload


class NothingToRollBackToError(WarrantError):
    """No version decided before, or the one that was named did not."""


class RollbackRefusedError(WarrantError):
    """The version is not what it was when it was good: the champion stays."""


@dataclass(frozen=True)
class RolledBack:
    """A rollback that is done: what was appended, and in words what is not as it was when the version was promoted."""

    change: Change
    leaves: int
    golden: str
    notes: tuple[str, ...]


def roll_back(
    settings: Settings,
    workload: Workload,
    *,
    to: int | None = None,
    by: str | Automation,
    why: str,
    as_of: date,
    views: Callable[[], Mapping[str, str]],
    now: Callable[[], datetime],
) -> RolledBack:
    """Has ``to``, by default the champion before this one, decide again from ``as_of`` on.

    ``views`` says by feature view what it means now; it is asked only if the version is pinned to any. ``by`` is a
    person, or the workload's automation on proven harm.

    Raises:
        NotAuthorizedError: the policy in force does not let ``by``.
        NothingToRollBackToError: there is no such version, or it would not decide the days to come.
        RollbackRefusedError: it is not as it was; the message says what differs.
        PromotionConflictError: another version was promoted meanwhile.
    """
    activation.authorized(settings, workload, by, "promote_model")
    actor = by if isinstance(by, str) else f"the automation of {by.workload}"
    with store.opened(settings) as ledger:
        begun = _begun(ledger, workload, to, actor, why, as_of, now())
        leaves = begun.leaves
        assert leaves is not None  # noqa: S101 - a rollback names the version that leaves
        differs, golden = _proved(settings, begun, views)
        running = pinned.running(ledger, workload, begun.as_of)
        if differs:
            evidence = {"differs": differs, "golden": golden}
            _close(ledger, workload.name, begun, Kind.ROLLBACK_REFUSED, evidence, actor, now(), None)
            raise RollbackRefusedError(
                f"{workload.name} is not rolled back to version {begun.version}: {'; '.join(differs)}. Version "
                f"{leaves} goes on deciding.",
                remedy=f"Undo what differs and roll back again, or to another version: `warrant model list --workload "
                f"{workload.name}`, then `warrant model rollback --to VERSION`.",
            )
        assert begun.pinned is not None  # noqa: S101 - a version that decided is pinned
        notes = pinned.differences(begun.pinned, pinned.contracts_of(workload), running)
        evidence = {"golden": golden, "not as it was": notes}
        pins = replace(begun.pinned, running=running).as_data()
        done = _close(ledger, workload.name, begun, Kind.ROLLED_BACK, evidence, actor, now(), pins)
    return RolledBack(done, leaves, golden, tuple(notes))


def _begun(ledger: Ledger, workload: Workload, to: int | None, by: str, why: str, as_of: date, now: datetime) -> Change:
    """The event that begins it; that of an earlier one which was not finished and is the same."""
    found_begun: list[Change] = []

    def decide(found: Rollout) -> Happened | None:
        champion, target = _ends(found, workload.name, to)
        begun = found.rolling_back
        asked = (target.version, champion.version, as_of)
        if begun and (begun.version, begun.leaves, begun.as_of) == asked:
            found_begun[:] = [begun]
            return None
        if as_of < champion.as_of:
            raise NothingToRollBackToError(
                f"A rollback from {as_of} on would end on {champion.as_of}, from when on what it is to replace "
                f"decides: version {champion.version}.",
                remedy=f"Roll back from {champion.as_of} on, or later.",
            )
        again = replace(target.champion, as_of=as_of)
        said = target.pinned.as_data() if target.pinned else {}
        return happened(Kind.ROLLING_BACK, again, by, why, {}, now, leaves=champion.version, pinned=said)

    made = appended(ledger, workload.name, decide)
    return made if made is not None else found_begun[0]


def _ends(found: Rollout, workload: str, to: int | None) -> tuple[Change, Change]:
    """What made the champion decide, and what made the version decide that shall do so again."""
    champion = found.champion
    if champion is None:
        raise NothingToRollBackToError(
            f"{workload} has no champion to roll back.", remedy="Promote a version first: see `warrant model list`."
        )
    if to is None:
        target = found.former
        if target is None:
            raise NothingToRollBackToError(
                f"No other version of {workload} decided before version {champion.version} and may do so again.",
                remedy="Train and promote a version: materialize training_set, candidate_model and champion of a day.",
            )
        return champion, target
    state = found.state(to)
    if state is None:
        raise unknown(found, to)
    if state is not State.RETIRED:
        raise NothingToRollBackToError(
            f"Version {to} of {workload} is {state.value.replace('_', ' ')}: a rollback goes to a version that decided "
            "before and was replaced.",
            remedy=f"`warrant model list --workload {workload}` shows which those are.",
        )
    return champion, [each for each in found.of(to) if each.kind in DECIDING][-1]


def _proved(settings: Settings, begun: Change, views: Callable[[], Mapping[str, str]]) -> tuple[list[str], str]:
    """What keeps the version from deciding as it did, and how its golden set came out, in words."""
    pins = begun.pinned
    assert pins is not None  # noqa: S101 - a version that decided is pinned
    try:
        model = kept.model(settings, begun.champion.digest)
        golden = GoldenSet.read(kept.read(settings, pins.golden))
    except (kept.NotKeptError, kept.KeptChangedError) as error:
        return [error.message.rstrip(".")], "not scored"
    compared = golden.compared(model)
    differs = [] if compared.equal else [compared.says]
    if pins.feature_views:
        live = views()
        other = sorted(name for name in {*pins.feature_views, *live} if pins.feature_views.get(name) != live.get(name))
        if other:
            differs.append(
                f"{', '.join(other)} {'means' if len(other) == 1 else 'mean'} something else now than when it was "
                "trained"
            )
    return differs, compared.says


def _close(
    ledger: Ledger,
    workload: str,
    begun: Change,
    kind: Kind,
    evidence: Mapping[str, object],
    by: str,
    now: datetime,
    pins: Mapping[str, object] | None,
) -> Change:
    """Ends what was begun, unless another champion came in between, or somebody else ended it."""
    conflict = PromotionConflictError(
        f"Another version was promoted, or the rollback ended, while version {begun.version} was being proved.",
        remedy="Look at `warrant model list`, then decide again.",
    )

    def decide(found: Rollout) -> Happened | None:
        open_one = found.rolling_back
        if open_one is None or open_one.number != begun.number:
            raise conflict
        more = {"leaves": begun.leaves, **({"pinned": pins} if pins else {})}
        return happened(kind, begun.champion, by, begun.why, {**evidence, "begun": begun.number}, now, **more)

    try:
        made = appended(ledger, workload, decide)
    except StreamConflictError:
        raise conflict from None
    assert made is not None  # noqa: S101 - decide always has one
    return made
