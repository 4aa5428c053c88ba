"""Killed at each moment of reserving and committing, and run again: no limit is exceeded, and nothing is doubled."""

from __future__ import annotations

import itertools
from datetime import timedelta

from automation.ledger import store
from automation.ledger.store import Ledger
from automation.policy.limits.reservations import HOLD, commit, reserve, stream, used
from automation.settings import Settings
from tests.ledger.conftest import NOW
from tests.ledger.test_killed import Dying, in_a_process_that_dies
from tests.policy.limits.test_reservations import CAPACITY, DAY, SEAT, up_to

LATER = NOW + HOLD + timedelta(seconds=1)


def decide(ledger: Ledger, workload: str, batch: str, wanted: int, now=NOW) -> int:
    got, mine = reserve(ledger, workload, DAY, batch, up_to(wanted), now)
    commit(ledger, mine, now)
    return got


def died(settings: Settings, workload: str, moment: int, wanted: int) -> bool:
    def work() -> None:
        with store.opened(settings) as opened:
            decide(Ledger(Dying(opened.connection, itertools.count(), moment)), workload, "a", wanted)

    return not in_a_process_that_dies(work)


def standing(ledger: Ledger, workload: str) -> int:
    return used(ledger, workload, DAY).get(SEAT, 0)


def types(ledger: Ledger, workload: str) -> list[str]:
    return [event.type for event in ledger.events(stream(workload, DAY))]


def test_run_again_at_once_it_finds_what_it_reserved(settings: Settings, ledger: Ledger) -> None:
    for moment in itertools.count():
        workload = f"again{moment}"
        ended = not died(settings, workload, moment, 7)
        assert standing(ledger, workload) in (0, 7)
        # Whoever decides before it runs again gets what is left, no more.
        other = decide(ledger, workload, "b", 9)
        assert standing(ledger, workload) <= CAPACITY
        mine = decide(ledger, workload, "a", 7)
        assert mine + other == standing(ledger, workload) == CAPACITY
        # Run once more, all of it is as it was.
        before = types(ledger, workload)
        assert (decide(ledger, workload, "b", 9), decide(ledger, workload, "a", 7)) == (other, mine)
        assert types(ledger, workload) == before
        assert before.count("committed") == before.count("reserved") == 2
        if ended:
            break
    assert moment > 8


def test_never_run_again_it_holds_nothing_for_longer_than_stated(settings: Settings, ledger: Ledger) -> None:
    for moment in itertools.count():
        workload = f"never{moment}"
        ended = not died(settings, workload, moment, 7)
        committed = "committed" in types(ledger, workload)
        got = decide(ledger, workload, "b", 9, LATER)
        # What was committed stays; all else is there again.
        assert got == (3 if committed else 9)
        assert standing(ledger, workload) == got + (7 if committed else 0) <= CAPACITY
        if ended:
            break
    assert committed


def test_killed_while_it_is_decided_again_either_use_fits(settings: Settings, ledger: Ledger) -> None:
    for moment in itertools.count():
        workload = f"other{moment}"
        decide(ledger, workload, "a", 6)
        ended = not died(settings, workload, moment, 3)
        during = standing(ledger, workload)
        assert during in (6, 3)
        other = decide(ledger, workload, "b", 9)
        assert other == CAPACITY - during
        # Both ways on: the old use stands, or the new one is committed; b was given nothing of either.
        assert decide(ledger, workload, "a", 3) == 3
        assert standing(ledger, workload) == 3 + other <= CAPACITY
        if ended:
            break
