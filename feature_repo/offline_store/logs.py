"""Where the features that a service served are logged: a Delta table of the lakehouse."""

from __future__ import annotations

from typing import Any

from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.feature_logging import LOG_TIMESTAMP_FIELD, LoggingDestination
from feast.infra.offline_stores.file_source import FileSource
from feast.protos.feast.core.FeatureService_pb2 import LoggingConfig as LoggingConfigProto
from typing_extensions import override


class DeltaLoggingDestination(LoggingDestination):
    """`FeatureService(logging_config=LoggingConfig(DeltaLoggingDestination("served/…")))`."""

    _proto_kind = "feature_repo.offline_store.DeltaLoggingDestination"

    def __init__(self, path: str) -> None:
        """`path` is relative to the lakehouse."""
        self.path = path

    @classmethod
    @override
    def from_proto(cls, config_proto: Any) -> DeltaLoggingDestination:
        return cls(config_proto.custom_destination.config["path"])

    @override
    def to_proto(self) -> Any:
        return LoggingConfigProto(
            custom_destination=LoggingConfigProto.CustomDestination(kind=self._proto_kind, config={"path": self.path})
        )

    @override
    def to_data_source(self) -> DataSource:
        return FileSource(path=self.path, file_format=DeltaFormat(), timestamp_field=LOG_TIMESTAMP_FIELD)
