"""What the channels of drift have in common: the days they see, whom they watch, and how they are shown.

Each channel is a table of what it knew at the end of each day (`automation.drift.states`) and shows it: in words first,
then as a plot. Nothing follows from it there: `assets.stages.retraining` asks what is worth doing.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.stages.decisions import DECISIONS
from assets.stages.training import TRAINING_SET
from automation.calendar import Days
from automation.drift import states
from automation.drift.days import DecidedDays, days_of
from automation.drift.states import Kept
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.policy import activation
from automation.resources import ModelRegistryResource
from automation.rollout.machine import Change, rollout
from automation.settings import Settings
from automation.workload import Policy, Workload

SHOWN_DAYS = 90


def decided_days(lake: Lakehouse, workload: Workload, settings: Settings) -> DecidedDays:
    """The days of decisions, valued by the policies that made them."""
    policies: dict[str, Policy] = {}

    def policy_of(version: str) -> Policy:
        if version not in policies:
            policies[version] = activation.kept(settings, version).declared
        return policies[version]

    return DecidedDays(lake, workload, policy_of)


def reference(
    lake: Lakehouse, workload: Workload, days: DecidedDays, since: date, count: int
) -> dict[date, pl.DataFrame]:
    """Vectors of the ``count`` days before a champion began to decide, by day: those that it was trained on or, if it
    was trained elsewhere, those that were decided."""
    before = workload.calendar.within(Days(since - timedelta(days=count), since - timedelta(days=1)))
    found: dict[date, pl.DataFrame] = {}
    if lake.exists(workload.name, TRAINING_SET):
        columns = ["event_time", *workload.model_features]
        rows = lake.read(workload.name, TRAINING_SET, Days.one(since), columns)
        found = days_of(rows.sort("event_time"), workload.calendar.timezone)
    if not found and lake.exists(workload.name, DECISIONS):
        found = {day: days.vectors(day) for day in before}
    empty = pl.DataFrame(schema=dict.fromkeys(workload.model_features, pl.Float64))
    return {day: found.get(day, empty) for day in before}


def decided_by(models: ModelRegistryResource, workload: Workload, day: date) -> Change:
    with store.opened(models.settings) as ledger:
        found = rollout(ledger, workload.name).deciding(day)
    assert found is not None  # noqa: S101 - the day has decisions
    return found


def shown(lake: Lakehouse, workload: Workload, table: str, day: date) -> list[Kept]:
    first = day - timedelta(days=SHOWN_DAYS - 1)
    return states.history(lake, workload.name, table, workload.calendar.within(Days(first, day)))


def table_of(name: str, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Rows as a table in metadata; nothing where there are none."""
    if not rows:
        return {}
    types = {"int": "int", "float": "float"}
    return {
        name: dg.TableMetadataValue(
            records=[dg.TableRecord(dict(row)) for row in rows],
            schema=dg.TableSchema(
                [dg.TableColumn(each, types.get(type(value).__name__, "string")) for each, value in rows[0].items()]
            ),
        )
    }
