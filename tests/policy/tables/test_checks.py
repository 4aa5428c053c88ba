"""Everything that a table's file may not hold is found, with where it stands, what is wrong and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from automation.policy.tables.document import TableError
from automation.policy.tables.judge import Table
from tests.policy.tables.made import INPUTS, Row, every_operator, jdm
from tests.policy.tables.test_bad_inputs import PILOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USED = "{amount} {share} {stake} {count} {place} {note} {known}"


def small(**cells: str) -> dict:
    """A table in order, but for what its second rule's cells do to it."""
    return jdm([Row("base", "allow", USED, {}), Row("odd", "forbid", "no", {"note": "'odd'", **cells})])


def with_expression(cell: str) -> dict:
    made = [Row("base", "allow", USED, {}), Row("odd", "forbid", "no", {"where 1": cell})]
    return jdm(made, expressions=1)


def refused(made: dict | str) -> list[tuple[str, str]]:
    with pytest.raises(TableError) as caught:
        Table.parse(made if isinstance(made, str) else json.dumps(made), "policy.json")
    assert "policy.json" in caught.value.message
    assert caught.value.remedy
    for finding in caught.value.findings:
        assert finding.where
        assert finding.broken.endswith((".", "…"))
        assert finding.fix.endswith(".")
        assert f"  {finding.where}: {finding.broken} {finding.fix}" in caught.value.message
    return [(finding.where, finding.broken) for finding in caught.value.findings]


def test_tables_in_order_are_not_refused() -> None:
    Table.parse(json.dumps(small()), "policy.json")
    Table.parse(json.dumps(with_expression("amount > 5")), "policy.json")
    Table.parse(every_operator(), "policy.json")
    Table.load(PILOT)


CELLS = [
    ("amount", "> > 5", "does not parse"),
    ("amount", "= 5", "does not parse"),
    ("amount", "> 5 && < 7", "does not parse"),
    ("amount", "-", "does not parse"),
    ("amount", "'5'", "amount is a number, which '5' is not"),
    ("amount", "== '5'", "amount is a number, which '5' is not"),
    ("amount", "true", "amount is a number, which true is not"),
    ("amount", "> 0.0000001", "more than 6 decimals"),
    ("amount", "> 1000000001", "lies beyond 1,000,000,000"),
    ("amount", "[5..1]", "can never match"),
    ("amount", "(5..5)", "can never match"),
    ("amount", "> 5 and < 5.000001", "can never match"),
    ("amount", "5 and 6", "can never match"),
    ("amount", "]1..5[", "means what lies outside of it"),
    ("amount", "$ / stake > 5", "has /, which can fail"),
    ("amount", "$ ^ 2 > 5", "has ^, which can fail"),
    ("amount", "$ % 2 == 1", "has %, which can fail"),
    ("amount", "$ * $ * $ * $ > 5", "has more than 2 products, which can fail"),
    ("amount", "> amuont", "has amuont, which can fail"),
    ("amount", "number(note) > 5", "has number, which can fail"),
    ("amount", "== null", "has null, which can fail"),
    ("amount", "> note", "amount is a number, note a string"),
    ("amount", "abs(note) > 5", "fails for"),
    ("share", "> 1", "can never match"),
    ("share", "1.5", "can never match"),
    ("share", "0.5, 1.5", "can never match"),
    ("share", "< 0", "can never match"),
    ("stake", "<= 0", "can never match"),
    ("count", "> 50", "can never match"),
    ("count", "5.5", "can never match"),
    ("count", "(5..6)", "can never match"),
    ("count", "60, 7", "can never match"),
    ("place", "'JFk'", "place is never 'JFk'"),
    ("place", "'JFK', 'LGA'", "place is never 'LGA'"),
    ("place", "!= 'LGA'", "place is never 'LGA'"),
    ("place", "in ['EWR', 'ewr']", "place is never 'ewr'"),
    ("place", "not in ['LGA']", "place is never 'LGA'"),
    ("place", "not in ['EWR', 'JFK', 'La Guardia']", "can never match"),
    ("place", "JFK", "has JFK, which can fail"),
    ("place", "> 'A'", "only numbers have an order"),
    ("place", "['A'..'Z']", "only numbers have an order"),
    ("place", "5", "place is a string, which 5 is not"),
    ("note", "$ + 5 == 'x'", "fails for"),
    ("known", "'true'", "known is a boolean, which 'true' is not"),
    ("known", "1", "known is a boolean, which 1 is not"),
    ("known", "> false", "only numbers have an order"),
    ("known", "in [true] and in [false]", "can never match"),
]


@pytest.mark.parametrize(("column", "cell", "broken"), CELLS)
def test_a_cell_that_means_nothing_never_matches_or_can_fail_is_found(column: str, cell: str, broken: str) -> None:
    found = refused(small(**{column: cell}))
    assert [where for where, _ in found] == [f"rule row 2, cell {column}"]
    assert broken in found[0][1]


