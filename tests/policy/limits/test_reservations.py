"""Together, batches never use more than there is; a replay leaves the ledger as it was; nothing is held forever."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from automation.ledger import store
from automation.ledger.store import Happened, Ledger
from automation.policy.choice import Actions, Choice, choose
from automation.policy.limits.declared import Budget, Every, Limit
from automation.policy.limits.reservations import (
    HOLD,
    LimitsContendedError,
    Reservation,
    ReservationFinalError,
    ReservationLostError,
    commit,
    release,
    reserve,
    stream,
    used,
)
from automation.policy.limits.use import Snapshot, Use, UsesInvalidError, as_data, from_data
from automation.settings import Settings
from tests.ledger.conftest import NOW

DAY, WORKLOAD, CAPACITY = date(2013, 3, 1), "flights", 10
SEAT = Use("protect per origin every day", "EWR", "day")
LATER = NOW + HOLD + timedelta(seconds=1)


def up_to(wanted: int, capacity: int = CAPACITY) -> Callable[[Snapshot], tuple[int, dict[Use, int]]]:
    """A choice that takes as many as it wants, or as many as are left."""

    def take(snapshot: Snapshot) -> tuple[int, dict[Use, int]]:
        got = max(0, min(wanted, capacity - snapshot.used.get(SEAT, 0)))
        return got, {SEAT: got}

    return take


def taken(ledger: Ledger, batch: str, wanted: int, now: datetime = NOW) -> tuple[int, Reservation]:
    return reserve(ledger, WORKLOAD, DAY, batch, up_to(wanted), now)


def events(ledger: Ledger) -> list[tuple[str, str]]:
    return [(event.type, event.data["batch"]) for event in ledger.events(stream(WORKLOAD, DAY))]


def test_what_one_reserved_the_next_sees(ledger: Ledger) -> None:
    got, first = taken(ledger, "a", 7)
    assert (got, first.uses, first.snapshot.used, first.version) == (7, {SEAT: 7}, {}, 1)
    got, second = taken(ledger, "b", 7)
    assert (got, second.uses, second.snapshot.used, second.version) == (3, {SEAT: 3}, {SEAT: 7}, 2)
    commit(ledger, first, NOW)
    commit(ledger, second, NOW)
    assert used(ledger, WORKLOAD, DAY) == {SEAT: 10}
    assert taken(ledger, "c", 7)[0] == 0
    assert events(ledger) == [
        ("reserved", "a"),
        ("reserved", "b"),
        ("committed", "a"),
        ("committed", "b"),
        ("reserved", "c"),
    ]
    assert ledger.streams("limits/") == [("limits/flights/2013-03-01", 5)]


def test_a_day_replayed_leaves_the_ledger_as_it_was_and_is_chosen_on_the_same_snapshot(ledger: Ledger) -> None:
    first = {}
    for batch in "abc":
        first[batch] = taken(ledger, batch, 4)
        commit(ledger, first[batch][1], NOW)
    before = [event.leaf for event in ledger.events(stream(WORKLOAD, DAY))]
    for batch in "cabbac":
        again = taken(ledger, batch, 4, LATER)
        assert again == first[batch]
        commit(ledger, again[1], LATER)
    assert [event.leaf for event in ledger.events(stream(WORKLOAD, DAY))] == before


def test_a_batch_that_uses_nothing_is_replayed_on_its_snapshot_too(ledger: Ledger) -> None:
    first = taken(ledger, "a", 0)
    commit(ledger, first[1], NOW)
    commit(ledger, taken(ledger, "b", 5)[1], NOW)
    assert taken(ledger, "a", 0, LATER) == first
    assert first[1].snapshot.used == {}


def test_decided_again_otherwise_a_batch_replaces_its_own_use(ledger: Ledger) -> None:
    _, first = taken(ledger, "a", 6)
    commit(ledger, first, NOW)
    got, again = taken(ledger, "a", 8)
    assert (got, again.snapshot.used) == (8, {})
    # A commit whose answer was lost may come again, and finds itself done.
    commit(ledger, first, NOW)
    # Until the new one is committed either may come to stand.
    assert used(ledger, WORKLOAD, DAY) == {SEAT: 8}
    got, less = taken(ledger, "a", 2)
    assert (got, used(ledger, WORKLOAD, DAY)) == (2, {SEAT: 6})
    with pytest.raises(ReservationLostError):
        commit(ledger, again, NOW)
    commit(ledger, less, NOW)
    assert used(ledger, WORKLOAD, DAY) == {SEAT: 2}
    assert taken(ledger, "b", 9)[0] == 8


def test_a_new_use_that_is_given_up_leaves_the_old_one(ledger: Ledger) -> None:
    _, first = taken(ledger, "a", 6)
    commit(ledger, first, NOW)
    release(ledger, taken(ledger, "a", 9)[1], NOW, "a gate failed")
    assert used(ledger, WORKLOAD, DAY) == {SEAT: 6}
    with pytest.raises(ReservationFinalError, match="a committed to version 1 of limits/flights/2013-03-01"):
        release(ledger, first, NOW, "no reason")


def test_what_is_released_is_there_again_and_released_once(ledger: Ledger) -> None:
    _, mine = taken(ledger, "a", 10)
    for _ in range(2):
        release(ledger, mine, NOW, "a gate failed")
    assert events(ledger) == [("reserved", "a"), ("released", "a")]
    assert used(ledger, WORKLOAD, DAY) == {}
    with pytest.raises(ReservationLostError, match="Decide the batch again"):
        commit(ledger, mine, NOW)
    assert taken(ledger, "b", 10)[0] == 10


def test_what_a_killed_decider_left_is_released_after_the_stated_time(ledger: Ledger) -> None:
    _, left = taken(ledger, "a", 10)
    assert taken(ledger, "b", 4, NOW + HOLD)[0] == 0
    got, mine = taken(ledger, "b", 4, LATER)
    assert (got, mine.snapshot.used) == (4, {})
    assert events(ledger)[-2:] == [("released", "a"), ("reserved", "b")]
    # It was only slow: what it decided is not published.
    with pytest.raises(ReservationLostError):
        commit(ledger, left, LATER)
    assert taken(ledger, "a", 10, LATER)[0] == 6
    commit(ledger, mine, LATER)
    # The snapshot is rebuilt with what was released in the same transaction.
    assert taken(ledger, "b", 4, LATER) == (4, mine)


def test_a_slow_decider_whose_reservation_nobody_wanted_may_commit(ledger: Ledger) -> None:
    _, mine = taken(ledger, "a", 10)
    commit(ledger, mine, LATER)
    assert taken(ledger, "b", 1, LATER)[0] == 0


def test_a_reservation_that_runs_out_soon_is_made_anew(ledger: Ledger) -> None:
    _, first = taken(ledger, "a", 5)
    assert taken(ledger, "a", 5, NOW + HOLD / 2) == (5, first)
    _, anew = taken(ledger, "a", 5, NOW + HOLD * 0.6)
    assert (anew.version, used(ledger, WORKLOAD, DAY)) == (2, {SEAT: 5})
    assert taken(ledger, "b", 9, LATER)[0] == 5
    commit(ledger, anew, LATER)


def test_a_lowered_limit_holds_when_a_day_is_decided_again(ledger: Ledger) -> None:
    commit(ledger, taken(ledger, "a", 6)[1], NOW)
    commit(ledger, taken(ledger, "b", 4)[1], NOW)
    got, anew = reserve(ledger, WORKLOAD, DAY, "a", up_to(6, capacity=7), NOW)
    assert (got, anew.snapshot.used) == (3, {SEAT: 4})


def test_whoever_comes_second_chooses_again_on_what_is_left(ledger: Ledger, settings: Settings) -> None:
    seen = []

    def slowly(snapshot: Snapshot) -> tuple[int, dict[Use, int]]:
        seen.append(snapshot.used)
        if len(seen) == 1:
            with store.opened(settings) as other:
                taken(other, "b", 8)
        return up_to(5)(snapshot)

    got, mine = reserve(ledger, WORKLOAD, DAY, "a", slowly, NOW)
    assert (got, seen, mine.snapshot.version) == (2, [{}, {SEAT: 8}], 1)


def test_whoever_always_comes_second_gives_up(ledger: Ledger, settings: Settings) -> None:
    numbers = itertools.count()

    def never_first(snapshot: Snapshot) -> tuple[int, dict[Use, int]]:
        with store.opened(settings) as other:
            taken(other, f"b{next(numbers)}", 0)
        return up_to(5)(snapshot)

    with pytest.raises(LimitsContendedError, match="Others appended to limits/flights/2013-03-01 first, 4 times"):
        reserve(ledger, WORKLOAD, DAY, "a", never_first, NOW, attempts=4)
    assert "a" not in {batch for _, batch in events(ledger)}


def test_more_groups_than_an_event_holds_are_reserved_in_one_transaction(ledger: Ledger) -> None:
    many = {Use("notify per customer every day", f"customer {n:06}", "day"): n + 1 for n in range(6_000)}
    _, mine = reserve(ledger, WORKLOAD, DAY, "a", lambda _: (None, many), NOW)
    assert len(events(ledger)) > 3
    assert used(ledger, WORKLOAD, DAY) == many
    commit(ledger, mine, NOW)
    length = len(events(ledger))
    assert reserve(ledger, WORKLOAD, DAY, "a", lambda _: (None, many), LATER) == (None, mine)
    assert len(events(ledger)) == length
    assert taken(ledger, "b", 1)[1].snapshot.used == many


@pytest.mark.parametrize("type_", ["forgiven", "committed", "released"])
def test_an_event_that_cannot_be_there_stops_everything(ledger: Ledger, type_: str) -> None:
    ledger.append(stream(WORKLOAD, DAY), 0, [Happened(type_, {"batch": "a", "reservation": 1}, NOW)])
    with pytest.raises(ValueError, match=f"has an event {type_} as version 1"):
        taken(ledger, "a", 1)


def test_units_that_are_none_are_not_reserved(ledger: Ledger) -> None:
    for units in (-1, 1.5, True, np.int64(1), None):
        with pytest.raises(UsesInvalidError):
            reserve(ledger, WORKLOAD, DAY, "a", lambda _, u=units: (None, {SEAT: u}), NOW)
    assert events(ledger) == []


def in_processes(works: list[Callable[[], None]]) -> None:
    """Runs each in a process of its own, all at once."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            failed = 1
            try:
                work()
                failed = 0
            finally:
                os._exit(failed)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(children)


