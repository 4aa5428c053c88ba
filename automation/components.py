"""The component that a workload's defs.yaml names: it reads the declaration and builds the workload's definitions."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import dagster as dg
from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue
from pydantic import BaseModel

from automation import jobs, schedules, sensors
from automation.landing import sensor as landing_sensor
from automation.workload import Workload, WorkloadSpec

CONTRACTS_FOLDER = "contracts"
STAGES_MODULE = "stages"
METADATA_PREFIX = "workload:"


class DecisionWorkload(dg.Component):
    """A whole workload declared in one defs.yaml.

    Its code lies beside the defs.yaml (feed.py, features.py, model.py), its contracts in ``contracts/<name>/``, its
    feature views in ``feature_repo/<name>.py``. The stages are those of the defs folder the workload lies in: this
    package builds what is declared and imports nothing of it by name.
    """

    def __init__(self, workload: WorkloadSpec) -> None:
        self.workload = workload

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> DecisionWorkload:  # noqa: ARG003
        return cls(WorkloadSpec.model_validate(attributes))

    @classmethod
    def get_model_cls(cls) -> type[WorkloadSpec]:
        """The declaration's schema, for checks and for editors."""
        return WorkloadSpec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        root = context.defs_module_name
        package = ".".join([root, *context.path.relative_to(context.defs_module_path).parts])
        workload = Workload(self.workload, package, Path(context.project_root) / CONTRACTS_FOLDER)
        assets = import_module(f"{root}.{STAGES_MODULE}").build(workload)
        made = jobs.build(workload)
        return dg.Definitions(
            metadata={f"{METADATA_PREFIX}{workload.name}": ObjectMetadataValue("Workload", instance=workload)},
            assets=assets,
            jobs=list(made.all),
            schedules=schedules.build(workload, made),
            sensors=[*sensors.build(workload, made), landing_sensor.build(workload, made)],
        )


def declared_workloads(definitions: dg.Definitions) -> dict[str, Workload]:
    """The workloads of a code location, by name."""
    return {
        key.removeprefix(METADATA_PREFIX): value.instance
        for key, value in definitions.metadata.items()
        if isinstance(value, ObjectMetadataValue) and isinstance(value.instance, Workload)
    }
