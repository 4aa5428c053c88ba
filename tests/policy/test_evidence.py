"""What others had used of the limits is what the ledger says that a day was decided on."""

from __future__ import annotations

from datetime import date

from automation.ledger.decisions import DECIDED, stream
from automation.ledger.store import Happened, Ledger
from automation.policy.evidence import as_decided
from automation.policy.limits.use import Use, as_data
from tests.ledger.conftest import NOW

DAY, WORKLOAD = date(2013, 5, 1), "flights_of_others"


def test_what_others_had_used_is_read_from_the_newest_event_of_the_day(ledger: Ledger) -> None:
    assert as_decided(ledger, WORKLOAD, DAY).used == {}
    first, then = {Use("protect per origin every day", "EWR", "day"): 3}, {Use("budget", None, "day"): 12_500}
    for number, uses in enumerate((first, then)):
        ledger.append(stream(WORKLOAD, DAY), number, [Happened(DECIDED, {"limits_used": as_data(uses)}, NOW)])
        assert as_decided(ledger, WORKLOAD, DAY).used == uses
