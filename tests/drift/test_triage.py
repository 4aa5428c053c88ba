"""Before any talk of drift: is the data whole?"""

from __future__ import annotations

import dagster as dg

from automation.drift.triage import triage
from automation.gates import Standing, State


def test_whole_data_may_tell_of_the_world() -> None:
    found = triage([], broken=20, cases=100, faults=())
    assert found.whole
    assert "whole" in found.says


def test_each_fault_is_named_and_the_data_is_repaired_first() -> None:
    waived = Standing(dg.AssetKey(["w", "weather"]), "expectations", "2013-03-01", State.WAIVED)
    found = triage([waived], broken=21, cases=100, faults=("wind: stuck",))
    assert not found.whole
    assert found.says.startswith("The data is to be repaired first: ")
    for said in ("the gate expectations of weather failed on 2013-03-01", "21 of 100 cases", "wind: stuck"):
        assert said in found.says


def test_a_day_without_cases_is_no_fault() -> None:
    assert triage([], broken=0, cases=0, faults=()).whole
