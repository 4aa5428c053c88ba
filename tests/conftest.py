"""What holds for every test: properties are judged by what they find, not by how busy the machine is."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from automation.settings import settings as warrant_settings

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
