"""The pilot's feed: instants right however the clocks stand, and every row of the source delivered once."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from assets.flight_disruption import feed
from automation.calendar import Calendar, Days
from contracts.enforcement import enforce

CALENDAR = Calendar(date(2013, 1, 1), date(2014, 1, 3), "America/New_York")
FLIGHTS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour"
)
WEATHER = "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour"
AIRPORTS = """faa,name,lat,lon,alt,tz,dst,tzone
LAX,Los Angeles Intl,33.94,-118.4,126,-8,A,America/Los_Angeles
MIA,Miami Intl,25.79,-80.29,8,-5,A,America/New_York
HNL,Honolulu Intl,21.31,-157.92,13,-10,N,Pacific/Honolulu
PHX,Phoenix Sky Harbor,33.43,-112.01,1135,-7,N,America/Phoenix
"""


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def flight(
    on: date,
    departs: str,
    hour_utc: str,
    arrives: str,
    dest: str,
    *,
    dep_delay: str = "0",
    arr_delay: str = "0",
    tail: str = "N1000A",
    number: str = "1",
) -> str:
    """One line of flights.csv; ``departs`` and ``arrives`` are local, as HHMM."""
    hour, minute = int(departs) // 100, int(departs) % 100
    return (
        f"{on.year},{on.month},{on.day},NA,{departs},{dep_delay},NA,{arrives},{arr_delay},UA,{number},{tail},"
        f"EWR,{dest},100,1000,{hour},{minute},{hour_utc}"
    )


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a folder of source files the feed's own."""

    def make(flights: tuple[str, ...] = (), weather: tuple[str, ...] = ()) -> Path:
        (tmp_path / "flights.csv").write_text("\n".join((FLIGHTS, *flights)) + "\n")
        (tmp_path / "weather.csv").write_text("\n".join((WEATHER, *weather)) + "\n")
        (tmp_path / "airports.csv").write_text(AIRPORTS)
        (tmp_path / "planes.csv").write_text(
            "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\nN1000A,NA,Fixed,X,Y,2,100,NA,Fan\n"
        )
        (tmp_path / "airlines.csv").write_text("carrier,name\nUA,United\n")
        monkeypatch.setenv(feed.SOURCE_VARIABLE, str(tmp_path))
        return tmp_path

    return make


def the_year(table) -> pl.DataFrame:
    return table(CALENDAR, CALENDAR.days())


@pytest.mark.parametrize(
    ("line", "departure", "arrival"),
    [
        pytest.param(
            flight(date(2013, 7, 1), "1000", "2013-07-01T14:00:00Z", "1235", "LAX"),
            utc(2013, 7, 1, 14),
            utc(2013, 7, 1, 19, 35),
            id="three hours of time zones in summer",
        ),
        pytest.param(
            flight(date(2013, 7, 1), "1015", "2013-07-01T14:00:00Z", "1430", "HNL"),
            utc(2013, 7, 1, 14, 15),
            utc(2013, 7, 2, 0, 30),
            id="Hawaii keeps standard time",
        ),
        pytest.param(
            flight(date(2013, 7, 1), "1015", "2013-07-01T14:00:00Z", "1230", "PHX"),
            utc(2013, 7, 1, 14, 15),
            utc(2013, 7, 1, 19, 30),
            id="Arizona keeps standard time",
        ),
        pytest.param(
            flight(date(2013, 1, 31), "2250", "2013-02-01T03:00:00Z", "153", "MIA"),
            utc(2013, 2, 1, 3, 50),
            utc(2013, 2, 1, 6, 53),
            id="midnight and the end of a month",
        ),
        pytest.param(
            flight(date(2013, 3, 9), "2330", "2013-03-10T04:00:00Z", "321", "MIA"),
            utc(2013, 3, 10, 4, 30),
            utc(2013, 3, 10, 7, 21),
            id="clocks go forward on the way",
        ),
        pytest.param(
            flight(date(2013, 3, 9), "2330", "2013-03-10T04:00:00Z", "230", "MIA"),
            utc(2013, 3, 10, 4, 30),
            utc(2013, 3, 10, 7, 30),
            id="due in the hour that does not exist",
        ),
        pytest.param(
            flight(date(2013, 11, 2), "2330", "2013-11-03T03:00:00Z", "230", "MIA"),
            utc(2013, 11, 3, 3, 30),
            utc(2013, 11, 3, 7, 30),
            id="clocks go back on the way",
        ),
        pytest.param(
            flight(date(2013, 11, 2), "2330", "2013-11-03T03:00:00Z", "130", "MIA"),
            utc(2013, 11, 3, 3, 30),
            utc(2013, 11, 3, 5, 30),
            id="due in the hour that comes twice: the first of them",
        ),
        pytest.param(
            flight(date(2013, 11, 3), "0145", "2013-11-03T05:00:00Z", "110", "MIA"),
            utc(2013, 11, 3, 5, 45),
            utc(2013, 11, 3, 6, 10),
            id="due in the second of the hour that comes twice, as it leaves in the first",
        ),
    ],
)
def test_a_flight_is_due_at_the_right_instants(source, line: str, departure: datetime, arrival: datetime) -> None:
    source((line,))
    [row] = the_year(feed.flight_schedule).iter_rows(named=True)
    assert (row["scheduled_departure"], row["scheduled_arrival"]) == (departure, arrival)
    assert row["known_time"] == departure - timedelta(hours=24)


