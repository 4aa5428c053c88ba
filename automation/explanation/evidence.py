"""The evidence of a day's decisions: the rows as the table holds them, what others had used of the limits, and what
was switched off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from automation.calendar import Days
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.policy import evidence as policy_evidence
from automation.policy.evidence import Stood, UnreadableEvidenceError, as_decided
from automation.policy.limits.use import from_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from automation.lakehouse import Lakehouse
    from automation.ledger.store import Ledger
    from automation.policy.deciding import Day
    from automation.policy.limits.use import Use
    from automation.workload import Workload

TABLE, KEY = "decisions", "case_key"
BASE = "_base"


class UnknownDecisionError(WarrantError):
    """There is no decision of that case, or none on that day."""


@dataclass(frozen=True, eq=False)
class Decided:
    """A day's decisions in the order in which they were made, as the table holds them and as they were made from.

    ``used`` is what others had used of the limits when the day was decided, as the ledger says; the ``evidence`` has
    what was switched off then, from there, too.
    """

    on: date
    rows: pl.DataFrame
    evidence: Day
    used: Mapping[Use, int]

    def position(self, case: str) -> int:
        """Which row is the case's.

        Raises:
            UnknownDecisionError: the day has none.
        """
        found = (self.rows[KEY] == case).arg_true()
        if not len(found):
            raise UnknownDecisionError(
                f"{case} was not decided on {self.on}.", remedy="Leave --day out, and its day is looked up."
            )
        return int(found[0])

    def alone(self, case: str) -> Decided:
        """One decision of the day, by itself.

        Raises:
            UnknownDecisionError: the day has none.
        """
        at = self.position(case)
        return replace(self, rows=self.rows[at], evidence=self.evidence.alone(at))

    @property
    def turns(self) -> list[dict[Use, int]]:
        """What was used of the limits when each case's turn came, as its row says.

        Raises:
            UnreadableEvidenceError: a row says nothing of the kind: it was changed.
            UsesInvalidError: likewise.
        """
        return [from_data(_parsed(text)) for text in self.rows["limits_used"]]


def day_of(lake: Lakehouse, workload: Workload, case: str) -> date:
    """The day on which a case was decided.

    Raises:
        UnknownDecisionError: it never was.
    """
    if lake.exists(workload.name, TABLE):
        # Keys are sorted within a file, whose statistics tell all but a few files apart without reading them.
        rows = pl.scan_delta(lake.location(workload.name, TABLE)).filter(pl.col(KEY) == case)
        if days := rows.select(DAY).collect()[DAY].to_list():
            return days[0]
    raise UnknownDecisionError(
        f"{workload.name} has no decision of a case {case}.",
        remedy="Look the case's key up in the table `decisions`; `warrant replay` decides days that are not yet.",
    )


def decided_on(lake: Lakehouse, ledger: Ledger, workload: Workload, day: date) -> Decided:
    """The decisions of a day with their evidence.

    Raises:
        UnknownDecisionError: nothing was decided on that day.
        UnreadableEvidenceError: a row was changed.
        SwitchesInvalidError: the ledger does not say what was switched off.
    """
    rows = (
        lake.read(workload.name, TABLE, Days.one(day)).sort("event_time", KEY)
        if lake.exists(workload.name, TABLE)
        else pl.DataFrame()
    )
    if rows.is_empty():
        raise UnknownDecisionError(
            f"{workload.name} decided nothing on {day}.",
            remedy=f"`warrant replay --workload {workload.name} --from {day} --to {day}` decides it.",
        )
    cases = lake.read(workload.name, workload.spec.cases.table, Days.one(day))
    return decided(workload, day, rows, cases, as_decided(ledger, workload.name, day))


def decided(workload: Workload, day: date, rows: pl.DataFrame, cases: pl.DataFrame, stood: Stood) -> Decided:
    """The same of rows that are at hand, in the order of decision times and keys, with the day's cases."""
    evidence = replace(policy_evidence.day_of(workload, rows, cases), off=stood.off, usual=stood.usual)
    return Decided(day, rows, evidence, stood.used)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UnreadableEvidenceError(
            f"The column limits_used of a row holds {text!r:.60}, which is no JSON.",
            remedy="`warrant ledger reconcile` says whether the table was changed.",
        ) from error
