"""What holds for every test: properties are judged by what they find, not by how busy the machine is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from automation.settings import settings as warrant_settings

HERE = Path(__file__).parent
# A worker takes file after file, in this order (`make test`): those that take minutes first, so that none is left to
# one worker when the other is done. The second and the fourth need no home, which the first makes meanwhile.
FIRST = (
    "lineage/test_in_a_browser.py",
    "lineage/test_another_workload.py",
    "lineage/test_landing.py",
    "lineage/test_gate_conformance.py",
    "lineage/",
    # After all that share a home with it, to which it adds a day with held rows.
    "lineage/test_recovery.py",
    "engines/",
    "servers/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """By the file, or else by its folder; whatever is not named comes last."""
    file = item.path.relative_to(HERE).as_posix()
    named = next((name for name in (file, f"{file.partition('/')[0]}/") if name in FIRST), None)
    return len(FIRST) if named is None else FIRST.index(named)


settings.register_profile("warrant", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("warrant")


@pytest.fixture(autouse=True)
def _read_the_environment_anew() -> None:
    """Settings are read once a process; what an earlier test set is not this one's."""
    warrant_settings.cache_clear()


@pytest.fixture
def own_environment() -> Iterator[None]:
    """Begins without anything that names a home; what the test, or configure_environment within it, sets is gone after
    it."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("WARRANT_") or name == "DAGSTER_HOME"]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)
