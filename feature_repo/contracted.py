"""Feast views made from contracts, so that a table's columns are declared once.

Imports Feast: only a workload's module does, and that one is imported only by `feature_repo.store.apply`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from feast import FeatureView, Field, FileSource
from feast.data_format import DeltaFormat
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

from contracts.document import Contract, LogicalType, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from feast import Entity
    from feast.types import FeastType

EVENT_TIME, KNOWN_TIME = "event_time", "known_time"
KNOWN_RULE = f"counts from greatest({EVENT_TIME}, {KNOWN_TIME}) on; a row without {KNOWN_TIME} is never used"
CONTRACTS = Path(__file__).parent.parent / "contracts"

_TYPES: dict[LogicalType, FeastType] = {
    LogicalType.STRING: String,
    LogicalType.INTEGER: Int64,
    LogicalType.NUMBER: Float64,
    LogicalType.BOOLEAN: Bool,
    LogicalType.TIMESTAMP: UnixTimestamp,
}


@cache
def contract(workload: str, table: str) -> Contract:
    return load(CONTRACTS / workload / f"{table}.odcs.yaml")


def view(
    workload: str,
    table: str,
    entities: Sequence[Entity],
    ttl: timedelta | None,
    only: Sequence[str] | None = None,
) -> FeatureView:
    """A view of one Delta table: every column of its contract, or ``only`` some, beside the entities' keys.

    ``ttl`` is how long after its event time a value may be used; None is for ever.
    """
    promised = contract(workload, table)
    keys = {entity.join_key for entity in entities}
    fields = [
        Field(name=column.name, dtype=_TYPES[column.type], description=column.description)
        for column in promised.columns
        if column.name not in {EVENT_TIME, KNOWN_TIME} and (column.name in keys or only is None or column.name in only)
    ]
    return FeatureView(
        name=f"{workload}__{table}",
        entities=list(entities),
        ttl=ttl,
        schema=fields,
        source=FileSource(
            name=f"{workload}__{table}",
            path=f"{workload}/{table}",
            file_format=DeltaFormat(),
            timestamp_field=EVENT_TIME,
            created_timestamp_column=KNOWN_TIME,
        ),
        online=True,
        description=promised.description,
        owner=", ".join(promised.owners),
        tags={
            "contract": f"{promised.name} {promised.version}",
            "contract_digest": promised.digest,
            "known_time": KNOWN_RULE,
        },
    )
