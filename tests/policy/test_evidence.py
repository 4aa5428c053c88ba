"""What others had used of the limits, and what was usual, is what the ledger says that a day was decided on."""

from __future__ import annotations

from datetime import date, timedelta

from automation.ledger.decisions import DECIDED, stream
from automation.ledger.store import Happened, Ledger
from automation.policy.evidence import as_decided, usual_demand
from automation.policy.limits.declared import Following, Limit
from automation.policy.limits.demand import Demand, Wanted
from automation.policy.limits.demand import as_data as demands_as_data
from automation.policy.limits.use import Use, as_data
from tests.ledger.conftest import NOW

DAY, WORKLOAD = date(2013, 5, 1), "flights_of_others"


def test_what_others_had_used_is_read_from_the_newest_event_of_the_day(ledger: Ledger) -> None:
    assert as_decided(ledger, WORKLOAD, DAY).used == {}
    first, then = {Use("protect per origin every day", "EWR", "day"): 3}, {Use("budget", None, "day"): 12_500}
    for number, uses in enumerate((first, then)):
        ledger.append(stream(WORKLOAD, DAY), number, [Happened(DECIDED, {"limits_used": as_data(uses)}, NOW)])
        assert as_decided(ledger, WORKLOAD, DAY).used == uses


def test_what_is_usual_is_of_the_days_that_the_ledger_committed_to_as_they_were_decided_last(ledger: Ledger) -> None:
    limit = Limit(action="protect", at_most=60, per="origin", place=Following(least=200.0, days=7))

    def of(cases: int) -> dict[str, Demand]:
        return {limit.wanted: Demand(1, {"EWR": Wanted((cases,) + (0,) * 23, 100 * cases)})}

    for before, wanted in ((8, 100), (7, 10), (3, 99), (3, 20), (1, 30)):
        day = stream(WORKLOAD, DAY - timedelta(days=before))
        data = {"demand": demands_as_data(of(wanted)), "demand_usual": demands_as_data(of(5))}
        ledger.append(day, len(ledger.events(day)), [Happened(DECIDED, data, NOW)])
    # A day that was decided before there was anything to follow says nothing of it.
    ledger.append(stream(WORKLOAD, DAY - timedelta(days=2)), 0, [Happened(DECIDED, {}, NOW)])
    [found] = usual_demand(ledger, WORKLOAD, [limit], DAY).values()
    assert (found.days, found.of("EWR").by_hour[0], found.of("EWR").beyond) == (3, 60, 6_000)
    assert usual_demand(ledger, WORKLOAD, [limit.model_copy(update={"place": 200.0})], DAY) == {}
    assert as_decided(ledger, WORKLOAD, DAY - timedelta(days=1)).usual == of(5)
    assert as_decided(ledger, WORKLOAD, DAY).usual == {}
