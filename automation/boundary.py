"""The boundary of every table: rows are split by the contract, both sides are written, nothing is lost.

`publish` is how a stage writes a table. It yields the asset's materialization with its counts and the judgement
of the table's gates for every day of the run.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from dagster._core.definitions.metadata import RawMetadataValue

from automation import gates, quarantine
from automation.anomalies import gate as anomalies
from automation.lakehouse import DAY, quarantine_of
from automation.lineage.metadata import column_lineage
from automation.majors import SUPPORTED, judge_support
from automation.quarantine import Judged, Part
from contracts import wording
from contracts.expectations import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

    from automation.calendar import Days
    from automation.gates import Judgement
    from automation.lakehouse import Lakehouse
    from automation.workload import Workload
    from contracts.document import Contract
    from contracts.expectations import Verdict

QUARANTINE_EXAMPLES = 5
RULES_IN_A_SENTENCE = 3
# A run's tag that says where a feed's table takes its rows from, and its value for what the platform holds itself.
ROWS_FROM, QUARANTINE = "warrant/rows_from", "quarantine"
# A run's tag that names the one table such a run is about; without it, it is about every feed's.
ROWS_OF = "warrant/rows_of"


def table_gates(contract: Contract) -> list[gates.Gate]:
    """The gates of a table: its contract, and where the contract says so, what a whole day is and how long it lives.

    What is expected with severity warning is a gate of its own, which holds nothing.
    """
    rows = replace(gates.CONTRACT, promise=wording.rows_promise(contract))
    return [rows, *_expected(contract), *([SUPPORTED] if contract.end_of_support else [])]


def _expected(contract: Contract) -> dict[gates.Gate, frozenset[str]]:
    """The names of the contract's expectations by the gate that judges them, with these as its promise."""
    by_gate = {gates.EXPECTATIONS: gates.Severity.ERROR, gates.ADVICE: gates.Severity.WARNING}
    promised = {
        gate: [each for each in contract.expectations if each.severity is severity]
        for gate, severity in by_gate.items()
    }
    return {
        replace(gate, promise=wording.partition_promise(found, contract)): frozenset(each.name for each in found)
        for gate, found in promised.items()
        if found
    }


def publish(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    workload: Workload,
    table: str,
    rows: pl.DataFrame | Sequence[Part],
    days: Days,
    *,
    more: Iterable[Judgement] = (),
    metadata: dict[str, RawMetadataValue] | None = None,
) -> Iterator[dg.MaterializeResult | dg.Output | AssetCheckEvaluation]:
    """Writes the days' rows that keep the table's contract, and beside them those that do not.

    ``rows`` has the contract's columns and ``day``, or is the parts that `rows_again` found. ``more`` are judgements of
    further gates of the asset; an iterator of them is asked once the rows are written.
    """
    contract = workload.contract(table)
    split = quarantine.judge([Part(rows)] if isinstance(rows, pl.DataFrame) else rows, contract)
    version = _settle(context, lakehouse, workload, table, split, days)

    kept, held = _by_day(split.valid, days), _by_day(split.quarantined, days)
    arrived = split.arrived
    written = lakehouse.counts(workload.name, table, days)
    stopped = lakehouse.counts(workload.name, quarantine_of(table), days)
    for key, day in zip(days.keys, days, strict=True):
        facts = {"dagster/partition_row_count": kept[day], "rows in": arrived[day], "quarantined": held[day]}
        if not isinstance(rows, pl.DataFrame):
            facts |= _moved(split, day)
        if len(days) == 1:
            facts |= {"delta version": version, "rules broken": _broken_table(split), **(metadata or {})}
        if day == days.last:
            # Dagster shows the lineage of the newest materialization: once a run is enough.
            facts = {**column_lineage(workload, table), **facts}
        context.add_asset_metadata(facts, partition_key=key)
    yield dg.MaterializeResult(metadata={})

    judgements = []
    for key, day in zip(days.keys, days, strict=True):
        lost = arrived[day] - written.get(day, 0) - stopped.get(day, 0)
        share = held[day] / arrived[day] if arrived[day] else 0.0
        within = share <= contract.quarantine_limit
        judgements.append(
            gates.Judgement(
                gates.CONTRACT,
                passed=within and lost == 0,
                says=_says(
                    contract, arrived[day], held[day], lost, _rules(split, day) if held[day] else [], within=within
                ),
                partition=key,
                metadata={"rows in": arrived[day], "valid": written.get(day, 0), "quarantined": stopped.get(day, 0)}
                | ({} if not held[day] else _evidence(split, day)),
            )
        )
    judgements += _expectations(split.valid, contract, days)
    judgements += judge_support(workload, table, days)
    refused = {
        str(judgement.partition)
        for judgement in judgements
        if not judgement.passed and judgement.gate.severity is gates.Severity.ERROR
    }
    judgements += anomalies.judgements(lakehouse, workload, table, split.valid, days, refused)
    key = dg.AssetKey([workload.name, table])
    yield from gates.record(context, key, [*judgements, *more])


