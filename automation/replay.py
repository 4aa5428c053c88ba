"""Replay: the same jobs that schedules and sensors run, day by day in order, in one process.

A replay can be killed at any moment and run again: days that are done are skipped, the day it was killed in is run
again and replaces what it had written.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import click

from automation.calendar import Days
from automation.errors import WarrantError
from automation.jobs import ONLINE_FEATURES, RETRAINING
from automation.options import DATE, WORKLOAD
from automation.schedules import retraining_due
from automation.workload import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import dagster as dg

    from automation.settings import Settings
    from automation.workload import Workload

FEATURE_VIEWS, LAST_ASSET = "feature_views", "decision_quality"
# What nothing of a day comes after: with these (and retraining, where drift is watched), all of it is there.
LAST_ASSETS = (LAST_ASSET, "data_quality", "shadow_decisions", "model_rollout")
EVERY_EVENT_OF_A_RANGE = "1000"
REPLAYED = "warrant/replayed"


class AlreadyReplayingError(WarrantError):
    """Another process replays the workload."""


class UnknownWorkloadError(WarrantError):
    """No workload of that name is declared."""


class OutsideCalendarError(WarrantError):
    """Days were asked for that the workload's calendar does not cover."""


class RunStoppedError(WarrantError):
    """A run was stopped by a gate or failed; what lies downstream of it was not done."""


@dataclass(frozen=True)
class Stopped:
    """Why a run did not succeed: failed gates with what they say, and steps that raised."""

    gates: tuple[str, ...]
    errors: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join((*self.gates, *self.errors))


@dataclass(frozen=True)
class Step:
    """One thing a replay has to do."""

    job: str
    days: Days | None
    version: int | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.job} version {self.version}"
        if self.days is None:
            return self.job
        return f"{self.job} {self.days.first}" + ("" if len(self.days) == 1 else f" to {self.days.last}")


@dataclass(frozen=True)
class Done:
    """What the event log says is materialized already."""

    setup: bool
    history: frozenset[str] = field(default_factory=frozenset)
    champions: frozenset[str] = field(default_factory=frozenset)
    days: frozenset[str] = field(default_factory=frozenset)


def plan(first_day: date, days: Days, retrain_day: int | None, done: Done) -> list[Step]:
    """Everything a replay of ``days`` needs, in order, less what is done.

    Before the first day come the tables without days, the history that a first model is trained on, month by month,
    and that model. A retraining comes before the day it is as of.
    """
    steps: list[Step] = [] if done.setup else [Step("setup", None)]
    if days.first > first_day:
        before = Days(first_day, days.first - timedelta(days=1))
        steps += [Step("history", month) for month in before.months() if not set(month.keys) <= done.history]
    if not any(key <= days.first.isoformat() for key in done.champions):
        steps.append(Step("retrain", Days.one(days.first)))
    for day in days:
        key = day.isoformat()
        trained = key in done.champions or Step("retrain", Days.one(day)) in steps
        if retraining_due(day, retrain_day) and not trained and key not in done.days:
            steps.append(Step("retrain", Days.one(day)))
        if key not in done.days:
            steps.append(Step("daily", Days.one(day)))
    return steps


