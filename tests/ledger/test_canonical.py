"""One value has one text (RFC 8785), however it is written fast."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from automation.ledger.batch import batch
from automation.ledger.canonical import NotCanonicalError, canonical, canonical_rows
from warrant_verify import leaf_hash, root_of, verify_inclusion

# RFC 8785, 3.2.2, 3.2.3 and appendix B.
PUBLISHED = [
    ('{"b":1.0,"a":[56,{"d":true,"c":null}]}', b'{"a":[56,{"c":null,"d":true}],"b":1}'),
    ('"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/"', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()),
    ("[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]", b"[333333333.3333333,1e+30,4.5,0.002,1e-27]"),
    ("[9.999999999999997e+22,1e+23,295147905179352830000.0]", b"[9.999999999999997e+22,1e+23,295147905179352830000]"),
    ("[-0.0,5e-324,0.000001,1e-7]", b"[0,5e-324,0.000001,1e-7]"),
]


@pytest.mark.parametrize(("text", "expected"), PUBLISHED)
def test_what_the_standard_shows_is_written_so(text: str, expected: bytes) -> None:
    assert canonical(json.loads(text)) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {"a": object()}, {1: 2}, {"a": date(2013, 1, 1)}])
def test_what_has_no_canonical_text_is_refused(value: object) -> None:
    with pytest.raises(NotCanonicalError):
        canonical(value)


SCHEMA = {
    "text": pl.String,
    "number": pl.Float64,
    "small": pl.Float32,
    "whole": pl.Int64,
    "yes": pl.Boolean,
    "list": pl.List(pl.Int64),
}
rows = st.tuples(
    st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8)),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60).map(float)),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.one_of(st.none(), st.integers(-(2**53) + 1, 2**53 - 1)),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.lists(st.integers(-5, 5), max_size=3)),
)


@given(st.lists(rows, max_size=5))
@example([('\x00\x1f\x7f\u2028😀"\\/', -0.0, 1e-7, 0, None, []), ("", 1e21, 0.1, 1, True, None)])
@example([(None, number, None, None, None, None) for number in (1e-5, 1e-4, 1e-3, 123456789012345.6, 2**53 + 2.0)])
def test_rows_written_at_once_are_those_written_one_by_one(given_rows: list[tuple]) -> None:
    frame = pl.DataFrame(given_rows, schema=SCHEMA, orient="row")
    for wanted in (frame, frame.drop("list")):
        assert canonical_rows(wanted) == [canonical(row) for row in wanted.iter_rows(named=True)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "long \n text", "é", None]), st.sampled_from([0.5, 2.0, 1e-9])), min_size=150
    )
)
def test_texts_that_come_again_are_written_as_ever(given_rows: list[tuple]) -> None:
    frame = pl.DataFrame(given_rows, schema={"text": pl.String, "number": pl.Float64}, orient="row")
    assert canonical_rows(frame) == [canonical(row) for row in frame.iter_rows(named=True)]


def test_instants_are_in_utc_and_days_are_days() -> None:
    at = datetime(2013, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
    frame = pl.DataFrame(
        {"at": [at, None], "there": [at, None], "bare": [datetime(2013, 3, 1), None], "day": [date(2013, 3, 1), None]}  # noqa: DTZ001
    ).with_columns(pl.col("there").dt.convert_time_zone("America/New_York"))
    assert canonical_rows(frame)[0] == (
        b'{"at":"2013-03-01T12:00:00.000005Z","bare":"2013-03-01T00:00:00.000000","day":"2013-03-01",'
        b'"there":"2013-03-01T12:00:00.000005Z"}'
    )
    assert canonical_rows(frame)[1] == b'{"at":null,"bare":null,"day":null,"there":null}'


def test_a_name_that_is_not_ascii_is_sorted_as_the_standard_says() -> None:
    frame = pl.DataFrame({"\U0001f600": [1], "\ufb33": [2], "a": [3]})
    assert canonical_rows(frame) == [canonical({"\U0001f600": 1, "\ufb33": 2, "a": 3})]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53])
def test_rows_with_what_has_no_text_are_refused(value: float) -> None:
    with pytest.raises(NotCanonicalError):
        canonical_rows(pl.DataFrame({"a": [value]}))


def test_a_batch_has_one_root_in_whatever_order_its_rows_come_and_proves_each() -> None:
    frame = pl.DataFrame({"case": [f"c{n:03}" for n in range(300)], "cost": [n / 7 for n in range(300)]})
    found = batch(frame, "case")
    assert batch(frame.reverse(), "case") == found
    assert batch(frame.with_columns(pl.col("cost") + 1e-9), "case").root != found.root
    assert found.committed["rows"] == 300
    for index in (0, 17, 299):
        leaf = canonical({"case": f"c{index:03}", "cost": index / 7})
        verify_inclusion(leaf_hash(leaf), index, 300, found.proof(index), found.root)
    assert batch(frame.clear(), "case").root == root_of([])
