"""Which days rest on rows that were other when they were computed: a table's rows were released since, or taken back.

The automation condition asks for such days by itself; this is what lets a replay know of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from automation.boundary import QUARANTINE, ROWS_FROM, ROWS_OF
from automation.workload import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import dagster as dg

    from automation.workload import Workload

# A decision may rest on the features of its day and of the day before.
DAYS_TO_A_DECISION = 1


@dataclass(frozen=True)
class Released:
    """Rows of ``table`` were judged again on ``days``; on every day, if none are given."""

    table: str
    days: frozenset[str] | None


@dataclass(frozen=True)
class Stale:
    """Days whose derived tables are older than what they read, and days that were decided on such."""

    derived: frozenset[str] = field(default_factory=frozenset)
    decided: frozenset[str] = field(default_factory=frozenset)


def older(released: Mapping[str, int], made: Mapping[str, int], reach: int) -> frozenset[str]:
    """The days of ``made`` that are older than a release on them or on one of the ``reach`` days before.

    Both give each day the number of its newest event: numbers grow with time.
    """
    return frozenset(
        day
        for start, event in released.items()
        for offset in range(reach + 1)
        if made.get(day := (date.fromisoformat(start) + timedelta(days=offset)).isoformat(), event) < event
    )


def stale_days(instance: dg.DagsterInstance, workload: Workload, last: str) -> Stale:
    """What is stale of the workload; ``last`` names the asset that a decided day ends with."""
    import dagster as dg

    releases = list(_releases(instance, workload))
    if not releases:
        return Stale()

    def newest(table: str) -> Mapping[str, int]:
        return instance.event_log_storage.get_latest_storage_id_by_partition(
            dg.AssetKey([workload.name, table]), dg.DagsterEventType.ASSET_MATERIALIZATION
        )

    spec = workload.spec
    derived = (spec.cases, spec.labels, *spec.features.views)
    decided, stale_derived, stale_decided = newest(last), frozenset[str](), frozenset[str]()
    for table in sorted({release.table for release in releases}):
        found = [release.days for release in releases if release.table == table]
        readers = [reader for reader in derived if table in reader.reads]
        if None in found:
            # It has no days: whatever was made before it is stale.
            records = instance.fetch_materializations(dg.AssetKey([workload.name, table]), limit=1).records
            whole = max((record.storage_id for record in records), default=0)
            stale_decided |= {day for day, made in decided.items() if made < whole}
            for reader in readers:
                stale_derived |= {day for day, made in newest(reader.table).items() if made < whole}
            continue
        days = frozenset[str]().union(*(given for given in found if given is not None))
        events = {day: event for day, event in newest(table).items() if day in days}
        for reader in readers:
            stale_derived |= older(events, newest(reader.table), reader.lookback_days)
        reach = max((reader.lookback_days for reader in readers), default=0) + DAYS_TO_A_DECISION
        stale_decided |= older(events, decided, reach)
    return Stale(stale_derived, stale_decided)


def _releases(instance: dg.DagsterInstance, workload: Workload) -> Iterator[Released]:
    """What runs have judged again."""
    import dagster as dg

    feeds = {feed.table: feed.delivery for feed in workload.spec.feeds}
    for run in instance.get_runs(dg.RunsFilter(tags={ROWS_FROM: QUARANTINE, "workload": workload.name})):
        named = run.tags.get(ROWS_OF)
        days = partitions_of(run)
        for table in [named] if named else [feed for feed, how in feeds.items() if how is Delivery.DAILY]:
            yield Released(table, None if feeds.get(table) is Delivery.WHOLE else days)


def partitions_of(run: dg.DagsterRun) -> frozenset[str]:
    """The days a run was about."""
    first = run.tags.get("dagster/asset_partition_range_start") or run.tags.get("dagster/partition")
    last = run.tags.get("dagster/asset_partition_range_end") or first
    if first is None or last is None:
        return frozenset()
    start = date.fromisoformat(first)
    return frozenset(
        (start + timedelta(days=n)).isoformat() for n in range((date.fromisoformat(last) - start).days + 1)
    )