def test_events_happen_at_the_schedule_plus_the_delay_however_the_clocks_stand(source) -> None:
    source((flight(date(2013, 3, 9), "2330", "2013-03-10T04:00:00Z", "321", "MIA", dep_delay="200", arr_delay="-7"),))
    events = {row["status"]: row for row in the_year(feed.flight_status).iter_rows(named=True)}
    assert events["departed"]["event_time"] == utc(2013, 3, 10, 7, 50)
    assert events["arrived"]["event_time"] == utc(2013, 3, 10, 7, 14)
    assert all(row["known_time"] == row["event_time"] for row in events.values())


DROPPED = [(name, column) for name, line in (("flights", FLIGHTS), ("weather", WEATHER)) for column in line.split(",")]
# What no table is made of.
UNREAD = {("flights", column) for column in ("dep_time", "sched_dep_time", "arr_time", "air_time")}


@pytest.mark.parametrize(("name", "column"), [dropped for dropped in DROPPED if dropped not in UNREAD])
def test_a_dropped_column_is_a_missing_column_of_every_row_of_its_day(source, workload, name: str, column: str) -> None:
    given = flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "1500", "MIA", dep_delay="5", arr_delay="6")
    sky = "EWR,2013,1,5,12,39.02,26.06,59.37,270,10.35702,NA,0,1012,10,2013-01-05T17:00:00Z"
    folder = source((given,), (sky,))
    file = folder / f"{name}.csv"
    pl.read_csv(file, infer_schema=False).drop(column).write_csv(file)
    tables = ("flight_schedule", "flight_status") if name == "flights" else ("weather",)
    missing = set()
    for table in tables:
        days = Days.one(date(2013, 1, 4) if table == "flight_schedule" else date(2013, 1, 5))
        delivered = getattr(feed, table)(CALENDAR, days)
        assert delivered.height >= 1, table
        split = enforce(delivered, workload.contract(table), partition="day")
        found = {rule for rules in split.quarantined["rules"] for rule in rules if rule.endswith("missing column")}
        assert split.valid.height == (0 if found else delivered.height), table
        missing |= found
    assert missing


def test_a_clock_that_is_an_hour_off_the_wall_is_found_row_by_row(source, workload) -> None:
    source(
        (flight(date(2013, 7, 5), "1200", "2013-07-05T17:00:00Z", "1600", "MIA"),),
        ("EWR,2013,7,5,12,79.02,66.06,59.37,270,10.35702,NA,0,1012,10,2013-07-05T15:00:00Z",),
    )
    for table in ("flight_schedule", "weather"):
        split = enforce(the_year(getattr(feed, table)), workload.contract(table), partition="day")
        assert split.quarantined["rules"].to_list() == [["row: wall_clock"]]


