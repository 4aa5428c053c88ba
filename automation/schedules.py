"""Schedules: the day that is over every morning, the model on its day of the month."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from automation.jobs import Jobs
from automation.workload import Workload

MORNING = 6


def retraining_due(day: date, retrain_day: int | None) -> bool:
    """Whether the model is retrained as of ``day``, before that day is decided."""
    return day.day == retrain_day


def build(workload: Workload, jobs: Jobs) -> list[dg.ScheduleDefinition]:
    calendar = workload.calendar

    def requested(context: dg.ScheduleEvaluationContext, days_back: int) -> dg.RunRequest | dg.SkipReason:
        local = context.scheduled_execution_time.astimezone(ZoneInfo(calendar.timezone))
        day = local.date() - timedelta(days=days_back)
        if day not in calendar.days():
            last = calendar.end - timedelta(days=1)
            return dg.SkipReason(f"{day} is not a day of the calendar of {workload.name}, {calendar.start} to {last}.")
        return dg.RunRequest(run_key=f"{workload.name} {day}", partition_key=day.isoformat())

    @dg.schedule(
        name=f"{workload.name}_daily",
        job=jobs.daily,
        cron_schedule=f"0 {MORNING} * * *",
        execution_timezone=calendar.timezone,
        description="Every morning, the day that is over: from the feed to decisions, outcomes and monitoring.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return requested(context, days_back=1)

    @dg.schedule(
        name=f"{workload.name}_upkeep",
        job=jobs.upkeep,
        cron_schedule=f"30 {MORNING - 4} * * 0",
        execution_timezone=calendar.timezone,
        description="Every Sunday night: small files are made one, what need not be kept goes, the ledger is verified.",
    )
    def upkeep(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"{workload.name} upkeep {context.scheduled_execution_time.date()}")

    if workload.spec.retrain_day is None:
        return [daily, upkeep]

    @dg.schedule(
        name=f"{workload.name}_retrain",
        job=jobs.retrain,
        cron_schedule=f"0 {MORNING - 2} {workload.spec.retrain_day} * *",
        execution_timezone=calendar.timezone,
        description="Once a month, a model trained on everything known by then.",
    )
    def retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return requested(context, days_back=0)

    return [daily, retrain, upkeep]
