"""Contests: which version is watched beside which, and what a day's evidence comes to.

A challenger in shadow is watched beside the champion of each day, the canary too; and a champion, for a while, beside
the version that it replaced. What is compared are decisions that each would have made of all cases, alone: with the
limits used up by its own ones, so that it is the same whether a version decides everything, a share or nothing.

Everything here is a pure function of the rollout, the plan and tables, so that a day judged again is judged alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

from automation.lakehouse import DAY
from automation.rollout.machine import Kind, State
from automation.rollout.plan import Then
from automation.rollout.routing import routed
from automation.rollout.verdicts.pairs import Cohort, Count, paired
from automation.rollout.verdicts.plan import ERRORS
from automation.rollout.verdicts.watch import Verdict, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from automation.rollout.machine import Champion, Change, Rollout
    from automation.rollout.plan import RolloutPlan
    from automation.rollout.verdicts.plan import VerdictPlan
    from automation.rollout.verdicts.watch import Evidence, Watch
    from automation.workload import Policy


class Role(StrEnum):
    """What a version does on a day besides other versions: decides, scores to no effect, or did decide before."""

    CHAMPION = "champion"
    SHADOW = "shadow"
    CANARY = "canary"
    FORMER = "former champion"


# One row a case and version: what it would have decided. ``problems`` as of scores: why it could not score the case.
WOULD_BE = {
    "case_key": pl.String,
    "version": pl.Int64,
    "role": pl.String,
    "probability": pl.Float64,
    "problems": pl.String,
    "action": pl.String,
    "status": pl.String,
    "stake": pl.Float64,
    "policy_version": pl.String,
    DAY: pl.Date,
}


@dataclass(frozen=True)
class Contest:
    """A version that is watched on a day, in a role, since a day.

    ``workload`` is whose. ``share`` (percent) and ``share_since`` are a canary's. ``proved``: a verdict took it out of
    shadow. Of a champion, ``against`` is the version that it replaced; of others there is none, since the champion may
    change.
    """

    workload: str
    champion: Champion
    role: Role
    since: date
    against: Champion | None = None
    share: float | None = None
    share_since: date | None = None
    proved: bool = False

    @property
    def version(self) -> int:
        return self.champion.version


@dataclass(frozen=True, eq=False)
class Watched:
    """What was seen of a contest: ``history`` has each claim's evidence after each of its days; ``saved`` the days
    whose outcomes are there, each with what was saved, in dollars; ``canaried`` the cases among them that the canary
    decided at its share. ``guards`` is the same watch, of which no promotion is the end, where that is looked at."""

    watch: Watch
    guards: Watch
    history: tuple[Evidence, ...]
    saved: Mapping[date, float]
    canaried: int = 0

    @property
    def dollars(self) -> float:
        return sum(self.saved.values())


class Move(StrEnum):
    """What follows from a day's evidence."""

    WAIT = "wait"
    ADVANCE = "advance"
    ABORT = "abort"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Judged:
    """What follows, and why in words."""

    move: Move
    says: str


def contests(found: Rollout, plan: RolloutPlan, day: date) -> tuple[Contest, ...]:
    """Who is watched on a day: shadows by version, the canary, the champion that is new."""
    watched = [
        Contest(found.workload, each, Role.SHADOW, _entered(found, each.version, Kind.SHADOWED, day).as_of)
        for each in found.shadows(day)
    ]
    canary = found.canary(day)
    if canary is not None:
        first = next(each for each in found.of(canary.version) if each.kind is Kind.CANARIED)
        proved = any(each.kind is Kind.SHADOWED for each in found.of(canary.version))
        watched.append(
            Contest(
                *(found.workload, canary.champion, Role.CANARY, first.as_of),
                share=canary.share,
                share_since=canary.as_of,
                proved=proved,
            )
        )
    guarded = guard(found, plan, day)
    return (*watched, *([guarded] if guarded else []))


