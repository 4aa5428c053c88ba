"""Runs a function in a fresh process and says how long it took and how much memory it held; a home of its own.

What is measured includes the interpreter's start and every import, as a person at a terminal would see it.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from automation import database
from automation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A look at every process of the machine costs some ten milliseconds of a core that is being measured.
SAMPLE_SECONDS = 0.5
END_SECONDS = 15
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Measured:
    """A function's result, and what its process and all processes it started used.

    ``cpu_seconds`` tells a slow function from a busy machine; the database's are not in it. Memory is the greatest sum
    of resident sizes that was sampled: pages that processes share count for each of them. The database's share is
    proportional instead (its processes share most of what they hold).
    """

    result: Any
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_bytes_with_database: int


class ChildFailedError(RuntimeError):
    """The measured function raised; its traceback is on standard error."""


@contextmanager
def fresh_home() -> Iterator[Path]:
    """A temporary WARRANT_HOME. Afterwards its database is stopped and it is gone, however the block ends."""
    with _terminated_as_exit(), tempfile.TemporaryDirectory(prefix="warrant-benchmark-") as folder:
        home = Path(folder)
        try:
            yield home
        finally:
            database.stop(_at(home))


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """SIGTERM unwinds the block, so that what it started is ended and what it made is removed."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def measured(function: Callable[..., Any], *arguments: Any, home: Path | None = None) -> Measured:
    """Calls ``function`` of one of these modules in a fresh process. Arguments and result go as JSON.

    With a ``home``, the process works there, on the embedded database, whatever the environment says.

    Raises:
        ChildFailedError: it raised or was killed.
    """
    with _terminated_as_exit(), tempfile.NamedTemporaryFile(suffix=".json") as answer:
        call = json.dumps([_module_of(function), function.__name__, list(arguments), answer.name])
        began, used = time.perf_counter(), _cpu_of_children()
        child = subprocess.Popen(
            [sys.executable, "-c", "from benchmarks.process import answer; answer()", call],
            env=_environment(home),
            cwd=ROOT,
            stdout=sys.stderr,
        )
        try:
            peak, with_database = _watch(child, _at(home) if home else None)
            seconds, cpu_seconds = time.perf_counter() - began, _cpu_of_children() - used
        finally:
            _end(child)
        if child.returncode:
            raise ChildFailedError(f"{_module_of(function)}.{function.__name__} ended with code {child.returncode}.")
        return Measured(json.loads(Path(answer.name).read_bytes()), seconds, cpu_seconds, peak, with_database)


def _end(child: subprocess.Popen) -> None:
    """Ends a child that still runs: it is asked first, then killed."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _module_of(function: Callable[..., Any]) -> str:
    """The name to import it by: a module run with ``-m`` calls itself ``__main__``."""
    spec = getattr(sys.modules[function.__module__], "__spec__", None)
    return spec.name if spec else function.__module__


def seconds_of(code: str, repeats: int) -> tuple[float, str]:
    """The median time that a fresh interpreter takes for a line of code, and what it printed the last time."""
    seconds, printed = [], ""
    for _ in range(repeats):
        began = time.perf_counter()
        printed = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE
        ).stdout.decode()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), printed


def answer() -> None:
    """The child's side of `measured`."""
    module, name, arguments, file = json.loads(sys.argv[1])
    result = getattr(importlib.import_module(module), name)(*arguments)
    Path(file).write_text(json.dumps(result))


def _cpu_of_children() -> float:
    """Seconds of both kinds that ended children of this process used, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _at(home: Path) -> Settings:
    return Settings(home=home, database_url=None, lakehouse_url=None, artifacts_url=None)


def _environment(home: Path | None) -> dict[str, str]:
    if home is None:
        return dict(os.environ)
    ours = {f"WARRANT_{field.upper()}" for field in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours and name != "DAGSTER_HOME"}
    return {**kept, "WARRANT_HOME": str(home)}


def _watch(child: subprocess.Popen, settings: Settings | None) -> tuple[int, int]:
    """Samples memory until the child ends: the greatest without the database and the greatest with it, in bytes."""
    tree, server, peak, with_database = psutil.Process(child.pid), None, 0, 0
    while True:
        resident = sum(_memory(process, "rss") for process in _family(tree))
        server = server or (database.postmaster(settings) if settings else None)
        shared = sum(_memory(process, "pss") for process in _family(server)) if server else 0
        peak, with_database = max(peak, resident), max(with_database, resident + shared)
        try:
            child.wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return peak, with_database


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process, kind: str) -> int:
    try:
        return process.memory_info().rss if kind == "rss" else process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
    except psutil.AccessDenied:
        return process.memory_info().rss
