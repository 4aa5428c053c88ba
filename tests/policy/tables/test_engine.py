"""What the engine does that we guard against, and what becomes of an answer of it that is not one of the table's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import zen

from automation.policy.tables import document
from automation.policy.tables.answers import ENGINE_FAILED
from automation.policy.tables.document import Verdict
from automation.policy.tables.engine import AnswerError, Engine, bits_of, result_of
from automation.policy.tables.judge import Table
from tests.policy.tables.made import Row, text

INPUTS = {"x": {"type": "number"}, "y": {"type": "number"}, "s": {"type": "string"}}
BASE = Row("base", "allow", "the base", {})


def raw(cell: str, case: dict[str, Any], *, column: str = "x", schema: bool = False) -> list[str]:
    """The rules that the bare engine names for a case: a base that allows, and a rule with this cell that forbids."""
    rows = (BASE, Row("deny", "forbid", "no", {column: cell}))
    made = json.loads(text(*rows, inputs=INPUTS, expressions=1))
    if not schema:
        made["nodes"][0]["content"]["schema"] = ""
    answer = zen.ZenEngine().create_decision(json.dumps(made)).evaluate(case)["result"]
    assert isinstance(answer, list)
    return [said["rule"] for said in answer]


def test_the_engine_denies_what_the_cell_matches() -> None:
    assert raw("> 5", {"x": 6}) == ["base", "deny"]


@pytest.mark.parametrize("case", [{}, {"x": None}, {"x": "6"}, {"x": True}, {"x": [6]}])
def test_without_a_schema_the_engine_allows_what_is_missing_or_mistyped(case: dict[str, Any]) -> None:
    assert raw("> 5", case) == ["base"]


@pytest.mark.parametrize(
    "cell", ["= 6", "> 5 && < 7", "-", "> 5 > ", "not [1..5]", "> 'a'", "'6'", "$ / y > 5", "len($) > 0"]
)
def test_the_engine_takes_a_cell_that_fails_or_does_not_parse_for_one_that_does_not_match(cell: str) -> None:
    assert raw(cell, {"x": 6, "y": 0}) == ["base"]


@pytest.mark.parametrize("cell", ["x / y > 5", "z > 5", "s > 5", "x > y > -9", "x"])
def test_the_engine_does_the_same_with_an_expression(cell: str) -> None:
    assert raw(cell, {"x": 6, "y": 0, "s": "a"}, column="where 1") == ["base"]


def test_reversed_brackets_mean_outside() -> None:
    assert raw("]1..5[", {"x": 3}) == ["base"]
    assert raw("]1..5[", {"x": 6}) == ["base", "deny"]


def test_the_engine_validates_no_cell() -> None:
    broken = text(BASE, Row("deny", "forbid", "no", {"x": "= 5"}), inputs=INPUTS)
    assert zen.ZenEngine().create_decision(broken).validate() is None  # type: ignore[func-returns-value]
    # This one judges a test as if it were a whole expression: hence `compile_unary_expression`.
    assert zen.validate_unary_expression("> 5") is not None


def test_with_a_schema_the_engine_refuses_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="required property"):
        raw("> 5", {"y": 1, "s": "a"}, schema=True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e29, 2**64])
def test_the_engine_throws_for_numbers_that_it_cannot_hold(number: float) -> None:
    with pytest.raises(Exception, match=r"expected A valid type|out of range"):
        raw("> 5", {"x": number})


def test_the_engine_reads_fifteen_digits_of_a_double() -> None:
    assert raw("0.3", {"x": 0.1 + 0.2}) == ["base", "deny"]
    assert raw("> 0.3", {"x": 0.1 + 0.2}) == ["base"]


@pytest.fixture
def read() -> document.Document:
    rows = (BASE, Row("near", "review", "{x} is near {y}", {"x": "> 5"}), Row("deny", "forbid", "no", {"x": "> 9"}))
    return document.read(text(*rows, inputs={name: INPUTS[name] for name in "xy"}), "small.json")


def said(rule: str, verdict: str, reason: str) -> dict[str, str]:
    return {"rule": rule, "verdict": verdict, "reason": reason}


GOOD = [said("base", "allow", "the base"), said("near", "review", "{x} is near {y}")]


def bits(read: document.Document, answer: Any) -> int:
    return bits_of(answer, read.rules, {rule.name: number for number, rule in enumerate(read.rules)})


def test_an_answer_is_the_rules_that_it_names(read: document.Document) -> None:
    assert bits(read, GOOD) == 0b011
    assert bits(read, []) == 0


BAD = [
    (None, "in place of a list"),
    ({"rule": "base"}, "in place of a list"),
    (["base"], "an entry without exactly"),
    ([{"rule": "base", "verdict": "allow"}], "an entry without exactly"),
    ([{**GOOD[0], "other": 1}], "an entry without exactly"),
    ([said("other", "allow", "the base")], "'other', which the table does not have"),
    ([{**GOOD[0], "rule": None}], "None, which the table does not have"),
    ([{**GOOD[0], "rule": ["base"]}], "which the table does not have"),
    ([said("near", "allow", "{x} is near {y}")], "'near' what the table does not say"),
    ([said("base", "permit", "the base")], "'base' what the table does not say"),
    ([said("base", "allow", "something else")], "'base' what the table does not say"),
    ([GOOD[1], GOOD[0]], "twice or out of order"),
    ([GOOD[0], GOOD[0]], "twice or out of order"),
]


@pytest.mark.parametrize(("answer", "words"), BAD)
def test_an_answer_that_is_not_the_tables_is_none(read: document.Document, answer: Any, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        bits(read, answer)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"success": False, "error": "too large\n trace"}, "the engine failed: too large$"),
        ({"success": True}, "the engine failed"),
        ({"success": "yes", "data": {"result": []}}, "the engine failed"),
        (None, "the engine failed: None"),
        ([], "the engine failed"),
    ],
)
def test_a_reply_that_is_no_success_is_none(reply: Any, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        result_of(reply)


def asks(table: Table, content: str) -> Table:
    """The table, with an engine that was given another file than the one that was read."""
    engine = table.by_engine()
    return replace(engine, _rules=Engine(replace(engine._document, content=content)))


FRAME = pl.DataFrame({"x": [1.0, 6.0, 10.0, 2.0], "y": [1.0, 2.0, 3.0, 4.0]})


def test_a_row_for_which_the_engine_fails_is_for_a_person_and_no_other_is(read: document.Document) -> None:
    table = Table.parse(read.content, "small.json")
    stricter = read.content.replace(r"\"x\": {\"type\": \"number\"}", r"\"x\": {\"type\": \"number\", \"maximum\": 5}")
    assert stricter != read.content
    found, whole = asks(table, stricter).judge(FRAME), table.judge(FRAME)
    assert found["verdict"].to_list() == [Verdict.ALLOW, Verdict.REVIEW, Verdict.REVIEW, Verdict.ALLOW]
    assert found["rules"].to_list()[1:3] == [[ENGINE_FAILED]] * 2
    assert "10 is greater than the maximum of 5" in found["reasons"][2][0]
    assert found[[0, 3]].equals(whole[[0, 3]])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('\\"near\\"', '\\"far\\"', "'far', which the table does not have"),
        ('\\"review\\"', '\\"allow\\"', "'near' what the table does not say"),
        ('\\"review\\"', '\\"perhaps\\"', "'near' what the table does not say"),
        ('\\"review\\"', "x", "'near' what the table does not say"),
    ],
)
def test_an_engine_that_says_what_the_table_does_not_is_not_believed(
    read: document.Document, old: str, new: str, words: str
) -> None:
    table = Table.parse(read.content, "small.json")
    found = asks(table, read.content.replace(old, new)).judge(FRAME)
    assert found["verdict"].to_list() == [Verdict.ALLOW, Verdict.REVIEW, Verdict.REVIEW, Verdict.ALLOW]
    assert found["rules"].to_list()[1:3] == [[ENGINE_FAILED]] * 2
    assert words in found["reasons"][1][0]
