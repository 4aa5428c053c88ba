"""`warrant down`: stop exactly what `warrant up` started."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import click

from automation import database
from automation.servers import processes
from automation.servers.processes import Server
from automation.settings import Settings
from automation.settings import settings as current_settings


def down(settings: Settings) -> list[str]:
    """Stop the servers with all they started, then the embedded database. A database of your own stays.

    Returns:
        The names of those that ran.
    """
    if not settings.home.is_dir():
        return []

    def stop(server: Server) -> bool:
        record = processes.remembered(settings, server)
        ended = record is not None and processes.end(record)
        processes.forget(settings, server)
        return ended

    with processes.one_at_a_time(settings):
        with ThreadPoolExecutor(len(Server)) as pool:
            ended = dict(zip(Server, pool.map(stop, Server), strict=True))
        names: list[str] = [server for server, ran in ended.items() if ran]
        # Last, because the others write to it while they end.
        return [*names, "postgres"] if database.stop(settings) else names


@click.command("down")
def command() -> None:
    """Stop the servers that `warrant up` started, with their children, and the embedded database.

    Only those very processes are stopped, never another one that has come to bear their number. A
    PostgreSQL of your own is left alone. All data stays. When nothing runs, that is fine too: exit code 0.

    \b
    Example:
      warrant down
    """
    names = down(current_settings())
    click.echo(f"Stopped {', '.join(names)}." if names else "Nothing was running.")
