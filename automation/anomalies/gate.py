"""The gates that judge a day of a raw table by the table's own past, and where that past is kept.

The past is a Delta table beside the judged one, `<table>__profile`, with one row a day: its profile, and whether the
day may be taken as ordinary. A day is judged by the ordinary days before it and no others, so that it gets the same
verdict whenever it is run. The profile is written in one commit before the verdict is recorded: a run that is killed
leaves nothing that the same run, started again, does not replace.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from automation import plots
from automation.anomalies.past import STATED_RATE, Past, Verdict
from automation.anomalies.profile import Kind, Profile, kind, natural, profiles
from automation.calendar import Days
from automation.gates import Gate, Judgement
from automation.lakehouse import DAY
from automation.workload import Delivery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date

    from dagster._core.definitions.metadata import RawMetadataValue

    from automation.anomalies.past import Measure
    from automation.lakehouse import Lakehouse
    from automation.workload import Workload
    from contracts.contract import Contract

IMPOSSIBLE = Gate(
    "anomaly",
    "The day is no impossible one beside the table's own past: no measure of volume, missingness or distribution lies "
    "far beyond all it ever did.",
)
UNUSUAL = Gate(
    "unusual",
    f"The day is not among the {STATED_RATE:.0%} that lie furthest from what the table's own past led to expect. "
    "An alert: it holds nothing.",
    severity=dg.AssetCheckSeverity.WARN,
)
PROFILE_SUFFIX = "__profile"
NAMED_IN_A_SENTENCE = 3


def profile_of(table: str) -> str:
    """The name of the sibling table of the profiles of ``table``."""
    return f"{table}{PROFILE_SUFFIX}"


def table_gates(workload: Workload, table: str) -> list[Gate]:
    """The gates of a table that is judged by its past: each one that a feed delivers day by day."""
    daily = {feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.DAILY}
    return [IMPOSSIBLE, UNUSUAL] if table in daily else []


def judgements(
    lakehouse: Lakehouse, workload: Workload, table: str, valid: pl.DataFrame, days: Days, held: Collection[str]
) -> list[Judgement]:
    """Judges ``days`` of ``table`` in order, and keeps their profiles. Nothing for a table that has no such gates.

    ``valid`` are the rows that keep the contract, with their ``day``. ``held`` are the partitions that another gate
    holds: they are judged, too, and no later day is judged by them.
    """
    if not table_gates(workload, table):
        return []
    contract = workload.contract(table)
    past = _past(lakehouse, workload, contract, table, days)
    found, rows = [], []
    for profile in profiles(valid, contract, workload.calendar, days):
        verdict = past.judge(profile)
        ordinary = not verdict.impossible and profile.day.isoformat() not in held
        shown = len(days) == 1 or verdict.unusual or not ordinary
        found += _judged(verdict, past, shown=shown)
        rows.append(_row(verdict.profile, contract, ordinary=ordinary))
        if ordinary:
            past.accept(verdict.profile)
    version = lakehouse.replace_days(workload.name, profile_of(table), pl.DataFrame(rows, schema=SCHEMA), days)
    _known[lakehouse.location(workload.name, table)] = (version, _major(contract), days.last, past)
    return found


# ---------------------------------------------------------------- where the past is kept

SCHEMA = {
    DAY: pl.Date(),
    "contract": pl.String(),
    "ordinary": pl.Boolean(),
    "rows": pl.Int64(),
    "measures": pl.String(),
    "values": pl.String(),
}

# By table, the past as of the last day judged in this process: the days of a replay follow each other.
_known: dict[str, tuple[int, str, date, Past]] = {}


def _past(lakehouse: Lakehouse, workload: Workload, contract: Contract, table: str, days: Days) -> Past:
    """The ordinary days before ``days``, under the contract's major version: a new one may mean something else."""
    kept = profile_of(table)
    if not lakehouse.exists(workload.name, kept):
        return Past()
    known = _known.pop(lakehouse.location(workload.name, table), None)
    yesterday = days.first - timedelta(days=1)
    if known and known[:3] == (lakehouse.version(workload.name, kept), _major(contract), yesterday):
        return known[3]
    if days.first <= workload.calendar.start:
        return Past()
    rows = lakehouse.read(workload.name, kept, Days(workload.calendar.start, yesterday)).filter("ordinary").sort(DAY)
    return Past(
        [
            Profile(row[DAY], row["rows"], json.loads(row["measures"]), json.loads(row["values"]))
            for row in rows.iter_rows(named=True)
            if row["contract"] == _major(contract)
        ]
    )


def _row(profile: Profile, contract: Contract, *, ordinary: bool) -> dict[str, object]:
    return {
        DAY: profile.day,
        "contract": _major(contract),
        "ordinary": ordinary,
        "rows": profile.rows,
        "measures": json.dumps(profile.measures, sort_keys=True, separators=(",", ":")),
        "values": json.dumps(profile.values, sort_keys=True, separators=(",", ":")),
    }


def _major(contract: Contract) -> str:
    return f"{contract.name} {contract.version.partition('.')[0]}"


