"""Raw: what the workload's feed delivered, split by its contract, one partition a day."""

import dagster as dg

from assets.stages.declaration import declared, run_days
from assets.stages.features import derived
from automation.boundary import publish, publish_whole
from automation.majors import old_majors
from automation.resources import LakehouseResource
from automation.workload import Delivery, FeedTable, Stage, Workload


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    old_majors(workload)
    return [
        *(
            _daily(workload, feed) if feed.delivery is Delivery.DAILY else _whole(workload, feed)
            for feed in workload.spec.feeds
        ),
        *(derived(workload, migrated, Stage.RAW) for migrated in workload.spec.migrations),
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
