"""`warrant alert`, and the sensor, on a real outbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from automation.alerts import sensor
from automation.cli import warrant
from automation.settings import Settings
from automation.settings import settings as current_settings
from tests.alerts.conftest import Toy, Watcher

SAYS = "3 of 4 rows (75.0%) break arrivals 1.0.0; more than the 1.0% may."

Command = Callable[..., Result]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    monkeypatch.setenv("WARRANT_HOME", str(settings.home))
    current_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(warrant, ["alert", *arguments])
    current_settings.cache_clear()


def test_a_list_shows_what_fails_and_then_what_has_recovered(
    command: Command, toy: Toy, instance: dg.DagsterInstance, watcher: Watcher
) -> None:
    assert command("list").output == "Nothing has failed.\n"
    toy.failing = dict.fromkeys(("2013-01-02", "2013-01-03"), SAYS)
    toy.run(instance, "2013-01-02", "2013-01-03")
    watcher()
    toy.failing = {}
    toy.run(instance, "2013-01-03")
    watcher()

    everything = json.loads(command("list", "--json").stdout)
    assert [(row["partition"], row["state"]) for row in everything] == [
        ("2013-01-02", "open"),
        ("2013-01-03", "recovered"),
    ]
    [still] = json.loads(command("list", "--open", "--json").stdout)
    assert still["evidence"]["rules broken"] == ["rule delay: maximum 1440, rows 3"]
    assert (still["owners"], still["waiting_for"]) == (["flight-data@example.com", "team:analysts"], [])

    assert command("acknowledge", str(still["number"]), "--by", "ann").exit_code == 0
    shown = command("list", "--open").output
    assert "toy/arrivals" in shown
    assert "2013-01-03" not in shown
    assert json.loads(command("list", "--open", "--json").stdout)[0]["acknowledged_by"] == "ann"


def test_a_test_message_reaches_every_sink_and_a_sink_that_fails_is_named_with_exit_code_1(
    command: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = command("test")
    assert (sent.exit_code, sent.output) == (0, "log: delivered\n")
    last = json.loads((settings.home / "logs" / "alerts.log").read_text().splitlines()[-1])
    assert (last["kind"], last["subject"]) == ("test", "TEST Warrant can reach you here")

    monkeypatch.setenv("WARRANT_ALERT_WEBHOOK_URL", "http://127.0.0.1:1/T0KEN")
    current_settings.cache_clear()
    sent = command("test")
    assert sent.exit_code == 1
    assert "log: delivered" in sent.output
    assert "webhook: The webhook does not answer (ConnectionRefusedError)." in sent.output
    assert "T0KEN" not in sent.output
    assert json.loads(command("list", "--json").stdout) == []


def test_the_sensor_raises_what_any_run_did_and_its_tick_says_what_it_came_to(
    command: Command, toy: Toy, instance: dg.DagsterInstance, settings: Settings
) -> None:
    toy.failing = {"2013-01-02": SAYS}
    toy.run(instance, "2013-01-02")
    log = settings.home / "logs" / "alerts.log"
    before = len(log.read_text().splitlines()) if log.exists() else 0
    made = dg.Definitions(
        assets=toy.definitions.assets,
        jobs=toy.definitions.jobs,
        executor=dg.in_process_executor,
        sensors=[sensor.build()],
    )
    ticks = []
    for _ in range(2):
        context = dg.build_sensor_context(instance=instance, repository_def=made.get_repository_def())
        ticks.append(sensor.build().evaluate_tick(context).skip_message)
    assert ticks == ["alerts: 1 made, 1 delivered.", "alerts: 0 made, 0 delivered."]
    [line] = log.read_text().splitlines()[before:]
    assert json.loads(line)["subject"] == f"FAILED toy/arrivals 2013-01-02: contract: {SAYS}"
    assert sensor.build().default_status is dg.DefaultSensorStatus.RUNNING
