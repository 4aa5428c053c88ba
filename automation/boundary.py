"""The boundary of every table: rows are split by the contract, both sides are written, nothing is lost.

`publish` is how a stage writes a table. It yields the asset's materialization with its counts and the judgement
of the table's gates for every day of the run.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from dagster._core.definitions.metadata import RawMetadataValue

from automation import gates
from automation.anomalies import gate as anomalies
from automation.lakehouse import DAY, quarantine_of
from contracts.enforcement import enforce
from contracts.expectations import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

    from automation.calendar import Days
    from automation.gates import Judgement
    from automation.lakehouse import Lakehouse
    from automation.workload import Workload
    from contracts.document import Contract
    from contracts.enforcement import Split
    from contracts.expectations import Verdict

QUARANTINE_EXAMPLES = 5
RULES_IN_A_SENTENCE = 3


def table_gates(contract: Contract) -> list[gates.Gate]:
    """The gates of a table: its contract, and what is expected of a day as a whole where the contract says so."""
    return [gates.CONTRACT, *([gates.EXPECTATIONS] if contract.expectations else [])]


def publish(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    workload: Workload,
    table: str,
    rows: pl.DataFrame,
    days: Days,
    *,
    more: Sequence[Judgement] = (),
    metadata: dict[str, RawMetadataValue] | None = None,
) -> Iterator[dg.MaterializeResult | dg.Output | AssetCheckEvaluation]:
    """Writes the days' rows that keep the table's contract, and beside them those that do not.

    ``rows`` has the contract's columns and ``day``. ``more`` are judgements of further gates of the asset.
    """
    contract = workload.contract(table)
    split = enforce(rows, contract, partition=DAY)
    version = lakehouse.replace_days(workload.name, table, split.valid, days)
    _quarantine(lakehouse, workload, table, split, days)

    kept, held = _by_day(split.valid, days), _by_day(split.quarantined, days)
    arrived = _by_day(rows, days)
    written = lakehouse.counts(workload.name, table, days)
    stopped = lakehouse.counts(workload.name, quarantine_of(table), days)
    for key, day in zip(days.keys, days, strict=True):
        facts = {"dagster/partition_row_count": kept[day], "rows in": arrived[day], "quarantined": held[day]}
        if len(days) == 1:
            facts |= {"delta version": version, "rules broken": _broken_table(split), **(metadata or {})}
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
    held = {str(judgement.partition) for judgement in judgements if not judgement.passed}
    judgements += anomalies.judgements(lakehouse, workload, table, split.valid, days, held)
    key = dg.AssetKey([workload.name, table])
    yield from gates.record(context, key, [*judgements, *more])


def publish_whole(
    context: dg.AssetExecutionContext, lakehouse: Lakehouse, workload: Workload, table: str, rows: pl.DataFrame
) -> Iterator[dg.MaterializeResult | dg.Output | AssetCheckEvaluation]:
    """Writes a table that has no days, as `publish` writes one that has."""
    contract = workload.contract(table)
    split = enforce(rows, contract)
    version = lakehouse.replace(workload.name, table, split.valid)
    if split.quarantined.height or lakehouse.exists(workload.name, quarantine_of(table)):
        lakehouse.replace(workload.name, quarantine_of(table), split.quarantined)
    written = lakehouse.read(workload.name, table).height
    lost = rows.height - written - split.quarantined.height
    within = split.quarantined_share <= contract.quarantine_limit
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": written,
            "rows in": rows.height,
            "quarantined": split.quarantined.height,
            "delta version": version,
            "rules broken": _broken_table(split),
        }
    )
    judgement = gates.Judgement(
        gates.CONTRACT,
        passed=within and lost == 0,
        says=_says(contract, rows.height, split.quarantined.height, lost, _rules(split, None), within=within),
        metadata={"rows in": rows.height, "valid": written, "quarantined": split.quarantined.height}
        | ({} if not split.quarantined.height else _evidence(split, None)),
    )
    yield from gates.record(context, dg.AssetKey([workload.name, table]), [judgement])


def _quarantine(lakehouse: Lakehouse, workload: Workload, table: str, split: Split, days: Days) -> None:
    """Writes the quarantined rows; where none are and none were, there is nothing to write."""
    sibling = quarantine_of(table)
    if split.quarantined.height or lakehouse.counts(workload.name, sibling, days):
        lakehouse.replace_days(workload.name, sibling, split.quarantined, days)


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


def _rules(split: Split, day: date | None) -> list[tuple[str, int]]:
    """The rules that rows of a day (of all, if none is given) broke, those of most rows first."""
    rejected = split.quarantined if day is None else split.quarantined.filter(pl.col(DAY) == day)
    return list(rejected["rules"].explode().value_counts().sort("count", "rules", descending=[True, False]).iter_rows())


def _broken_table(split: Split) -> RawMetadataValue:
    if not split.broken:
        return "none"
    return dg.TableMetadataValue(
        records=[dg.TableRecord({"rule": rule, "rows": rows}) for rule, rows in split.broken.items()],
        schema=dg.TableSchema([dg.TableColumn("rule", "string"), dg.TableColumn("rows", "int")]),
    )


def _evidence(split: Split, day: date | None) -> dict[str, RawMetadataValue]:
    """The first rejected rows with the rules they broke."""
    rejected = split.quarantined if day is None else split.quarantined.filter(pl.col(DAY) == day)
    return {
        "rules broken": dg.TableMetadataValue(
            records=[dg.TableRecord({"rule": rule, "rows": rows}) for rule, rows in _rules(split, day)],
            schema=dg.TableSchema([dg.TableColumn("rule", "string"), dg.TableColumn("rows", "int")]),
        ),
        "first rejected rows": dg.TableMetadataValue(
            records=[
                dg.TableRecord({"rules": "; ".join(row["rules"]), "row": row["row"]})
                for row in rejected.head(QUARANTINE_EXAMPLES).iter_rows(named=True)
            ],
            schema=dg.TableSchema([dg.TableColumn("rules", "string"), dg.TableColumn("row", "string")]),
        ),
    }


def _expectations(valid: pl.DataFrame, contract: Contract, days: Days) -> Iterator[Judgement]:
    if not contract.expectations:
        return
    by_day: dict[str, list] = {key: [] for key in days.keys}
    for verdict in judge(valid, contract, days.keys):
        by_day[verdict.partition].append(verdict)
    for key, verdicts in by_day.items():
        failed = [verdict for verdict in verdicts if not verdict.passed]
        yield gates.Judgement(
            gates.EXPECTATIONS,
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
