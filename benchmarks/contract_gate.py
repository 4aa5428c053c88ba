"""How long a gate takes for a million rows: ours beside pandera on pandas and Great Expectations.

    python -m benchmarks.contract_gate --json

The rows are real ones of the pilot's flight status, repeated with shifted keys, of which a known few break each rule.
All three judge the same rows by the same rules, say which rows broke one, and part them from the others:

- ``five_rules``: one rule of each kind, without a key.
- ``all_rules``: every rule of the flight status contract, its key among them.

Each contestant has its own frame in memory before its clock starts, and judged a few rows before, so that no import and
no compilation is timed. Each runs in fresh processes, in turn, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import polars as pl

from automation.calendar import Calendar, Days
from benchmarks.process import measured
from benchmarks.report import Figure, at_least, at_most, figure, machine, progress, show
from contracts.contract import Column, Contract
from contracts.document import load

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult

ROWS = 1_000_000
BROKEN_A_RULE = 100
CONTRACT = Path(__file__).parent.parent / "contracts" / "flight_disruption" / "flight_status.odcs.yaml"
FEED_DAYS = Days(date(2013, 1, 1), date(2013, 3, 31))
# The peers take seconds a repeat, so that one in each round tells enough.
ROUNDS, REPEATS_OF_OURS, REPEATS_OF_PEERS = 3, 5, 1
SECONDS_GOAL, PANDERA_GOAL, GX_GOAL = 0.2, 5.0, 8.0
FIVE_RULES = (
    "known_time: required",
    "delay_minutes: maximum 1440",
    "destination: pattern",
    "carrier: valid values",
    "row: arrives_after_departure",
)
FLOWN = ("departed", "arrived")
ROW = "row"


# ---------------------------------------------------------------- the rules and the rows


def five_rules(contract: Contract) -> Contract:
    """The contract with one rule of each kind and no others."""

    def kept(column: Column) -> Column:
        name = column.name
        return replace(
            column,
            required=f"{name}: required" in FIVE_RULES,
            minimum=None,
            maximum=column.maximum if f"{name}: maximum {column.maximum}" in FIVE_RULES else None,
            pattern=column.pattern if f"{name}: pattern" in FIVE_RULES else None,
            valid_values=column.valid_values if f"{name}: valid values" in FIVE_RULES else (),
        )

    return replace(
        contract,
        columns=tuple(map(kept, contract.columns)),
        row_rules=tuple(rule for rule in contract.row_rules if f"row: {rule.name}" in FIVE_RULES),
        key=(),
        digest=f"five rules of {contract.digest}",
    )


def contract_of(rules: str) -> Contract:
    return five_rules(load(CONTRACT)) if rules == "five_rules" else load(CONTRACT)


def _breaks(contract: Contract) -> dict[str, tuple[pl.Expr, ...]]:
    """For each rule of the contract, what a row becomes that breaks it."""
    found: dict[str, tuple[pl.Expr, ...]] = {}
    for column in contract.columns:
        name, null = column.name, pl.lit(None, dtype=column.dtype)
        if column.required:
            found[f"{name}: required"] = (null.alias(name),)
        if isinstance(column.minimum, int):
            found[f"{name}: minimum"] = (pl.lit(column.minimum - 1, dtype=column.dtype).alias(name),)
        if isinstance(column.maximum, int):
            found[f"{name}: maximum"] = (pl.lit(column.maximum + 1, dtype=column.dtype).alias(name),)
        if column.pattern:
            found[f"{name}: pattern"] = (pl.lit("out of pattern").alias(name),)
        if column.valid_values:
            found[f"{name}: valid values"] = (pl.lit("never seen").alias(name),)
    named = {rule.name for rule in contract.row_rules}
    if "arrives_after_departure" in named:
        found["row: arrives_after_departure"] = (pl.col("scheduled_departure").alias("scheduled_arrival"),)
    if "delay_where_it_flew" in named:
        found["row: delay_where_it_flew"] = (pl.lit("cancelled").alias("status"), pl.lit(7).alias("delay_minutes"))
    if contract.key:
        # The same key as the row before, and another content: nobody can tell which is right.
        found["key: conflict"] = tuple(pl.col(name).shift(1).alias(name) for name in contract.key)
    return found


def rows(contract: Contract, count: int) -> pl.DataFrame:
    """So many real rows, each key another, of which `BROKEN_A_RULE` break each rule.

    The microseconds of both times are the row's number: so a row is known again, wherever it ends up.
    """
    from assets.flight_disruption import feed

    calendar = Calendar(FEED_DAYS.first, date(2014, 1, 3), "America/New_York")
    real = feed.flight_status(calendar, FEED_DAYS).select(list(contract.schema))
    copies = [
        real.with_columns(pl.col("flight_id").str.replace("^2013", f"{2013 + number}"))
        for number in range(-(-count // real.height))
    ]
    made = pl.concat(copies).head(count).with_row_index(ROW)
    number = pl.duration(microseconds=pl.col(ROW))
    made = made.with_columns(
        pl.col("event_time").dt.truncate("1s") + number, pl.col("known_time").dt.truncate("1s") + number
    )
    breaks = _breaks(contract)
    step = count // (BROKEN_A_RULE * len(breaks))
    for place, changes in enumerate(breaks.values()):
        chosen = (pl.col(ROW) % (step * len(breaks)) == step * place + step // 2) & (
            pl.col(ROW) // (step * len(breaks)) < BROKEN_A_RULE
        )
        made = made.with_columns(
            pl.when(chosen).then(change).otherwise(change.meta.output_name()).alias(change.meta.output_name())
            for change in changes
        )
    return made.drop(ROW).rechunk()


# ---------------------------------------------------------------- the contestants, each in a process of its own


@dataclass(frozen=True)
class Contestant:
    """``prepare`` makes what is timed, a call; ``flagged`` reads from its result the numbers of the rows it flagged."""

    name: str
    repeats: int
    prepare: Callable[[pl.DataFrame, Contract], Callable[[], Any]]
    flagged: Callable[[Any], Sequence[int]]


def run(name: str, rules: str, file: str) -> dict[str, list]:
    """The seconds of each repeat, and the rows that were flagged."""
    contestant = CONTESTANTS[name]
    contract, frame = contract_of(rules), pl.read_ipc(file)
    # Enough rows that each rule is broken by some.
    contestant.prepare(frame.head(len(frame) // 20), contract)()
    timed = contestant.prepare(frame, contract)
    seconds, result = [], None
    for _ in range(contestant.repeats):
        began = time.perf_counter()
        result = timed()
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "flagged": sorted(set(contestant.flagged(result)))}


def _gate(frame: pl.DataFrame, contract: Contract) -> Callable[[], Any]:
    from contracts.enforcement import enforce

    def judge() -> Any:
        split = enforce(frame, contract)
        return split, split.broken

    return judge


def _gate_with_tables(frame: pl.DataFrame, contract: Contract) -> Callable[[], Any]:
    from automation.lakehouse import Lakehouse, quarantine_of

    judge = _gate(frame, contract)
    folder = tempfile.TemporaryDirectory(prefix="warrant-benchmark-")
    lake = Lakehouse(folder.name)

    def judge_and_write(_held: tempfile.TemporaryDirectory = folder) -> Any:
        split, broken = judge()
        lake.replace("benchmark", contract.name, split.valid)
        lake.replace("benchmark", quarantine_of(contract.name), split.quarantined)
        return split, broken

    return judge_and_write


def _quarantined(result: Any) -> list[int]:
    import json

    split, _ = result
    held = [json.loads(text) for text in split.quarantined["row"]]
    return [int((row["known_time"] or row["event_time"])[20:26]) for row in held]


def _pandera(frame: pl.DataFrame, contract: Contract) -> Callable[[], Any]:
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    data = frame.to_pandas()
    schema = pa.DataFrameSchema(
        {column.name: _pandera_column(column) for column in contract.columns},
        checks=[pa.Check(_PANDAS_RULES[rule.name], name=rule.name) for rule in contract.row_rules],
        unique=list(contract.key) or None,
        strict=True,
    )

    def judge() -> tuple[pd.DataFrame, pd.DataFrame, Any]:
        try:
            return schema.validate(data, lazy=True), data.iloc[:0], None
        except SchemaErrors as errors:
            cases = errors.failure_cases
        broken = data.index.isin(cases["index"].dropna().astype("int64").unique())
        return data[~broken], data[broken], cases.groupby("check")["index"].nunique()

    return judge


def _pandera_column(column: Column) -> Any:
    import pandera.pandas as pa

    checks = []
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum))
    if column.maximum is not None:
        checks.append(pa.Check.le(column.maximum))
    if column.pattern:
        checks.append(pa.Check.str_matches(column.pattern))
    if column.valid_values:
        checks.append(pa.Check.isin(column.valid_values))
    return pa.Column(checks=checks, nullable=not column.required)


_PANDAS_RULES: dict[str, Callable[[Any], Any]] = {
    "arrives_after_departure": lambda data: (
        (data["scheduled_arrival"] > data["scheduled_departure"])
        | data["scheduled_arrival"].isna()
        | data["scheduled_departure"].isna()
    ),
    "delay_where_it_flew": lambda data: data["status"].isin(FLOWN) == data["delay_minutes"].notna(),
}


def _great_expectations(result_format: str) -> Callable[[pl.DataFrame, Contract], Callable[[], Any]]:
    def prepare(frame: pl.DataFrame, contract: Contract) -> Callable[[], Any]:
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(enable=False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
        definition = asset.add_batch_definition_whole_dataframe("rows")
        suite = gx.ExpectationSuite(name="rows", expectations=list(_expectations(contract)))
        data = frame.with_row_index(ROW).to_pandas()
        how: dict[str, Any] = {"result_format": result_format}
        if result_format == "COMPLETE":
            how |= {"unexpected_index_column_names": [ROW]}

        def judge() -> Any:
            # A batch remembers what it computed: each repeat has its own.
            batch = definition.get_batch(batch_parameters={"dataframe": data})
            found = cast("ExpectationSuiteValidationResult", batch.validate(suite, result_format=how))
            if raised := [result for result in found.results if result.exception_info.get("raised_exception", True)]:
                raise RuntimeError(f"Great Expectations raised {raised[0].exception_info}")
            if result_format != "COMPLETE":
                return found
            numbers = {
                place[ROW] for result in found.results for place in result.result.get("unexpected_index_list") or ()
            }
            broken = data[ROW].isin(numbers)
            return data[~broken], data[broken], found

        return judge

    return prepare


def _expectations(contract: Contract) -> Iterator[Any]:
    import great_expectations.expectations as gxe

    for column in contract.columns:
        name = column.name
        if column.required:
            yield gxe.ExpectColumnValuesToNotBeNull(column=name)
        # Each bound is a rule of its own, as it is for the others.
        if column.minimum is not None:
            yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=column.minimum)
        if column.maximum is not None:
            yield gxe.ExpectColumnValuesToBeBetween(column=name, max_value=column.maximum)
        if column.pattern:
            yield gxe.ExpectColumnValuesToMatchRegex(column=name, regex=f"^(?:{column.pattern})$")
        if column.valid_values:
            yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.valid_values))
    for rule in contract.row_rules:
        match rule.name:
            case "arrives_after_departure":
                yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                    column_A="scheduled_arrival",
                    column_B="scheduled_departure",
                    ignore_row_if="either_value_is_missing",
                )
            case "delay_where_it_flew":
                flew = f"status in {list(FLOWN)}"
                yield gxe.ExpectColumnValuesToNotBeNull(
                    column="delay_minutes", row_condition=flew, condition_parser="pandas"
                )
                yield gxe.ExpectColumnValuesToBeNull(
                    column="delay_minutes", row_condition=f"not ({flew})", condition_parser="pandas"
                )
    if contract.key:
        yield gxe.ExpectCompoundColumnsToBeUnique(column_list=list(contract.key))


def _numbered(result: Any) -> list[int]:
    return result[1][ROW].tolist()


def _placed(result: Any) -> list[int]:
    return result[1].index.tolist()


CONTESTANTS = {
    found.name: found
    for found in (
        Contestant("gate", REPEATS_OF_OURS, _gate, _quarantined),
        Contestant("gate with tables", REPEATS_OF_OURS, _gate_with_tables, _quarantined),
        Contestant("pandera on pandas", REPEATS_OF_PEERS, _pandera, _placed),
        Contestant("Great Expectations", REPEATS_OF_PEERS, _great_expectations("COMPLETE"), _numbered),
        Contestant(
            "Great Expectations, yes or no", REPEATS_OF_PEERS, _great_expectations("BOOLEAN_ONLY"), lambda _: []
        ),
    )
}


# ---------------------------------------------------------------- the figures


def compared(rules: str, count: int, folder: Path) -> list[Figure]:
    """All contestants on the same rows."""
    contract = contract_of(rules)
    file = folder / f"{rules}.arrow"
    made = rows(contract, count)
    made.write_ipc(file)
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    flagged: dict[str, set[int]] = {}
    for number in range(1, ROUNDS + 1):
        for name in CONTESTANTS:
            progress(f"{rules}, round {number} of {ROUNDS}: {name}")
            found = measured(run, name, rules, str(file)).result
            seconds[name] += found["seconds"]
            flagged[name] = set(found["flagged"])
    took = {name: statistics.median(each) for name, each in seconds.items()}
    gate, million = took["gate"], 1_000_000 / count
    pandera, complete, boolean = (
        took[name] for name in ("pandera on pandas", "Great Expectations", "Great Expectations, yes or no")
    )
    return [
        at_most(SECONDS_GOAL, f"{rules}_gate", gate * million, "s")
        if rules == "five_rules"
        else figure(f"{rules}_gate", gate * million, "s"),
        figure(f"{rules}_gate_with_tables", took["gate with tables"] * million, "s"),
        figure(f"{rules}_pandera", pandera * million, "s"),
        figure(f"{rules}_gx", complete * million, "s"),
        figure(f"{rules}_gx_yes_or_no", boolean * million, "s"),
        at_least(PANDERA_GOAL, f"{rules}_times_as_fast_as_pandera", pandera / gate, "times"),
        at_least(GX_GOAL, f"{rules}_times_as_fast_as_gx", complete / gate, "times"),
        at_least(GX_GOAL, f"{rules}_times_as_fast_as_gx_yes_or_no", boolean / gate, "times"),
        figure(f"{rules}_rows_flagged", len(flagged["gate"]), "rows"),
        *(
            at_most(0, f"{rules}_rows_flagged_otherwise_by_{short}", len(flagged["gate"] ^ flagged[name]), "rows")
            for short, name in (("pandera", "pandera on pandas"), ("gx", "Great Expectations"))
        ),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--rows", "count", type=click.IntRange(min=50_000, max=ROWS), default=ROWS, help="So many rows.")
def main(as_json: bool, count: int) -> None:
    """Measure the gate beside pandera on pandas and Great Expectations."""
    on = machine()
    with tempfile.TemporaryDirectory(prefix="warrant-benchmark-") as folder:
        figures = [found for rules in ("five_rules", "all_rules") for found in compared(rules, count, Path(folder))]
    show("contract_gate", on, figures, as_json=as_json)


if __name__ == "__main__":
    main()
