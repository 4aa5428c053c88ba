"""A day's drift that is killed, at any moment, and run again comes to what it would have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from automation.drift.states import CHANNELS
from tests.lineage.conftest import Home
from tests.lineage.killed_day import MOMENTS
from tests.lineage.test_drift import FIRST, ran

PROGRAM = """
import sys
from datetime import date
from pathlib import Path
from tests.lineage.killed_day import main

main(date.fromisoformat(sys.argv[1]), Path(sys.argv[2]))
"""

Story = dict[str, Any]


@pytest.fixture(scope="module")
def stories(copied: Callable[[str], Home], tmp_path_factory: pytest.TempPathFactory) -> list[Story]:
    """What was there after the undisturbed day, after each death of the other, and when that came to its end, too."""
    told = tmp_path_factory.mktemp("killed_drift") / "told.jsonl"
    ran(copied("killed_drift"), PROGRAM, FIRST.isoformat(), str(told))
    return [json.loads(line) for line in told.read_text().splitlines()]


def test_undisturbed_each_channel_has_a_row_and_a_look_that_compared_days_is_said_once(stories: list[Story]) -> None:
    once = stories[0]
    assert {table: len(rows) for table, rows in once["rows"].items()} == dict.fromkeys(CHANNELS, 1)
    [said] = once["events"]
    assert (said["type"], said["version"], said["data"]["day"]) == ("retraining_declined", 1, FIRST.isoformat())
    # A model as of the second day decided it beside the champion: of the last, outcomes are still to come.
    assert list(said["data"]["saved"]["all"]) == ["2013-01-11"]
    assert said["data"]["saved"]["all"]["2013-01-11"] != 0.0


def test_it_was_killed_before_and_after_every_write(stories: list[Story]) -> None:
    killed = stories[1:-1]
    assert [each["after"] for each in killed] == [f"killed at {moment}" for moment in range(MOMENTS)]
    there = [sum(map(len, each["rows"].values())) + len(each["events"]) for each in killed]
    assert there == [(moment + 1) // 2 for moment in range(MOMENTS)]


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_any_moment_it_leaves_what_the_undisturbed_day_has_or_nothing(
    stories: list[Story], moment: int
) -> None:
    once, killed = stories[0], stories[1 + moment]
    for table, rows in killed["rows"].items():
        assert rows in ([], once["rows"][table]), table
    assert killed["events"] in ([], once["events"])


def test_killed_at_every_moment_and_run_again_it_comes_to_the_same(stories: list[Story]) -> None:
    once, at_last = stories[0], stories[-1]
    assert at_last["after"] == once["after"] == "it came to its end"
    for table in CHANNELS:
        assert at_last["rows"][table] == once["rows"][table], table
    assert at_last["events"] == once["events"]
