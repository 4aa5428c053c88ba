"""The offline store whose training join runs on Spark, with the answers of `feature_repo.offline_store` to the byte.

    offline_store:
      type: feature_repo.spark.DeltaSparkOfflineStore
      lakehouse: "..."
      spark_conf: {spark.master: "spark://..."}

`get_historical_features` gives Feast's own Spark job: `to_spark_df` and `to_remote_storage` leave the rows on the
cluster, `to_arrow` and `to_df` bring them here, in the order given. All else is `DeltaOfflineStore`'s. Tables are read
from the Parquet files that Delta's log names; nothing is downloaded.

Feast's own SQL for Spark is not used, even with its known-time filter on: it tells entity rows apart by their keys and
time written one after the other, so that (1, 11) and (11, 1) are one; it gives an entity row twice where two rows of a
view tie; and it joins every entity row with every earlier row of its key. Here a key's rows and questions lie in one
order, and a running maximum goes over them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from feast.feature_view import FeatureView
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStoreConfig,
    SparkRetrievalJob,
    get_spark_session_or_start_new_with_repoconfig,
)
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.pandas.types import from_arrow_schema
from typing_extensions import override

from feature_repo.offline_store import (
    DeltaOfflineStore,
    DeltaOfflineStoreConfig,
    DeltaRetrievalJob,
    EntityFrameError,
    SourceError,
)
from feature_repo.offline_store.entity_rows import ENTITY_TIMESTAMP
from feature_repo.offline_store.sources import ViewRead, view_read
from feature_repo.offline_store.store import asked_rows, dataset_address, lakehouse_of
from feature_repo.offline_store.tables import arrow_schema, check_columns, instants

# What answers depend on; nobody may set them otherwise. ANSI: a key that does not fit its table's type fails.
PINNED = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
# The last version of Delta's reader protocol at which the files alone tell what a table holds.
FILES_ALONE = 1
# The number of an entity row, among columns that are others'.
ROW = "__warrant_row"


class DeltaSparkOfflineStoreConfig(DeltaOfflineStoreConfig, SparkOfflineStoreConfig):
    """`offline_store:` of feature_store.yaml."""

    type: Literal["feature_repo.spark.DeltaSparkOfflineStore"] = "feature_repo.spark.DeltaSparkOfflineStore"  # pyrefly: ignore[bad-override]


class DeltaSparkOfflineStore(DeltaOfflineStore):
    """See the module's promises. Feast makes one of these from the class path in feature_store.yaml."""

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
        """As `DeltaOfflineStore.get_historical_features`, on Spark. Entity rows come from here, whatever gives them."""
        reads = [view_read(lakehouse_of(config), view, feature_refs, full_feature_names) for view in feature_views]
        rows = asked_rows(config, feature_views, reads, entity_df, start_date, end_date)
        first, last = rows.bounds()
        keys = [name for name in rows.columns if name != ENTITY_TIMESTAMP]
        return DeltaSparkRetrievalJob(
            _session(config),
            entity_rows=lambda: pa.concat_tables(rows.batches(None)),
            reads=reads,
            full_feature_names=full_feature_names,
            config=config,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(feature_refs, keys, min_event_timestamp=first, max_event_timestamp=last),
        )


