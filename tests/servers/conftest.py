"""Real embedded servers in folders that are cleaned up however a test ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automation import database
from automation.servers.down import down
from automation.settings import Settings

Until = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def _own_environment(own_environment: None) -> None:
    """Every test here has the environment to itself."""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home of its own, with free ports; whatever was started there is stopped afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        dagster_port, mlflow_port = one.getsockname()[1], two.getsockname()[1]
    chosen = Settings(home=tmp_path / "home", dagster_port=dagster_port, mlflow_port=mlflow_port)
    yield chosen
    down(chosen)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running, prepared embedded database that the tests of one module share and leave running."""
    chosen = Settings(home=tmp_path_factory.mktemp("shared") / "home")
    database.prepare(chosen)
    yield chosen
    database.stop(chosen)


@pytest.fixture
def until() -> Until:
    """Wait for a condition, with a deadline."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "the awaited condition did not come about in 30 s"
            time.sleep(0.02)

    return wait
