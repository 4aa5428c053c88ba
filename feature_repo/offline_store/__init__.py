"""Feast's offline store over Delta tables, bitemporal: nothing is used before it was known.

Feast's own stores treat the created timestamp as a tie-breaker and drop or merge entity rows. This one
promises, for every retrieval:

- **Known time.** A row takes part from `greatest(event time, known time)` on. A source that does not say
  when its rows were known (`created_timestamp_column`) is refused. A row without one is never used.
- **The right row.** Among the rows known at T the one with the greatest (event time, known time) wins; a
  tie goes to the greater feature values, compared in the order of the view's declared features.
- **Time to live.** As in Feast, a value is used while `event time >= T - ttl`; a ttl of 0 never ends.
- **Nothing lost.** Every entity row comes back once, in the order given: duplicates, null keys and rows of
  which nothing is known yet too, the last two with null features.
- **Exact.** Arrow types are kept (a null among integers leaves integers), and the same tables and entity
  rows give the same bytes, whatever the number of threads or the layout of the files.

A view names its table by a path relative to the configured `lakehouse`, so the registry holds no address
of a machine or a bucket:

    FileSource(path="flight_disruption/origin_weather", file_format=DeltaFormat(),
               timestamp_field="event_time", created_timestamp_column="known_time")

Delta is read with `deltalake`, joined by DuckDB over Arrow; no DuckDB extension is loaded. The package uses
nothing else of Warrant: any Feast project may name it in its feature_store.yaml. Where its meaning differs
from Feast's own stores is told in docs/feature-store-differences.md.
"""

from feature_repo.offline_store.errors import (
    EntityFrameError,
    EntityQueryError,
    KnownTimeMissingError,
    SourceError,
    TableColumnsError,
    UnsupportedRetrievalError,
    WriteRefusedError,
)
from feature_repo.offline_store.job import DeltaRetrievalJob
from feature_repo.offline_store.logs import DeltaLoggingDestination
from feature_repo.offline_store.store import DeltaOfflineStore, DeltaOfflineStoreConfig

__all__ = [
    "DeltaLoggingDestination",
    "DeltaOfflineStore",
    "DeltaOfflineStoreConfig",
    "DeltaRetrievalJob",
    "EntityFrameError",
    "EntityQueryError",
    "KnownTimeMissingError",
    "SourceError",
    "TableColumnsError",
    "UnsupportedRetrievalError",
    "WriteRefusedError",
]
