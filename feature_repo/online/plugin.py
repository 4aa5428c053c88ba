"""The same records through Feast's own interface, so that its SDK and its server read and write them too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from typing_extensions import override

from feature_repo.online.plan import ViewPlan, view_plan
from feature_repo.online.reader import best
from feature_repo.online.records import Backend, Record, instant, key_of, moment, opened


class WarrantOnlineStoreConfig(FeastConfigBaseModel):
    """`online_store:` of feature_store.yaml."""

    type: Literal["feature_repo.online.plugin.WarrantOnlineStore"] = "feature_repo.online.plugin.WarrantOnlineStore"
    address: str
    """`postgresql://…` or `redis://…`; it may hold a password: give it by environment."""
    schema_name: str = "public"
    """PostgreSQL's schema."""


class WarrantOnlineStore(OnlineStore):
    """Feast asks for what is known by now: an instant in the future of every record. It checks no time to live."""

    @override
    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        plan = view_plan(table)
        records: dict[str, Record] = {}
        for entity, values, event, known in data:
            key = _key(plan, entity)
            found = [_plain(plan, name, values.get(name)) for name in plan.features]
            record = Record(key, instant(event), instant(known or event), json.dumps(found, separators=(",", ":")))
            held = records.get(key)
            if held is None or (record.event, record.known) >= (held.event, held.known):
                records[key] = record
        _backend(config).write(plan.slot, list(records.values()))
        if progress:
            progress(len(data))

    @override
    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        plan = view_plan(table)
        keys = [_key(plan, entity) for entity in entity_keys]
        found = _backend(config).read([(plan.slot, key) for key in dict.fromkeys(keys)])
        types = {feature.name: feature.dtype.to_value_type() for feature in table.features}
        wanted = [name for name in plan.features if requested_features is None or name in requested_features]
        answers: list[tuple[datetime | None, dict[str, Value] | None]] = []
        for key in keys:
            record = best(found.get((plan.slot, key), ()), 2**62, pushed=True)
            if record is None:
                answers.append((None, None))
                continue
            values = dict(zip(plan.features, json.loads(record.values), strict=True))
            protos = {
                name: python_values_to_proto_values(
                    [moment(values[name]) if name in plan.times and values[name] is not None else values[name]],
                    types[name],
                )[0]
                for name in wanted
            }
            answers.append((moment(record.event), protos))
        return answers

    @override
    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        for view in tables_to_delete:
            _backend(config).forget(view_plan(view).slot)

    @override
    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        for view in tables:
            _backend(config).forget(view_plan(view).slot)


def _key(plan: ViewPlan, entity: EntityKey) -> str:
    given = {
        name: feast_value_type_to_python_type(value)
        for name, value in zip(entity.join_keys, entity.entity_values, strict=True)
    }
    return key_of([given.get(name) for name in plan.keys]) or ""


def _plain(plan: ViewPlan, name: str, value: Value | None) -> Any:
    if value is None or value.WhichOneof("val") is None:
        return None
    found = feast_value_type_to_python_type(value)
    return instant(found) if name in plan.times and isinstance(found, datetime) else found


@lru_cache(maxsize=4)
def _opened(address: str, schema: str) -> Backend:
    return opened(address, schema)


def _backend(config: RepoConfig) -> Backend:
    settings = config.online_store
    if not isinstance(settings, WarrantOnlineStoreConfig):
        raise TypeError(f"online_store must be a WarrantOnlineStoreConfig, not {type(settings).__name__}.")
    return _opened(settings.address, settings.schema_name)
