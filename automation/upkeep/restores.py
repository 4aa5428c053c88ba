"""Restores: a feed's table goes back to a version that was good, with its quarantine, and what rests on it is stale.

The intent is an event of the ledger first (stream ``restores/WORKLOAD/TABLE``), with the version each of the two goes
back to and the days that differ; then both are restored, each by one commit of Delta's; then the days are judged again
by a run of the table's asset, which writes its event, judges its gates and makes what lies downstream stale; last
another event closes it. Killed anywhere, the same command finishes what was begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from automation.contract.replay import judge_again, ranges
from automation.errors import WarrantError
from automation.lakehouse import DAY, digest, quarantine_of
from automation.ledger import store
from automation.ledger.store import Happened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.lakehouse import Lakehouse
    from automation.ledger.store import Event
    from automation.replay import Platform
    from automation.settings import Settings
    from automation.workload import Workload


BEGUN, DONE = "begun", "done"


class NotRestorableError(WarrantError):
    """The table is computed from others, or is a record of what happened."""


class NoSuchVersionError(WarrantError):
    """The table never had that version, or its files are gone."""


class UnfinishedRestoreError(WarrantError):
    """Another restore of the table was begun and not finished."""


@dataclass(frozen=True)
class Restore:
    """One restore: to which version of the table and of its quarantine (None: there was none), on which days.

    ``days`` holds None for a table without days. ``done`` is None while it is under way.
    """

    number: int
    table: str
    to_version: int
    quarantine_version: int | None
    days: tuple[date | None, ...]
    by: str
    reason: str
    made: datetime
    done: datetime | None


@dataclass(frozen=True)
class Restored:
    """What a restore came to: the digest of the table's content, and what stopped a day when it was judged again."""

    restore: Restore
    version: int
    digest: str
    stopped: tuple[str, ...]


def restorable(workload: Workload) -> tuple[str, ...]:
    """The tables that can be restored: those the feed delivers. Others are made again from them."""
    return tuple(feed.table for feed in workload.spec.feeds)


def restore(
    platform: Platform, workload: Workload, lake: Lakehouse, table: str, to: str, *, by: str, reason: str, now: datetime
) -> Restored:
    """Brings ``table`` back to a version (a number) or to how it was at an instant (ISO 8601).

    Raises:
        NotRestorableError, NoSuchVersionError: nothing was done.
        UnfinishedRestoreError: one to another version was begun; finish that first.
    """
    if table not in restorable(workload):
        raise NotRestorableError(
            f"{workload.name}/{table} is not delivered by a feed, so it is not restored.",
            remedy=f"Restore one of these: {', '.join(restorable(workload))}. What is computed of them is made "
            "again by `warrant replay --again`.",
        )
    version = version_at(lake, workload.name, table, to)
    open_ones = [each for each in restores(platform.settings, workload.name) if each.table == table and not each.done]
    if open_ones and open_ones[0].to_version != version:
        raise UnfinishedRestoreError(
            f"A restore of {workload.name}/{table} to version {open_ones[0].to_version}, begun "
            f"{open_ones[0].made:%Y-%m-%d %H:%M} UTC by {open_ones[0].by}, is not finished.",
            remedy=f"Finish it: `warrant data restore {table} --to {open_ones[0].to_version}` and the same options.",
        )
    chosen = open_ones[0] if open_ones else _begun(platform, workload, lake, table, version, by, reason, now)
    _bring_back(lake, workload.name, quarantine_of(table), chosen.quarantine_version)
    _bring_back(lake, workload.name, table, chosen.to_version)
    stopped = _judged(platform, workload, table, chosen.days)
    _close(platform.settings, workload.name, chosen, now)
    return Restored(chosen, lake.version(workload.name, table), lake.digest(workload.name, table), stopped)


def version_at(lake: Lakehouse, workload: str, table: str, to: str) -> int:
    """The version that a text means, checked to be readable."""
    if not lake.exists(workload, table):
        raise NoSuchVersionError(f"There is no table {workload}/{table} yet.", remedy="Replay a day first.")
    history = lake.opened(workload, table).history()
    known = {int(each["version"]): int(each["timestamp"]) for each in history}
    if to.isdigit():
        version = int(to)
    else:
        try:
            instant = datetime.fromisoformat(to)
        except ValueError:
            raise NoSuchVersionError(
                f"{to!r} is neither a version nor an ISO 8601 instant.", remedy="See `warrant data history`."
            ) from None
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        then = [number for number, made in known.items() if made <= instant.timestamp() * 1000]
        version = max(then, default=-1)
    if version not in known:
        raise NoSuchVersionError(
            f"{workload}/{table} has no version {to}: it has {min(known)} to {max(known)}.",
            remedy="See `warrant data history`.",
        )
    try:
        lake.at(workload, table, version)
    except (DeltaError, OSError) as error:
        raise NoSuchVersionError(
            f"Version {version} of {workload}/{table} cannot be read any more: retention removed its files.",
            remedy="Choose a newer one, or one that is pinned: see `warrant data history`.",
        ) from error
    return version


