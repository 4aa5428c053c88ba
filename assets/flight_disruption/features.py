"""What is known at each instant about a flight, its airport, its carrier, its route and its aircraft.

Each function is one table: an Ibis expression over contract-checked tables. Its rows carry ``event_time``, the
instant they describe, and ``known_time``, the instant from which they may be used; nothing a row is computed from
became known later than the row itself (law 3). Which tables a function reads, and how many days back, stands in
defs.yaml. Sums are of whole minutes and counts, so that they come out the same in whatever order they are added.

A report may be revised: a later row of the same flight and status, known later. What is said of the last hours counts
first reports; what is said of four weeks counts, at each instant, the newest report known by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import ibis.expr.types as ir

    from automation.derivation import Window

HOUR = 3600
DAY = 24 * HOUR
LATE_MINUTES = 30
DECISION_LEAD = 2 * HOUR
GRID = 15 * 60
LONGEST_TRAIL = 12 * HOUR
FOUR_WEEKS = 28 * DAY
# Midnight in New York's winter. One instant a day all year, so that a day's record does not depend on the clocks.
DAY_ENDS = 5 * HOUR
ORIGINS = ("EWR", "JFK", "LGA")
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
# A quarter of an hour on the ground and back again: the least a plane needs between two flights.
TURNAROUND = 45 * 60


def cases(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """One case a scheduled flight, decided two hours before it is due to leave."""
    schedule = tables["flight_schedule"]
    decision_time = _instant(_seconds(schedule.scheduled_departure) - DECISION_LEAD)
    return schedule.select(
        "flight_id",
        "carrier",
        "flight_number",
        "tail_number",
        "origin",
        "destination",
        "scheduled_departure",
        event_time=decision_time,
        known_time=decision_time,
    )


def labels(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """What became of each flight, once known and each time it is revised: late is 30 minutes, cancelled or diverted."""
    status = tables["flight_status"]
    final = status.filter(status.status != "departed")
    return final.select(
        "flight_id",
        outcome=final.status,
        delay_minutes=final.delay_minutes,
        label=_late(final),
        event_time=final.event_time,
        known_time=final.known_time,
    )


def scheduled_flight(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """The flight as scheduled, and how crowded its airport will be around its departure.

    Known 23 hours ahead: by then the flights up to an hour later are on the schedule, too.
    """
    schedule = tables["flight_schedule"]
    timed = schedule.mutate(at=_seconds(schedule.scheduled_departure))
    crowd = ibis.range_window(preceding=HOUR, following=HOUR, group_by=timed.origin, order_by=timed.at)
    known = _instant(timed.at - 23 * HOUR)
    return timed.select(
        "flight_id",
        origin_code=timed.origin.cases(*((code, number) for number, code in enumerate(ORIGINS))),
        carrier_code=timed.carrier.cases(*((code, number) for number, code in enumerate(CARRIERS))),
        departure_minute=timed.departure_minute,
        departure_weekday=timed.departure_date.day_of_week.index().cast("int64"),
        distance_miles=timed.distance_miles,
        scheduled_minutes=(_seconds(timed.scheduled_arrival) - timed.at) // 60,
        departures_scheduled_2h=timed.count().over(crowd),
        event_time=known,
        known_time=known,
    )


def origin_weather(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """The weather at the airport by the hour, and the worst of the last three hours."""
    hourly = tables["weather"]
    recent = ibis.range_window(
        preceding=3 * HOUR - 1, following=0, group_by=hourly.origin, order_by=_seconds(hourly.event_time)
    )
    return hourly.select(
        "origin",
        "temperature_f",
        "relative_humidity",
        "wind_speed_mph",
        "wind_gust_mph",
        "precipitation_in",
        "visibility_miles",
        "pressure_mb",
        visibility_miles_3h=hourly.visibility_miles.min().over(recent),
        precipitation_in_3h=hourly.precipitation_in.max().over(recent),
        wind_speed_mph_3h=hourly.wind_speed_mph.max().over(recent),
        event_time=hourly.event_time,
        # An hour that came late makes the worst of the hours after it known late, too.
        known_time=hourly.known_time.max().over(recent),
    )


def origin_congestion(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """How the airport runs, every quarter of an hour: delays and cancellations of the last hours, flights overdue."""
    status, schedule = _as_it_happened(tables["flight_status"]), tables["flight_schedule"]
    reported = status.select(
        key=status.origin,
        at=_seconds(status.known_time),
        **_tally(status),
        waiting=(status.status == "departed").cast("int64") * -1 + (status.status == "cancelled").cast("int64") * -1,
        grid=ibis.literal(0),
    )
    due = schedule.select(
        key=schedule.origin,
        at=_seconds(schedule.scheduled_departure),
        **_no_tally(),
        waiting=ibis.literal(1),
        grid=ibis.literal(0),
    ).cast(reported.schema())
    grid = (
        _grid(window)
        .select("key", "at", **_no_tally(), waiting=ibis.literal(0), grid=ibis.literal(1))
        .cast(reported.schema())
    )
    at_once = ibis.union(reported, due, grid)
    sums = {name: at_once[name].sum().cast("int64") for name in (*TALLIED, "waiting")}
    events = _in_half_days(at_once.group_by("key", "at").agg(**sums, grid=at_once.grid.max()))
    trailing = _trailing(events)
    state = events.select(
        "grid",
        "own",
        origin=events.key,
        at=events["at"],
        departures_3h=trailing("departures", 3),
        departure_delay_mean_1h=_mean(trailing("departure_delay", 1), trailing("departures", 1)),
        departure_delay_mean_3h=_mean(trailing("departure_delay", 3), trailing("departures", 3)),
        departures_late_share_3h=_mean(trailing("departures_late", 3), trailing("departures", 3)),
        arrival_delay_mean_3h=_mean(trailing("arrival_delay", 3), trailing("arrivals", 3)),
        cancelled_6h=trailing("cancelled", 6),
        # Flights due in the last twelve hours that have neither left nor been cancelled.
        overdue=trailing("waiting", 12),
    )
    return _at_known(state.filter(state.own & (state.grid == 1)).drop("grid", "own"))


def carrier_congestion(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """How the carrier runs at the airport, at each of its events there."""
    status = _as_it_happened(tables["flight_status"])
    events = status.select(
        "origin",
        "carrier",
        key=status.origin + ":" + status.carrier,
        at=_seconds(status.known_time),
        **_tally(status),
    )
    trailing = _trailing(events)
    state = events.select(
        "origin",
        "carrier",
        at=events["at"],
        carrier_departures_3h=trailing("departures", 3),
        carrier_departure_delay_mean_3h=_mean(trailing("departure_delay", 3), trailing("departures", 3)),
        carrier_departures_late_share_3h=_mean(trailing("departures_late", 3), trailing("departures", 3)),
        carrier_arrival_delay_mean_6h=_mean(trailing("arrival_delay", 6), trailing("arrivals", 6)),
        carrier_cancelled_6h=trailing("cancelled", 6),
    )
    return _at_known(state.distinct())


def destination_congestion(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """How flights from New York fare at the destination, at each event there."""
    status = _as_it_happened(tables["flight_status"])
    events = status.select(key=status.destination, at=_seconds(status.known_time), **_tally(status))
    trailing = _trailing(events)
    state = events.select(
        destination=events.key,
        at=events["at"],
        destination_arrivals_6h=trailing("arrivals", 6),
        destination_arrival_delay_mean_6h=_mean(trailing("arrival_delay", 6), trailing("arrivals", 6)),
        destination_departure_delay_mean_6h=_mean(trailing("departure_delay", 6), trailing("departures", 6)),
        destination_cancelled_6h=trailing("cancelled", 6),
    )
    return _at_known(state.distinct())


def carrier_history(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """The carrier's record at the airport over four weeks, known at the end of each day it flew."""
    return _history(tables["flight_status"], ["origin", "carrier"], "carrier")


