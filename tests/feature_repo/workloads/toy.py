"""A small workload: weather with a time to live, aircraft without one, gates with two keys."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64, String


def _source(table: str, **mapped: str) -> FileSource:
    return FileSource(
        path=f"toy/{table}",
        file_format=DeltaFormat(),
        timestamp_field="event_time",
        created_timestamp_column="known_time",
        field_mapping=mapped,
    )


toy_airport = Entity(name="toy_airport", join_keys=["airport"], value_type=ValueType.STRING)
toy_plane = Entity(name="toy_plane", join_keys=["plane"], value_type=ValueType.INT64)

toy_weather = FeatureView(
    name="toy_weather",
    entities=[toy_airport],
    ttl=timedelta(hours=3),
    schema=[
        Field(name="airport", dtype=String),
        Field(name="wind", dtype=Float64),
        Field(name="gusts", dtype=Int64),
    ],
    source=_source("weather", wind_kn="wind"),
)
toy_aircraft = FeatureView(
    name="toy_aircraft",
    entities=[toy_plane],
    schema=[Field(name="plane", dtype=Int64), Field(name="seats", dtype=Int64)],
    source=_source("aircraft"),
)
toy_gates = FeatureView(
    name="toy_gates",
    entities=[toy_airport, toy_plane],
    ttl=timedelta(days=1),
    schema=[
        Field(name="airport", dtype=String),
        Field(name="plane", dtype=Int64),
        Field(name="gate", dtype=String),
    ],
    source=_source("gates"),
)
toy_v1 = FeatureService(name="toy_v1", features=[toy_weather, toy_aircraft, toy_gates])
