"""Decision tables as JDM text, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

INPUTS: dict[str, dict[str, Any]] = {
    "amount": {"type": "number"},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "stake": {"type": "number", "exclusiveMinimum": 0},
    "count": {"type": "integer", "minimum": -50, "maximum": 50},
    "place": {"type": "string", "enum": ["EWR", "JFK", "La Guardia"]},
    "note": {"type": "string"},
    "known": {"type": "boolean"},
}


@dataclass(frozen=True)
class Row:
    """A rule: what each column's cell says, by the column's title."""

    rule: str
    verdict: str
    reason: str
    cells: dict[str, str]


def jdm(
    rows: list[Row],
    inputs: dict[str, dict[str, Any]] | None = None,
    expressions: int = 0,
    columns: list[str] | None = None,
) -> dict:
    """A table with a column for each input, then so many columns of expressions, titled `where 1` and so on."""
    inputs = INPUTS if inputs is None else inputs
    columns = list(inputs) if columns is None else columns
    titles = [*columns, *(f"where {n + 1}" for n in range(expressions))]
    schema = {"type": "object", "properties": inputs, "required": list(inputs)}
    return {
        "contentType": "application/vnd.gorules.decision",
        "nodes": [
            {
                "id": "asked",
                "type": "inputNode",
                "name": "Asked",
                "position": {"x": 0, "y": 0},
                "content": {"schema": json.dumps(schema)},
            },
            {
                "id": "table",
                "type": "decisionTableNode",
                "name": "Table",
                "position": {"x": 1, "y": 0},
                "content": {
                    "hitPolicy": "collect",
                    "inputs": [
                        {"id": f"in {title}", "name": title, **({"field": title} if title in columns else {})}
                        for title in titles
                    ],
                    "outputs": [
                        {"id": f"out {field}", "name": field, "field": field} for field in ("verdict", "rule", "reason")
                    ],
                    "rules": [
                        {
                            "_id": row.rule,
                            **{f"in {title}": cell for title, cell in row.cells.items()},
                            "out verdict": f'"{row.verdict}"',
                            "out rule": f'"{row.rule}"',
                            "out reason": f'"{row.reason}"',
                        }
                        for row in rows
                    ],
                },
            },
            {"id": "answered", "type": "outputNode", "name": "Answered", "position": {"x": 2, "y": 0}},
        ],
        "edges": [
            {"id": "1", "type": "edge", "sourceId": "asked", "targetId": "table"},
            {"id": "2", "type": "edge", "sourceId": "table", "targetId": "answered"},
        ],
    }


def text(*rows: Row, **stated: Any) -> str:
    return json.dumps(jdm(list(rows), **stated))


# Every operator that is compiled, each in a rule of its own.
EVERY_OPERATOR = [
    Row("anything", "allow", "nothing speaks against it", {}),
    Row("less", "review", "an amount of {amount:,.2f} is small", {"amount": "< 10"}),
    Row("at-most", "forbid", "an amount of {amount:.6f}", {"amount": "<= -0.5"}),
    Row("more", "review", "a share of {share:.1%}", {"share": "> 0.9"}),
    Row("at-least", "forbid", "a share of {share}", {"share": ">= 0.95"}),
    Row("equal", "review", "{count} of them", {"count": "== 7"}),
    Row("unequal", "review", "not {place}", {"place": "!= 'JFK'", "known": "!= true"}),
    Row("closed", "forbid", "{stake:,.0f} at stake", {"stake": "[100..200]"}),
    Row("open", "review", "{stake:,.0f} at stake in {place}", {"stake": "(200..300)"}),
    Row("half-open", "forbid", "{stake:,.0f} at stake", {"stake": "[300..400)", "count": "(0..10]"}),
    Row("list", "review", "{count} is odd", {"count": "1, 3, 5"}),
    Row("mixed-list", "review", "{count} is far out", {"count": "< -10, [20..30], 50"}),
    Row("text", "review", "at {place}", {"place": '"La Guardia"'}),
    Row("texts", "forbid", "at {place} with {note}", {"place": "'EWR','JFK'", "note": "in ['strike', 'snow']"}),
    Row("not-in", "review", "{note:>8}", {"note": "not in ['strike', 'calm']", "known": "true"}),
    Row("not-between", "review", "{amount}", {"amount": "not in [0..1000]"}),
    Row("truth", "forbid", "known: {known}", {"known": "true", "amount": "> 500 and < 600"}),
    Row("either", "review", "known: {known}", {"known": "false", "amount": "< -100 or > 100"}),
    Row("dollar", "review", "{amount:,.0f}", {"amount": "$ > 900 and $ != 901"}),
    Row("other-input", "forbid", "{amount} is more than {stake}", {"amount": "> stake"}),
    Row("expression", "review", "{share}", {"where 1": "known and share >= 0.5"}),
    Row("not-expression", "forbid", "{note} of {count}", {"where 1": "not known or note == 'strike'", "count": "-7"}),
]


def every_operator() -> str:
    return text(*EVERY_OPERATOR, expressions=1)
