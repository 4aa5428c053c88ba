"""How a stage declares an asset: key, group, owners, tags, columns, partitions, gates, condition. One way for all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import dagster as dg

from automation import boundary, gates
from automation.calendar import Days
from contracts import wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.workload import Stage, Workload
    from contracts.document import Contract

TAG_FORBIDS = re.compile(r"[^A-Za-z0-9_.-]")
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
    by: dg.PartitionsDefinition | None = None,
    range_runs: bool = True,
    more_gates: Sequence[gates.Gate] = (),
    automated: bool = True,
    optional: Sequence[str] = (),
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of `gates.gated_asset` for a table of the workload.

    The contract says who owns the table, besides the workload's owners, how its columns look and what its gates hold.
    It sets no freshness policy: Dagster's would judge when a table was last written, not how late its facts are, and a
    replayed day would look fresh (docs/decisions/0025-one-contract-many-forms.md). Its latency is a gate.

    ``by`` is what it is partitioned by, if not by days. ``optional`` names the inputs that neither hold the asset back
    where they are missing nor set it going when new.
    """
    days = by or (partitions(workload) if daily else None)
    checked = [*(boundary.table_gates(contract) if contract else []), *more_gates]
    may_lack = [key(workload, name) for name in optional]
    condition = gates.downstream_condition(may_lack)
    shown: dict[str, Any] = {**(metadata or {}), **gates.optional_inputs(may_lack)}
    tags = {"workload": workload.name, "stage": stage.value}
    owners = list(workload.spec.owners)
    if contract is not None:
        shown |= {
            "dagster/column_schema": columns(contract),
            "dagster/table_name": f"{workload.name}.{table}",
            "dagster/code_references": dg.CodeReferencesMetadataValue(
                code_references=[
                    dg.LocalFileCodeReference(file_path=str(contract.path), line_number=1, label="contract")
                ]
            ),
            "contract": f"{contract.name} {contract.version}",
        }
        if contract.end_of_support is not None:
            shown["supported until"] = contract.end_of_support.isoformat()
        tags |= {"contract": contract.name, "contract_version": TAG_FORBIDS.sub("_", contract.version)[:63]}
        owners = list(dict.fromkeys([*owners, *map(owner, contract.owners)]))
    return {
        "key": key(workload, table),
        "group_name": stage.value,
        "description": description,
        "owners": owners,
        "kinds": kinds,
        "tags": tags,
        "metadata": shown,
        "deps": list(deps),
        "partitions_def": days,
        "backfill_policy": dg.BackfillPolicy.single_run() if range_runs and daily else None,
        "check_specs": gates.specs(key(workload, table), checked, days),
        "automation_condition": condition if automated and deps else None,
    }


def owner(named: str) -> str:
    """An owner as Dagster knows them: an e-mail address, or else the name of a team."""
    return named if "@" in named else f"team:{named}"


def columns(contract: Contract) -> dg.TableSchema:
    """The contract's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                COLUMN_TYPES.get(column.type.value, "timestamp"),
                description=f"{column.description} [{column.unit}]" if column.unit else column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required, other=wording.column_rules(column)),
            )
            for column in contract.columns
        ]
    )
