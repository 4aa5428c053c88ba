"""Sensors: days that the feed delivers are run, in order, one at a time.

What to run next is decided by a pure function over plain data, `next_days`.
"""

import json
from collections.abc import Mapping, Sequence, Set

import dagster as dg
from dagster._utils.warnings import disable_dagster_warnings

from automation.jobs import CANDIDATE_MODEL, MODEL_ALIASES, Jobs
from automation.landing.deliveries import landed_by_day
from automation.settings import settings
from automation.workload import Source, Workload

SECONDS_BETWEEN_LOOKS = 60
# How often a run for a thing is begun that does not come to its end.
ATTEMPTS = 3


def next_days(
    delivered: Mapping[str, str], handled: Mapping[str, str], materialized: Set[str], ready: bool, most: int
) -> list[str]:
    """The days to run now: delivered again since they were handled, or delivered and never materialized.

    ``delivered`` and ``handled`` give each day the feed's fingerprint. Days that were materialized before the sensor
    was first turned on are taken as handled. Oldest first, at most ``most``; none unless ``ready``.
    """
    if not ready:
        return []

    def is_new(day: str) -> bool:
        return handled[day] != delivered[day] if day in handled else day not in materialized

    return sorted(day for day in delivered if is_new(day))[:most]


def fingerprints(fed: Mapping[str, str], landed: Mapping[str, str]) -> dict[str, str]:
    """Each day's short fingerprint: what the feed says of it and, where something landed for it, what that was."""
    return {day: _short(" ".join(filter(None, (fed.get(day), landed.get(day))))) for day in {*fed, *landed}}


def build(workload: Workload, jobs: Jobs) -> list[dg.SensorDefinition]:
    first_feed = dg.AssetKey([workload.name, workload.spec.feeds[0].table])
    champion = dg.AssetKey([workload.name, "champion"])

    @dg.sensor(
        name=f"{workload.name}_new_data",
        job=jobs.daily,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        description="Runs each day that the feed delivers, or delivers again, once a champion can decide it.",
    )
    def new_data(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        promoted = context.instance.get_materialized_partitions(champion)
        if not promoted:
            return dg.SkipReason(
                f"{workload.name} has no champion yet: run {jobs.setup.name}, {jobs.history.name}, {jobs.retrain.name}."
            )
        running = context.instance.get_runs_count(
            dg.RunsFilter(
                job_name=jobs.daily.name,
                statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
            )
        )
        first = min(promoted)
        fed = _fed(workload)
        landed = landed_by_day(settings(), workload.name)
        delivered = {day: mark for day, mark in fingerprints(fed, landed).items() if day >= first}
        handled: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        materialized = context.instance.get_materialized_partitions(first_feed)
        chosen = next_days(delivered, handled, materialized, ready=running == 0, most=1)
        # What landed for a day is not taken as handled: it may have landed after the day was materialized.
        before = fingerprints(fed, {})
        taken = {day: before.get(day, "") for day in delivered if day in materialized and day not in handled}
        cursor = {**taken, **handled, **{day: delivered[day] for day in chosen}}
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{workload.name} {day} {delivered[day]}", partition_key=day) for day in chosen
            ],
            cursor=json.dumps(cursor, sort_keys=True),
            skip_reason=None if chosen else "A day is being run." if running else "Nothing new was delivered.",
        )

    @dg.sensor(
        name=f"{workload.name}_model_aliases",
        job=jobs.upkeep,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds MLflow's champion moved by other means than promotion, and has it recorded and put back.",
    )
    def model_aliases(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from automation.registry import ModelRegistry
        from automation.rollout.aliases import alias

        chosen = settings()
        found = alias(chosen, workload, ModelRegistry(chosen, workload.name, workload.spec.model.name))
        if found.current:
            return dg.SkipReason(found.says)
        # One run for what was found, however often it is looked at before the run is done.
        running = context.instance.get_runs_count(
            dg.RunsFilter(
                job_name=jobs.upkeep.name,
                statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED],
            )
        )
        if running:
            return dg.SkipReason("It is being put back.")
        return dg.RunRequest(asset_selection=[dg.AssetKey([workload.name, MODEL_ALIASES])])

    @dg.sensor(
        name=f"{workload.name}_submitted_models",
        job=jobs.submitted,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds model versions that others registered in MLflow, and has each judged.",
    )
    def submitted_models(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from automation.registry import ModelRegistry
        from automation.rollout import discovery

        chosen = settings()
        registry = ModelRegistry(chosen, workload.name, workload.spec.model.name)
        found = discovery.waiting(context.instance, workload, registry)
        if not found:
            return dg.SkipReason(f"Every version of {workload.spec.model.name} is known.")
        discovery.announce(context.instance, workload, found)
        return _once_each(
            context.instance, jobs.submitted.name, f"{workload.name} version", [str(each) for each in found]
        )

    @dg.sensor(
        name=f"{workload.name}_retraining",
        job=jobs.retrain,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has a model trained that was asked for because of drift, past what it is expected to cost.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from automation.drift import asking
        from automation.ledger import store

        with store.opened(settings()) as ledger:
            said = asking.askings(ledger, workload.name)
        trained = context.instance.get_materialized_partitions(dg.AssetKey([workload.name, CANDIDATE_MODEL]))
        found = [
            each.as_of.isoformat() for each in asking.waiting(said, trained) if each.as_of in workload.calendar.days()
        ]
        if not found:
            return dg.SkipReason(f"No model of {workload.name} is asked for that was not trained.")
        return _once_each(context.instance, jobs.retrain.name, f"{workload.name} asked as of", found)

    # Whether a gate holds, a waiver of it included, is for our code to say: so the conditions are evaluated by it.
    with disable_dagster_warnings():
        automation = dg.AutomationConditionSensorDefinition(
            name=f"{workload.name}_automation",
            target=dg.AssetSelection.tag("workload", workload.name),
            use_user_code_server=True,
            minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
            description="Requests each asset whose inputs are new and whose inputs' gates hold nothing back.",
        )
    asked = [] if workload.spec.drift is None else [retraining]
    return [new_data, model_aliases, submitted_models, *asked, automation]


def _once_each(instance: dg.DagsterInstance, job: str, what: str, partitions: Sequence[str]) -> dg.SensorResult:
    """Requests a run of a job for each partition, called ``what`` with it in the run's key: a key is run once. One that
    did not come to its end is tried again, `ATTEMPTS` times in all."""
    failed = {
        each: instance.get_runs_count(
            dg.RunsFilter(
                job_name=job,
                tags={"dagster/partition": each},
                statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
            )
        )
        for each in partitions
    }
    requests = [
        dg.RunRequest(run_key=f"{what} {each}, {count}", partition_key=each)
        for each, count in failed.items()
        if count < ATTEMPTS
    ]
    given_up = f"Each of these runs failed {ATTEMPTS} times, run it by hand: {what} {', '.join(failed)}."
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else given_up)


def _fed(workload: Workload) -> Mapping[str, str]:
    """The feed's fingerprints by day; none where every feed only lands."""
    if all(feed.source is Source.LANDING for feed in workload.spec.feeds):
        return {}
    return workload.module("feed").fingerprint(workload.calendar)


def _short(fingerprint: str) -> str:
    import hashlib

    return hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
