"""The pilot as declared, without Dagster, servers or the year's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from automation.workload import Policy, Workload, WorkloadSpec
from tests.policy.made import declared as toy

ROOT = Path(__file__).parent.parent.parent
DECLARATION = ROOT / "assets" / "flight_disruption" / "defs.yaml"


@pytest.fixture(scope="session")
def workload() -> Workload:
    """The pilot."""
    attributes = yaml.safe_load(DECLARATION.read_text())["attributes"]
    return Workload(WorkloadSpec.model_validate(attributes), "assets.flight_disruption", ROOT / "contracts")


@pytest.fixture
def declared() -> Callable[[Callable[[dict[str, Any]], object]], dict[str, Any]]:
    """The pilot's declaration after one change to its tree."""

    def change(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        attributes = yaml.safe_load(DECLARATION.read_text())["attributes"]
        edit(attributes)
        return attributes

    return change


@pytest.fixture
def policy() -> Policy:
    """Two units of action between doing nothing and everything; at most two `act` a day and place."""
    return toy({"action": "act", "at_most": 2, "per": "place"})


@pytest.fixture(autouse=True)
def _own_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARRANT_FLIGHT_DISRUPTION_SOURCE", raising=False)
