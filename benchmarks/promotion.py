"""Verdicts on challengers, watched daily over the pilot's real outcomes, March to December 2013.

    python -m benchmarks.promotion --json

**Nothing to choose between.** Five models decide every case: the one frozen at the end of February, and twins of it,
trained by the same recipe, each with a seed of its own on as many days drawn with return. Two of them are a pair, and
on each day a coin says which of the two is called the challenger. So neither is better, to the cent, whatever the
models are: nothing is to be expected of a day, given those before; yet the differences are those of real models on
real days, as large, as lopsided and as like each other within a day as they are. A promotion or an abort is an error.
(Two models with their roles kept will not do: one of them is better, if by little.) Beside it, on the same days:
promoting whatever has saved more by the end, and t-tests looked at daily, of cases and of days.

**Something to choose.** The champion is the model frozen at February, the challenger a model retrained on the first of
a month, from that day to the end of the year, and the other way round; and the model that is retrained each month.
"""

from __future__ import annotations

import itertools
import math
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
import numpy as np
import polars as pl

from automation.calendar import Days
from automation.lakehouse import DAY
from automation.rollout.verdicts.pairs import DOLLARS, PAIRS, Cohort, paired
from automation.rollout.verdicts.plan import Costs, OrdinaryCosts, Saves, VerdictPlan
from automation.rollout.verdicts.watch import Verdict, started
from benchmarks.pilot_year import FIRST, LAST, Year, ingested
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from automation.models import BoostedModel

START = date(2013, 3, 1)
RATE = 0.05
# The guards on probabilities, calls and people are left out: a model frozen at February is in truth ill calibrated by
# summer, and nobody calls it or overrides it here. The two about dollars share the rate.
PLAN = VerdictPlan(
    saves=Saves(rate=RATE),
    costs=Costs(rate=RATE / 2),
    ordinary_costs=OrdinaryCosts(rate=RATE / 2),
    calibration=None,
    shares=(),
)
# One-sided, at the same rate; no look before so many days.
NORMAL_QUANTILE = 1.645
FIRST_LOOK = 7
T_CASES, T_DAYS = "t-test of cases looked at daily", "t-test of days looked at daily"


@dataclass(frozen=True)
class Seen:
    """A day of a pair of models, and the sum of the squared savings of its cases."""

    cohort: Cohort
    squares: float


@dataclass(frozen=True)
class Outcome:
    """What was decided of a challenger, and on which of its days."""

    verdict: Verdict
    days: int


def run(last: str, twins: int, pairs: int) -> dict[str, list[dict]]:
    """Ingests the days up to ``last``, trains and decides, and watches, in this process. Returns counts and days."""
    from automation.replay import Platform
    from automation.settings import settings

    days = Days(FIRST, date.fromisoformat(last))
    year = ingested(Platform(settings()), days)
    frozen = _decided(year, year.trained(START), days, START)
    models = [frozen, *(_decided(year, year.twin(START, seed), days, START) for seed in range(1, twins + 1))]
    retrained = {
        month.first: _decided(year, year.trained(month.first), days, month.first)
        for month in days.months()
        if month.first > START
    }
    return watched(year, models, retrained, pairs)


def watched(
    year: Year, models: Sequence[pl.DataFrame], retrained: Mapping[date, pl.DataFrame], pairs: int
) -> dict[str, list[dict]]:
    """Every contestant's verdicts. ``models``: decisions of the frozen model and its twins; ``retrained``: of models
    from the day on which they were trained."""
    frozen, result = models[0], {"equal": _equal(year, models, pairs), "better": [], "worse": [], "monthly": []}
    for first, decided in retrained.items():
        seen = _cohorts(year, frozen, decided)
        for name, days in (("better", seen), ("worse", [_swapped(day) for day in seen])):
            found = _all(days) | {"month": f"{first:%Y_%m}"}
            result[name].append(found)
            progress(f"{first:%B}, {name}: {found['ours']} of {found['days']} days")
    if retrained:
        own = [decided.filter(pl.col(DAY).dt.month() == first.month) for first, decided in retrained.items()]
        result["monthly"].append(_all(_cohorts(year, frozen, pl.concat(own))))
    return result


