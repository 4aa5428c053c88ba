"""Pushed events: one row of a feed changes, at once, what is served of the keys it is about.

The event is judged by the feed's contract. Then each view that is computed from the feed is derived as the daily
lineage would, from the tables and the events pushed since, and the rows of the event's keys are written beside what was
materialized. When the day comes its tables hold the event, and what was pushed is dropped.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.online.materialization import KNOWN, newest
from automation import database
from automation.calendar import Days
from automation.derivation import derive
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.workload import Delivery
from contracts.canonical_json import rows as canonical_rows
from contracts.enforcement import enforce
from feature_repo.online.records import instant, moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import date, datetime

    from psycopg2.extensions import connection as Connection  # noqa: N812 (psycopg2 names its class so)

    from automation.lakehouse import Lakehouse
    from automation.settings import Settings
    from automation.workload import DerivedTable, Workload
    from contracts.document import Contract
    from feature_repo.online import Backend, ServicePlan, ViewPlan


class NotAFeedError(WarrantError):
    """Events are pushed to a feed's daily table, and this is none."""


class EventRefusedError(WarrantError):
    """An event breaks the feed's contract: nothing was pushed."""


@dataclass(frozen=True)
class Pushed:
    """What some events changed: records written by view."""

    feed: str
    events: int
    records: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Served:
    """What pushing needs of a workload: its tables, where they are served from and what is served."""

    settings: Settings
    workload: Workload
    lake: Lakehouse
    backend: Backend
    plan: ServicePlan


def push(served: Served, feed: str, events: Sequence[Mapping[str, Any]]) -> Pushed:
    """Lets the events change what is served; pushing one again changes nothing.

    Args:
        events: rows of the feed's table by column, instants as ISO 8601 text.

    Raises:
        NotAFeedError: the workload has no such feed with days.
        EventRefusedError: an event breaks the contract; of several, then, none is pushed.
    """
    workload = served.workload
    daily = [each.table for each in workload.spec.feeds if each.delivery is Delivery.DAILY]
    if feed not in daily:
        raise NotAFeedError(
            f"{workload.name} has no feed {feed} with days.", remedy=f"Push to one of these: {', '.join(daily)}."
        )
    rows = _judged(events, workload.contract(feed))
    _remember(served, feed, rows)
    last = max(rows[KNOWN].to_list())
    day = rows.select(pl.col(KNOWN).dt.convert_time_zone(workload.calendar.timezone).dt.date().max()).item()
    views = {view.name.removeprefix(f"{workload.name}__"): view for view in served.plan.views}
    written = {}
    for table in workload.spec.features.views:
        if feed in table.reads and table.table in views:
            records = _records(served, table, views[table.table], rows, day, last)
            served.backend.write(views[table.table].slot, records, pushed=True)
            written[table.table] = len(records)
    return Pushed(feed, rows.height, written)


def _judged(events: Sequence[Mapping[str, Any]], contract: Contract) -> pl.DataFrame:
    """The events in the contract's types. Refuses one with a column too many, which would be lost."""
    unknown = sorted({name for event in events for name in event} - {*contract.schema})
    if unknown:
        raise EventRefusedError(
            f"An event has {', '.join(unknown)}, which {contract.name} {contract.version} does not promise.",
            remedy=f"Its columns are {', '.join(contract.schema)}.",
        )
    given = pl.DataFrame([{name: _text(event.get(name)) for name in contract.schema} for event in events])
    typed = given.with_columns(
        pl.col(name).str.to_datetime(time_zone="UTC", time_unit="us", strict=False)
        for name, dtype in contract.schema.items()
        if isinstance(dtype, pl.Datetime) and given.schema[name] == pl.String
    )
    split = enforce(typed, contract)
    if split.quarantined.height:
        broken = sorted({rule for rules in split.quarantined["rules"] for rule in rules})
        raise EventRefusedError(
            f"{split.quarantined.height} of {len(events)} events break {contract.name} {contract.version}: "
            f"{'; '.join(broken)}.",
            remedy="Nothing was pushed. Mend the event, or `warrant contract lint` shows what the contract asks.",
        )
    return split.valid


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _records(
    served: Served,
    table: DerivedTable,
    view: ViewPlan,
    rows: pl.DataFrame,
    day: date,
    last: datetime,
) -> list:
    """The newest rows of the view for the keys of ``rows``, as known when the last of them became known."""
    workload, calendar = served.workload, served.workload.calendar
    whole = {each.table for each in workload.spec.feeds if each.delivery is Delivery.WHOLE}
    reach = calendar.within(Days.one(day).widened(table.lookback_days))
    inputs = {name: served.lake.read(workload.name, name, None if name in whole else reach) for name in table.reads}
    for name in set(inputs) - whole:
        inputs[name] = _with_pushed(served, name, inputs[name], reach)
    function = getattr(workload.module("features"), table.table)
    contract = workload.contract(table.table)
    # As at the boundary of its table: typed by the contract, without what breaks it.
    derived = enforce(derive(function, inputs, calendar, Days.one(day), contract.key).drop(DAY), contract).valid
    shared = [name for name in view.keys if name in rows.columns]
    if shared:
        derived = derived.join(rows.select(shared).unique(), on=shared, how="semi")
    return newest(derived.select(*view.keys, *view.features, "event_time", KNOWN), view, instant(last))


def _with_pushed(served: Served, feed: str, rows: pl.DataFrame, reach: Days) -> pl.DataFrame:
    """The table's rows and the events pushed since; where both have a key, the table's."""
    contract = served.workload.contract(feed)
    with _connected(served.settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT event FROM pushed_events WHERE workload = %s AND feed = %s AND known >= %s ORDER BY known, digest",
            (served.workload.name, feed, served.workload.calendar.begins(reach.first)),
        )
        events = [event for (event,) in cursor.fetchall()]
    if not events:
        return rows
    pushed = _judged(events, contract)
    key = list(contract.key)
    fresh = pushed.join(rows.select(key), on=key, how="anti")
    return pl.concat([rows.drop(DAY, strict=False), fresh.select(rows.drop(DAY, strict=False).columns)])


def _remember(served: Served, feed: str, rows: pl.DataFrame) -> None:
    texts = canonical_rows(rows)
    known = [instant(each) for each in rows[KNOWN]]
    with _connected(served.settings) as connection, connection.cursor() as cursor:
        for text, at in zip(texts, known, strict=True):
            cursor.execute(
                "INSERT INTO pushed_events VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (served.workload.name, feed, hashlib.sha256(text.encode()).hexdigest(), moment(at), text),
            )


def settle(settings: Settings, workload: str, until: datetime) -> None:
    """Forgets the events that became known before ``until``: the tables are what counts now."""
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM pushed_events WHERE workload = %s AND known < %s", (workload, until))


def _connected(settings: Settings) -> AbstractContextManager[Connection]:
    return database.with_tables(settings, "pushed_events", files("assets.online") / "pushed.sql")


def read_events(text: str) -> list[dict[str, Any]]:
    """The events of a text: one JSON object a line, or one JSON list.

    Raises:
        EventRefusedError: it is neither.
    """
    try:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()] if "\n{" in text.strip() else None
        found = lines if lines is not None else json.loads(text)
    except json.JSONDecodeError as error:
        raise EventRefusedError(
            f"The events are no JSON: {error}.", remedy="Give one JSON object a line, or one list of objects."
        ) from None
    events = found if isinstance(found, list) else [found]
    if not events or not all(isinstance(event, dict) for event in events):
        raise EventRefusedError("There is no event, or one is no object.", remedy="Give one JSON object a line.")
    return events
