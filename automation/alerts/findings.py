"""Findings read from Dagster's event log: judgements of gates, and runs that failed.

The log is read by the type of event and its place, for which it has an index: never as a whole.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from automation.alerts.alert import FAILED_RUN, Evidence, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dagster._core.events import DagsterEvent
    from dagster._core.events.log import EventLogEntry

EVENTS_A_PAGE = 1000
# Steps that raise these were stopped by a gate: in their own run, or by one that had failed before.
STOPPED_BY_A_GATE = ("DagsterAssetCheckFailedError", "GateRefusalError")
EXAMPLES = "first rejected rows"
LINES, LINE_LENGTH = 3, 300
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
BETWEEN = " to "


def newest_event(instance: dg.DagsterInstance) -> int:
    """The place of the last event in the log."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def judgements(instance: dg.DagsterInstance, after: int, more: Callable[[], bool]) -> tuple[list[Finding], bool]:
    """What gates judged after a place in the log, in order, whoever ran them, while there is time for more.

    Returns whether that was all of it, too.
    """
    found: list[Finding] = []
    for page in _pages(instance, dg.DagsterEventType.ASSET_CHECK_EVALUATION, after):
        found += [
            judgement(record.storage_id, record.event_log_entry, record.event_log_entry.dagster_event)
            for record in page
            if record.event_log_entry.dagster_event is not None
        ]
        if len(page) == EVENTS_A_PAGE and not more():
            return found, False
    return found, True


def failed_runs(instance: dg.DagsterInstance, after: int, replayed: str) -> Iterator[Finding]:
    """Steps that raised in runs that failed after a place in the log, and runs that failed without any step.

    Steps that a gate stopped are left out: the gate speaks for itself. So are runs with the tag ``replayed`` that were
    closed from outside: a replay closes those of one that was killed, and does their days itself.
    """
    for page in _pages(instance, dg.DagsterEventType.RUN_FAILURE, after):
        for record in page:
            yield from _of_run(instance, record.storage_id, record.event_log_entry, replayed)


def _pages(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, after: int
) -> Iterator[Sequence[dg.EventLogRecord]]:
    while True:
        query = dg.EventRecordsFilter(event_type=kind, after_cursor=after)
        page = instance.get_event_records(query, limit=EVENTS_A_PAGE, ascending=True)
        yield page
        if len(page) < EVENTS_A_PAGE:
            return
        after = page[-1].storage_id


def judgement(event: int, entry: EventLogEntry, found: DagsterEvent) -> Finding:
    """A check's evaluation as a finding."""
    judged = found.asset_check_evaluation_data
    said = judged.description or ("It passed." if judged.passed else "It failed and does not say why.")
    return Finding(
        event=event,
        at=datetime.fromtimestamp(entry.timestamp, UTC),
        asset=judged.asset_key.to_user_string(),
        gate=judged.check_name,
        partition=judged.partition,
        severity=Severity.WARN if judged.severity is dg.AssetCheckSeverity.WARN else Severity.ERROR,
        passed=judged.passed,
        says=said,
        facts=() if judged.passed else tuple(_facts(judged.metadata)),
        evidence=() if judged.passed else tuple(_evidence(judged.metadata)),
        run=entry.run_id or None,
        job=entry.job_name,
    )


def _facts(metadata: Mapping[str, dg.MetadataValue]) -> Iterator[tuple[str, str]]:
    for name, found in metadata.items():
        match found:
            case dg.IntMetadataValue():
                yield name, f"{found.value:,}"
            case dg.FloatMetadataValue(value=float() as value):
                yield name, f"{value:,.4g}"
            case dg.TextMetadataValue() | dg.BoolMetadataValue():
                yield name, str(found.value)


def _evidence(metadata: Mapping[str, dg.MetadataValue]) -> Iterator[Evidence]:
    """The tables, examples last. Of one that says which of its rows passed, those that did not."""
    for name, found in sorted(metadata.items(), key=lambda item: item[0] == EXAMPLES):
        if isinstance(found, dg.TableMetadataValue):
            # A record's cells come back from the log in no order of their own.
            columns = [column.name for column in found.schema.columns if column.name != "passed"]
            rows = [record.data for record in found.records if record.data.get("passed") is not True]
            lines = [", ".join(f"{column} {_cell(row, column)}" for column in columns) for row in rows]
            if lines:
                yield Evidence(name, tuple(map(_short, lines[:LINES])), len(lines))


