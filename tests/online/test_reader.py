"""A service read online is the same service read offline at that instant, through our reader and Feast's SDK alike."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import feature_repo
from assets.online import parity
from assets.online.materialization import materialize
from automation.calendar import Calendar, Days
from automation.lakehouse import Lakehouse
from feature_repo import store as feature_store_module
from feature_repo.online import Backend, OnlineReader, ServicePlan, service_plan
from feature_repo.online.reader import KeyMissingError
from feature_repo.online.records import Record, instant

WORKLOADS = str(Path(__file__).parent.parent / "feature_repo" / "workloads")
CALENDAR = Calendar(date(2013, 6, 1), date(2013, 7, 1), "UTC")
DAY = date(2013, 6, 1)
END = CALENDAR.ends(DAY)
TIME = pl.Datetime("us", "UTC")
WEATHER = {"airport": pl.String, "event_time": TIME, "known_time": TIME, "wind": pl.Float64, "gusts": pl.Int64}
GATES = {"airport": pl.String, "plane": pl.Int64, "event_time": TIME, "known_time": TIME, "gate": pl.String}
AIRCRAFT = {"plane": pl.Int64, "event_time": TIME, "known_time": TIME, "seats": pl.Int64}


def ago(hours: float) -> datetime:
    """That many hours before the day's end."""
    return END - timedelta(hours=hours)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str):
    """A registered toy service whose online store is the backend under test."""
    monkeypatch.setattr(feature_repo, "__path__", [*feature_repo.__path__, WORKLOADS])
    opened = feature_store_module.feature_store(f"sqlite:///{tmp_path}/registry.db", str(tmp_path), address)
    from feast import FeatureService
    from toy import toy_aircraft, toy_airport, toy_gates, toy_plane, toy_weather

    weather = toy_weather.__copy__()
    weather.batch_source = weather.batch_source.__class__.from_proto(weather.batch_source.to_proto())
    weather.batch_source.field_mapping = {}
    weather.batch_source.name = "toy/weather_here"
    service = FeatureService(name="toy_here", features=[weather, toy_aircraft, toy_gates])
    opened.apply([toy_airport, toy_plane, weather, toy_aircraft, toy_gates, service])
    return opened


@pytest.fixture(autouse=True)
def _toy_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(WORKLOADS)


@pytest.fixture
def plan(store) -> ServicePlan:
    return service_plan(store, "toy_here")


def written(folder: Path, table: str, schema: dict, rows: list[tuple], *, daily: bool = True) -> None:
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    if daily:
        frame = frame.with_columns(day=pl.lit(DAY))
    options = {"schema_mode": "overwrite"} | ({"partition_by": ["day"]} if daily else {})
    frame.write_delta(str(folder / "toy" / table), mode="overwrite", delta_write_options=options)


hours = st.sampled_from([0.5, 1.0, 2.0, 3.0, 3.5, 30.0])
moments = st.tuples(hours, st.one_of(hours, st.just(-1.0)))
airports, planes = st.sampled_from(["JFK", "LGA", None]), st.sampled_from([1, 2, None])
weather_rows = st.lists(
    st.tuples(airports, moments, st.sampled_from([1.0, None]), st.sampled_from([1, 2, None])), max_size=12
)
gate_rows = st.lists(st.tuples(airports, planes, moments, st.sampled_from(["B7", "é", None])), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weather=weather_rows, gates=gate_rows)
def test_what_is_served_is_the_offline_answer(
    store, plan: ServicePlan, backend: Backend, tmp_path: Path, weather: list, gates: list
) -> None:
    written(tmp_path, "weather", WEATHER, [(k, ago(e), ago(n), *rest) for k, (e, n), *rest in weather])
    written(tmp_path, "gates", GATES, [(a, p, ago(e), ago(n), g) for a, p, (e, n), g in gates])
    written(tmp_path, "aircraft", AIRCRAFT, [(1, ago(500), ago(500), 180)], daily=False)
    for view in plan.views:
        backend.forget(view.slot)
    for _ in range(2):
        materialize(plan.views, Lakehouse(str(tmp_path)), CALENDAR, backend, DAY)
    cases = pl.DataFrame(
        [(f"{a}{p}", a, p) for a in ("JFK", "LGA", "EWR", None) for p in (1, 2, None)],
        schema={"case": pl.String, "airport": pl.String, "plane": pl.Int64},
        orient="row",
    )
    asked = [f"{view}:{feature}" for view, offered in plan.offers.items() for feature in offered]
    found = parity.differences(store, OnlineReader(plan, backend), asked, cases, "case", END)
    assert found == []