class Platform:
    """The code location and Dagster's instance in this process: what a replay runs jobs with."""

    def __init__(self, settings: Settings) -> None:
        from automation import database

        warnings.filterwarnings("ignore", module=r"dagster|feast|mlflow|great_expectations|pandera|sklearn")
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVERY_EVENT_OF_A_RANGE)
        database.start(settings)
        database.prepare(settings)
        database.configure_environment(settings)
        self.settings = settings

    @cached_property
    def definitions(self) -> dg.Definitions:
        from automation.definitions import defs

        return defs()

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        import dagster as dg

        for name in ("dagster", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        instance = dg.DagsterInstance.get()
        # A pool of connections: by default every event opens a connection of its own, which costs more than the event.
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=20)
        return instance

    def workload(self, name: str) -> Workload:
        """The declared workload of that name."""
        from automation.components import declared_workloads

        found = declared_workloads(self.definitions)
        if name not in found:
            raise UnknownWorkloadError(
                f"There is no workload {name}.", remedy=f"Choose one of these: {', '.join(sorted(found))}."
            )
        return found[name]

    def done(self, workload: Workload) -> Done:
        """What is materialized of the workload and no gate holds (it passed, or a waiver lets it stand as it is), less
        what rests on rows released since."""
        import dagster as dg

        from automation import gates
        from automation.staleness import stale_days

        spec = workload.spec
        graph = self.definitions.resolve_asset_graph()

        def key(table: str) -> dg.AssetKey:
            return dg.AssetKey([workload.name, table])

        def partitions(table: str) -> frozenset[str]:
            return frozenset(self.instance.get_materialized_partitions(key(table)))

        def held(tables: Sequence[str]) -> frozenset[str | None]:
            asked = [gates.Asked(key(table), gates.gates_of(graph, key(table)), None) for table in tables]
            standings = gates.read(self.instance, asked, datetime.now(UTC))
            return frozenset(standing.partition for standing in standings if not standing.open)

        whole = [feed.table for feed in spec.feeds if feed.delivery is Delivery.WHOLE]
        derived = [spec.cases.table, spec.labels.table, *(view.table for view in spec.features.views)]
        held_raw = held([*spec.daily_raw_tables, *derived])
        stale = stale_days(self.instance, workload, LAST_ASSET)
        set_up = [self.instance.get_latest_materialization_event(key(table)) for table in (*whole, FEATURE_VIEWS)]
        return Done(
            setup=None not in set_up and not held(whole),
            history=frozenset.intersection(*map(partitions, derived)) - held_raw - stale.derived,
            champions=partitions("champion"),
            days=frozenset.intersection(
                *map(partitions, LAST_ASSETS if spec.drift is None else (*LAST_ASSETS, RETRAINING))
            )
            - held_raw
            - held([ONLINE_FEATURES, "scores", "decisions", "outcomes"])
            - stale.decided,
        )

    def run(
        self,
        workload: Workload,
        step: Step,
        only: Sequence[dg.AssetKey] | None = None,
        more_tags: Mapping[str, str] | None = None,
        more_config: Mapping[str, object] | None = None,
    ) -> Stopped | None:
        """Runs one step, or ``only`` some assets of its job. Returns why it stopped, or None if it succeeded."""
        from automation.jobs import name

        job = self.definitions.resolve_job_def(name(workload.name, step.job))
        tags, key = {REPLAYED: workload.name, **(more_tags or {})}, None
        if step.version is not None:
            key = str(step.version)
        elif step.days is not None and len(step.days) == 1:
            key = step.days.first.isoformat()
        elif step.days is not None:
            tags |= {
                "dagster/asset_partition_range_start": step.days.first.isoformat(),
                "dagster/asset_partition_range_end": step.days.last.isoformat(),
            }
        result = job.execute_in_process(
            instance=self.instance,
            partition_key=key,
            tags=tags,
            asset_selection=only,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **(more_config or {})},
        )
        return None if result.success else _stopped(result)

    def judge_submitted(self, workload: Workload) -> None:
        """Has the versions judged that others registered since, as the sensor would. What a gate holds is no matter of
        the days: it is alerted, and stays where it is.
        """
        from automation.registry import ModelRegistry
        from automation.rollout import discovery

        registry = ModelRegistry(self.settings, workload.name, workload.spec.model.name)
        found = discovery.waiting(self.instance, workload, registry)
        if not found:
            return
        discovery.announce(self.instance, workload, found)
        held = [self.run(workload, Step("submitted", None, version)) for version in found]
        if any(each is not None for each in held):
            self.watch()

    def retrain_asked(self, workload: Workload, day: date) -> None:
        """Has the models trained that drift asked for as of ``day`` or earlier, as the sensor would. A candidate that a
        gate holds is no matter of the days: it is alerted, and the champion goes on.

        Raises:
            RunStoppedError: there is no candidate to judge.
        """
        import dagster as dg

        from automation.drift import asking
        from automation.jobs import CANDIDATE_MODEL
        from automation.ledger import store

        if workload.spec.drift is None:
            return

        def waiting() -> tuple[date, ...]:
            trained = self.instance.get_materialized_partitions(dg.AssetKey([workload.name, CANDIDATE_MODEL]))
            with store.opened(self.settings) as ledger:
                found = asking.waiting(asking.askings(ledger, workload.name), trained)
            return tuple(each.as_of for each in found if each.as_of <= day)

        for as_of in waiting():
            stopped = self.run(workload, Step("retrain", Days.one(as_of)))
            if stopped is not None:
                self.watch()
            if as_of in waiting():
                raise _stopped_in(workload, f"retrain {as_of}, which drift asked for", stopped)

    def watch(self) -> None:
        """Raises and delivers the alerts of what was just stopped: no daemon need run for that."""
        from automation.alerts.watch import only_logged, watch

        with only_logged():
            watch(self.settings, self.instance, self.definitions.get_repository_def(), lambda: datetime.now(UTC))

    def watch_what_failed(self) -> None:
        """Where something failed before, says what has recovered."""
        from automation.alerts.outbox import any_failing
        from automation.alerts.watch import only_logged

        with only_logged():
            if any_failing(self.settings):
                self.watch()


