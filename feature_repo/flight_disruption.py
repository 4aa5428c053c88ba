"""The pilot's entities, views and feature service."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, UnixTimestamp

from feature_repo.contracted import view
from feature_repo.online.plan import ARRAYS, TAKES

WORKLOAD = "flight_disruption"


def _entity(key: str, value_type: ValueType = ValueType.STRING) -> Entity:
    return Entity(name=f"{WORKLOAD}__{key}", join_keys=[key], value_type=value_type)


flight = _entity("flight_id")
origin = _entity("origin")
destination = _entity("destination")
carrier = _entity("carrier")
flight_number = _entity("flight_number", ValueType.INT64)
aircraft = _entity("tail_number")

MONTH = timedelta(days=60)

scheduled_flight = view(WORKLOAD, "scheduled_flight", [flight], ttl=timedelta(days=2))
origin_weather = view(WORKLOAD, "origin_weather", [origin], ttl=timedelta(hours=4))
origin_congestion = view(WORKLOAD, "origin_congestion", [origin], ttl=timedelta(hours=1))
carrier_congestion = view(WORKLOAD, "carrier_congestion", [origin, carrier], ttl=timedelta(hours=12))
destination_congestion = view(WORKLOAD, "destination_congestion", [destination], ttl=timedelta(hours=12))
carrier_history = view(WORKLOAD, "carrier_history", [origin, carrier], ttl=MONTH)
route_history = view(WORKLOAD, "route_history", [origin, destination], ttl=MONTH)
flight_history = view(WORKLOAD, "flight_history", [origin, carrier, flight_number], ttl=MONTH)
aircraft_rotation = view(WORKLOAD, "aircraft_rotation", [aircraft], ttl=MONTH)
aircraft_register = view(WORKLOAD, "aircraft", [aircraft], ttl=None, only=["manufacture_year", "engines", "seats"])

the_case = RequestSource(
    name=f"{WORKLOAD}__case",
    schema=[
        Field(name="event_timestamp", dtype=UnixTimestamp),
        Field(name="scheduled_departure", dtype=UnixTimestamp),
    ],
)


# Feast refuses descriptions in the schema (it infers none): the vector's contract says what the features are. And no
# comment may stand within the decorator: Feast would not find the function's source any more.
@on_demand_feature_view(
    name=f"{WORKLOAD}__at_decision",
    sources=[aircraft_rotation, aircraft_register, the_case],
    schema=[
        Field(name="rotation_minutes_since", dtype=Float64),
        Field(name="rotation_slack_minutes", dtype=Float64),
        Field(name="aircraft_age_years", dtype=Int64),
    ],
    description="What follows from the aircraft's last event once the decision time is known.",
    owner="flight-data@example.com",
    tags={TAKES: ARRAYS},
)
def at_decision(inputs: pd.DataFrame) -> pd.DataFrame:
    """What follows from the aircraft's last event once the decision time is known."""
    import numpy as np
    import pandas as pd

    def instant(column: str) -> np.ndarray:
        return np.asarray(inputs[column], dtype="datetime64[us]")

    def minutes(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        return (later - earlier) / np.timedelta64(1, "us") / 1e6 / 60.0

    decided = instant("event_timestamp")
    made = np.asarray(inputs["manufacture_year"], dtype="float64")
    age = decided.astype("datetime64[Y]").astype("int64") + 1970 - made
    return pd.DataFrame(
        {
            "rotation_minutes_since": minutes(decided, instant("rotation_event_time")),
            "rotation_slack_minutes": minutes(instant("scheduled_departure"), instant("rotation_ready_time")),
            "aircraft_age_years": pd.array(age, dtype="Int64"),
        }
    )


flight_disruption_v1 = FeatureService(
    name="flight_disruption_v1",
    features=[
        scheduled_flight,
        origin_weather,
        origin_congestion,
        carrier_congestion,
        destination_congestion,
        carrier_history,
        route_history,
        flight_history,
        aircraft_rotation,
        aircraft_register,
        at_decision,
    ],
    description="What is known of a flight two hours before it is due to leave.",
)
