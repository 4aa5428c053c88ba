"""The governed lineage's peer: the same raw tables and features, as a script would make them.

One pass over all days with the workload's own feed and feature functions, each table written to one Parquet file.
No contracts and no quarantine (types are cast by hand, what does not fit becomes null), no gates, no partitions, no
Feast, no MLflow, no Dagster, no database: run again, it begins again.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from automation.calendar import Calendar, Days
from automation.derivation import derive

CALENDAR = Calendar(date(2013, 1, 1), date(2014, 1, 3), "America/New_York")
INTEGERS = ("flight_number", "departure_minute", "distance_miles", "delay_minutes")
TEXT = ("origin",)
DERIVED = {
    "cases": (("flight_schedule",), ("flight_id",)),
    "scheduled_flight": (("flight_schedule",), ("flight_id",)),
    "origin_weather": (("weather",), ("origin",)),
    "origin_congestion": (("flight_status", "flight_schedule"), ("origin",)),
    "carrier_congestion": (("flight_status",), ("origin", "carrier")),
    "destination_congestion": (("flight_status",), ("destination",)),
    "carrier_history": (("flight_status",), ("origin", "carrier")),
    "route_history": (("flight_status",), ("origin", "destination")),
    "flight_history": (("flight_status",), ("origin", "carrier", "flight_number")),
    "aircraft_rotation": (("flight_status",), ("tail_number",)),
    "labels": (("flight_status",), ("flight_id",)),
}


def write(first: str, last: str, folder: str) -> dict[str, int]:
    """Writes every table of the days into ``folder``. Returns their rows."""
    from assets.flight_disruption import features, feed

    days, into, rows = Days(date.fromisoformat(first), date.fromisoformat(last)), Path(folder), {}
    for name, whole in (("aircraft", feed.aircraft), ("airports", feed.airports), ("carriers", feed.carriers)):
        rows[name] = _written(whole(), into / f"{name}.parquet")
    raw = {
        "flight_schedule": _typed(feed.flight_schedule(CALENDAR, days)),
        "flight_status": _typed(feed.flight_status(CALENDAR, days)),
        "weather": _typed(feed.weather(CALENDAR, days), numbers=True),
    }
    for name, frame in raw.items():
        rows[name] = _written(frame, into / f"{name}.parquet")
    for name, (reads, order) in DERIVED.items():
        frame = derive(getattr(features, name), {table: raw[table] for table in reads}, CALENDAR, days, order)
        rows[name] = _written(frame, into / f"{name}.parquet")
    return rows


def _typed(frame: pl.DataFrame, *, numbers: bool = False) -> pl.DataFrame:
    if numbers:
        return frame.with_columns(pl.col(pl.String).exclude(*TEXT).cast(pl.Float64, strict=False))
    return frame.with_columns(pl.col(name).cast(pl.Int64, strict=False) for name in INTEGERS if name in frame.columns)


def _written(frame: pl.DataFrame, file: Path) -> int:
    frame.write_parquet(file)
    return frame.height
