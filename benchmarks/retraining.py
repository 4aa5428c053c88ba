"""Ways to retrain, over the pilot's real outcomes, March to December 2013: which is worth most, and what does it cost?

    python -m benchmarks.retraining --json

In one process, without Dagster's jobs, four ways decide every case of the year by the workload's policy, limits and
reviews included: the model **frozen** at the end of February; one **retrained monthly**; one **every few days**
(`--every-days`: a training takes so long that one a day is much to wait for); and **ours**: a champion is watched for
harm (`automation.drift.harm`), and after an alarm, or where the last judgement is as old as a back-test is long, it is
retrained if that is worth its cost (`automation.drift.worth`), within the budget of tries. Nothing known later than a
decision enters it: a training set holds what was known before its day, and an outcome is shown to the watch and to
back-tests on the days after it became known.

AUC is the mean of months, over scored cases; dollars are saved against doing nothing, over all cases with an outcome.
Trainings are counted, those of back-tests with them, and cost what the plan says beside the seconds they took.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click
import polars as pl

from automation.calendar import Days
from automation.drift.harm.plan import HarmPlan
from automation.drift.harm.watch import started
from automation.drift.worth.backtest import Seams, backtest, first_day
from automation.drift.worth.budget import Try, leave
from automation.drift.worth.judging import Decision, judged
from automation.drift.worth.plan import Window, WorthPlan
from automation.drift.worth.windows import cut
from automation.lakehouse import DAY
from automation.rollout.verdicts.pairs import Cohort, paired
from automation.versions import newest
from benchmarks.decision_quality import judged as judged_by_outcomes
from benchmarks.pilot_year import FIRST, LAST, Year, ingested
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from automation.drift.harm.watch import HarmWatch
    from automation.drift.worth.judging import Worth
    from automation.models import BoostedModel

START = date(2013, 3, 1)
ALL = Window(name="all")
HARM = HarmPlan()
WORTH = WorthPlan(windows=(ALL,))
FROZEN, MONTHLY, OFTEN, OURS = "frozen", "monthly", "every_few_days", "ours"


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, the day as of which it was trained, and on which window."""

    model: BoostedModel
    as_of: date
    window: str


@dataclass
class Way:
    """What a way came to: decisions by day, when it was retrained, and how many models it trained."""

    decided: list[pl.DataFrame] = field(default_factory=list)
    retrained: list[str] = field(default_factory=list)
    trainings: int = 0
    seconds: float = 0.0
    log: list[dict] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class World:
    """The year, and models of it that were trained before: ways share them, and each counts its own."""

    year: Year
    days: Days
    models: dict[tuple[date, str], tuple[Trained, float]] = field(default_factory=dict)

    @cached_property
    def cases(self) -> dict[date, pl.DataFrame]:
        """Cases by the day on which they are decided."""
        return {key[0]: rows for key, rows in self.year.cases(self.days).partition_by(DAY, as_dict=True).items()}

    @cached_property
    def known(self) -> pl.DataFrame:
        """Outcomes, with the day on which each became known, in all their versions."""
        spec = self.year.workload.spec
        columns = [spec.case_key, "label", "known_time", DAY]
        return self.year.lake.read(spec.name, spec.labels.table, self.days, columns)

    def outcomes(self, today: date, cases: pl.DataFrame) -> pl.DataFrame:
        """What was known of some cases when a day began: case_key and label."""
        known = self.known.rename({self.year.key: "case_key"}).filter(pl.col(DAY) < today)
        return newest(known.join(cases, on="case_key", how="semi"), "case_key").select("case_key", "label")

    def trained(self, way: Way, as_of: date, window: Window = ALL, rows: pl.DataFrame | None = None) -> Trained:
        """The model as of a day, on a window; it is counted as the way's training."""
        from assets.stages.training import fit

        named = as_of, window.name
        if named not in self.models:
            began = time.perf_counter()
            rows = cut(self.year.known(as_of), window, as_of) if rows is None else rows
            progress(f"training as of {as_of} on the window {window.name}: {rows.height:,} rows")
            self.models[named] = Trained(fit(self.year.workload, rows).model, *named), time.perf_counter() - began
        found, seconds = self.models[named]
        way.trainings, way.seconds = way.trainings + 1, way.seconds + seconds
        return found

    def decided(self, trained: Trained, first: date, last: date) -> pl.DataFrame:
        cases = pl.concat([rows for day, rows in self.cases.items() if first <= day <= last])
        return self.year.decided(trained.model, cases).rename({self.year.key: "case_key"})

    def cohorts(self, champion: pl.DataFrame, challenger: pl.DataFrame, today: date) -> Iterator[Cohort]:
        """The mature days that both decided, as they are known today."""
        outcomes, policy = self.outcomes(today, champion), self.year.policy.declared
        theirs = challenger.partition_by(DAY, as_dict=True, include_key=False)
        for (day,), rows in champion.partition_by(DAY, as_dict=True, include_key=False).items():
            cohort = paired(rows, theirs[day,], outcomes, day, policy)
            if cohort.is_mature(today, HARM.wait_days):
                yield cohort


