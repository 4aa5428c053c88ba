"""Where a view's rows lie and which of their columns it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.offline_stores.file_source import FileSource

from feature_repo.offline_store.errors import KnownTimeMissingError, SourceError

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class ViewRead:
    """What one view asks of its table. Column names are those of the table unless said otherwise."""

    view: str
    address: str
    event: str
    known: str
    keys: tuple[tuple[str, str], ...]
    """(column of the table, column of the entity rows)"""
    features: tuple[tuple[str, str], ...]
    """(column of the table, column of the result)"""
    payload: tuple[str, ...]
    """All columns the view declares as features: what settles ties, whichever of them are asked for."""
    ttl: int | None
    """Microseconds, None for no end."""

    @property
    def columns(self) -> list[str]:
        """The columns of the table that the join needs."""
        return [*dict.fromkeys([*(column for column, _ in self.keys), self.event, self.known, *self.payload])]


def address(lakehouse: str, name: str, path: str) -> str:
    """Where the Delta table at a relative `path` lies. `name` is what the error calls it."""
    parts = PurePosixPath(path)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or "://" in path:
        raise SourceError(f"{name}: its path must be relative to the lakehouse, and {path!r} is not.")
    return f"{lakehouse}/{parts}"


def source_address(lakehouse: str, source: DataSource | None) -> str:
    """Where the Delta table of a source lies."""
    found = delta_source(source)
    return address(lakehouse, f"Source {found.name!r}", found.path)


def delta_source(source: DataSource | None) -> FileSource:
    """The source, if it is one that this store reads."""
    if not isinstance(source, FileSource) or not isinstance(source.file_format, DeltaFormat):
        name = source.name if source else "A view without a source"
        raise SourceError(f"{name}: use a FileSource with file_format=DeltaFormat().")
    return source


def known_column(name: str, column: str | None) -> str:
    """The column that says when a row was known."""
    if not column:
        raise KnownTimeMissingError(
            f"Source {name!r} does not say when its rows were known: set created_timestamp_column."
        )
    return column


def view_read(lakehouse: str, view: FeatureView, feature_refs: Iterable[str], full_feature_names: bool) -> ViewRead:
    """What `view` asks of its table, of the features that `feature_refs` name."""
    source, projection = delta_source(view.batch_source), view.projection
    column = {mapped: name for name, mapped in source.field_mapping.items()}
    prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
    # Feast collects the inputs of on-demand views in a set; in declared order the result does not
    # depend on the process's hash seed.
    wanted = {
        feature
        for name, _, feature in (ref.rpartition(":") for ref in feature_refs)
        if name == projection.name_to_use()
    }
    known = known_column(source.name, source.created_timestamp_column)
    return ViewRead(
        view=view.name,
        address=source_address(lakehouse, source),
        event=column.get(source.timestamp_field, source.timestamp_field),
        known=column.get(known, known),
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