def _equal(year: Year, models: Sequence[pl.DataFrame], pairs: int) -> list[dict]:
    """Pairs of models whose roles a coin gives out anew each day."""
    both = list(itertools.combinations(range(len(models)), 2))
    found = []
    for number, (one, other) in enumerate(both):
        cohorts = _cohorts(year, models[one], models[other])
        swapped = [_swapped(cohort) for cohort in cohorts]
        for seed in range(number, pairs, len(both)):
            coin = np.random.default_rng(seed).integers(2, size=len(cohorts))
            found.append(
                _all([pair[side] for pair, side in zip(zip(cohorts, swapped, strict=True), coin, strict=True)])
            )
        progress(f"[{number + 1}/{len(both)}] pairs of models, {len(found)} watched")
    return found


def _decided(year: Year, model: BoostedModel, days: Days, first: date) -> pl.DataFrame:
    return year.decided(model, year.cases(Days(first, days.last))).rename({year.key: "case_key"})


def _cohorts(year: Year, champion: pl.DataFrame, challenger: pl.DataFrame) -> list[Seen]:
    """The days that both decided."""
    outcomes = year.labels.rename({year.key: "case_key"})
    mine, theirs = (frame.partition_by(DAY, as_dict=True, include_key=False) for frame in (champion, challenger))
    return [
        _seen(paired(mine[key], theirs[key], outcomes, date.fromisoformat(str(key[0])), year.policy.declared))
        for key in sorted(mine.keys() & theirs.keys())
    ]


def _seen(cohort: Cohort) -> Seen:
    good, bad = (pl.col(f"champion_{outcome}") - pl.col(f"challenger_{outcome}") for outcome in ("if_good", "if_bad"))
    saved = pl.when("bad").then(bad).otherwise(good)
    return Seen(cohort, float(cohort.pairs.select((saved**2).sum()).item()))


def _swapped(seen: Seen) -> Seen:
    """The day with the roles exchanged."""
    names = dict(zip(DOLLARS, (*DOLLARS[2:], *DOLLARS[:2]), strict=True))
    return Seen(Cohort(seen.cohort.day, seen.cohort.pairs.rename(names).select(*PAIRS)), seen.squares)


def _all(seen: Sequence[Seen]) -> dict:
    """Every contestant's verdict on the same days: its name and on which of them."""
    days = [each.cohort for each in seen]
    by_day = np.array([day.savings.at_least for day in days])
    cases, squares = np.array([day.cases for day in days]), np.array([each.squares for each in seen])
    return {
        "ours": _told(_ours(days)),
        T_CASES: _told(_peeked(cases, by_day, squares)),
        T_DAYS: _told(_peeked(np.ones(len(days)), by_day, by_day**2)),
        "days": len(days),
        "saved": math.fsum(by_day),
        "saved_a_case": math.fsum(by_day) / int(cases.sum()),
    }


def _ours(cohorts: Sequence[Cohort]) -> Outcome:
    watch = started(PLAN)
    for number, cohort in enumerate(cohorts, start=1):
        watch = watch.matured(cohort, cohort.day + timedelta(days=PLAN.wait_days + 1))
        if watch.decided is not None:
            return Outcome(watch.verdict, number)
    return Outcome(Verdict.WAIT, len(cohorts))