def test_a_cancelled_flight_is_known_to_be_when_it_should_have_left(source) -> None:
    source((flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "1500", "MIA", dep_delay="NA", arr_delay="NA"),))
    [row] = the_year(feed.flight_status).iter_rows(named=True)
    assert (row["status"], row["known_time"], row["delay_minutes"]) == ("cancelled", utc(2013, 1, 5, 17), None)


def test_a_diverted_flight_is_known_to_be_half_an_hour_after_it_was_due_given_its_departure(source) -> None:
    source((flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "1500", "MIA", dep_delay="20", arr_delay="NA"),))
    events = {row["status"]: row["known_time"] for row in the_year(feed.flight_status).iter_rows(named=True)}
    assert events == {"departed": utc(2013, 1, 5, 17, 20), "diverted": utc(2013, 1, 5, 20, 50)}


def test_a_delay_that_is_put_right_is_delivered_when_it_was(source, workload) -> None:
    line = flight(date(2013, 3, 1), "1000", "2013-03-01T15:00:00Z", "1235", "LAX", arr_delay="45")
    folder = source((line,))
    head = "year,month,day,carrier,flight,origin,status,delay,revised_at"
    (folder / feed.REVISIONS).write_text(
        f"{head}\n2013,3,1,UA,1,EWR,arrived,5,2013-03-06T15:00:00Z\n2013,3,1,UA,9,EWR,arrived,5,2013-03-06T15:00:00Z\n"
    )
    found = feed.flight_status(CALENDAR, Days.one(date(2013, 3, 6)))
    split = enforce(found, workload.contract("flight_status"), partition="day")
    [row] = split.valid.rows(named=True)
    assert (row["flight_id"], row["status"], row["delay_minutes"]) == ("2013-03-01:UA1:EWR", "arrived", 5)
    assert (row["event_time"], row["known_time"]) == (utc(2013, 3, 1, 20, 40), utc(2013, 3, 6, 15))
    # A flight that nobody knows of is held, not lost.
    [held] = split.quarantined.rows(named=True)
    assert json.loads(held["row"])["flight_id"] == "2013-03-01:UA9:EWR"
    assert "scheduled_arrival: required" in held["rules"]
    assert "carrier: required" not in held["rules"]
    assert the_year(feed.flight_status).filter(pl.col("status") == "arrived")["delay_minutes"].to_list() == [45, 5, 5]

    (folder / feed.REVISIONS).write_text("year,month\n2013,3\n")
    with pytest.raises(feed.FeedSourceError, match=r"revisions.csv lacks the columns day, carrier"):
        feed.flight_status(CALENDAR, Days.one(date(2013, 3, 6)))


def test_a_row_lies_in_the_new_york_day_on_which_it_became_known(source) -> None:
    # Scheduled for 1 March 23:30 in New York, so known on 28 February 23:30 there: already 1 March in UTC.
    source((flight(date(2013, 3, 1), "2330", "2013-03-02T04:00:00Z", "130", "MIA"),))
    assert the_year(feed.flight_schedule)["day"].to_list() == [date(2013, 2, 28)]
    assert feed.flight_schedule(CALENDAR, Days.one(date(2013, 3, 1))).is_empty()


def test_what_was_known_before_the_calendar_is_delivered_on_its_first_day(source) -> None:
    source((flight(date(2013, 1, 1), "0515", "2013-01-01T10:00:00Z", "830", "MIA"),))
    assert the_year(feed.flight_schedule)["day"].to_list() == [date(2013, 1, 1)]


def test_values_that_cannot_be_read_are_delivered_for_the_contract_to_judge(source, workload) -> None:
    source(
        flights=(
            flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "1500", "MIA", tail="NA", number="1"),
            flight(date(2013, 1, 5), "1200", "never", "1500", "MIA", number="2"),
            flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "1500", "XXX", number="3"),
            flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "soon", "MIA", number="4"),
        ),
        weather=("EWR,2013,1,1,1,warm,26,59,270,10,NA,0,1012,10,2013-01-01T06:00:00Z",),
    )
    schedule = the_year(feed.flight_schedule)
    assert schedule.height == 4
    assert schedule.filter(pl.col("flight_number") == 1)["tail_number"].to_list() == [None]
    split = enforce(schedule, workload.contract("flight_schedule"), partition="day")
    assert split.valid["flight_number"].to_list() == [1]
    weather = the_year(feed.weather)
    assert weather["temperature_f"].to_list() == ["warm"]
    held = enforce(weather, workload.contract("weather"), partition="day").quarantined
    assert held["rules"].to_list() == [["temperature_f: type number"]]


