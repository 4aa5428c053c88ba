"""Days that go wrong: corrupted data, a process killed in the middle. What comes out in the end is what would have."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from automation.calendar import Days
from automation.cli import warrant
from automation.lakehouse import quarantine_of
from automation.replay import Platform
from automation.rollout.promotion import NoChampionError, champion_on
from automation.workload import Workload
from tests.lineage.conftest import NAME, Home

DAY = date(2013, 1, 12)
NOWHERE = "http://127.0.0.1:1/T0KEN"


def alerts(home: Home) -> list[dict]:
    """What the log of alerts holds."""
    return [json.loads(line) for line in (home.folder / "logs" / "alerts.log").read_text().splitlines()]


def test_a_corrupted_day_is_held_by_its_gate_and_goes_on_once_repaired(
    undisturbed: dict[str, str], copied: Callable[[str], Home], corrupted_source: Callable[[date], Path]
) -> None:
    home, source = copied("corrupted"), str(corrupted_source(DAY))
    before = home.digests()
    stopped = home.replay(
        str(DAY), str(DAY), WARRANT_FLIGHT_DISRUPTION_SOURCE=source, WARRANT_ALERT_WEBHOOK_URL=NOWHERE
    )

    assert stopped.returncode == 1
    assert "the gate contract of flight_disruption/weather on 2013-01-12 failed: 36 of 72 rows" in stopped.stderr
    assert "Traceback" not in stopped.stderr

    # Without a daemon: the command that was stopped raised the alerts, and a sink that fails changed nothing.
    contract, expectations = alerts(home)
    assert contract["subject"].startswith("FAILED flight_disruption/weather 2013-01-12: contract: 36 of 72 rows")
    assert contract["evidence"]["rules broken"][0] == "rule wind_speed_mph: maximum 120, rows 36"
    assert '"wind_speed_mph": "1200"' in contract["evidence"]["first rejected rows"][0]
    assert "flight_disruption/decisions" in contract["downstream"]
    assert contract["jobs"] == [
        f"{NAME}_{job}" for job in ("daily", "history", "release", "retrain", "retraining_ways")
    ]
    assert "team:flight-data" in contract["owners"]
    assert expectations["says"] == "row_count is 36, expected at least 40 and at most 80"
    unsent = home.warrant("alert", "send", WARRANT_ALERT_WEBHOOK_URL=NOWHERE)
    assert (unsent.returncode, "webhook failed" in unsent.stderr) == (1, True)
    assert "T0KEN" not in stopped.stderr + unsent.stderr

    held = home.lake.read(NAME, quarantine_of("weather"), Days.one(DAY))
    assert held.height == 36
    assert all("wind_speed_mph: maximum 120" in rules for rules in held["rules"]), held["rules"].to_list()
    assert sum("temperature_f: type number" in rules for rules in held["rules"]) == 3
    after = home.digests()
    for table in ("origin_weather", "scores", "decisions", "outcomes"):
        assert after[table] == before[table], f"{table} went on past a failed gate"

    # Again without repair: what a gate held is not taken as done.
    assert home.replay(str(DAY), str(DAY), WARRANT_FLIGHT_DISRUPTION_SOURCE=source).returncode == 1
    assert len(alerts(home)) == 2, "the same failure was told twice"

    repaired = home.replay(str(DAY), str(DAY))
    assert repaired.returncode == 0, repaired.stderr
    assert [alert["kind"] for alert in alerts(home)] == ["raised"] * 2 + ["recovered"] * 2
    assert home.digests(quarantine_of("weather")) == undisturbed
    assert home.lake.counts(NAME, quarantine_of("weather"), Days.one(DAY)) == {}


def test_a_failed_gate_shows_the_rows_it_rejected_and_nothing_downstream_is_materialized(
    platform: Platform,
    workload: Workload,
    corrupted_source: Callable[[date], Path],
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, str],
    home: Home,
) -> None:
    """In Dagster: the failed check of the partition carries the rows, and no other partition's check is touched."""
    from automation.replay import Step

    day = date(2013, 1, 13)
    monkeypatch.setenv("WARRANT_FLIGHT_DISRUPTION_SOURCE", str(corrupted_source(day)))
    stopped = platform.run(workload, Step("daily", Days.one(day)))
    assert stopped is not None
    # Half the rows are held, so the day is too small as well.
    assert {gate.partition(" failed")[0] for gate in stopped.gates} == {
        "the gate contract of flight_disruption/weather on 2013-01-13",
        "the gate expectations of flight_disruption/weather on 2013-01-13",
    }
    assert stopped.errors == ()
    check = dg.AssetCheckKey(dg.AssetKey([NAME, "weather"]), "contract")
    [record] = platform.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    assert (evaluation.partition, evaluation.passed, evaluation.blocking) == (str(day), False, True)
    first_rejected = evaluation.metadata["first rejected rows"].records[0]
    assert "wind_speed_mph: maximum 120" in first_rejected.data["rules"]
    assert evaluation.metadata["quarantined"].value == 36
    for table in ("origin_weather", "scores", "decisions", "outcomes", "decision_quality"):
        found = platform.instance.get_materialized_partitions(dg.AssetKey([NAME, table]))
        assert str(day) not in found, f"{table} went on past a failed gate"
        assert str(DAY) in found
    # What does not rest on weather goes on.
    assert str(day) in platform.instance.get_materialized_partitions(dg.AssetKey([NAME, "cases"]))
    assert str(day) not in platform.done(workload).days | platform.done(workload).history

    # A person who materializes what lies downstream alone is refused, with the reason.
    refused = alone(platform, "origin_weather", day)
    assert "the gate contract of flight_disruption/weather failed on 2013-01-13: 36 of 72 rows" in refused, refused
    assert "warrant gate waive --workload flight_disruption --asset weather --gate contract" in refused

    # Waived, the day goes on; the gates have failed still, and the rejected rows stay where they are.
    assert [(row["table"], row["gate"], row["state"]) for row in weather_gates("--failed")] == [
        ("weather", "contract", "failed"),
        ("weather", "expectations", "failed"),
    ]
    until = str(datetime.now(UTC).date() + timedelta(days=3))
    place = ("--asset", "weather", "--partition", str(day))
    by_a_reviewer = ("--by", "R. Silva", "--reason", "one morning only", "--until", until)
    denied = CliRunner().invoke(
        warrant, ["gate", "waive", "--workload", NAME, *place, "--gate", "contract", *by_a_reviewer]
    )
    assert "Person 'R. Silva' may not waive_gate" in str(denied.exception)
    for gate in ("contract", "expectations"):
        words = ("--by", "A. Jensen", "--reason", "one morning only", "--until", until)
        result = warrant_gate("waive", "--workload", NAME, *place, "--gate", gate, *words)
        assert f"The failures of {gate} it covers now: {day}." in result
    assert platform.run(workload, Step("daily", Days.one(day))) is None
    assert home.lake.counts(NAME, quarantine_of("weather"), Days.one(day)) == {day: 36}
    assert home.lake.counts(NAME, "decisions", Days.one(day))[day] > 0
    assert str(day) in platform.done(workload).days
    waived = weather_gates("--failed")
    assert {(row["gate"], row["state"], row["waiver"]["by"]) for row in waived} == {
        ("contract", "waived", "A. Jensen"),
        ("expectations", "waived", "A. Jensen"),
    }
    for row in waived:
        warrant_gate("revoke", "--waiver", str(row["waiver"]["number"]), "--by", "B. Olsen")
    assert str(day) not in platform.done(workload).days
    assert "is refused" in alone(platform, "origin_weather", day)


