"""Why a model version is live, or is not: one paragraph out of its state, its gates and the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from automation.gates import standing
from automation.gates.standing import Asked
from automation.jobs import SUBMITTED_MODEL
from automation.rollout.judging.gates import UNJUDGED
from automation.rollout.machine import DECIDING, ENTERED, Change, Kind, Rollout, State
from automation.rollout.promotion import next_stage, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from automation.replay import Platform
    from automation.rollout.plan import RolloutPlan
    from automation.workload import Workload

CANDIDATE, MODEL_VERSION = "candidate_model", "model version"
# In what is registered of a version that came from somebody else: who that was.
SUBMITTED_BY = "submitted_by"


@dataclass(frozen=True)
class GateStands:
    """How one of a version's gates stands, and what it says; ``open`` if it holds nothing back."""

    gate: str
    state: str
    open: bool
    says: str


@dataclass(frozen=True)
class Gates:
    """A version's gates. ``replaced_by`` is the version that its day's candidate is now, if that is another: the gates
    stand for that one then, and none are shown."""

    gates: tuple[GateStands, ...] = ()
    replaced_by: int | None = None

    @property
    def closed(self) -> tuple[GateStands, ...]:
        return tuple(each for each in self.gates if not each.open)


def gates_of(platform: Platform, workload: Workload, found: Rollout, version: int, now: datetime) -> Gates:
    """How the gates of a version stand, whether it was trained here or registered by somebody else."""
    registered = found.of(version)[0]
    if SUBMITTED_BY in registered.evidence:
        return _gates_of_submitted(platform, workload, version, now)
    key, day = dg.AssetKey([workload.name, CANDIDATE]), registered.as_of.isoformat()
    record = platform.instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[day]), limit=1)
    materialized = record.records[0].asset_materialization if record.records else None
    named = materialized.metadata.get(MODEL_VERSION) if materialized else None
    if named is None:
        return Gates()
    if named.value != version:
        return Gates(replaced_by=int(str(named.value)))
    names = standing.gates_of(platform.definitions.resolve_asset_graph(), key)
    return Gates(judged(platform.instance, key, names, day, now))


def _gates_of_submitted(platform: Platform, workload: Workload, version: int, now: datetime) -> Gates:
    key = dg.AssetKey([workload.name, SUBMITTED_MODEL])
    names = standing.gates_of(platform.definitions.resolve_asset_graph(), key)
    return Gates(judged(platform.instance, key, names, str(version), now))


def judged(
    instance: dg.DagsterInstance, key: dg.AssetKey, names: Sequence[str], day: str, now: datetime
) -> tuple[GateStands, ...]:
    """How the gates of a partition stand: a day's candidate, or a version that was submitted."""
    told = []
    for each in standing.read(instance, [Asked(key, tuple(names), frozenset({day}))], now):
        found = standing.evaluation(instance, each)
        told.append(GateStands(each.gate, each.state.value, each.open, (found.description or "") if found else ""))
    return tuple(told)


def paragraph(found: Rollout, version: int, plan: RolloutPlan, gates: Gates) -> str:
    """Why the version is live, or is not.

    Raises:
        UnknownModelVersionError: it was never registered.
    """
    state, own = found.state(version), found.of(version)
    if state is None:
        raise unknown(found, version)
    match state:
        case State.CHAMPION:
            said = _live(found)
        case State.RETIRED:
            said = _replaced(found, version)
        case State.ROLLED_BACK:
            [*_, back] = [each for each in found.changes if each.kind is Kind.ROLLED_BACK and each.leaves == version]
            said = (
                f"It is not live: {back.by} rolled it back to version {back.version}, which decides from {back.as_of} "
                f"on, because: {_clause(back.why)}. A version that was rolled back stays so; train another."
            )
        case State.ABORTED:
            [*_, aborted] = [each for each in own if each.kind is Kind.ABORTED]
            entered = [ENTERED[each.kind] for each in own if each.kind in ENTERED]
            said = (
                f"It is not live: {aborted.by} aborted it in the state {entered[-1]}, because: {_clause(aborted.why)}. "
                "A version that was aborted stays so; train another."
            )
        case State.REGISTERED:
            said = _not_gated(own[0], gates)
        case _:
            said = _under_way(found, version, plan, gates)
    return (
        f"Version {version} of {own[0].champion.model}, of {own[0].as_of}, is {state.value.replace('_', ' ')}. {said}"
    )


