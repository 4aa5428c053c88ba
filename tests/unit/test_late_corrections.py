"""What is revised days later: past training sets stay, new ones see it, and no news of the last hours is made of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.flight_disruption import features
from assets.stages.training import labelled_cases
from automation.anomalies.profile import profiles
from automation.calendar import Calendar, Days
from automation.derivation import derive
from automation.lakehouse import DAY, Lakehouse
from automation.versions import newest
from automation.workload import Workload
from contracts.contract import Contract
from contracts.enforcement import enforce

CALENDAR = Calendar(date(2013, 1, 1), date(2014, 1, 3), "America/New_York")
FIRST = datetime(2013, 3, 1, 5, tzinfo=UTC)
ASKED = Days(date(2013, 3, 1), date(2013, 5, 1))
STATUS = {
    "flight_id": pl.String,
    "status": pl.String,
    "carrier": pl.String,
    "origin": pl.String,
    "destination": pl.String,
    "delay_minutes": pl.Int64,
    "event_time": pl.Datetime("us", "UTC"),
    "known_time": pl.Datetime("us", "UTC"),
}


def report(flight: str, delay: int | None, happened: datetime, known: datetime, status: str = "arrived") -> tuple:
    return (flight, status, "UA", "EWR", "ORD", delay, happened, known)


def table(reports: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame(reports, schema=STATUS, orient="row")


def derived(function, status: pl.DataFrame, key: tuple[str, ...] = ("origin", "carrier")) -> pl.DataFrame:
    return derive(function, {"flight_status": status}, CALENDAR, ASKED, key)


@st.composite
def revised_flights(draw: st.DrawFn) -> list[tuple]:
    """Flights over some weeks, each reported up to three times; no two reports of one flight at one instant."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        happened = FIRST + timedelta(minutes=draw(st.integers(0, 40 * 24 * 60)))
        waits = draw(st.lists(st.integers(0, 27 * 24), min_size=1, max_size=3, unique=True))
        for wait in waits:
            delay = draw(st.one_of(st.none(), st.integers(-20, 200)))
            known = happened + timedelta(hours=wait)
            found.append(report(f"f{number}", delay, happened, known, "arrived" if delay is not None else "diverted"))
    return found


def day_end(instant: datetime) -> datetime:
    """The first five o'clock UTC at or after the instant."""
    at = instant.replace(hour=5, minute=0, second=0, microsecond=0)
    return at if at >= instant else at + timedelta(days=1)


@given(revised_flights())
def test_the_record_of_four_weeks_is_of_the_newest_reports_known_by_then(reports: list[tuple]) -> None:
    found = derived(features.carrier_history, table(reports))
    assert found.height > 0
    for row in found.iter_rows(named=True):
        end = row["known_time"]
        known: dict[str, tuple] = {}
        for each in sorted(reports, key=lambda given: given[7]):
            if day_end(each[7]) <= end:
                known[each[0]] = each
        counted = [each for each in known.values() if day_end(each[6]) + timedelta(days=28) > end]
        delays = [each[5] for each in counted if each[1] == "arrived"]
        late = sum(each[1] == "diverted" or each[5] >= 30 for each in counted)
        assert row["carrier_flights_28d"] == len(counted)
        assert row["carrier_late_share_28d"] == (late / len(counted) if counted else None)
        assert row["carrier_arrival_delay_mean_28d"] == (sum(delays) / len(delays) if delays else None)


@pytest.mark.parametrize("function", [features.carrier_congestion, features.destination_congestion])
@pytest.mark.parametrize("late", [timedelta(hours=3), timedelta(days=3)])
def test_a_revision_is_no_news_of_the_last_hours(function, late: timedelta) -> None:
    first = [report(f"f{n}", 10 * n, FIRST + timedelta(hours=n), FIRST + timedelta(hours=n)) for n in range(8)]
    revised = report("f2", 500, first[2][6], first[2][7] + late)
    key = ("destination",) if function is features.destination_congestion else ("origin", "carrier")
    assert derived(function, table([*first, revised]), key).equals(derived(function, table(first), key))


