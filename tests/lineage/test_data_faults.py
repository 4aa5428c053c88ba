"""Faults of a feed raise alarms on the data, and nobody retrains on it: on the same day, whole, it is looked into."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lineage.conftest import Home
from tests.lineage.test_drift import FIRST, ran

PROGRAM = """
import sys
from datetime import date
from pathlib import Path
from tests.lineage.faulty_days import main

main(date.fromisoformat(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
"""

CameTo = dict[str, Any]


@pytest.fixture(scope="module")
def came_to(copied: Callable[[str], Home], tmp_path_factory: pytest.TempPathFactory) -> dict[str, CameTo]:
    """What each delivery of the day came to, in this order."""
    folder = tmp_path_factory.mktemp("data_faults")
    ran(copied("data_faults"), PROGRAM, FIRST.isoformat(), str(folder / "found.json"), str(folder / "sources"))
    return json.loads((folder / "found.json").read_text())


def test_what_a_gate_holds_is_alerted_and_never_comes_to_retraining(came_to: dict[str, CameTo]) -> None:
    held = came_to["held"]
    assert any(f"expectations of flight_disruption/weather on {FIRST}" in gate for gate in held["held_by"])
    assert any(each.startswith(f"FAILED flight_disruption/weather {FIRST}: expectations") for each in held["alerts"])
    assert (held["says"], held["looks"]) == (None, [])


def test_on_what_was_waived_nothing_is_asked_that_day_or_the_next(came_to: dict[str, CameTo]) -> None:
    doubled, waived = came_to["doubled"], came_to["waived"]
    assert any(f"contract of flight_disruption/weather on {FIRST}" in gate for gate in doubled["held_by"])
    assert any(f"flight_disruption/weather {FIRST}: contract" in each for each in doubled["alerts"])
    assert waived["held_by"] == []
    repair = f"The data is to be repaired first: the gate contract of weather failed on {FIRST} and was waived"
    for says in (waived["says"], waived["next_day_says"]):
        assert says.startswith(repair), says
        assert says.endswith("Retraining on it is not looked into."), says
    assert waived["looks"] == []


def test_what_keeps_its_contracts_in_another_unit_is_alerted_and_not_looked_into(came_to: dict[str, CameTo]) -> None:
    unit = came_to["unit"]
    assert unit["held_by"] == []
    [alert] = [each for each in unit["alerts"] if "features_whole" in each]
    assert f"flight_disruption/feature_faults {FIRST}" in alert
    assert f"The data is to be repaired first: on {FIRST}, temperature_f: its median is" in unit["says"]
    assert "as if in degrees Celsius, not degrees Fahrenheit" in unit["says"]
    assert unit["looks"] == []


def test_the_same_day_without_a_fault_is_looked_into(came_to: dict[str, CameTo]) -> None:
    whole = came_to["whole"]
    assert (whole["held_by"], whole["alerts"]) == ([], [])
    assert whole["looks"] == [whole["says"]]
    assert whole["says"].startswith("Nothing is retrained: 1 day can be compared")
