"""How the gates of a table stand now: the one question that automation, runs, replays and people ask.

A gate stands by its newest judgement, and only if that judged the newest materialization of the partition: what was
materialized since, without being judged, is not known to be good. Two queries answer for any number of tables and
partitions, over the event log's own tables; tests/lineage/test_gates.py pins what they hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value

from automation.gates import waivers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
    from sqlalchemy.engine import Connection

    from automation.gates.waivers import Waiver

# A job that selects an asset alone knows of its inputs' metadata and not of their checks: so the names stand there.
GATES = "warrant/gates"


class State(StrEnum):
    """How a gate stands on a partition."""

    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"
    OVERTAKEN = "overtaken"
    NEVER_RUN = "never run"
    MISSING = "missing"


@dataclass(frozen=True)
class Standing:
    """How one gate stands on one partition of its table.

    ``waiver`` is the one in force if the state is WAIVED, and the last that covered it, now over, if FAILED.
    ``evaluation`` is the storage id of the judgement it stands by, ``run_id`` the run that made it.
    """

    asset: dg.AssetKey
    gate: str
    partition: str | None
    state: State
    waiver: Waiver | None = None
    evaluation: int | None = None
    run_id: str | None = None

    @property
    def open(self) -> bool:
        """Whether what lies downstream may go on."""
        return self.state in (State.PASSED, State.WAIVED)


@dataclass(frozen=True)
class Asked:
    """The gates of a table that are asked for, on some partitions: None in place of a key for a table without
    partitions, None in place of them all for every partition that was ever materialized."""

    asset: dg.AssetKey
    gates: tuple[str, ...]
    partitions: frozenset[str | None] | None


def gates_of(graph: BaseAssetGraph, asset: dg.AssetKey) -> tuple[str, ...]:
    """The names of the gates that hold what lies downstream of ``asset``, in order."""
    node = graph.get(asset)
    blocking = {check.name for check in node.check_keys if graph.get(check).blocking}
    declared = node.metadata.get(GATES)
    names = declared.value if isinstance(declared, dg.JsonMetadataValue) else declared
    return tuple(sorted({*blocking, *(names if isinstance(names, list) else ())}))


def read(instance: dg.DagsterInstance, asked: Sequence[Asked], now: datetime) -> list[Standing]:
    """How each gate that is asked for stands at the instant ``now``, by table, partition and gate."""
    asked = [each for each in asked if each.gates and (each.partitions is None or each.partitions)]
    if not asked:
        return []
    judged, materialized = _judged_and_materialized(instance, asked)
    found: list[Standing] = []
    for each in asked:
        written = materialized.get(each.asset, {})
        partitions = written if each.partitions is None else each.partitions
        for partition in sorted(partitions, key=str):
            newest = _newest(written, partition)
            for gate in each.gates:
                row = judged.get((each.asset, gate, partition))
                standing = Standing(each.asset, gate, partition, _state(row, newest))
                found.append(replace(standing, evaluation=row.event, run_id=row.run_id) if row else standing)
    failed = [standing for standing in found if standing.state is State.FAILED]
    if not failed:
        return found
    given = waivers.of_assets(instance, sorted({standing.asset for standing in failed}))
    return [_with_waiver(standing, given, now) if standing.state is State.FAILED else standing for standing in found]


def evaluation(instance: dg.DagsterInstance, standing: Standing) -> AssetCheckEvaluation | None:
    """The judgement that a gate stands by, with its words and its evidence."""
    if standing.evaluation is None:
        return None
    table = AssetCheckExecutionsTable.c
    query = sa.select(table.evaluation_event).where(
        table.asset_key == standing.asset.to_string(),
        table.check_name == standing.gate,
        table.evaluation_event_storage_id == standing.evaluation,
    )
    with _storage(instance).index_connection() as connection:
        text = connection.execute(query).scalar()
    event = deserialize_value(text, EventLogEntry).dagster_event if text else None
    return event.asset_check_evaluation_data if event else None


@dataclass(frozen=True)
class _Judged:
    passed: bool
    target: int | None
    event: int
    run_id: str


def _state(row: _Judged | None, newest: int | None) -> State:
    if newest is None:
        return State.MISSING
    if row is None:
        return State.NEVER_RUN
    if row.target != newest:
        return State.OVERTAKEN
    return State.PASSED if row.passed else State.FAILED


def _newest(written: Mapping[str | None, int], partition: str | None) -> int | None:
    """The partition's newest materialization; one of the whole table is one of each of its partitions."""
    return max((written[key] for key in {partition, None} if key in written), default=None)


