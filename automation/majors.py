"""Majors side by side: an old major of a table stays published beside the new one until its last reader has moved.

The old major is a table of its own, ``<table>_v<major>``, with its own contract. Either a migration in defs.yaml
derives it from the new one (or the new one from it), or, where no expression can, the feed delivers both. Its contract
says until when it may be read (`endOfSupport`), and the gate `supported` holds it to that day by day: judged by the
day of the partition, so that a replay judges as the day itself did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from automation import gates
from automation.errors import WarrantError

if TYPE_CHECKING:
    from datetime import date

    from automation.calendar import Days
    from automation.workload import Workload
    from contracts.document import Contract

SUPPORTED = gates.Gate("supported", "Nothing reads the table after the last day on which it is supported.")
NOTICE = timedelta(days=30)
_OLD = re.compile(r"^(?P<table>\w+)_v(?P<major>\d+)$")


class MajorError(WarrantError):
    """Majors of a table are published in a way that does not add up."""


@dataclass(frozen=True)
class OldMajor:
    """An old major of a raw table, published beside the new one, and the last day on which it may be read."""

    table: str
    of: str
    major: int
    until: date


def old_majors(workload: Workload) -> tuple[OldMajor, ...]:
    """The old majors that the workload publishes beside their tables.

    Raises:
        MajorError: one lacks its last day, has another major than its name says, or is not older than its table; or
            a table that has no days, or is no raw table, announces an end that no gate could judge.
    """
    raw = workload.spec.daily_raw_tables
    published = {*raw, *(feed.table for feed in workload.spec.feeds)}
    found = []
    for table in sorted(published):
        named = _OLD.match(table)
        if named is not None and named["table"] in published:
            found.append(_old_major(workload, table, named["table"], int(named["major"])))
    for table, contract in workload.contracts.items():
        if contract.end_of_support is not None and table not in raw:
            raise MajorError(
                f"The contract of {table} announces its end of support, which is judged day by day, and {table} is "
                "not a raw table with days.",
                remedy=f"Remove endOfSupport from {contract.path.name}.",
            )
    return tuple(found)


def _old_major(workload: Workload, table: str, of: str, major: int) -> OldMajor:
    contract, newer = workload.contract(table), workload.contract(of)
    if _major(contract) != major:
        raise MajorError(
            f"{table} is named for major {major}, and its contract has version {contract.version}.",
            remedy=f"Copy the last contract of major {major} to {contract.path.name}, with the name {table}.",
        )
    if _major(newer) <= major:
        raise MajorError(
            f"{table} is published beside {of}, and {of} has version {newer.version}, which is not newer.",
            remedy=f"Give the new contract of {of} the version {major + 1}.0.0.",
        )
    if contract.end_of_support is None:
        raise MajorError(
            f"{table} is an old major of {of}, and its contract does not say until when it may be read.",
            remedy=f'Add to {contract.path.name}: slaProperties: [{{property: endOfSupport, value: "2014-06-30"}}].',
        )
    return OldMajor(table, of, major, contract.end_of_support)


def _major(contract: Contract) -> int:
    return int(contract.version.partition(".")[0])


def readers(workload: Workload, table: str) -> tuple[str, ...]:
    """The tables that are computed from ``table``, by what the declaration lets their functions read."""
    return tuple(name for name, (derived, _) in workload.spec.derived_tables.items() if table in derived.reads)


def judge_support(workload: Workload, table: str, days: Days) -> list[gates.Judgement]:
    """The judgement of the gate `supported` for each day; none of a table whose contract announces no end.

    A day of the last thirty passes and warns in words: a check that fails as a warning would hold automation back
    while runs go on.
    """
    until = workload.contract(table).end_of_support
    if until is None:
        return []
    left = readers(workload, table)
    return [
        gates.Judgement(
            SUPPORTED,
            passed=day <= until or not left,
            says=_says(table, until, left, day),
            partition=key,
            metadata={"supported until": until.isoformat(), "read by": list(left), "days left": (until - day).days},
        )
        for key, day in zip(days.keys, days, strict=True)
    ]


def _says(table: str, until: date, left: tuple[str, ...], day: date) -> str:
    if not left:
        return f"Nothing reads {table}: it can be removed."
    named = ", ".join(left)
    if day > until:
        return f"{table} was supported until {until}, and is still read by {named}: move them to the new major."
    if day > until - NOTICE:
        days = (until - day).days
        return f"Warning: {table} is supported until {until}, {days} days more, and is still read by {named}."
    return f"{table} is supported until {until}; read by {named}."
