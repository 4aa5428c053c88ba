"""Every promise about a partition as a whole: Great Expectations says what a computation in plain Python says."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from generation import chance, contracts, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.contract import Contract, Expectation, ExpectationKind, LogicalType
from contracts.document import load
from contracts.expectations import judge

ROOT = Path(__file__).parent.parent.parent
EXPECTING = [path for path in sorted(ROOT.glob("contracts/*/*.odcs.yaml")) if load(path).expectations]
DAYS = [dt.date(2024, 3, 30) + dt.timedelta(days=each) for each in range(3)]  # in Oslo, the second has 23 hours
NUMERIC = (LogicalType.INTEGER, LogicalType.NUMBER)


def measured(promise: Expectation, rows: list[dict[str, Any]], day: dt.date, zone: str) -> float | None:
    """The measure of one partition's rows by definition; None where there is nothing to measure."""
    values = [row[promise.column] for row in rows] if promise.column else []
    known = [value for value in values if value is not None]
    found: float | None = None
    match promise.kind:
        case ExpectationKind.ROW_COUNT:
            found = len(rows)
        case ExpectationKind.NULL_SHARE if rows:
            found = (len(values) - len(known)) / len(values)
        case ExpectationKind.DISTINCT_COUNT if rows:
            found = len(set(known))
        case ExpectationKind.MEAN if known:
            found = math.fsum(known) / len(known)
        case ExpectationKind.MIN if known:
            found = min(known)
        case ExpectationKind.MAX if known:
            found = max(known)
        case ExpectationKind.STALENESS if known:
            end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
            found = (end - max(known)) / dt.timedelta(minutes=1)
    return found


def kept(promise: Expectation, value: float | None) -> bool:
    if value is None:
        return False
    low, high = promise.low, promise.high
    above = low is None or (value > low if promise.low_open else value >= low)
    below = high is None or (value < high if promise.high_open else value <= high)
    return above and below


def promises(contract: Contract, partitions: list[list[dict[str, Any]]], rng: Random) -> list[Expectation]:
    """Promises of every kind whose bounds lie at, below and above what the partitions measure."""
    about: list[tuple[ExpectationKind, str | None]] = [(ExpectationKind.ROW_COUNT, None)]
    for column in contract.columns:
        about += [(ExpectationKind.NULL_SHARE, column.name), (ExpectationKind.DISTINCT_COUNT, column.name)]
        if column.type in NUMERIC and column.physical_type not in ("int64", "uint64", "float32"):
            numeric = (ExpectationKind.MEAN, ExpectationKind.MIN, ExpectationKind.MAX)
            about += [(kind, column.name) for kind in numeric]
        if column.type is LogicalType.TIMESTAMP:
            about.append((ExpectationKind.STALENESS, column.name))
    found = []
    for position, (kind, column) in enumerate(about):
        bare = Expectation(f"promise {position}", kind, column)
        at = [measured(bare, rows, day, contract.timezone) for rows, day in zip(partitions, DAYS, strict=True)]
        near = [value + rng.choice([0, 0, 0, -1, 1]) for value in at if value is not None] or [0.0]
        low, high = sorted([rng.choice(near), rng.choice(near)])
        one = rng.choice([(low, high), (low, None), (None, high)])
        found.append(replace(bare, low=one[0], high=one[1], low_open=rng.random() < 0.5, high_open=rng.random() < 0.5))
    return found


def agree(contract: Contract, partitions: list[list[dict[str, Any]]]) -> set[bool]:
    """The verdicts that were compared: kept ones and broken ones."""
    frame = pl.concat(
        pl.DataFrame(rows, schema=contract.schema).with_columns(partition_day=pl.lit(day, dtype=pl.Date))
        for rows, day in zip(partitions, DAYS, strict=True)
    )
    told = judge(frame, contract, [day.isoformat() for day in DAYS], partition_column="partition_day")
    by_name = {promise.name: promise for promise in contract.expectations}
    assert len(told) == len(by_name) * len(DAYS)
    for verdict in told:
        promise, day = by_name[verdict.expectation], dt.date.fromisoformat(verdict.partition)
        expected = measured(promise, partitions[DAYS.index(day)], day, contract.timezone)
        assert verdict.observed == (None if expected is None else pytest.approx(expected, rel=1e-12)), verdict
        assert verdict.passed == kept(promise, verdict.observed), verdict
    return {verdict.passed for verdict in told}


@settings(max_examples=6)
@given(contracts(), st.integers())
def test_every_expectation_is_judged_as_it_is_defined(contract: Contract, seed: int) -> None:
    rng = chance(seed)
    made = sample(contract, rng)
    clean = [row for row, broken in zip(made.rows, made.broken, strict=True) if not broken]
    cut = rng.randint(0, len(clean))
    partitions = [clean[:cut], clean[cut:], []]
    expecting = replace(contract, timezone="Europe/Oslo", digest=str(seed))
    agree(replace(expecting, expectations=tuple(promises(expecting, partitions, rng))), partitions)


@pytest.mark.parametrize("path", EXPECTING, ids=lambda path: path.name)
def test_every_expectation_of_every_real_contract_is_judged_as_it_is_defined(path: Path) -> None:
    contract, rng = load(path), chance(2013)
    made = sample(contract, rng)
    clean = [row for row, broken in zip(made.rows, made.broken, strict=True) if not broken]
    partitions = [clean, clean * 20, []]
    agree(contract, partitions)