class DeltaSparkRetrievalJob(SparkRetrievalJob):
    """Reads the tables, at their newest version, when its result is asked for."""

    def __init__(
        self,
        spark_session: SparkSession,
        *,
        entity_rows: Callable[[], pa.Table],
        reads: list[ViewRead],
        full_feature_names: bool,
        config: RepoConfig,
        on_demand_feature_views: list[OnDemandFeatureView],
        metadata: RetrievalMetadata,
    ) -> None:
        super().__init__(spark_session, "", full_feature_names, config, on_demand_feature_views, metadata)
        self._entity_rows = entity_rows
        self._reads = reads

    @override
    def to_spark_df(self) -> DataFrame:
        """The entity rows with their features, in the order given, without on-demand features."""
        frame = self._entity_rows()
        numbered = _for_spark(frame).append_column(ROW, pa.array(range(frame.num_rows), pa.int64()))
        result = self.spark_session.createDataFrame(numbered, from_arrow_schema(numbered.schema))
        return _joined(self.spark_session, result, frame, self._reads).orderBy(ROW).drop(ROW)

    @override
    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        frame = self._entity_rows()
        rows = self.spark_session.range(frame.num_rows).withColumnRenamed("id", ROW)
        found = _joined(self.spark_session, rows, frame, self._reads).orderBy(ROW).toArrow()
        # The entity rows are the caller's own, untouched; features have the types of their tables.
        for read in self._reads:
            schema = arrow_schema(DeltaTable(read.address))
            for column, name in read.features:
                frame = frame.append_column(name, found[name].cast(schema.field(column).type))
        return frame

    @override
    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @override
    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool | None = False, timeout: int | None = None
    ) -> None:
        """Into a Delta table of the lakehouse, as `DeltaRetrievalJob.persist`; into a Spark storage as Feast does."""
        if not isinstance(storage, SavedDatasetFileStorage):
            super().persist(storage, allow_overwrite, timeout)
            return
        here = DeltaRetrievalJob(
            lambda _rows: iter([self._to_arrow_internal(timeout)]),
            locate=lambda given: dataset_address(self._config, given),
            full_feature_names=self.full_feature_names,
            on_demand_feature_views=self.on_demand_feature_views,
        )
        here.persist(storage, allow_overwrite=bool(allow_overwrite), timeout=timeout)


def _joined(session: SparkSession, result: DataFrame, frame: pa.Table, reads: list[ViewRead]) -> DataFrame:
    """``result`` with the features of each view for the entity row of ``frame`` that its ROW numbers."""
    at = instants(frame[ENTITY_TIMESTAMP])
    times = at.drop_null().to_numpy()
    # Without any time nothing is found, whatever is read, yet the types of the features are still owed.
    first, last = (int(times.min()), int(times.max())) if times.size else (0, 0)
    for read in reads:
        since = None if read.ttl is None else first - read.ttl
        table = DeltaTable(read.address)
        asks = _asks(frame, at, read, arrow_schema(table))
        rows = _rows(session, table, read, since, last)
        seen = _seen(session.createDataFrame(asks, from_arrow_schema(asks.schema)), rows, read)
        result = result.join(seen, on=ROW, how="left")
    return result


def _asks(frame: pa.Table, at: pa.Array, read: ViewRead, schema: pa.Schema) -> pa.Table:
    """What is asked of one view: ROW, the moment in microseconds, and the keys as its table has them.

    An entity row without a moment or with part of its key missing asks nothing: two unknown keys are not one key.

    Raises:
        EntityFrameError: a key does not fit its table's type.
    """
    try:
        keys = {
            f"key{number}": frame[name].combine_chunks().cast(schema.field(column).type)
            for number, (column, name) in enumerate(read.keys)
        }
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise EntityFrameError(f"The join keys of view {read.view!r} do not fit its table: {error}") from error
    return _for_spark(pa.table({ROW: pa.array(range(len(at)), pa.int64()), "moment": at, **keys}).drop_null())