def test_a_missing_source_folder_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(feed.SOURCE_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(feed.FeedSourceError, match=r"nowhere does not exist\. Set WARRANT_FLIGHT_DISRUPTION_SOURCE"):
        feed.carriers()


def test_a_missing_source_file_is_named(source) -> None:
    (source() / "weather.csv").unlink()
    with pytest.raises(feed.FeedSourceError, match=r"holds neither weather\.csv nor weather\.csv\.zip"):
        feed.weather(CALENDAR, Days.one(date(2013, 1, 1)))


def test_a_source_that_is_delivered_again_has_another_fingerprint_and_is_read_again(source) -> None:
    folder = source((flight(date(2013, 1, 5), "1200", "2013-01-05T17:00:00Z", "1500", "MIA"),))
    before = feed.fingerprint(CALENDAR)
    assert the_year(feed.flight_schedule).height == 1
    assert set(before) == set(CALENDAR.days().keys)
    lines = (folder / "flights.csv").read_text()
    again = flight(date(2013, 1, 6), "1200", "2013-01-06T17:00:00Z", "1500", "MIA")
    (folder / "flights.csv").write_text(f"{lines}{again}\n")
    assert feed.fingerprint(CALENDAR) != before
    assert the_year(feed.flight_schedule).height == 2


class TestTheRealYear:
    def test_every_flight_is_scheduled_once(self) -> None:
        schedule = the_year(feed.flight_schedule)
        assert schedule.height == 336_776
        assert schedule["flight_id"].n_unique() == 336_776

    def test_every_hour_of_weather_is_delivered_once(self) -> None:
        weather = the_year(feed.weather)
        assert weather.height == 26_115
        assert weather.select("origin", "event_time").n_unique() == 26_115

    def test_the_days_together_are_the_year(self) -> None:
        by_month = pl.concat(feed.flight_status(CALENDAR, month) for month in CALENDAR.days().months())
        assert by_month.equals(pl.concat(feed.flight_status(CALENDAR, Days.one(day)) for day in CALENDAR.days()))
        assert by_month.filter(pl.col("status") != "departed").height == 336_776
        assert by_month.filter(pl.col("status") == "cancelled").height == 8_255

    def test_between_departure_and_arrival_lie_the_time_in_the_air_and_a_plausible_time_on_the_ground(self) -> None:
        """The source states the minutes in the air apart from all clocks: an hour gone wrong would show."""
        events = the_year(feed.flight_status)
        both = (
            events.filter(pl.col("status") == "departed")
            .join(events.filter(pl.col("status") == "arrived"), on="flight_id", suffix="_arrived")
            .join(_air_time(), on="flight_id")
        )
        assert both.height == 327_346
        ground = (both["event_time_arrived"] - both["event_time"]).dt.total_minutes() - both["air_time"]
        assert ground.is_between(3, 240).all()

    def test_flights_to_the_four_airports_the_table_lacks_are_timed(self) -> None:
        schedule = the_year(feed.flight_schedule)
        supplemented = [row[0] for row in feed.SUPPLEMENTED_AIRPORTS]
        there = schedule.filter(pl.col("destination").is_in(supplemented))
        assert there.height == 7_602
        assert there["scheduled_arrival"].null_count() == 0
        airports = feed.airports()
        assert sorted(airports.filter(~pl.col("published"))["airport"]) == ["BQN", "PSE", "SJU", "STT"]


def _air_time() -> pl.DataFrame:
    flights = feed._csv(feed._source(), "flights.csv")
    return flights.select(
        flight_id=pl.format(
            "{}-{}-{}:{}{}:{}",
            "year",
            pl.col("month").str.zfill(2),
            pl.col("day").str.zfill(2),
            "carrier",
            "flight",
            "origin",
        ),
        air_time=pl.col("air_time").cast(pl.Int64),
    ).drop_nulls()