def publish_whole(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    workload: Workload,
    table: str,
    rows: pl.DataFrame | Sequence[Part],
) -> Iterator[dg.MaterializeResult | dg.Output | AssetCheckEvaluation]:
    """Writes a table that has no days, as `publish` writes one that has."""
    contract = workload.contract(table)
    split = quarantine.judge([Part(rows)] if isinstance(rows, pl.DataFrame) else rows, contract, partition=None)
    version = _settle(context, lakehouse, workload, table, split, None)
    arrived, held = split.arrived[None], split.quarantined.height
    written = lakehouse.read(workload.name, table).height
    lost = arrived - written - quarantine.held(lakehouse, workload.name, table).height
    within = (held / arrived if arrived else 0.0) <= contract.quarantine_limit
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": written,
            "rows in": arrived,
            "quarantined": held,
            "delta version": version,
            "rules broken": _broken_table(split),
            **({} if isinstance(rows, pl.DataFrame) else _moved(split, None)),
        }
    )
    judgement = gates.Judgement(
        gates.CONTRACT,
        passed=within and lost == 0,
        says=_says(contract, arrived, held, lost, _rules(split, None), within=within),
        metadata={"rows in": arrived, "valid": written, "quarantined": held}
        | ({} if not held else _evidence(split, None)),
    )
    yield from gates.record(context, dg.AssetKey([workload.name, table]), [judgement])


def rows_again(
    context: dg.AssetExecutionContext, lakehouse: Lakehouse, workload: Workload, table: str, days: Days | None
) -> list[Part] | None:
    """What the table and its quarantine hold already, if that is what the run shall judge again; None if it is not."""
    if context.run.tags.get(ROWS_FROM) != QUARANTINE:
        return None
    return quarantine.again(lakehouse, workload.name, table, workload.contract(table), days)


def _settle(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    workload: Workload,
    table: str,
    split: Judged,
    days: Days | None,
) -> int:
    """Writes both sides. Only a run that holds rows is asked for its time: it costs a query."""
    record = context.instance.get_run_record_by_id(context.run.run_id) if split.quarantined.height else None
    time = record.create_timestamp if record else None
    return quarantine.settle(lakehouse, workload.name, table, split, days, context.run.run_id, time)


def _moved(split: Judged, day: date | None) -> dict[str, int]:
    """What judging again came to."""
    return {"released": split.released[day], "taken back": split.taken_back[day]}


def _by_day(frame: pl.DataFrame, days: Days) -> Counter:
    counted = Counter(dict(frame[DAY].value_counts().iter_rows()))
    return Counter({day: counted.get(day, 0) for day in days})


def _says(
    contract: Contract, arrived: int, held: int, lost: int, rules: Sequence[tuple[str, int]], *, within: bool
) -> str:
    if lost:
        return f"{lost} of {arrived} rows are neither in the table nor in its quarantine."
    if held == 0:
        return f"All {arrived:,} rows keep {contract.name} {contract.version}."
    share = f"{held:,} of {arrived:,} rows ({held / arrived:.1%}) break {contract.name} {contract.version}"
    named = ", ".join(f"{rule} ({rows:,})" for rule, rows in rules[:RULES_IN_A_SENTENCE])
    more = f" and {len(rules) - RULES_IN_A_SENTENCE} more rules" if len(rules) > RULES_IN_A_SENTENCE else ""
    return f"{share}; {'up to' if within else 'more than the'} {contract.quarantine_limit:.1%} may. {named}{more}."


