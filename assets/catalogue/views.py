"""The feature views as the code defines them, whatever is registered: owners, promises, services."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore
    from feast.base_feature_view import BaseFeatureView

    from automation.workload import Workload

ON_DEMAND = "computed on demand, from what is known when it is asked for"


@dataclass(frozen=True)
class Feature:
    """One feature of a view."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class View:
    """One view. ``ttl_seconds`` is how long after its event time a value may be used; None is for ever.

    ``contract`` and ``contract_digest`` are those it says it was made from; empty where it says none.
    """

    name: str
    table: str
    owner: str
    description: str
    contract: str
    contract_digest: str
    known_time: str
    keys: tuple[str, ...]
    ttl_seconds: float | None
    features: tuple[Feature, ...]
    services: tuple[str, ...]
    means: str
    on_demand: bool


class UnknownViewError(WarrantError):
    """The workload defines no such view."""


@contextmanager
def as_coded(workload: Workload) -> Iterator[FeatureStore]:
    """A store with a registry of its own that holds what the code defines now. It is gone afterwards."""
    from feature_repo.store import apply, feature_store

    with tempfile.TemporaryDirectory(prefix="warrant-catalogue-") as folder:
        store = feature_store(f"sqlite:///{Path(folder) / 'registry.db'}", folder)
        apply(store, workload.name)
        yield store


def views(store: FeatureStore, workload: Workload) -> list[View]:
    """Every view of the workload, on-demand views last, each kind by name."""
    from feature_repo.pins import view_digests
    from feature_repo.store import WORKLOAD_TAG

    services = {
        service.name: {projection.name for projection in service.feature_view_projections}
        for service in store.list_feature_services()
        if service.tags.get(WORKLOAD_TAG) == workload.name
    }
    means = {name: digest for service in services for name, digest in view_digests(store, service).items()}

    # Feast takes no descriptions of what is computed on demand: the contract of the vector has them.
    vector = {column.name: column.description for column in workload.contract(workload.spec.model.contract).columns}

    def described(view: BaseFeatureView, *, on_demand: bool) -> View:
        source = None if on_demand else getattr(view, "batch_source", None)
        ttl = getattr(view, "ttl", None)
        return View(
            name=view.name,
            table=view.name.removeprefix(f"{workload.name}__"),
            owner=view.owner,
            description=view.description,
            contract=view.tags.get("contract", ""),
            contract_digest=view.tags.get("contract_digest", ""),
            known_time=ON_DEMAND if on_demand else view.tags.get("known_time", "") if _known(source) else "",
            keys=() if on_demand else tuple(column.name for column in getattr(view, "entity_columns", ())),
            ttl_seconds=ttl.total_seconds() if ttl else None,
            features=tuple(
                Feature(each.name, str(each.dtype), each.description or vector.get(each.name, ""))
                for each in view.features
            ),
            services=tuple(sorted(name for name, held in services.items() if view.name in held)),
            means=means.get(view.name, ""),
            on_demand=on_demand,
        )

    ours = [view for view in store.list_batch_feature_views() if view.tags.get(WORKLOAD_TAG) == workload.name]
    computed = [view for view in store.list_on_demand_feature_views() if view.tags.get(WORKLOAD_TAG) == workload.name]
    return [
        *(described(view, on_demand=False) for view in sorted(ours, key=lambda each: each.name)),
        *(described(view, on_demand=True) for view in sorted(computed, key=lambda each: each.name)),
    ]


def _known(source: object) -> bool:
    """Whether the view's source says when its rows became known."""
    return bool(getattr(source, "created_timestamp_column", ""))


def one(found: list[View], name: str) -> View:
    """The view of that name, or whose table has it."""
    for view in found:
        if name in (view.name, view.table):
            return view
    raise UnknownViewError(f"There is no view {name}.", remedy=f"Choose one of {', '.join(v.table for v in found)}.")