def _stopped(result: dg.ExecuteInProcessResult) -> Stopped:
    # A gate that only warns, or is waived, has failed and has stopped nothing.
    failed = [
        found for found in result.get_asset_check_evaluations() if not found.passed and found.severity.value == "ERROR"
    ]
    gates = [
        f"the gate {found.check_name} of {found.asset_key.to_user_string()}"
        f"{f' on {found.partition}' if found.partition else ''} failed: {found.description}"
        for found in failed
    ]
    errors = []
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        cause = error.cause if error and error.cause else error
        if cause is not None and "DagsterAssetCheckFailedError" not in (cause.cls_name or ""):
            errors.append(f"{event.step_key} raised {cause.message.strip()}")
    return Stopped(tuple(gates), tuple(errors))


@contextmanager
def alone(platform: Platform, workload: Workload) -> Iterator[None]:
    """Holds the workload for this process, and closes the runs of processes that died holding it.

    The lock is the database's: it ends with the connection, so that a killed replay holds nothing.

    Raises:
        AlreadyReplayingError: another process holds it.
    """
    import dagster as dg

    from automation import database

    with database.connect(platform.settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('replay'), hashtext(%s))", (workload.name,))
        if cursor.fetchone() != (True,):
            raise AlreadyReplayingError(
                f"Another process is replaying {workload.name}.",
                remedy="Wait until it is done, or end it, then try again.",
            )
        unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        abandoned = dg.RunsFilter(statuses=unfinished, tags={REPLAYED: workload.name})
        for run in platform.instance.get_runs(abandoned):
            platform.instance.report_run_failed(run, "The replay that ran it was ended.")
        yield


def replay(
    platform: Platform, workload: Workload, days: Days, *, again: bool = False
) -> Iterator[tuple[Step, int, int]]:
    """Runs what a replay of ``days`` needs, yielding each step before it runs, with its number and their total.

    ``again`` runs days that are done, too.

    Raises:
        OutsideCalendarError: the days are not in the workload's calendar.
        RunStoppedError: a gate held a day, or a step failed. What was done before it stays.
    """
    covered = workload.calendar.days()
    if days.first not in covered or days.last not in covered:
        raise OutsideCalendarError(
            f"{workload.name} has data from {covered.first} to {covered.last}, not from {days.first} to {days.last}.",
            remedy="Choose --from and --to within these days.",
        )
    done = platform.done(workload)
    if again:
        done = Done(done.setup, done.history, done.champions, done.days - set(days.keys))
    steps = plan(covered.first, days, workload.spec.retrain_day, done)
    yield from _run_all(platform, workload, steps)