EXPRESSIONS = [
    ("amount >", "does not parse"),
    ("> 5", "does not parse"),
    ("amount / stake > 5", "has /, which can fail"),
    ("amuont > 5", "has amuont, which can fail"),
    ("d(note) > d('2020-01-01')", "has d, which can fail"),
    ("amount > note", "amount is a number, note a string"),
    ("abs(note) > 5", "fails for"),
    ("amount + 1", "neither true nor false"),
    ("amount", "neither true nor false"),
    ("place == 'LGA'", "place is never 'LGA'"),
    ("share > 1", "can never match"),
    ("known ? true : false", "has :, ?, which can fail"),
    ("note[0] == 'x'", "has an element of note, which can fail"),
]


@pytest.mark.parametrize(("cell", "broken"), EXPRESSIONS)
def test_so_is_an_expression(cell: str, broken: str) -> None:
    found = refused(with_expression(cell))
    assert [where for where, _ in found] == ["rule row 2, cell where 1"]
    assert broken in found[0][1]


def _node(made: dict, number: int) -> dict:
    return made["nodes"][number]["content"]


def _schema(made: dict, change: Callable[[dict], Any]) -> None:
    schema = json.loads(_node(made, 0)["schema"])
    change(schema)
    _node(made, 0)["schema"] = json.dumps(schema)


def _input(name: str, **stated: Any) -> Callable[[dict], None]:
    return lambda made: _schema(made, lambda schema: schema["properties"].update({name: stated}))


def _rule(**cells: Any) -> Callable[[dict], None]:
    return lambda made: _node(made, 1)["rules"][1].update({key.replace("_", " "): cell for key, cell in cells.items()})


def _table(**settings: Any) -> Callable[[dict], None]:
    return lambda made: _node(made, 1).update(settings)


FILES: list[tuple[Callable[[dict], Any], str, str]] = [
    (lambda made: made.pop("nodes"), "file", "It has no list of nodes."),
    (lambda made: made["nodes"].pop(2), "file", "It has no outputNode."),
    (lambda made: made["nodes"].append({"id": "x", "type": "functionNode"}), "node 4", "(functionNode) is extra."),
    (lambda made: made["nodes"].append(dict(made["nodes"][1])), "node 4", "(decisionTableNode) is extra."),
    (lambda made: made["nodes"].append("x"), "node 4", "(None) is extra."),
    (lambda made: made["edges"].pop(), "edges", "The nodes"),
    (lambda made: made["edges"].append(made["edges"][0]), "edges", "The nodes"),
    (lambda made: made["nodes"][0].update(id="table"), "edges", "The nodes"),
    (lambda made: made["nodes"][1].pop("content"), "table", "The node has no content."),
    (lambda made: _node(made, 0).update(schema=""), "input schema", "There is none"),
    (lambda made: made["nodes"][0].pop("content"), "input schema", "There is none"),
    (lambda made: _node(made, 0).update(schema="{"), "input schema", "It is not JSON"),
    (lambda made: _node(made, 0).update(schema="[]"), "input schema", "It must be of type object"),
    (lambda made: _schema(made, lambda s: s.update(anyOf=[])), "input schema", "Nothing here enforces anyOf."),
    (_input("amount", type="array"), "input amount", "Its type is not stated or not known."),
    (_input("amount", minimum=0), "input amount", "Its type is not stated or not known."),
    (_input("amount", type="number", multipleOf=2), "input amount", "Nothing here enforces multipleOf of a number."),
    (_input("note", type="string", minLength=2), "input note", "Nothing here enforces minLength of a string."),
    (_input("note", type="string", enum=[]), "input note", "Its enum is empty or says a text twice."),
    (_input("note", type="string", enum=["odd", "odd"]), "input note", "Its enum is empty or says a text twice."),
    (_input("note", type="string", enum=["odd", 5]), "input note", "Its enum is not a list of texts."),
    (_input("amount", type="number", minimum="0"), "input amount", "A bound of it is not a number."),
    (_input("amount", type="number", minimum=True), "input amount", "A bound of it is not a number."),
    (_input("amount", type="number", minimum=1e-7), "input amount", "A bound of it has more than six decimals"),
    (_input("amount", type="number", minimum=2, maximum=1), "input amount", "No number lies within its bounds."),
    (_input("count", type="integer", minimum=0.2, maximum=0.8), "input count", "No number lies within its bounds."),
    (_input("unused", type="number"), "input unused", "No rule uses it"),
    (_input("Amount", type="number"), "input Amount", "A cell cannot name it."),
    (_input("not", type="number"), "input not", "A cell cannot name it."),
    (_table(hitPolicy="first"), "table", "Its hit policy is 'first'"),
    (_table(hitPolicy=None), "table", "Its hit policy is None"),
    (_table(executionMode="loop"), "table", "executionMode changes what the table is asked or answers."),
    (_table(inputField="x"), "table", "inputField changes what the table is asked or answers."),
    (_table(passThrough=True), "table", "passThrough changes what the table is asked or answers."),
    (_table(inputs=None), "table", "It has no list of inputs."),
    (_table(outputs={}), "table", "It has no list of outputs."),
    (_table(rules=[]), "table", "It has no rules."),
    (_table(rules=5), "table", "It has no list of rules."),
    (lambda made: _node(made, 1)["inputs"][0].update(field="price"), "input column amount", "It reads 'price', which"),
    (lambda made: _node(made, 1)["inputs"][1].update(id="in amount"), "input column share", "It has no id of its own."),
    (lambda made: _node(made, 1)["outputs"][2].update(field="note"), "output column 3", "'note' is not an output"),
    (lambda made: _node(made, 1)["outputs"].pop(2), "table", "It has no output column reason."),
    (lambda made: _node(made, 1)["outputs"].append({"id": "x", "field": "score"}), "output column 4", "'score' is not"),
    (_rule(out_verdict='"deny"'), "rule row 2, cell verdict", "'deny' is no verdict."),
    (_rule(out_verdict="allow"), "rule row 2, cell verdict", "It is missing or not one quoted text."),
    (_rule(out_rule='"base"'), "rule row 2, cell rule", "Row 1 is called 'base', too."),
    (_rule(out_rule=""), "rule row 2, cell rule", "It is missing or not one quoted text."),
    (_rule(out_rule='"Too dear"'), "rule row 2, cell rule", "'Too dear' is not an identifier."),
    (_rule(out_rule='"input:note"'), "rule row 2, cell rule", "'input:note' is not an identifier."),
    (lambda made: _node(made, 1)["rules"][1].pop("out reason"), "rule row 2, cell reason", "It is missing or not one"),
    (_rule(out_reason='" "'), "rule row 2, cell reason", "It is missing or not one quoted text."),
    (_rule(out_reason="`costs ${amount}`"), "rule row 2, cell reason", "It is missing or not one quoted text."),
    (_rule(out_reason='"a \\" b"'), "rule row 2, cell reason", "It is missing or not one quoted text."),
    (_rule(out_reason='"costs {price}"'), "rule row 2, cell reason", "'price' is no input."),
    (_rule(out_reason='"costs {}"'), "rule row 2, cell reason", "'' is no input."),
    (_rule(out_reason='"costs {amount.real}"'), "rule row 2, cell reason", "'amount.real' is no input."),
    (_rule(out_reason='"costs {amount!r}"'), "rule row 2, cell reason", "has a conversion"),
    (_rule(out_reason='"costs {amount:{share}}"'), "rule row 2, cell reason", "has a conversion or a field within"),
    (_rule(out_reason='"costs {amount"'), "rule row 2, cell reason", "It cannot be filled in"),
    (_rule(out_reason='"costs {note:,.0f}"'), "rule row 2, cell reason", "It cannot be filled in"),
    (_rule(out_reason='"costs {amount:d}"'), "rule row 2, cell reason", "It cannot be filled in"),
    (_rule(in_note=5), "rule row 2", "A cell is not a text."),
    (_rule(in_price="> 5"), "rule row 2, cell in price", "It is of no column: it tests nothing."),
    (_rule(in_note=""), "rule row 2", "It matches exactly when row 1 (base) does."),
    (lambda made: _node(made, 1)["rules"].pop(0), "table", "No rule allows anything."),
]


