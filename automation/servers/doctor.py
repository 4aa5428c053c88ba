"""`warrant doctor`: is this machine ready, and if not, what to do.

Each check is a function of the settings that returns a `Finding` and raises nothing for a fault that it
is there to find. What runs is left running, and a database that a check starts, it stops again.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import click

from automation import database
from automation.engines.engine import EngineName
from automation.errors import WarrantError
from automation.servers import ports, processes
from automation.servers.processes import Server
from automation.settings import Settings, environment
from automation.settings import settings as current_settings

ROOT: Final = Path(__file__).parents[2]
FREE_BYTES: Final = 2 * 1024**3
"""What a replay of the pilot's year needs, with room."""
_IMPORT_SECONDS: Final = 120


class Verdict(StrEnum):
    """What a check found."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """What one check found; ``remedy`` says what to do and is empty if nothing is."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def python_version(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Warrant's packages are locked for Python 3.11."""
    name, found = "Python 3.11", ".".join(map(str, version))
    if version == (3, 11):
        return Finding(name, Verdict.RIGHT, f"{sys.executable} is Python {found}")
    return Finding(name, Verdict.WRONG, f"this is Python {found}", "Install Python 3.11, then run `make env`.")


def packages(lock: Path = ROOT / "requirements.lock") -> Finding:
    """What is installed is what was tested."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    name, remedy = "Packages as locked", "Run `make env`."
    if not lock.is_file():
        return Finding(name, Verdict.WRONG, f"{lock} is missing", "Restore it with git, then run `make env`.")
    lines = re.findall(r"^([A-Za-z0-9][^\s\\][^\\\n]*?)\s*\\?$", lock.read_text(), re.MULTILINE)
    wanted = [requirement for requirement in map(Requirement, lines) if _applies(requirement)]
    installed = {canonicalize_name(d.name): d.version for d in importlib.metadata.distributions()}
    wrong = [
        f"{requirement.name} is {version or 'missing'}, not {str(requirement.specifier).removeprefix('==')}"
        for requirement in wanted
        if (version := installed.get(canonicalize_name(requirement.name))) is None
        or version not in requirement.specifier
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Finding(name, Verdict.WRONG, "; ".join(wrong[:3]) + more, remedy)
    return Finding(name, Verdict.RIGHT, f"all {len(wanted)} packages")


def _applies(requirement: object) -> bool:
    marker = getattr(requirement, "marker", None)
    return marker is None or marker.evaluate()


def home(settings: Settings) -> Finding:
    """Warrant's folder can be written to."""
    name = "WARRANT_HOME writable"
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            return Finding(name, Verdict.RIGHT, str(settings.home))
    except OSError as error:
        remedy = "Set WARRANT_HOME to a folder that you may write to."
        return Finding(name, Verdict.WRONG, f"{settings.home}: {error.strerror}", remedy)


