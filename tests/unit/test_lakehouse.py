"""Delta tables: a write replaces whole days, at once, and writing the same again changes nothing."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from automation.calendar import Days
from automation.lakehouse import Lakehouse, digest, quarantine_of

FIRST = date(2013, 1, 1)
WHERE = ("toy", "rows")


def rows(*pairs: tuple[int, int]) -> pl.DataFrame:
    """Rows of (day's number, value)."""
    return pl.DataFrame(
        [(FIRST + timedelta(days=day), value) for day, value in pairs],
        schema={"day": pl.Date, "value": pl.Int64},
        orient="row",
    )


def days(first: int, last: int) -> Days:
    return Days(FIRST + timedelta(days=first), FIRST + timedelta(days=last))


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    return Lakehouse(str(tmp_path))


def held(lake: Lakehouse) -> list[tuple[int, int]]:
    return sorted(((day - FIRST).days, value) for day, value in lake.read(*WHERE).select("day", "value").iter_rows())


def test_a_write_replaces_the_days_it_names_and_no_others(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows((0, 1), (1, 2), (2, 3)), days(0, 2))
    lake.replace_days(*WHERE, rows((1, 7), (1, 8)), days(1, 1))
    assert held(lake) == [(0, 1), (1, 7), (1, 8), (2, 3)]


def test_a_day_of_the_range_without_rows_becomes_empty(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows((0, 1), (1, 2), (2, 3)), days(0, 2))
    lake.replace_days(*WHERE, rows((1, 9)), days(0, 1))
    assert held(lake) == [(1, 9), (2, 3)]


def test_writing_the_same_again_leaves_the_same_content(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows((0, 1), (1, 2)), days(0, 1))
    before = lake.digest(*WHERE)
    lake.replace_days(*WHERE, rows((1, 2), (0, 1)), days(0, 1))
    assert lake.digest(*WHERE) == before
    assert lake.counts(*WHERE) == {FIRST: 1, FIRST + timedelta(days=1): 1}


def test_a_range_is_replaced_in_one_commit(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows(*((day, day) for day in range(5))), days(0, 4))
    before = lake.version(*WHERE)
    after = lake.replace_days(*WHERE, rows(*((day, -day) for day in range(5))), days(0, 4))
    assert after == before + 1
    old = pl.DataFrame(DeltaTable(lake.location(*WHERE), version=before).to_pyarrow_table())
    assert sorted(old["value"]) == [0, 1, 2, 3, 4]


def test_rows_outside_the_days_are_refused_and_nothing_is_written(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows((0, 1)), days(0, 0))
    with pytest.raises(ValueError, match="1 rows of toy/rows lie outside the days"):
        lake.replace_days(*WHERE, rows((0, 2), (3, 4)), days(0, 1))
    assert held(lake) == [(0, 1)]


def test_an_empty_frame_makes_an_empty_table_and_empties_days(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows(), days(0, 1))
    assert held(lake) == []
    assert lake.read(*WHERE).schema == {"day": pl.Date, "value": pl.Int64}
    lake.replace_days(*WHERE, rows((0, 1), (1, 2)), days(0, 1))
    lake.replace_days(*WHERE, rows(), days(0, 0))
    assert held(lake) == [(1, 2)]


def test_counts_and_reads_agree_day_by_day(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows((0, 1), (2, 2), (2, 3)), days(0, 2))
    assert lake.counts(*WHERE, days(1, 2)) == {FIRST + timedelta(days=2): 2}
    assert lake.read(*WHERE, days(1, 2), ["value"])["value"].sort().to_list() == [2, 3]
    assert lake.counts("toy", "no such table") == {}


def test_a_table_without_days_is_replaced_whole_with_its_columns(lake: Lakehouse) -> None:
    lake.replace("toy", "register", pl.DataFrame({"a": [1, 2]}))
    lake.replace("toy", "register", pl.DataFrame({"a": [3], "b": ["x"]}))
    assert lake.read("toy", "register").rows() == [(3, "x")]
    assert list(lake.tables("toy")) == ["register"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5) | st.none()), max_size=12), st.randoms())
def test_a_digest_does_not_depend_on_the_order_of_rows_or_columns(pairs: list, chance) -> None:
    frame = pl.DataFrame(pairs, schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    again = pl.DataFrame(shuffled, schema=frame.schema, orient="row").select("b", "a")
    assert digest(again) == digest(frame)


@pytest.mark.parametrize(
    "other",
    [
        pl.DataFrame({"a": [1, 2], "b": [None, "x"]}),
        pl.DataFrame({"a": [1], "b": [None]}, schema={"a": pl.Int64, "b": pl.String}),
        pl.DataFrame({"a": [1, 1], "b": [None, None]}, schema={"a": pl.Int64, "b": pl.String}),
        pl.DataFrame({"a": [1, 1], "b": [None, "y"]}),
        pl.DataFrame({"a": [1, 1], "c": [None, "x"]}),
        pl.DataFrame({"a": [1.0, 1.0], "b": [None, "x"]}),
    ],
)
def test_a_digest_tells_different_content_apart(other: pl.DataFrame) -> None:
    assert digest(other) != digest(pl.DataFrame({"a": [1, 1], "b": [None, "x"]}))


def test_a_revision_is_committed_with_the_rows_and_outlives_checkpoints_and_the_log_before_them(
    lake: Lakehouse,
) -> None:
    first, second = FIRST, FIRST + timedelta(days=1)
    lake.replace_days(*WHERE, rows((0, 1)), days(0, 0), {first: 4})
    for value in range(22):
        lake.replace_days(*WHERE, rows((1, value)), days(1, 1))
    table = DeltaTable(lake.location(*WHERE))
    table.create_checkpoint()
    table.cleanup_metadata()
    assert lake.revisions(*WHERE, [first, second]) == {first: 4, second: 0}
    lake.replace_days(*WHERE, rows(), days(0, 0), {first: 5})
    # With nothing there to delete, too.
    lake.replace_days(*WHERE, rows(), days(0, 0), {first: 6})
    assert lake.revisions(*WHERE, [first]) == {first: 6}
    assert lake.revisions("toy", "no such table", [first, None]) == {first: 0, None: 0}


def test_a_column_that_the_table_lacks_is_added_to_it(lake: Lakehouse) -> None:
    lake.replace_days(*WHERE, rows((0, 1), (1, 2)), days(0, 1))
    lake.replace_days(*WHERE, rows((1, 3)).with_columns(note=pl.lit("n")), days(1, 1))
    assert sorted(lake.read(*WHERE).select("value", "note").iter_rows()) == [(1, None), (3, "n")]


def test_which_run_held_a_row_and_when_is_no_content_of_a_quarantine(lake: Lakehouse) -> None:
    sibling, digests = quarantine_of("rows"), set()
    for run, since in (("a", 1), ("b", 2)):
        held = rows((0, 1)).with_columns(run=pl.lit(run), since=pl.lit(since))
        lake.replace_days("toy", sibling, held, days(0, 0))
        digests.add(lake.digest("toy", sibling))
    assert len(digests) == 1
    lake.replace_days("toy", sibling, rows((0, 2)).with_columns(run=pl.lit("b"), since=pl.lit(2)), days(0, 0))
    assert lake.digest("toy", sibling) not in digests
