"""Dagster's event log in Postgres, with the judgements that a step makes stored together.

Dagster stores each check evaluation by itself, in some five milliseconds: more than judging takes, and the greatest
part of what governing a year of days costs. Here those of one step wait until the step's next event, and go in with two
statements. What a killed process had not stored yet was never judged, so its gate holds and the day is run again.

Named in the generated dagster.yaml. tests/lineage/test_event_log.py pins what it leans on of Dagster's storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dagster._core.events import DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData

MOST_WAITING = 1000


class EventLogStorage(PostgresEventLogStorage):
    """`PostgresEventLogStorage` that stores the check evaluations of a step in one go, in the order they came."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting: list[EventLogEntry] = []
        self._has_check_tables = False

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> EventLogStorage:
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )

    @property
    def supports_asset_checks(self) -> bool:
        # Dagster asks the database's catalogue each time; tables that are there stay there.
        self._has_check_tables = self._has_check_tables or super().supports_asset_checks
        return self._has_check_tables

    def store_event(self, event: EventLogEntry) -> None:
        """Stores an event, after the evaluations that wait; an evaluation made by a step waits for what follows it."""
        if event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION and event.step_key and event.run_id:
            self._waiting.append(event)
            if len(self._waiting) >= MOST_WAITING:
                self._store_waiting()
            return
        self._store_waiting()
        super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        self._store_waiting()
        super().store_event_batch(events)

    def dispose(self) -> None:
        self._store_waiting()
        super().dispose()

    def _store_waiting(self) -> None:
        if not self._waiting:
            return
        events, self._waiting = self._waiting, []
        if len(events) == 1:
            super().store_event(events[0])
            return
        rows = [self._event_to_row(event) for event in events]
        with self._connect() as connection, connection.begin():
            stored = connection.execute(
                SqlEventLogStorageTable.insert().values(rows).returning(SqlEventLogStorageTable.c.id)
            )
            ids = [int(row.id) for row in stored]
            planned = connection.execute(_fill_in(_records(events, rows, ids))).rowcount
        if planned != len(events):
            # A check that was not planned, or not by partition, has no row to fill in: Dagster makes one.
            for event, event_id in zip(events, ids, strict=True):
                self.store_asset_check_event(event, event_id)


def _records(
    events: Sequence[EventLogEntry], rows: Sequence[Mapping[str, Any]], ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """What `_fill_in` sets of each evaluation, in the order of its columns."""
    found = []
    for event, row, event_id in zip(events, rows, ids, strict=True):
        evaluation = event.get_dagster_event().asset_check_evaluation_data
        status = (
            AssetCheckExecutionRecordStatus.SUCCEEDED if evaluation.passed else AssetCheckExecutionRecordStatus.FAILED
        )
        target = evaluation.target_materialization_data
        found.append(
            (
                evaluation.asset_key.to_string(),
                evaluation.check_name,
                event.run_id,
                evaluation.partition,
                status.value,
                row["event"],
                row["timestamp"],
                event_id,
                target.storage_id if target else None,
            )
        )
    return found


def _fill_in(records: Sequence[tuple[Any, ...]]) -> sa.Update:
    """Turns the rows that were planned for these evaluations into what they found."""
    table = AssetCheckExecutionsTable.c
    names = (
        table.asset_key,
        table.check_name,
        table.run_id,
        table.partition,
        table.execution_status,
        table.evaluation_event,
        table.evaluation_event_timestamp,
        table.evaluation_event_storage_id,
        table.materialization_event_storage_id,
    )
    # Types are spelled out: in a list of values Postgres would take a column of nulls for text.
    given = sa.values(*(sa.column(column.name, column.type) for column in names), name="given").data(
        [
            tuple(
                sa.cast(sa.literal(value, column.type), column.type)
                for value, column in zip(record, names, strict=True)
            )
            for record in records
        ]
    )
    same = [given.c[column.name] == column for column in names[:3]]
    return (
        AssetCheckExecutionsTable.update()
        .where(*same, table.partition.is_not_distinct_from(given.c.partition))
        .values({column.name: given.c[column.name] for column in names[4:]})
    )
