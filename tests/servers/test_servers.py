"""The servers: started once, found again, restarted after a crash, and nobody else's process harmed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from automation import database
from automation.errors import WarrantError
from automation.servers import ports, processes
from automation.servers.down import down
from automation.servers.processes import Record, Server
from automation.servers.status import State, status
from automation.servers.up import PortTakenError, Progress, ServerNotStartedError, Step, up
from automation.settings import Settings
from tests.servers.conftest import Until

ROOT = Path(__file__).parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A code location with one asset, in place of ours."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "standin.py").write_text(
        "import dagster as dg\n\n@dg.asset\ndef number(): return 1\n\ndefs = dg.Definitions(assets=[number])\n"
    )
    file = folder / "workspace.yaml"
    file.write_text("load_from:\n  - python_module: {module_name: standin, working_directory: .}\n")
    return file


def launch(settings: Settings, command: list[str], server: Server = Server.DAEMON) -> Record:
    return processes.launch(settings, server, command, variables={}, folder=settings.home.parent)


def ignore(progress: Progress) -> None:
    """Report to nobody."""


def cli(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "automation.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **database.configure_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_life_of_the_servers(settings: Settings, workspace: Path) -> None:
    """Up, up again, killed, up again, down: with a password that must show nowhere."""
    database.prepare(settings)
    folder = database.address(settings).replace("/", "%2F")
    secret = "sEcret%25word"  # noqa: S105 (the embedded server accepts any)
    mine = settings.model_copy(
        update={"database_url": SecretStr(f"postgresql://warrant:{secret}@/postgres?host={folder}")}
    )
    steps: list[Progress] = []

    first = up(mine, steps.append, workspace=workspace)
    assert {record.server for record in first} == set(Server)
    assert [one.state for one in status(mine)] == [State.RUNNING] * 5

    # Nothing that others can read holds the password.
    shown = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if str(settings.home.parent) in str(process.info["cmdline"])
    ]
    written = [
        file.read_text(errors="replace")
        for part in ("servers", "logs", "dagster")
        for file in (settings.home / part).rglob("*")
        if file.is_file()
    ]
    assert len(shown) >= 3
    assert len(written) >= 6
    assert not [text for text in shown + written if "sEcret" in text]

    steps.clear()
    again = up(mine, steps.append, workspace=workspace)
    assert {record.server: record.pid for record in again} == {record.server: record.pid for record in first}
    assert {step.step for step in steps} == {Step.ALREADY_UP}

    # One server dies with kill -9: only it comes back, on the port that it had.
    webserver = next(record for record in first if record.server is Server.WEBSERVER)
    psutil.Process(webserver.pid).kill()
    found = cli(mine, "status", "--json")
    assert found.returncode == 3
    assert {row["name"]: row["running"] for row in json.loads(found.stdout)} == {
        "postgres": True,
        "dagster-webserver": False,
        "dagster-daemon": True,
        "mlflow": True,
        "ledger": True,
    }
    bare = Settings(home=mine.home, database_url=mine.database_url)
    revived = {record.server: record for record in up(bare, steps.append, workspace=workspace)}
    assert revived[Server.WEBSERVER].pid != webserver.pid
    assert revived[Server.WEBSERVER].port == webserver.port
    assert revived[Server.MLFLOW].pid == next(r.pid for r in first if r.server is Server.MLFLOW)
    assert cli(mine, "status").returncode == 0

    family = [child for record in revived.values() for child in _with_children(record.pid)]
    assert set(down(mine)) == {server.value for server in Server}
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]
    assert down(mine) == []
    with database.connect(settings):
        pass  # a database of one's own is left alone


def _with_children(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_a_server_that_ends_while_it_starts_shows_the_end_of_its_log(settings: Settings, tmp_path: Path) -> None:
    broken = tmp_path / "workspace.yaml"
    broken.write_text("no_such_key: 1\n")
    settings.home.mkdir()
    for server in (Server.MLFLOW, Server.DAEMON):
        launch(settings, SLEEP, server)
    with pytest.raises(ServerNotStartedError, match="dagster-webserver ended while it started") as raised:
        up(settings, ignore, workspace=broken)
    assert "no_such_key" in raised.value.message
    assert str(settings.home / "logs" / "dagster-webserver.log") in raised.value.remedy


def test_a_server_that_runs_but_never_answers_is_given_a_time_limit(settings: Settings) -> None:
    settings.home.mkdir()
    for server in Server:
        launch(settings, SLEEP, server)
    with pytest.raises(ServerNotStartedError, match="mlflow did not answer in 0 s"):
        up(settings, ignore, deadline_seconds=0.1)
    assert [one.state for one in status(settings)] == [State.RUNNING, *[State.SILENT] * 4]


def test_a_taken_port_names_who_has_it_and_the_way_out(settings: Settings) -> None:
    with socket.create_server((settings.host, settings.mlflow_port)):
        with pytest.raises(PortTakenError) as raised:
            up(settings, ignore)
        message = str(raised.value)
    assert f"Port {settings.mlflow_port}, for MLflow, is taken by" in message
    assert f"(pid {os.getpid()})" in message
    assert f"warrant up --mlflow-port {settings.mlflow_port + 1}" in message
    assert "WARRANT_MLFLOW_PORT" in message
    assert database.postmaster(settings) is None


def test_a_port_is_free_once_its_server_is_gone(settings: Settings) -> None:
    with socket.create_server((settings.host, settings.dagster_port)):
        assert ports.holder(settings.host, settings.dagster_port) is not None
    assert ports.holder(settings.host, settings.dagster_port) is None


def test_an_error_of_ours_is_a_message_and_exit_code_1_without_a_traceback(settings: Settings) -> None:
    with socket.create_server((settings.host, settings.dagster_port)):
        done = cli(settings, "up")
    assert done.returncode == 1
    assert "is taken by" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reused_pid_is_neither_taken_for_ours_nor_killed(settings: Settings) -> None:
    settings.home.mkdir()
    with subprocess.Popen(SLEEP, start_new_session=True) as foreign:
        try:
            ours = launch(settings, SLEEP)
            processes.end(ours)
            reused = replace(ours, pid=foreign.pid, created=ours.created - 3600)
            assert processes.running(reused) is None
            assert processes.end(reused) is False
            assert foreign.poll() is None
        finally:
            foreign.kill()


def test_children_of_a_killed_server_are_found_and_ended(settings: Settings, until: Until) -> None:
    settings.home.mkdir()
    record = launch(settings, PARENT)
    until(lambda: psutil.Process(record.pid).children())
    leader = psutil.Process(record.pid)
    child = leader.children()[0]
    leader.kill()
    leader.wait()
    assert processes.running(record) is None
    assert processes.end(record) is True
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_ignores_the_request_to_end_is_killed(
    settings: Settings, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.mkdir()
    monkeypatch.setattr(processes, "_END_SECONDS", 0.5)
    ready = settings.home / "ready"
    program = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    )
    record = launch(settings, [sys.executable, "-c", program, str(ready)])
    until(ready.exists)
    assert processes.end(record) is True
    until(lambda: processes.running(record) is None)


def test_what_is_remembered_survives_and_what_is_garbled_is_nothing(settings: Settings) -> None:
    settings.home.mkdir()
    record = launch(settings, SLEEP)
    assert processes.remembered(settings, Server.DAEMON) == record
    file = settings.home / "servers" / "dagster-daemon.json"
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    processes.end(record)
    for text in ("", "{", "[]", "{}", '{"server": "other"}'):
        file.write_text(text)
        assert processes.remembered(settings, Server.DAEMON) is None


def test_status_and_down_of_nothing(settings: Settings) -> None:
    assert [one.state for one in status(settings)] == [State.STOPPED] * 5
    assert not settings.home.exists()
    found = cli(settings, "status", "--json")
    assert found.returncode == 3
    assert [row["pid"] for row in json.loads(found.stdout)] == [None] * 5
    stopped = cli(settings, "down")
    assert (stopped.returncode, stopped.stdout) == (0, "Nothing was running.\n")


def test_a_url_is_one_that_a_browser_here_can_open() -> None:
    record = Record(Server.MLFLOW, 1, 0.0, (), "0.0.0.0", 5000)  # noqa: S104 (not bound)
    assert record.url == "http://127.0.0.1:5000"
    assert replace(record, host="::").url == "http://[::1]:5000"


def test_an_error_prints_what_happened_then_what_to_do() -> None:
    assert str(WarrantError("It broke.", remedy="Mend it.")) == "It broke.\nMend it."