@pytest.mark.parametrize(("change", "where", "broken"), FILES)
def test_whatever_else_is_wrong_with_a_file_is_found(change: Callable[[dict], Any], where: str, broken: str) -> None:
    made = small()
    change(made)
    found = refused(made)
    assert any(place == where and broken in words for place, words in found), found


def test_a_duplicate_is_found_however_it_is_written() -> None:
    rows = [
        Row("base", "allow", USED, {}),
        Row("a", "forbid", "x", {"count": "> 5"}),
        Row("b", "review", "y", {"count": ">5"}),
    ]
    assert refused(jdm(rows)) == [("rule row 3", "It matches exactly when row 2 (a) does.")]


@pytest.mark.parametrize("made", ["", "{", "[]", "null", '{"nodes": [], "nodes": []}', '{"nodes": [NaN]}', "5"])
def test_what_is_no_file_of_the_format_is_refused(made: str) -> None:
    assert refused(made)[0][0] == "file"


def test_all_findings_come_at_once() -> None:
    assert len(refused(small(amount="= 5", share="> 1", place="'LGA'"))) == 3


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes('{"ü": 1}'.encode("latin-1"))
    for name in ("latin.json", "absent.json"):
        with pytest.raises(TableError, match=name) as caught:
            Table.load(tmp_path / name)
        assert [finding.where for finding in caught.value.findings] == ["file"]


def test_the_version_is_of_what_the_file_says_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    made = small()
    (tmp_path / "policy.json").write_text(json.dumps(made, indent=4, sort_keys=True))
    version = Table.load(tmp_path / "policy.json").version
    assert version == Table.parse(json.dumps(made), "other.json").version
    assert len(version) == 64
    _node(made, 1)["rules"][1]["in amount"] = "> 5"
    assert Table.parse(json.dumps(made), "other.json").version != version


def test_no_input_of_the_test_tables_is_forgotten() -> None:
    assert all(f"{{{name}}}" in USED for name in INPUTS)