def backfill(platform: Platform, workload: Workload, days: Days) -> Iterator[tuple[Step, int, int]]:
    """Raw tables, cases, features and labels of ``days``, month by month, without deciding anything."""
    done = platform.done(workload)
    steps = [] if done.setup else [Step("setup", None)]
    steps += [Step("history", month) for month in days.months() if not set(month.keys) <= done.history]
    yield from _run_all(platform, workload, steps)


def _run_all(platform: Platform, workload: Workload, steps: Sequence[Step]) -> Iterator[tuple[Step, int, int]]:
    for number, step in enumerate(steps, start=1):
        yield step, number, len(steps)
        if step.job == "daily":
            platform.judge_submitted(workload)
            if step.days is not None:
                platform.retrain_asked(workload, step.days.first)
        stopped = platform.run(workload, step)
        if stopped is not None:
            platform.watch()
            raise _stopped_in(workload, step, stopped)
    platform.watch_what_failed()


def _stopped_in(workload: Workload, step: Step | str, stopped: Stopped | None) -> RunStoppedError:
    return RunStoppedError(
        f"{workload.name} was stopped in {step}: {stopped}.",
        remedy="Look at the asset in the Dagster UI (`warrant up`), mend the cause, then run this again: "
        "it goes on from here.",
    )


def shown(steps: Iterator[tuple[Step, int, int]]) -> int:
    """Runs the steps under a progress bar. Returns how many there were."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    number = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task("looking at what is done", total=None)
        for step, number, total in steps:
            progress.update(bar, total=total, completed=number - 1, description=str(step))
            if not console.is_terminal and (step.days is None or len(step.days) > 1 or step.days.first.day % 7 == 1):
                progress.console.print(f"[{number}/{total}] {step}")
        progress.update(bar, total=max(number, 1), completed=max(number, 1), description="done")
    return number


@click.command("replay")
@WORKLOAD
@click.option("--from", "first", type=DATE, required=True, help="First day to decide (YYYY-MM-DD).")
@click.option("--to", "last", type=DATE, required=True, help="Last day to decide.")
@click.option("--again", is_flag=True, help="Run days that are done already, too.")
def command(name: str, first, last, again: bool) -> None:
    """Replay days in order, as the schedules would have run them.

    Trains the first model on everything before --from, retrains on the workload's day of the month, and decides each
    day with what was known then. Killed or stopped, it goes on where it was when run again.

    \b
    Example:
      warrant replay --workload flight_disruption --from 2013-03-01 --to 2013-03-14

    Exit code 0: all days are done. 1: a gate held a day, or a step failed; the message says which.
    """
    from automation.settings import settings

    platform = Platform(settings())
    days = _range(first.date(), last.date())
    workload = platform.workload(name)
    with alone(platform, workload):
        count = shown(replay(platform, workload, days, again=again))
    click.echo(f"{name}: {days.first} to {days.last} is done ({count} steps run). See it with `warrant scorecard`.")


@click.command("backfill")
@WORKLOAD
@click.option("--from", "first", type=DATE, required=True, help="First day (YYYY-MM-DD).")
@click.option("--to", "last", type=DATE, required=True, help="Last day.")
def backfill_command(name: str, first, last) -> None:
    """Ingest days and compute their features, month by month, without deciding anything.

    \b
    Example:
      warrant backfill --workload flight_disruption --from 2013-01-01 --to 2013-12-30

    Exit code 0: all days are done. 1: a gate held a month, or a step failed; the message says which.
    """
    from automation.settings import settings

    platform = Platform(settings())
    days = _range(first.date(), last.date())
    workload = platform.workload(name)
    with alone(platform, workload):
        count = shown(backfill(platform, workload, days))
    click.echo(f"{name}: {days.first} to {days.last} is ingested ({count} steps run).")


def within(workload: Workload, first: datetime | None, last: datetime | None) -> Days:
    """The days from --from to --to; where one is not given, from the calendar's first or to its last."""
    covered = workload.calendar.days()
    return _range(first.date() if first else covered.first, last.date() if last else covered.last)


def _range(first: date, last: date) -> Days:
    if last < first:
        raise OutsideCalendarError(f"--to {last} is before --from {first}.", remedy="Swap them.")
    return Days(first, last)
