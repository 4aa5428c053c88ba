"""Which day a schedule asks for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from automation import jobs, schedules
from automation.schedules import retraining_due
from automation.workload import Workload

ROOT = Path(__file__).parent.parent.parent


def retraining_on(workload: Workload, day: int | None) -> Workload:
    spec = workload.spec.model_copy(update={"retrain_day": day})
    return Workload(spec, workload.package, ROOT / "contracts")


@pytest.fixture(scope="module")
def built(workload) -> dict[str, dg.ScheduleDefinition]:
    monthly = retraining_on(workload, 1)
    return {schedule.name: schedule for schedule in schedules.build(monthly, jobs.build(monthly))}


def asked(schedule: dg.ScheduleDefinition, at: datetime) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(scheduled_execution_time=at)
    return schedule(context)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2013, 3, 5, 11, tzinfo=UTC), "2013-03-04"),
        (datetime(2013, 7, 5, 10, tzinfo=UTC), "2013-07-04"),
        (datetime(2013, 3, 10, 10, tzinfo=UTC), "2013-03-09"),
        (datetime(2013, 11, 3, 11, tzinfo=UTC), "2013-11-02"),
    ],
)
def test_every_morning_the_day_that_is_over_in_new_york_is_run(built, at: datetime, day: str) -> None:
    request = asked(built["flight_disruption_daily"], at)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == (day, f"flight_disruption {day}")


def test_the_model_is_retrained_as_of_the_day_it_will_decide_first(built) -> None:
    request = asked(built["flight_disruption_retrain"], datetime(2013, 4, 1, 8, tzinfo=UTC))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2013-04-01"
    assert built["flight_disruption_retrain"].cron_schedule == "0 4 1 * *"


@pytest.mark.parametrize("at", [datetime(2012, 12, 31, 11, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC)])
def test_a_day_outside_the_calendar_is_skipped_and_said(built, at: datetime) -> None:
    skipped = asked(built["flight_disruption_daily"], at)
    assert isinstance(skipped, dg.SkipReason)
    assert "is not a day of the calendar of flight_disruption, 2013-01-01 to 2014-01-02" in skipped.skip_message


def test_the_retraining_runs_before_the_day_it_is_as_of_is_decided(built) -> None:
    def hour(name: str) -> int:
        return int(str(built[name].cron_schedule).split()[1])

    assert hour("flight_disruption_retrain") < hour("flight_disruption_daily")
    assert all(schedule.execution_timezone == "America/New_York" for schedule in built.values())


def test_a_replay_retrains_on_the_same_days_as_the_schedule() -> None:
    assert [day for day in range(1, 29) if retraining_due(date(2013, 3, day), 5)] == [5]
    assert not any(retraining_due(date(2013, 3, day), None) for day in range(1, 29))


def test_a_workload_without_a_retraining_day_has_no_schedule_for_it(workload) -> None:
    never = retraining_on(workload, None)
    names = [schedule.name for schedule in schedules.build(never, jobs.build(never))]
    assert names == ["flight_disruption_daily", "flight_disruption_upkeep"]
