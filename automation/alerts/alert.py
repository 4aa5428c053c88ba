"""An alert: what failed, what that holds up, whom it concerns and what to do first, in words for one who was woken.

Everything here is plain and frozen. `judged` decides whether a finding is worth a message; `Alert` is that message.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

FAILED_RUN = "failed-run"
SAME_AGAIN_AFTER = timedelta(hours=24)
SUBJECT_LENGTH = 140
SHOWN_NAMES = 8


class Severity(StrEnum):
    """Whether a failed gate stops what lies downstream, or only warns."""

    ERROR = "error"
    WARN = "warn"


class Kind(StrEnum):
    """Why a message is sent."""

    RAISED = "raised"
    CHANGED = "changed"
    REPEATED = "repeated"
    RECOVERED = "recovered"
    TEST = "test"


@dataclass(frozen=True)
class Evidence:
    """The first lines of a table that a gate left in its evaluation, and how many it had."""

    name: str
    lines: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Finding:
    """What one event of the log says of a partition: a gate's judgement, or a step that raised (gate `FAILED_RUN`).

    ``event`` is its place in the log, ``asset`` the asset's key with slashes (the job's name where a run failed outside
    its steps), ``partition`` None where there is none.
    """

    event: int
    at: datetime
    asset: str
    gate: str
    partition: str | None
    severity: Severity
    passed: bool
    says: str
    facts: tuple[tuple[str, str], ...] = ()
    evidence: tuple[Evidence, ...] = ()
    run: str | None = None
    job: str | None = None

    @property
    def fingerprint(self) -> str:
        """The same for two findings that say the same, whenever they were made and whichever run made them."""
        said = [self.severity, self.says, self.facts, [[found.name, found.rows] for found in self.evidence]]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True)
class Reach:
    """What waits for an asset: the assets downstream, the jobs that make any of them, and the owners of all these."""

    downstream: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Runbook:
    """Where it says how to mend a failure of one kind, and what to do first."""

    path: str
    first: str


@dataclass(frozen=True)
class Standing:
    """What is known of one (asset, gate, partition) that has failed before.

    ``since`` is when it began to fail, ``count`` how often it did since, ``sent_at`` the time of the finding that was
    last sent, ``event`` the last one that was looked at: an event that is read twice changes nothing.
    """

    failing: bool
    fingerprint: str
    count: int
    since: datetime
    sent_at: datetime
    event: int
    acknowledged: bool = False


def judged(standing: Standing | None, finding: Finding) -> tuple[Standing | None, Kind | None]:
    """What is known after ``finding``, and why it is sent, or None if it is not.

    A failure is sent when it is new or says something else than before, and once a day while it repeats, unless
    somebody has acknowledged it; a gate that passes again is sent once.
    """
    if standing is not None and finding.event <= standing.event:
        return standing, None
    if standing is None or not standing.failing:
        begun = Standing(True, finding.fingerprint, 1, finding.at, finding.at, finding.event)
        return (standing, None) if finding.passed else (begun, Kind.RAISED)
    if finding.passed:
        return replace(standing, failing=False, event=finding.event, acknowledged=False), Kind.RECOVERED
    again = replace(standing, count=standing.count + 1, event=finding.event)
    if finding.fingerprint != standing.fingerprint:
        changed = replace(again, fingerprint=finding.fingerprint, sent_at=finding.at, acknowledged=False)
        return changed, Kind.CHANGED
    if finding.at - standing.sent_at >= SAME_AGAIN_AFTER and not standing.acknowledged:
        return replace(again, sent_at=finding.at), Kind.REPEATED
    return again, None


@dataclass(frozen=True)
class Alert:
    """One message about one finding. ``also`` are further partitions of which the same run says the same kind."""

    kind: Kind
    finding: Finding
    reach: Reach
    runbook: Runbook
    since: datetime
    count: int
    also: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """One line: what happened to what, and what the gate says."""
        found = self.finding
        days = f" {found.partition}" if found.partition else ""
        days += f" and {len(self.also)} more" if self.also else ""
        match self.kind:
            case Kind.RECOVERED:
                line = f"RECOVERED {found.asset}{days}: {_title(found.gate)}"
            case Kind.TEST:
                line = "TEST Warrant can reach you here"
            case _:
                word = "WARNING" if found.severity is Severity.WARN else "FAILED"
                line = f"{word} {found.asset}{days}: {_title(found.gate)}: {found.says}"
        line = " ".join(line.split())
        return line if len(line) <= SUBJECT_LENGTH else f"{line[: SUBJECT_LENGTH - 1]}…"

    @property
    def text(self) -> str:
        """The whole message: what is the matter, what to do first, then what one needs to do it."""
        if self.kind is Kind.TEST:
            return f"{self.finding.says}\n\nNothing is wrong and nothing is to be done."
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        found = self.finding
        yield found.says
        if self.kind is Kind.RECOVERED:
            yield from ("", "Nothing is to be done: what it held up goes on with the next run, or was done already.")
        else:
            yield from ("", f"First: {self.runbook.first}", f"Runbook: {self.runbook.path}")
        what = "a step that raised" if found.gate == FAILED_RUN else f"the gate {found.gate}"
        days = f", partition {found.partition}" if found.partition else ", all of it"
        yield from ("", f"What: {what} of {found.asset}{days}")
        if self.also:
            yield f"Also: the same on {_names(self.also)}"
        if self.kind is not Kind.RECOVERED:
            yield from self._evidence()
            yield f"Holds up: {self._held()}"
        yield f"Concerns: {_names(self.reach.owners) if self.reach.owners else 'nobody is named as its owner'}"
        if found.run:
            yield f"Run: {found.run}{f' ({found.job})' if found.job else ''}"
        again = f"; failed {self.count} times since" if self.count > 1 else ""
        yield f"Since: {self.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC{again}"

    def _evidence(self) -> Iterable[str]:
        if self.finding.facts:
            yield f"Found: {', '.join(f'{name} {value}' for name, value in self.finding.facts)}"
        for table in self.finding.evidence:
            more = f" ({len(table.lines)} of {table.rows})" if table.rows > len(table.lines) else ""
            yield f"{table.name[:1].upper()}{table.name[1:]}{more}:"
            yield from (f"  {line}" for line in table.lines)

    def _held(self) -> str:
        if self.finding.severity is Severity.WARN:
            return "nothing, it only warns"
        if not self.reach.downstream:
            return "nothing downstream"
        several = "assets" if len(self.reach.downstream) > 1 else "asset"
        held = f"{len(self.reach.downstream)} {several} downstream ({_names(map(self._near, self.reach.downstream))})"
        return held + (f"; jobs {_names(self.reach.jobs)}" if self.reach.jobs else "")

    def _near(self, asset: str) -> str:
        """The name of another asset, without the workload if that is the same."""
        workload, _, _ = self.finding.asset.rpartition("/")
        return asset.removeprefix(f"{workload}/") if workload else asset

    @property
    def payload(self) -> dict[str, Any]:
        """The message as JSON data, for programs. Its ``text`` is what chat services show."""
        found = self.finding
        return {
            "kind": self.kind.value,
            "severity": found.severity.value,
            "asset": found.asset,
            "gate": found.gate,
            "partition": found.partition,
            "also": list(self.also),
            "says": found.says,
            "facts": dict(found.facts),
            "evidence": {table.name: list(table.lines) for table in found.evidence},
            "downstream": list(self.reach.downstream),
            "jobs": list(self.reach.jobs),
            "owners": list(self.reach.owners),
            "runbook": self.runbook.path,
            "first": self.runbook.first,
            "run": found.run,
            "job": found.job,
            "at": found.at.astimezone(UTC).isoformat(),
            "since": self.since.astimezone(UTC).isoformat(),
            "count": self.count,
            "subject": self.subject,
            "text": f"{self.subject}\n{self.text}",
        }


def bundled(alerts: Iterable[tuple[int, Alert]]) -> list[tuple[tuple[int, ...], Alert]]:
    """Messages that one run made of one gate, as one: a month that fails day by day wakes nobody thirty times.

    Takes and gives (message ids, alert), in order.
    """
    bundles: dict[tuple, list[tuple[int, Alert]]] = {}
    for number, alert in alerts:
        found = alert.finding
        alone = (number,) if found.run is None else ()
        bundles.setdefault((alert.kind, found.asset, found.gate, found.run, *alone), []).append((number, alert))
    return [
        (
            tuple(number for number, _ in bundle),
            replace(bundle[0][1], also=tuple(str(alert.finding.partition) for _, alert in bundle[1:])),
        )
        for bundle in bundles.values()
    ]


def a_test(now: datetime) -> Alert:
    """A message that says that messages arrive."""
    says = f"This is a test, sent by `warrant alert test` at {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    finding = Finding(0, now, "test", "test", None, Severity.WARN, passed=True, says=says)
    return Alert(Kind.TEST, finding, Reach(), Runbook("docs/howto/get-alerts.md", "Nothing."), now, 1)


def _title(gate: str) -> str:
    return "run" if gate == FAILED_RUN else gate


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN_NAMES} more" if len(listed) > SHOWN_NAMES else ""
    return ", ".join(listed[:SHOWN_NAMES]) + more