def _rules(split: Judged, day: date | None) -> list[tuple[str, int]]:
    """The rules that rows of a day (of all, if none is given) broke, those of most rows first."""
    rejected = split.quarantined if day is None else split.quarantined.filter(pl.col(DAY) == day)
    return list(rejected["rules"].explode().value_counts().sort("count", "rules", descending=[True, False]).iter_rows())


def _broken_table(split: Judged) -> RawMetadataValue:
    if not split.broken:
        return "none"
    return dg.TableMetadataValue(
        records=[dg.TableRecord({"rule": rule, "rows": rows}) for rule, rows in split.broken.items()],
        schema=dg.TableSchema([dg.TableColumn("rule", "string"), dg.TableColumn("rows", "int")]),
    )


def _evidence(split: Judged, day: date | None) -> dict[str, RawMetadataValue]:
    """The first rejected rows with the rules they broke."""
    rejected = split.quarantined if day is None else split.quarantined.filter(pl.col(DAY) == day)
    return {
        "rules broken": dg.TableMetadataValue(
            records=[dg.TableRecord({"rule": rule, "rows": rows}) for rule, rows in _rules(split, day)],
            schema=dg.TableSchema([dg.TableColumn("rule", "string"), dg.TableColumn("rows", "int")]),
        ),
        "first rejected rows": dg.TableMetadataValue(
            records=[
                dg.TableRecord(
                    {"rules": "; ".join(row["rules"]), "values": _values(row["row"], row["rules"]), "row": row["row"]}
                )
                for row in rejected.head(QUARANTINE_EXAMPLES).iter_rows(named=True)
            ],
            schema=dg.TableSchema([dg.TableColumn(name, "string") for name in ("rules", "values", "row")]),
        ),
    }


def _values(row: str, rules: Sequence[str]) -> str:
    """What the row holds in the columns that its broken rules are about: a rule's name begins with its column's."""
    given = json.loads(row)
    named = dict.fromkeys(rule.partition(": ")[0] for rule in rules)
    return ", ".join(f"{name} = {given[name]}" for name in named if name in given)


def _expectations(valid: pl.DataFrame, contract: Contract, days: Days) -> Iterator[Judgement]:
    if not contract.expectations:
        return
    by_day: dict[str, list] = {key: [] for key in days.keys}
    for verdict in judge(valid, contract, days.keys):
        by_day[verdict.partition].append(verdict)
    expected = _expected(contract)
    for key, gate in product(by_day, expected):
        verdicts = [verdict for verdict in by_day[key] if verdict.expectation in expected[gate]]
        failed = [verdict for verdict in verdicts if not verdict.passed]
        yield gates.Judgement(
            gate,
            passed=not failed,
            says="; ".join(
                f"{verdict.expectation} is {_number(verdict.observed)}, expected {_bounds(verdict)}"
                for verdict in failed
            )
            or f"All {len(verdicts)} expectations of {contract.name} {contract.version} hold.",
            partition=key,
            metadata={
                "expectations": dg.TableMetadataValue(
                    records=[
                        dg.TableRecord(
                            {
                                "expectation": verdict.expectation,
                                "passed": verdict.passed,
                                "observed": _number(verdict.observed),
                                "low": _number(verdict.low),
                                "high": _number(verdict.high),
                            }
                        )
                        for verdict in verdicts
                    ],
                    schema=dg.TableSchema(
                        [
                            dg.TableColumn("expectation", "string"),
                            dg.TableColumn("passed", "bool"),
                            dg.TableColumn("observed", "string"),
                            dg.TableColumn("low", "string"),
                            dg.TableColumn("high", "string"),
                        ]
                    ),
                )
            },
        )


def _bounds(verdict: Verdict) -> str:
    if verdict.low is None:
        return f"at most {_number(verdict.high)}"
    return f"at least {_number(verdict.low)}" + (
        "" if verdict.high is None else f" and at most {_number(verdict.high)}"
    )


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:,.4g}"
