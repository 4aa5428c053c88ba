"""The experiment's corruptions change the delivery they are meant for, in the source's own files, and no other."""

from __future__ import annotations

import random
from datetime import date

import polars as pl
import pytest

from benchmarks.corrupted_year import AFFECTS, FILES, Corruption, Source, about, corrupted, drawn

DAY = date(2013, 5, 3)
FLOWN = (
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "hour",
    "sched_arr_time",
    "dep_delay",
    "arr_delay",
)
COLUMNS = (*FLOWN, "wind_speed", "wind_gust", "visib", "temp")


@pytest.fixture
def source() -> Source:
    rows = [
        {"year": "2013", "month": "5", "day": str(day), "time_hour": f"2013-05-{day:02d}T{hour:02d}:00:00Z"}
        | {name: f"{number}" for number, name in enumerate(COLUMNS)}
        for day in range(1, 6)
        for hour in range(24)
    ]
    file = pl.DataFrame(rows)
    return Source({"flights.csv": file, "weather.csv": file}, ("AAA", "BBB"))


@pytest.mark.parametrize(
    ("corruption", "table"), [(corruption, table) for corruption, tables in AFFECTS.items() for table in tables]
)
def test_a_corruption_changes_its_delivery_and_no_other(source: Source, corruption: Corruption, table: str) -> None:
    spoilt, how, changed = corrupted(source, corruption, table, DAY, random.Random(3))  # noqa: S311 - a draw
    name, other = FILES[table], next(name for name in source.files if name != FILES[table])
    assert spoilt.files[other].equals(source.files[other])
    before, after = source.files[name], spoilt.files[name]
    untouched = before.filter(~about(table, DAY)).select(after.columns)
    assert after.filter(~about(table, DAY)).equals(untouched) or "year" not in after.columns
    if "year" in after.columns:
        assert not after.filter(about(table, DAY)).equals(before.filter(about(table, DAY)))
    assert 0 < changed.height <= 24
    assert how.startswith(corruption.split(":")[0]) or corruption is Corruption.CLOCK_SHIFTED


def test_every_corruption_befalls_every_table_it_can_within_the_year() -> None:
    found = set(drawn(42))
    assert found == {(corruption, table) for corruption, tables in AFFECTS.items() for table in tables}
