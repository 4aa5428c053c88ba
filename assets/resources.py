"""What all workloads share: the resources that stages are handed, and the sensor that raises alerts.

The defs folder is where the platform and the feature store meet.
"""

from __future__ import annotations

import dagster as dg

from assets.stages.feature_store import FeatureStoreResource
from automation.alerts import sensor
from automation.resources import resources
from automation.settings import settings


@dg.definitions
def defs() -> dg.Definitions:
    chosen = settings()
    return dg.Definitions(
        resources={**resources(chosen), "feature_store": FeatureStoreResource(lakehouse=chosen.lakehouse)},
        sensors=[sensor.build()],
        # Steps are short and their imports are not: a process for each step would mostly import.
        executor=dg.in_process_executor,
    )
