"""The sensor that watches the event log for every workload of the code location."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

NAME = "warrant_alerts"
SECONDS_BETWEEN_LOOKS = 30


def build() -> dg.SensorDefinition:
    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Raises an alert for each gate that fails and each run that fails, whoever started it, delivers "
        "it, and says when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from automation.alerts.watch import watch
        from automation.settings import settings

        if context.repository_def is None:
            return dg.SkipReason("This code location cannot be seen.")
        watched = watch(settings(), context.instance, context.repository_def, lambda: datetime.now(UTC))
        for sink, error in watched.failed.items():
            context.log.warning("The sink %s took no alerts: %s", sink, error)
        return dg.SkipReason(f"{watched}.")

    return alerts
