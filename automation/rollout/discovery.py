"""Discovery: the versions that others registered under the workload's model name, which nobody has judged yet.

Whoever registered them and however: what a version is, its files say. A version that was trained here says from what,
and comes through its own gates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from automation.jobs import SUBMITTED_MODEL
from automation.policy.evidence import DECISIONS

if TYPE_CHECKING:
    from automation.registry import ModelRegistry
    from automation.workload import Workload


def partitions(workload: Workload) -> dg.DynamicPartitionsDefinition:
    """A partition for each version that others registered: its number."""
    return dg.DynamicPartitionsDefinition(name=f"{workload.name}_submitted_versions")


def waiting(instance: dg.DagsterInstance, workload: Workload, registry: ModelRegistry) -> tuple[int, ...]:
    """The versions that were not judged yet, in order. None before a day was decided: there is none to judge by."""
    if not instance.get_materialized_partitions(dg.AssetKey([workload.name, DECISIONS])):
        return ()
    judged = instance.get_materialized_partitions(dg.AssetKey([workload.name, SUBMITTED_MODEL]))
    return tuple(sorted(each for each in registry.submitted() if str(each) not in judged))


def announce(instance: dg.DagsterInstance, workload: Workload, versions: tuple[int, ...]) -> None:
    """Makes the versions partitions, so that Dagster shows them and runs can name them."""
    name = partitions(workload).name
    assert name is not None  # noqa: S101 - it was given one
    instance.add_dynamic_partitions(name, [str(each) for each in versions])
