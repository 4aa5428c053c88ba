"""What each place for records promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.online import Backend, Record, UnknownStoreError, opened
from feature_repo.online.reader import best
from feature_repo.online.records import Mark

KEYS = ('["JFK"]', '["Zürich|Ω",1]')
records = st.builds(
    Record,
    key=st.sampled_from(KEYS),
    event=st.integers(-3, 3),
    known=st.integers(-3, 3),
    values=st.sampled_from(['[1,"a|b"]', "[null,2.5]"]),
)
writes = st.lists(st.tuples(st.booleans(), st.lists(records, max_size=3, unique_by=lambda each: each.key)), max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=writes, now=st.integers(-4, 4), pushed=st.booleans())
def test_the_newest_record_is_read_whatever_the_order_of_writes(
    backend: Backend, slot: Callable[[], str], steps: list, now: int, pushed: bool
) -> None:
    name = slot()
    for was_pushed, some in steps:
        backend.write(name, some, pushed=was_pushed)
    found = backend.read([(name, key) for key in KEYS])
    for key in KEYS:
        newest = {}
        for was_pushed, some in steps:
            for record in some:
                held = newest.get(was_pushed)
                if record.key == key and (held is None or record[1:3] >= held[1:3]):
                    newest[was_pushed] = record
        assert sorted(found.get((name, key), ())) == sorted(newest.items())
        visible = [r for p, r in newest.items() if max(r.event, r.known) <= now and (pushed or not p)]
        right = best(found.get((name, key), ()), now, pushed=pushed)
        assert (right is None) == (not visible)
        assert right is None or right[1:3] == max(r[1:3] for r in visible)


def test_records_expire_are_dropped_and_forgotten(backend: Backend, slot: Callable[[], str]) -> None:
    name, other = slot(), slot()
    for each in (name, other):
        backend.write(each, [Record("a", 1, 5, "[1]"), Record("b", 2, 2, "[2]")])
        backend.write(each, [Record("a", 3, 6, "[3]"), Record("c", 3, 9, "[4]")], pushed=True)
        backend.mark(each, Mark(7, 3))
    assert backend.expire(name, 2) == 1
    assert backend.count()[name] == (1, 2)
    assert backend.drop_pushed(name, 6) == 1
    assert backend.read([(name, "a"), (name, "c")]) in (
        {(name, "c"): [(True, Record("c", 3, 9, "[4]"))]},
        {(name, "a"): [], (name, "c"): [(True, Record("c", 3, 9, "[4]"))]},
    )
    backend.mark(name, Mark(8, 4))
    assert (backend.marks()[name], backend.marks()[other]) == (Mark(8, 4), Mark(7, 3))
    assert backend.forget(name) == 2
    assert name not in backend.count()
    assert name not in backend.marks()
    assert backend.count()[other] == (2, 2)


def test_many_records_are_written_at_once(backend: Backend, slot: Callable[[], str]) -> None:
    name = slot()
    backend.write(name, [Record(str(n), n, n, f"[{n}]") for n in range(1201)])
    assert backend.count()[name] == (1201, 0)
    found = backend.read([(name, str(n)) for n in range(1201)])
    assert all(found[name, str(n)] == [(False, Record(str(n), n, n, f"[{n}]"))] for n in range(1201))
    assert backend.expire(name, 1200) == 1200


def test_a_connection_that_the_server_ended_is_made_anew(database_url: str, slot: Callable[[], str]) -> None:
    import psycopg2

    backend, name = opened(database_url, "warrant"), slot()
    backend.write(name, [Record("a", 1, 1, "[1]")])
    with psycopg2.connect(database_url.replace("+psycopg2", "")) as ending, ending.cursor() as cursor:
        cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert backend.read([(name, "a")])[name, "a"] == [(False, Record("a", 1, 1, "[1]"))]
    backend.close()


def test_another_kind_of_store_is_refused_without_repeating_its_address() -> None:
    with pytest.raises(UnknownStoreError, match="'mysql'") as refused:
        opened("mysql://user:secret@host/db")
    assert "secret" not in str(refused.value)
