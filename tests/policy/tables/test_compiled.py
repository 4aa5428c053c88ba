"""The compiled form says what zen-engine says: the same verdicts, rules and reasons, in the same order."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
import zen
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.policy.tables import document
from automation.policy.tables.answers import Answers
from automation.policy.tables.cells import NotCompiled
from automation.policy.tables.compiled import compiled
from automation.policy.tables.document import Input
from automation.policy.tables.engine import Engine
from automation.policy.tables.inputs import admit
from automation.policy.tables.judge import By, Table
from tests.policy.tables.made import EVERY_OPERATOR, INPUTS, Row, every_operator, jdm, text

NUMBERS = {"amount", "share", "stake", "count"}
TEXTS = ["EWR", "JFK", "La Guardia", "strike", "it's", 'a "b"', "0.5", "true", "jfk", "é", "a\\b", "$", "{x}"]
DTYPES = {"number": pl.Float64, "integer": pl.Int64, "string": pl.String, "boolean": pl.Boolean}

literals = {
    "amount": st.integers(-(10**15), 10**15).map(lambda k: k / 10**6)
    | st.sampled_from([0.0, 0.1, 0.3, 1.5, -2.5, 3000.0, 0.000001, 999999999.999999, 123456789.012345]),
    "share": st.integers(0, 10**6).map(lambda k: k / 10**6) | st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    "stake": st.integers(1, 10**9).map(lambda k: k / 10**6) | st.sampled_from([0.000001, 109.56, 250.0]),
    "count": st.integers(-50, 50),
    "place": st.sampled_from(INPUTS["place"]["enum"]),
    "note": st.sampled_from(TEXTS),
    "known": st.booleans(),
}


def written(name: str, literal: Any) -> str:
    if name in {"place", "note"}:
        return f'"{literal}"' if "'" in literal else f"'{literal}'"
    if name == "known":
        return str(literal).lower()
    return f"{literal:.6f}".rstrip("0").rstrip(".") if isinstance(literal, float) else str(literal)


@st.composite
def one_test(draw: st.DrawFn, name: str, subject: str = ""):
    """One test of an input. With a subject (`$ ` or the input's name) in the form that begins with it."""

    def literal() -> str:
        return written(name, draw(literals[name]))

    forms = ["equal", "unequal", "in", "not in"]
    if not subject:
        forms.append("bare")
    if name in NUMBERS:
        forms += ["order", "order", "interval in", "interval not in", "other"] + (["interval"] if not subject else [])
    form = draw(st.sampled_from(forms))
    if form.startswith("interval"):
        # An interval whose ends are the wrong way round holds nothing, in both.
        ends = [draw(literals[name]), draw(literals[name])]
        if draw(st.integers(0, 9)):
            ends.sort()
        low, high = (written(name, end) for end in ends)
        word = form.removeprefix("interval").strip()
        return f"{subject}{word} {draw(st.sampled_from('[('))}{low}..{high}{draw(st.sampled_from('])'))}"
    if form == "order":
        return f"{subject}{draw(st.sampled_from(['<', '<=', '>', '>=']))} {literal()}"
    if form == "other":
        other = draw(st.sampled_from(sorted(NUMBERS)))
        return f"{subject}{draw(st.sampled_from(['<', '<=', '>', '>=', '==', '!=']))} {other}"
    if form in {"in", "not in"}:
        return f"{subject}{form} [{', '.join(literal() for _ in range(draw(st.integers(1, 3))))}]"
    return subject + {"bare": "", "equal": "== ", "unequal": "!= "}[form] + literal()


@st.composite
def cells(draw: st.DrawFn, name: str):
    if draw(st.integers(0, 2)) == 0:
        return ""
    subject = draw(st.sampled_from(["", "", "", "$ "]))
    joint = draw(st.sampled_from([" and ", " or ", ", ", ","]))
    parts = [draw(one_test(name, subject)) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))]
    return joint.join(parts)


@st.composite
def expressions(draw: st.DrawFn):
    if draw(st.booleans()):
        return ""
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(INPUTS)))
        if name == "known" and draw(st.booleans()):
            parts.append(draw(st.sampled_from(["known", "not known"])))
        else:
            parts.append(draw(one_test(name, f"{name} ")))
    return draw(st.sampled_from([" and ", " or "])).join(parts)


FIELDS = ["{amount:,.0f}", "{amount}", "{share:.1%}", "{stake:,.2f}", "{count:+d}", "{place}", "{note:>12}", "{known}"]
reasons = st.lists(st.sampled_from([*FIELDS, "it costs $", "{{x}}", "50%", "größer"]), min_size=1, max_size=3).map(
    " ".join
)


