"""Both backends, on real servers: the embedded PostgreSQL and a Redis of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automation import database
from automation.settings import Settings
from feature_repo.online import Backend, opened

KINDS = ("postgres", "redis")


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded PostgreSQL with Warrant's schemas."""
    chosen = Settings(home=tmp_path_factory.mktemp("online") / "home", database_url=None)
    database.start(chosen)
    database.prepare(chosen)
    yield database.url(chosen, "warrant")
    database.stop(chosen)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis on a unix socket, which keeps nothing on disk."""
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed: .ci/run installs it (Debian: apt install redis-server)"
    with tempfile.TemporaryDirectory(prefix="warrant-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        server = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        yield f"unix://{socket}"
        server.terminate()
        server.wait(10)


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest) -> str:
    """The address of each kind of store in turn."""
    return request.getfixturevalue({"postgres": "database_url", "redis": "redis_url"}[request.param])


@pytest.fixture
def backend(address: str) -> Iterator[Backend]:
    made = opened(address, "warrant")
    yield made
    made.close()


@pytest.fixture
def slot() -> Callable[[], str]:
    """Names that no other test uses."""
    return lambda: f"slot-{uuid.uuid4()}"
