"""Feature vectors: what was known of each case at its decision time, split by the contract of the model's input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from automation.lakehouse import DAY
from contracts.canonical_json import rows as canonical_rows
from contracts.enforcement import enforce

if TYPE_CHECKING:
    from feast import FeatureStore

    from automation.workload import Workload


@dataclass(frozen=True, eq=False)
class Vectors:
    """Cases with their vectors: ``usable`` keep the contract; ``broken`` (key, problems, features as JSON) do not."""

    usable: pl.DataFrame
    broken: pl.DataFrame


def vectors(store: FeatureStore, workload: Workload, cases: pl.DataFrame) -> Vectors:
    """The vector of each case, from Feast, as known at the case's decision time (``event_time``).

    Rows in are rows usable plus rows broken, in the order of ``cases``.
    """
    from feature_repo.store import historical_features

    contract = workload.contract(workload.spec.model.contract)
    asked = cases.drop(DAY, "known_time", strict=False).with_columns(event_timestamp=pl.col("event_time"))
    joined = historical_features(store, workload.spec.features.service, asked)
    split = enforce(joined.select([name for name in contract.schema if name in joined.columns]), contract)
    key = workload.spec.case_key
    broken = pl.DataFrame(
        [
            (json.loads(row["row"])[key], json.dumps(list(row["rules"]), ensure_ascii=False), row["row"])
            for row in split.quarantined.iter_rows(named=True)
        ],
        schema={key: pl.String, "problems": pl.String, "features": pl.String},
        orient="row",
    )
    return Vectors(usable=split.valid, broken=broken)


def as_json(frame: pl.DataFrame) -> pl.Series:
    """Each row as canonical JSON."""
    return pl.Series("json", canonical_rows(frame), dtype=pl.String)
