"""What places were worth on a day, as Dagster shows it: of those who asked for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from automation.policy.deciding import Weighed
from automation.policy.limits.demand import Demand, Wanted
from automation.policy.limits.shown import places
from tests.policy.made import NOON, Case, day, declared, small

LIMIT = {"action": "act", "at_most": 2, "per": "place", "place": {"least": 1.0, "days": 7}}


def test_the_places_of_a_day_are_told_by_group_and_hour() -> None:
    policy = small(declared(LIMIT))
    [limit] = policy.declared.limits
    cases = [
        Case("early", at=NOON - timedelta(hours=3), probability=0.6),
        # It would save nothing by a place, whatever one is worth.
        Case("calm", at=NOON - timedelta(hours=2), probability=0.01),
        Case("unscored", at=NOON, probability=None, problems='["no"]'),
        *(Case(f"late {n}", at=NOON + timedelta(minutes=n)) for n in range(4)),
        Case("elsewhere", place="Q", at=NOON + timedelta(hours=1)),
    ]
    usual = {limit.wanted: Demand(10, {"P": Wanted((0,) * 12 + (80,) + (0,) * 11, 80 * 10_000)})}
    weighed = Weighed(replace(day(*cases), usual=usual), policy)
    choice = weighed.choose({})
    shown = places(weighed, choice)
    first, other = (dict(record.data) for record in shown["places"].records)
    assert (first["of"], first["usually want one"], first["days that is of"]) == ("P", 8.0, 10)
    assert (first["wanted one"], first["got one"]) == (5, 2)
    worth = [float(choice.worth[row, 0]) for row in range(8) if choice.asked[row, 0]]
    assert (first["worth, first"], first["worth, most"]) == (pytest.approx(worth[0]), max(worth[:-1]))
    assert first["worth, first"] > 1.0, "eight are to come for two places"
    assert (other["of"], other["wanted one"], other["got one"], other["worth, most"]) == ("Q", 1, 1, 1.0)
    assert not choice.asked[2].any(), "of a case that was not scored nothing is asked"
    assert shown[f"worth of a place: {limit.key}"].value.startswith("![plot]")


def test_where_no_place_follows_the_day_nothing_is_told() -> None:
    policy = small(declared({**LIMIT, "place": 1.0}))
    weighed = Weighed(day(Case("a")), policy)
    assert places(weighed, weighed.choose({})) == {}
