"""Whether the model that decides, and those it could be taken back to, still read what they were trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.catalogue.lint import live
from automation.resources import ModelRegistryResource
from automation.rollout.promotion import NoChampionError, champion_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assets.catalogue.lint import Finding
    from automation.settings import Settings
    from automation.workload import Workload


def findings(settings: Settings, workload: Workload, now: Mapping[str, str]) -> list[Finding]:
    """What `lint.live` says of every registered version. None where no version decides yet: MLflow is not asked then.

    ``now`` says by view of the service what it means.
    """
    try:
        champion = champion_on(settings, workload.name, workload.calendar.end)
    except NoChampionError:
        return []
    registry = ModelRegistryResource().open(workload.name, workload.spec.model.name)
    return live(champion.model, registry.trained_with_by_version(), champion.version, now)
