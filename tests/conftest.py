"""What holds for every test: properties are judged by what they find, not by how busy the machine is."""

import pytest
from hypothesis import HealthCheck, settings

from automation.settings import settings as warrant_settings

settings.register_profile("warrant", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("warrant")


@pytest.fixture(autouse=True)
def _read_the_environment_anew() -> None:
    """Settings are read once a process; what an earlier test set is not this one's."""
    warrant_settings.cache_clear()