def _peeked(counts: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> Outcome:
    """The verdict of a t-test, on the first day on which it finds something, of what was counted until then."""
    count, total, square = (np.cumsum(values) for values in (counts, sums, squares))
    variance = np.maximum((square - total**2 / count) / np.maximum(count - 1, 1), 1e-12)
    t = total / np.sqrt(count * variance)
    found = np.flatnonzero(np.abs(t[FIRST_LOOK - 1 :]) > NORMAL_QUANTILE)
    if not len(found):
        return Outcome(Verdict.WAIT, len(counts))
    day = int(found[0]) + FIRST_LOOK
    return Outcome(Verdict.PROMOTE if t[day - 1] > 0 else Verdict.ABORT, day)


def _told(outcome: Outcome) -> list:
    return [outcome.verdict.value, outcome.days]


# ---------------------------------------------------------------- figures


def _share(found: list[dict], who: str, verdict: Verdict) -> float:
    return sum(each[who][0] == verdict for each in found) / len(found)


def _median_days(name: str, found: list[dict], verdict: Verdict) -> list[Figure]:
    """The median days of the verdicts that were given; no figure where there is none."""
    ours = [each["ours"][1] for each in found if each["ours"][0] == verdict]
    theirs = [each[T_DAYS][1] for each in found if each[T_DAYS][0] == verdict]
    return [figure(name, median(ours), "days", Peer(T_DAYS, median(theirs)) if theirs else None)] if ours else []


def figures_of(result: dict[str, list[dict]]) -> list[Figure]:
    equal = result["equal"]
    promoted, aborted = (
        {who: _share(equal, who, verdict) for who in ("ours", T_CASES, T_DAYS)}
        for verdict in (Verdict.PROMOTE, Verdict.ABORT)
    )
    higher = sum(each["saved"] > 0 for each in equal) / len(equal)
    return [
        figure("equal_pairs", len(equal), "pairs"),
        at_most(RATE, "false_promotions", promoted["ours"], "share", Peer(T_CASES, promoted[T_CASES])),
        at_most(RATE, "false_aborts", aborted["ours"], "share", Peer(T_CASES, aborted[T_CASES])),
        figure("false_promotions_when_saved_more", higher, "share"),
        figure("false_promotions_t_test_of_days", promoted[T_DAYS], "share"),
        figure("false_aborts_t_test_of_days", aborted[T_DAYS], "share"),
        *(_retrained(result) if result["better"] else ()),
    ]


def _retrained(result: dict[str, list[dict]]) -> list[Figure]:
    better, worse = result["better"], result["worse"]
    return [
        figure("retrained", len(better), "models"),
        figure("retrained_promoted", *_beside(better, Verdict.PROMOTE)),
        *_median_days("retrained_days_to_promotion", better, Verdict.PROMOTE),
        figure("retrained_aborted", *_beside(better, Verdict.ABORT)),
        figure("frozen_aborted", *_beside(worse, Verdict.ABORT)),
        *_median_days("frozen_days_to_abort", worse, Verdict.ABORT),
        figure("frozen_promoted", *_beside(worse, Verdict.PROMOTE)),
        *(figure(f"retrained_saves_{each['month']}", each["saved_a_case"], "USD a case") for each in better),
        *(
            figure(f"days_to_promotion_{each['month']}", each["ours"][1], f"days, of {each['days']}")
            for each in better
            if each["ours"][0] == Verdict.PROMOTE
        ),
        *(figure("retrained_monthly_saves", each["saved_a_case"], "USD a case") for each in result["monthly"]),
        *_median_days("retrained_monthly_days_to_promotion", result["monthly"], Verdict.PROMOTE),
    ]


def _beside(found: list[dict], verdict: Verdict) -> tuple[float, str, Peer]:
    return _share(found, "ours", verdict), "share", Peer(T_DAYS, _share(found, T_DAYS, verdict))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(path_type=Path), help="A WARRANT_HOME to ingest into, or that holds the year.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day, if not the year's.")
@click.option("--twins", default=4, type=click.IntRange(1), help="Twins of the frozen model.")
@click.option("--pairs", default=200, type=click.IntRange(1), help="Pairs between which there is nothing to choose.")
def main(as_json: bool, home: Path | None, until, twins: int, pairs: int) -> None:
    """Measure how often challengers are promoted and aborted, rightly and wrongly."""
    on = machine()
    with nullcontext(home) if home else fresh_home() as chosen:
        result = measured(run, until.date().isoformat(), twins, pairs, home=chosen).result
    show("promotion", on, figures_of(result), as_json=as_json)


if __name__ == "__main__":
    main()
