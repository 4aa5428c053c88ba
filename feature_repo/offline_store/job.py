"""A retrieval that is computed when its result is asked for: at once, by batches, or into a saved dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage, ValidationReference
from typing_extensions import override

from feature_repo.offline_store.entity_rows import ENTITY_TIMESTAMP
from feature_repo.offline_store.errors import UnsupportedRetrievalError, WriteRefusedError

BATCH_ROWS = 250_000
Bounds: TypeAlias = tuple[datetime | None, datetime | None]


class DeltaRetrievalJob(RetrievalJob):
    """Reads the tables, at their newest version, when its result is asked for."""

    def __init__(
        self,
        batches: Callable[[int | None], Iterator[pa.Table]],
        *,
        locate: Callable[[SavedDatasetStorage], str] | None = None,
        full_feature_names: bool = False,
        on_demand_feature_views: Iterable[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
        bounds: Callable[[], Bounds] | None = None,
    ) -> None:
        """
        Args:
            batches: the result without on-demand features, at most so many rows at a time (None: in one table).
            locate: the address of the table that a saved dataset's storage names.
            metadata: what is asked for, without the first and last time.
            bounds: these, asked for only when a dataset is saved or somebody wants to know: it may run a query.
        """
        self._batches = batches
        self._locate = locate
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata
        self._bounds = bounds

    @property
    @override
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    @override
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    @override
    def metadata(self) -> RetrievalMetadata | None:
        return self._with_bounds

    @cached_property
    def _with_bounds(self) -> RetrievalMetadata | None:
        if self._metadata is None or self._bounds is None:
            return self._metadata
        first, last = self._bounds()
        return RetrievalMetadata(self._metadata.features, self._metadata.keys, first, last)

    @override
    def to_arrow(self, validation_reference: ValidationReference | None = None, timeout: int | None = None) -> pa.Table:
        # Feast asks for the metadata to know which on-demand features are wanted: for that no query need be run.
        if self._bounds is None:
            return super().to_arrow(validation_reference, timeout)
        return self._one(self._to_arrow_internal(timeout)).to_arrow(validation_reference, timeout)

    @override
    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.concat_tables(self._batches(None))

    @override
    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @override
    def to_sql(self) -> str:
        raise UnsupportedRetrievalError(
            "DeltaOfflineStore joins in one query a view, over rows that it reads from Delta first: there is no one "
            "SQL text. The join is feature_repo/offline_store/point_in_time.sql."
        )

    def to_arrow_batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.Table]:
        """The result of `to_arrow`, at most `rows` rows at a time, for results larger than memory.

        In memory are one batch, and of each view the rows that may serve it: with a time to live, those of that
        long before the batch's first time. Sort the entity rows by time to make the most of it.
        """
        for batch in self._batches(rows):
            yield self._one(batch).to_arrow()

    @override
    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Writes the result, batch by batch and in one commit, to a Delta table of the lakehouse.

        `storage` is a `SavedDatasetFileStorage(path="datasets/…", file_format=DeltaFormat())`.

        Raises:
            SourceError: the storage is another one, or lies outside the lakehouse.
            SavedDatasetLocationAlreadyExists: there is a table and it may not be overwritten.
            WriteRefusedError: a row has no time. Feast reads a dataset back by its range of times, without it.
        """
        if self._locate is None:
            raise UnsupportedRetrievalError("Only the result of get_historical_features is kept as a saved dataset.")
        address = self._locate(storage)
        if DeltaTable.is_deltatable(address) and not allow_overwrite:
            path = storage.file_options.uri if isinstance(storage, SavedDatasetFileStorage) else str(storage)
            raise SavedDatasetLocationAlreadyExists(location=path)
        batches = self.to_arrow_batches()
        first = next(batches)

        refused: list[WriteRefusedError] = []

        def rows() -> Iterator[pa.RecordBatch]:
            try:
                for batch in chain([first], batches):
                    yield from _timed(batch).cast(first.schema).to_batches()
            except WriteRefusedError as error:
                # Delta's writer wraps what its input raises in a traceback of text.
                refused.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(first.schema, rows())
        try:
            write_deltalake(address, reader, mode="overwrite", schema_mode="overwrite")
        except DeltaError:
            if refused:
                raise refused[0] from None
            raise

    def _one(self, batch: pa.Table) -> DeltaRetrievalJob:
        """A job whose result is `batch`: Feast adds on-demand features and checks to the whole of a job."""
        return DeltaRetrievalJob(
            lambda _rows: iter([batch]),
            full_feature_names=self._full_feature_names,
            on_demand_feature_views=self._on_demand_feature_views,
            metadata=self._metadata,
            bounds=None,
        )


def _timed(batch: pa.Table) -> pa.Table:
    if ENTITY_TIMESTAMP in batch.column_names and batch[ENTITY_TIMESTAMP].null_count:
        raise WriteRefusedError(
            f"{batch[ENTITY_TIMESTAMP].null_count} entity rows have no {ENTITY_TIMESTAMP}. Feast reads a saved dataset "
            "back by its range of times and would lose them: leave them out or give them one."
        )
    return batch
