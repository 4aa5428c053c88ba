"""Judging partitions as wholes: volume, nulls, distribution and freshness, by Great Expectations.

polars measures: one row for each partition, one column for each expectation. Great Expectations
judges that profile, all partitions in one validation, so its cost does not grow with rows or days.

Great Expectations passes over nulls, and reads NaN as null. Here a measure that could not be taken
(the mean of no rows) has failed: nothing shows that the promise was kept.
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import polars as pl

from contracts.contract import Contract, Expectation, ExpectationKind

if TYPE_CHECKING:
    import great_expectations as gx
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.datasource.fluent.interfaces import Batch

_PARTITION = "partition"


class JudgementError(RuntimeError):
    """Partitions could not be judged, so none has passed. The message names what to correct."""


@dataclass(frozen=True)
class Verdict:
    """Whether one partition kept one expectation.

    `observed` is None when there was nothing to measure, which is a failure. Units and bounds are
    those of the `Expectation` with this name.
    """

    partition: str
    expectation: str
    passed: bool
    observed: float | None
    low: float | None
    high: float | None
    description: str


def judge(
    frame: pl.DataFrame, contract: Contract, partitions: Sequence[str], partition_column: str = "day"
) -> list[Verdict]:
    """A verdict for each of `partitions` (ISO dates) and each expectation of `contract`.

    `frame` holds the rows of exactly those partitions; a partition without rows is judged as empty.
    Raises `JudgementError` when the frame lacks a column, holds rows of no partition asked for, or
    Great Expectations could not evaluate an expectation.
    """
    if not contract.expectations or not partitions:
        return []
    profile = _profile(frame, contract, partitions, partition_column)
    outside = _outside(profile, contract)
    verdicts = []
    for row in profile.iter_rows(named=True):
        for expectation in contract.expectations:
            observed = row[expectation.name]
            verdicts.append(
                Verdict(
                    partition=row[_PARTITION],
                    expectation=expectation.name,
                    passed=observed is not None and row[_PARTITION] not in outside[expectation.name],
                    observed=observed,
                    low=expectation.low,
                    high=expectation.high,
                    description=expectation.description,
                )
            )
    return verdicts


def _profile(frame: pl.DataFrame, contract: Contract, partitions: Sequence[str], partition_column: str) -> pl.DataFrame:
    """One row for each partition: its key, and a Float64 column for each expectation; null where there
    is no finite measure."""
    needed = {partition_column, *(e.column for e in contract.expectations if e.column is not None)}
    if absent := sorted(needed - set(frame.columns)):
        raise JudgementError(f"{contract.name}: the frame lacks {', '.join(absent)}; judge the contract's own table")
    days = [dt.date.fromisoformat(partition) for partition in partitions]
    zone = zoneinfo.ZoneInfo(contract.timezone)
    asked = pl.DataFrame(
        {
            _PARTITION: list(partitions),
            partition_column: days,
            "\0end": [_end_of(day, zone) for day in days],
        },
        schema_overrides={partition_column: pl.Date, "\0end": pl.Datetime("us", "UTC")},
    )
    strays = frame.filter(~pl.col(partition_column).is_in(days) | pl.col(partition_column).is_null())
    if not strays.is_empty():
        raise JudgementError(
            f"{contract.name}: {strays.height} rows belong to none of the partitions asked for, e.g. "
            f"{partition_column} = {strays[partition_column][0]}; pass the rows of those partitions only"
        )
    measured = frame.group_by(partition_column).agg(
        _measure(expectation).alias(f"\0{expectation.name}") for expectation in contract.expectations
    )
    profile = asked.join(measured, on=partition_column, how="left", maintain_order="left")
    observed = {expectation.name: _observed(expectation) for expectation in contract.expectations}
    return profile.select(
        _PARTITION,
        *(pl.when(value.is_finite()).then(value).alias(name) for name, value in observed.items()),
    )


def _end_of(day: dt.date, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """The instant, in UTC, at which `day` ends in `zone`."""
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), tzinfo=zone).astimezone(dt.UTC)


def _measure(expectation: Expectation) -> pl.Expr:
    """The measure over the rows of one partition, as an aggregation (staleness: the newest known time)."""
    column = pl.col(expectation.column) if expectation.column else pl.len()
    match expectation.kind:
        case ExpectationKind.ROW_COUNT:
            return pl.len()
        case ExpectationKind.NULL_SHARE:
            return column.is_null().mean()
        case ExpectationKind.MEAN:
            return column.mean()
        case ExpectationKind.MIN:
            return column.min()
        case ExpectationKind.MAX | ExpectationKind.STALENESS:
            return column.max()
        case ExpectationKind.DISTINCT_COUNT:
            return column.drop_nulls().n_unique()


def _observed(expectation: Expectation) -> pl.Expr:
    """The measure as a number, when partitions without rows have joined (they count zero rows)."""
    value = pl.col(f"\0{expectation.name}")
    if expectation.kind is ExpectationKind.STALENESS:
        return (pl.col("\0end") - value).dt.total_microseconds() / 60e6
    if expectation.kind is ExpectationKind.ROW_COUNT:
        value = value.fill_null(0)
    return value.cast(pl.Float64)


@lru_cache(maxsize=256)
def expectation_suite(contract: Contract) -> "gx.ExpectationSuite":
    """The Great Expectations suite that judges a profile of partitions: one expectation for each promise."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    return gx.ExpectationSuite(
        name=f"{contract.workload}.{contract.name}",
        meta={
            "contract": f"{contract.name} {contract.version}",
            "judges": "a profile: one row for each partition, one column for each expectation",
        },
        expectations=[
            gxe.ExpectColumnValuesToBeBetween(
                column=expectation.name,
                min_value=expectation.low,
                max_value=expectation.high,
                strict_min=expectation.low_open,
                strict_max=expectation.high_open,
                description=expectation.description or None,
                meta={"measure": expectation.kind.value, "of": expectation.column},
            )
            for expectation in contract.expectations
        ],
    )


