"""Raw: what the workload's feed delivered, split by its contract, one partition a day."""

import dagster as dg

from assets.stages.declaration import declared, run_days
from automation.anomalies import gate as anomalies
from automation.boundary import publish, publish_whole
from automation.resources import LakehouseResource
from automation.workload import Delivery, FeedTable, Stage, Workload


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [
        _daily(workload, feed) if feed.delivery is Delivery.DAILY else _whole(workload, feed)
        for feed in workload.spec.feeds
    ]


def _daily(workload: Workload, feed: FeedTable) -> dg.AssetsDefinition:
    contract = workload.contract(feed.table)

    @dg.asset(
        **declared(
            workload,
            Stage.RAW,
            feed.table,
            kinds={"python", "polars", "deltalake"},
            description=contract.description,
            contract=contract,
            more_gates=anomalies.table_gates(workload, feed.table),
        )
    )
    def delivered(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days = run_days(context)
        rows = getattr(workload.module("feed"), feed.table)(workload.calendar, days)
        yield from publish(context, lakehouse.open(), workload, feed.table, rows, days)

    return delivered


def _whole(workload: Workload, feed: FeedTable) -> dg.AssetsDefinition:
    contract = workload.contract(feed.table)

    @dg.asset(
        **declared(
            workload,
            Stage.RAW,
            feed.table,
            kinds={"python", "polars", "deltalake"},
            description=contract.description,
            contract=contract,
            daily=False,
        )
    )
    def delivered(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        rows = getattr(workload.module("feed"), feed.table)()
        yield from publish_whole(context, lakehouse.open(), workload, feed.table, rows)

    return delivered
