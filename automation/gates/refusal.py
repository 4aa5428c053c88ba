"""The re-check inside every asset that reads gated tables: whoever started the run, what a gate holds is refused.

Dagster stops a run at a gate only inside that run; a person's click, a job that selects one asset or a backfill of it
would go on. So each asset asks for itself, before it reads anything, how the gates of its direct inputs stand on the
partitions it is about to read. Direct inputs are enough: each of them asked the same of its own before it was made, so
nothing that was held has entered it, and one that has been bad since is not in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context

from automation.errors import WarrantError
from automation.gates.standing import GATES, Asked, Standing, State, evaluation, gates_of, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

OPTIONAL_INPUTS = "warrant/optional_inputs"
MADE_UNDER = "made under waivers"
MOST_REASONS = 5

Compute: TypeAlias = Callable[..., Any]


class GateRefusalError(WarrantError):
    """A gate of what an asset reads holds it."""


def optional_inputs(assets: Sequence[dg.AssetKey]) -> dict[str, Any]:
    """The metadata that names inputs an asset may do without; where they exist and their gates failed, they hold it."""
    return {OPTIONAL_INPUTS: [asset.to_user_string() for asset in assets]} if assets else {}


def gated_asset(**arguments: Any) -> Callable[[Compute], dg.AssetsDefinition]:
    """`dagster.asset`, for an asset that gates know of: whatever reads it can ask for its gates, and before it computes
    anything it asks for those of what it reads, see `require`."""
    checks: Sequence[dg.AssetCheckSpec] = arguments.get("check_specs") or ()
    holding = [check.name for check in checks if check.blocking]
    metadata = {**(arguments.get("metadata") or {}), **({GATES: holding} if holding else {})}

    def decorate(compute: Compute) -> dg.AssetsDefinition:
        return dg.asset(_asking(compute), **{**arguments, "metadata": metadata})

    return decorate


def _asking(compute: Compute) -> Compute:
    if inspect.isgeneratorfunction(compute):

        @wraps(compute)
        def asking_generator(*given: Any, **named: Any) -> Iterator[Any]:
            require(dg.AssetExecutionContext.get())
            yield from compute(*given, **named)

        return asking_generator

    @wraps(compute)
    def asking(*given: Any, **named: Any) -> Any:
        require(dg.AssetExecutionContext.get())
        return compute(*given, **named)

    return asking


def require(context: dg.AssetExecutionContext) -> list[Standing]:
    """Asks how the gates of everything the asset reads stand, on the partitions that its run reads.

    Returns the gates that failed and are waived; they are shown on what the run materializes.

    Raises:
        GateRefusalError: a gate failed, was never run, or judged what was overtaken by a later materialization; or an
            input that is not optional was never materialized.
    """
    graph = context.job_def.asset_layer.asset_graph
    asked = [each for key in sorted(context.selected_asset_keys) for each in _inputs(context, graph, key)]
    if not asked:
        return []
    optional = {
        name for key in context.selected_asset_keys for name in graph.get(key).metadata.get(OPTIONAL_INPUTS, ())
    }
    standings = read(context.instance, asked, datetime.now(UTC))
    refused = [
        standing
        for standing in standings
        if not standing.open and not (standing.state is State.MISSING and standing.asset.to_user_string() in optional)
    ]
    if refused:
        raise _refusal(context, refused)
    waived = [standing for standing in standings if standing.state is State.WAIVED]
    if waived:
        found = {standing.waiver.number: standing.waiver for standing in waived if standing.waiver}
        shown = [waiver.as_metadata().value for _, waiver in sorted(found.items())]
        context.add_asset_metadata({MADE_UNDER: dg.JsonMetadataValue(shown)})
    return waived


def _inputs(context: dg.AssetExecutionContext, graph: AssetGraph, key: dg.AssetKey) -> Iterator[Asked]:
    """The gated inputs of an asset and the partitions of them that its run reads, by Dagster's own mappings."""
    partitions_def = graph.get(key).partitions_def
    for parent in sorted(graph.get(key).parent_keys):
        names, upstream = gates_of(graph, parent), graph.get(parent).partitions_def
        if not names:
            continue
        if upstream is None:
            yield Asked(parent, names, frozenset({None}))
            continue
        with partition_loading_context(dynamic_partitions_store=context.instance):
            run = None if partitions_def is None else partitions_def.subset_with_partition_keys(context.partition_keys)
            mapping = graph.get_partition_mapping(key, parent)
            mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(run, partitions_def, upstream)
            yield Asked(parent, names, frozenset(mapped.partitions_subset.get_partition_keys()))


def _refusal(context: dg.AssetExecutionContext, refused: Sequence[Standing]) -> GateRefusalError:
    what = ", ".join(key.to_user_string() for key in sorted(context.selected_asset_keys))
    of = (
        f" for {_range(context.partition_keys)}" if context.has_partition_key or context.has_partition_key_range else ""
    )
    # What was never materialized is one reason, however many gates it has.
    first = {
        (each.asset, each.partition, each.gate if each.state is not State.MISSING else ""): each for each in refused
    }
    reasons = [reason(context.instance, standing) for standing in list(first.values())[:MOST_REASONS]]
    more = f"; and {len(first) - MOST_REASONS} more" if len(first) > MOST_REASONS else ""
    return GateRefusalError(f"{what}{of} is refused: {'; '.join(reasons)}{more}.", remedy=_remedy(refused))


def reason(instance: dg.DagsterInstance, standing: Standing) -> str:
    """Why a gate holds, in words."""
    table = standing.asset.to_user_string()
    on = f" on {standing.partition}" if standing.partition else ""
    match standing.state:
        case State.MISSING:
            return f"{table}{on} was never materialized"
        case State.NEVER_RUN:
            return f"the gate {standing.gate} of {table} was never run{on}"
        case State.OVERTAKEN:
            return f"{table}{on} was materialized again since its gate {standing.gate} judged it"
        case State.FAILED | State.WAIVED | State.PASSED:
            found = evaluation(instance, standing)
            said = f": {found.description}".rstrip(".") if found and found.description else ""
            over = f" (its waiver by {standing.waiver.by} is over)" if standing.waiver else ""
            return f"the gate {standing.gate} of {table} {standing.state}{on}{over}{said}"


def _remedy(refused: Sequence[Standing]) -> str:
    tables = sorted({standing.asset.to_user_string() for standing in refused})
    again = f"Mend the cause and materialize {', '.join(tables)} again with its checks, then this."
    failed = next((standing for standing in refused if standing.state is State.FAILED), None)
    if failed is None:
        return again
    workload, table = failed.asset.path[0], failed.asset.path[-1]
    partition = f" --partition {failed.partition}" if failed.partition else ""
    return (
        f"{again} If it must go on as it is: warrant gate waive --workload {workload} --asset {table} "
        f"--gate {failed.gate}{partition} --by NAME --reason WHY --until DAY."
    )


def _range(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}"
