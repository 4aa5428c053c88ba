"""The feature store as the rest of Warrant uses it: open it, apply a workload to it, ask it for features.

Feast takes five seconds to import, so this module imports it only when called. A workload's entities, views
and services are the module-level objects of `feature_repo/<workload>.py`; only `apply` imports that module.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, cast

import polars as pl
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from feast import Entity, FeatureService, FeatureStore
    from feast.base_feature_view import BaseFeatureView
    from feast.data_source import DataSource
    from feast.feast_object import FeastObject

WORKLOAD_TAG = "workload"
SPARK_STORE = "feature_repo.spark.DeltaSparkOfflineStore"


class NameTakenError(ValueError):
    """Two different objects go by one name. Across workloads, put the workload's name in front of it."""


@dataclass(frozen=True)
class AppliedObjects:
    """What the registry holds for a workload after `apply`, by name, sorted, and what that took."""

    entities: tuple[str, ...]
    views: tuple[str, ...]
    services: tuple[str, ...]
    changed: tuple[str, ...]
    """What was new or different, as `kind:name`. With nothing here or in `removed`, nothing was written."""
    removed: tuple[str, ...]


def feature_store(
    registry_url: str, lakehouse: str, online: str | None = None, spark: Mapping[str, str] | None = None
) -> FeatureStore:
    """The store that feature_store.yaml declares, with its registry and its lakehouse filled in.

    Keep it and use it again: it caches the registry. `registry_url` is a SQLAlchemy URL
    (`postgresql+psycopg2://…`, never `postgresql://`, which Feast reads as psycopg 3); the database and the
    schema of its search path must exist. `lakehouse` is a folder or a URL, `online` the address of the online
    store (`postgresql…` or `redis://…`; None: there is none). None of them is logged. With ``spark``, the settings of
    a Spark session, features of the past are joined there.
    """
    from feast import FeatureStore, RepoConfig

    settings = yaml.safe_load(files("feature_repo").joinpath("feature_store.yaml").read_text("utf-8"))
    settings["registry"]["path"] = registry_url
    settings["offline_store"]["lakehouse"] = lakehouse
    if spark is not None:
        settings["offline_store"] |= {"type": SPARK_STORE, "spark_conf": dict(spark)}
    if online is None:
        settings["online_store"] = None
    else:
        settings["online_store"]["address"] = online
    return FeatureStore(config=RepoConfig(**settings))


def apply(store: FeatureStore, workload: str) -> AppliedObjects:
    """Make the registry hold exactly what `feature_repo.<workload>` defines for that workload.

    Objects of other workloads are left alone: each is tagged with its own. Nothing is written when
    nothing changed.

    Raises:
        NameTakenError: an object of that name belongs to another workload, or is defined twice.
    """
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView

    module = import_module(f"feature_repo.{workload}")
    kinds = (Entity, FeatureView, OnDemandFeatureView, FeatureService)
    defined = [value for value in vars(module).values() if isinstance(value, kinds)]
    sources = [view.batch_source for view in defined if isinstance(view, FeatureView) and view.batch_source]
    wanted = {_label(thing): thing for thing in [*sources, *defined]}
    for thing in [*sources, *defined]:
        thing.tags[WORKLOAD_TAG] = workload
        if thing != wanted[_label(thing)]:
            raise NameTakenError(f"{workload} defines two different objects as {_label(thing)}.")

    registry, project = store.registry, store.project
    held = {
        _label(thing): thing
        for thing in [
            *registry.list_data_sources(project),
            *registry.list_entities(project),
            *registry.list_all_feature_views(project),
            *registry.list_feature_services(project),
        ]
    }
    for label in wanted.keys() & held.keys():
        owner = held[label].tags.get(WORKLOAD_TAG)
        if owner != workload:
            raise NameTakenError(f"{label} already belongs to {owner or 'no workload'}, not to {workload}.")
    changed = sorted(label for label, thing in wanted.items() if held.get(label) != thing)
    gone = {
        label: thing
        for label, thing in held.items()
        if thing.tags.get(WORKLOAD_TAG) == workload and label not in wanted
    }
    if changed or gone:
        with _no_word_about_on_demand_views():
            store.apply(
                list(wanted.values()),
                objects_to_delete=cast("list[FeastObject]", [*gone.values()]),
                partial=False,
            )

    def names(*kinds: type) -> tuple[str, ...]:
        return tuple(sorted(thing.name for thing in defined if isinstance(thing, kinds)))

    return AppliedObjects(
        entities=names(Entity),
        views=names(FeatureView, OnDemandFeatureView),
        services=names(FeatureService),
        changed=tuple(changed),
        removed=tuple(sorted(gone)),
    )


def historical_features(store: FeatureStore, service_name: str, entity_frame: pl.DataFrame) -> pl.DataFrame:
    """`entity_frame` with the service's features as they were known at each row's `event_timestamp`.

    Args:
        entity_frame: the service's join keys and `event_timestamp` (with a time zone, or in UTC without
            one); other columns come back untouched.

    Returns:
        The rows given, in the order given, with one column for each feature in the order the service
        declares them, null where nothing was known or it was too old. Two views of a service may not
        offer features of one name.

    Raises:
        The errors of `feature_repo.offline_store`, and Feast's own for an unknown service.
    """
    service = store.get_feature_service(service_name, allow_cache=True)
    features = [feature.name for view in service.feature_view_projections for feature in view.features]
    return pl.concat([entity_frame, _joined(store, service, features, entity_frame)], how="horizontal")


def historical_values(store: FeatureStore, references: Sequence[str], entity_frame: pl.DataFrame) -> pl.DataFrame:
    """The features of ``references`` (`view:feature`) alone, for each row of the frame, as `historical_features`."""
    features = [reference.rpartition(":")[2] for reference in references]
    return _joined(store, list(references), features, entity_frame)


def _joined(
    store: FeatureStore, asked: FeatureService | list[str], features: list[str], entity_frame: pl.DataFrame
) -> pl.DataFrame:
    with _no_word_about_on_demand_views():
        job = store.get_historical_features(
            entity_df=entity_frame.to_pandas(use_pyarrow_extension_array=True), features=asked
        )
    return pl.DataFrame(job.to_arrow().select(features))


@contextmanager
def _no_word_about_on_demand_views() -> Iterator[None]:
    """Feast calls on-demand views experimental at every turn; tests/feature_repo pins what we use of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _label(thing: BaseFeatureView | DataSource | Entity | FeatureService) -> str:
    """The kind and name of a registry object: a name is unique within its kind."""
    from feast import Entity, FeatureService
    from feast.base_feature_view import BaseFeatureView

    match thing:
        case Entity():
            kind = "entity"
        case BaseFeatureView():
            kind = "view"
        case FeatureService():
            kind = "service"
        case _:
            kind = "source"
    return f"{kind}:{thing.name}"
