"""What a day is decided from, out of the tables, and the rows that its decisions become."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from automation.calendar import Days
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.ledger.decisions import stream
from automation.policy.deciding import Day, Weighed
from automation.policy.limits.demand import from_data as demands_from_data
from automation.policy.limits.demand import longest, usual
from automation.policy.limits.use import from_data
from automation.switches.switch import ALL_ON, Off
from automation.switches.switch import from_data as off_from_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from automation.lakehouse import Lakehouse
    from automation.ledger.store import Ledger
    from automation.policy.bundle import PolicyBundle
    from automation.policy.limits.demand import Demands
    from automation.policy.limits.use import Use
    from automation.workload import Workload
    from contracts.document import Contract

SCORES, DECISIONS = "scores", "decisions"


class UnreadableEvidenceError(WarrantError):
    """A row's features or contributions are not what a row can hold: it was changed."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """A day to decide: ``scores`` and ``cases`` as the tables hold them; ``phrases`` are the features in words."""

    scores: pl.DataFrame
    cases: pl.DataFrame
    day: Day
    phrases: Mapping[str, str]


def evidence_of(workload: Workload, lake: Lakehouse, days: Days) -> Evidence:
    """What the scores and the cases of ``days`` say."""
    spec = workload.spec
    scores = lake.read(workload.name, SCORES, days).sort("event_time", "case_key")
    cases = lake.read(workload.name, spec.cases.table, days)
    return Evidence(scores, cases, day_of(workload, scores, cases), phrases(workload))


def first_undecided(workload: Workload, lake: Lakehouse) -> date:
    """The first day after those that were decided."""
    decided = [day for day in lake.counts(workload.name, DECISIONS) if day]
    return max(decided) + timedelta(days=1) if decided else workload.calendar.start


@dataclass(frozen=True)
class Stood:
    """How things stood when a day was decided: what others had ``used`` of the limits, what was switched ``off``, and
    the ``usual`` demand for places that follow the day."""

    used: Mapping[Use, int] = field(default_factory=dict)
    off: Off = ALL_ON
    usual: Demands = field(default_factory=dict)


def as_decided(ledger: Ledger, workload: str, day: date) -> Stood:
    """How things stood when a day was decided, as its event in the ledger says. Events were once without what was off
    and what is usual: then there was neither.

    Raises:
        UsesInvalidError: the event says something else of limits.
        SwitchesInvalidError: likewise, of switches.
        DemandInvalidError: likewise, of demand.
    """
    events = ledger.events(stream(workload, day))
    if not events:
        return Stood()
    said = events[-1].data
    return Stood(
        from_data(said.get("limits_used", {})),
        off_from_data(said.get("switches_off", [])),
        demands_from_data(said.get("demand_usual", {}), _of(workload, day)),
    )


def weighed_again(
    lake: Lakehouse, workload: Workload, policy: PolicyBundle, rows: pl.DataFrame, stood: Stood
) -> Weighed:
    """A day's decisions, in order, as a policy sees them, with what was off and usual as it was."""
    [day] = rows[DAY].unique()
    cases = lake.read(workload.name, workload.spec.cases.table, Days.one(day))
    return Weighed(replace(day_of(workload, rows, cases), off=stood.off, usual=stood.usual), policy)


