"""The commands that read and replay, on a real home."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from click.testing import CliRunner, Result

from automation.cli import warrant
from automation.lineage.consumers import UnknownColumnError
from automation.replay import OutsideCalendarError, Platform, UnknownWorkloadError
from automation.scorecard import NothingDecidedError
from tests.docs.test_docs import PAGES, commands
from tests.lineage.conftest import DECIDED, NAME, Home


@pytest.fixture
def command(platform: Platform):
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(warrant, list(arguments))

    return run


def test_the_scorecard_is_one_json_object_that_agrees_with_the_tables(command, home: Home) -> None:
    days = ("--from", DECIDED.keys[0], "--to", DECIDED.keys[-1])
    result = command("scorecard", "--workload", NAME, *days, "--json")
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    decisions = home.lake.read(NAME, "decisions", DECIDED)
    assert card["cases"] == decisions.height == sum(card["decisions_by_action"].values())
    assert card["automation_rate"] == (decisions["status"] == "automated").mean()
    assert 0.6 < card["auc"] < 0.99
    saved = {baseline["name"]: baseline["saved"] for baseline in card["baselines"]}
    assert saved["perfect foresight"] <= 0
    assert all(abs(b["cost"] - card["cost"] - b["saved"]) < 1e-6 for b in card["baselines"])
    assert {"raw", "features", "scoring", "decisions"} <= set(card["seconds_by_stage"])


def test_the_counts_are_rows_valid_plus_rows_quarantined(command, home: Home) -> None:
    result = command("contract", "counts", "--workload", NAME, "--json")
    assert result.exit_code == 0, result.output
    counted = {table["table"]: table for table in json.loads(result.stdout)}
    assert {"weather", "flight_schedule", "airports", "cases", "decisions"} <= set(counted)
    for table in counted.values():
        assert table["rows"] == table["valid"] + table["quarantined"] > 0, table
        assert sum(table["by_rule"].values()) >= table["quarantined"], table


READING = (
    "scorecard",
    "contract counts",
    "contract consumers",
    "gate list",
    "deliveries",
    "status",
    "doctor",
    "explain",
    "replay-decision",
)
"""Commands that only look, and so can be run as the docs give them: on the days that are decided here."""


def test_the_commands_of_the_docs_that_only_look_can_be_run_as_they_stand(command) -> None:
    lines = {line for page in PAGES for line in commands(page.read_text("utf-8"))}
    # The workload that the how-to adds is not added here; tests/lineage/test_another_workload.py runs it.
    here = [line for line in lines if "parcel_claims" not in line]
    looking = sorted(line for line in here if line.removeprefix("warrant ").startswith(READING))
    assert len(looking) >= 5
    for line in looking:
        words = re.sub(r"--from \S+", f"--from {DECIDED.first}", line)
        words = re.sub(r"--to \S+", f"--to {DECIDED.last}", words)
        words = re.sub(r"[0-9-]{10}:", f"{DECIDED.last}:", words)
        result = command(*shlex.split(words)[1:])
        # 3: `warrant status` found servers that do not run, as it should here.
        assert result.exit_code in ((0, 3) if "status" in line else (0,)), (line, result.output)
        assert result.output.strip(), line


def test_the_consumers_of_a_column_are_one_json_object_with_the_champion_that_decides(command, home: Home) -> None:
    column = ("--table", "weather", "--column", "visibility_miles")
    result = command("contract", "consumers", "--workload", NAME, *column, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["champion"]["from"] == DECIDED.keys[0]
    kinds = {consumer["kind"] for consumer in told["columns"]["visibility_miles"]}
    assert {"table", "feature", "vector", "model", "decision", "outcome"} <= kinds
    result = command("contract", "consumers", "--workload", NAME, *column)
    assert f"champion version {told['champion']['version']} of {NAME}, which sees" in result.output


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["scorecard", "--workload", "parcels"], UnknownWorkloadError, "Choose one of these: flight_disruption"),
        (
            ["scorecard", "--workload", NAME, "--from", "2013-12-01"],
            NothingDecidedError,
            "No case of flight_disruption was decided on those days",
        ),
        (
            ["contract", "consumers", "--workload", NAME, "--table", "weather", "--column", "visib"],
            UnknownColumnError,
            "weather has no column visib",
        ),
        (
            ["replay", "--workload", NAME, "--from", "2013-03-02", "--to", "2013-03-01"],
            OutsideCalendarError,
            "--to 2013-03-01 is before --from 2013-03-02",
        ),
        (
            ["replay", "--workload", NAME, "--from", "2012-03-02", "--to", "2012-03-03"],
            OutsideCalendarError,
            "has data from 2013-01-01 to 2014-01-02",
        ),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(command, arguments: list[str], error: type, says: str) -> None:
    result = command(*arguments)
    assert isinstance(result.exception, error), result.output
    assert says in str(result.exception)
    assert result.exception.remedy
