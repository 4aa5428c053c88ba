"""Feast's interface to an offline store, over Delta tables. What it promises is in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
from deltalake import DeltaTable, write_deltalake
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from feast.utils import compute_non_entity_date_range
from typing_extensions import override

from feature_repo.offline_store import entity_rows
from feature_repo.offline_store.entity_rows import ENTITY_TIMESTAMP, EntityRows
from feature_repo.offline_store.errors import SourceError, UnsupportedRetrievalError, WriteRefusedError
from feature_repo.offline_store.job import DeltaRetrievalJob
from feature_repo.offline_store.logs import DeltaLoggingDestination
from feature_repo.offline_store.point_in_time import join, query, rows_of, visible_rows
from feature_repo.offline_store.sources import (
    ViewRead,
    address,
    delta_source,
    known_column,
    source_address,
    view_read,
)
from feature_repo.offline_store.tables import arrow_schema, instants, microseconds, scan, struct


class DeltaOfflineStoreConfig(FeastConfigBaseModel):
    """`offline_store:` of feature_store.yaml."""

    type: Literal["feature_repo.offline_store.DeltaOfflineStore"] = "feature_repo.offline_store.DeltaOfflineStore"
    lakehouse: str
    """Folder or URL under which the Delta tables lie. Credentials of a URL come from the environment."""


class DeltaOfflineStore(OfflineStore):
    """See the package's promises. Feast makes one of these from the class path in feature_store.yaml."""

    # Not an option here: a value is never used before it was known, asked or not.
    supports_filter_by_created_timestamp = True

    @staticmethod
    @override
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = True,
    ) -> RetrievalJob:
        """Each entity row, in order, with the features known at its `event_timestamp`.

        Args:
            entity_df: join keys and `event_timestamp`, with a time zone or in UTC without one; other columns
                come back untouched. Or a DuckDB query that gives such rows, over the lakehouse's tables by
                their paths in double quotes. Or None: every key with an event in [start_date, end_date], as of
                `end_date`.

        Raises:
            EntityFrameError, EntityQueryError, KnownTimeMissingError, SourceError: before any view is read.
            TableColumnsError: when the result is asked for.
        """
        reads = [view_read(lakehouse_of(config), view, feature_refs, full_feature_names) for view in feature_views]
        rows = asked_rows(config, feature_views, reads, entity_df, start_date, end_date)

        keys = [name for name in rows.columns if name != ENTITY_TIMESTAMP]
        return DeltaRetrievalJob(
            lambda step: (join(batch, reads) for batch in rows.batches(step)),
            locate=lambda storage: dataset_address(config, storage),
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(feature_refs, keys),
            bounds=rows.bounds,
        )

    @staticmethod
    @override
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The row of each key that is right as known at `end_date`, if its event is not before `start_date`.

        That is a point-in-time retrieval of every key at `end_date` with the range as its time to live, so
        what is materialized for online use and what was trained on follow one rule. Rows come by key.
        """
        start, end = microseconds(start_date), microseconds(end_date)
        read = ViewRead(
            view=data_source.name,
            address=source_address(lakehouse_of(config), data_source),
            event=timestamp_field,
            known=known_column(data_source.name, created_timestamp_column),
            keys=tuple((name, name) for name in join_key_columns),
            features=tuple((name, name) for name in feature_name_columns),
            payload=tuple(feature_name_columns),
            ttl=max(end - start, 0),
        )
        names = [*join_key_columns, *feature_name_columns, read.event, read.known]

        def compute() -> pa.Table:
            source = rows_of(DeltaTable(read.address), read, since=start, until=end)
            keys = source.select(join_key_columns).group_by(join_key_columns).aggregate([])
            keys = keys.sort_by([(name, "ascending") for name in join_key_columns]) if join_key_columns else keys
            at = pa.array([end] * (keys.num_rows if join_key_columns else 1), pa.int64())
            with duckdb.connect() as connection:
                positions = visible_rows(connection, source, read, keys, at).drop_null()
            latest = source.select(names).take(positions)
            if join_key_columns:
                return latest
            dummy = pa.array([DUMMY_ENTITY_VAL] * latest.num_rows, pa.string())
            return latest.append_column(DUMMY_ENTITY_ID, dummy)

        return DeltaRetrievalJob(_at_once(compute))

    @staticmethod
    @override
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row whose event lies in [`start_date`, `end_date`] and that was known by `end_date`, in order of event.

        Feast materializes from this too, so what became known only later is held back where the source says when
        that was. A saved dataset and a log do not say, and need not: their rows are what was known.
        """
        known, name = created_timestamp_column, f"Source {data_source.name!r}"
        table = source_address(lakehouse_of(config), data_source)
        names = [*join_key_columns, *feature_name_columns, timestamp_field, *([known] if known else [])]
        since = None if start_date is None else microseconds(start_date)
        until = None if end_date is None else microseconds(end_date)

        def compute() -> pa.Table:
            latest = {timestamp_field: until} | ({known: until} if known else {})
            rows = scan(DeltaTable(table), names, name, since={timestamp_field: since}, until=latest)
            whole = pa.table(
                {
                    "event": instants(rows[timestamp_field]),
                    "known": instants(rows[known or timestamp_field]),
                    "position": np.arange(rows.num_rows),
                    "payload": struct([rows[column] for column in names]),
                }
            )
            with duckdb.connect() as connection:
                connection.register("source", whole)
                order = connection.sql(query("in_order.sql"), params={"since": since, "until": until}).to_arrow_table()
            return rows.take(order["position"].combine_chunks())

        return DeltaRetrievalJob(_at_once(compute))

    @staticmethod
    @override
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Appends rows to a view's table, in one commit. A table that does not exist yet is made.

        Raises:
            WriteRefusedError: the columns are not the table's, a value does not fit, or a row has no event or known
                time and so would never be used.
        """
        source = delta_source(feature_view.batch_source)
        known = known_column(source.name, source.created_timestamp_column)
        # Feast hands rows over under the names that the field mapping gives their columns.
        column_of = {mapped: name for name, mapped in source.field_mapping.items()}
        table = table.rename_columns([column_of.get(name, name) for name in table.column_names])
        for column in (source.timestamp_field, known):
            if column not in table.column_names:
                raise WriteRefusedError(f"View {feature_view.name!r}: the rows to write lack {column!r}.")
            if table[column].null_count:
                raise WriteRefusedError(
                    f"View {feature_view.name!r}: {table[column].null_count} of {table.num_rows} rows to write have no "
                    f"{column!r} and would never be used. Write nothing, or give them one."
                )
        _append(source_address(lakehouse_of(config), source), table, f"View {feature_view.name!r}")
        if progress is not None:
            progress(table.num_rows)

    @staticmethod
    @override
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Appends what a service served to the Delta table that its logging destination names.

        Args:
            data: rows in the logging source's schema, or the folder of Parquet files that hold them.
        """
        destination = logging_config.destination
        if not isinstance(destination, DeltaLoggingDestination):
            raise SourceError(
                f"DeltaOfflineStore logs to a DeltaLoggingDestination, not to a {type(destination).__name__}: set it "
                "in the service's logging_config."
            )
        schema, log = (
            source.get_schema(registry),
            address(lakehouse_of(config), "The log of served features", destination.path),
        )
        rows = data if isinstance(data, pa.Table) else pyarrow.dataset.dataset(data, schema=schema).to_table()
        _append(log, _fitted(rows, schema, "The log of served features"), "The log of served features")

    @override
    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:  # pyrefly: ignore[bad-override]
        """Refuse a source this store could not read. The table itself need not exist yet."""
        source_address(lakehouse_of(config), data_source)
        known_column(data_source.name, data_source.created_timestamp_column)

    @override
    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns and Arrow types of the table, looked up in the lakehouse (Feast would look in the repo)."""
        schema = arrow_schema(DeltaTable(source_address(lakehouse_of(config), data_source)))
        return [(field.name, str(field.type)) for field in schema]


def asked_rows(
    config: RepoConfig,
    views: list[FeatureView],
    reads: list[ViewRead],
    entity_df: pd.DataFrame | str | None,
    start: datetime | None,
    end: datetime | None,
) -> EntityRows:
    """The rows that features are asked for, in any of the ways that Feast lets them be given."""
    match entity_df:
        case pd.DataFrame():
            return entity_rows.from_frame(entity_df, reads)
        case str():
            return entity_rows.from_query(entity_df, lakehouse_of(config), reads)
        case None:
            return entity_rows.from_range(*compute_non_entity_date_range(views, start, end), reads)
        case _:
            raise UnsupportedRetrievalError(
                f"DeltaOfflineStore takes entity rows as a pandas DataFrame, as SQL, or as a range of dates, not as "
                f"{type(entity_df).__name__}."
            )


def lakehouse_of(config: RepoConfig) -> str:
    """The folder or URL under which the tables lie."""
    settings = config.offline_store
    if not isinstance(settings, DeltaOfflineStoreConfig):
        raise TypeError(f"offline_store must be a DeltaOfflineStoreConfig, not {type(settings).__name__}.")
    return settings.lakehouse.rstrip("/")


def dataset_address(config: RepoConfig, storage: SavedDatasetStorage) -> str:
    """Where a saved dataset lies."""
    source = delta_source(storage.to_data_source())
    return address(lakehouse_of(config), "The saved dataset", source.path)


def _at_once(compute: Callable[[], pa.Table]) -> Callable[[int | None], Iterator[pa.Table]]:
    def batches(rows: int | None) -> Iterator[pa.Table]:
        whole = compute()
        step = rows or max(whole.num_rows, 1)
        return (whole.slice(first, step) for first in range(0, max(whole.num_rows, 1), step))

    return batches


def _append(location: str, rows: pa.Table, name: str) -> None:
    if DeltaTable.is_deltatable(location):
        rows = _fitted(rows, arrow_schema(DeltaTable(location)), name)
    write_deltalake(location, rows, mode="append")


def _fitted(rows: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """The rows with exactly the columns of `schema`, in its order and types."""
    lacking, more = sorted({*schema.names} - {*rows.column_names}), sorted({*rows.column_names} - {*schema.names})
    if lacking or more:
        raise WriteRefusedError(
            f"{name}: the rows to write "
            + " and ".join(
                f"{verb} {', '.join(columns)}" for verb, columns in (("lack", lacking), ("have also", more)) if columns
            )
            + ". Give them the table's columns."
        )
    try:
        return rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise WriteRefusedError(f"{name}: a value to write does not fit the table: {error}") from error
