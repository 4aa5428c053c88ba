"""What came in by the door, as Delta tables: the landed rows of a feed, and the lines that were not let in.

Every delivery is one commit to a table, which carries the delivery's digest as Delta's application transaction: a
delivery whose digest a table holds is not appended again, however often the process is killed and whoever races it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from automation.lakehouse import DAY, TABLE_CONFIGURATION, quarantine_of
from automation.landing.formats import KNOWN_TIME
from contracts import canonical_json
from contracts.contract import UTC_TIMESTAMP
from contracts.conversion import converted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.calendar import Calendar, Days
    from automation.lakehouse import Lakehouse
    from automation.landing.formats import LandedRow
    from automation.landing.verdict import Delivery, RefusedLine
    from automation.workload import Workload
    from contracts.contract import Contract

LANDED_SUFFIX = "__landed"
LANDED_SCHEMA: dict[str, pl.DataType] = {
    "delivery": pl.String(),
    "arrival": pl.Int64(),
    "received_at": UTC_TIMESTAMP,
    "line": pl.Int64(),
    "event_source": pl.String(),
    "event_id": pl.String(),
    "version": pl.String(),
    "known_time": UTC_TIMESTAMP,
    "row": pl.String(),
    DAY: pl.Date(),
}
REFUSED_LINES_SCHEMA: dict[str, pl.DataType] = {
    "delivery": pl.String(),
    "arrival": pl.Int64(),
    "received_at": UTC_TIMESTAMP,
    "line": pl.Int64(),
    "table": pl.String(),
    "version": pl.String(),
    "rules": pl.List(pl.String()),
    "says": pl.String(),
    "row": pl.String(),
    DAY: pl.Date(),
}
# Lines that name no table have no other place, so that those of all tables lie in one. No feed can have this name.
REFUSED_LINES = quarantine_of("__landing")


def landed_of(table: str) -> str:
    """The name of the sibling table of the rows of ``table`` that came in by the door."""
    return f"{table}{LANDED_SUFFIX}"


def landed_frame(rows: Sequence[LandedRow], contract: Contract, calendar: Calendar, delivery: Delivery) -> pl.DataFrame:
    """The rows as they are kept, each in the day on which it became known.

    What was known before the calendar begins belongs to its first day, as in every feed. A row whose known time
    cannot be read belongs to the day of its delivery. The day may lie after the calendar: that is for the caller.
    """
    frame = pl.DataFrame(
        {
            "delivery": [delivery.digest] * len(rows),
            "arrival": [delivery.arrival] * len(rows),
            "received_at": [delivery.received_at] * len(rows),
            "line": [row.line for row in rows],
            "event_source": [row.source for row in rows],
            "event_id": [row.event for row in rows],
            "version": [row.version for row in rows],
            "known_time": [row.known_time for row in rows],
            "row": [row.row for row in rows],
        },
        schema={name: dtype for name, dtype in LANDED_SCHEMA.items() if name != DAY} | {"known_time": pl.String()},
    )
    known = (
        converted(pl.String(), contract.column(KNOWN_TIME)) if KNOWN_TIME in contract.schema else pl.lit(None)
    ).cast(UTC_TIMESTAMP)
    day = pl.coalesce("known_time", "received_at").dt.convert_time_zone(calendar.timezone).dt.date()
    return frame.with_columns(known_time=known).with_columns(pl.max_horizontal(day, pl.lit(calendar.start)).alias(DAY))


def refused_frame(lines: Sequence[RefusedLine], calendar: Calendar, delivery: Delivery) -> pl.DataFrame:
    """The lines that were not let in, with their original text, in the day of their delivery."""
    day = delivery.received_at.astimezone(ZoneInfo(calendar.timezone)).date()
    return pl.DataFrame(
        {
            "delivery": [delivery.digest] * len(lines),
            "arrival": [delivery.arrival] * len(lines),
            "received_at": [delivery.received_at] * len(lines),
            "line": [line.line for line in lines],
            "table": [line.table for line in lines],
            "version": [line.version for line in lines],
            "rules": [[f"door: {line.fault}"] for line in lines],
            "says": [line.says for line in lines],
            "row": [line.text for line in lines],
            DAY: [day] * len(lines),
        },
        schema=REFUSED_LINES_SCHEMA,
    )


def append_once(lake: Lakehouse, workload: str, table: str, frame: pl.DataFrame, delivery: Delivery) -> bool:
    """Appends a delivery's rows in one commit, unless the table holds the delivery. Returns whether it appended."""
    location = lake.location(workload, table)
    application = f"delivery/{delivery.name}"
    if DeltaTable.is_deltatable(location) and DeltaTable(location).transaction_version(application) is not None:
        return False
    write_deltalake(
        location,
        frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
        mode="append",
        partition_by=[DAY],
        configuration=TABLE_CONFIGURATION,
        commit_properties=CommitProperties(app_transactions=[Transaction(application, 1)]),
    )
    return True


