"""The verdicts on two versions of a contract: twenty pairs of ours, and a proof over contracts nobody wrote."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.compatibility import Aspect, Bump, Comparison, Verdict, compare, read_by_newer, read_by_older
from contracts.contract import DTYPES, Column, Compatibility, Contract, LogicalType, RowRule
from contracts.difference import compare_documents
from contracts.document import load
from contracts.enforcement import enforce
from contracts.survey import survey
from contracts.value_sets import probes

PARCEL = Path(__file__).parent / "parcels" / "parcel.odcs.yaml"
Tree = dict[str, Any]
Edit = Callable[[Tree], object]

KEPT, BROKEN, UNSHOWN = Verdict.COMPATIBLE, Verdict.BROKEN, Verdict.UNSHOWN
NONE, PATCH, MINOR, MAJOR = Bump.NONE, Bump.PATCH, Bump.MINOR, Bump.MAJOR


def table(tree: Tree) -> Tree:
    return tree["schema"][0]


def column(tree: Tree, name: str) -> Tree:
    return next(each for each in table(tree)["properties"] if each["name"] == name)


def edit(target: str, **fields: object) -> Edit:
    """Change fields of a column; None removes one."""

    def change(tree: Tree) -> None:
        found = column(tree, target)
        found.update(fields)
        for key in [key for key, value in fields.items() if value is None]:
            found.pop(key, None)

    return change


def add(name: str, **fields: object) -> Edit:
    return lambda tree: table(tree)["properties"].append({"name": name, "logicalType": "string", **fields})


def drop(name: str) -> Edit:
    return lambda tree: table(tree)["properties"].remove(column(tree, name))


def custom(name: str, value: object) -> Edit:
    def change(tree: Tree) -> None:
        kept = [item for item in table(tree)["customProperties"] if item["property"] != name]
        table(tree)["customProperties"] = [*kept, {"property": name, "value": value}]

    return change


def quality(position: int, **fields: object) -> Edit:
    return lambda tree: table(tree)["quality"][position].update(fields)


def rule(name: str, predicate: str) -> Edit:
    item = {"type": "custom", "engine": "polars-sql", "name": name, "implementation": predicate}
    return lambda tree: table(tree)["quality"].append(item)


def retention(value: int, unit: str) -> Edit:
    def change(tree: Tree) -> None:
        kept = [level for level in tree["slaProperties"] if level["property"] != "retention"]
        tree["slaProperties"] = [*kept, {"property": "retention", "value": value, "unit": unit}]

    return change


def every(*edits: Edit) -> Edit:
    return lambda tree: [each(tree) for each in edits]


def nothing(tree: Tree) -> None:
    """The document as it is."""


@dataclass(frozen=True)
class Pair:
    """Two versions, as edits of the parcel contract, the mode, and what is to come of them."""

    new: Edit
    mode: str
    verdict: Verdict
    bump: Bump
    says: str
    old: Edit = nothing


ENUM = [{"value": "standard"}, {"value": "express"}]
PAIRS = {
    "the same": Pair(nothing, "FULL_TRANSITIVE", KEPT, NONE, ""),
    "a category more, readers first": Pair(
        edit("service", enum=[*ENUM, {"value": "drone"}]), "BACKWARD", KEPT, MINOR, "service may now be 'drone'"
    ),
    "a category more, readers last": Pair(
        edit("service", enum=[*ENUM, {"value": "drone"}]), "FORWARD", BROKEN, MAJOR, "service may now be 'drone'"
    ),
    "a category less, readers first": Pair(
        edit("service", enum=ENUM[:1]), "BACKWARD", BROKEN, MAJOR, "service may no longer be 'express'"
    ),
    "a category less, readers last": Pair(
        edit("service", enum=ENUM[:1]), "FORWARD", KEPT, MINOR, "service may no longer be 'express'"
    ),
    "an optional column": Pair(add("colour"), "FULL", KEPT, MINOR, "colour is new; it may be missing"),
    "a required column, readers first": Pair(
        add("colour", required=True), "BACKWARD", BROKEN, MAJOR, "colour is new and required"
    ),
    "a required column, readers last": Pair(
        add("colour", required=True), "FORWARD_TRANSITIVE", KEPT, MINOR, "colour is new and required"
    ),
    "a column dropped: no order of moving helps who reads it": Pair(
        drop("note"), "BACKWARD", KEPT, MAJOR, "note is dropped"
    ),
    "a column dropped, readers last": Pair(drop("note"), "FORWARD", BROKEN, MAJOR, "note is dropped"),
    "a column renamed": Pair(
        edit("weight", name="weight_kg"), "FULL", BROKEN, MAJOR, "weight_kg looks like its new name"
    ),
    "a wider integer": Pair(
        edit("scan", physicalType="int64"), "BACKWARD_TRANSITIVE", KEPT, MINOR, "scan is a integer (int64)"
    ),
    "a wider integer, both ways": Pair(
        edit("scan", physicalType="int64"), "FULL", BROKEN, MAJOR, "scan is a integer (int64)"
    ),
    "an integer as text": Pair(
        edit("scan", logicalType="string", physicalType=None), "BACKWARD", KEPT, MAJOR, "scan is a string"
    ),
    "a value that may be missing": Pair(edit("weight", required=False), "FULL", BROKEN, MAJOR, "weight may be missing"),
    "a wider range": Pair(
        edit("weight", logicalTypeOptions={"minimum": 0, "maximum": 50}),
        "BACKWARD",
        KEPT,
        MINOR,
        "weight may be 0 to 50, was 0 to 31.5",
    ),
    "the same pattern in other words": Pair(
        edit("parcel_id", logicalTypeOptions={"pattern": r"^P\d{3}$"}), "BACKWARD", UNSHOWN, MAJOR, "is to match"
    ),
    "another pattern": Pair(
        edit("parcel_id", logicalTypeOptions={"pattern": "^P[0-9]{4}$"}), "FORWARD", BROKEN, MAJOR, "is to match"
    ),
    "another unit": Pair(
        edit("weight", customProperties=[{"property": "unit", "value": "lb"}]),
        "BACKWARD",
        BROKEN,
        MAJOR,
        "weight is in lb, was in kg: the same number means something else",
    ),
    "days of another zone": Pair(
        custom("timezone", "UTC"), "FORWARD", BROKEN, MAJOR, "partitions are days of UTC, were days of Europe/Oslo"
    ),
    "a coarser key": Pair(
        edit("scan", primaryKey=None, primaryKeyPosition=None, required=True),
        "BACKWARD",
        BROKEN,
        MAJOR,
        "a row stands for one parcel_id, was one parcel_id, scan",
    ),
    "a finer key: a row means something else": Pair(
        edit("day", primaryKey=True, primaryKeyPosition=3),
        "BACKWARD",
        KEPT,
        MAJOR,
        "a row stands for one parcel_id, scan, day",
    ),
    "a row rule turned round": Pair(
        quality(1, implementation="(delivered_at >= sent_at)"),
        "FULL_TRANSITIVE",
        KEPT,
        PATCH,
        "the rules together accept the same rows",
    ),
    "a condition more in a row rule": Pair(
        quality(1, implementation="sent_at <= delivered_at AND weight > 1"), "BACKWARD", BROKEN, MAJOR, "weight > 1"
    ),
    "a condition more in a row rule, readers last": Pair(
        quality(1, implementation="sent_at <= delivered_at AND weight > 1"), "FORWARD", KEPT, MINOR, "weight > 1"
    ),
    "a rule about a new column": Pair(
        every(add("colour"), rule("not_red", "colour <> 'red'")), "FULL", KEPT, MINOR, "the row rule not_red is new"
    ),
    "a rule that cannot be decided": Pair(
        rule("odd", "LENGTH(parcel_id) * 2 > 7"), "BACKWARD", UNSHOWN, MAJOR, "the row rule odd is new"
    ),
    "a fresher promise": Pair(
        lambda tree: tree["slaProperties"][0].update(value=30),
        "BACKWARD",
        BROKEN,
        MAJOR,
        "the age of the newest known_time in a partition is at most 30 minutes, was at most 90 minutes",
    ),
    "a staler promise": Pair(
        lambda tree: tree["slaProperties"][0].update(value=2, unit="h"),
        "BACKWARD",
        KEPT,
        MINOR,
        "at most 120 minutes, was at most 90 minutes",
    ),
    "the same promise in another unit": Pair(
        lambda tree: tree["slaProperties"][0].update(value=1.5, unit="hours"), "FULL", KEPT, NONE, ""
    ),
    "rows kept shorter": Pair(
        retention(30, "d"), "BACKWARD", KEPT, MAJOR, "rows are kept for 30 days, was 365 days", retention(1, "y")
    ),
    "rows kept longer": Pair(
        retention(2, "years"), "FULL", KEPT, MINOR, "rows are kept for 730 days, was 365 days", retention(1, "y")
    ),
    "a lower threshold": Pair(
        quality(0, mustBeBetween=[1, 1000]), "BACKWARD", KEPT, MINOR, "the row count in a partition is 1 to 1000"
    ),
    "a higher threshold": Pair(
        quality(0, mustBeBetween=[3, 1000]), "BACKWARD", BROKEN, MAJOR, "the row count in a partition is 3 to 1000"
    ),
    "a laxer quarantine": Pair(custom("quarantineLimit", 0.5), "FORWARD", BROKEN, MAJOR, "a share of 0.5"),
    "deprecated": Pair(
        lambda tree: tree.update(status="deprecated"), "FULL", KEPT, MINOR, "the contract is deprecated"
    ),
    "retired": Pair(lambda tree: tree.update(status="retired"), "FORWARD", BROKEN, MAJOR, "the contract is retired"),
    "what could be otherwise": Pair(
        edit(
            "weight",
            customProperties=[
                {"property": "unit", "value": "kg"},
                {"property": "reason", "value": "a weight of {value} kg"},
                {"property": "changeable", "value": {"direction": "up", "step": 0.5}},
            ],
        ),
        "FULL",
        KEPT,
        PATCH,
        "changeable is new: words, which mean nothing to data",
    ),
    "words": Pair(
        every(edit("weight", description="How heavy."), lambda tree: tree.update(tags=["depot"])),
        "FULL_TRANSITIVE",
        KEPT,
        PATCH,
        "description differs: words, which mean nothing to data",
    ),
    "another mode": Pair(custom("compatibility", "FULL"), "FULL", KEPT, MINOR, "later versions will keep FULL"),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_each_pair_gets_its_verdict_its_words_and_the_least_honest_bump(pair: Pair, changed) -> None:
    old = survey(changed(pair.old))
    comparison = compare_documents(old, survey(changed(every(pair.old, pair.new))))
    mode = Compatibility(pair.mode)
    assert (comparison.verdict(mode), comparison.least_bump(mode)) == (pair.verdict, pair.bump), comparison
    assert pair.says in " | ".join(change.says for change in comparison.changes)
    assert bool(comparison.against(mode)) == (pair.verdict is not KEPT)


def test_every_mode_is_among_the_pairs() -> None:
    assert {pair.mode for pair in PAIRS.values()} == {mode.value for mode in Compatibility}
    assert len(PAIRS) >= 20


def test_a_mode_binds_the_directions_that_confluent_gives_it(parcel: Contract) -> None:
    wider = with_column(parcel, "service", valid_values=())
    forth, back = compare(parcel, wider), compare(wider, parcel)
    for mode in Compatibility:
        assert forth.verdict(mode) is (KEPT if mode.startswith("BACKWARD") else BROKEN)
        assert back.verdict(mode) is (KEPT if mode.startswith("FORWARD") else BROKEN)


def with_column(contract: Contract, name: str, **fields: object) -> Contract:
    columns = tuple(dataclasses.replace(each, **fields) if each.name == name else each for each in contract.columns)
    return dataclasses.replace(contract, columns=columns)


def test_a_change_that_row_rules_rule_out_anyway_is_not_said_to_break(parcel: Contract) -> None:
    """Every value outside the new range already broke the rule: no row shows a break, and none is claimed."""
    limited = dataclasses.replace(parcel, row_rules=(RowRule("light", "weight <= 20"),))
    (change,) = compare(limited, with_column(limited, "weight", maximum=25)).changes
    assert change.producers.verdict is UNSHOWN
    assert "no whole row" in change.producers.because


def test_a_rule_that_reads_a_converted_column_is_not_trusted_to_judge_as_before(parcel: Contract) -> None:
    summed = dataclasses.replace(parcel, row_rules=(RowRule("few", "scan + scan < 100"),))
    compared = dataclasses.replace(parcel, row_rules=(RowRule("few", "scan < 100"),))
    (risky,) = compare(summed, with_column(summed, "scan", physical_type="int64")).changes
    (safe,) = compare(compared, with_column(compared, "scan", physical_type="int64")).changes
    assert (risky.producers.verdict, safe.producers.verdict) == (UNSHOWN, KEPT)


def test_equal_keys_in_another_order_are_words(parcel: Contract) -> None:
    (change,) = compare(parcel, dataclasses.replace(parcel, key=parcel.key[::-1])).changes
    assert (change.aspect, change.least) == (Aspect.WORDS, PATCH)


# A proof over contracts and rows that nobody wrote.

BASE = load(PARCEL)
INTEGERS = tuple(DTYPES[LogicalType.INTEGER])
SMALL = st.integers(-3, 3)
PATTERNS = (None, "^[a-c]+$", "^x?$")
PREDICATES = ("n <= m", "n <= m AND m < 3", "n < m OR m IS NULL", "n > 0", "n >= 1", "n > -2 OR t = 'a'", "f < 1.5")


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    """A column of the type that its name stands for, with a few rules of its own."""
    required = draw(st.booleans())
    if name == "t":
        pattern = draw(st.sampled_from(PATTERNS))
        values = () if pattern else draw(st.sampled_from([(), ("a", "b"), ("a",), ("b", "c", "")]))
        return Column(name, LogicalType.STRING, "string", required, pattern=pattern, valid_values=values)
    if name == "d":
        low = draw(st.none() | st.dates(dt.date(2020, 1, 1), dt.date(2020, 1, 3)))
        return Column(name, LogicalType.DATE, "date", required, minimum=low)
    if name == "b":
        return Column(name, LogicalType.BOOLEAN, "boolean", required)
    if name == "f":
        physical, kind = draw(st.sampled_from(["float64", "float32"])), LogicalType.NUMBER
    else:
        physical, kind = draw(st.sampled_from(INTEGERS)), LogicalType.INTEGER
    low, high = draw(st.none() | SMALL), draw(st.none() | st.integers(3, 300))
    return Column(name, kind, physical, required, minimum=low, maximum=high)


@st.composite
def contracts(draw: st.DrawFn, names: tuple[str, ...]) -> Contract:
    own = tuple(draw(columns(name)) for name in names)
    return dataclasses.replace(
        BASE, columns=own, key=(), row_rules=(), expectations=(), version="1.0.0", quarantine_limit=0.0
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Contract, Contract]:
    """A contract and one that differs in a thing or two: a column, which columns there are, the key, the row rules."""
    names = draw(st.permutations(["n", "m", "f", "t", "d", "b"]).map(lambda each: tuple(sorted(each[:3]))))
    old = draw(keyed(draw(contracts(names))))
    new = old
    for edit in draw(st.lists(st.sampled_from(EDITS), min_size=1, max_size=2, unique=True)):
        new = draw(edit(new))
    return (old, new) if draw(st.booleans()) else (new, old)


@st.composite
def one_column_changed(draw: st.DrawFn, contract: Contract) -> Contract:
    position = draw(st.integers(0, len(contract.columns) - 1))
    own = list(contract.columns)
    own[position] = draw(columns(own[position].name) | retyped(own[position]))
    return sound(dataclasses.replace(contract, columns=tuple(own)))


@st.composite
def one_dropped(draw: st.DrawFn, contract: Contract) -> Contract:
    gone = draw(st.sampled_from(contract.columns))
    return sound(dataclasses.replace(contract, columns=tuple(each for each in contract.columns if each != gone)))


@st.composite
def one_added(draw: st.DrawFn, contract: Contract) -> Contract:
    return dataclasses.replace(contract, columns=(*contract.columns, draw(columns("z"))))


@st.composite
def retyped(draw: st.DrawFn, column: Column) -> Column:
    """The same name, another type, and rules of that type."""
    other = draw(columns(draw(st.sampled_from(["n", "f", "t", "d", "b"]))))
    return dataclasses.replace(other, name=column.name)


@st.composite
def keyed(draw: st.DrawFn, contract: Contract) -> Contract:
    """The contract with a key of some of its columns, which are then required, and a row rule over them, perhaps."""
    key = draw(st.lists(st.sampled_from([each.name for each in contract.columns]), unique=True, max_size=2))
    predicates = draw(st.lists(st.sampled_from(PREDICATES), max_size=1))
    rules = tuple(RowRule(f"rule {position}", predicate) for position, predicate in enumerate(predicates))
    return sound(dataclasses.replace(contract, key=tuple(key), row_rules=rules))


EDITS = (one_column_changed, one_dropped, one_added, keyed)


def sound(contract: Contract) -> Contract:
    """The contract as a document could say it: key columns are there and required, rules can be evaluated."""
    types = {each.name: each.type for each in contract.columns}
    key = tuple(name for name in contract.key if name in types)
    return dataclasses.replace(
        contract,
        key=key,
        columns=tuple(
            dataclasses.replace(each, required=each.required or each.name in key) for each in contract.columns
        ),
        row_rules=tuple(
            rule
            for rule in contract.row_rules
            if all(types.get(name) in MEANT[name] for name in pl.sql_expr(rule.predicate).meta.root_names())
        ),
    )


NUMBERS = (LogicalType.INTEGER, LogicalType.NUMBER)
MEANT = {"n": NUMBERS, "m": NUMBERS, "f": NUMBERS, "t": (LogicalType.STRING,)}
VALUES: dict[LogicalType, st.SearchStrategy] = {
    LogicalType.STRING: st.sampled_from(["a", "b", "c", "", "x", "abc", "1", "2020-01-01"]) | st.text(max_size=3),
    LogicalType.BOOLEAN: st.booleans(),
    LogicalType.DATE: st.dates(dt.date(2019, 12, 30), dt.date(2020, 1, 6)),
    LogicalType.NUMBER: st.sampled_from([0.5, 1.5, -3.0, 300.0, 2.0**60]) | st.floats(-4, 302, width=32),
}


@st.composite
def rows(draw: st.DrawFn, contract: Contract) -> pl.DataFrame:
    """Rows in the contract's types, most of them near what its rules decide, many alike but for a column."""
    height = draw(st.integers(1, 8))
    series = []
    for each in contract.columns:
        values = VALUES.get(each.type)
        if values is None:
            low, high = pl.select(low=each.dtype.min(), high=each.dtype.max()).row(0)
            values = st.sampled_from([low, high]) | st.integers(max(low, -4), min(high, 302))
        present = probes(each).drop_nulls().to_list()
        values = values | (st.sampled_from(present) if present else st.nothing())
        given = values if each.required else st.none() | values
        series.append(pl.Series(each.name, draw(st.lists(given, min_size=height, max_size=height)), dtype=each.dtype))
    frame = pl.DataFrame(series)
    # Every row again with another value in one column: what tells rows apart under one key only.
    changed = draw(st.sampled_from(frame.columns))
    return pl.concat([frame, frame.with_columns(frame[changed].reverse())])


