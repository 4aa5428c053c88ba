"""Toy tables for the conformance suite of gates: one table, what reads it, and a way for its gate to go wrong.

Each is built twice: with our primitive, and with what stock Dagster offers in its place. A code location that a
backfill's daemon loads by name is an attribute of this module, ``<primitive>__<row>__<runs>``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import dagster as dg

from automation import gates
from automation.gates import Gate, Judgement, Severity

DAYS = dg.DailyPartitionsDefinition(start_date="2013-01-01", end_date="2013-01-05")
UPSTREAM, DOWNSTREAM = dg.AssetKey(["toy", "upstream"]), dg.AssetKey(["toy", "downstream"])
GOOD, DAY_BEFORE, BAD = "2013-01-02", "2013-01-03", "2013-01-04"


class Primitive(StrEnum):
    OURS = "ours"
    EAGER = "eager"
    EAGER_AND_PASSED = "eager_and_passed"


class Runs(StrEnum):
    """How Dagster's backfills cut a range of days."""

    ONE = "one"
    SEVERAL = "several"


class Row(StrEnum):
    """A row of the table of FACTS.md, and some more that follow from it."""

    PASSES = "passes"
    FAILS = "fails"
    WARNS = "warns"
    NEVER_RUN = "never_run"
    OVERTAKEN = "overtaken"
    ONE_DAY_OF_TWO = "one_day_of_two"
    RAISES = "raises"
    SILENT = "silent"
    DAY_BEFORE_FAILS = "day_before_fails"
    WHOLE_TABLE_FAILS = "whole_table_fails"

    @property
    def goes_on(self) -> bool:
        """Whether what reads the bad day is right to go on."""
        return self in (Row.PASSES, Row.WARNS)

    @property
    def judged_bad(self) -> str | None:
        """The day whose judgement goes wrong."""
        match self:
            case Row.PASSES | Row.NEVER_RUN | Row.OVERTAKEN:
                return None
            case Row.DAY_BEFORE_FAILS:
                return DAY_BEFORE
            case _:
                return BAD


@dataclass(frozen=True)
class Toy:
    primitive: Primitive
    row: Row
    runs: Runs = Runs.ONE

    @property
    def attribute(self) -> str:
        return f"{self.primitive}__{self.row}__{self.runs}"

    @property
    def gate(self) -> Gate:
        return Gate("contract", "No row is bad.", Severity.WARNING if self.row is Row.WARNS else Severity.ERROR)

    def passes(self, day: str | None) -> bool:
        if self.row is Row.RAISES and day == BAD:
            raise ZeroDivisionError(day)
        return day is not None and day != self.row.judged_bad


def _upstream(toy: Toy) -> dg.AssetsDefinition:
    ours, whole = toy.primitive is Primitive.OURS, toy.row is Row.WHOLE_TABLE_FAILS
    days = None if whole else DAYS

    def compute(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield dg.MaterializeResult()
        keys = [None] if whole else context.partition_keys
        if toy.row is Row.SILENT and BAD in keys:
            # Its step succeeds and it says nothing.
            yield dg.Output(None, output_name=dg.AssetCheckSpec("contract", asset=UPSTREAM).get_python_identifier())
            return
        if ours:
            judged = [Judgement(toy.gate, toy.passes(day), f"of {day}", partition=day) for day in keys]
            yield from gates.record(context, UPSTREAM, judged)
        elif context.selected_asset_check_keys:
            severity = dg.AssetCheckSeverity.WARN if toy.row is Row.WARNS else dg.AssetCheckSeverity.ERROR
            yield dg.AssetCheckResult(passed=all(map(toy.passes, keys)), severity=severity)

    made = gates.gated_asset if ours else dg.asset
    stock = [dg.AssetCheckSpec("contract", asset=UPSTREAM, blocking=True)]
    return made(
        key=UPSTREAM,
        partitions_def=days,
        check_specs=gates.specs(UPSTREAM, [toy.gate], days) if ours else stock,
        backfill_policy=None if whole else _policy(toy.runs),
    )(compute)


def _downstream(toy: Toy) -> dg.AssetsDefinition:
    def compute(context: dg.AssetExecutionContext) -> None: ...

    eager = dg.AutomationCondition.eager().without(dg.AutomationCondition.in_latest_time_window())
    condition = {
        Primitive.OURS: gates.downstream_condition(),
        Primitive.EAGER: eager,
        Primitive.EAGER_AND_PASSED: eager & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    }[toy.primitive]
    before = -1 if toy.row is Row.DAY_BEFORE_FAILS else 0
    mapping = dg.TimeWindowPartitionMapping(start_offset=before, allow_nonexistent_upstream_partitions=True)
    made = gates.gated_asset if toy.primitive is Primitive.OURS else dg.asset
    return made(
        key=DOWNSTREAM,
        deps=[UPSTREAM if toy.row is Row.WHOLE_TABLE_FAILS else dg.AssetDep(UPSTREAM, partition_mapping=mapping)],
        partitions_def=DAYS,
        backfill_policy=_policy(toy.runs),
        automation_condition=condition,
    )(compute)


def _policy(runs: Runs) -> dg.BackfillPolicy:
    return dg.BackfillPolicy.single_run() if runs is Runs.ONE else dg.BackfillPolicy.multi_run(1)


@cache
def location(toy: Toy) -> dg.Definitions:
    jobs = {"upstream": (UPSTREAM,), "both": (UPSTREAM, DOWNSTREAM), "downstream": (DOWNSTREAM,)}
    if toy.row is Row.WHOLE_TABLE_FAILS:
        del jobs["both"]
    return dg.Definitions(
        assets=[_upstream(toy), _downstream(toy)],
        jobs=[dg.define_asset_job(name, dg.AssetSelection.assets(*chosen)) for name, chosen in jobs.items()],
        executor=dg.in_process_executor,
    )


def __getattr__(name: str) -> dg.Definitions:
    try:
        primitive, row, runs = name.split("__")
        return location(Toy(Primitive(primitive), Row(row), Runs(runs)))
    except ValueError:
        raise AttributeError(name) from None
