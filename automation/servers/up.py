"""`warrant up`: start whatever does not run yet, and wait until each answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import click

from automation import database
from automation.errors import WarrantError
from automation.servers import health, ports, processes
from automation.servers.processes import Record, Server
from automation.settings import Settings
from automation.settings import settings as current_settings

WORKSPACE: Final = Path(__file__).parents[2] / "workspace.yaml"
DEADLINE_SECONDS: Final = 300.0


class Step(StrEnum):
    """How far a server has come."""

    STARTING = "starting"
    STARTED = "started"
    ALREADY_UP = "already up"


@dataclass(frozen=True)
class Progress:
    """One step of one server; ``where`` once it is known."""

    name: str
    step: Step
    where: str = ""


Report = Callable[[Progress], None]


class PortTakenError(WarrantError):
    """Another process listens on a port that a server needs."""


class ServerNotStartedError(WarrantError):
    """A server ended, or did not answer in time; the message holds the end of its log."""


def up(
    settings: Settings,
    report: Report,
    *,
    workspace: Path = WORKSPACE,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> list[Record]:
    """Make sure that the database and every server run and answer.

    What runs is left alone, what is missing is started; a second call at the same time waits for the
    first. A port given by option or environment wins over the one a server last had, which wins over
    the default.

    Raises:
        PortTakenError: before anything of ours was started on it.
        ServerNotStartedError: what else started keeps running; call it again after the repair.
    """
    with processes.one_at_a_time(settings):
        missing = {server for server in Server if not processes.running(processes.remembered(settings, server))}
        settings = _with_remembered_ports(settings)
        _require_free_ports(settings, missing)
        _database_up(settings, report)
        variables = database.configure_environment(settings)

        # MLflow takes longest: it starts first, and Dagster's tables are made meanwhile. They are made here
        # because the webserver and the daemon, starting at once, would race to make them.
        records = []
        for server in (Server.MLFLOW, Server.LEDGER, Server.WEBSERVER, Server.DAEMON):
            record = processes.remembered(settings, server)
            if server in missing or record is None:
                if server in (Server.WEBSERVER, Server.DAEMON):
                    _create_dagster_tables(settings)
                report(Progress(server, Step.STARTING))
                record = _launch(settings, server, variables, workspace)
            records.append(record)
        _await_answers(settings, records, missing, report, deadline_seconds)
        return records


def _with_remembered_ports(settings: Settings) -> Settings:
    ports_of = {"dagster_port": Server.WEBSERVER, "mlflow_port": Server.MLFLOW}
    remembered = {name: processes.remembered(settings, server) for name, server in ports_of.items()}
    return settings.model_copy(
        update={
            name: record.port
            for name, record in remembered.items()
            if record is not None and name not in settings.model_fields_set
        }
    )


def _require_free_ports(settings: Settings, missing: set[Server]) -> None:
    for server, what, port, option in (
        (Server.WEBSERVER, "the Dagster UI", settings.dagster_port, "dagster-port"),
        (Server.MLFLOW, "MLflow", settings.mlflow_port, "mlflow-port"),
    ):
        if server not in missing:
            continue
        try:
            holder = ports.holder(settings.host, port)
        except OSError as error:
            raise PortTakenError(
                f"Cannot listen on {settings.host}: {error}",
                remedy="Set WARRANT_HOST to an address of this machine, such as 127.0.0.1.",
            ) from error
        if holder is not None:
            raise PortTakenError(
                f"Port {port}, for {what}, is taken by {holder}.",
                remedy=f"Stop that process, or choose another port: `warrant up --{option} {port + 1}` "
                f"(or set WARRANT_{option.upper().replace('-', '_')}).",
            )


def _database_up(settings: Settings, report: Report) -> None:
    before = database.postmaster(settings) is not None or settings.database_url is not None
    if not before:
        report(Progress("postgres", Step.STARTING))
    database.prepare(settings)
    step = Step.ALREADY_UP if before else Step.STARTED
    report(Progress("postgres", step, database.address(settings)))


def _create_dagster_tables(settings: Settings) -> None:
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(to_regclass('dagster.' || name) IS NOT NULL) "
            "FROM unnest(ARRAY['runs', 'event_logs', 'jobs', 'alembic_version']) AS name"
        )
        row = cursor.fetchone()
    if row and row[0]:
        return
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        instance.upgrade()


def _launch(settings: Settings, server: Server, variables: Mapping[str, str], workspace: Path) -> Record:
    python, host = sys.executable, settings.host
    dagster, mlflow = str(settings.dagster_port), str(settings.mlflow_port)
    folder = workspace.parent
    match server:
        case Server.WEBSERVER:
            command = [python, "-m", "dagster_webserver", "-w", str(workspace), "-h", host, "-p", dagster]
            return processes.launch(
                settings,
                server,
                command,
                variables=variables,
                folder=folder,
                host=host,
                port=settings.dagster_port,
            )
        case Server.DAEMON:
            command = [python, "-m", "dagster._daemon", "run", "-w", str(workspace)]
            return processes.launch(settings, server, command, variables=variables, folder=folder)
        case Server.LEDGER:
            command = [python, "-m", "automation.cli", "ledger", "sign", "--keep"]
            return processes.launch(settings, server, command, variables=variables, folder=folder)
        case Server.MLFLOW:
            command = [python, "-m", "mlflow", "server", "--host", host, "--port", mlflow, "--workers", "1"]
            # Clients on this machine write artifacts themselves: no detour through the server.
            command += ["--no-serve-artifacts", "--default-artifact-root", settings.artifacts]
            backend = {
                "MLFLOW_BACKEND_STORE_URI": database.url(settings, "mlflow"),
                # It would start job runners that nothing here uses.
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            }
            return processes.launch(
                settings,
                server,
                command,
                variables={**variables, **backend},
                folder=settings.home,
                host=host,
                port=settings.mlflow_port,
            )


def _await_answers(
    settings: Settings, records: list[Record], started: set[Server], report: Report, deadline_seconds: float
) -> None:
    """Report each server as it answers; raise as soon as one has ended, or when the time is up."""
    deadline, waiting = time.monotonic() + deadline_seconds, list(records)
    while waiting:
        for record in list(waiting):
            alive = processes.running(record) is not None
            if alive and health.answers(settings, record):
                step = Step.STARTED if record.server in started else Step.ALREADY_UP
                report(Progress(record.server, step, record.url or ""))
                waiting.remove(record)
            elif not alive or time.monotonic() > deadline:
                fate = f"did not answer in {deadline_seconds:.0f} s" if alive else "ended while it started"
                log = processes.log_tail(settings, record.server)
                raise ServerNotStartedError(
                    f"{record.server} {fate}. The end of its log:\n{log}",
                    remedy=f"The whole log is {processes.log_file(settings, record.server)}. After the "
                    "repair, `warrant down` and `warrant up`; `warrant doctor` may know more.",
                )
        time.sleep(0.1)


@click.command("up")
@click.option("--dagster-port", type=click.IntRange(1, 65535), help="Port of the Dagster UI.")
@click.option("--mlflow-port", type=click.IntRange(1, 65535), help="Port of the MLflow UI.")
def command(dagster_port: int | None, mlflow_port: int | None) -> None:
    """Start the database, the Dagster UI and daemon, and MLflow, and print where each is.

    They keep running when this command ends and when you log out; `warrant down` stops them. Run it
    again at any time, also after a crash: what runs is left alone, what is missing is started.

    \b
    Example, with other ports than 3000 and 5000:
      warrant up --dagster-port 3100 --mlflow-port 5100

    \b
    Settings: WARRANT_HOME, WARRANT_HOST, WARRANT_DAGSTER_PORT, WARRANT_MLFLOW_PORT and, for a
    PostgreSQL of your own, WARRANT_DATABASE_URL. Logs are in WARRANT_HOME/logs.
    """
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    chosen = {"dagster_port": dagster_port, "mlflow_port": mlflow_port}
    settings = current_settings()
    settings = settings.model_copy(update={k: v for k, v in chosen.items() if v is not None})
    console = Console()
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    steps: list[Progress] = []
    with Bars(*columns, console=console, transient=True) as bars:
        tasks = {}

        def report(progress: Progress) -> None:
            steps.append(progress)
            if progress.name not in tasks:
                tasks[progress.name] = bars.add_task(progress.name, total=1)
            bars.update(
                tasks[progress.name],
                description=f"{progress.name:<18} {progress.step}",
                completed=0 if progress.step is Step.STARTING else 1,
            )

        up(settings, report)
    for step in steps:
        if step.step is not Step.STARTING:
            console.print(f"[green]✓[/] {step.name:<18} {step.step:<11} {step.where}", soft_wrap=True, highlight=False)
    if all(step.step is Step.ALREADY_UP for step in steps):
        console.print("Everything was up already.")
    for name, port, server in (
        ("--dagster-port", dagster_port, Server.WEBSERVER),
        ("--mlflow-port", mlflow_port, Server.MLFLOW),
    ):
        record = processes.remembered(settings, server)
        if port is not None and record is not None and record.port != port:
            console.print(
                f"{name} was not applied: {server} runs already. To move it, run `warrant down` first.",
                soft_wrap=True,
            )