def run(last: str, every_days: int) -> dict:
    """Ingests the days up to ``last``, then trains and decides each way, in this process."""
    from automation.replay import Platform
    from automation.settings import settings

    days = Days(FIRST, date.fromisoformat(last))
    return compared(World(ingested(Platform(settings()), days), days), every_days)


def compared(world: World, every_days: int) -> dict:
    """What each way came to: by name, AUC and dollars by month, trainings, their seconds, and what was judged."""
    first, last = START, world.days.last
    months = [part.first for part in world.days.months() if part.first >= first]
    often = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, every_days)]
    result = {}
    for name, starts in ((FROZEN, [first]), (MONTHLY, months), (OFTEN, often)):
        result[name] = _told(world, _on_days(world, starts))
        progress(f"{name}: {result[name]['months']}")
    result[OURS] = _told(world, ours(world))
    return result | {"every_days": every_days}


def _on_days(world: World, starts: Sequence[date]) -> Way:
    way, last = Way(), world.days.last
    for start, end in zip(starts, [*(day - timedelta(days=1) for day in starts[1:]), last], strict=True):
        way.decided.append(world.decided(world.trained(way, start), start, end))
        way.retrained.append(str(start))
    return way


@dataclass
class Standing:
    """How our way stands on a day: who decides, what it decided, and which of its days were watched."""

    champion: Trained
    watch: HarmWatch
    shown: date
    asked: date
    decided: dict[date, pl.DataFrame] = field(default_factory=dict)

    def between(self, first: date, last: date) -> pl.DataFrame:
        return pl.concat([rows for day, rows in self.decided.items() if first <= day <= last])


def ours(world: World, harm: HarmPlan = HARM, worth: WorthPlan = WORTH) -> Way:
    """The way of the platform: each day, the champion's new outcomes are watched; after an alarm or a while it is asked
    whether retraining is worth it; and whoever is champion then decides the day."""
    way, tries, today = Way(), [], START
    standing = Standing(world.trained(way, START), started(harm), START, START)
    way.retrained.append(str(START))
    while today <= world.days.last:
        _watched(world, standing, today)
        alarm = standing.watch.alarm
        due = alarm is not None or (today - standing.asked).days >= worth.backtest_days
        if due and leave(tries, worth.budget, today).given:
            found = _asked(world, way, standing, today, worth)
            came = found.decision is Decision.RETRAIN
            tries.append(Try(today, came))
            standing.asked = today
            way.log.append({"day": str(today), "alarm": alarm.says if alarm else "", "says": found.says})
            progress(f"{today}: {found.says}")
            if came:
                window = next(each for each in worth.windows if each.name == found.window)
                standing.champion = world.trained(way, today, window)
                standing.watch, standing.shown = started(harm), today
                way.retrained.append(str(today))
        standing.decided[today] = world.decided(standing.champion, today, today)
        today += timedelta(days=1)
    way.decided.extend(standing.decided.values())
    return way