def test_a_report_that_comes_a_day_late_is_no_news_of_the_last_hours() -> None:
    prompt = [report("f1", 10, FIRST, FIRST)]
    late = report("f2", 500, FIRST, FIRST + timedelta(days=1))
    assert derived(features.carrier_congestion, table([*prompt, late])).equals(
        derived(features.carrier_congestion, table(prompt))
    )


def test_each_report_is_a_label_and_the_newest_one_known_by_then_is_trained_on(
    workload: Workload, tmp_path: Path
) -> None:
    happened, revised = datetime(2013, 3, 1, 15, tzinfo=UTC), datetime(2013, 3, 6, 15, tzinfo=UTC)
    flight = "2013-03-01:UA1:EWR"
    status = table([report(flight, 45, happened, happened), report(flight, 5, happened, revised)])
    lake, days = Lakehouse(str(tmp_path)), Days(date(2013, 3, 1), date(2013, 3, 10))
    labels = derive(features.labels, {"flight_status": status}, CALENDAR, days, ("flight_id",))
    split = enforce(labels, workload.contract("labels"), partition=DAY)
    assert split.quarantined.is_empty()
    lake.replace_days(workload.name, "labels", split.valid, days)
    case = pl.DataFrame({"flight_id": [flight], "event_time": [happened], DAY: [date(2013, 3, 1)]})
    lake.replace_days(workload.name, "cases", case, days)

    def label(as_of: date) -> list[bool]:
        return labelled_cases(lake, workload, as_of)["label"].to_list()

    assert label(date(2013, 3, 2)) == label(date(2013, 3, 6)) == [True]
    assert label(date(2013, 3, 7)) == [False]


def test_the_newest_is_the_one_that_became_known_last() -> None:
    rows = pl.DataFrame({"k": ["a", "b", "a", "b"], "known_time": [2, 1, 1, 3], "v": [1, 2, 3, 4]})
    assert newest(rows, "k").rows() == [("a", 2, 1), ("b", 3, 4)]


@pytest.fixture(scope="module")
def status_contract(workload: Workload) -> Contract:
    return workload.contract("flight_status")


def whole_reports(reports: list[tuple]) -> pl.DataFrame:
    """Reports with all that their contract asks for."""
    return table(reports).with_columns(
        flight_number=pl.lit(1, pl.Int64),
        tail_number=pl.lit("N1000A"),
        scheduled_departure=pl.lit(FIRST),
        scheduled_arrival=pl.lit(FIRST + timedelta(hours=2)),
    )


@pytest.mark.parametrize(
    ("wait", "rule"),
    [
        (timedelta(seconds=-1), "row: known_once_it_happened"),
        (timedelta(0), None),
        (timedelta(days=28), None),
        (timedelta(days=28, seconds=1), "row: revised_within_four_weeks"),
    ],
)
def test_a_report_comes_within_four_weeks(status_contract: Contract, wait: timedelta, rule: str | None) -> None:
    split = enforce(whole_reports([report("2013-03-01:UA1:EWR", 5, FIRST, FIRST + wait)]), status_contract)
    assert split.quarantined["rules"].to_list() == ([] if rule is None else [[rule]])


def test_two_reports_of_one_flight_on_one_day_are_both_valid(status_contract: Contract) -> None:
    reports = [report("2013-03-01:UA1:EWR", delay, FIRST, FIRST + timedelta(hours=delay)) for delay in (1, 2)]
    assert enforce(whole_reports(reports), status_contract).quarantined.is_empty()


def test_how_late_revisions_come_is_no_measure_of_a_day(status_contract: Contract) -> None:
    day = date(2013, 3, 1)
    rows = whole_reports([report("2013-03-01:UA1:EWR", 5, FIRST, FIRST)]).with_columns(pl.lit(day).alias(DAY))
    [found] = profiles(rows, status_contract, CALENDAR, Days.one(day))
    assert "scheduled_arrival to event_time: mean" in found.measures
    assert not [name for name in found.measures if "to known_time" in name]
