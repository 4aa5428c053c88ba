"""The stages that every workload passes, in order: one module each, which builds the stage's assets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.stages import decisions, features, landing, monitoring, outcomes, raw, scoring, training

if TYPE_CHECKING:
    import dagster as dg

    from automation.workload import Workload


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    """Every asset of the workload, stage by stage."""
    return [
        asset
        for stage in (landing, raw, features, training, scoring, decisions, outcomes, monitoring)
        for asset in stage.build(workload)
    ]