def of_rows(comparison: Comparison) -> list:
    """The changes that rows can show: not those of partitions and of meaning."""
    asked = {Aspect.COLUMN, Aspect.TYPE, Aspect.NULLABILITY, Aspect.ENUMERATION, Aspect.RANGE, Aspect.PATTERN}
    return [change for change in comparison.changes if change.aspect in asked | {Aspect.KEY, Aspect.ROW_RULE}]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_data_of_one_version_passes_the_other_exactly_when_the_verdict_says_so(data: st.DataObject) -> None:
    old, new = data.draw(pairs())
    assume(all(probes(each).len() for contract in (old, new) for each in contract.columns))
    comparison = compare(old, new)
    directions = [(old, new, read_by_newer, "producers"), (new, old, read_by_older, "consumers")]
    for writer, reader, read, side in directions:
        judged = [getattr(change, side) for change in of_rows(comparison)]
        if all(judgement.verdict is KEPT for judgement in judged):
            valid = enforce(data.draw(rows(writer)), writer).valid
            assert enforce(read(valid, reader), reader).broken == {}
        witnesses = [
            pl.DataFrame(list(judgement.witness), schema=writer.schema).with_columns(judgement=pl.lit(position))
            for position, judgement in enumerate(judged)
            if judgement.verdict is BROKEN
        ]
        if witnesses:
            every_row = pl.concat(witnesses)
            assert enforce(every_row, writer, partition="judgement").broken == {}
            again = read(every_row.drop("judgement"), reader).with_columns(every_row["judgement"])
            refused = enforce(again, reader, partition="judgement").quarantined
            assert set(refused["judgement"]) == set(every_row["judgement"])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_without_row_rules_and_patterns_the_verdict_is_always_known(data: st.DataObject) -> None:
    """What is left undecided: general predicates, two patterns, and rounding to a narrower float."""
    old, new = (dataclasses.replace(each, row_rules=()) for each in data.draw(pairs()))
    assume(all(probes(each).len() for contract in (old, new) for each in contract.columns))
    assume(not any(each.pattern or each.physical_type == "float32" for each in (*old.columns, *new.columns)))
    for change in of_rows(compare(old, new)):
        assert UNSHOWN not in (change.producers.verdict, change.consumers.verdict), change


def test_another_meaning_breaks_both_sides_although_every_row_passes(parcel: Contract) -> None:
    for other in (with_column(parcel, "weight", unit="lb"), dataclasses.replace(parcel, timezone="UTC")):
        (change,) = compare(parcel, other).changes
        assert (change.producers.verdict, change.consumers.verdict) == (BROKEN, BROKEN)
        assert change.producers.witness == ()


def test_a_fresh_column_reads_as_missing_in_older_rows_and_a_dropped_one_is_gone(parcel: Contract) -> None:
    wider = dataclasses.replace(parcel, columns=(*parcel.columns, Column("colour", LogicalType.STRING, "string")))
    row = pl.DataFrame({name: [None] for name in parcel.schema}, schema=parcel.schema)
    assert read_by_newer(row, wider)["colour"].to_list() == [None]
    assert read_by_older(row.drop("note"), parcel).columns == [name for name in parcel.schema if name != "note"]
