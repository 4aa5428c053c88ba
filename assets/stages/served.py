"""The features that the workload's service serves, with the columns they come from, as `automation.lineage` has them.

The defs folder is where Feast's definitions and the lineage meet: neither imports the other.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from automation.lineage.flow import ColumnOf
from automation.lineage.graph import ServedFeature

if TYPE_CHECKING:
    from automation.lineage.flow import Columns
    from automation.workload import Workload

# What `assets.stages.vectors` hands Feast of a case besides its own columns: the decision time, by Feast's name.
HANDED = {"event_timestamp": "event_time"}


@cache
def served_features(workload: Workload) -> tuple[ServedFeature, ...]:
    """The service's features, in its order. Imports Feast."""
    from feature_repo.sources import CASE, feature_sources

    cases = workload.spec.cases.table

    def columns(pairs: frozenset[tuple[str, str]]) -> Columns:
        return frozenset(
            ColumnOf(cases, HANDED.get(name, name)) if table == CASE else ColumnOf(table, name) for table, name in pairs
        )

    found = feature_sources(workload.name, workload.spec.features.service)
    return tuple(
        ServedFeature(feature.name, feature.view, columns(feature.reads), columns(feature.found_by))
        for feature in found
    )