def restores(settings: Settings, workload: str) -> list[Restore]:
    """Every restore of the workload's tables, the newest first."""
    with store.opened(settings) as ledger:
        found = [
            each
            for name, _ in ledger.streams(_stream(workload, ""))
            for each in _folded(name.removeprefix(_stream(workload, "")), ledger.events(name))
        ]
    return sorted(found, key=lambda each: (each.made, each.number), reverse=True)


def _folded(table: str, events: Sequence[Event]) -> list[Restore]:
    """What a table's stream says, the oldest first."""
    done = {event.data["restore"]: _instant(event.said["time"]) for event in events if event.type == DONE}
    return [
        Restore(
            event.version,
            table,
            event.data["to_version"],
            event.data["quarantine_version"],
            tuple(None if day is None else date.fromisoformat(day) for day in event.data["days"]),
            event.data["by"],
            event.data["reason"],
            _instant(event.said["time"]),
            done.get(event.version),
        )
        for event in events
        if event.type == BEGUN
    ]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _stream(workload: str, table: str) -> str:
    return f"restores/{workload}/{table}"


def changed_days(lake: Lakehouse, workload: str, table: str, version: int) -> tuple[date | None, ...]:
    """The days of which the table holds other rows now than at ``version``; (None,) for a table without days."""
    if DAY not in lake.columns(workload, table):
        return (None,)
    now, then = lake.read(workload, table), lake.at(workload, table, version)
    parts = [frame.partition_by(DAY, as_dict=True) for frame in (now, then)]
    days = sorted({key[0] for part in parts for key in part})
    empty = now.clear()
    return tuple(day for day in days if digest(parts[0].get((day,), empty)) != digest(parts[1].get((day,), empty)))


def _begun(
    platform: Platform,
    workload: Workload,
    lake: Lakehouse,
    table: str,
    version: int,
    by: str,
    reason: str,
    now: datetime,
) -> Restore:
    quarantine, sibling = None, quarantine_of(table)
    days = set(changed_days(lake, workload.name, table, version))
    if lake.exists(workload.name, sibling):
        # The quarantine is written before its table, and cleaned after it: both states say the same.
        made = {int(each["version"]): int(each["timestamp"]) for each in lake.opened(workload.name, table).history()}
        before = lake.opened(workload.name, sibling).history()
        quarantine = max((int(e["version"]) for e in before if int(e["timestamp"]) <= made[version]), default=None)
        now_held = lake.read(workload.name, sibling)
        then_held = now_held.clear() if quarantine is None else lake.at(workload.name, sibling, quarantine)
        if DAY in now_held.columns:
            days |= {*now_held[DAY], *then_held[DAY]}
    ordered = sorted(days, key=str)
    said = {
        "to_version": version,
        "quarantine_version": quarantine,
        "days": [day and day.isoformat() for day in ordered],
        "by": by,
        "reason": reason,
    }
    named = _stream(workload.name, table)
    with store.opened(platform.settings) as ledger:
        number = ledger.version(named)
        ledger.append(named, number, [Happened(BEGUN, said, now)])
    return Restore(number + 1, table, version, quarantine, tuple(ordered), by, reason, now, None)


def _bring_back(lake: Lakehouse, workload: str, table: str, version: int | None) -> None:
    """One commit. A table that had no rows then is emptied; one that is there already is left alone."""
    if not lake.exists(workload, table):
        return
    opened = lake.opened(workload, table)
    if version is None:
        opened.delete()
    elif {*opened.file_uris()} != {*lake.opened(workload, table, version).file_uris()}:
        opened.restore(version)


def _judged(platform: Platform, workload: Workload, table: str, days: Sequence[date | None]) -> tuple[str, ...]:
    """Runs the table's asset on its own rows: events, gates, and what rests on them is stale."""
    parts = [None] if None in days else ranges(day for day in days if day is not None)
    found = [judge_again(platform, workload, table, some) for some in parts]
    return tuple(str(stopped) for stopped in found if stopped is not None)


def _close(settings: Settings, workload: str, restored: Restore, now: datetime) -> None:
    named = _stream(workload, restored.table)
    with store.opened(settings) as ledger:
        held = ledger.events(named)
        if not any(event.type == DONE and event.data["restore"] == restored.number for event in held):
            ledger.append(named, len(held), [Happened(DONE, {"restore": restored.number}, now)])
