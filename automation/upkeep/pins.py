"""Which versions of tables are referred to, and by what: they are kept for as long as it is there.

A registered model names the versions it was trained on. A decision carries its feature values itself and names the
model that made it, so what it refers to are that model's tables. Who decided must therefore be registered still: if it
is not, nobody knows what may be removed, and nothing is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.errors import WarrantError
from automation.registry import ModelRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.lakehouse import Lakehouse
    from automation.settings import Settings
    from automation.workload import Workload

DECISIONS = "decisions"


class UnknownReferenceError(WarrantError):
    """A decision names a model version that is not registered, so what it rests on is not known."""


@dataclass(frozen=True)
class Pins:
    """By table: the versions that are referred to, and who refers to each."""

    by_table: Mapping[str, Mapping[int, tuple[str, ...]]]

    def of(self, table: str) -> Mapping[int, tuple[str, ...]]:
        return self.by_table.get(table, {})


def pins(settings: Settings, workload: Workload, lake: Lakehouse) -> Pins:
    """What registered models, and through them decisions, refer to.

    Raises:
        UnknownReferenceError: a model version decided and is not registered.
    """
    name = workload.spec.model.name
    trained = ModelRegistry(settings, workload.name, name).trained_on()
    deciding = decided_by(lake, workload)
    unknown = sorted(deciding - set(trained))
    if unknown:
        raise UnknownReferenceError(
            f"Decisions of {workload.name} were made by {name} {'version' if len(unknown) == 1 else 'versions'} "
            f"{', '.join(map(str, unknown))}, which MLflow does not hold, or not with the tables it was trained on.",
            remedy="Nothing was removed. Bring the version back into MLflow, then run this again.",
        )
    found: defaultdict[str, dict[int, tuple[str, ...]]] = defaultdict(dict)
    for version, tables in sorted(trained.items()):
        what = f"{name} version {version}" + (", which decided" if version in deciding else "")
        for table, at in tables.items():
            found[table][at] = (*found[table].get(at, ()), what)
    return Pins(found)


def decided_by(lake: Lakehouse, workload: Workload) -> set[int]:
    """The model versions that any decision names."""
    if not lake.exists(workload.name, DECISIONS):
        return set()
    named = lake.read(workload.name, DECISIONS, columns=["model_version"])["model_version"]
    return {int(version) for version in named.drop_nulls().unique()}
