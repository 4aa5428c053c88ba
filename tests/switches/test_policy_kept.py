"""The gate policy_kept fails where the machine did what is switched off, whatever the decisions say of themselves."""

from __future__ import annotations

import polars as pl
import pytest

from assets.stages.decisions import _policy_kept
from automation.policy.bundle import PolicyBundle
from automation.switches.switch import ALL_ON, WORKLOAD, Off, Switch, SwitchedOff, of_action, of_model
from automation.workload import Workload
from tests.switches.conftest import DAY

ROWS = pl.DataFrame(
    {
        "case_key": ["A", "B", "C"],
        "action": ["protect", "notify", "protect"],
        "status": ["automated", "automated", "review"],
        "model_version": [7, 8, 7],
    }
)


@pytest.mark.parametrize(
    ("switches", "says"),
    [
        ([], None),
        ([of_action("protect")], "protect is switched off, and was taken for 1 cases"),
        ([of_model(8)], "model version 8 is switched off, and decided 1 cases"),
        ([of_model(9)], None),
        ([WORKLOAD], "the workload is switched off, and decided 2 cases"),
    ],
)
def test_what_was_done_though_it_is_off_fails_the_gate(
    workload: Workload, pilots: PolicyBundle, switches: list[Switch], says: str | None
) -> None:
    cases = pl.DataFrame({"flight_id": ["A", "B", "C"], "origin": ["EWR", "JFK", "LGA"]})
    off = Off.of(SwitchedOff(switch, "M. Okafor", "so") for switch in switches)
    found = _policy_kept(workload, pilots, ROWS, cases, {}, str(DAY), off)
    assert (found.passed, found.says) == (says is None, says or "Every limit is kept.")
    # What a person has to decide is nothing that was done.
    reviewed = ROWS.with_columns(status=pl.lit("review"))
    assert _policy_kept(workload, pilots, reviewed, cases, {}, str(DAY), off).passed
    assert _policy_kept(workload, pilots, ROWS, cases, {}, str(DAY), ALL_ON).passed
