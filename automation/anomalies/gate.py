"""The gates that judge a day of a raw table by the table's own past, and where that past is kept.

The past is a Delta table beside the judged one, `<table>__profile`, with one row a day: its profile, and whether the
day may be taken as ordinary. A day is judged by the ordinary days before it and no others, so that it gets the same
verdict whenever it is run. The profile is written in one commit before the verdict is recorded: a run that is killed
leaves nothing that the same run, started again, does not replace.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from automation import plots
from automation.anomalies.past import STATED_RATE, Past, Verdict
from automation.anomalies.profile import Kind, Profile, kind, natural, profiles
from automation.calendar import Days
from automation.gates import Gate, Judgement, Severity
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
    severity=Severity.WARNING,
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
    measured = profiles(valid, contract, workload.calendar, days)
    location, kept = lakehouse.location(workload.name, table), profile_of(table)
    remembered = _remembered.pop(location, None)
    past = remembered.past if remembered and remembered.serves(contract, days) else None
    judged = _in_order(past or _stored(lakehouse, workload, contract, days), measured, held)
    version = lakehouse.replace_days(workload.name, kept, _rows(judged, contract), days)
    if past is not None and remembered is not None and version != remembered.version + 1:
        # Another process has written since this one last did: what it wrote may be of days before these.
        past = None
        judged = _in_order(_stored(lakehouse, workload, contract, days), measured, held)
        version = lakehouse.replace_days(workload.name, kept, _rows(judged, contract), days)
    _remembered[location] = Remembered(judged.past, version, _major(contract), days.last)
    return judged.judgements


def accept(lakehouse: Lakehouse, workload: Workload, table: str, days: Days) -> None:
    """Takes days that a gate held into the past, because a person found them right: later days are judged by them, too.

    What was judged stays. A day that is run again is judged again, and may be held again.
    """
    kept = profile_of(table)
    rows = lakehouse.read(workload.name, kept, days).with_columns(ordinary=pl.lit(True))
    lakehouse.replace_days(workload.name, kept, rows.select(list(SCHEMA)), days)


@dataclass(frozen=True)
class Judged:
    """Days judged in order: what their gates found, their profiles with whether they are ordinary, and the past
    that the day after them has."""

    judgements: list[Judgement]
    profiles: list[tuple[Profile, bool]]
    past: Past


def _in_order(past: Past, measured: Sequence[Profile], held: Collection[str]) -> Judged:
    found, kept = [], []
    for profile in measured:
        verdict = past.judge(profile)
        ordinary = not verdict.impossible and profile.day.isoformat() not in held
        shown = len(measured) == 1 or verdict.unusual or not ordinary
        found += _judged(verdict, past, shown=shown)
        kept.append((verdict.profile, ordinary))
        if ordinary:
            past.accept(verdict.profile)
    return Judged(found, kept, past)


# ---------------------------------------------------------------- where the past is kept

SCHEMA = {
    DAY: pl.Date(),
    "contract": pl.String(),
    "ordinary": pl.Boolean(),
    "rows": pl.Int64(),
    "measures": pl.String(),
    "values": pl.String(),
}


@dataclass(frozen=True)
class Remembered:
    """A table's past as of the last day judged in this process: the days of a replay follow each other."""

    past: Past
    version: int
    contract: str
    until: date

    def serves(self, contract: Contract, days: Days) -> bool:
        """Whether it is the past of ``days``, if nobody else has written."""
        return self.contract == _major(contract) and self.until + timedelta(days=1) == days.first


_remembered: dict[str, Remembered] = {}


def _stored(lakehouse: Lakehouse, workload: Workload, contract: Contract, days: Days) -> Past:
    """The ordinary days before ``days``, under the contract's major version: a new one may mean something else."""
    kept, start = profile_of(contract.name), workload.calendar.start
    if days.first <= start or not lakehouse.exists(workload.name, kept):
        return Past()
    rows = lakehouse.read(workload.name, kept, Days(start, days.first - timedelta(days=1)))
    return Past(
        [
            Profile(row[DAY], row["rows"], json.loads(row["measures"]), json.loads(row["values"]))
            for row in rows.filter("ordinary", contract=_major(contract)).sort(DAY).iter_rows(named=True)
        ]
    )


def _rows(judged: Judged, contract: Contract) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (
                profile.day,
                _major(contract),
                ordinary,
                profile.rows,
                json.dumps(profile.measures, sort_keys=True, separators=(",", ":")),
                json.dumps(profile.values, sort_keys=True, separators=(",", ":")),
            )
            for profile, ordinary in judged.profiles
        ],
        schema=SCHEMA,
        orient="row",
    )


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
    shown = []
    for measure in measures:
        days, values = past.series(measure.name)
        title = (
            f"{measure.name}: {_shown(measure.name, measure.value)} on {verdict.profile.day}, "
            f"expected {_shown(measure.name, measure.expected)}"
        )
        natural_values = [natural(measure.name, value) for value in values]
        today = natural(measure.name, measure.value)
        shown.append(plots.History(title, days, natural_values, verdict.profile.day, today, _usual(measure)))
    return plots.image(plots.histories(shown))


def _usual(measure: Measure) -> tuple[float, float]:
    """From where to where a day may lie without being further off than the worst tenth."""
    off = abs(measure.value - measure.expected) / measure.scaled if measure.scaled else 0.0
    return natural(measure.name, measure.expected - off), natural(measure.name, measure.expected + off)