def _with_waiver(standing: Standing, given: Sequence[Waiver], now: datetime) -> Standing:
    place = (standing.asset, standing.gate, standing.partition)
    waiver = waivers.in_force(given, *place, now)
    if waiver is None:
        return replace(standing, waiver=waivers.last_over(given, *place, now))
    return replace(standing, state=State.WAIVED, waiver=waiver)


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"Gates are read from an event log in SQL, and this one is a {type(storage).__name__}.")
    return storage


def _judged_and_materialized(
    instance: dg.DagsterInstance, asked: Sequence[Asked]
) -> tuple[dict[tuple[dg.AssetKey, str, str | None], _Judged], dict[dg.AssetKey, dict[str | None, int]]]:
    keys = {each.asset.to_string(): each.asset for each in asked}
    partitions = _wanted(asked)
    with _storage(instance).index_connection() as connection:
        judged = {
            (keys[row.asset_key], row.check_name, row.partition): _Judged(
                row.execution_status == AssetCheckExecutionRecordStatus.SUCCEEDED.value,
                row.materialization_event_storage_id,
                row.evaluation_event_storage_id,
                row.run_id,
            )
            for row in _newest_judgements(connection, keys, {gate for each in asked for gate in each.gates}, partitions)
        }
        materialized: dict[dg.AssetKey, dict[str | None, int]] = {asset: {} for asset in keys.values()}
        for row in _newest_materializations(connection, keys, partitions):
            materialized[keys[row.asset_key]][row.partition] = row.id
    return judged, materialized


def _wanted(asked: Sequence[Asked]) -> frozenset[str] | None:
    """The partitions to look at, of whichever table: None if all."""
    wanted: set[str] = set()
    for each in asked:
        if each.partitions is None:
            return None
        wanted |= {key for key in each.partitions if key is not None}
    return frozenset(wanted)


def _newest_judgements(
    connection: Connection, keys: Collection[str], gates: Collection[str], partitions: Collection[str] | None
) -> Iterable[sa.Row]:
    table = AssetCheckExecutionsTable.c
    conditions = [
        table.asset_key.in_(sorted(keys)),
        table.check_name.in_(sorted(gates)),
        # A run that planned to judge and has not, or never will, says nothing either way.
        table.execution_status != AssetCheckExecutionRecordStatus.PLANNED.value,
        _among(table.partition, partitions),
    ]
    newest = (
        sa.select(sa.func.max(table.evaluation_event_storage_id).label("event"))
        .where(*conditions)
        .group_by(table.asset_key, table.check_name, table.partition)
        .subquery()
    )
    return connection.execute(
        sa.select(
            table.asset_key,
            table.check_name,
            table.partition,
            table.execution_status,
            table.materialization_event_storage_id,
            table.evaluation_event_storage_id,
            table.run_id,
        )
        .select_from(AssetCheckExecutionsTable.join(newest, table.evaluation_event_storage_id == newest.c.event))
        .where(*conditions)
    ).all()


def _newest_materializations(
    connection: Connection, keys: Collection[str], partitions: Collection[str] | None
) -> Iterable[sa.Row]:
    table = SqlEventLogStorageTable.c
    return connection.execute(
        sa.select(table.asset_key, table.partition, sa.func.max(table.id).label("id"))
        .where(
            table.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value,
            table.asset_key.in_(sorted(keys)),
            _among(table.partition, partitions),
        )
        .group_by(table.asset_key, table.partition)
    ).all()


def _among(column: sa.Column, partitions: Collection[str] | None) -> sa.ColumnElement[bool]:
    """A partition that is asked for, or none: what is of a whole table is of each of its partitions."""
    if partitions is None:
        return sa.true()
    return sa.or_(column.in_(sorted(partitions)), column.is_(None))