@dataclass(frozen=True)
class Before:
    """What a table held before a delivery: events by source and id, and the lines of the delivery's very bytes."""

    events: dict[tuple[str, str], str] = field(default_factory=dict)
    lines: frozenset[int] = frozenset()


def landed_before(lake: Lakehouse, workload: str, table: str, sources: Collection[str], delivery: Delivery) -> Before:
    """The events from ``sources``, and the lines of the same bytes, that other deliveries than this one landed."""
    if not lake.exists(workload, landed_of(table)):
        return Before()
    same = pl.col("delivery") == delivery.digest
    rows = (
        pl.scan_delta(lake.location(workload, landed_of(table)))
        .filter(pl.col("event_source").is_in(sorted(sources)) | same, ~(same & (pl.col("arrival") == delivery.arrival)))
        .select("event_source", "event_id", "row", "line", same=same)
        .collect()
    )
    events = rows.filter(pl.col("event_source").is_not_null())
    return Before(
        {(source, event): row for source, event, row in events["event_source", "event_id", "row"].iter_rows()},
        frozenset(rows.filter("same")["line"]),
    )


def with_landed(
    lake: Lakehouse, workload: Workload, table: str, delivered: pl.DataFrame | None, days: Days
) -> tuple[pl.DataFrame, int]:
    """What the feed delivered on ``days`` and what landed for them, in that order; and how many rows had landed.

    ``delivered`` is None for a feed that has no source but the door. A table that nothing ever landed for costs one
    look for a folder. Where the feed's columns are not the contract's, what landed stays out until they are: none of
    its rows could then be told from one that lacks a column.
    """
    contract = workload.contract(table)
    empty = pl.DataFrame(schema={**contract.schema, DAY: pl.Date()})
    feed = empty if delivered is None else delivered
    if not lake.exists(workload.name, landed_of(table)):
        return feed, 0
    landed = lake.read(workload.name, landed_of(table), days, ["received_at", "delivery", "line", "row", DAY])
    if landed.is_empty():
        return feed, 0
    if feed.is_empty():
        feed = empty
    if set(feed.columns) != set(empty.columns):
        return feed, 0
    return joined(feed, landed.sort("received_at", "delivery", "line"), contract), landed.height


def joined(feed: pl.DataFrame, landed: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """One frame of the feed's rows and the landed ones, so that a row that both gave is one row given twice.

    A landed value is spelled as the contract's type spells it, if it converts. Where the feed has that very row,
    the landed one takes the feed's own values, whose spelling may differ. A column that the landed rows have a
    value for that does not convert is text for both.
    """
    names = list(contract.schema)
    rows = [
        {KNOWN_TIME: received_at, **json.loads(row)}
        for row, received_at in zip(landed["row"], landed["received_at"].dt.to_string("iso:strict"), strict=True)
    ]
    texts = pl.DataFrame(
        {name: [_text(row.get(name)) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String())
    )
    typed = texts.select(converted(pl.String(), contract.column(name)).alias(name) for name in names)
    whole = _converts(texts, typed)
    spelled = texts.with_columns(
        pl.when(whole).then(_spelled(typed[name])).otherwise(texts[name]).alias(name) for name in names
    )

    columns: list[pl.DataFrame] = []
    mine = feed.select(names)
    theirs = mine.select(converted(mine.schema[name], contract.column(name)).alias(name) for name in names)
    first: dict[str, int] = {}
    for number, (key, complete) in enumerate(zip(_keys(theirs, feed[DAY]), _converts(mine, theirs), strict=True)):
        if complete:
            first.setdefault(key, number)
    same = [
        first.get(key) if complete else None for key, complete in zip(_keys(typed, landed[DAY]), whole, strict=True)
    ]
    twin = pl.Series(same, dtype=pl.Int64)
    for name in names:
        ours, added = mine[name], typed[name]
        if ours.dtype != added.dtype or (added.is_null() & texts[name].is_not_null()).any():
            ours, added = _spelled(ours), spelled[name]
        taken = ours.gather(twin.drop_nulls())
        added = added.scatter(twin.is_not_null().arg_true(), taken) if taken.len() else added
        columns.append(pl.DataFrame({name: pl.concat([ours, added])}))
    return pl.concat([*columns, pl.DataFrame({DAY: pl.concat([feed[DAY], landed[DAY]])})], how="horizontal")


def _converts(given: pl.DataFrame, typed: pl.DataFrame) -> pl.Series:
    """Which rows have all their values after conversion, too."""
    kept = [typed[name].is_not_null() | given[name].is_null() for name in given.columns]
    return (
        pl.DataFrame(kept).select(pl.all_horizontal(pl.all())).to_series() if kept else pl.Series([], dtype=pl.Boolean)
    )


def _keys(frame: pl.DataFrame, day: pl.Series) -> list[str]:
    return canonical_json.rows(frame.with_columns(day.alias(DAY)))


def _spelled(series: pl.Series) -> pl.Series:
    """The values as text from which the contract's type is read back unchanged."""
    if isinstance(series.dtype, pl.Datetime):
        return series.dt.to_string("iso:strict")
    return series.cast(pl.String)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
