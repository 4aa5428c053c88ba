"""Whatever is wrong with an input, a person decides: no machine may do more than it might on the clean input."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import assets.flight_disruption
from automation.policy.tables.document import Kind, Verdict
from automation.policy.tables.judge import Table
from tests.policy.tables.made import every_operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from automation.policy.tables.document import Input

PILOT = Path(assets.flight_disruption.__path__[0]) / "policy" / "decision_table.json"

PILOT_CASES = {
    "action": ["proceed", "notify", "protect"],
    "probability": [0.01, 0.05, 0.7],
    "price": [0.0, 3000.0, 3000.01],
    "stake": [91.3],
    "saving": [-3.5, 0.0, 12.25],
    "origin": ["EWR", "LGA"],
    "hour": [6, 21, 23],
}
EVERY_CASES = {
    "amount": [-101.0, -0.5, 50.0, 550.0, 950.0],
    "share": [0.2, 0.5, 0.95],
    "stake": [100.0, 250.0, 350.0],
    "count": [-20, -7, 3, 7, 11],
    "place": ["EWR", "La Guardia"],
    "note": ["snow", "strike", "calm"],
    "known": [True, False],
}


def clean(table: Table, choices: dict[str, list]) -> pl.DataFrame:
    """A case for each rule of a table, which matches as few others as can be, and one that no rule does if there is."""
    frame = pl.DataFrame([dict(zip(choices, case, strict=True)) for case in product(*choices.values())])
    found = table.judge(frame)
    rules = found["rules"].explode().unique(maintain_order=True).to_list()
    few = found["rules"].list.len().arg_sort()
    frame, ruled = frame[few], found["rules"][few]
    return frame[[ruled.list.contains(rule).arg_true()[0] for rule in rules]]


@pytest.fixture(scope="module", params=["pilot", "every_operator"])
def asked(request: pytest.FixtureRequest) -> tuple[Table, pl.DataFrame]:
    if request.param == "pilot":
        table = Table.load(PILOT)
        return table, clean(table, PILOT_CASES)
    table = Table.parse(every_operator(), "every_operator.json")
    return table, clean(table, EVERY_CASES)


ANY_KIND: dict[str, Any] = {
    "a null": None,
    "a day": date(2013, 3, 1),
    "an instant": datetime(2013, 3, 1, 12),  # noqa: DTZ001 - a wrong value
    "a time": time(12),
    "a duration": timedelta(hours=1),
    "a list": [1.0],
    "a struct": {"x": 1.0},
    "bytes": b"JFK",
}
NUMBERS: dict[str, Any] = {
    "a truth value": True,
    "a number as text": "0.5",
    "a number as text with an exponent": "1e3",
    "an empty text": "",
    "not a number": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "more than any": 1e300,
    "less than any": -1e300,
    "a whole number beyond 2^53": 2**53 + 1,
    "a whole number of 64 bits": -(2**63),
}
TEXTS: dict[str, Any] = {
    "a truth value": True,
    "a whole number": 1,
    "a fraction": 0.5,
    "an empty text": "",
    "white space": "  ",
    "white space before": " JFK",
    "white space after": "JFK\t",
    "a no-break space after": "JFK\u00a0",
}
TRUTHS: dict[str, Any] = {
    "a one": 1,
    "a zero": 0,
    "a fraction": 1.0,
    "a word": "true",
    "an empty text": "",
}


def bad(given: Input) -> Iterator[tuple[str, pl.Series | None]]:
    """Every kind of bad value of an input, as a column of one row; None for no column."""
    values = ANY_KIND | (NUMBERS if given.kind.is_number else TEXTS if given.kind is Kind.STRING else TRUTHS)
    if given.kind is Kind.INTEGER:
        values = values | {"a fraction": 1.0}
    if given.values:
        values = values | {"another text": "XXX", "another case": given.values[0].swapcase()}
    if given.minimum is not None:
        values = values | {"too little": type(given.minimum)(given.minimum - 1)}
        if given.kind is Kind.NUMBER:
            values = values | {"barely too little": given.minimum - 1e-9}
    if given.above is not None:
        values = values | {"the bound itself": float(given.above), "what is rounded to it": given.above + 1e-9}
    if given.maximum is not None:
        values = values | {"too much": type(given.maximum)(given.maximum + 1)}
    yield "no column", None
    yield "an object", pl.Series([object()], dtype=pl.Object)
    yield "a null of its type", pl.Series([None], dtype=DTYPES[given.kind])
    for kind, value in values.items():
        yield kind, pl.Series([value])


DTYPES = {Kind.NUMBER: pl.Float64, Kind.INTEGER: pl.Int64, Kind.STRING: pl.String, Kind.BOOLEAN: pl.Boolean}


def replaced(frame: pl.DataFrame, name: str, value: pl.Series | None) -> pl.DataFrame:
    if value is None:
        return frame.drop(name)
    if value.dtype == pl.Object:
        return frame.with_columns(pl.Series(name, [object()] * frame.height, dtype=pl.Object))
    return frame.with_columns(value.new_from_index(0, frame.height).alias(name))


def test_no_bad_input_lets_the_machine_do_more(asked: tuple[Table, pl.DataFrame], record_property) -> None:
    table, cases = asked
    clean_verdicts = table.judge(cases)["verdict"]
    assert {Verdict.ALLOW, Verdict.REVIEW, Verdict.FORBID} == set(clean_verdicts)
    tried, kinds = 0, set()
    for engine in (table, table.by_engine()):
        for given in engine.inputs:
            for kind, value in bad(given):
                found = engine.judge(replaced(cases, given.name, value))
                # Exactly this, whatever the clean input's verdict: a person decides, and is told about the input.
                assert found["verdict"].to_list() == [Verdict.REVIEW] * cases.height, (given.name, kind)
                assert found["rules"].to_list() == [[f"input:{given.name}"]] * cases.height, (given.name, kind)
                assert all(reasons[0].startswith(f"{given.name} ") for reasons in found["reasons"]), (given.name, kind)
                tried, kinds = tried + cases.height, kinds | {kind}
    record_property("cases_tried", tried)
    print(f"{tried:,} cases of {len(kinds)} kinds of bad input: 0 more permissive")  # noqa: T201 - the count is the point
    assert len(kinds) >= 15
    assert tried > 1_000


def test_a_bad_row_leaves_its_neighbours_as_they_are(asked: tuple[Table, pl.DataFrame]) -> None:
    table, cases = asked
    name = next(given.name for given in table.inputs if given.kind is Kind.NUMBER)
    three = pl.concat([cases, cases, cases])
    middle = pl.int_range(three.height, eager=True).is_between(cases.height, 2 * cases.height - 1)
    broken = three.with_columns(pl.when(~middle).then(pl.col(name)))
    for engine in (table, table.by_engine()):
        found, whole = engine.judge(broken), engine.judge(three)
        assert found.filter(~middle).equals(whole.filter(~middle))
        assert set(found.filter(middle)["verdict"]) == {Verdict.REVIEW}


def test_all_that_is_wrong_with_a_row_is_said(asked: tuple[Table, pl.DataFrame]) -> None:
    table, _ = asked
    found = table.judge(pl.DataFrame({"other": [1, 2]}))
    assert found["rules"].to_list() == [[f"input:{given.name}" for given in table.inputs]] * 2
    assert found["reasons"].to_list() == [[f"{given.name} is not there" for given in table.inputs]] * 2


def test_what_is_wrong_is_said_in_words() -> None:
    table = Table.load(PILOT)
    case = clean(table, PILOT_CASES).head(1)
    said = {
        ("price", float("inf")): "price is not a finite number",
        ("price", float("nan")): "price is not a finite number",
        ("price", 2e9): "price lies beyond 1,000,000,000",
        ("price", -0.01): "price is less than 0",
        ("stake", 0.0): "stake is not more than 0",
        ("hour", 24): "hour is more than 23",
        ("hour", 5.0): "hour is of type Float64, not a whole number",
        ("price", "5"): "price is of type String, not a number",
        ("origin", "BOS"): "origin is none of EWR, JFK, LGA",
        ("origin", None): "origin is missing",
    }
    for (name, value), words in said.items():
        assert table.judge(case.with_columns(pl.lit(value).alias(name)))["reasons"].to_list() == [[words]]


def test_no_rows_are_no_answers(asked: tuple[Table, pl.DataFrame]) -> None:
    table, cases = asked
    for engine in (table, table.by_engine()):
        for frame in (cases.clear(), cases.clear().drop(cases.columns[0])):
            found = engine.judge(frame)
            assert found.schema == {"verdict": pl.String, "rules": pl.List(pl.String), "reasons": pl.List(pl.String)}
            assert found.is_empty()
        assert engine.judge(pl.DataFrame()).is_empty()


ALIKE = [
    ("saving", 5e-324, 0.0),
    ("saving", -0.0, 0.0),
    ("saving", 1e-7, 0.0),
    ("probability", 0.1 + 0.2, 0.3),
    ("probability", 0.049999999999999996, 0.05),
    ("price", 3000.0000000001, 3000.0),
]


@pytest.mark.parametrize(("name", "value", "same"), ALIKE)
def test_numbers_are_told_apart_by_six_decimals(name: str, value: float, same: float) -> None:
    table = Table.load(PILOT)
    cases = clean(table, PILOT_CASES)
    for engine in (table, table.by_engine()):
        odd, plain = (engine.judge(cases.with_columns(pl.lit(number).alias(name))) for number in (value, same))
        assert odd.equals(plain)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("price", pl.Float32),
        ("price", pl.Decimal(20, 2)),
        ("price", pl.Int32),
        ("hour", pl.UInt8),
        ("hour", pl.Int128),
        ("origin", pl.Categorical),
        ("origin", pl.Enum(["EWR", "JFK", "LGA"])),
    ],
)
def test_a_column_of_another_type_of_the_same_kind_is_the_same(name: str, dtype: pl.DataType) -> None:
    table = Table.load(PILOT)
    cases = clean(table, PILOT_CASES | {"price": [0.0, 3000.0, 3001.0]})
    assert table.judge(cases.with_columns(pl.col(name).cast(dtype))).equals(table.judge(cases))


def test_a_null_among_decimals_is_missing() -> None:
    table = Table.load(PILOT)
    cases = clean(table, PILOT_CASES).head(1)
    price = pl.Series("price", [Decimal("1.5"), None], dtype=pl.Decimal(10, 2))
    found = table.judge(pl.concat([cases, cases]).with_columns(price))
    assert found["verdict"].to_list() == [Verdict.ALLOW, Verdict.REVIEW]
    assert found["reasons"].to_list()[1] == ["price is missing"]
