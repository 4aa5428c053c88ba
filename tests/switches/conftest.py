"""The pilot, the ledger's real database, and a workload of it that decides by its first policy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from automation.ledger.store import Ledger
from automation.policy import activation
from automation.rollout import promotion
from automation.rollout.machine import Champion
from automation.settings import Settings
from automation.workload import Workload
from tests.ledger.conftest import NOW, ledger, server, settings, superuser
from tests.policy.conftest import pilots, workload

__all__ = ["ledger", "pilots", "server", "settings", "superuser", "workload"]
NAME = "flight_disruption"
OPERATOR, REVIEWER = "M. Okafor", "R. Silva"
DAY, LATER = date(2013, 3, 1), date(2013, 3, 8)
VERSION = 7


@pytest.fixture
def deciding(settings: Settings, ledger: Ledger, workload: Workload) -> Iterator[Workload]:
    """The pilot, with a policy in force and a model version that was registered."""
    activation._kept.cache_clear()
    activation.in_force(settings, ledger, workload, DAY, NOW)
    promotion.register(settings, NAME, Champion(NAME, VERSION, "d" * 64, DAY), {}, NOW)
    yield workload
    activation._kept.cache_clear()
