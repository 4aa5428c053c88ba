"""What a model was trained with: a digest of the meaning of each view of its service.

Two views of one digest answer every question alike, given the same tables: keys, features with their types, source,
times, time to live, and the source text of what is computed on demand. Descriptions, owners and tags are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feast import FeatureStore


def view_digests(store: FeatureStore, service: str) -> dict[str, str]:
    """By view of the service, on-demand views and what they read from too: the digest of its meaning, 16 hex digits."""
    project, registry = store.project, store.registry
    # Not from Feast's cache: it is keyed by the address of the copy, and a new copy may get an old address.
    found = store.get_feature_service(service)
    views = {view.name: view for view in registry.list_feature_views(project)}
    on_demand = {view.name: view for view in registry.list_on_demand_feature_views(project)}
    digests: dict[str, str] = {}
    for projection in found.feature_view_projections:
        wanted = sorted(feature.name for feature in projection.features)
        joined = sorted(projection.join_key_map.items())
        if projection.name in views:
            meaning = _of_table(views[projection.name])
        else:
            computed = on_demand[projection.name]
            meaning = _of_function(computed)
            for source in computed.source_feature_view_projections.values():
                digests.setdefault(source.name, _digest([_of_table(views[source.name]), [], []]))
        digests[projection.name_to_use()] = _digest([meaning, wanted, joined])
    return dict(sorted(digests.items()))


def changed(trained: Mapping[str, str], live: Mapping[str, str]) -> list[str]:
    """The views that mean something else now than when the model was trained, or are gone, or new."""
    return sorted(name for name in {*trained, *live} if trained.get(name) != live.get(name))


def _of_table(view: Any) -> list[Any]:
    source = view.batch_source
    return [
        [[column.name, str(column.dtype)] for column in view.entity_columns],
        [[feature.name, str(feature.dtype)] for feature in view.features],
        [getattr(source, "path", ""), source.timestamp_field, source.created_timestamp_column],
        sorted(source.field_mapping.items()),
        view.ttl.total_seconds() if view.ttl else None,
    ]


def _of_function(view: Any) -> list[Any]:
    return [
        view.mode,
        getattr(view.feature_transformation, "udf_string", ""),
        [[feature.name, str(feature.dtype)] for feature in view.features],
        sorted([field.name, str(field.dtype)] for s in view.source_request_sources.values() for field in s.schema),
    ]


def _digest(meaning: Any) -> str:
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:16]