def _rows(session: SparkSession, table: DeltaTable, read: ViewRead, since: int | None, until: int) -> DataFrame:
    """A view's rows with an event from ``since`` that were known by ``until``: moment, keys and what is held then.

    Raises:
        TableColumnsError: a column is missing, or a time is none.
        SourceError: the table's files alone do not tell what it holds.
    """
    if table.protocol().min_reader_version > FILES_ALONE:
        raise SourceError(
            f"View {read.view!r}: its table has deletion vectors or renamed columns, which its Parquet files do not "
            "tell. Write it anew without them, or ask DeltaOfflineStore."
        )
    schema = arrow_schema(table)
    check_columns(schema, read.columns, f"View {read.view!r}", (read.event, read.known))
    files, wanted = table.file_uris(), from_arrow_schema(_readable(schema))
    if files:
        # With the table's own folder as the base, a column that the table is partitioned by is there, too.
        given = session.read.schema(wanted).option("basePath", table.table_uri).parquet(*files)
    else:
        given = session.createDataFrame([], wanted)
    event, known = (_named(column).cast("timestamp") for column in (read.event, read.known))
    bounds = (event <= F.timestamp_micros(F.lit(until))) & (known <= F.timestamp_micros(F.lit(until)))
    if since is not None:
        bounds &= event >= F.timestamp_micros(F.lit(since))
    for column, _ in read.keys:
        bounds &= _named(column).isNotNull()
    held = F.struct(
        F.unix_micros(event).alias("event"),
        F.unix_micros(known).alias("known"),
        # A missing value is greater than any other, as in DuckDB, so that ties are settled alike.
        *(
            F.struct(_named(column).isNull().alias("missing"), _named(column).alias("value")).alias(f"feature{number}")
            for number, column in enumerate(read.payload)
        ),
    )
    return given.where(bounds).select(
        F.unix_micros(F.greatest(event, known)).alias("moment"),
        held.alias("held"),
        *(_named(column).alias(f"key{number}") for number, (column, _) in enumerate(read.keys)),
    )


def _seen(asks: DataFrame, rows: DataFrame, read: ViewRead) -> DataFrame:
    """For each row of ``asks`` the features that it could see, beside its ROW.

    Rows and questions of a key are put in the order of their moments, rows first. The greatest (event, known, values)
    so far is what a question sees: what is known later of an older event never comes before a newer one.
    """
    nothing = F.lit(None).cast(rows.schema["held"].dataType)
    together = rows.withColumn(ROW, F.lit(None).cast("long")).unionByName(asks.withColumn("held", nothing))
    keys = [F.col(f"key{number}") for number in range(len(read.keys))] or [F.lit(0)]
    order = (F.col("moment"), F.col(ROW).isNotNull())
    so_far = Window.partitionBy(*keys).orderBy(*order).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    seen = together.select(ROW, "moment", F.max("held").over(so_far).alias("seen")).where(F.col(ROW).isNotNull())
    young = F.lit(True) if read.ttl is None else F.col("seen.event") >= F.col("moment") - F.lit(read.ttl)
    return seen.select(
        ROW,
        *(
            F.when(young, F.col(f"seen.feature{read.payload.index(column)}.value")).alias(name)
            for column, name in read.features
        ),
    )


def _named(column: str) -> Column:
    return F.col("`" + column.replace("`", "``") + "`")


def _for_spark(table: pa.Table) -> pa.Table:
    """The rows in types that Spark has."""
    return table.cast(_readable(table.schema))


def _readable(schema: pa.Schema) -> pa.Schema:
    """The columns in types that Spark has: instants in microseconds, text as text, whole numbers with a sign."""
    return pa.schema([field.with_type(_spark_type(field.type)) for field in schema])


def _spark_type(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us", dtype.tz)
    if pa.types.is_dictionary(dtype):
        return _spark_type(dtype.value_type)
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype) or pa.types.is_null(dtype):
        return pa.string()
    if pa.types.is_unsigned_integer(dtype):
        return pa.int64()
    return dtype


def _session(config: RepoConfig) -> SparkSession:
    """A session of its own on the cluster of `spark_conf`, or on the one that this process is on already."""
    settings = config.offline_store
    if not isinstance(settings, DeltaSparkOfflineStoreConfig):
        raise TypeError(f"offline_store must be a DeltaSparkOfflineStoreConfig, not {type(settings).__name__}.")
    session = get_spark_session_or_start_new_with_repoconfig(settings).newSession()
    for name, value in PINNED.items():
        session.conf.set(name, value)
    return session
