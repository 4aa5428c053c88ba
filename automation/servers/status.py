"""`warrant status`: which servers run and answer, and where."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

import click

from automation import database
from automation.servers import health, processes
from automation.servers.processes import Server
from automation.settings import Settings
from automation.settings import settings as current_settings

SOME_STOPPED = 3


class State(StrEnum):
    """What a server does."""

    RUNNING = "running"
    SILENT = "not answering"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ServerStatus:
    """One server now. ``url`` of the database is its address without a password; ``since`` is in UTC."""

    name: str
    state: State
    pid: int | None
    url: str | None
    since: datetime | None


def status(settings: Settings) -> list[ServerStatus]:
    """The database and every server, in the order in which they start."""
    return [_database(settings), *(_server(settings, server) for server in Server)]


def _server(settings: Settings, server: Server) -> ServerStatus:
    record = processes.remembered(settings, server)
    if record is None or processes.running(record) is None:
        return ServerStatus(server, State.STOPPED, None, None, None)
    state = State.RUNNING if health.answers(settings, record) else State.SILENT
    return ServerStatus(server, state, record.pid, record.url, datetime.fromtimestamp(record.created, UTC))


def _database(settings: Settings) -> ServerStatus:
    process = database.postmaster(settings) if settings.database_url is None else None
    where = database.address(settings)
    since = None if process is None else datetime.fromtimestamp(process.create_time(), UTC)
    pid = None if process is None else process.pid
    try:
        with database.connect(settings):
            return ServerStatus("postgres", State.RUNNING, pid, where, since)
    except database.DatabaseUnreachableError:
        return ServerStatus("postgres", State.STOPPED if pid is None else State.SILENT, pid, where, since)


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, for programs.")
def command(as_json: bool) -> None:
    """Show the database and every server: whether it runs and answers, its pid, where, and since when.

    Exit code 0 if all run and answer, 3 if some do not.

    \b
    Examples:
      warrant status
      warrant status --json
    """
    found = status(current_settings())
    if as_json:
        rows = [{**asdict(one), "running": one.state is State.RUNNING} for one in found]
        click.echo(json.dumps(rows, default=datetime.isoformat, indent=2))
    else:
        _print(found)
    sys.exit(0 if all(one.state is State.RUNNING for one in found) else SOME_STOPPED)


def _print(found: list[ServerStatus]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    colours = {State.RUNNING: "green", State.SILENT: "yellow", State.STOPPED: "red"}
    table = Table("Server", "State", "Pid", Column("Where", overflow="fold"), "Since", box=None, pad_edge=False)
    for one in found:
        since = "" if one.since is None else f"{one.since.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(one.name, f"[{colours[one.state]}]{one.state}[/]", str(one.pid or ""), one.url or "", since)
    Console().print(table)