def disk_space(settings: Settings, needed_bytes: int = FREE_BYTES) -> Finding:
    """There is room for a replay."""
    name, needed = "Disk space", f"{needed_bytes / 1024**3:.1f} GiB"
    folder = next(path for path in (settings.home, *settings.home.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free >= needed_bytes:
        return Finding(name, Verdict.RIGHT, detail)
    remedy = f"Free {needed} there, or set WARRANT_HOME to a larger disk."
    return Finding(name, Verdict.WRONG, detail, remedy)


def database_answers(settings: Settings) -> Finding:
    """The database starts or is reached, and has our schemas."""
    name = "Database"
    before = settings.database_url is not None or database.postmaster(settings) is not None
    try:
        where = database.start(settings)
        try:
            with database.connect(settings) as connection:
                missing = database.missing_schemas(connection)
        finally:
            if not before:
                database.stop(settings)
    except WarrantError as error:
        return Finding(name, Verdict.WRONG, error.message, error.remedy)
    if missing and before:
        remedy = "Run `warrant up`: it creates them."
        return Finding(name, Verdict.WRONG, f"{where} lacks the schemas {', '.join(missing)}", remedy)
    return Finding(name, Verdict.RIGHT, where if before else f"{where} starts (and was stopped again)")


def ports_free(settings: Settings) -> Finding:
    """Each server's port is free, or the server itself has it."""
    name, taken = "Ports", []
    for server, port in ((Server.WEBSERVER, settings.dagster_port), (Server.MLFLOW, settings.mlflow_port)):
        record = processes.remembered(settings, server)
        if processes.running(record) is not None:
            continue
        try:
            holder = ports.holder(settings.host, port)
        except OSError as error:
            remedy = "Set WARRANT_HOST to an address of this machine, such as 127.0.0.1."
            return Finding(name, Verdict.WRONG, f"cannot listen on {settings.host}: {error}", remedy)
        if holder is not None:
            taken.append(f"{port}, for {server}, is taken by {holder}")
    if taken:
        remedy = "Stop that process, or set WARRANT_DAGSTER_PORT or WARRANT_MLFLOW_PORT."
        return Finding(name, Verdict.WRONG, "; ".join(taken), remedy)
    return Finding(name, Verdict.RIGHT, "free, or our servers have them")


def code_location(module: str = "automation.definitions", folder: Path = ROOT) -> Finding:
    """Dagster's servers will be able to import the code location."""
    name, begun = "Code location", time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import importlib, sys; importlib.import_module(sys.argv[1])", module],
            check=False,
            cwd=folder,
            env=environment({"PYTHONWARNINGS": "ignore"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        remedy = "Something at import is slow or waits: find it with `python -X importtime`."
        return Finding(name, Verdict.WRONG, f"{module} took over {_IMPORT_SECONDS} s to import", remedy)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        remedy = f"Run `python -c 'import {module}'` in {folder} to see it whole."
        return Finding(name, Verdict.WRONG, f"{module} cannot be imported: {last}", remedy)
    return Finding(name, Verdict.RIGHT, f"{module} imports in {time.monotonic() - begun:.1f} s")


def state_files(settings: Settings) -> Finding:
    """Every server that was started still runs."""
    name = "Started servers"
    known = [
        (server, processes.running(processes.remembered(settings, server)))
        for server in Server
        if (settings.home / "servers" / f"{server}.json").exists()
    ]
    gone = [server for server, process in known if process is None]
    if gone:
        remedy = "Run `warrant up` to start what is missing, or `warrant down` to forget it."
        return Finding(name, Verdict.WRONG, f"{', '.join(gone)} ended without `warrant down`", remedy)
    return Finding(name, Verdict.RIGHT, f"{len(known)} started, all running" if known else "none started")


def lakehouse(settings: Settings) -> Finding:
    """A Delta table can be written to the lakehouse and read back."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    name, where = "Lakehouse", f"{settings.lakehouse.rstrip('/')}/_doctor"
    try:
        write_deltalake(where, pa.table({"value": [1]}), mode="overwrite")
        read = DeltaTable(where).to_pyarrow_table()["value"].to_pylist()
    except Exception as error:  # noqa: BLE001 (each object store fails in its own way; all are findings)
        remedy = "Set WARRANT_LAKEHOUSE_URL to a folder or bucket you may write to, and its credentials."
        return Finding(name, Verdict.WRONG, f"{settings.lakehouse}: {error}", remedy)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    if read != [1]:
        return Finding(name, Verdict.WRONG, f"{settings.lakehouse} read back {read}", "Check the store.")
    return Finding(name, Verdict.RIGHT, f"{settings.lakehouse} written and read")


def dagster_home(settings: Settings) -> Finding:
    """Dagster's own commands find the same instance as Warrant's."""
    name, file = "DAGSTER_HOME", settings.dagster_home / "dagster.yaml"
    given = os.environ.get("DAGSTER_HOME")
    if given is not None and Path(given).resolve() != settings.dagster_home.resolve():
        remedy = f"Run `unset DAGSTER_HOME`, or `export DAGSTER_HOME={settings.dagster_home}`."
        return Finding(name, Verdict.WRONG, f"is {given}: another instance than Warrant's", remedy)
    if not file.exists():
        return Finding(name, Verdict.RIGHT, f"{file} will be written by `warrant up`")
    if file.read_text() != database.dagster_yaml(settings):
        return Finding(name, Verdict.WRONG, f"{file} was changed", "Run `warrant up`: it is generated.")
    return Finding(name, Verdict.RIGHT, str(settings.dagster_home))


def spark(settings: Settings) -> Finding:
    """Spark can compute, if this machine or a workload wants it to; a session is not started."""
    from automation.engines import on_spark

    name, lacks = "Spark", on_spark.missing()
    wants = _who_wants_spark(settings)
    if lacks is None:
        ready = f"pyspark {importlib.metadata.version('pyspark')} and Java are there, for {settings.spark_master}"
        return Finding(name, Verdict.RIGHT, ready if wants else f"{ready}; nothing computes on it")
    if not wants:
        return Finding(name, Verdict.RIGHT, f"cannot run ({lacks.what}), and nothing computes on it")
    return Finding(name, Verdict.WRONG, f"{wants} computes on spark, but {lacks.what}", lacks.remedy)


def foreign_models() -> Finding:
    """A model that brings code can be kept from doing anything but compute."""
    from automation.rollout.sandbox import probing

    name = "Foreign models"
    try:
        found = probing.probe()
    except WarrantError as error:
        return Finding(name, Verdict.WRONG, error.message, error.remedy)
    if not found.enough_for_code:
        remedy = "Models with code of their own are refused here, LightGBM's run: see docs/threat-model-of-models.md."
        return Finding(name, Verdict.WRONG, found.says, remedy)
    return Finding(name, Verdict.RIGHT, found.says)


def _who_wants_spark(settings: Settings) -> str:
    """What says that the engine is spark: the setting, or the workloads whose defs.yaml does; empty if nothing."""
    if settings.engine is not None:
        return f"WARRANT_ENGINE={settings.engine}" if settings.engine is EngineName.SPARK else ""
    declare = re.compile(rf"^\s+engine:\s*[\"']?{EngineName.SPARK}\b", re.MULTILINE)
    return ", ".join(
        file.parent.name for file in sorted((ROOT / "assets").glob("*/defs.yaml")) if declare.search(file.read_text())
    )


def examine(settings: Settings) -> list[Finding]:
    """Every check, cheap ones first; those that need the folder last."""
    checks: list[Callable[[], Finding]] = [
        python_version,
        packages,
        lambda: home(settings),
        lambda: disk_space(settings),
        lambda: dagster_home(settings),
        lambda: state_files(settings),
        lambda: ports_free(settings),
        lambda: database_answers(settings),
        lambda: lakehouse(settings),
        lambda: spark(settings),
        foreign_models,
        code_location,
    ]
    return [check() for check in checks]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, for programs.")
def command(as_json: bool) -> None:
    """Check this installation: Python, packages, folders, database, ports, lakehouse, Spark, sandbox, code location.

    Each check prints what it found and, if something is wrong, what to do. What runs is not disturbed.
    Exit code 0 if all is right, 1 if something is wrong.

    \b
    Examples:
      warrant doctor
      warrant doctor --json
    """
    findings = examine(current_settings())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            right = finding.verdict is Verdict.RIGHT
            mark = click.style("✓" if right else "✗", fg="green" if right else "red")
            click.echo(f"{mark} {finding.check}: {finding.detail}")
            if finding.remedy:
                click.echo(f"    {finding.remedy}")
    sys.exit(0 if all(finding.verdict is Verdict.RIGHT for finding in findings) else 1)
