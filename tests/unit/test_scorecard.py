"""The scorecard: what decisions came to, beside baselines that are computed fairly."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.calendar import Days
from automation.lakehouse import Lakehouse
from automation.policy.costs import Costs
from automation.scorecard import best_fixed_rule, score

ACTIONS = ("wait", "tell", "act")


@given(
    st.lists(
        st.tuples(st.integers(0, 5).map(float), st.tuples(*[st.integers(0, 9).map(float)] * 3)), min_size=1, max_size=12
    )
)
def test_the_best_fixed_rule_is_the_best_of_all_pairs_of_thresholds(cases: list) -> None:
    rule = np.array([value for value, _ in cases])
    values = np.array([costs for _, costs in cases])
    cuts = [*sorted(set(rule)), np.inf]
    found = min(
        sum(row[0 if value < low else 1 if value < high else 2] for value, row in zip(rule, values, strict=True))
        for low, high in itertools.product(cuts, cuts)
        if low <= high
    )
    assert best_fixed_rule(rule, Costs(ACTIONS, values)) == pytest.approx(found)


def test_the_best_fixed_rule_of_nothing_costs_nothing() -> None:
    assert best_fixed_rule(np.array([]), Costs(ACTIONS, np.zeros((0, 3)))) == 0.0


def test_a_scorecard_adds_up(workload, tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    day = date(2013, 3, 31)
    # The evening of March's last day in New York: of March, though it is April in UTC.
    decided = datetime(2013, 4, 1, 1, tzinfo=UTC)
    lake.replace_days(
        workload.name,
        "decisions",
        pl.DataFrame(
            {
                "case_key": ["a", "b", "c", "d"],
                "action": ["proceed", "notify", "protect", "proceed"],
                "status": ["automated", "automated", "automated", "review"],
                "review_reasons": [
                    "[]",
                    "[]",
                    "[]",
                    '["costs $3,100, more than $3,000","not scored: seats: type integer"]',
                ],
                "day": [day] * 4,
            }
        ),
        Days.one(day),
    )
    # The outcome of `c` is known the day after; that of `z`, which nobody decided, counts for nothing. That of `b` was
    # told wrongly first.
    rows = [
        ("b", False, 0.6, 5.0, 9999.0, 9999.0, day),
        ("a", False, 0.1, 1.0, 0.0, 0.0, day),
        ("b", True, 0.6, 5.0, 5380.0, 3600.0, day),
        ("c", True, 0.8, 9.0, 3600.0, 3600.0, date(2013, 4, 1)),
        ("z", True, 0.8, 9.0, 9999.0, 1.0, day),
    ]
    lake.replace_days(
        workload.name,
        "outcomes",
        pl.DataFrame(
            [(*row[:4], 100.0, *row[4:6], decided, row[6], nth) for nth, row in enumerate(rows)],
            schema=[
                "case_key",
                "label",
                "probability",
                "rule_value",
                "stake",
                "realised_cost",
                "foresight_cost",
                "decision_time",
                "day",
                "known_time",
            ],
            orient="row",
        ),
        Days(day, date(2013, 4, 1)),
    )
    card = score(lake, workload, Days.one(day), {"raw": 1.5})
    assert (card.cases, card.outcomes, card.automation_rate) == (4, 3, 0.75)
    assert card.decisions_by_action == {"proceed": 2, "notify": 1, "protect": 1}
    assert card.reviews_by_reason == {"costs $… more than $…": 1, "not scored: seats: type integer": 1}
    assert card.cost == 8980.0
    assert card.auc == 1.0
    against = {baseline.name: baseline for baseline in card.baselines}
    assert against["doing nothing"].cost == 12_000.0
    assert against["doing nothing"].saved == 12_000.0 - 8980.0
    assert against["notify for everybody"].cost == pytest.approx(100 * (3 * 1 + 2 * 60 * 0.88))
    assert against["the best fixed rule, chosen in hindsight"].cost == pytest.approx(7200.0)
    assert against["perfect foresight"].cost == 7200.0
    [month] = card.months
    assert (month.month, month.cost) == ("2013-03", 8980.0)
    assert json.loads(json.dumps(asdict(card), allow_nan=False))["seconds_by_stage"] == {"raw": 1.5}