@lru_cache(maxsize=1)
def _batches() -> "BatchDefinition":
    """The one in-memory context of this process, without progress bars or telemetry."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("profiles").add_dataframe_asset("profile")
    return asset.add_batch_definition_whole_dataframe("partitions")


def _outside(profile: pl.DataFrame, contract: Contract) -> dict[str, frozenset[str]]:
    """The partitions that lie outside the bounds of each expectation, by the expectation's name.

    Asking Great Expectations which rows failed costs more than asking whether any did, so it is asked
    for the expectations that failed only.
    """
    import great_expectations as gx

    suite = expectation_suite(contract)
    batch = _batches().get_batch(batch_parameters={"dataframe": profile.to_pandas()})
    kept = {name: result.success for name, result in _results(batch, suite, {"result_format": "BOOLEAN_ONLY"})}
    if set(kept) != {expectation.name for expectation in contract.expectations}:
        raise JudgementError(f"{contract.name}: Great Expectations judged only {sorted(kept)}")
    outside = dict.fromkeys(kept, frozenset[str]())
    failed = [expectation for expectation in suite.expectations if not kept[expectation.configuration.kwargs["column"]]]
    if failed:
        which = {"result_format": "COMPLETE", "unexpected_index_column_names": [_PARTITION]}
        for name, result in _results(batch, gx.ExpectationSuite(name=suite.name, expectations=failed), which):
            outside[name] = frozenset(row[_PARTITION] for row in result.result["unexpected_index_list"])
            if not outside[name]:
                raise JudgementError(f"{contract.name}: {name!r} failed, but for no partition")
    return outside


def _results(
    batch: "Batch", suite: "gx.ExpectationSuite", result_format: dict
) -> "Iterator[tuple[str, ExpectationValidationResult]]":
    """The result of each expectation of `suite`, by name, every one of them really evaluated."""
    validation = cast("ExpectationSuiteValidationResult", batch.validate(suite, result_format=result_format))
    for result in validation.results:
        if result.expectation_config is None or result.exception_info.get("raised_exception", True):
            raise JudgementError(f"{suite.name}: Great Expectations raised {result.exception_info}")
        yield result.expectation_config.kwargs["column"], result
