"""A champion under watch for harm: its evidence day by day, and the alarm, which stands until a new watch is started.

    watch = started(plan)
    watch = watch.after(cohort, today)                # the champion paired with itself; all outcomes are there
    watch.alarm, watch.evidence(), watch.says

A day is seen once, in order, when its outcomes are all there or have had their time: one whose outcomes may still come
holds up those after it. So neither a delay that bad outcomes have and good ones have not, nor anybody, chooses which
days count. The state is canonical JSON: a watch that is stopped on any day and read again goes on to the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from automation.drift.harm.detector import Detector
from automation.drift.harm.losses import Scored
from automation.drift.harm.plan import RANKING, SURPRISE
from automation.drift.harm.reference import usual_of
from automation.drift.watch_state import in_order
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from automation.drift.harm.plan import HarmPlan
    from automation.rollout.verdicts.betting import Gain
    from automation.rollout.verdicts.pairs import Cohort

SAID_AT_MOST = 1_000_000


class NotMatureError(WarrantError):
    """Outcomes of the day may still come."""


@dataclass(frozen=True)
class Evidence:
    """A claim's evidence after a day, of ``needed``. ``log10`` is minus infinity before the first bet; ``since`` is the
    day on which the harm began, if there is any: a guess."""

    claim: str
    day: date | None
    log10: float
    needed: float
    since: date | None
    says: str

    @property
    def enough(self) -> bool:
        return self.log10 >= math.log10(self.needed)


@dataclass(frozen=True)
class Alarm:
    """The claim that first had the evidence it needed, the day, since when it may be so, and why in words."""

    claim: str
    day: date
    since: date | None
    says: str


@dataclass(frozen=True)
class Bets:
    """A claim's evidence and the first and last days that it was bet on."""

    detector: Detector
    first: date | None = None
    day: date | None = None

    def after(self, day: date, gain: Gain) -> Bets:
        return Bets(self.detector.after(gain), self.first or day, day)

    @property
    def since(self) -> date | None:
        """The first day of the best bet; None if none has won anything."""
        if self.first is None or self.detector.best <= 0:
            return None
        return self.first + timedelta(days=self.detector.since - 1)


@dataclass(frozen=True)
class HarmWatch:
    """A champion under watch. `started` begins one, `automation.drift.harm.state` keeps it.

    - ``day``: the last that was seen.
    - ``learned``: the shortfall of days so far, until there are as many as the plan learns from.
    - ``usual``: the shortfall above which there is harm; None while it is learned.
    - ``bets``: by claim, those that have begun.
    """

    plan: HarmPlan
    day: date | None
    learned: tuple[float, ...]
    usual: float | None
    bets: Mapping[str, Bets]
    alarm: Alarm | None = None

    @property
    def next_day(self) -> date | None:
        """The day that must be seen next; None if it may be any, as none was seen."""
        return None if self.day is None else self.day + timedelta(days=1)

    def after(self, cohort: Cohort, today: date) -> HarmWatch:
        """The watch after the outcomes of a day, as they are known ``today``. A day without cases is shown, too.

        Args:
            cohort: the champion paired with itself, so that the probabilities are the champion's.

        Raises:
            NotInOrderError: it is not the day after the last.
            NotMatureError: an outcome may still come.
        """
        in_order(cohort.day, self.day, "watched for harm")
        if not cohort.is_mature(today, self.plan.wait_days):
            missing = cohort.pairs["bad"].null_count()
            raise NotMatureError(
                f"{missing:,} of {cohort.cases:,} outcomes of {cohort.day} are not known on {today}.",
                remedy=f"Wait for them, or until {cohort.day + timedelta(days=self.plan.wait_days + 1)}.",
            )
        scored = Scored.of(cohort)
        bets = {name: had.after(cohort.day, gain) for name, had, gain in self._gains(scored)}
        seen = replace(self._learning(scored), day=cohort.day, bets=bets)
        return seen if seen.alarm else replace(seen, alarm=seen._alarm())

    def _gains(self, scored: Scored) -> Iterator[tuple[str, Bets, Gain]]:
        ranking, surprise = self.plan.ranking, self.plan.surprise
        if ranking is not None and self.usual is not None:
            had = self.bets.get(RANKING) or Bets(Detector(ranking.scale))
            yield RANKING, had, scored.worse_ranked(self.usual, ranking.least_cases)
        if surprise is not None:
            had = self.bets.get(SURPRISE) or Bets(Detector(surprise.scale))
            yield SURPRISE, had, scored.surprise(surprise.margin)

    def _learning(self, scored: Scored) -> HarmWatch:
        """The watch with the day's shortfall learned from, if that is not over: such a day is not bet on."""
        ranking = self.plan.ranking
        if ranking is None or self.usual is not None:
            return self
        found = scored.shortfall(ranking.least_cases)
        learned = self.learned if found is None else (*self.learned, found)
        return replace(self, learned=learned, usual=usual_of(learned, ranking))

    def evidence(self) -> tuple[Evidence, ...]:
        """Each claim's evidence so far, in the plan's order."""
        return tuple(self._evidence(claim) for claim in self.plan.needed)

    @property
    def says(self) -> str:
        """How it stands, in words."""
        if self.alarm is not None:
            return self.alarm.says
        return "No harm is found. " + " ".join(f"{one.says}." for one in self.evidence())

    def _alarm(self) -> Alarm | None:
        found = max((one for one in self.evidence() if one.enough), key=lambda one: one.log10, default=None)
        if found is None or found.day is None:
            return None
        began = f", probably since {found.since}" if found.since else ""
        says = (
            f"Harm is found on {found.day}{began}: {found.says}. Where there is none, an alarm comes once in "
            f"{self.plan.once_in_days:,.0f} days on average, or more rarely."
        )
        return Alarm(found.claim, found.day, found.since, says)

    def _evidence(self, claim: str) -> Evidence:
        bets, needed = self.bets.get(claim), self.plan.needed[claim]
        if bets is None:
            return Evidence(claim, None, -math.inf, needed, None, self._no_bets(claim))
        log10 = bets.detector.log_evidence / math.log(10)
        days = "1 day" if bets.detector.days == 1 else f"{bets.detector.days:,} days"
        says = f"After {days} the evidence that {self._claimed(claim)} is {_number(log10)}, of {needed:,.0f} needed"
        return Evidence(claim, bets.day, log10, needed, bets.since, says)

    def _no_bets(self, claim: str) -> str:
        if claim == RANKING and self.plan.ranking is not None:
            return f"How it ranks is learned from {len(self.learned)} of {self.plan.ranking.learn_days} days so far"
        return "No day was seen of what its decisions cost"

    def _claimed(self, claim: str) -> str:
        if claim == RANKING and self.usual is not None:
            return f"a day's AUC falls short of what it promises by more than {self.usual:.3f}"
        margin = self.plan.surprise.margin if self.plan.surprise else 0.0
        return f"bad outcomes cost more than it expects, by more than {margin * 100:g}% of what is at risk"


def started(plan: HarmPlan) -> HarmWatch:
    """A watch that has seen no day."""
    return HarmWatch(plan, None, (), plan.ranking.stated if plan.ranking else None, {})


def _number(log10: float) -> str:
    if log10 > math.log10(SAID_AT_MOST):
        return f"more than {SAID_AT_MOST:,}"
    return f"{10.0**log10:,.0f}" if log10 >= 1 else f"{10.0**log10:.2g}"
