"""The pilot's entities, views and feature service."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, UnixTimestamp

from feature_repo.contracted import view

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


@on_demand_feature_view(
    name=f"{WORKLOAD}__at_decision",
    sources=[aircraft_rotation, aircraft_register, the_case],
    schema=[
        Field(name="rotation_minutes_since", dtype=Float64),
        Field(name="rotation_slack_minutes", dtype=Float64),
        Field(name="aircraft_age_years", dtype=Int64),
    ],
)
def at_decision(inputs: pd.DataFrame) -> pd.DataFrame:
    """What follows from the aircraft's last event once the decision time is known."""
    import pandas as pd

    def instant(column: str) -> pd.Series:
        return pd.to_datetime(inputs[column], utc=True)

    def minutes(later: pd.Series, earlier: pd.Series) -> pd.Series:
        return (later - earlier).dt.total_seconds() / 60.0

    decided = instant("event_timestamp")
    result = pd.DataFrame(index=inputs.index)
    result["rotation_minutes_since"] = minutes(decided, instant("rotation_event_time"))
    result["rotation_slack_minutes"] = minutes(instant("scheduled_departure"), instant("rotation_ready_time"))
    result["aircraft_age_years"] = (decided.dt.year - inputs["manufacture_year"]).astype("Int64")
    return result


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
