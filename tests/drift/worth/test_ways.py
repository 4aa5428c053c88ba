"""Ways to retrain: when each trains a model, and which months are still to be compared."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from automation.calendar import Days
from automation.drift.worth.ways import RETRAINING_WAYS, Came, Way, missing, months_of, read, rows, starts
from automation.lakehouse import Lakehouse

DAYS = Days(date(2030, 1, 20), date(2030, 3, 5))
JANUARY = Days(date(2030, 1, 20), date(2030, 1, 31))


def came(way: Way, days: Days, auc: float | None = 0.75) -> Came:
    return Came(way, days.first, days.last, 100, auc, -12.5, 3, 4.5)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (Way.NEVER, [date(2030, 1, 20)]),
        (Way.MONTHLY, [date(2030, 1, 20), date(2030, 2, 1), date(2030, 3, 1)]),
        (
            Way.WEEKLY,
            [date(2030, 1, day) for day in (20, 27)]
            + [date(2030, 2, day) for day in (3, 10, 17, 24)]
            + [date(2030, 3, 3)],
        ),
        (Way.DAILY, list(DAYS)),
    ],
)
def test_each_way_begins_with_the_first_day(way: Way, expected: list[date]) -> None:
    assert list(starts(way, DAYS)) == expected


def test_what_ways_came_to_is_read_as_it_was_written_by_way_and_month(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    assert read(lake, "w", DAYS) == []
    february, march = DAYS.months()[1:]
    for month in (february, JANUARY):
        told = [came(Way.MONTHLY, month, None), came(Way.NEVER, month)]
        lake.replace_days("w", RETRAINING_WAYS, rows(told), Days.one(month.first.replace(day=1)))
    found = read(lake, "w", DAYS)
    assert [(each.way, each.month.month, each.auc) for each in found] == [
        (Way.NEVER, 1, 0.75),
        (Way.NEVER, 2, 0.75),
        (Way.MONTHLY, 1, None),
        (Way.MONTHLY, 2, None),
    ]
    assert found[0] == came(Way.NEVER, JANUARY)
    assert [each.month.month for each in read(lake, "w", february)] == [2, 2]
    assert missing(found, [Way.NEVER, Way.MONTHLY], DAYS.months()) == [march]


def test_a_month_is_still_to_be_compared_where_a_way_or_a_day_of_it_is_missing() -> None:
    found = [came(Way.NEVER, JANUARY)]
    assert missing(found, [Way.NEVER], [JANUARY]) == []
    assert missing(found, [Way.NEVER, Way.DAILY], [JANUARY]) == [JANUARY]
    longer = Days(date(2030, 1, 19), JANUARY.last)
    assert missing(found, [Way.NEVER], [longer]) == [longer]


def test_a_month_reaches_from_its_first_decided_day_to_its_last() -> None:
    days = [date(2030, 3, 1), date(2030, 1, 10), date(2030, 1, 31), date(2030, 1, 12), date(2030, 3, 4)]
    assert months_of(days) == [Days(date(2030, 1, 10), date(2030, 1, 31)), Days(date(2030, 3, 1), date(2030, 3, 4))]
    assert months_of([]) == []
