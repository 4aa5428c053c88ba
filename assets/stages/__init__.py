"""The stages that every workload passes, in order: one module each, which builds the stage's assets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.stages import (
    challengers,
    decisions,
    feature_faults,
    features,
    input_drift,
    landing,
    monitoring,
    online,
    outcomes,
    performance,
    raw,
    reconciliation,
    retraining,
    retraining_ways,
    rollout,
    scoring,
    shadow,
    statistics,
    submitted,
    training,
    upkeep,
)

if TYPE_CHECKING:
    import dagster as dg

    from automation.workload import Workload


STAGES = (
    landing,
    raw,
    features,
    online,
    training,
    submitted,
    scoring,
    decisions,
    shadow,
    challengers,
    outcomes,
    statistics,
    monitoring,
    rollout,
    feature_faults,
    input_drift,
    performance,
    retraining,
    retraining_ways,
    upkeep,
    reconciliation,
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    """Every asset of the workload, stage by stage."""
    return [asset for stage in STAGES for asset in stage.build(workload)]
