"""How a stage declares an asset: key, group, owners, tags, columns, partitions, gates, condition. One way for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from automation import boundary, gates
from automation.calendar import Days

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.workload import Stage, Workload
    from contracts.document import Contract

COLUMN_TYPES = {"string": "string", "integer": "int64", "number": "float64", "boolean": "bool", "date": "date"}


def partitions(workload: Workload) -> dg.DailyPartitionsDefinition:
    """The days of the workload's calendar."""
    calendar = workload.calendar
    return dg.DailyPartitionsDefinition(
        start_date=calendar.start.isoformat(), end_date=calendar.end.isoformat(), timezone=calendar.timezone
    )


def key(workload: Workload, table: str) -> dg.AssetKey:
    """An asset's key mirrors where its data lies: workload, table."""
    return dg.AssetKey([workload.name, table])


def days_before(workload: Workload, table: str, before: int, until: int = 0) -> dg.AssetDep:
    """A dependency on the ``before`` days before a partition up to ``until`` days before it."""
    return dg.AssetDep(
        key(workload, table),
        partition_mapping=dg.TimeWindowPartitionMapping(
            start_offset=-before, end_offset=-until, allow_nonexistent_upstream_partitions=True
        ),
    )


def run_days(context: dg.AssetExecutionContext) -> Days:
    """The days of the run: one, or the range of a backfill."""
    from datetime import date

    keys = context.partition_key_range
    return Days(date.fromisoformat(keys.start), date.fromisoformat(keys.end))


def declared(
    workload: Workload,
    stage: Stage,
    table: str,
    *,
    kinds: set[str],
    description: str,
    deps: Sequence[dg.AssetDep | dg.AssetKey] = (),
    contract: Contract | None = None,
    daily: bool = True,
    range_runs: bool = True,
    more_gates: Sequence[gates.Gate] = (),
    automated: bool = True,
    optional: Sequence[str] = (),
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of `gates.gated_asset` for a table of the workload.

    ``optional`` names the inputs that neither hold the asset back where they are missing nor set it going when new.
    """
    days = partitions(workload) if daily else None
    checked = [*(boundary.table_gates(contract) if contract else []), *more_gates]
    may_lack = [key(workload, name) for name in optional]
    condition = gates.downstream_condition(may_lack)
    shown: dict[str, Any] = {**(metadata or {}), **gates.optional_inputs(may_lack)}
    if contract is not None:
        shown |= {
            "dagster/column_schema": columns(contract),
            "dagster/table_name": f"{workload.name}.{table}",
            "contract": f"{contract.name} {contract.version}",
        }
        if contract.end_of_support is not None:
            shown["supported until"] = contract.end_of_support.isoformat()
    return {
        "key": key(workload, table),
        "group_name": stage.value,
        "description": description,
        "owners": list(workload.spec.owners),
        "kinds": kinds,
        "tags": {"workload": workload.name, "stage": stage.value},
        "metadata": shown,
        "deps": list(deps),
        "partitions_def": days,
        "backfill_policy": dg.BackfillPolicy.single_run() if range_runs and daily else None,
        "check_specs": gates.specs(key(workload, table), checked, days),
        "automation_condition": condition if automated and deps else None,
    }


def columns(contract: Contract) -> dg.TableSchema:
    """The contract's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                COLUMN_TYPES.get(column.type.value, "timestamp"),
                description=f"{column.description} [{column.unit}]" if column.unit else column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required, other=_promises(column)),
            )
            for column in contract.columns
        ]
    )


def _promises(column: Any) -> list[str]:
    promises = []
    if column.minimum is not None:
        promises.append(f"at least {column.minimum}")
    if column.maximum is not None:
        promises.append(f"at most {column.maximum}")
    if column.pattern:
        promises.append(f"matches {column.pattern}")
    if column.valid_values:
        promises.append(f"one of {', '.join(map(str, column.valid_values))}")
    return promises
