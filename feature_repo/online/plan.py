"""What a feature service reads online: its views with their keys, fields and lives, and what is computed on demand."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from feast import FeatureStore, FeatureView

# An on-demand view whose function takes any mapping of columns to arrays, not only a DataFrame, says so by this tag.
TAKES = "takes"
ARRAYS = "arrays"


@dataclass(frozen=True)
class ViewPlan:
    """One view: its table (a path in the lakehouse), join keys and features in order; ``ttl`` in microseconds.

    ``times`` are the features that hold instants: they are kept as microseconds.
    """

    name: str
    table: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    times: frozenset[str]
    ttl: int | None

    @cached_property
    def slot(self) -> str:
        """Where its records lie: a view of other fields reads nothing of them."""
        shape = json.dumps([self.keys, self.features, sorted(self.times)])
        return f"{self.name}:{hashlib.sha256(shape.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Served:
    """A view as a service uses it: under which names its keys come and which of its features are wanted."""

    view: ViewPlan
    given: tuple[str, ...]
    features: tuple[str, ...]


@dataclass(frozen=True)
class Computed:
    """An on-demand view: its function over columns, the inputs it takes and the features wanted of it."""

    name: str
    function: Callable[[Any], Any]
    inputs: tuple[str, ...]
    features: tuple[str, ...]
    takes_arrays: bool


@dataclass(frozen=True)
class ServicePlan:
    """A service: what is read, what is computed from it, and the features in the order it declares them."""

    name: str
    reads: tuple[Served, ...]
    computed: tuple[Computed, ...]
    offers: Mapping[str, tuple[str, ...]]
    """The features of each view, on-demand views too, in the order the service declares them."""

    @cached_property
    def features(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(feature for offered in self.offers.values() for feature in offered)

    @property
    def views(self) -> tuple[ViewPlan, ...]:
        """Each view that is read, once."""
        return tuple({served.view.name: served.view for served in self.reads}.values())

    @property
    def keys(self) -> tuple[str, ...]:
        """What a case must give to be found."""
        return tuple(dict.fromkeys(name for served in self.reads for name in served.given))


def service_plan(store: FeatureStore, service: str) -> ServicePlan:
    """The plan of a service that Feast's registry holds. Raises Feast's error where it holds none of that name."""
    project, registry = store.project, store.registry
    found = store.get_feature_service(service, allow_cache=True)
    views = {view.name: view for view in registry.list_feature_views(project, allow_cache=True)}
    on_demand = {view.name: view for view in registry.list_on_demand_feature_views(project, allow_cache=True)}
    reads: list[Served] = []
    computed: list[Computed] = []
    offers: dict[str, tuple[str, ...]] = {}
    for projection in found.feature_view_projections:
        wanted = tuple(feature.name for feature in projection.features)
        offers[projection.name_to_use()] = wanted
        if projection.name in views:
            plan = view_plan(views[projection.name])
            given = tuple(projection.join_key_map.get(key, key) for key in plan.keys)
            reads.append(Served(plan, given, wanted))
            continue
        view = on_demand[projection.name]
        inputs = [field.name for source in view.source_request_sources.values() for field in source.schema]
        for source in view.source_feature_view_projections.values():
            plan = view_plan(views[source.name])
            needed = tuple(feature.name for feature in source.features)
            inputs += needed
            given = tuple(source.join_key_map.get(key, key) for key in plan.keys)
            reads.append(Served(plan, given, needed))
        transformation = view.feature_transformation
        computed.append(
            Computed(view.name, transformation.udf, tuple(inputs), wanted, view.tags.get(TAKES) == ARRAYS)  # pyrefly: ignore[missing-attribute]
        )
    return ServicePlan(service, tuple(reads), tuple(computed), offers)


def view_plan(view: FeatureView) -> ViewPlan:
    """The plan of one view. Fields are as the view names them."""
    from feast.feature_view import DUMMY_ENTITY_ID
    from feast.types import UnixTimestamp

    return ViewPlan(
        name=view.name,
        table=str(getattr(view.batch_source, "path", view.name)),
        keys=tuple(column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID),
        features=tuple(feature.name for feature in view.features),
        times=frozenset(feature.name for feature in view.features if feature.dtype == UnixTimestamp),
        ttl=int(view.ttl.total_seconds() * 1_000_000) if view.ttl else None,
    )