@dataclass
class PastDemand:
    """What a policy's limits usually have wanted of them, where places follow the day: by the days before.

    What a day wanted under this policy the ledger says. What it would have wanted, where another one decided, is worked
    out from its decisions: so a policy is tried, shadows and begins as if it had been there before.
    """

    lake: Lakehouse
    ledger: Ledger
    workload: Workload
    policy: PolicyBundle
    _known: dict[date, Demands] = field(default_factory=dict)

    def usual(self, day: date) -> Demands:
        """What is usual on a day. One that this policy decided before is decided by what was usual then: what has
        become of days before it since does not change it.

        Raises:
            DemandInvalidError: an event says something else there.
        """
        limits = self.policy.declared.limits
        if not (days := longest(limits)):
            return {}
        events = self.ledger.events(stream(self.workload.name, day))
        if events and self._is_ours(events[-1].data):
            return demands_from_data(events[-1].data["demand_usual"], _of(self.workload.name, day))
        before = [day - timedelta(days=number) for number in range(1, days + 1)]
        return usual(limits, {each: found for each in before if (found := self._of(each))}, day)

    def _of(self, day: date) -> Demands:
        """What was wanted on a day."""
        if day not in self._known:
            events = self.ledger.events(stream(self.workload.name, day))
            if events and self._is_ours(events[-1].data):
                self._known[day] = demands_from_data(events[-1].data["demand"], _of(self.workload.name, day))
            else:
                self._known[day] = self._worked_out(day)
        return self._known[day]

    def _is_ours(self, said: Mapping[str, Any]) -> bool:
        return said.get("policy_version") == self.policy.version and "demand" in said

    def _worked_out(self, day: date) -> Demands:
        name = self.workload.name
        if not self.lake.exists(name, DECISIONS):
            return {}
        rows = self.lake.read(name, DECISIONS, Days.one(day)).sort("event_time", "case_key")
        if rows.is_empty():
            return {}
        return weighed_again(self.lake, self.workload, self.policy, rows, Stood()).demand


def _of(workload: str, day: date) -> str:
    return f"The newest event of {stream(workload, day)}"


def day_of(workload: Workload, scores: pl.DataFrame, cases: pl.DataFrame) -> Day:
    """Rows of scores (or of decisions, which hold them) as something to decide, in their order.

    Raises:
        UnreadableEvidenceError: a row was changed.
    """
    spec = workload.spec
    vector = workload.contract(spec.model.contract)
    own = (
        scores.select("case_key")
        # A case that is there twice would put every row after it beside another's.
        .join(
            cases.rename({spec.case_key: "case_key"}), on="case_key", how="left", maintain_order="left", validate="m:1"
        )
        .drop(DAY, strict=False)
    )
    if "problems" not in scores.columns:
        scores = scores.with_columns(
            problems=pl.when(pl.col("probability").is_null()).then(None).otherwise(pl.lit("[]"))
        )
    return Day(
        workload.name,
        scores,
        parsed(scores["features"], [column.name for column in vector.columns]),
        parsed(scores["contributions"], workload.model_features),
        own,
        workload.calendar.timezone,
    )


def phrases(workload: Workload, vector: Contract | None = None) -> dict[str, str]:
    """Features in words, by name, as the vector's contract has them: the one of today, if no other is given."""
    vector = vector or workload.contract(workload.spec.model.contract)
    return {column.name: column.reason for column in vector.columns if column.reason}


def decision_rows(workload: Workload, evidence: Evidence, policy: PolicyBundle, made: pl.DataFrame) -> pl.DataFrame:
    """The rows of the table of decisions."""
    spec, scores = workload.spec, evidence.scores
    return (
        scores.hstack(made)
        .with_columns(
            rule_value=evidence.day.features[spec.model.rule_feature].cast(pl.Float64),
            feature_service=pl.lit(spec.features.service),
            contracts=pl.lit(contracts_of(workload)),
            policy_version=pl.lit(policy.version),
        )
        .select(*workload.contract(DECISIONS).schema, DAY)
    )


def contracts_of(workload: Workload) -> str:
    """The versions and digests of the contracts that evidence passes, as canonical JSON."""
    return json.dumps(
        {name: [found.version, found.digest] for name, found in sorted(workload.contracts.items())},
        separators=(",", ":"),
    )


def parsed(column: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """Columns of numbers out of canonical JSON; null where a row has none, or has something else there.

    Raises:
        UnreadableEvidenceError: a text is no JSON object.
    """
    rows = [_object(column.name, text) for text in column.to_list()]
    return pl.DataFrame([pl.Series(name, [_number(row.get(name)) for row in rows], dtype=pl.Float64) for name in names])


def _object(column: str, text: str | None) -> dict[str, object]:
    import orjson

    try:
        held = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        held = None
    if not isinstance(held, dict):
        raise UnreadableEvidenceError(
            f"The column {column} of a row holds {text!r:.60}, which is no JSON object.",
            remedy="`warrant ledger reconcile` says whether the table was changed.",
        )
    return held


def _number(value: object) -> float | None:
    return float(value) if type(value) in (int, float) else None  # pyrefly: ignore[bad-argument-type]
