"""A row kept as JSON with its types is the row: it comes back as it was, and a contract judges it the same."""

import datetime as dt
import decimal
import json
import math
import zoneinfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import canonical_json, row_types
from contracts.enforcement import enforce, enforce_together
from tests.contracts.test_enforcement import GOOD, PARCEL_CONTRACT, rows

INSTANTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001
ZONED = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
TEXT = st.text(max_size=4) | st.sampled_from(["NaN", "1", "2.50", "2024-06-01", "null", "-Infinity", "P001", "true"])
COUNTS = st.integers(-(2**63), 2**63 - 1)
TYPES: dict[str, tuple[pl.DataType, st.SearchStrategy]] = {
    "text": (pl.String(), TEXT),
    "number": (pl.Float64(), st.floats()),
    "narrow number": (pl.Float32(), st.floats(width=32)),
    "integer": (pl.Int64(), COUNTS | st.integers(-2, 2)),
    "narrow integer": (pl.UInt8(), st.integers(0, 255)),
    "truth": (pl.Boolean(), st.booleans()),
    "date": (pl.Date(), st.dates()),
    "time": (pl.Time(), st.times()),
    "naive": (pl.Datetime("us"), INSTANTS),
    "zoned": (pl.Datetime("us", "America/New_York"), ZONED),
    "utc": (pl.Datetime("us", "UTC"), ZONED),
    "milliseconds": (pl.Datetime("ms", "UTC"), ZONED.map(lambda at: at.replace(microsecond=5000))),
    "duration": (pl.Duration("us"), st.timedeltas(dt.timedelta(-999), dt.timedelta(999))),
    "decimal": (pl.Decimal(9, 2), st.integers(-(10**6), 10**6).map(lambda n: decimal.Decimal(n) / 100)),
    "bytes": (pl.Binary(), st.binary(max_size=3)),
    "category": (pl.Categorical(), TEXT),
    "enumeration": (pl.Enum(["a", "b"]), st.sampled_from(["a", "b"])),
    "list": (pl.List(pl.Float64()), st.lists(st.floats() | st.none(), max_size=2)),
    "array": (pl.Array(pl.Int8(), 2), st.lists(st.integers(-9, 9), min_size=2, max_size=2)),
    "struct": (
        pl.Struct({"a": pl.Int8(), "t": pl.Datetime("us", "UTC")}),
        st.fixed_dictionaries({"a": st.integers(0, 9) | st.none(), "t": ZONED}),
    ),
    "nothing": (pl.Null(), st.none()),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Frames with some of the contract's columns, and others, in any types and any order."""
    names = draw(st.lists(st.sampled_from([*PARCEL_CONTRACT.schema, "other"]), unique=True, max_size=6))
    height = draw(st.integers(1, 3))
    series = []
    for name in names:
        dtype, values = TYPES[draw(st.sampled_from(sorted(TYPES)))]
        data = draw(st.lists(st.none() | values, min_size=height, max_size=height))
        series.append(pl.Series(name, data, dtype=dtype))
    return pl.DataFrame(series) if series else pl.DataFrame(height=height)


def again(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, kept as JSON and read back."""
    return canonical_json.frame(canonical_json.rows(frame), row_types.parsed(row_types.described(frame.schema)))


@settings(max_examples=50, deadline=None)
@given(frames())
def test_a_row_kept_as_json_comes_back_as_it_was_and_is_judged_the_same(frame: pl.DataFrame) -> None:
    back = again(frame)
    assert back.schema == frame.schema
    assert back.columns == frame.columns
    assert back.equals(frame, null_equal=True)
    assert canonical_json.rows(back) == canonical_json.rows(frame)
    first, second = enforce(frame, PARCEL_CONTRACT), enforce(back, PARCEL_CONTRACT)
    assert first.quarantined.equals(second.quarantined)
    assert first.valid.equals(second.valid)


def read_one_by_one(texts: list[str], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The frame, read by Python's own reader and restored value by value."""
    read = [json.loads(text) for text in texts]
    restored = canonical_json._restored
    return pl.DataFrame(
        [
            pl.Series(name, [restored(row.get(name), dtype) for row in read], dtype=dtype)
            for name, dtype in schema.items()
        ]
    )


# What a row may hold in place of what its type says. Of some types polars panics then: they are left out, or given no
# number.
ODD = [None, True, [1], "", "x", "NaN", "-Infinity", "1.5", "nan", "2013-01-01", "2013-01-01T00:00:00Z", "0a", "\ud800"]
NUMBERS = [0, -1, 5, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 0.1, -0.0, 5e-324, 1e308, math.nan, math.inf]
NESTED_OR_PANICS = {"list", "array", "struct", "nothing", "duration", "decimal"}
PLAIN = {name: TYPES[name] for name in TYPES if name not in NESTED_OR_PANICS}
REFUSED = (TypeError, ValueError, ArithmeticError, pl.exceptions.PolarsError)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_rows_are_read_fast_to_the_frame_that_they_are_read_to_one_by_one(data: st.DataObject) -> None:
    """Whatever the rows hold, of columns that are missing or not asked for, too; what is refused is refused by both."""
    names = data.draw(st.lists(st.sampled_from(sorted(PLAIN)), unique=True, min_size=1, max_size=2))
    schema = {name: PLAIN[name][0] for name in names}
    usual = {name: pl.DataFrame({name: data.draw(PLAIN[name][1])}, schema={name: PLAIN[name][0]}) for name in names}
    spelt = {name: json.loads(canonical_json.rows(usual[name])[0])[name] for name in names}
    odd = {name: ODD if schema[name].is_temporal() else [*ODD, *NUMBERS] for name in names}
    values = {name: st.just(spelt[name]) | st.sampled_from(odd[name]) for name in names}
    row = st.fixed_dictionaries({}, optional={**values, "another": st.sampled_from([*ODD, *NUMBERS])})
    texts = [json.dumps(each) for each in data.draw(st.lists(row, max_size=3))]
    try:
        expected = read_one_by_one(texts, schema)
    except REFUSED:
        with pytest.raises(REFUSED):
            canonical_json.frame(texts, schema)
        return
    found = canonical_json.frame(texts, schema)
    assert found.schema == expected.schema
    assert found.equals(expected, null_equal=True)
    assert str(found.rows()) == str(expected.rows()), "down to the sign of zero"


def test_numbers_are_read_as_they_are_spelt() -> None:
    spelt = [
        "1",
        "-0.0",
        "5e-324",
        "1e400",
        "9007199254740993",
        "1" * 30,
        '"NaN"',
        '"-Infinity"',
        '"1.5"',
        "NaN",
        "null",
    ]
    texts = ["{}", *(f'{{"b":[1],"a":{one}}}' for one in spelt)]
    found = canonical_json.frame(texts, {"a": pl.Float64()})["a"].to_list()
    expected = [None, 1.0, -0.0, 5e-324, math.inf, 2.0**53, float("1" * 30), math.nan, -math.inf, 1.5, math.nan, None]
    assert str(found) == str(expected)
    for columns, schema in (('"a":1.5', {"a": pl.Int64()}), ('"a":1', {"a": pl.String()})):
        with pytest.raises(TypeError):
            canonical_json.frame(["{" + columns + "}"], schema)


def test_a_missing_column_and_a_column_of_nulls_are_told_apart() -> None:
    without, nulls = rows({}, drop=("note",)), rows({"note": None})
    assert [frame.columns == again(frame).columns for frame in (without, nulls)] == [True, True]
    assert enforce(again(without), PARCEL_CONTRACT).quarantined["rules"].to_list() == [["note: missing column"]]
    assert enforce(again(nulls), PARCEL_CONTRACT).valid.height == 1


def test_the_same_instant_keeps_its_zone() -> None:
    zone = zoneinfo.ZoneInfo("America/New_York")
    frame = pl.DataFrame(
        {"at": [dt.datetime(2013, 11, 3, 1, 30, fold=fold, tzinfo=zone) for fold in (0, 1)]},
        schema={"at": pl.Datetime("us", "America/New_York")},
    )
    assert again(frame).equals(frame)
    assert again(frame)["at"].to_physical().diff()[1] == 3_600_000_000


def test_a_value_of_pythons_own_comes_back_as_its_text() -> None:
    frame = pl.DataFrame({"thing": pl.Series([frozenset()], dtype=pl.Object)})
    assert again(frame).row(0) == ("frozenset()",)


def test_a_type_that_there_is_not_is_refused() -> None:
    with pytest.raises(row_types.UnreadableTypeError, match="'float12'"):
        row_types.parsed('{"a":"float12"}')


# --- several frames that make up one partition ---------------------------------------------------


def test_values_are_compared_and_not_how_they_are_spelt() -> None:
    spelt = rows({"weight": "2.50"}, {"weight": "2.5", "parcel_id": "P000"}, weight=pl.String)
    assert enforce(spelt, PARCEL_CONTRACT).quarantined["rules"].to_list() == [["key: duplicate"]]


def test_values_that_do_not_convert_are_compared_as_they_came() -> None:
    same, other = {"parcel_id": "P001", "weight": "heavy"}, {"parcel_id": "P001", "weight": "light"}
    split = enforce(rows(same, same, weight=pl.String), PARCEL_CONTRACT)
    assert split.quarantined["rules"].to_list() == [
        ["weight: type number"],
        ["key: duplicate", "weight: type number"],
    ]
    split = enforce(rows(same, other, weight=pl.String), PARCEL_CONTRACT)
    assert split.quarantined["rules"].to_list() == [["key: conflict", "weight: type number"]] * 2


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["P001", "P002", "bad"]),
            st.sampled_from(["1", "2.5", "2.50", "99", "heavy", None]),
            st.integers(0, 2),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_parts_of_a_partition_are_split_as_the_whole_is(drawn: list[tuple[str, str | None, int, bool]]) -> None:
    """Whatever rows lie in which part, typed already where they can be: each has the rules it has among all."""
    data = [GOOD | {"parcel_id": parcel, "weight": weight} for parcel, weight, _, _ in drawn]
    schema = PARCEL_CONTRACT.schema | {"weight": pl.String()}
    whole = pl.DataFrame(data, schema=schema).with_columns(part=pl.Series([p for _, _, p, _ in drawn], dtype=pl.Int64))
    in_order = whole.sort("part", maintain_order=True)
    alone = enforce(in_order.drop("part"), PARCEL_CONTRACT)
    parts = [whole.filter(pl.col("part") == number).drop("part") for number in range(3)]
    numbers = pl.col("weight").cast(pl.Float64, strict=False)
    typed = [part.with_columns(numbers) if part.select(numbers.is_not_null().all()).item() else part for part in parts]
    together = enforce_together(typed, PARCEL_CONTRACT)
    assert (
        pl.concat([split.quarantined["rules"] for split in together]).to_list() == alone.quarantined["rules"].to_list()
    )
    assert pl.concat([split.valid for split in together]).equals(alone.valid)
