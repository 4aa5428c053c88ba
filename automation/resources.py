"""What stages are handed of the platform: the lakehouse and the model registry. Nothing is opened until it is used."""

from __future__ import annotations

from functools import lru_cache

import dagster as dg

from automation.lakehouse import Lakehouse
from automation.registry import ModelRegistry
from automation.settings import Settings, settings


class LakehouseResource(dg.ConfigurableResource):
    """The Delta tables."""

    url: str

    def open(self) -> Lakehouse:
        return Lakehouse(self.url)


class ModelRegistryResource(dg.ConfigurableResource):
    """MLflow's registered models, and the promotions that say which of them decides."""

    @property
    def settings(self) -> Settings:
        return settings()

    def open(self, workload: str, model: str) -> ModelRegistry:
        return _registry(settings(), workload, model)


@lru_cache(maxsize=16)
def _registry(chosen: Settings, workload: str, model: str) -> ModelRegistry:
    return ModelRegistry(chosen, workload, model)


def resources(chosen: Settings) -> dict[str, dg.ConfigurableResource]:
    """The platform's resources."""
    return {
        "lakehouse": LakehouseResource(url=chosen.lakehouse),
        "models": ModelRegistryResource(),
    }