def _cell(row: Mapping[str, object], column: str) -> object:
    """A cell's text. Of a rejected row, what broke its rules comes first: the rest may be cut off."""
    text, rules = row.get(column), row.get("rules")
    if column != "row" or not isinstance(text, str) or not isinstance(rules, str):
        return text
    try:
        values = json.loads(text)
    except ValueError:
        return text
    if not isinstance(values, dict):
        return text
    broken = [name for name in values if any(rule.startswith(f"{name}: ") for rule in rules.split("; "))]
    return json.dumps({name: values[name] for name in dict.fromkeys((*broken, *values))}, ensure_ascii=False)


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 1]}…"


def _of_run(instance: dg.DagsterInstance, event: int, entry: EventLogEntry, replayed: str) -> Iterator[Finding]:
    run = instance.get_run_by_id(entry.run_id)
    tags = run.tags if run else {}
    base = Finding(
        event=event,
        at=datetime.fromtimestamp(entry.timestamp, UTC),
        asset=entry.job_name or "a run",
        gate=FAILED_RUN,
        partition=_partition(tags),
        severity=Severity.ERROR,
        passed=False,
        says=entry.message,
        run=entry.run_id,
        job=entry.job_name,
    )
    wanted = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
    events = [
        found.event_log_entry.dagster_event
        for found in instance.get_records_for_run(entry.run_id, None, wanted).records
    ]
    failures = [found for found in events if found is not None and found.is_step_failure]
    if not failures:
        failed = entry.dagster_event.event_specific_data if entry.dagster_event else None
        if failed is not None or replayed not in tags:
            yield base
        return
    planned = {found.step_key: found.asset_key for found in events if found is not None and found.asset_key is not None}
    for failure in failures:
        error = failure.step_failure_data.error
        cause = error.cause if error and error.cause else error
        if cause is None or (cause.cls_name or "").rpartition(".")[2] not in STOPPED_BY_A_GATE:
            made = planned.get(failure.step_key)
            yield replace(
                base,
                asset=made.to_user_string() if made else f"{entry.job_name}, step {failure.step_key}",
                says=f"It raised {_short(cause.message)}" if cause else "It failed and does not say why.",
            )


def _partition(tags: Mapping[str, str]) -> str | None:
    if RANGE_START in tags:
        return f"{tags[RANGE_START]}{BETWEEN}{tags[RANGE_END]}"
    return tags.get(PARTITION)


def mended(instance: dg.DagsterInstance, failed: Iterable[Finding], now: datetime) -> Iterator[Finding]:
    """Of runs that failed, those whose work was done since: the asset was materialized, or the job succeeded."""
    for finding in failed:
        done = _materialized_since(instance, finding) or _succeeded_since(instance, finding)
        if done is not None:
            yield replace(
                finding, event=max(done, finding.event + 1), at=now, passed=True, says="It was done since.", run=None
            )


def _materialized_since(instance: dg.DagsterInstance, finding: Finding) -> int | None:
    """The place in the log where the asset's partition, or the last of its range's ends, was materialized."""
    key = dg.AssetKey.from_user_string(finding.asset)
    ends = finding.partition.split(BETWEEN) if finding.partition else [None]
    places = []
    for end in dict.fromkeys(ends):
        query = dg.AssetRecordsFilter(
            asset_key=key, asset_partitions=[end] if end else None, after_storage_id=finding.event
        )
        records = instance.fetch_materializations(query, limit=1).records
        if not records:
            return None
        places.append(records[0].storage_id)
    return max(places)


def _succeeded_since(instance: dg.DagsterInstance, finding: Finding) -> int | None:
    """Whether a later run of a job succeeded where the failure was the job's, not an asset's: its place is unknown."""
    if finding.asset != finding.job:
        return None
    days = finding.partition.split(BETWEEN) if finding.partition else []
    tags = dict(zip((PARTITION,) if len(days) == 1 else (RANGE_START, RANGE_END), days, strict=False))
    query = dg.RunsFilter(
        job_name=finding.job, statuses=[dg.DagsterRunStatus.SUCCESS], tags=tags, created_after=finding.at
    )
    return finding.event + 1 if instance.get_runs(query, limit=1) else None
