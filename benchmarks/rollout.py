"""Models that a data scientist registers, each to its end: promoted, or stopped and why, in a replay of the pilot.

    python -m benchmarks.rollout --json

Nobody touches it: from another process, which has MLflow's client and scikit-learn only, nine models are registered
under the workload's name while a champion decides that knows the first days of January alone. One is good (it has seen
the days to come), one is like the champion, the others are worse, or what no model may be. Then the days go on, one
after the other, with the plan below; what became of each is asked of `warrant model`. The platform is a copy of this
one, since the plan is declared in the workload's defs.yaml.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import polars as pl
import yaml

from automation import database
from automation.calendar import Days
from automation.lakehouse import DAY
from automation.settings import Settings
from benchmarks.process import ROOT, fresh_home, measured
from benchmarks.report import Figure, at_least, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOAD = "flight_disruption"
PACKAGES = ("assets", "automation", "contracts", "feature_repo")
STARTS, REGISTERED, LAST = date(2013, 1, 20), date(2013, 2, 3), date(2013, 4, 6)
PLAN = {
    "shadow": True,
    "canary": True,
    "shares": [1, 5, 25, 50],
    "step_days": 3,
    "step_cases": 20,
    "undecided": {"after_days": 45, "then": "abort"},
    "judging": {"slices": ["origin", "hour", "season"]},
}
# Where each of them should be at the end.
WANTED = {
    "good": "champion",
    "equal": "aborted",
    "worse_at_one_airport": "registered",
    "leaking": "registered",
    "miscalibrated": "registered",
    "slow": "registered",
    "crashing": "registered",
    "wrong_signature": "registered",
    "malicious": "registered",
}


@dataclass(frozen=True)
class Ended:
    """What became of a model: its state, the day it came to it, and why in words."""

    name: str
    version: int
    state: str
    since: date
    why: str

    @property
    def days(self) -> int:
        """From the first day it might have decided."""
        return (self.since - REGISTERED).days


@dataclass(frozen=True)
class Copy:
    """A copy of the platform with the plan, and a home for it."""

    folder: Path
    home: Path

    def python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=_clean() | {"WARRANT_HOME": str(self.home)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def warrant(self, *arguments: str) -> str:
        return self.python("-m", "automation.cli", *arguments)

    def replay(self, first: date, last: date) -> None:
        self.warrant("replay", "--workload", WORKLOAD, "--from", first.isoformat(), "--to", last.isoformat())


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("WARRANT_", "DAGSTER_"))}


@contextmanager
def copied(plan: dict[str, Any], home: Path) -> Iterator[Copy]:
    """The platform with another rollout plan, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="warrant-rollout-") as made:
        folder = Path(made)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        declared = folder / "assets" / WORKLOAD / "defs.yaml"
        said = yaml.safe_load(declared.read_text())
        said["attributes"]["rollout"] = plan
        # The champion stays the one that knows little: a retraining would be one more challenger.
        said["attributes"]["retrain_day"] = None
        declared.write_text(yaml.safe_dump(said, sort_keys=False))
        yield Copy(folder, home)


@contextmanager
def mlflow_server(settings: Settings) -> Iterator[str]:
    """MLflow's own server over the home's database, as `warrant up` runs it. Yields its address."""
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--no-serve-artifacts", "--default-artifact-root", settings.artifacts]
    more = {"MLFLOW_BACKEND_STORE_URI": database.url(settings, "mlflow"), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        Path(settings.home, "mlflow-server.log").open("w") as log,
        subprocess.Popen(command, env=_clean() | more, stdout=log, stderr=log) as server,
    ):
        try:
            _await(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _await(port: int, server: subprocess.Popen) -> None:
    for _ in range(240):
        if server.poll() is not None:
            raise RuntimeError("MLflow's server ended at once: see mlflow-server.log in the home")
        with closing(socket.socket()) as tried:
            tried.settimeout(0.5)
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            server.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError("MLflow's server did not answer in two minutes")


def export(last: str, file: str) -> int:
    """Writes the vectors of the days up to ``last`` with their labels, as a data scientist would have them."""
    from automation.replay import Platform
    from automation.settings import settings
    from benchmarks.pilot_year import FIRST, ingested

    year = ingested(Platform(settings()), Days(FIRST, date.fromisoformat(last)))
    rows = year.usable.join(year.labels, on=year.key, how="inner", maintain_order="left")
    rows.select(
        *year.workload.model_features,
        pl.col("label").cast(pl.Int8),
        pl.col("event_time").dt.convert_time_zone(year.workload.calendar.timezone).dt.date().alias(DAY),
    ).write_parquet(file)
    return rows.height


def register(copy: Copy, rows: Path, names: tuple[str, ...], known_until: date = STARTS) -> dict[str, int]:
    """Has a process of its own train and register the models, on what is known by a day. Returns their versions."""
    script = Path(__file__).with_name("submitted_models.py")
    with closing(socket.socket()) as listening, mlflow_server(Settings(home=copy.home)) as address:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        done = subprocess.run(
            [sys.executable, "-I", str(script), address, WORKLOAD, str(rows), str(listening.getsockname()[1]), *names],
            cwd=rows.parent,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(rows.parent),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "KNOWN_UNTIL": known_until.isoformat(),
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def ended(copy: Copy, versions: dict[str, int]) -> list[Ended]:
    """What became of each, as `warrant model` says."""
    listed = {
        each["version"]: each for each in json.loads(copy.warrant("model", "list", "--workload", WORKLOAD, "--json"))
    }
    found = []
    for name, version in versions.items():
        row = listed[version]
        said = json.loads(copy.warrant("model", "explain", str(version), "--workload", WORKLOAD, "--json"))
        found.append(Ended(name, version, row["state"], date.fromisoformat(row["from"]), said["says"]))
    return found


def figures_of(found: list[Ended]) -> list[Figure]:
    as_wanted = [each for each in found if each.state == WANTED[each.name]]
    return [
        at_least(len(found), "ended_where_they_should", len(as_wanted), "models"),
        *(figure(f"days_{each.name}", each.days, "days") for each in found),
    ]


def table(found: list[Ended]) -> None:
    """What became of each, for people."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None)
    for title in ("model", "version", "ended as", "wanted", "days", "why"):
        shown.add_column(title, overflow="fold")
    for each in found:
        shown.add_row(each.name, str(each.version), each.state, WANTED[each.name], str(each.days), each.why)
    Console(stderr=True, width=160).print(shown)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day that is replayed.")
@click.option("--only", "names", multiple=True, type=click.Choice(list(WANTED)), help="Only these models.")
def main(as_json: bool, until, names: tuple[str, ...]) -> None:
    """Register models of all kinds and see where each of them ends."""
    on, last = machine(), until.date()
    with fresh_home() as home, copied(PLAN, home) as copy:
        rows = home / "rows.parquet"
        progress(f"ingesting to {last}")
        measured(export, last.isoformat(), str(rows), home=home)
        progress(f"deciding from {STARTS} on")
        copy.replay(STARTS, REGISTERED - timedelta(days=1))
        progress("registering")
        versions = register(copy, rows, names or tuple(WANTED))
        progress(f"going on to {last}")
        copy.replay(REGISTERED, last)
        found = ended(copy, versions)
    table(found)
    show("rollout", on, figures_of(found), as_json=as_json)


if __name__ == "__main__":
    main()
