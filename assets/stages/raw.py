"""Raw: what the workload's feed delivered, split by its contract, one partition a day."""

from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.metadata import RawMetadataValue

from assets.stages.declaration import declared, run_days
from assets.stages.features import derived
from automation import gates
from automation.anomalies import gate as anomalies
from automation.boundary import publish, publish_whole, rows_again
from automation.calendar import Days
from automation.landing.landed import with_landed
from automation.majors import old_majors
from automation.resources import LakehouseResource
from automation.workload import Delivery, FeedTable, Source, Stage, Workload


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    old_majors(workload)
    return [
        *(
            _daily(workload, feed) if feed.delivery is Delivery.DAILY else _whole(workload, feed)
            for feed in workload.spec.feeds
        ),
        *(derived(workload, migrated, Stage.RAW) for migrated in workload.spec.migrations),
    ]


def _declared(workload: Workload, feed: FeedTable) -> dict[str, Any]:
    contract, daily = workload.contract(feed.table), feed.delivery is Delivery.DAILY
    return declared(
        workload,
        Stage.RAW,
        feed.table,
        kinds={"python", "polars", "deltalake"},
        description=contract.description,
        contract=contract,
        daily=daily,
        more_gates=anomalies.table_gates(workload, feed.table) if daily else (),
    )


def _daily(workload: Workload, feed: FeedTable) -> dg.AssetsDefinition:
    @gates.gated_asset(**_declared(workload, feed))
    def delivered(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days, lake = run_days(context), lakehouse.open()
        rows = rows_again(context, lake, workload, feed.table, days)
        shown: dict[str, RawMetadataValue] = {}
        if rows is None:
            rows, landed = with_landed(lake, workload, feed.table, _fed(workload, feed, days), days)
            shown = {"landed rows": landed}
        yield from publish(context, lake, workload, feed.table, rows, days, metadata=shown)

    return delivered


def _fed(workload: Workload, feed: FeedTable, days: Days) -> pl.DataFrame | None:
    """What the workload's feed.py delivers on the days; None for a table that has no source but the landing folder."""
    if feed.source is Source.LANDING:
        return None
    return getattr(workload.module("feed"), feed.table)(workload.calendar, days)


def _whole(workload: Workload, feed: FeedTable) -> dg.AssetsDefinition:
    @gates.gated_asset(**_declared(workload, feed))
    def delivered(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        lake = lakehouse.open()
        rows = rows_again(context, lake, workload, feed.table, None)
        if rows is None:
            rows = getattr(workload.module("feed"), feed.table)()
        yield from publish_whole(context, lake, workload, feed.table, rows)

    return delivered
