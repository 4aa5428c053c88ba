"""What the feed gave and what landed pass one boundary together: nothing is lost, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.stages import raw
from automation.calendar import Days
from automation.lakehouse import DAY
from automation.landing.landed import joined, landed_of, with_landed
from automation.resources import LakehouseResource
from automation.workload import Workload, WorkloadSpec
from contracts.contract import UTC_TIMESTAMP
from contracts.enforcement import Split, enforce
from tests.landing.conftest import NOW, Opened, claim, csv

DAYS = Days.one(date(2020, 6, 10))
MADE = datetime(2020, 6, 10, 8, 0, tzinfo=UTC)
TYPED = {
    "claim_id": pl.String(),
    "depot": pl.String(),
    "value_dollars": pl.Int64(),
    "receipt": pl.Boolean(),
    "event_time": UTC_TIMESTAMP,
    "known_time": UTC_TIMESTAMP,
    DAY: pl.Date(),
}


def fed(*rows: dict) -> pl.DataFrame:
    """Rows as a feed gives them: typed."""
    made = [{**row, "event_time": MADE, "known_time": MADE, DAY: DAYS.first} for row in rows]
    return pl.DataFrame(made, schema=TYPED)


def landed(*rows: dict) -> pl.DataFrame:
    """Rows as the door keeps them."""
    return pl.DataFrame(
        {"row": list(map(json.dumps, rows)), "received_at": [NOW] * len(rows), DAY: [DAYS.first] * len(rows)},
        schema={"row": pl.String(), "received_at": UTC_TIMESTAMP, DAY: pl.Date()},
    )


def rules(split: Split) -> list[list[str]]:
    return [list(broken) for broken in split.quarantined["rules"]]


def row(number: int, **changed: object) -> dict:
    """A claim as a file gives it: text, and times spelled in one of many ways."""
    return claim(number, event_time="2020-06-10T10:00:00+02:00", known_time="2020-06-10 08:00:00.000Z") | changed


def test_a_landed_row_that_the_feed_gave_too_is_one_row_however_it_is_spelled(parcels: Workload) -> None:
    contract = parcels.contract("claims")
    same = row(1, value_dollars="011", receipt="TRUE")
    split = enforce(joined(fed(claim(1), claim(2)), landed(same, row(3)), contract), contract, DAY)
    assert split.valid["claim_id"].to_list() == ["L001", "L002", "L003"]
    assert rules(split) == [["key: duplicate"]]


def test_a_landed_row_that_contradicts_the_feeds_puts_both_in_quarantine(parcels: Workload) -> None:
    contract = parcels.contract("claims")
    split = enforce(joined(fed(claim(1), claim(2)), landed(row(1, depot="south")), contract), contract, DAY)
    assert split.valid["claim_id"].to_list() == ["L002"]
    assert rules(split) == [["key: conflict"], ["key: conflict"]]


def test_a_bad_landed_row_is_quarantined_with_its_rules_and_its_values_and_harms_no_other(parcels: Workload) -> None:
    contract = parcels.contract("claims")
    bad = row(3, value_dollars="a lot", depot=None, known_time="soon")
    split = enforce(joined(fed(claim(1), claim(2, value_dollars=None)), landed(bad, row(4)), contract), contract, DAY)
    assert split.valid["claim_id"].to_list() == ["L001", "L002", "L004"]
    assert rules(split) == [["depot: required", "known_time: type timestamp", "value_dollars: type integer"]]
    held = json.loads(split.quarantined["row"][0])
    assert (held["claim_id"], held["value_dollars"], held["known_time"]) == ("L003", "a lot", "soon")


def test_a_feed_row_of_unreadable_values_is_no_twin_of_a_landed_row_that_lacks_them(parcels: Workload) -> None:
    contract = parcels.contract("claims")
    dirty = fed(claim(1)).with_columns(value_dollars=pl.lit("a lot"))
    split = enforce(joined(dirty, landed(row(1, value_dollars=None)), contract), contract, DAY)
    assert split.valid.is_empty()
    assert rules(split) == [["key: conflict", "value_dollars: type integer"], ["key: conflict"]]


def test_a_landed_row_without_a_known_time_gets_that_of_its_receipt(parcels: Workload) -> None:
    contract = parcels.contract("claims")
    bare = {name: value for name, value in row(1).items() if name != "known_time"}
    split = enforce(joined(fed(), landed(bare), contract), contract, DAY)
    assert split.valid["known_time"].to_list() == [NOW]


VALUES = {
    "claim_id": st.sampled_from(["A", "B", "C", None]),
    "depot": st.sampled_from(["north", "south", "mars", None]),
    "value_dollars": st.sampled_from([1, 2, -1, None]),
    "receipt": st.sampled_from([True, False, None]),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=6)


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, st.randoms(use_true_random=False))
def test_landing_rows_and_feeding_them_come_to_the_same_split(
    parcels: Workload, given_: list, came: list, chance
) -> None:
    """The law of the door: whether a row came by the feed or by a file, as text or typed, it ends in the same place."""
    contract = parcels.contract("claims")

    def spelled(value: object) -> object:
        return _text(value) if chance.random() < 0.5 else value

    times = {"event_time": "2020-06-10T08:00:00Z", "known_time": "2020-06-10T08:00:00.000000+00:00"}
    files = landed(*({name: spelled(value) for name, value in one.items()} | times for one in came))
    feed = fed(*given_)
    if chance.random() < 0.5:
        padded = pl.col("value_dollars").cast(pl.String).str.replace(r"^(\d)", "0${1}")
        feed = feed.with_columns(value_dollars=padded)
    by_door = enforce(joined(feed, files, contract), contract, DAY)
    by_feed = enforce(fed(*given_, *came), contract, DAY)
    assert by_door.rows_in == len(given_) + len(came)
    assert by_door.valid.equals(by_feed.valid)
    assert rules(by_door) == rules(by_feed)


def test_what_landed_for_a_day_joins_the_feed_of_that_day_in_the_order_of_receipt(
    door: Opened, parcels: Workload
) -> None:
    lake = door.door.lake
    feed = fed(claim(1))
    assert with_landed(lake, parcels, "claims", feed, DAYS) == (feed, 0)

    door.drop("claims/b.csv", csv(row(3)), NOW + timedelta(hours=1))
    door.drop("claims/a.csv", csv(row(5), row(4)))
    door.drop("claims/c.csv", csv(row(6, known_time="2020-06-11T08:00:00Z")))
    rows, count = with_landed(lake, parcels, "claims", feed, DAYS)
    assert (rows["claim_id"].to_list(), count) == (["L001", "L005", "L004", "L003"], 3)
    assert rows.schema == feed.schema
    assert with_landed(lake, parcels, "claims", None, DAYS)[0]["claim_id"].to_list() == ["L005", "L004", "L003"]
    assert with_landed(lake, parcels, "claims", feed, Days.one(date(2020, 6, 12))) == (feed, 0)


def test_a_feed_that_only_lands_needs_no_function_and_its_rows_pass_the_same_gate(
    door: Opened, parcels: Workload, parcel_contracts: Path
) -> None:
    attributes = parcels.spec.model_dump(mode="json")
    attributes["feeds"][1] |= {"source": "landing"}
    spec = WorkloadSpec.model_validate(attributes)
    assert spec.feeds[1].table == "findings"
    # The package does not exist: whatever asked it for a feed would fail.
    workload = Workload(spec, "assets.nowhere", parcel_contracts)
    found = [claim(number) | {"is_false": "true", "depot": "north"} for number in (1, 2)]
    columns = list(workload.contract("findings").schema)
    door.drop("findings/a.csv", csv(*({name: row[name] for name in columns} for row in found)))
    [asset] = [made for made in raw.build(workload) if made.key.path[-1] == "findings"]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asset],
            instance=instance,
            partition_key=str(DAYS.first),
            resources={"lakehouse": LakehouseResource(url=door.door.lake.url)},
        )
    judged = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert judged == {"contract": True, "anomaly": True, "unusual": True}
    assert door.door.lake.read("parcel_claims", "findings", DAYS)["claim_id"].to_list() == ["L001", "L002"]
    [made] = result.asset_materializations_for_node("parcel_claims__findings")
    assert made.metadata["landed rows"].value == 2


def test_what_landed_stays_out_while_the_feed_lacks_a_column_and_is_not_lost(door: Opened, parcels: Workload) -> None:
    """Joined with it, the column would look as if it were only empty."""
    door.drop("claims/a.csv", csv(row(3)))
    lacking = fed(claim(1)).drop("value_dollars")
    assert with_landed(door.door.lake, parcels, "claims", lacking, DAYS) == (lacking, 0)
    assert with_landed(door.door.lake, parcels, "claims", fed(claim(1)), DAYS)[1] == 1
    assert door.door.lake.exists("parcel_claims", landed_of("claims"))


def test_weather_that_lands_as_csv_is_the_weather_the_feed_gives(
    opened: Callable[[Workload], Opened], flights: Workload
) -> None:
    """A real day, half of it by file and all of it by feed: what the file gave is known to be the same."""
    door, day, contract = opened(flights), Days.one(date(2013, 3, 2)), flights.contract("weather")
    whole = flights.module("feed").weather(flights.calendar, day)
    half = whole.drop(DAY).head(30).cast({"temperature_f": pl.Float64})
    door.drop("weather/half.csv", half.with_columns(pl.col(pl.Datetime).dt.to_string("iso:strict")).write_csv())
    rows, count = with_landed(door.door.lake, flights, "weather", whole, day)
    split = enforce(rows, contract, DAY)
    assert count == 30
    assert split.valid.equals(enforce(whole, contract, DAY).valid)
    assert rules(split) == [["key: duplicate"]] * 30


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