@st.composite
def documents(draw: st.DrawFn):
    rows = []
    for number in range(draw(st.integers(1, 6))):
        chosen = {name: draw(cells(name)) for name in INPUTS}
        chosen["where 1"] = draw(expressions())
        rows.append(Row(f"rule-{number}", draw(st.sampled_from(["allow", "review", "forbid"])), draw(reasons), chosen))
    return json.dumps(jdm(rows, expressions=1))


values = {
    "amount": literals["amount"] | st.floats(-1e9, 1e9) | st.sampled_from([0.1 + 0.2, -0.0, 5e-324, 1e-7, 4.9999995]),
    "share": literals["share"] | st.floats(0, 1),
    "stake": literals["stake"] | st.floats(1e-6, 1e9),
    "count": literals["count"],
    "place": literals["place"],
    "note": literals["note"],
    "known": literals["known"],
}
frames = st.lists(st.fixed_dictionaries(values), min_size=1, max_size=12).map(
    lambda rows: pl.DataFrame(rows, schema={name: DTYPES[stated["type"]] for name, stated in INPUTS.items()})
)


def told_plainly(text_: str, cases: pl.DataFrame) -> list[tuple[str, list[str], list[str]]]:
    """What a reader of the engine's answers would say, one case at a time and with nothing of ours in between."""
    decision, said = zen.ZenEngine().create_decision(text_), []
    for millionths in cases.to_dicts():
        case = {
            name: value / 10**6 if INPUTS[name]["type"] == "number" else value // 10**6 if name == "count" else value
            for name, value in millionths.items()
        }
        answer: Any = decision.evaluate(case)["result"]
        verdicts = {found["verdict"] for found in answer} or {"forbid"}
        verdict = next(strict for strict in ("forbid", "review", "allow") if strict in verdicts)
        rules = [found["rule"] for found in answer] or ["table:no-rule"]
        reasons_ = [found["reason"].format(**case) for found in answer] or ["no rule of the table allows it"]
        said.append((verdict, rules, reasons_))
    return said


@settings(max_examples=80, deadline=None)
@given(documents(), frames)
def test_any_table_says_of_any_case_what_the_engine_says(written_table: str, frame: pl.DataFrame) -> None:
    read = document.read(written_table, "generated.json")
    admitted = admit(frame, read.inputs)
    assert admitted.all
    answers = Answers(read.rules, {given_.name: given_ for given_ in read.inputs})
    asked = Engine(read).matched(admitted.values)
    assert asked.faults == {}
    expected = told_plainly(written_table, admitted.values)
    assert answers.answered(compiled(read).matched(admitted.values), admitted.values).rows() == expected
    assert answers.answered(asked.words, admitted.values).rows() == expected


@pytest.fixture(scope="module")
def tables() -> tuple[Table, Table]:
    table = Table.parse(every_operator(), "every_operator.json")
    return table, table.by_engine()


@settings(max_examples=25, deadline=None)
@given(frames)
def test_the_table_of_every_operator_is_compiled_to_the_same(tables: tuple[Table, Table], frame: pl.DataFrame) -> None:
    table, engine = tables
    assert (table.how.by, engine.how.by) == (By.COMPILED, By.ENGINE)
    assert table.judge(frame).rows() == engine.judge(frame).rows()


@settings(max_examples=15, deadline=None)
@given(frames, st.lists(st.sampled_from([None, *INPUTS]), min_size=12, max_size=12))
def test_a_row_is_answered_as_if_it_were_alone(
    tables: tuple[Table, Table], frame: pl.DataFrame, missing: list[str | None]
) -> None:
    rows = frame.with_row_index("row")
    broken = rows.select(
        pl.when(pl.col("row").is_in([at for at, gone in enumerate(missing) if gone == name]))
        .then(None)
        .otherwise(name)
        .alias(name)
        for name in frame.columns
    )
    for table in tables:
        found = table.judge(broken)
        assert found.rows() == [table.judge(broken[at]).row(0) for at in range(broken.height)]
        bad = [f"input:{gone}" for gone in missing[: broken.height] if gone]
        assert [rule for rules in found["rules"] for rule in rules if rule.startswith("input:")] == bad


def near(literal: float) -> list[float]:
    return [literal - 1e-6, literal, literal + 1e-6]


