"""Column lineage as Dagster shows it: for each column of a table, the columns of other assets it is made from.

It is computed when a table is written and kept for the process: a workload's expressions are built then anyway, and
following them takes milliseconds, once. Which columns say what rows a table has stands beside it, in words: as lineage
of every column they would hide what each is computed from.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from automation.lineage.flow import ColumnOf
from automation.lineage.graph import (
    DECISIONS,
    OUTCOMES,
    SCORES,
    TRAINING_SET,
    Graph,
    Kind,
    ServedFeature,
    column,
    derived_flow,
    graph,
    platform_edges,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.lineage.flow import Columns
    from automation.workload import Workload

# Where the tables after the scores find the vector and the model's word.
_IN_SCORES = {Kind.VECTOR: ColumnOf(SCORES, "features"), Kind.MODEL: ColumnOf(SCORES, "probability")}


@cache
def column_lineage(workload: Workload, table: str) -> Mapping[str, Any]:
    """The metadata of a table that is computed from others; nothing of one that is delivered.

    Scores and the training set are made of features: `vector_lineage` is theirs.
    """
    if table in workload.spec.derived_tables:
        found = derived_flow(workload, table)
        columns = {name: dependency.all for name, dependency in found.columns.items()}
        chosen = ", ".join(map(str, sorted(found.rows)))
        return {**_lineage(workload, columns), "rows depend on": chosen}
    if table in {DECISIONS, OUTCOMES}:
        edges = Graph(platform_edges(workload))
        return _lineage(
            workload,
            {name: edges.columns_behind(column(table, name), _IN_SCORES) for name in workload.contract(table).schema},
        )
    return {}


@cache
def vector_lineage(workload: Workload, table: str, served: tuple[ServedFeature, ...]) -> Mapping[str, Any]:
    """The metadata of the scores or the training set: through the vector to the tables behind its features."""
    whole = graph(workload, served)
    if table == TRAINING_SET:
        names = [*workload.contract(workload.spec.model.contract).schema, "label"]
    else:
        names = list(workload.contract(table).schema)
    return _lineage(workload, {name: whole.columns_behind(column(table, name), {}) for name in names})


def _lineage(workload: Workload, columns: Mapping[str, Columns]) -> dict[str, Any]:
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                name: [
                    dg.TableColumnDep(asset_key=dg.AssetKey([workload.name, source.table]), column_name=source.column)
                    for source in sources
                ]
                for name, sources in columns.items()
            }
        )
    }
