"""A view answers for itself, a live model for its views, and each day's values for what they were like."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets.catalogue.lint import Level, lint, live
from assets.catalogue.statistics import FEWEST_DAYS, SCHEMA, beside_the_past, statistics, stored
from assets.catalogue.views import Feature, UnknownViewError, View, as_coded, one, views
from automation.calendar import Days
from automation.jobs import FEATURE_STATISTICS
from automation.lakehouse import DAY, Lakehouse
from automation.workload import Workload

FIRST = date(2013, 3, 1)


@pytest.fixture(scope="module")
def coded(workload: Workload) -> list[View]:
    with as_coded(workload) as store:
        return views(store, workload)


def test_every_view_of_the_pilot_answers_for_itself(workload: Workload, coded: list[View]) -> None:
    assert lint(workload, coded) == []
    assert {view.table for view in coded} == {each.table for each in workload.spec.features.views} | {
        "aircraft",
        "at_decision",
    }
    weather = one(coded, "origin_weather")
    assert (weather.keys, weather.ttl_seconds, weather.contract) == (("origin",), 4 * 3600, "origin_weather 1.0.0")
    assert weather.services == ("flight_disruption_v1",)
    assert len(weather.means) == 16
    assert one(coded, "flight_disruption__origin_weather") is weather
    with pytest.raises(UnknownViewError, match="no view wether"):
        one(coded, "wether")


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({"owner": ""}, Level.FAULT, "has no owner"),
        ({"description": ""}, Level.FAULT, "has no description"),
        ({"features": (Feature("a", "Int64", ""),)}, Level.FAULT, "does not say what a is"),
        (
            {"features": (Feature("a", "Int64", ""), Feature("b", "Int64", ""))},
            Level.FAULT,
            "does not say what a, b are",
        ),
        ({"known_time": ""}, Level.FAULT, "does not say when its rows became known"),
        ({"contract": ""}, Level.FAULT, "is made from no contract"),
        ({"contract": "origin_weather 0.9.0"}, Level.FAULT, "the contract is origin_weather 1.0.0 by now"),
        ({"contract_digest": "another"}, Level.FAULT, "the contract is origin_weather 1.0.0 by now"),
        ({"table": "tides"}, Level.FAULT, "which the workload does not have"),
        ({"services": ()}, Level.NOTE, "is in no service"),
    ],
)
def test_what_a_view_lacks_is_named(
    workload: Workload, coded: list[View], change: dict, level: Level, says: str
) -> None:
    [finding] = lint(workload, [replace(one(coded, "origin_weather"), **change)])
    assert finding.level is level
    assert says in finding.says
    assert finding.remedy


def test_a_view_without_a_known_time_is_one_whatever_it_claims(workload: Workload, monkeypatch) -> None:
    from assets.catalogue import views as catalogue

    monkeypatch.setattr(catalogue, "_known", lambda _source: False)
    with as_coded(workload) as store:
        found = lint(workload, views(store, workload))
    assert {finding.says.partition(":")[0] for finding in found} == {"does not say when its rows became known"}


def test_a_changed_view_is_a_fault_for_the_model_that_decides_and_a_note_for_others() -> None:
    now = {"weather": "1", "traffic": "2", "new": "3"}
    trained = {1: {"weather": "0", "traffic": "2", "new": "3"}, 2: {"weather": "1", "traffic": "1", "gone": "4"}, 3: {}}
    found = live("delays", trained, 2, now)
    assert [(each.level, each.view) for each in found] == [
        (Level.NOTE, "weather"),
        (Level.FAULT, "gone"),
        (Level.FAULT, "new"),
        (Level.FAULT, "traffic"),
    ]
    assert "is gone; delays version 2 decides" in found[1].says
    assert live("delays", {2: dict(now)}, 2, now) == []


# ---------------------------------------------------------------- statistics


def weather(days: int, shift: float = 0.0) -> pl.DataFrame:
    chance = np.random.default_rng(3)
    return pl.concat(
        pl.DataFrame(
            {
                "origin": ["EWR", "JFK", "LGA"] * 8,
                **{
                    name: [None, *(chance.normal(50 + shift * (n == days - 1), 3, 23))]
                    for name in ("temperature_f", "relative_humidity", "wind_speed_mph", "wind_gust_mph")
                },
                **dict.fromkeys(
                    ("precipitation_in", "visibility_miles", "pressure_mb", "visibility_miles_3h"), [1.0] * 24
                ),
                **dict.fromkeys(("precipitation_in_3h", "wind_speed_mph_3h"), pl.Series([None] * 24, dtype=pl.Float64)),
                DAY: [FIRST + timedelta(days=n)] * 24,
            }
        )
        for n in range(days)
    )


@pytest.fixture
def lake(tmp_path: Path, workload: Workload) -> Lakehouse:
    """Thirty days of weather, the last of them warmer; the other views hold no rows."""
    made, days = Lakehouse(str(tmp_path)), Days(FIRST, FIRST + timedelta(days=29))
    made.replace_days(workload.name, "origin_weather", weather(30, shift=40), days)
    for view in workload.spec.features.views:
        if view.table != "origin_weather":
            contract = workload.contract(view.table)
            empty = pl.DataFrame(schema=dict.fromkeys(contract.schema, pl.Float64) | {DAY: pl.Date})
            made.replace_days(workload.name, view.table, empty, days)
    return made


def test_statistics_are_those_of_the_days_own_rows(lake: Lakehouse, workload: Workload) -> None:
    day = Days.one(FIRST + timedelta(days=4))
    found = statistics(lake, workload, day)
    assert dict(found.schema) == SCHEMA
    values = lake.read(workload.name, "origin_weather", day)["temperature_f"]
    [row] = found.filter(pl.col("feature") == "temperature_f").rows(named=True)
    assert (row["view"], row["rows"], row["missing"], row["distinct"]) == ("origin_weather", 24, 1, 23)
    known = values.drop_nulls().to_numpy()
    assert row["mean"] == pytest.approx(known.mean())
    assert row["deviation"] == pytest.approx(known.std(ddof=1))
    assert [row[q] for q in ("least", "p05", "p50", "p95", "greatest")] == pytest.approx(
        list(np.quantile(known, [0, 0.05, 0.5, 0.95, 1]))
    )
    [nothing] = found.filter(pl.col("feature") == "precipitation_in_3h").rows(named=True)
    assert (nothing["missing"], nothing["distinct"], nothing["mean"]) == (24, 0, None)


def test_a_range_has_the_statistics_of_its_days(lake: Lakehouse, workload: Workload) -> None:
    days = Days(FIRST, FIRST + timedelta(days=2))
    one_by_one = pl.concat(statistics(lake, workload, Days.one(day)) for day in days)
    key = ["view", "feature", DAY]
    assert_frame_equal(statistics(lake, workload, days).sort(key), one_by_one.sort(key), check_exact=True)


def test_a_day_is_shown_beside_the_days_before_it(lake: Lakehouse, workload: Workload) -> None:
    assert stored(lake, workload, Days.one(FIRST)).is_empty()
    days, last = Days(FIRST, FIRST + timedelta(days=28)), Days.one(FIRST + timedelta(days=29))
    lake.replace_days(workload.name, FEATURE_STATISTICS, statistics(lake, workload, days), days)
    past = stored(lake, workload, days)
    found = beside_the_past(statistics(lake, workload, last), past)
    assert found["off"][:4].min() > 20
    assert set(found["feature"][:4]) == {"temperature_f", "relative_humidity", "wind_speed_mph", "wind_gust_mph"}
    # What was always the same is not off, nor is anything beside too few days.
    assert found.filter(pl.col("feature") == "pressure_mb")["off"].to_list() == [None]
    few = stored(lake, workload, Days(FIRST, FIRST + timedelta(days=FEWEST_DAYS - 2)))
    assert beside_the_past(statistics(lake, workload, last), few)["off"].null_count() == found.height
    assert stored(lake, workload, days, ["tides"]).is_empty()
