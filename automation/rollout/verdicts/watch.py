"""A challenger under watch: its claims' wealth day by day, and the verdict, which is final.

    watch = started(plan)
    watch = watch.matured(cohort, today)              # the outcomes of a day are all there
    watch = watch.counted("errors", day, Count(0, 900))
    watch.verdict                                     # promote, abort or wait

Each claim sees every day once, in order, whatever comes when: a day whose outcomes are not all there holds up the days
after it. So nobody, and no delay that bad outcomes have and good ones have not, chooses which days count. The same
days give the same watch, whatever the order of their cases.

A guard aborts on the day its evidence reaches what is needed. The claim that promotes must have what is needed on a day
on which the plan's least days and pairs are there, too. The claims about dollars must be true of all days so far, each
in full, since the evidence weighs the riskiest days less. If a guard aborts on the same day, that counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.rollout.verdicts.betting import Gain, Ordinary, Wealth, log_mean
from automation.rollout.verdicts.plan import CALIBRATION, COST, ORDINARY, PROMOTION, Share, VerdictPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from automation.rollout.verdicts.pairs import Cohort, Count
    from automation.rollout.verdicts.plan import OrdinaryCosts

SAID_AT_MOST = 1_000_000
UNKNOWN = Ordinary()


class Verdict(StrEnum):
    WAIT = "wait"
    PROMOTE = "promote"
    ABORT = "abort"


class NotInOrderError(WarrantError):
    """A day was shown twice, or before the one that is next."""


class NotMatureError(WarrantError):
    """Outcomes of the day may still come."""


class UnknownClaimError(WarrantError):
    """The plan has no such claim."""


@dataclass(frozen=True)
class Standing:
    """A claim so far: its wealth (calibration's in parts, one for each guess), the last of the days it has seen, how
    many cases (pairs, calls, decisions) these had, and what was gained with them, in the claim's unit, each day in full
    (calibration's first part's). ``ordinary``: what the claim about ordinary days holds to be one."""

    wealth: tuple[Wealth, ...]
    day: date | None = None
    days: int = 0
    cases: int = 0
    gained: float = 0.0
    ordinary: Ordinary = UNKNOWN

    def after(self, day: date, gains: Sequence[Gain], cases: int) -> Standing:
        return Standing(
            tuple(had.after(gain) for had, gain in zip(self.wealth, gains, strict=True)),
            day,
            self.days + 1,
            self.cases + cases,
            math.fsum((self.gained, gains[0].gained)),
            self.ordinary,
        )

    def after_capped(self, day: date, gain: Gain, most: float, at_most: float, cases: int) -> Standing:
        """After a day that counts for no more than ``at_most`` ordinary ones, and could bring ``most`` either way."""
        after = self.after(day, [self.ordinary.capped(gain.gained, most, at_most)], cases)
        gained = math.fsum((self.gained, gain.gained))
        return replace(after, gained=gained, ordinary=self.ordinary.after(gain.gained, most))

    @property
    def log_evidence(self) -> float:
        return log_mean([part.log_evidence for part in self.wealth])


@dataclass(frozen=True)
class Evidence:
    """A claim's evidence after a day: ``e`` to 1, of ``needed`` to 1. ``log10`` is finite where ``e`` is too large."""

    claim: str
    day: date | None
    log10: float
    needed: float
    says: str

    @property
    def e(self) -> float:
        return 10.0**self.log10 if self.log10 < 300 else math.inf

    @property
    def enough(self) -> bool:
        return self.log10 >= math.log10(self.needed)


@dataclass(frozen=True)
class Decided:
    """The verdict, the claim that it rests on, and the last day that had been seen of that claim."""

    verdict: Verdict
    claim: str
    day: date
    says: str


@dataclass(frozen=True)
class Watch:
    """A challenger under watch. `started` begins one."""

    plan: VerdictPlan
    standings: Mapping[str, Standing]
    decided: Decided | None = None

    @property
    def verdict(self) -> Verdict:
        return self.decided.verdict if self.decided else Verdict.WAIT

    def next_day(self, claim: str) -> date | None:
        """The day that a claim must see next; None if it may be any, as it has seen none.

        Raises:
            UnknownClaimError: the plan has no such claim.
        """
        day = self._standing(claim).day
        return None if day is None else day + timedelta(days=1)

    def matured(self, cohort: Cohort, today: date) -> Watch:
        """The watch after the outcomes of a day, as they are known ``today``. A day without cases is shown, too.

        Raises:
            NotMatureError: an outcome may still come.
            NotInOrderError: it is not the day after the last.
        """
        plan = self.plan
        if not cohort.is_mature(today, plan.wait_days):
            missing = cohort.pairs["bad"].null_count()
            raise NotMatureError(
                f"{missing:,} of {cohort.cases:,} outcomes of {cohort.day} are not known on {today}.",
                remedy=f"Wait for them, or until {cohort.day + timedelta(days=plan.wait_days + 1)}.",
            )
        after = {
            PROMOTION: self._after(PROMOTION, cohort.day, [cohort.savings.save(plan.saves.margin)], cohort.cases),
            COST: self._after(COST, cohort.day, [cohort.savings.cost(plan.costs.margin)], cohort.cases),
        }
        if plan.ordinary_costs is not None:
            after[ORDINARY] = self._after_ordinary(plan.ordinary_costs, cohort)
        if plan.calibration is not None:
            gains = cohort.miscalibrated(plan.calibration.edges, plan.calibration.at_most)
            scored = cohort.cases - cohort.pairs["probability"].null_count()
            after[CALIBRATION] = self._after(CALIBRATION, cohort.day, gains, scored)
        return replace(self, standings={**self.standings, **after})._judged([*after])

    def counted(self, claim: str, day: date, count: Count) -> Watch:
        """The watch after a day of one of the plan's shares. A day without calls is shown, too.

        Raises:
            UnknownClaimError: the plan has no such share.
            NotInOrderError: it is not the day after the last.
        """
        share = self._share(claim)
        after = self._after(claim, day, [count.exceeds(share.at_most)], count.of)
        return replace(self, standings={**self.standings, claim: after})._judged([claim])

    def evidence(self) -> tuple[Evidence, ...]:
        """Each claim's evidence so far, the promotion's first."""
        return tuple(self._evidence(claim) for claim in self.plan.rates)

    def _judged(self, claims: Sequence[str]) -> Watch:
        """The verdict, if these claims have what is needed; guards first. A verdict that was given stands."""
        if self.decided is not None:
            return self
        for claim in sorted(claims, key=lambda name: name == PROMOTION):
            found, standing = self._evidence(claim), self.standings[claim]
            if found.enough and standing.day is not None and self._holds(claim, standing):
                verdict = Verdict.PROMOTE if claim == PROMOTION else Verdict.ABORT
                return replace(self, decided=Decided(verdict, claim, standing.day, found.says))
        return self

    def _holds(self, claim: str, standing: Standing) -> bool:
        """Whether what is needed beside evidence is there."""
        least = self.plan.saves
        if claim == PROMOTION and (standing.days < least.least_days or standing.cases < least.least_pairs):
            return False
        return claim not in (PROMOTION, COST, ORDINARY) or standing.gained > 0

    def _after_ordinary(self, plan: OrdinaryCosts, cohort: Cohort) -> Standing:
        savings = cohort.savings
        gain, most = savings.cost(plan.margin), savings.most(plan.margin)
        return self._next(ORDINARY, cohort.day).after_capped(cohort.day, gain, most, plan.at_most, cohort.cases)

    def _after(self, claim: str, day: date, gains: Sequence[Gain], cases: int) -> Standing:
        return self._next(claim, day).after(day, gains, cases)

    def _next(self, claim: str, day: date) -> Standing:
        """The claim's standing, if the day is next."""
        expected = self.next_day(claim)
        if expected is not None and day != expected:
            raise NotInOrderError(
                f"The next day of the claim {claim} is {expected}, not {day}.",
                remedy="Show each day once, in order, also one without cases.",
            )
        return self.standings[claim]

    def _standing(self, claim: str) -> Standing:
        if claim not in self.standings:
            raise UnknownClaimError(
                f"Nothing called {claim} is watched.", remedy=f"The plan has {', '.join(self.standings)}."
            )
        return self.standings[claim]

    def _share(self, claim: str) -> Share:
        found = next((share for share in self.plan.shares if share.name == claim), None)
        if found is None:
            named = ", ".join(share.name for share in self.plan.shares) or "none"
            raise UnknownClaimError(f"No share called {claim} is watched.", remedy=f"The plan's shares: {named}.")
        return found

    def _evidence(self, claim: str) -> Evidence:
        standing = self.standings[claim]
        log10, needed = standing.log_evidence / math.log(10), 1 / self.plan.rates[claim]
        noun, claimed = self._words(claim)
        says = (
            f"after {_counted(standing.days, 'day')} and {_counted(standing.cases, noun)} the evidence that "
            f"{claimed} is {_odds(log10)}, of {_number(needed)} to 1 needed"
        )
        return Evidence(claim, standing.day, log10, needed, says)

    def _words(self, claim: str) -> tuple[str, str]:
        """What is counted, and what is claimed of it."""
        plan = self.plan
        if claim == PROMOTION:
            return "pair", f"it saves more than {_dollars(plan.saves.margin)} a case"
        if claim == COST:
            return "pair", f"it costs more than {_dollars(plan.costs.margin)} a case beyond the champion"
        if claim == ORDINARY and plan.ordinary_costs is not None:
            claimed = f"it costs more than {_dollars(plan.ordinary_costs.margin)} a case beyond the champion"
            return "pair", f"{claimed} on ordinary days"
        if claim == CALIBRATION and plan.calibration is not None:
            return "scored case", f"its calibration error is more than {plan.calibration.at_most:g}"
        share = self._share(claim)
        return share.of.removesuffix("s"), f"more than {share.at_most * 100:g}% of {share.of} {share.says}"


def started(plan: VerdictPlan) -> Watch:
    """A watch that has seen no day."""
    found = dict.fromkeys(plan.rates, Standing((Wealth(),)))
    if plan.calibration is not None:
        found[CALIBRATION] = Standing((Wealth.renewed(),) * 2 ** (len(plan.calibration.edges) + 1))
    # What a share can lose on a day, and a day as a share of its cap, is known from the start.
    if plan.ordinary_costs is not None:
        found[ORDINARY] = Standing((Wealth.renewed(1.0),))
    return Watch(plan, found | {share.name: Standing((Wealth.renewed(share.at_most),)) for share in plan.shares})


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}"


def _odds(log10: float) -> str:
    if log10 > math.log10(SAID_AT_MOST):
        return f"more than {SAID_AT_MOST:,} to 1"
    if log10 < -2:
        return "less than 0.01 to 1"
    return f"{_number(10.0**log10)} to 1"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
