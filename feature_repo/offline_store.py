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

Delta is read with `deltalake`, joined by DuckDB over Arrow; no DuckDB extension is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from typing_extensions import override

ENTITY_TIMESTAMP = "event_timestamp"

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Delta truncates the statistics of timestamps to milliseconds, so a file's maximum may lie above the one
# it states. Files are chosen with this much to spare; the join then decides to the microsecond.
_STATISTICS_MARGIN = 1_000_000
# Opening a table waits on its log more than it computes.
_READERS = 4


class KnownTimeMissingError(ValueError):
    """A source does not say when its rows were known: give it a `created_timestamp_column`."""


class SourceError(ValueError):
    """A view's source is not a Delta `FileSource` with a path inside the lakehouse."""


class TableColumnsError(ValueError):
    """A Delta table lacks a column its view declares, or holds it in a type that cannot serve."""


class EntityFrameError(ValueError):
    """The entity frame lacks a column, has one of the wrong type, or one that a feature would overwrite."""


class UnsupportedRetrievalError(NotImplementedError):
    """A way of asking for features that this store does not offer."""


class DeltaOfflineStoreConfig(FeastConfigBaseModel):
    """`offline_store:` of feature_store.yaml."""

    type: Literal["feature_repo.offline_store.DeltaOfflineStore"] = "feature_repo.offline_store.DeltaOfflineStore"
    lakehouse: str
    """Folder or URL under which the Delta tables lie. Credentials of a URL come from the environment."""


