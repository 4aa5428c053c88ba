"""What waits for an asset, and whom that concerns, read from the code location's graph."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.alerts.alert import Reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dagster as dg


@dataclass(frozen=True)
class Node:
    """An asset: those that read it, its owners, the jobs that make it."""

    readers: tuple[str, ...]
    owners: tuple[str, ...]
    jobs: tuple[str, ...] = ()


def graph_of(repository: dg.RepositoryDefinition) -> dict[str, Node]:
    """Every asset of the code location by its key, with slashes."""
    jobs: dict[dg.AssetKey, list[str]] = {}
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            for key in job.asset_layer.selected_asset_keys:
                jobs.setdefault(key, []).append(job.name)
    graph = repository.asset_graph
    return {
        key.to_user_string(): Node(
            readers=tuple(sorted(child.to_user_string() for child in graph.get(key).child_keys)),
            owners=tuple(graph.get(key).owners or ()),
            jobs=tuple(sorted(jobs.get(key, ()))),
        )
        for key in graph.get_all_asset_keys()
    }


def reach(graph: Mapping[str, Node], asset: str) -> Reach:
    """What waits for ``asset``, nearest first. Nothing, where the graph does not know it."""
    if asset not in graph:
        return Reach()
    found: dict[str, None] = {}
    waiting = deque(graph[asset].readers)
    while waiting:
        name = waiting.popleft()
        if name not in found and name != asset and name in graph:
            found[name] = None
            waiting.extend(graph[name].readers)
    owners = dict.fromkeys(owner for name in (asset, *found) for owner in graph[name].owners)
    jobs = dict.fromkeys(job for name in found for job in graph[name].jobs)
    return Reach(tuple(found), tuple(sorted(jobs)), tuple(owners))