def warrant_gate(*arguments: str) -> str:
    result = CliRunner().invoke(warrant, ["gate", *arguments])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.stdout


def weather_gates(*arguments: str) -> list[dict]:
    """The gates of the table that this test spoils: what an earlier one left of another's is not its matter."""
    rows = json.loads(warrant_gate("list", "--workload", NAME, "--json", *arguments))
    return [row for row in rows if row["table"] == "weather"]


def alone(platform: Platform, table: str, day: date) -> str:
    """What a run of one table for one day says when it fails; nothing if it succeeds."""
    job = platform.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=platform.instance,
        partition_key=str(day),
        asset_selection=[dg.AssetKey([NAME, table])],
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return "".join(str(e.step_failure_data.error.cause) for e in result.all_events if e.is_step_failure)


def test_a_candidate_that_fails_a_gate_is_not_promoted(
    platform: Platform, workload: Workload, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, str]
) -> None:
    from automation import evaluation
    from automation.replay import Step

    before = champion_on(platform.settings, NAME, date(2013, 12, 1))
    honest = evaluation.evaluate

    def worse(probability, label, *rest):
        return honest(1 - probability, label, *rest)

    monkeypatch.setattr(evaluation, "evaluate", worse)
    day = date(2013, 1, 11)
    stopped = platform.run(workload, Step("retrain", Days.one(day)))
    assert stopped is not None
    assert any("the gate beats_base_rate of flight_disruption/candidate_model" in gate for gate in stopped.gates), (
        stopped
    )
    assert champion_on(platform.settings, NAME, date(2013, 12, 1)) == before
    assert str(day) not in platform.instance.get_materialized_partitions(dg.AssetKey([NAME, "champion"]))
    # Nor by a person who promotes it alone.
    refused = alone(platform, "champion", day)
    assert "champion for 2013-01-11 is refused: the gate beats_base_rate of flight_disruption/candidate" in refused
    assert champion_on(platform.settings, NAME, date(2013, 12, 1)) == before
    with pytest.raises(NoChampionError):
        champion_on(platform.settings, NAME, date(2013, 1, 9))


@pytest.mark.parametrize("moments", [("weather", "scores")])
def test_killed_twice_in_the_middle_and_run_again_it_comes_to_the_same_tables(
    undisturbed: dict[str, str], copied: Callable[[str], Home], moments: tuple[str, str]
) -> None:
    home = copied("killed")
    for table in moments:
        process = home.command("replay", "--workload", NAME, "--from", str(DAY), "--to", str(DAY))
        _when_written(home, table, process)
        process.kill()
        process.communicate()
        assert process.returncode == -9, "it ended before it was killed"
    finished = home.replay(str(DAY), str(DAY))
    assert finished.returncode == 0, finished.stderr
    assert home.digests() == undisturbed
    again = home.replay(str(DAY), str(DAY))
    assert "is done (0 steps run)" in again.stdout


def _when_written(home: Home, table: str, process) -> None:
    """Returns as soon as the day of the table has begun to be written."""
    location = Path(home.lake.location(NAME, table))
    before = DeltaTable(str(location)).version()
    deadline = time.monotonic() + 180
    while True:
        if any(int(path.name.split(".")[0]) > before for path in (location / "_delta_log").glob("*[0-9].json")):
            return
        assert process.poll() is None, f"it ended before it wrote {table}: {process.communicate()}"
        assert time.monotonic() < deadline, f"{table} was not written in 180 s"
        time.sleep(0.005)
