"""Whoever decides a day again does so by what was usual then: challengers, ways, looks and other policies."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from assets.stages import challengers
from automation.lakehouse import DAY
from automation.policy import evidence
from automation.policy.evidence import Stood
from automation.policy.limits.demand import Demand, Wanted
from tests.policy.made import NOON, Case, day, declared, small

POLICY = small(declared({"action": "act", "at_most": 2, "per": "place", "place": {"least": 1.0, "days": 7}}))
# So many usually come for two places, and save so much by them, that the one case is not worth one.
USUAL = {POLICY.declared.limits[0].wanted: Demand(7, {"P": Wanted((0,) * 13 + (700,) + (0,) * 10, 700 * 10**7)})}


@pytest.mark.parametrize(("stood", "action"), [(Stood(), "act"), (Stood(usual=USUAL), "tell")])
def test_a_day_is_decided_again_by_what_was_usual_then(
    stood: Stood, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flights = replace(day(Case("a")), usual={})
    for module in (challengers, evidence):
        monkeypatch.setattr(module, "day_of", lambda *_: flights)
    anything: Any = SimpleNamespace(name="toy", spec=SimpleNamespace(cases=SimpleNamespace(table="cases")))
    lake: Any = SimpleNamespace(read=lambda *_: flights.cases)
    made = challengers.redecided(anything, flights.scores, flights.cases, POLICY, stood)
    assert made["action"].to_list() == [action]
    rows = pl.DataFrame({"event_time": [NOON], DAY: [NOON.date()]})
    weighed = evidence.weighed_again(lake, anything, POLICY, rows, stood)
    [chosen] = weighed.choose(stood.used).chosen
    assert weighed.names[chosen] == action