class DeltaRetrievalJob(RetrievalJob):
    """A retrieval that reads the tables, at their newest version, when its result is asked for."""

    def __init__(
        self,
        compute: Callable[[], pa.Table],
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: Iterable[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._compute = compute
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata

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
        return self._metadata

    @override
    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._compute()

    @override
    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @override
    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        raise UnsupportedRetrievalError(
            "DeltaOfflineStore keeps no saved datasets: write the result of to_arrow() to a Delta table."
        )


class DeltaOfflineStore(OfflineStore):
    """See the module's promises. Feast makes one of these from the class path in feature_store.yaml."""

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
            entity_df: join keys and `event_timestamp`, with a time zone or in UTC without one. Other
                columns come back untouched.

        Raises:
            UnsupportedRetrievalError: for a SQL string, or a range of dates in place of entity rows.
            EntityFrameError, KnownTimeMissingError, SourceError: before anything is read.
            TableColumnsError: when the result is asked for.
        """
        if not isinstance(entity_df, pd.DataFrame) or start_date is not None or end_date is not None:
            raise UnsupportedRetrievalError(
                "DeltaOfflineStore takes entity rows as a pandas DataFrame with the join keys and "
                f"`{ENTITY_TIMESTAMP}`; SQL and date ranges are not supported yet."
            )
        reads = [_view_read(config, view, feature_refs, full_feature_names) for view in feature_views]
        frame = pa.Table.from_pandas(entity_df, preserve_index=False)
        _check_entity_frame(frame, reads)
        return DeltaRetrievalJob(
            lambda: _retrieve(frame, reads),
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in frame.column_names if name != ENTITY_TIMESTAMP],
                min_event_timestamp=entity_df[ENTITY_TIMESTAMP].min(),
                max_event_timestamp=entity_df[ENTITY_TIMESTAMP].max(),
            ),
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
        start, end = _microseconds(start_date), _microseconds(end_date)
        read = _ViewRead(
            view=data_source.name,
            address=_source_address(config, data_source),
            event=timestamp_field,
            known=_known_column(data_source.name, created_timestamp_column),
            keys=tuple((name, name) for name in join_key_columns),
            features=tuple((name, name) for name in feature_name_columns),
            payload=tuple(feature_name_columns),
            ttl=max(end - start, 0),
        )
        names = [*join_key_columns, *feature_name_columns, read.event, read.known]

        def compute() -> pa.Table:
            source = _read(DeltaTable(read.address), read, since=start, until=end)
            keys = source.select(join_key_columns).group_by(join_key_columns).aggregate([])
            keys = keys.sort_by([(name, "ascending") for name in join_key_columns]) if join_key_columns else keys
            at = pa.array([end] * (keys.num_rows if join_key_columns else 1), pa.int64())
            with duckdb.connect() as connection:
                positions = _visible_rows(connection, source, read, keys, at).drop_null()
            latest = source.select(names).take(positions)
            if join_key_columns:
                return latest
            dummy = pa.array([DUMMY_ENTITY_VAL] * latest.num_rows, pa.string())
            return latest.append_column(DUMMY_ENTITY_ID, dummy)

        return DeltaRetrievalJob(compute)

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
        """Every row whose event lies in [`start_date`, `end_date`], whenever it was known, in order of event.

        This is for looking at a table, not for deciding with it: no row is held back.
        """
        known = _known_column(data_source.name, created_timestamp_column)
        address = _source_address(config, data_source)
        names = [*join_key_columns, *feature_name_columns, timestamp_field, known]

        def compute() -> pa.Table:
            since = None if start_date is None else _microseconds(start_date)
            until = None if end_date is None else _microseconds(end_date)
            rows = _scan(
                DeltaTable(address),
                names,
                data_source.name,
                since={timestamp_field: since},
                until={timestamp_field: until},
            )
            whole = pa.table(
                {
                    "event": _instants(rows[timestamp_field]),
                    "position": np.arange(rows.num_rows),
                    "payload": _struct([rows[name] for name in names]),
                }
            )
            with duckdb.connect() as connection:
                connection.register("source", whole)
                order = connection.sql(_query("in_order.sql"), params={"since": since, "until": until}).to_arrow_table()
            return rows.take(order["position"].combine_chunks())

        return DeltaRetrievalJob(compute)

    @override
    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:  # pyrefly: ignore[bad-override]
        """Refuse a source this store could not read. The table itself need not exist yet."""
        _source_address(config, data_source)
        _known_column(data_source.name, data_source.created_timestamp_column)

    @override
    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns and Arrow types of the table, looked up in the lakehouse (Feast would look in the repo)."""
        schema = _schema(DeltaTable(_source_address(config, data_source)))
        return [(field.name, str(field.type)) for field in schema]


@dataclass(frozen=True)
class _ViewRead:
    """What one view asks of its table. Column names are those of the table unless said otherwise."""

    view: str
    address: str
    event: str
    known: str
    keys: tuple[tuple[str, str], ...]
    """(column of the table, column of the entity frame)"""
    features: tuple[tuple[str, str], ...]
    """(column of the table, column of the result)"""
    payload: tuple[str, ...]
    """All columns the view declares as features: what settles ties, whichever of them are asked for."""
    ttl: int | None
    """Microseconds, None for no end."""


def _source_address(config: RepoConfig, source: DataSource | None) -> str:
    """Where the Delta table of a source lies."""
    settings = config.offline_store
    if not isinstance(settings, DeltaOfflineStoreConfig):
        raise TypeError(f"offline_store must be a DeltaOfflineStoreConfig, not {type(settings).__name__}.")
    source = _delta_source(source)
    path = PurePosixPath(source.path)
    if not path.parts or path.is_absolute() or ".." in path.parts or "://" in source.path:
        raise SourceError(
            f"Source {source.name!r}: its path must be relative to the lakehouse, and {source.path!r} is not."
        )
    return f"{settings.lakehouse.rstrip('/')}/{path}"


def _delta_source(source: DataSource | None) -> FileSource:
    if not isinstance(source, FileSource) or not isinstance(source.file_format, DeltaFormat):
        name = source.name if source else "A view without a source"
        raise SourceError(f"{name}: use a FileSource with file_format=DeltaFormat().")
    return source


def _known_column(name: str, column: str | None) -> str:
    if not column:
        raise KnownTimeMissingError(
            f"Source {name!r} does not say when its rows were known: set created_timestamp_column."
        )
    return column


def _view_read(
    config: RepoConfig, view: FeatureView, feature_refs: Iterable[str], full_feature_names: bool
) -> _ViewRead:
    source, projection = _delta_source(view.batch_source), view.projection
    column = {mapped: name for name, mapped in source.field_mapping.items()}
    prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
    # Feast collects the inputs of on-demand views in a set; in declared order the result does not
    # depend on the process's hash seed.
    wanted = {
        feature
        for name, _, feature in (ref.rpartition(":") for ref in feature_refs)
        if name == projection.name_to_use()
    }
    return _ViewRead(
        view=view.name,
        address=_source_address(config, source),
        event=column.get(source.timestamp_field, source.timestamp_field),
        known=column.get(source.created_timestamp_column, _known_column(source.name, source.created_timestamp_column)),
        keys=tuple(
            (column.get(key.name, key.name), projection.join_key_map.get(key.name, key.name))
            for key in view.entity_columns
            if key.name != DUMMY_ENTITY_ID
        ),
        features=tuple(
            (column.get(feature.name, feature.name), prefix + feature.name)
            for feature in projection.features
            if feature.name in wanted
        ),
        payload=tuple(column.get(feature.name, feature.name) for feature in view.features),
        ttl=view.ttl // _MICROSECOND if view.ttl else None,
    )


def _check_entity_frame(frame: pa.Table, reads: Iterable[_ViewRead]) -> None:
    present = set(frame.column_names)
    needed = {ENTITY_TIMESTAMP} | {key for read in reads for _, key in read.keys}
    if missing := sorted(needed - present):
        raise EntityFrameError(f"The entity frame lacks {', '.join(missing)}.")
    if not pa.types.is_timestamp(frame.schema.field(ENTITY_TIMESTAMP).type):
        raise EntityFrameError(
            f"`{ENTITY_TIMESTAMP}` must hold timestamps, not {frame.schema.field(ENTITY_TIMESTAMP).type}."
        )
    for read in reads:
        for _, name in read.features:
            if name in present:
                raise EntityFrameError(
                    f"Feature {name!r} of view {read.view!r} would appear twice: rename the column of the "
                    "entity frame, or ask for full_feature_names."
                )
            present.add(name)


def _retrieve(frame: pa.Table, reads: list[_ViewRead]) -> pa.Table:
    at = _instants(frame[ENTITY_TIMESTAMP])
    times = at.drop_null().to_numpy()
    # Without any time nothing is found, whatever is read, yet the types of the features are still owed.
    first, last = (int(times.min()), int(times.max())) if times.size else (0, 0)
    with duckdb.connect() as database, ThreadPoolExecutor(_READERS) as readers:
        addresses = sorted({read.address for read in reads})
        tables = dict(zip(addresses, readers.map(DeltaTable, addresses), strict=True))

        def features(read: _ViewRead) -> list[pa.Array]:
            since = None if read.ttl is None else first - read.ttl
            source = _read(tables[read.address], read, since=since, until=last)
            keys = frame.select([key for _, key in read.keys])
            with database.cursor() as connection:
                positions = _visible_rows(connection, source, read, keys, at)
            return [source[column].combine_chunks().take(positions) for column, _ in read.features]

        result = frame
        for read, columns in zip(reads, readers.map(features, reads), strict=True):
            for (_, name), column in zip(read.features, columns, strict=True):
                result = result.append_column(name, column)
    return result


def _read(table: DeltaTable, read: _ViewRead, since: int | None, until: int) -> pa.Table:
    columns = dict.fromkeys([*(column for column, _ in read.keys), read.event, read.known, *read.payload])
    return _scan(
        table,
        list(columns),
        read.view,
        since={read.event: since},
        until={read.event: until, read.known: until},
    )


def _scan(
    table: DeltaTable,
    columns: list[str],
    view: str,
    since: dict[str, int | None],
    until: dict[str, int | None],
) -> pa.Table:
    """The `columns` of the rows that may lie in the bounds; files that cannot hold any are not opened."""
    schema = _schema(table)
    for name in columns:
        if name not in schema.names:
            raise TableColumnsError(f"View {view!r} needs column {name!r}, which its table does not have.")
    for name in {*since, *until}:
        if not pa.types.is_timestamp(schema.field(name).type):
            raise TableColumnsError(f"View {view!r} needs a timestamp in {name!r}, not {schema.field(name).type}.")
    bounds = [
        f"{_quoted(name)} {comparison} to_timestamp_micros({bound + margin})"
        for comparison, margin, limits in (
            (">=", -_STATISTICS_MARGIN, since),
            ("<=", _STATISTICS_MARGIN, until),
        )
        for name, bound in limits.items()
        if bound is not None
    ]
    # Only quoted column names and whole numbers go into the text: DataFusion takes no parameters here.
    query = f"SELECT {', '.join(map(_quoted, columns))} FROM source WHERE {' AND '.join(bounds) or 'TRUE'}"  # noqa: S608
    rows = QueryBuilder().register("source", table).execute(query).read_all()
    return pa.table(rows).cast(pa.schema([schema.field(name) for name in columns])).combine_chunks()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _visible_rows(
    connection: duckdb.DuckDBPyConnection, source: pa.Table, read: _ViewRead, keys: pa.Table, at: pa.Array
) -> pa.Array:
    """For each of `keys` at its time, the position in `source` of the row to use, or null."""
    names = [column for column, _ in read.keys]
    connection.register(
        "source",
        pa.table(
            {
                "key": _key([source[name] for name in names], source.num_rows),
                "event": _instants(source[read.event]),
                "known": _instants(source[read.known]),
                "position": np.arange(source.num_rows),
                "payload": _struct([source[name] for name in read.payload]),
            }
        ),
    )
    try:
        typed = [column.cast(source.schema.field(name).type) for column, name in zip(keys.columns, names, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise EntityFrameError(f"The join keys of view {read.view!r} do not fit its table: {error}") from error
    connection.register(
        "cases",
        pa.table({"key": _key(typed, len(at)), "at": at, "position": np.arange(len(at))}),
    )
    found = connection.sql(_query("point_in_time.sql"), params={"ttl": read.ttl}).to_arrow_table()
    return found["position"].combine_chunks()


@cache
def _query(name: str) -> str:
    return files("feature_repo").joinpath(name).read_text("utf-8")


def _key(columns: list[pa.ChunkedArray], rows: int) -> pa.Array:
    """The join key as one column, null if any part is: two unknown keys are not the same key."""
    if not columns:
        return pa.array([0] * rows, pa.int8())
    parts = [column.combine_chunks() for column in columns]
    if len(parts) == 1:
        return parts[0]
    unknown = np.logical_or.reduce([part.is_null().to_numpy(zero_copy_only=False) for part in parts])
    names = [f"k{index}" for index in range(len(parts))]
    return pa.StructArray.from_arrays(parts, names, mask=pa.array(unknown))


def _struct(columns: list[pa.ChunkedArray]) -> pa.Array:
    parts = [column.combine_chunks() for column in columns]
    return pa.StructArray.from_arrays(parts, [f"f{index}" for index in range(len(parts))])


def _instants(column: pa.ChunkedArray) -> pa.Array:
    """Microseconds since the epoch; a time without a zone is in UTC. Nanoseconds round down."""
    times = column.combine_chunks().cast(pa.timestamp(column.type.unit))
    if times.type.unit != "ns":
        return times.cast(pa.timestamp("us")).cast(pa.int64())
    nanoseconds = times.cast(pa.int64()).fill_null(0).to_numpy()
    return pa.array(nanoseconds // 1000, mask=times.is_null().to_numpy(zero_copy_only=False))


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())
