"""The sensor that sees what lands: it requests a run for each complete file and reads none of them."""

from __future__ import annotations

import json

import dagster as dg

from automation.jobs import DELIVERIES, Jobs
from automation.landing.folder import Landing, Stamp, Tried, to_pick_up
from automation.settings import settings
from automation.workload import Workload

SECONDS_BETWEEN_LOOKS = 30
MOST_TRIES = 3
MOST_AT_ONCE = 20
PICKED_UP = "warrant/delivery"


def build(workload: Workload, jobs: Jobs) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{workload.name}_landing",
        job=jobs.landing,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        description="Takes in each file that lies complete in the landing folder: the same at two looks.",
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = Landing(settings().landing).waiting(workload.name)
        looked: dict[str, list[int]] = json.loads(context.cursor) if context.cursor else {}
        before = {file: Stamp(*stamp) for file, stamp in looked.items()}
        complete = [file for file, stamp in now.items() if before.get(file) == stamp]
        tried = {file: _tried(context.instance, pick_up(file, now[file])) for file in complete}
        chosen = to_pick_up(now, before, tried, MOST_TRIES)[:MOST_AT_ONCE]
        given_up = [file for file, attempts in tried.items() if attempts.ended >= MOST_TRIES and not attempts.running]
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{pick_up(file, now[file])} {tried[file].ended + 1}",
                    run_config=run_config(workload, file),
                    tags={PICKED_UP: pick_up(file, now[file])},
                )
                for file in chosen
            ],
            cursor=json.dumps({file: [stamp.size, stamp.changed] for file, stamp in now.items()}, sort_keys=True),
            skip_reason=None if chosen else _says(now, complete, given_up),
        )

    return landing


def run_config(workload: Workload, file: str) -> dict[str, object]:
    """The configuration of a run that takes in one file."""
    return {"ops": {f"{workload.name}__{DELIVERIES}": {"config": {"file": file}}}}


def pick_up(file: str, stamp: Stamp) -> str:
    """What tells a file as it stands from all others: the tag of the runs that take it in."""
    return f"{file} {stamp}"


def _tried(instance: dg.DagsterInstance, tag: str) -> Tried:
    runs = instance.get_runs(dg.RunsFilter(tags={PICKED_UP: tag}))
    ended = sum(run.is_finished for run in runs)
    return Tried(running=ended < len(runs), ended=ended)


def _says(now: dict[str, Stamp], complete: list[str], given_up: list[str]) -> str:
    if given_up:
        return (
            f"Given up after {MOST_TRIES} runs that failed: {', '.join(given_up)}. Look at the runs, mend the cause, "
            "then `touch` the file."
        )
    if len(now) > len(complete):
        return f"{len(now) - len(complete)} files may still be being written: they are looked at again."
    return "Nothing new lies there." if not now else "What lies there is being taken in."