def _live(found: Rollout) -> str:
    now = found.champion
    assert now is not None  # noqa: S101 - the version is champion
    how = "was brought back" if now.kind is Kind.ROLLED_BACK else "was promoted"
    said = f"It is live: it decides from {now.as_of} on. It {how} by {now.by}, because: {_clause(now.why)}."
    pending = found.rolling_back
    return said if pending is None else f"{said} A rollback to version {pending.version} was begun and is not done."


def _replaced(found: Rollout, version: int) -> str:
    own = [each for each in found.of(version) if each.kind in DECIDING]
    now = found.champion
    assert now is not None  # noqa: S101 - once a version decided, one always does
    left = [each for each in found.changes if each.kind in DECIDING and each.leaves == version]
    if left:
        return (
            f"It is not live: it decided from {own[-1].as_of} on, until version {left[-1].version} was promoted as of "
            f"{left[-1].as_of}. A rollback can bring it back."
        )
    return (
        f"It is not live: it decides from {own[-1].as_of} on, but version {now.version} does from the later day "
        f"{now.as_of} on."
    )


def _not_gated(registered: Change, gates: Gates) -> str:
    if gates.replaced_by is not None:
        return (
            f"It is not live: the candidate of {registered.as_of} was trained again since and is version "
            f"{gates.replaced_by} now."
        )
    if gates.closed:
        return f"It is not live: {held(gates)}."
    if not gates.gates:
        return "It is not live: its gates were not judged yet."
    return (
        f"It is not live: its gates passed, and {_taken_on_by(registered)} was not materialized since, which is what "
        "takes it on."
    )


def _taken_on_by(registered: Change) -> str:
    submitted = SUBMITTED_BY in registered.evidence
    return f"entered_model of version {registered.version}" if submitted else f"champion of {registered.as_of}"


def held(gates: Gates) -> str:
    """The gates that hold a version back, in words: those that found something, then those that could not judge."""
    unjudged = [each for each in gates.closed if each.says.startswith(UNJUDGED)]
    found = [each for each in gates.closed if each not in unjudged]
    told = [f"{each.gate} {_stands(each.state)}{': ' + _clause(each.says) if each.says else ''}" for each in found]
    because: dict[str, list[str]] = {}
    for each in unjudged:
        because.setdefault(_clause(each.says.removeprefix(UNJUDGED)), []).append(each.gate)
    told += [f"{', '.join(names)} could not be judged: {why}" for why, names in because.items()]
    count = len(gates.closed)
    return f"{'a gate holds' if count == 1 else f'{count} gates hold'} it back: {'; '.join(told)}"


def _stands(state: str) -> str:
    return state if state == "failed" else f"is {state}" if state != "never run" else "was never run"


def _under_way(found: Rollout, version: int, plan: RolloutPlan, gates: Gates) -> str:
    own, now = found.of(version), found.champion
    decides = f"version {now.version} decides" if now else "no version decides"
    stage = next(each for each in reversed(own) if each.kind in (Kind.GATED, Kind.SHADOWED, Kind.CANARIED))
    match stage.kind:
        case Kind.SHADOWED:
            where = f"it scores beside the champion from {stage.as_of} on, to no effect"
        case Kind.CANARIED:
            where = f"it decides {stage.share:g}% of the cases from {stage.as_of} on, as a canary"
        case _:
            where = "it passed its gates"
    kind, share = next_stage(plan, found, version)
    match kind:
        case Kind.SHADOWED:
            after = "The plan has it score beside the champion next"
        case Kind.CANARIED:
            after = f"The plan has it decide {share:g}% of the cases next"
        case _:
            after = "The plan has it promoted next"
    if stage.kind is not Kind.GATED:
        after += ", once its outcomes prove it better"
    said = f"It is not live: {where}, and {decides}. {after}."
    needed, approvers = plan.approvals_needed, found.approved_by(version)
    if len(approvers) < needed:
        said += (
            f" A promotion needs {needed} {'approval' if needed == 1 else 'approvals'} ({plan.materiality} "
            f"materiality) and has {len(approvers)}{': ' + ', '.join(approvers) if approvers else ''}."
        )
    return f"{said} And {held(gates)}." if gates.closed else said


def _clause(text: str) -> str:
    return text.strip().rstrip(".")