def guard(found: Rollout, plan: RolloutPlan, day: date) -> Contest | None:
    """The champion beside the version that it replaced, while that is watched."""
    now = found.deciding(day)
    if now is None or now.kind is not Kind.PROMOTED or now.leaves is None:
        return None
    # The last of these days is judged once its outcomes are there.
    if (day - now.as_of).days >= plan.guard_days + plan.verdicts.wait_days + 1:
        return None
    before = [each for each in found.of(now.leaves) if each.kind in (Kind.PROMOTED, Kind.ROLLED_BACK)]
    return Contest(found.workload, now.champion, Role.CHAMPION, now.as_of, before[-1].champion) if before else None


def acts_on(found: Rollout, contest: Contest, day: date) -> bool:
    """Whether what is judged of a day may still happen: nothing came after it, such as what it led to before."""
    state = found.state(contest.version)
    if contest.role is Role.CHAMPION:
        champion = found.champion
        return champion is not None and champion.champion == contest.champion and champion.as_of <= day
    wanted, kind = (State.SHADOW, Kind.SHADOWED) if contest.role is Role.SHADOW else (State.CANARY, Kind.CANARIED)
    return state is wanted and [each for each in found.of(contest.version) if each.kind is kind][-1].as_of <= day


def _entered(found: Rollout, version: int, kind: Kind, day: date) -> Change:
    return [each for each in found.of(version) if each.kind is kind and each.as_of <= day][-1]


# ---------------------------------------------------------------- evidence


def watched(
    contest: Contest,
    plan: VerdictPlan,
    would_be: pl.DataFrame,
    labels: pl.DataFrame,
    day: date,
    policy_of: Callable[[str], Policy],
) -> Watched:
    """The evidence of a contest at the end of ``day``.

    Args:
        would_be: rows of `WOULD_BE` from ``contest.since`` on.
        labels: case_key, label, known_time and the day on which that became known (`DAY`), up to ``day``.
        policy_of: the policy of a version that a row names.
    """
    proof, guarding = started(plan), started(plan.guards_only)
    # One watch, if one will do: a shadow is judged by the first alone, what needs no further proof by the second.
    watches = {
        Role.SHADOW: (proof,),
        Role.CANARY: (guarding,) if contest.proved else (proof, guarding),
    }.get(contest.role, (guarding,))
    saved: dict[date, float] = {}
    history: list[Evidence] = []
    canaried = 0
    by_day = {key[0]: rows for key, rows in would_be.partition_by(DAY, as_dict=True).items()}
    for cohort, errors, seen in _cohorts(contest, plan, by_day, labels, day, policy_of):
        watches = tuple(each.matured(cohort, seen) for each in watches)
        if any(share.name == ERRORS.name for share in plan.shares):
            watches = tuple(each.counted(ERRORS.name, cohort.day, errors) for each in watches)
        history += watches[0].evidence()
        saved[cohort.day] = (cohort.savings.at_least + cohort.savings.at_most) / 2
        if contest.share_since is not None and cohort.day >= contest.share_since:
            canaried += sum(routed(contest.workload, contest.version, contest.share or 0.0, cohort.pairs["case_key"]))
    return Watched(watches[0], watches[-1], tuple(history), saved, canaried)


def _cohorts(
    contest: Contest,
    plan: VerdictPlan,
    by_day: Mapping[object, pl.DataFrame],
    labels: pl.DataFrame,
    until: date,
    policy_of: Callable[[str], Policy],
) -> Iterator[tuple[Cohort, Count, date]]:
    """Each day whose outcomes are there, in order, with the cases that only the champion could score, and the day on
    which the last outcome came. It ends before the first day that is not ripe or was not scored."""
    day, seen = contest.since, contest.since
    while day <= until and day in by_day:
        rows = by_day[day]
        mine, theirs = _sides(contest, rows)
        if mine.is_empty() or theirs.is_empty():
            return
        known = labels.filter(pl.col("case_key").is_in(mine["case_key"].implode()))
        ripe = _ripe(mine["case_key"], known, day, plan.wait_days)
        if ripe > until:
            return
        seen = max(seen, ripe)
        # As it was known when the day was ripe: what is corrected later changes no evidence that was given.
        then = (
            known.filter(pl.col(DAY) <= ripe)
            .sort("known_time")
            .unique("case_key", keep="last", maintain_order=True)
            .select("case_key", "label")
        )
        policy = policy_of(str(rows["policy_version"][0]))
        scored = theirs.select("case_key", usable=pl.col("probability").is_not_null())
        failed = mine.join(scored, on="case_key").filter("usable")
        errors = Count(failed["probability"].null_count(), failed.height)
        yield paired(theirs, mine, then, day, policy), errors, seen
        day += timedelta(days=1)


