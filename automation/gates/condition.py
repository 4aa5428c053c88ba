"""The automation condition of everything that reads gated tables: it asks what a run would ask, see `standing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.events import AssetKeyPartitionKey

from automation.gates.standing import Asked, State, gates_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence


class GatesHold(dg.AutomationCondition[dg.AssetKey]):
    """True for the partitions of a table that a gate of it holds.

    Missing partitions are not held: nothing is there yet to be judged. It is ours and not Dagster's, because only we
    know of waivers, so the sensor that evaluates it must run in the code location (`use_user_code_server`).
    """

    @property
    def name(self) -> str:
        return "gates_hold"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        view, key, candidates = context.asset_graph_view, context.key, context.candidate_subset
        nothing = view.get_empty_subset(key=key)
        names = gates_of(view.asset_graph, key)
        if not names or candidates.is_empty:
            return dg.AutomationResult(context, true_subset=nothing)
        partitioned = view.asset_graph.get(key).partitions_def is not None
        partitions = candidates.expensively_compute_partition_keys() if partitioned else {None}
        standings = read(view.instance, [Asked(key, names, frozenset(partitions))], context.evaluation_time)
        held = {
            AssetKeyPartitionKey(key, standing.partition)
            for standing in standings
            if not standing.open and standing.state is not State.MISSING
        }
        true = view.get_asset_subset_from_asset_partitions(key, held) if held else nothing
        return dg.AutomationResult(context, true_subset=true)


def downstream_condition(optional: Sequence[dg.AssetKey] = ()) -> dg.AutomationCondition:
    """Materialize a partition when an input of it is new, all inputs exist and no gate of any of them holds.

    It acts on any partition of the calendar, not only the newest, so that a day that was repaired is done again.
    ``optional`` inputs neither hold it back where they are missing nor set it going when they are new: a day that
    was decided is not decided again because a model was promoted since. Where their gates failed they do hold it.
    """
    updated, missing = dg.AutomationCondition.any_deps_updated(), dg.AutomationCondition.any_deps_missing()
    if optional:
        ignored = dg.AssetSelection.assets(*optional)
        updated, missing = updated.ignore(ignored), missing.ignore(ignored)
    # Any that holds, not all that passed: of a window of days Dagster takes a dependency as passed if one day did.
    # What is requested in the same tick is judged in the same run, which stops itself.
    held = dg.AutomationCondition.any_deps_match(GatesHold() & ~dg.AutomationCondition.will_be_requested())
    ready = (
        ~missing
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
        & ~held.with_label("a_gate_holds")
    )
    new = (dg.AutomationCondition.newly_missing() | updated).since_last_handled()
    return (new & ready).with_label("inputs new, gates passed")
