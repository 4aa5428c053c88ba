"""Upkeep: every table's small files made one, and what need not be kept removed, once a week."""

import dagster as dg

from assets.stages.declaration import declared
from automation import gates
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.upkeep.weekly import Kept, keep
from automation.workload import Stage, Workload

TABLE_UPKEEP = "table_upkeep"


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.UPKEEP,
            TABLE_UPKEEP,
            kinds={"deltalake"},
            description="Compaction and retention of every table: files and bytes before and after, what is pinned.",
            daily=False,
            automated=False,
        )
    )
    def table_upkeep(lakehouse: LakehouseResource, models: ModelRegistryResource) -> dg.MaterializeResult:
        found = list(keep(models.settings, workload, lakehouse.open()))
        return dg.MaterializeResult(
            metadata={
                "files before": sum(each.before.stored_files for each in found),
                "files after": sum(each.after.stored_files for each in found),
                "bytes before": sum(each.before.stored_bytes for each in found),
                "bytes after": sum(each.after.stored_bytes for each in found),
                "tables": _table(found),
            }
        )

    return [table_upkeep]


def _table(found: list[Kept]) -> dg.TableMetadataValue:
    numbers = ("files before", "files after", "bytes before", "bytes after", "days removed", "files removed")
    return dg.TableMetadataValue(
        records=[
            dg.TableRecord(
                {
                    "table": each.table,
                    "files before": each.before.stored_files,
                    "files after": each.after.stored_files,
                    "bytes before": each.before.stored_bytes,
                    "bytes after": each.after.stored_bytes,
                    "days removed": each.days_removed,
                    "files removed": each.files_removed,
                    "pinned": ", ".join(f"{version} ({'; '.join(why)})" for version, why in each.pinned.items()),
                    "says": "busy: it was written meanwhile, and is compacted the next time" if each.busy else "",
                }
            )
            for each in found
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("table"),
                *(dg.TableColumn(name, "int") for name in numbers),
                dg.TableColumn("pinned"),
                dg.TableColumn("says"),
            ]
        ),
    )