def _watched(world: World, standing: Standing, today: date) -> None:
    """Shows the watch the champion's days that are mature today, in order, up to the first that is not."""
    if standing.shown >= today:
        return
    rows = standing.between(standing.shown, today - timedelta(days=1))
    for cohort in world.cohorts(rows, rows, today):
        if cohort.day != standing.shown:
            return
        standing.watch, standing.shown = standing.watch.after(cohort, today), cohort.day + timedelta(days=1)


def _asked(world: World, way: Way, standing: Standing, today: date, plan: WorthPlan) -> Worth:
    """What retraining is worth today."""
    windows = iter(plan.windows)
    first = first_day(plan, today, standing.champion.as_of)

    def decided(model: Trained, since: date, until: date) -> Iterator[Cohort]:
        return world.cohorts(standing.between(since, until), world.decided(model, since, until), today)

    def train(rows: pl.DataFrame) -> Trained:
        return world.trained(way, first, next(windows), rows)

    seams = Seams(world.year.known, train, decided)
    return judged(backtest(seams, plan, today, standing.champion.as_of), plan, today)


def _told(world: World, way: Way) -> dict:
    decided = pl.concat(way.decided).rename({"case_key": world.year.key})
    months = []
    for (month,), rows in decided.group_by(pl.col(DAY).dt.strftime("%Y_%m"), maintain_order=True):
        found = judged_by_outcomes(world.year, rows)
        months.append({"month": month, "auc": found.auc, "saved": found.saved})
    told = {"months": months, "retrained": way.retrained, "log": way.log}
    return told | {"trainings": way.trainings, "seconds": way.seconds}


# ---------------------------------------------------------------- figures


def figures_of(result: dict) -> list[Figure]:
    ways = {name: result[name] for name in (FROZEN, MONTHLY, OFTEN, OURS)}
    saved = {name: sum(month["saved"] for month in way["months"]) for name, way in ways.items()}
    mine = ways[OURS]
    days = len({month["month"] for month in mine["months"]}) * 30
    return [
        at_least(saved[FROZEN], "saved_ours", saved[OURS], "USD", Peer("frozen", saved[FROZEN])),
        at_least(saved[MONTHLY], "saved_ours_beside_monthly", saved[OURS], "USD", Peer("monthly", saved[MONTHLY])),
        at_most(days, "trainings_ours", mine["trainings"], "models", Peer("one a day", days)),
        figure("days_between_trainings", result["every_days"], "days, of the way every_few_days"),
        *(figure(f"saved_{name}", saved[name], "USD") for name in ways if name != OURS),
        *(figure(f"auc_{name}", fmean(month["auc"] for month in way["months"]), "AUC") for name, way in ways.items()),
        *(figure(f"trainings_{name}", way["trainings"], "models") for name, way in ways.items() if name != OURS),
        *(figure(f"training_seconds_{name}", way["seconds"], "s") for name, way in ways.items()),
        *(
            figure(f"training_dollars_{name}", way["trainings"] * WORTH.costs.compute, "USD")
            for name, way in ways.items()
        ),
        figure("retrained_ours", len(mine["retrained"]) - 1, "times"),
        *(
            figure(f"{what}_{name}_{month['month']}", month[what], unit)
            for name, way in ways.items()
            for what, unit in (("auc", "AUC"), ("saved", "USD"))
            for month in way["months"]
        ),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(path_type=Path), help="A WARRANT_HOME to ingest into, or that holds the year.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day, if not the year's.")
@click.option(
    "--every-days", default=7, type=click.IntRange(1), help="Days between trainings of the way that has most."
)
def main(as_json: bool, home: Path | None, until, every_days: int) -> None:
    """Measure ways to retrain: AUC and dollars by month, with the number of trainings and their cost."""
    on = machine()
    with nullcontext(home) if home else fresh_home() as chosen:
        result = measured(run, until.date().isoformat(), every_days, home=chosen).result
    show("retraining", on, figures_of(result), as_json=as_json)


if __name__ == "__main__":
    main()
