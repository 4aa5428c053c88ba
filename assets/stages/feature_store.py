"""Feast, as stages are handed it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg

from automation import database
from automation.settings import settings

if TYPE_CHECKING:
    from feast import FeatureStore

    from automation.settings import Settings


class FeatureStoreResource(dg.ConfigurableResource):
    """Feast, with its registry in the database and its features in the lakehouse. Opened when it is first used."""

    lakehouse: str

    def open(self) -> FeatureStore:
        return _opened(settings(), self.lakehouse)


@lru_cache(maxsize=4)
def _opened(chosen: Settings, lakehouse: str) -> FeatureStore:
    from feature_repo.store import feature_store

    return feature_store(database.url(chosen, "feast"), lakehouse)