# ---------------------------------------------------------------- what a person reads


def _judged(verdict: Verdict, past: Past, *, shown: bool) -> Iterator[Judgement]:
    key = verdict.profile.day.isoformat()
    facts: dict[str, RawMetadataValue] = {"days before": verdict.days, "score": round(verdict.score, 3)}
    if verdict.p is not None:
        facts["p-value"] = round(verdict.p, 5)
    evidence = {**facts, **_evidence(verdict, past)} if shown and verdict.measures else facts
    yield Judgement(
        IMPOSSIBLE, passed=not verdict.impossible, says=_why_impossible(verdict), partition=key, metadata=evidence
    )
    yield Judgement(
        UNUSUAL,
        passed=not verdict.unusual,
        says=_why_unusual(verdict),
        partition=key,
        metadata=evidence if verdict.unusual else facts,
    )


def _why_impossible(verdict: Verdict) -> str:
    if verdict.p is None:
        return _too_short(verdict)
    if not verdict.impossible:
        return f"No measure lies beyond all that {verdict.days} days before it lead to expect. {_most(verdict)}"
    return "; ".join(
        f"{_is(measure)}: {measure.scaled:,.1f} times its worst usual error and {measure.beyond:,.1f} times its "
        f"greatest in {verdict.days} days"
        for measure in verdict.impossible[:NAMED_IN_A_SENTENCE]
    ) + _and_others(len(verdict.impossible))


def _why_unusual(verdict: Verdict) -> str:
    if verdict.p is None:
        return _too_short(verdict)
    if verdict.unusual:
        named = "; ".join(_is(measure) for measure in verdict.measures[:NAMED_IN_A_SENTENCE])
        return f"As unusual as this is 1 day in {1 / verdict.p:,.0f} (p = {verdict.p:.4f}): {named}."
    if (verdict.days + 1) * STATED_RATE < 1:
        return (
            f"{verdict.days} days before it can be compared: too few to call a day one of the {STATED_RATE:.0%} most "
            f"unusual, which takes {1 / STATED_RATE - 1:.0f}. p = {verdict.p:.4f}. {_most(verdict)}"
        )
    return f"An ordinary day: p = {verdict.p:.4f} among {verdict.days} days. {_most(verdict)}"


def _too_short(verdict: Verdict) -> str:
    return f"Not judged: {verdict.days} ordinary days before it are too short a past to expect anything of a day."


def _and_others(count: int) -> str:
    return f"; and {count - NAMED_IN_A_SENTENCE} more." if count > NAMED_IN_A_SENTENCE else "."


def _most(verdict: Verdict) -> str:
    return f"Most surprising: {_is(verdict.measures[0])}." if verdict.measures else ""


def _is(measure: Measure) -> str:
    return f"{measure.name} is {_shown(measure.name, measure.value)}, expected {_shown(measure.name, measure.expected)}"


def _shown(name: str, value: float) -> str:
    value = natural(name, value)
    if kind(name) in {Kind.CATEGORY, Kind.MISSING, Kind.NEVER_SEEN}:
        return f"{value:.1%}"
    return f"{value:,.0f}" if kind(name) is Kind.COUNT else f"{value:,.4g}"


def _evidence(verdict: Verdict, past: Past) -> dict[str, RawMetadataValue]:
    """The measures that surprise most, with today's value and the expected one, and the history of the first."""
    columns = ("measure", "today", "expected", "times its worst usual error", "times its greatest error before")
    records = [
        dg.TableRecord(
            dict(
                zip(
                    columns,
                    (
                        m.name,
                        _shown(m.name, m.value),
                        _shown(m.name, m.expected),
                        round(m.scaled, 2),
                        round(m.beyond, 2),
                    ),
                    strict=True,
                )
            )
        )
        for m in verdict.measures
    ]
    types = ("string", "string", "string", "float", "float")
    schema = dg.TableSchema([dg.TableColumn(name, of) for name, of in zip(columns, types, strict=True)])
    return {"measures": dg.TableMetadataValue(records, schema), "history": _plot(verdict, past, verdict.measures[:2])}


def _plot(verdict: Verdict, past: Past, measures: Sequence[Measure]) -> dg.MarkdownMetadataValue:
    return plots.histories(
        [
            plots.History(
                title=f"{measure.name}: {_shown(measure.name, measure.value)} on {verdict.profile.day}, "
                f"expected {_shown(measure.name, measure.expected)}",
                days=[day for day, _ in past.series(measure.name)],
                values=[natural(measure.name, value) for _, value in past.series(measure.name)],
                today=verdict.profile.day,
                value=natural(measure.name, measure.value),
                usual=_usual(measure),
            )
            for measure in measures
        ]
    )


def _usual(measure: Measure) -> tuple[float, float]:
    """From where to where a day may lie without being further off than the worst tenth."""
    off = abs(measure.value - measure.expected) / measure.scaled if measure.scaled else 0.0
    return natural(measure.name, measure.expected - off), natural(measure.name, measure.expected + off)