def test_a_pushed_record_counts_at_once_until_the_table_holds_it(
    store, plan: ServicePlan, backend: Backend, tmp_path: Path
) -> None:
    lake = Lakehouse(str(tmp_path))
    written(tmp_path, "weather", WEATHER, [("JFK", ago(3), ago(3), 10.0, 1)])
    for view in plan.views:
        backend.forget(view.slot)
    materialize(plan.views, lake, CALENDAR, backend, DAY)
    weather = next(view for view in plan.views if view.name == "toy_weather")
    later = END + timedelta(hours=22.5)
    backend.write(weather.slot, [Record('["JFK"]', instant(later), instant(later), "[20.0,null]")], pushed=True)
    reader, case = OnlineReader(plan, backend), {"airport": "JFK", "plane": None}

    def wind(hours: float, **how: bool) -> float | None:
        return reader.read([case], END + timedelta(hours=hours), **how)[0]["wind"]

    assert (wind(0), wind(22.4), wind(22.5), wind(25.5), wind(25.6)) == (10.0, None, 20.0, 20.0, None)
    assert wind(22.5, pushed=False) is None
    # The next day's table says otherwise: it counts, and what was pushed is gone.
    frame = pl.DataFrame([("JFK", later, later, 21.0, 1)], schema=WEATHER, orient="row")
    lake.replace_days("toy", "weather", frame.with_columns(day=pl.lit(date(2013, 6, 2))), Days.one(date(2013, 6, 2)))
    materialize(plan.views, lake, CALENDAR, backend, date(2013, 6, 2))
    assert wind(22.5) == 21.0
    assert backend.count()[weather.slot] == (1, 0)


def test_a_case_that_does_not_say_a_key_is_refused(plan: ServicePlan, backend: Backend) -> None:
    with pytest.raises(KeyMissingError, match=r"plane.*airport, plane"):
        OnlineReader(plan, backend).read([{"airport": "JFK"}], END)


def test_a_view_of_other_fields_reads_nothing_of_what_was_written_before(plan: ServicePlan) -> None:
    import dataclasses

    weather = plan.views[0]
    assert dataclasses.replace(weather, features=(*weather.features, "more")).slot != weather.slot
    assert dataclasses.replace(weather, ttl=1).slot == weather.slot


def test_feasts_own_sdk_reads_and_writes_the_same_records(
    store, plan: ServicePlan, backend: Backend, tmp_path: Path
) -> None:
    written(tmp_path, "weather", WEATHER, [("JFK", ago(1), ago(1), 10.0, None)])
    written(tmp_path, "gates", GATES, [("JFK", 1, ago(2), ago(2), "B7")])
    written(tmp_path, "aircraft", AIRCRAFT, [(1, ago(500), ago(500), 180)], daily=False)
    for view in plan.views:
        backend.forget(view.slot)
    store.materialize(ago(1000), END)
    ours = OnlineReader(plan, backend).read([{"airport": "JFK", "plane": 1}], END)
    assert ours == [{"wind": 10.0, "gusts": None, "seats": 180, "gate": "B7"}]
    rows = [{"airport": "JFK", "plane": 1}, {"airport": "LGA", "plane": 2}]
    feasts = store.get_online_features(store.get_feature_service("toy_here"), rows).to_dict()
    assert {name: feasts[name] for name in ours[0]} == {
        "wind": [10.0, None],
        "gusts": [None, None],
        "seats": [180, None],
        "gate": ["B7", None],
    }
    store.teardown()
    assert not {view.slot for view in plan.views} & {*backend.count()}


def test_what_differs_is_named_by_case_and_feature() -> None:
    nan, now = float("nan"), datetime(2013, 1, 1, tzinfo=UTC)
    offline = [{"a": 1, "b": None, "c": 1.0, "d": now}]
    assert parity.compared(["x"], [{"a": 1, "b": nan, "c": 1.0, "d": now}], offline) == []
    online = [{"a": 1.0, "b": 0, "c": 1.0000000001, "d": None}]
    assert [each.feature for each in parity.compared(["x"], online, offline)] == ["a", "b", "c", "d"]
    assert parity.compared(["x"], online, offline)[0] == parity.Difference("x", "a", 1.0, 1)


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_every_view_is_compared_in_as_many_days_as_there_are_parts(plan: ServicePlan, parts: int) -> None:
    days = [parity.in_turn(plan, DAY + timedelta(days=n), parts) for n in range(parts)]
    everything = {f"{view}:{name}" for view, offered in plan.offers.items() for name in offered}
    assert {name for day in days for name in day} == everything
    assert all(days)
