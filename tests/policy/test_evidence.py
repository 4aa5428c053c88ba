"""What others had used of the limits, and what was usual, is what the ledger says that a day was decided on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from automation.calendar import Days
from automation.ledger.decisions import DECIDED, stream
from automation.ledger.store import Happened, Ledger
from automation.policy.evidence import PastDemand, Stood, as_decided
from automation.policy.limits.declared import Following, Limit
from automation.policy.limits.demand import Demand, DemandInvalidError, Demands, Wanted
from automation.policy.limits.demand import as_data as as_data_of
from automation.policy.limits.use import Use, as_data
from tests.ledger.conftest import NOW

DAY, WORKLOAD = date(2013, 5, 1), "flights_of_others"


def test_what_others_had_used_is_read_from_the_newest_event_of_the_day(ledger: Ledger) -> None:
    assert as_decided(ledger, WORKLOAD, DAY).used == {}
    first, then = {Use("protect per origin every day", "EWR", "day"): 3}, {Use("budget", None, "day"): 12_500}
    for number, uses in enumerate((first, then)):
        ledger.append(stream(WORKLOAD, DAY), number, [Happened(DECIDED, {"limits_used": as_data(uses)}, NOW)])
        assert as_decided(ledger, WORKLOAD, DAY).used == uses


LIMIT = Limit(action="protect", at_most=60, per="origin", place=Following(least=200.0, days=7))


def of(cases: int) -> Demands:
    return {LIMIT.wanted: Demand(1, {"EWR": Wanted((cases,) + (0,) * 23, 100 * cases)})}


def decided_by(ledger: Ledger, policy: str, before: int, wanted: int, usual: int = 5) -> None:
    """A day, so many before, was decided by a policy; so many of its cases wanted a place."""
    day = stream(WORKLOAD, DAY - timedelta(days=before))
    data = {"policy_version": policy, "demand": as_data_of(of(wanted)), "demand_usual": as_data_of(of(usual))}
    ledger.append(day, len(ledger.events(day)), [Happened(DECIDED, data, NOW)])


def past(ledger: Ledger, version: str, limit: Limit = LIMIT, decisions: Sequence[int] = ()) -> PastDemand:
    """With decisions in the table on days so many before."""

    def read(_name: str, _table: str, days: Days) -> pl.DataFrame:
        rows = pl.DataFrame({"event_time": [NOW], "case_key": ["a"], "day": [days.first]})
        return rows if (DAY - days.first).days in decisions else rows.clear()

    lake: Any = SimpleNamespace(exists=lambda *_: bool(decisions), read=read)
    workload: Any = SimpleNamespace(name=WORKLOAD)
    policy: Any = SimpleNamespace(version=version, declared=SimpleNamespace(limits=(limit,)))
    return PastDemand(lake, ledger, workload, policy)


def test_what_is_usual_is_of_the_days_that_the_ledger_committed_to_as_they_were_decided_last(ledger: Ledger) -> None:
    for before, wanted in ((8, 100), (7, 10), (3, 99), (3, 20), (1, 30)):
        decided_by(ledger, "this", before, wanted)
    [found] = past(ledger, "this").usual(DAY).values()
    assert (found.days, found.of("EWR").by_hour[0], found.of("EWR").beyond) == (3, 60, 6_000)
    assert past(ledger, "this", LIMIT.model_copy(update={"place": 200.0})).usual(DAY) == {}
    assert as_decided(ledger, WORKLOAD, DAY - timedelta(days=1)).usual == of(5)
    assert as_decided(ledger, WORKLOAD, DAY).usual == {}
    # A day that was decided by it is decided again by what was usual then, whatever became of the days before.
    decided_by(ledger, "this", 0, 1, usual=77)
    decided_by(ledger, "this", 1, 1_000)
    assert past(ledger, "this").usual(DAY) == of(77)


def test_days_that_another_policy_decided_are_worked_out_from_their_decisions(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided_by(ledger, "another", 0, 1, usual=77)
    decided_by(ledger, "another", 1, 1_000)
    decided_by(ledger, "this", 2, 10)
    # Before there was anything to follow, events said nothing of it.
    ledger.append(stream(WORKLOAD, DAY - timedelta(days=3)), 0, [Happened(DECIDED, {"policy_version": "this"}, NOW)])
    asked = []

    def weighed(_lake: Any, _workload: Any, policy: Any, rows: pl.DataFrame, stood: Stood) -> Any:
        asked.append((DAY - rows["day"][0]).days)
        assert (policy.version, stood) == ("this", Stood())
        return SimpleNamespace(demand=of(4))

    monkeypatch.setattr("automation.policy.evidence.weighed_again", weighed)
    known = past(ledger, "this", decisions=(1, 2, 3, 5))
    for _ in range(2):
        [found] = known.usual(DAY).values()
        assert (found.days, found.of("EWR").cases) == (4, 4 + 10 + 4 + 4)
    assert sorted(asked) == [1, 3, 5], "each once"


def test_an_event_that_says_no_demand_is_named(ledger: Ledger) -> None:
    data = {"policy_version": "this", "demand": {"x": "much"}, "demand_usual": {}}
    ledger.append(stream(WORKLOAD, DAY - timedelta(days=2)), 0, [Happened(DECIDED, data, NOW)])
    with pytest.raises(DemandInvalidError, match="newest event of decisions/flights_of_others/2013-04-29 does not say"):
        past(ledger, "this").usual(DAY)
