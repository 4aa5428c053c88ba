"""What Feast lets a view or a service be besides the plain case, over the tables of the toy workload."""

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String


def _source(table: str, name: str, **mapped: str) -> FileSource:
    return FileSource(
        name=name,
        path=f"toy/{table}",
        file_format=DeltaFormat(),
        timestamp_field="event_time",
        created_timestamp_column="known_time",
        field_mapping=mapped,
    )


variants_airport = Entity(name="variants_airport", join_keys=["airport"], value_type=ValueType.STRING)
variants_weather = FeatureView(
    name="variants_weather",
    entities=[variants_airport],
    ttl=timedelta(hours=3),
    schema=[
        Field(name="airport", dtype=String),
        Field(name="wind", dtype=Float64),
        Field(name="gusts", dtype=Int64),
    ],
    source=_source("weather", "variants_weather", wind_kn="wind"),
)
variants_network = FeatureView(
    name="variants_network",
    schema=[Field(name="delayed", dtype=Int64)],
    source=_source("network", "variants_network"),
)


@on_demand_feature_view(
    sources=[variants_weather], schema=[Field(name="gale", dtype=Int64)], mode="pandas", singleton=False
)
def variants_gale(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"gale": (inputs["wind"] > 34).astype("int64")})


variants_route = FeatureService(
    name="variants_route",
    features=[
        variants_weather[["wind"]].with_name("origin").with_join_key_map({"airport": "origin"}),
        variants_weather[["wind"]].with_name("dest").with_join_key_map({"airport": "dest"}),
    ],
)
variants_whole_network = FeatureService(name="variants_whole_network", features=[variants_network])
variants_on_demand = FeatureService(name="variants_on_demand", features=[variants_gale])
