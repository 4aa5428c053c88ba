"""Where each feature of a service comes from: the columns of tables and of the case that it is computed from.

It imports Feast and the workload's module, which takes five seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from feature_repo.transformation import inputs_of

if TYPE_CHECKING:
    from types import ModuleType

    from feast import FeatureService, FeatureView, OnDemandFeatureView

# Stands in for a table: the case that features are asked for.
CASE = ""
Columns = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class FeatureSource:
    """A feature of a service: the (table, column) pairs its value is ``read`` from, and those it is ``found_by``.

    It is found by the keys of its view and the times that say which row was known when.
    """

    name: str
    view: str
    reads: Columns
    found_by: Columns


class UnknownServiceError(ValueError):
    """The workload's module defines no service of that name."""


def feature_sources(workload: str, service: str) -> tuple[FeatureSource, ...]:
    """The features that ``service`` of ``feature_repo.<workload>`` serves, in its order, with their sources.

    Raises:
        UnknownServiceError: there is no such service.
    """
    from feast import FeatureService, FeatureView, OnDemandFeatureView

    module = import_module(f"feature_repo.{workload}")
    views = {view.name: view for view in _defined(module, FeatureView)}
    computed = {view.name: view for view in _defined(module, OnDemandFeatureView)}
    served = next((found for found in _defined(module, FeatureService) if found.name == service), None)
    if served is None:
        raise UnknownServiceError(f"feature_repo.{workload} defines no service {service}.")
    return tuple(_sources(workload, served, views, computed))


def _sources(
    workload: str, service: FeatureService, views: dict[str, FeatureView], computed: dict[str, OnDemandFeatureView]
) -> list[FeatureSource]:
    found = []
    for projection in service.feature_view_projections:
        name = projection.name.removeprefix(f"{workload}__")
        on_demand = {} if projection.name in views else _on_demand(computed[projection.name], views)
        for feature in projection.features:
            if projection.name in views:
                view = views[projection.name]
                reads, found_by = frozenset({(_table(view), feature.name)}), _found_by(view)
            else:
                reads, found_by = on_demand[feature.name]
            found.append(FeatureSource(feature.name, name, reads, found_by))
    return found


def _on_demand(view: OnDemandFeatureView, views: dict[str, FeatureView]) -> dict[str, tuple[Columns, Columns]]:
    """What each feature of an on-demand view reads and is found by."""
    inputs: dict[str, tuple[Columns, Columns]] = {
        field.name: (frozenset({(CASE, field.name)}), frozenset())
        for source in view.source_request_sources.values()
        for field in source.schema
    }
    for projection in view.source_feature_view_projections.values():
        given = views[projection.name]
        inputs |= {
            field.name: (frozenset({(_table(given), field.name)}), _found_by(given)) for field in projection.features
        }
    names = [field.name for field in view.features]
    transformation = view.feature_transformation
    source = transformation.udf_string if transformation is not None else ""
    used = inputs_of(source, inputs.keys(), names)
    return {
        name: (
            frozenset().union(*(inputs[given][0] for given in used[name])),
            frozenset().union(*(inputs[given][1] for given in used[name])),
        )
        for name in names
    }


def _found_by(view: FeatureView) -> Columns:
    table, source = _table(view), view.batch_source
    times = [] if source is None else [source.timestamp_field, source.created_timestamp_column]
    in_table = {(table, column) for column in (*view.join_keys, *times) if column}
    return frozenset(in_table | {(CASE, column) for column in (*view.join_keys, "event_timestamp")})


def _table(view: FeatureView) -> str:
    """The table of the lakehouse that the view is of."""
    return str(getattr(view.batch_source, "path", view.name)).rpartition("/")[2]


def _defined(module: ModuleType, kind: type) -> list:
    return [value for value in vars(module).values() if type(value) is kind]
