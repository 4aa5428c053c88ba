"""Feature statistics: what each feature's values were like on the day, beside the four weeks before it."""

from datetime import timedelta

import dagster as dg
import polars as pl

from assets.catalogue.statistics import PAST_DAYS, beside_the_past, statistics, stored
from assets.stages.declaration import days_before, declared, run_days
from automation import gates
from automation.calendar import Days
from automation.jobs import FEATURE_STATISTICS
from automation.resources import LakehouseResource
from automation.workload import Stage, Workload

# Columns of the table that the day's metadata shows.
SHOWN = ("view", "feature", "rows", "missing", "mean", "usual mean", "off", "p05", "p50", "p95")


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            FEATURE_STATISTICS,
            kinds={"polars", "deltalake"},
            description="What each feature's values were like: rows, missing, mean, deviation and quantiles, by day.",
            deps=[days_before(workload, view.table, 0) for view in spec.features.views],
        )
    )
    def feature_statistics(context: dg.AssetExecutionContext, lakehouse: LakehouseResource) -> dg.MaterializeResult:
        days, lake = run_days(context), lakehouse.open()
        found = statistics(lake, workload, days)
        lake.replace_days(workload.name, FEATURE_STATISTICS, found, days)
        metadata: dict = {"dagster/row_count": found.height}
        if len(days) == 1:
            before = Days(days.first - timedelta(days=PAST_DAYS), days.first - timedelta(days=1))
            metadata["statistics"] = _table(beside_the_past(found, stored(lake, workload, before)))
        return dg.MaterializeResult(metadata=metadata)

    return [feature_statistics]


def _table(found: pl.DataFrame) -> dg.TableMetadataValue:
    shown = found.select(SHOWN).with_columns(
        pl.col(name).round_sig_figs(4).fill_nan(None) for name in SHOWN if found.schema[name] == pl.Float64
    )
    records = [
        dg.TableRecord({name: "-" if value is None else value for name, value in row.items()})
        for row in shown.iter_rows(named=True)
    ]
    return dg.TableMetadataValue(records=records, schema=dg.TableSchema([dg.TableColumn(name) for name in SHOWN]))