def _sides(contest: Contest, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The watched version's rows of a day and those it is compared with."""
    mine = rows.filter(pl.col("version") == contest.version)
    if contest.against is not None:
        return mine, rows.filter(pl.col("version") == contest.against.version)
    return mine, rows.filter(pl.col("role") == Role.CHAMPION)


def _ripe(cases: pl.Series, known: pl.DataFrame, day: date, wait_days: int) -> date:
    """The day on which nothing more of a day's cases is waited for."""
    over = day + timedelta(days=wait_days + 1)
    first: list[date] = known.group_by("case_key").agg(pl.col(DAY).min())[DAY].to_list()
    return over if len(first) < cases.len() else min(over, max([day, *first]))


# ---------------------------------------------------------------- what follows


def judged(contest: Contest, plan: RolloutPlan, seen: Watched, day: date) -> Judged:
    """What follows from the evidence at the end of a day."""
    decided = seen.guards.decided
    if decided is not None and decided.verdict is Verdict.ABORT:
        move = Move.ROLL_BACK if contest.role is Role.CHAMPION else Move.ABORT
        return Judged(move, decided.says)
    match contest.role:
        case Role.SHADOW:
            return _of_shadow(contest, plan, seen, day)
        case Role.CANARY:
            return _of_canary(contest, plan, seen, day)
        case _:
            return Judged(Move.WAIT, f"nothing is proved against it: {_strongest(seen, plan)}")


def _of_shadow(contest: Contest, plan: RolloutPlan, seen: Watched, day: date) -> Judged:
    decided = seen.watch.decided
    if decided is not None:
        return Judged(Move.ADVANCE, decided.says)
    return _in_time(contest.since, plan, seen, day)


def _of_canary(contest: Contest, plan: RolloutPlan, seen: Watched, day: date) -> Judged:
    since = contest.share_since or contest.since
    days = (day - since).days + 1
    if days < plan.step_days or seen.canaried < plan.step_cases:
        says = f"{days} of {plan.step_days} days and {seen.canaried} of {plan.step_cases} cases at {contest.share:g}%"
        return Judged(Move.WAIT, says)
    if plan.wider(contest.share) is not None:
        return Judged(Move.ADVANCE, f"it did no harm in {days} days and {seen.canaried} cases at {contest.share:g}%")
    if contest.proved:
        says = f"a verdict took it out of shadow, and it did no harm in {days} days at {contest.share:g}%"
        return Judged(Move.ADVANCE, says)
    if seen.watch.verdict is Verdict.PROMOTE and seen.watch.decided:
        return Judged(Move.ADVANCE, seen.watch.decided.says)
    return _in_time(since, plan, seen, day)


def _in_time(since: date, plan: RolloutPlan, seen: Watched, day: date) -> Judged:
    """What becomes of it while there is no verdict."""
    days, most = (day - since).days + 1, plan.undecided.after_days
    says = _strongest(seen, plan)
    if days < most:
        return Judged(Move.WAIT, f"no verdict in {days} of {most} days: {says}")
    if plan.undecided.then is Then.PROMOTE:
        enough = f"nothing is proved against it in {days} days, which the plan takes for enough"
        return Judged(Move.ADVANCE, f"{enough}: {says}")
    return Judged(Move.ABORT, f"it is not proved better in {days} days, which is all that the plan gives it: {says}")


def _strongest(seen: Watched, plan: RolloutPlan) -> str:
    """The claim for which there is most evidence, in words."""
    given: Sequence[Evidence] = [each for each in seen.watch.evidence() if each.day is not None]
    if not given:
        return f"no outcomes yet; they take up to {plan.verdicts.wait_days + 1} days"
    return max(given, key=lambda each: each.log10).says