def route_history(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """The route's record over four weeks, known at the end of each day it was flown."""
    return _history(tables["flight_status"], ["origin", "destination"], "route")


def flight_history(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """The flight number's record over four weeks, known at the end of each day it flew."""
    return _history(tables["flight_status"], ["origin", "carrier", "flight_number"], "flight")


def aircraft_rotation(tables: Mapping[str, ir.Table], window: Window) -> ir.Table:
    """What the aircraft was last seen doing: which event, how late, and when it can be back in New York.

    The source has only flights that leave New York: the way back is taken to last as long as the way there was
    scheduled to. A plane that was cancelled here is here.
    """
    every = tables["flight_status"]
    status = every.filter(every.tail_number.notnull())
    minutes = _seconds(status.scheduled_arrival) - _seconds(status.scheduled_departure)
    still_to_fly = status.status.cases(
        ("departed", 2 * minutes + TURNAROUND),
        ("arrived", minutes + TURNAROUND),
        ("diverted", 2 * minutes + TURNAROUND),
        ("cancelled", 0),
    )
    # Of two events of one plane at one instant the later stage of the later flight stands.
    latest = ibis.row_number().over(
        group_by=[status.tail_number, status.known_time],
        order_by=[status.scheduled_departure.desc(), status.status, status.flight_id],
    )
    events = status.mutate(order=latest, ready=_instant(_seconds(status.event_time) + still_to_fly + TURNAROUND))
    return events.filter(events.order == 0).select(
        "tail_number",
        rotation_event=events.status.cases(("departed", 0), ("arrived", 1), ("cancelled", 2), ("diverted", 3)),
        rotation_delay_minutes=events.delay_minutes,
        rotation_event_time=events.event_time,
        rotation_ready_time=events.ready,
        event_time=events.event_time,
        known_time=events.known_time,
    )


def _as_it_happened(status: ir.Table) -> ir.Table:
    """The first report of each event that was known before the longest trail had passed it.

    Of what is told later, news of the last hours it is not: a revision, or a report that comes a day late.
    """
    prompt = status.filter(_seconds(status.known_time) - _seconds(status.event_time) < LONGEST_TRAIL)
    nth = ibis.row_number().over(group_by=[prompt.flight_id, prompt.status], order_by=prompt.known_time)
    return prompt.mutate(nth=nth).filter(ibis._.nth == 0).drop("nth")


def _late(status: ir.Table) -> ir.BooleanValue:
    return (status.status != "arrived") | (status.delay_minutes >= LATE_MINUTES)


TALLIED = ("departures", "departure_delay", "departures_late", "arrivals", "arrival_delay", "cancelled")


def _no_tally() -> dict[str, ir.Scalar]:
    """What is summed for a row that is no event: nothing."""
    return {name: ibis.literal(0) for name in TALLIED}


def _tally(status: ir.Table) -> dict[str, ir.IntegerValue]:
    """Each event as whole numbers that can be summed over a window."""
    departed, arrived = status.status == "departed", status.status == "arrived"
    minutes = status.delay_minutes.fill_null(0)
    late = departed & (minutes >= LATE_MINUTES)
    return {
        "departures": departed.cast("int64"),
        "departure_delay": departed.ifelse(minutes, 0),
        "departures_late": late.cast("int64"),
        "arrivals": arrived.cast("int64"),
        "arrival_delay": arrived.ifelse(minutes, 0),
        "cancelled": (status.status == "cancelled").cast("int64"),
    }


def _in_half_days(events: ir.Table) -> ir.Table:
    """Every event twice: in the half day it lies in, as its own, and in the next, as that one's past.

    No trailing window is longer than half a day, so each can be computed within one half day: small groups, which
    engines sort and spread over their cores, in place of one group a key as long as the year.
    """
    half_day = events["at"] // LONGEST_TRAIL
    return ibis.union(
        events.mutate(half_day=half_day, own=ibis.literal(True)),
        events.mutate(half_day=half_day + 1, own=ibis.literal(False)),
    )


def _trailing(events: ir.Table) -> Callable[[str, int], ir.IntegerValue]:
    """A function of a column's name and a number of hours: the column's sum over the hours up to each event."""
    groups = [events[name] for name in ("key", "half_day") if name in events.columns]

    def total(column: str, hours: int) -> ir.IntegerValue:
        over = ibis.range_window(preceding=hours * HOUR - 1, following=0, group_by=groups, order_by=events["at"])
        return events[column].sum().over(over).cast("int64")

    return total


def _grid(window: Window) -> ir.Table:
    instants = ibis.range(_seconds(window.begins), _seconds(window.ends), GRID).unnest().name("at").as_table()
    origins = ibis.array(list(ORIGINS)).unnest().name("key").as_table()
    return origins.cross_join(instants)


def _history(status: ir.Table, keys: list[str], prefix: str) -> ir.Table:
    """The record of ``keys`` over the 28 days up to and with each day on which something became known of them.

    A flight counts for 28 days from the day on which it happened; until its report was known it does not count yet, and
    from the day on which a newer one is, that one counts in its place.
    """
    final = status.filter(status.status != "departed")
    arrived = final.status == "arrived"
    reports = final.select(
        *keys,
        known=_day_end(final.known_time),
        replaced=_day_end(final.known_time.lead().over(group_by=final.flight_id, order_by=final.known_time)),
        gone=_day_end(final.event_time) + FOUR_WEEKS,
        flights=ibis.literal(1, "int64"),
        late=_late(final).cast("int64"),
        arrived=arrived.cast("int64"),
        minutes=arrived.ifelse(final.delay_minutes.fill_null(0), 0),
    )
    reports = reports.mutate(until=ibis.least(ibis.coalesce(reports.replaced, reports.gone), reports.gone))
    reports = reports.filter(reports.known < reports.until)
    counted = ("flights", "late", "arrived", "minutes")
    comes = reports.select(*keys, *counted, at=reports.known, told=ibis.literal(1))
    goes = reports.select(
        *keys, **{name: -reports[name] for name in counted}, at=reports.until, told=ibis.literal(0)
    ).cast(comes.schema())
    changes = ibis.union(comes, goes)
    daily = changes.group_by([*keys, "at"]).agg(
        **{name: changes[name].sum().cast("int64") for name in counted}, told=changes.told.max()
    )
    so_far = ibis.range_window(preceding=None, following=0, group_by=keys, order_by=daily["at"])
    state = daily.select(*keys, "at", "told", **{name: daily[name].sum().over(so_far) for name in counted})
    state = state.filter(state.told == 1)
    return _at_known(
        state.select(
            *keys,
            "at",
            **{
                f"{prefix}_flights_28d": state.flights.cast("int64"),
                f"{prefix}_late_share_28d": _mean(state.late, state.flights),
                f"{prefix}_arrival_delay_mean_28d": _mean(state.minutes, state.arrived),
            },
        )
    )


def _day_end(instant: Any) -> Any:
    """The end of the day of history in which an instant lies, in seconds since 1970."""
    return ((_seconds(instant) - DAY_ENDS - 1) // DAY + 1) * DAY + DAY_ENDS


def _mean(total: Any, count: Any) -> Any:
    """A quotient of whole numbers; null where nothing was counted."""
    return total.cast("float64") / count.cast("float64").nullif(0)


def _at_known(state: ir.Table) -> ir.Table:
    at = _instant(state.at)
    return state.mutate(event_time=at, known_time=at).drop("at")


def _seconds(instant: Any) -> Any:
    """The first whole second that is not before the instant, since 1970.

    Never an earlier one: a row that is computed from what became known a quarter of a second past would else be known
    before that was (law 3).
    """
    passed = instant.epoch_seconds().cast("int64")
    return passed + (instant > _instant(passed)).cast("int64")


def _instant(seconds: Any) -> Any:
    return seconds.as_timestamp("s")
