"""A day's decisions explained in Dagster: Markdown and a table for a few of them, one of each action and status.

Everything comes from the rows at hand: no model is loaded and nothing is read, so that a day takes milliseconds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from automation.explanation.deciding import Turn, decided_at
from automation.explanation.explanation import contributions_of
from automation.explanation.shares import shares

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    import polars as pl

    from automation.explanation.shares import Share
    from automation.policy.choice import Choice
    from automation.policy.deciding import Weighed
    from automation.policy.limits.use import Use
    from automation.workload import Workload

# Of a case, the greatest shares each way.
SHOWN = 3
# The probabilities at which each case is decided again, to say between which the decision stays the same.
STEPS = 50
COLUMNS = ("case", "action", "status", "probability", "expected cost", "raises it", "lowers it", "the same")


def explained(
    workload: Workload, rows: pl.DataFrame, weighed: Weighed, choice: Choice, used: Mapping[Use, int]
) -> dict[str, dg.MetadataValue]:
    """``first decisions`` (a table) and ``why`` (Markdown): the first decision of each action and status of a day.

    ``rows`` are the day's decisions in the order of the day that was ``weighed``; ``choice`` was made on what others
    ``used``.
    """
    picked = (
        rows.select("action", "status")
        .with_row_index("at")
        .group_by("action", "status", maintain_order=True)
        .first()
        .sort("action", "status")
    )
    turns = [Turn.of(weighed, choice, used, at) for at in picked["at"]]
    same = _same([turn for turn in turns if weighed.day.scored[turn.row]])
    records, sections = [], []
    for turn in turns:
        row = rows.row(turn.row, named=True)
        told = dict.fromkeys(COLUMNS, "") | {"case": row["case_key"], "action": row["action"], "status": row["status"]}
        if turn.row in same:
            told |= _scored(workload, rows[turn.row], turn, *same[turn.row])
        records.append(dg.TableRecord(told))
        sections.append("\n".join(_section(turn, row, told)))
    return {
        "first decisions": dg.TableMetadataValue(
            records=records, schema=dg.TableSchema([dg.TableColumn(name) for name in COLUMNS])
        ),
        "why": dg.MarkdownMetadataValue("\n\n".join(sections)),
    }


def _same(turns: list[Turn]) -> dict[int, tuple[float, float]]:
    """By row, the probabilities next to the case's own, in whole steps, between which it would be decided as it is."""
    if not turns:
        return {}
    own = turns[0].weighed.day.scores["probability"].to_numpy()
    grid = np.linspace(0.0, 1.0, STEPS + 1)
    tried = [np.sort(np.append(grid, own[turn.row])) for turn in turns]
    each = [turn for turn in turns for _ in range(STEPS + 2)]
    features = turns[0].weighed.day.features[np.array([turn.row for turn in each], dtype=np.uint32)]
    got = list(decided_at(each, features, np.concatenate(tried)).select("action", "status").iter_rows())
    found = {}
    for number, (turn, probability) in enumerate(zip(turns, tried, strict=True)):
        outcomes = got[number * (STEPS + 2) : (number + 1) * (STEPS + 2)]
        at = int(np.searchsorted(probability, own[turn.row]))
        low = next((n + 1 for n in range(at, -1, -1) if outcomes[n] != outcomes[at]), 0)
        high = next((n - 1 for n in range(at, STEPS + 2) if outcomes[n] != outcomes[at]), STEPS + 1)
        found[turn.row] = (float(probability[low]), float(probability[high]))
    return found


def _scored(workload: Workload, decision: pl.DataFrame, turn: Turn, low: float, high: float) -> dict[str, str]:
    """What is told of a case that was scored."""
    row, vector = decision.row(0, named=True), workload.contract(workload.spec.model.contract)
    features = turn.features.row(0, named=True)
    every = shares(contributions_of(workload, decision), features, row["probability"], vector).shares
    return {
        "probability": f"{row['probability']:.3f}",
        "expected cost": "" if row["expected_cost"] is None else f"${row['expected_cost']:,.0f}",
        "raises it": _listed([share for share in every if share.log_odds > 0]),
        "lowers it": _listed([share for share in every if share.log_odds < 0]),
        "the same": f"from {low:.3g} to {high:.3g}",
    }


def _listed(found: list[Share]) -> str:
    return "; ".join(f"{share.says} ({share.log_odds:+.2f})" for share in found[:SHOWN])


def _section(turn: Turn, row: dict[str, Any], told: dict[str, str]) -> Iterator[str]:
    yield f"### {row['case_key']}: {row['action']}, {row['status']}"
    if told["probability"]:
        yield f"- probability {told['probability']}; decided so {told['the same']}"
    yield from (f"- {reason}" for reason in json.loads(row["reasons"]))
    yield from (f"- a person decides: {reason}" for reason in json.loads(row["review_reasons"]))
    yield from (f"- {rule.rule}: {rule.says}" for rule in turn.applied())
