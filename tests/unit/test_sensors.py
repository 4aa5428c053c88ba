"""Which days a sensor runs, and how often it tries."""

from __future__ import annotations

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from automation.sensors import ATTEMPTS, _once_each, next_days

DAYS = st.sampled_from(["2013-03-01", "2013-03-02", "2013-03-03"])
MARKS = st.dictionaries(DAYS, st.sampled_from(["a", "b"]))


def test_a_day_that_was_never_run_is_run_the_oldest_first() -> None:
    delivered = {"2013-03-03": "a", "2013-03-02": "a", "2013-03-01": "a"}
    assert next_days(delivered, {}, {"2013-03-01"}, ready=True, most=1) == ["2013-03-02"]
    assert next_days(delivered, {}, {"2013-03-01"}, ready=True, most=9) == ["2013-03-02", "2013-03-03"]


def test_a_day_that_is_delivered_again_is_run_again() -> None:
    assert next_days({"2013-03-01": "b"}, {"2013-03-01": "a"}, {"2013-03-01"}, ready=True, most=1) == ["2013-03-01"]
    assert next_days({"2013-03-01": "a"}, {"2013-03-01": "a"}, {"2013-03-01"}, ready=True, most=1) == []


def test_nothing_is_run_while_a_day_is_running() -> None:
    assert next_days({"2013-03-01": "b"}, {}, set(), ready=False, most=1) == []


@given(MARKS, st.sets(DAYS))
def test_handling_what_it_asks_for_comes_to_an_end(delivered: dict[str, str], materialized: set[str]) -> None:
    handled: dict[str, str] = {}
    for _ in delivered:
        chosen = next_days(delivered, handled, materialized, ready=True, most=1)
        handled |= {day: delivered[day] for day in chosen}
    assert next_days(delivered, handled, materialized, ready=True, most=1) == []
    assert set(handled) == set(delivered) - materialized


@given(MARKS, MARKS, st.sets(DAYS), st.integers(0, 3))
def test_it_asks_only_for_days_that_were_delivered_in_order_and_no_more_than_allowed(
    delivered: dict[str, str], handled: dict[str, str], materialized: set[str], most: int
) -> None:
    chosen = next_days(delivered, handled, materialized, ready=True, most=most)
    assert chosen == sorted(set(chosen) & set(delivered))
    assert len(chosen) <= most
    assert all(handled.get(day) != delivered[day] for day in chosen)


@dg.job
def judging() -> None: ...


def test_a_thing_has_one_run_and_another_where_it_did_not_come_to_its_end_a_few_times() -> None:
    with dg.instance_for_test() as instance:

        def asked() -> list[str]:
            found = _once_each(instance, "judging", "w version", ["3", "4"])
            assert (found.skip_reason is None) == bool(found.run_requests)
            return [each.run_key or "" for each in found.run_requests or ()]

        assert asked() == asked() == ["w version 3, 0", "w version 4, 0"], "a key that was used is not run again"
        ends = [instance.report_run_failed, instance.report_run_canceled, instance.report_run_failed]
        assert len(ends) == ATTEMPTS
        for number, end in enumerate(ends, start=1):
            end(instance.create_run_for_job(judging, tags={"dagster/partition": "3"}))
            assert asked() == [*([f"w version 3, {number}"] if number < ATTEMPTS else []), "w version 4, 0"]
        for end in ends:
            end(instance.create_run_for_job(judging, tags={"dagster/partition": "4"}))
        assert asked() == []
        said = _once_each(instance, "judging", "w version", ["3", "4"]).skip_reason
        assert said is not None
        assert said.skip_message == "Each of these runs failed 3 times, run it by hand: w version 3, 4."
