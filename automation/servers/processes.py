"""The server processes that Warrant starts: launch one, remember it, find it again, end it.

A process is remembered in ``WARRANT_HOME/servers/<name>.json`` by its pid *and* the time at which the
kernel created it. A pid alone is no identity: after a crash it may belong to anybody's process, which
must be neither taken for ours nor killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from automation.settings import Settings, environment

_END_SECONDS = 15
_CLOCK_SECONDS = 1.0  # psutil derives creation times from the wall clock, which may be set meanwhile


class Server(StrEnum):
    """A server process of ours. PostgreSQL is not among them: `automation.database` runs it."""

    WEBSERVER = "dagster-webserver"
    DAEMON = "dagster-daemon"
    MLFLOW = "mlflow"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Record:
    """What is remembered of a server that was started. ``created`` is in seconds since 1970."""

    server: Server
    pid: int
    created: float
    command: tuple[str, ...]
    host: str | None
    port: int | None

    @property
    def url(self) -> str | None:
        """Where a browser on this machine finds it; None if it serves no address."""
        return None if self.host is None or self.port is None else f"http://{reachable(self.host)}:{self.port}"


def reachable(host: str) -> str:
    """The host by which this machine reaches a server that listens on ``host``, fit for a URL."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 (read, not bound)
    return f"[{local}]" if ":" in local else local


def log_file(settings: Settings, server: Server) -> Path:
    """Where a server's output goes."""
    return settings.home / "logs" / f"{server}.log"


def log_tail(settings: Settings, server: Server, lines: int = 15) -> str:
    """The end of a server's log."""
    try:
        with log_file(settings, server).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


@contextmanager
def one_at_a_time(settings: Settings) -> Iterator[None]:
    """Held by one `up` or `down` at a time; freed by the kernel when its holder dies."""
    folder = settings.home / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remembered(settings: Settings, server: Server) -> Record | None:
    """What was remembered of ``server``, whether or not it still runs; None if nothing readable was."""
    try:
        fields = json.loads(_state_file(settings, server).read_text())
        return Record(
            server=Server(fields["server"]),
            pid=int(fields["pid"]),
            created=float(fields["created"]),
            command=tuple(fields["command"]),
            host=fields["host"],
            port=fields["port"],
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def forget(settings: Settings, server: Server) -> None:
    """Remove what was remembered of ``server``."""
    _state_file(settings, server).unlink(missing_ok=True)


def running(record: Record | None) -> psutil.Process | None:
    """The process that ``record`` remembers, if that very process still runs."""
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.created) <= _CLOCK_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def launch(
    settings: Settings,
    server: Server,
    command: Sequence[str],
    *,
    variables: Mapping[str, str],
    folder: Path,
    host: str | None = None,
    port: int | None = None,
) -> Record:
    """Start ``command`` in a session of its own, so that it outlives us and our terminal; remember it.

    Secrets go into ``variables``: the command is remembered, and shown by ``ps`` to everybody.
    """
    log = log_file(settings, server)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(dict(variables)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = Record(server, process.pid, psutil.Process(process.pid).create_time(), tuple(command), host, port)
    file = _state_file(settings, server)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as draft:
        json.dump(asdict(record), draft)
    Path(draft.name).replace(file)
    return record


def end(record: Record) -> bool:
    """End the process that ``record`` remembers and everything it started; wait until all are gone.

    Its leader is asked first, since it knows how to end its children; what is left after that, or after
    the leader was killed by somebody else, is found by the session that it was started in.

    Returns:
        Whether anything ran.
    """
    leader = running(record)
    children = [] if leader is None else leader.children(recursive=True)
    family = {process.pid: process for process in [*_session(record), *children]}
    found = bool(leader or family)
    if leader is not None:
        _stop([leader], _END_SECONDS)
    left = [process for process in {**family, **{p.pid: p for p in _session(record)}}.values() if _alive(process)]
    _stop(left, _END_SECONDS)
    return found


def _stop(processes: list[psutil.Process], seconds: float) -> None:
    for process in processes:
        _signal(process, kill=False)
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if _alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        _signal(process, kill=True)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(record: Record) -> list[psutil.Process]:
    """The living processes of the session that ``record``'s process led, even if it is gone itself.

    The kernel gives a pid away again only when no session bears its number. So if the leader's pid has a
    new owner, none of ours is left, and the session of that number is the new owner's.
    """
    try:
        new_owner = running(record) is None and _alive(psutil.Process(record.pid))
    except psutil.NoSuchProcess:
        new_owner = False
    if new_owner:
        return []
    found = []
    for process in psutil.process_iter():
        try:
            ours = os.getsid(process.pid) == record.pid
            if ours and process.create_time() >= record.created - _CLOCK_SECONDS and _alive(process):
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def _state_file(settings: Settings, server: Server) -> Path:
    return settings.home / "servers" / f"{server}.json"