def test_processes_at_once_never_use_more_than_there_is_and_leave_nothing(settings: Settings, ledger: Ledger) -> None:
    def deciding(process: int) -> Callable[[], None]:
        def work() -> None:
            with store.opened(settings) as own:
                for number in range(6):
                    _, mine = taken(own, f"{process}-{number}", 2 + process % 2)
                    assert used(own, WORKLOAD, DAY)[SEAT] <= CAPACITY
                    if number == 1:
                        release(own, mine, NOW, "a gate failed")
                    else:
                        commit(own, mine, NOW)

        return work

    in_processes([deciding(process) for process in range(4)])
    assert used(ledger, WORKLOAD, DAY) == {SEAT: CAPACITY}
    total, held = 0, {}
    for event in ledger.events(stream(WORKLOAD, DAY)):
        units = sum(windows["day"] for _, windows in event.data.get("uses", {}).get(SEAT.limit, []))
        before = held.pop(event.data["batch"], 0)
        if event.type == "reserved":
            held[event.data["batch"]] = units
        elif event.type == "committed":
            total += before
        # At no version was more in use than there is.
        assert total + sum(held.values()) <= CAPACITY
    assert total == CAPACITY


def test_two_days_of_cases_decided_at_once_share_budget_and_seats(settings: Settings, ledger: Ledger) -> None:
    """The choice itself, with the limits of a workload, from two threads on one day."""
    limits = [
        Limit(action="protect", at_most=30, per="origin"),
        Limit(action="notify", at_most=2, per="origin", every=Every.HOUR),
        Budget(dollars=2_000),
    ]
    chosen: dict[str, Choice] = {}
    together = threading.Barrier(2)

    def decide(batch: str, seed: int) -> None:
        rng, count = np.random.default_rng(seed), 200
        actions = Actions(
            ("proceed", "notify", "protect"),
            "proceed",
            rng.random((count, 3)) + np.array([2.0, 0.5, 0.0]),
            np.tile([0, 150, 2_500], (count, 1)),
            np.ones((count, 3), bool),
        )
        origin, hours = rng.choice(["EWR", "JFK", "LGA"], count), rng.integers(0, 24, count)

        def on(snapshot: Snapshot) -> tuple[Choice, Mapping[Use, int]]:
            made = choose(actions, range(count), limits, {"origin": origin}, hours, snapshot.used)
            return made, made.uses

        with store.opened(settings) as own:
            together.wait()
            chosen[batch], mine = reserve(own, WORKLOAD, DAY, batch, on, NOW)
            commit(own, mine, NOW)
            # The snapshot it was decided on is all that a replay needs.
            said = from_data(json.loads(json.dumps(as_data(mine.snapshot.used))))
            again, _ = on(replace(mine.snapshot, used=said))
            assert again.chosen.tolist() == chosen[batch].chosen.tolist()

    threads = [threading.Thread(target=decide, args=(batch, seed)) for seed, batch in enumerate("ab")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both = used(ledger, WORKLOAD, DAY)
    for limit in limits:
        assert max(units for use, units in both.items() if use.limit == limit.key) <= limit.capacity
    assert sum(both.get(use, 0) for use in both if use.limit == limits[2].key) > 200_000 - 2_500
    for use, units in both.items():
        assert units == sum(made.uses.get(use, 0) for made in chosen.values())


_DAYS = itertools.count()
STEP = st.tuples(st.sampled_from(["reserve", "commit", "release", "wait"]), st.sampled_from("abc"), st.integers(0, 8))


@given(st.lists(STEP, max_size=14))
@examples(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_batches_do_no_more_is_used_than_there_is(ledger: Ledger, steps: list[tuple[str, str, int]]) -> None:
    workload, now = f"flights{next(_DAYS)}", NOW
    held: dict[str, tuple[Reservation, int]] = {}
    standing: dict[str, int] = {}
    for what, batch, number in steps:
        if what == "wait":
            now += HOLD / 8 * number
        elif what == "reserve":
            length = ledger.version(stream(workload, DAY))
            got, mine = reserve(ledger, workload, DAY, batch, up_to(number), now)
            held[batch] = mine, got
            assert mine.version > length or got == sum(mine.uses.values())
        elif batch in held:
            mine, got = held[batch]
            try:
                if what == "commit":
                    commit(ledger, mine, now)
                    standing[batch] = got
                else:
                    release(ledger, mine, now, "asked to")
                    del held[batch]
            except (ReservationLostError, ReservationFinalError):
                pass
        both = used(ledger, workload, DAY).get(SEAT, 0)
        # What was committed to is counted, whatever else is held, and all of it together fits.
        assert sum(standing.values()) <= both <= CAPACITY
