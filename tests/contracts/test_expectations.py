import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from contracts.document import load
from contracts.expectations import JudgementError, expectation_suite, judge

CONTRACT = load(Path(__file__).parent / "parcels" / "parcel.odcs.yaml")
DAY = dt.date(2024, 6, 1)
# Oslo is two hours ahead of UTC in June: its first of June ends at 22:00 UTC.
ON_TIME = dt.datetime(2024, 6, 1, 20, 30, tzinfo=dt.UTC)


def partition(
    count: int = 5,
    *,
    day: dt.date = DAY,
    weight: float | None = 5.0,
    notes: int = 5,
    known: dt.datetime = ON_TIME,
) -> pl.DataFrame:
    """The judged columns of one day: `count` rows, of which `notes` have a note."""
    return pl.DataFrame(
        {
            "weight": [weight] * count,
            "note": ["x" if position < notes else None for position in range(count)],
            "day": [day] * count,
            "known_time": [known + (day - DAY)] * count,
        },
        schema={name: CONTRACT.schema[name] for name in ("weight", "note", "day", "known_time")},
    )


def failures(frame: pl.DataFrame, *days: dt.date) -> list[tuple[str, str]]:
    verdicts = judge(frame, CONTRACT, [day.isoformat() for day in days or (DAY,)])
    assert len(verdicts) == len(CONTRACT.expectations) * len(days or (DAY,))
    return [(verdict.partition, verdict.expectation) for verdict in verdicts if not verdict.passed]


def test_a_good_partition_keeps_every_expectation_and_says_what_was_observed():
    verdicts = judge(partition(notes=3), CONTRACT, ["2024-06-01"])
    assert {verdict.expectation: verdict.observed for verdict in verdicts} == {
        "row_count": 5.0,
        "usual weight": 5.0,
        "note: null_share": 0.4,
        "known_time: staleness": 90.0,
    }
    assert all(verdict.passed for verdict in verdicts)
    count = verdicts[0]
    assert (count.partition, count.low, count.high) == ("2024-06-01", 2, 1000)
    assert count.description == "A day with fewer scans means that a scanner is down."


@pytest.mark.parametrize(
    ("frame", "expectation"),
    [
        (partition(1), "row_count"),
        (partition(1001, notes=1001), "row_count"),
        (partition(weight=0.5), "usual weight"),
        (partition(weight=10.5), "usual weight"),
        (partition(notes=2), "note: null_share"),
        (partition(known=ON_TIME - dt.timedelta(seconds=1)), "known_time: staleness"),
    ],
)
def test_each_expectation_fails_on_what_breaks_it_alone(frame, expectation):
    assert failures(frame) == [("2024-06-01", expectation)]


@pytest.mark.parametrize("weight", [None, float("nan"), float("inf")])
def test_a_mean_that_cannot_be_taken_has_failed(weight):
    frame = partition(weight=weight)
    assert failures(frame) == [("2024-06-01", "usual weight")]
    assert judge(frame, CONTRACT, ["2024-06-01"])[1].observed is None


def test_a_partition_without_rows_keeps_nothing():
    assert failures(partition().clear()) == [("2024-06-01", expectation.name) for expectation in CONTRACT.expectations]
    assert judge(partition().clear(), CONTRACT, ["2024-06-01"])[0].observed == 0.0


def test_only_the_bad_partition_of_several_fails():
    days = [DAY + dt.timedelta(days=offset) for offset in range(4)]
    frame = pl.concat([partition(day=day, weight=99.0 if day == days[2] else 5.0) for day in days])
    assert failures(frame, *days) == [("2024-06-03", "usual weight")]


def test_freshness_is_measured_to_the_end_of_the_local_day():
    winter = dt.date(2024, 12, 1)  # Oslo is one hour ahead: the day ends at 23:00 UTC
    frame = partition(day=winter)
    (staleness,) = [v for v in judge(frame, CONTRACT, ["2024-12-01"]) if v.expectation == "known_time: staleness"]
    assert (staleness.observed, staleness.passed) == (150.0, False)


def test_bounds_are_open_or_closed_as_written():
    promises = {promise.column: promise for promise in expectation_suite(CONTRACT).expectations}
    assert (promises["note: null_share"].max_value, promises["note: null_share"].strict_max) == (0.6, True)
    assert (promises["usual weight"].min_value, promises["usual weight"].strict_min) == (1, False)
    assert failures(partition(weight=1.0)) == []


def test_rows_of_another_partition_are_refused():
    with pytest.raises(JudgementError, match="5 rows belong to none of the partitions"):
        judge(partition(), CONTRACT, ["2024-06-02"])
    with pytest.raises(JudgementError, match="5 rows belong to none of the partitions"):
        judge(partition().with_columns(day=pl.lit(None, dtype=pl.Date)), CONTRACT, ["2024-06-01"])


def test_a_frame_without_a_judged_column_is_refused():
    with pytest.raises(JudgementError, match="lacks weight"):
        judge(partition().drop("weight"), CONTRACT, ["2024-06-01"])


def test_no_partitions_have_no_verdicts():
    assert judge(partition().clear(), CONTRACT, []) == []