def test_every_rule_of_the_table_of_every_operator_matches_something(tables: tuple[Table, Table]) -> None:
    amounts = [*near(-0.5), *near(10.0), 550.0, 950.0, 901.0, -101.0]
    rows = [
        {"amount": a, "share": s, "stake": k, "count": c, "place": p, "note": n, "known": b}
        for a in amounts
        for s, c in [(0.5, 7), (0.9, 3), (0.95, -20), (1.0, -7), (0.3, 10)]
        for k in (100.0, 200.0, 250.0, 300.0, 400.0)
        for p, n, b in [("EWR", "snow", True), ("La Guardia", "strike", False), ("JFK", "calm", True)]
    ]
    frame = pl.DataFrame(rows, orient="row")
    found = [table.judge(frame) for table in tables]
    assert found[0].equals(found[1])
    assert set(found[0]["rules"].explode()) == {row.rule for row in EVERY_OPERATOR}


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**15), 10**15))
def test_the_engine_computes_with_the_very_millionths(number: int) -> None:
    """A double of fifteen digits is the same decimal there: equal to its own literal, unequal to the next ones."""
    read = document.read(
        text(
            Row("itself", "allow", "{amount}", {"amount": f"{number / 10**6:.6f}"}),
            Row("next", "forbid", "{amount}", {"amount": f"{(number + 1) / 10**6:.6f}, {(number - 1) / 10**6:.6f}"}),
            inputs={"amount": {"type": "number"}},
        ),
        "number.json",
    )
    answers = Engine(read).matched(pl.DataFrame({"amount": [number]}))
    assert (answers.words.row(0), answers.faults) == ((1,), {})


def test_a_table_of_more_than_64_rules_is_compiled_to_the_same() -> None:
    rows = [
        Row(
            f"rule-{n}",
            ("allow", "review", "forbid")[n % 3],
            f"{{count}} is at least {n - 50}",
            {"count": f">= {n - 50}"},
        )
        for n in range(100)
    ]
    table = Table.parse(text(*rows, inputs={"count": INPUTS["count"]}), "long.json")
    frame = pl.DataFrame({"count": list(range(-50, 51))})
    found = table.judge(frame)
    assert table.how.by is By.COMPILED
    assert found.equals(table.by_engine().judge(frame))
    assert found["rules"].list.len().to_list() == [min(n + 1, 100) for n in range(101)]


OUTSIDE = [
    ("amount", "abs($) > 5"),
    ("amount", "> 1 and < 3 or 7"),
    ("amount", "$ * 2 > stake"),
    ("note", "startsWith($, 'str')"),
    ("note", "len($) > 4"),
    ("where 1", "amount + stake > 1000"),
    ("where 1", "not (known and amount > 5)"),
    ("where 1", "(amount > 5 or known) and share < 0.5"),
]


@pytest.mark.parametrize(("column", "cell"), OUTSIDE)
def test_what_is_not_compiled_is_run_by_the_engine_itself(column: str, cell: str) -> None:
    rows = [row for row in EVERY_OPERATOR if row.rule not in {"other-input", "expression"}]
    table = Table.parse(text(*rows, Row("odd", "forbid", "{amount}", {column: cell}), expressions=1), "odd.json")
    assert table.how.by is By.ENGINE
    assert cell in table.how.why
    assert f"rule row {len(rows) + 1}, cell {column}" in str(table.how)
    frame = pl.DataFrame(
        {
            "amount": [7.0, -3.0, 999.0, 2.0],
            "share": [0.1, 0.99, 0.4, 0.6],
            "stake": [10.0, 150.0, 5.0, 250.0],
            "count": [7, 1, -20, 0],
            "place": ["EWR", "JFK", "La Guardia", "EWR"],
            "note": ["strike", "x", "snow", "calm"],
            "known": [True, False, False, True],
        }
    )
    found = table.judge(frame)
    others = Table.parse(
        text(*rows, Row("odd", "forbid", "{amount}", {"note": "'never seen'"}), expressions=1), "even.json"
    )
    expected = others.judge(frame)
    odd = found["rules"].list.contains("odd")
    assert odd.any()
    assert not odd.all()
    assert found.filter(odd)["verdict"].unique().to_list() == ["forbid"]
    assert found.filter(~odd).equals(expected.filter(~odd))


def test_an_input_of_another_column_is_not_compiled_silently_as_this_one() -> None:
    read = document.read(text(Row("a", "allow", "x", {"amount": "stake > 5"})), "other.json")
    with pytest.raises(NotCompiled, match="rule row 1, cell amount"):
        compiled(read)


def test_inputs_are_those_of_the_schema(tables: tuple[Table, Table]) -> None:
    assert [given_.name for given_ in tables[0].inputs] == list(INPUTS)
    assert tables[0].inputs[1] == Input("share", document.Kind.NUMBER, minimum=0, maximum=1)
