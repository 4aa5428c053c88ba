"""Feast, as stages are handed it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg

from automation import database
from automation.engines import choice
from automation.engines.engine import EngineName
from automation.settings import settings
from feature_repo.online.records import Backend, opened

if TYPE_CHECKING:
    from feast import FeatureStore

    from automation.settings import Settings


class FeatureStoreResource(dg.ConfigurableResource):
    """Feast, with its registry in the database and its features in the lakehouse. Opened when it is first used."""

    lakehouse: str

    def open(self, engine: EngineName = EngineName.DUCKDB) -> FeatureStore:
        """The store whose join of features of the past runs on ``engine``. A case's own are joined here in any case."""
        return opened_store(settings(), self.lakehouse, engine)

    def meaning(self, service: str) -> dict[str, str]:
        """By view of the service: the digest of what it means now (`feature_repo.pins`)."""
        from feature_repo.pins import view_digests

        return view_digests(self.open(), service)

    def online(self) -> Backend:
        """Where features are served from."""
        return online_backend(settings())


@lru_cache(maxsize=4)
def opened_store(chosen: Settings, lakehouse: str, engine: EngineName = EngineName.DUCKDB) -> FeatureStore:
    """The feature store of these settings, opened once a process: Feast caches its registry."""
    from feature_repo.store import feature_store

    spark = choice.spark(chosen).session_settings() if engine is EngineName.SPARK else None
    return feature_store(database.url(chosen, "feast"), lakehouse, _address(chosen), spark)


@lru_cache(maxsize=4)
def online_backend(chosen: Settings) -> Backend:
    """The online store of these settings: the database, or the Redis that WARRANT_ONLINE_STORE_URL names."""
    return opened(_address(chosen), schema="warrant")


def _address(chosen: Settings) -> str:
    given = chosen.online_store_url
    return database.url(chosen, "warrant") if given is None else given.get_secret_value()
