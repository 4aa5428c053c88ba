"""Published versions of contracts: what was promised under a number stays what it was.

A workload's folder holds the working documents, one a table, and beside them what was published:

    contracts/<workload>/<table>.odcs.yaml
    contracts/<workload>/published/<table>/<version>.odcs.yaml
    contracts/<workload>/published/SHA256SUMS

A published version is a copy of the working document, byte for byte. The lock file lists the SHA-256 of each,
in the format of `sha256sum`, so `sha256sum --check SHA256SUMS` in that folder verifies it without us. Lines
are only ever added to it.

A version number is MAJOR.MINOR.PATCH, and honest if it rises by at least what the change asks for under the
compatibility mode of the version before it (`contracts.compatibility`).
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from contracts.compatibility import Bump, Change, Comparison, Verdict
from contracts.contract import Compatibility
from contracts.difference import compare_documents
from contracts.document import load, load_folder
from contracts.survey import Document, survey

FOLDER = "published"
LOCK = "SHA256SUMS"
SUFFIX = ".odcs.yaml"

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_LOCKED = re.compile(r"([0-9a-f]{64})  ([a-z0-9_]+)/((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2})\.odcs\.yaml")


class PublicationError(ValueError):
    """A document that cannot be published. `finding` says why, and what to do."""

    def __init__(self, finding: "Finding") -> None:
        super().__init__(f"{finding.says}\n{finding.remedy}")
        self.finding = finding


@dataclass(frozen=True, order=True)
class Version:
    """A version number MAJOR.MINOR.PATCH, in its order."""

    major: int
    minor: int
    patch: int

    @classmethod
    def read(cls, text: str) -> "Version":
        """Raises `ValueError` for anything but three whole numbers with dots between."""
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no version MAJOR.MINOR.PATCH")
        return cls(*(int(number) for number in match.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def since(self, earlier: "Version") -> Bump:
        """By what this version rises above an earlier one; NONE if it does not."""
        if self <= earlier:
            return Bump.NONE
        if self.major != earlier.major:
            return Bump.MAJOR
        return Bump.MINOR if self.minor != earlier.minor else Bump.PATCH

    def bumped(self, bump: Bump) -> "Version":
        """The next version that rises by `bump`."""
        return {
            Bump.NONE: self,
            Bump.PATCH: Version(self.major, self.minor, self.patch + 1),
            Bump.MINOR: Version(self.major, self.minor + 1, 0),
            Bump.MAJOR: Version(self.major + 1, 0, 0),
        }[bump]


@dataclass(frozen=True)
class Published:
    """One published version of one table's contract, as the lock has it."""

    table: str
    version: Version
    path: Path
    digest: str


class Level(StrEnum):
    """How a finding counts: a FAULT fails the check, a NOTE says that something may be done."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """What was found about one table, or about the lock (then `table` is empty)."""

    workload: str
    table: str
    level: Level
    says: str
    remedy: str = ""
    changes: tuple[Change, ...] = field(default=())


def published(folder: Path) -> tuple[Published, ...]:
    """Every version that the lock of a workload's folder lists, by table and in the order of the versions.

    Lines of the lock that are not understood are left out: `check` reports them.
    """
    lock = folder / FOLDER / LOCK
    if not lock.exists():
        return ()
    found = []
    for line in lock.read_text().splitlines():
        if match := _LOCKED.fullmatch(line):
            digest, table, version = match.groups()
            path = folder / FOLDER / table / f"{version}{SUFFIX}"
            found.append(Published(table, Version.read(version), path, digest))
    return tuple(sorted(found, key=lambda each: (each.table, each.version)))


def check(folder: Path) -> tuple[Finding, ...]:
    """What there is to say about every contract of a workload's folder: its lock first, then each table.

    Raises `ContractError` for a working document that cannot be enforced.
    """
    versions = published(folder)
    findings = list(_lock_faults(folder, versions))
    unsound = {finding.table for finding in findings}
    by_table: dict[str, list[Published]] = {}
    for each in versions:
        by_table.setdefault(each.table, []).append(each)
    working = load_folder(folder)
    for table, contract in working.items():
        if table not in unsound:
            findings.append(judge(folder.name, survey(contract.path), by_table.get(table, [])))
    for table in sorted(by_table.keys() - working.keys() - unsound):
        says = f"{table} has published versions and no working document"
        findings.append(Finding(folder.name, table, Level.NOTE, says, "Nothing: what was published stays readable."))
    return tuple(findings)


def publish(folder: Path, table: str) -> Finding:
    """Publish the working document of `table`, and say what was done: nothing if its version is published already.

    Raises `PublicationError` if a published version was changed or the version number is not honest, `ContractError`
    for a document that cannot be enforced, `OSError` where there is none.
    """
    document = survey(load(folder / f"{table}{SUFFIX}").path)
    versions = [each for each in published(folder) if each.table == table]
    finding = judge(folder.name, document, versions)
    if finding.level is Level.FAULT:
        raise PublicationError(finding)
    target = folder / FOLDER / table / f"{document.version}{SUFFIX}"
    for fault in _lock_faults(folder, published(folder)):
        # A copy that was written before its line in the lock, when publishing was interrupted, is no fault of its own.
        interrupted = fault.table == table and target.exists() and _digest(target) == document.digest
        if fault.table in ("", table) and not interrupted:
            raise PublicationError(fault)
    if finding.level is Level.OK:
        return finding
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, document.path.read_bytes())
    locked = {each.path.relative_to(folder / FOLDER).as_posix(): each.digest for each in published(folder)}
    locked[target.relative_to(folder / FOLDER).as_posix()] = document.digest
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(locked.items()))
    _write(folder / FOLDER / LOCK, text.encode())
    says = f"{table} {document.version} is published"
    return Finding(folder.name, table, Level.OK, says, "Commit it together with the lock.", finding.changes)


def judge(workload: str, document: Document, versions: Sequence[Published]) -> Finding:
    """Whether a working document is what was published under its number, or rises honestly above what was.

    `versions` are the published ones of its table, in their order.
    """
    table = next(iter(document.contracts))
    try:
        version = Version.read(document.version)
    except ValueError as error:
        remedy = "Number it MAJOR.MINOR.PATCH, e.g. 1.0.0."
        return Finding(workload, table, Level.FAULT, f"{table} has no version number: {error}", remedy)
    if not versions:
        return Finding(workload, table, Level.NOTE, f"{table} {version} is not published yet", _how(workload, table))
    same = next((each for each in versions if each.version == version), None)
    if same is not None:
        return _unchanged(workload, document, same, versions)
    later = [each for each in versions if each.version > version and each.version.major == version.major]
    earlier = [each for each in versions if each.version < version]
    if later or not earlier:
        last = (later or versions)[-1].version
        says = f"{table} {version} is not published and older than {last}, which is"
        return Finding(workload, table, Level.FAULT, says, f"Number it above {last}.")
    return _risen(workload, document, version, earlier[-1], versions)


def _how(workload: str, table: str) -> str:
    return f"Publish it: warrant contract publish --workload {workload} --table {table}."


def _unchanged(workload: str, document: Document, same: Published, versions: Sequence[Published]) -> Finding:
    """Whether the working document is the published one that has its number."""
    name = f"{same.table} {same.version}"
    if same.digest == document.digest:
        return Finding(workload, same.table, Level.OK, f"{name} is published")
    mode, comparison, least = _owed(document, same, versions)
    says = f"{name} is published, and the working document is no longer the same. {_summary(comparison, mode)}"
    remedy = f"Number it {same.version.bumped(max(least, Bump.PATCH))} or higher, or restore it from {same.path}."
    return Finding(workload, same.table, Level.FAULT, says, remedy, comparison.changes)


def _risen(
    workload: str, document: Document, version: Version, before: Published, versions: Sequence[Published]
) -> Finding:
    """Whether the working document's number rises by what its changes ask for."""
    mode, comparison, least = _owed(document, before, versions)
    rise, name = version.since(before.version), f"{before.table} {version}"
    if rise < least:
        says = f"{name} is not honest: since {before.version} it needs a {least} version. {_summary(comparison, mode)}"
        remedy = f"Number it {before.version.bumped(least)}, or take that back."
        return Finding(workload, before.table, Level.FAULT, says, remedy, comparison.changes)
    says = f"{name} rises honestly above {before.version}: a {rise} version where {least} is needed"
    return Finding(workload, before.table, Level.NOTE, says, _how(workload, before.table), comparison.changes)


def _owed(
    document: Document, before: Published, versions: Sequence[Published]
) -> tuple[Compatibility, Comparison, Bump]:
    """The mode that the version before declared, the changes since, and the least honest bump."""
    last = survey(before.path)
    mode = next(iter(last.contracts.values())).compatibility
    comparison = compare_documents(last, document)
    least = comparison.least_bump(mode)
    if mode.transitive:
        for each in versions:
            if each.version.major == before.version.major and each.version < before.version:
                kept = compare_documents(survey(each.path), document).verdict(mode)
                least = least if kept is Verdict.COMPATIBLE else Bump.MAJOR
    return mode, comparison, least


def _summary(comparison: Comparison, mode: Compatibility) -> str:
    """What weighs most, in a sentence or two."""
    if not comparison.changes:
        return "Nothing it says has changed, only how it is written."
    against = comparison.against(mode)
    heaviest = max(change.least for change in comparison.changes)
    weighty = against or tuple(change for change in comparison.changes if change.least is heaviest)
    told = "; ".join(change.says for change in weighty[:3])
    more = f" (and {len(weighty) - 3} more)" if len(weighty) > 3 else ""
    return f"{f'Not {mode}: ' if against else ''}{told}{more}."


def _lock_faults(folder: Path, versions: Sequence[Published]) -> Iterator[Finding]:
    """Where what lies in the folder of published versions is not what the lock says."""
    root, workload = folder / FOLDER, folder.name
    lock = root / LOCK
    there = {path for path in root.rglob("*") if path.is_file()} - {lock}
    lines = lock.read_text().splitlines() if lock.exists() else []
    for number, line in enumerate(lines, start=1):
        if not _LOCKED.fullmatch(line):
            says = f"line {number} of {lock} is not a digest and a published file: {line[:80]!r}"
            yield Finding(workload, "", Level.FAULT, says, "Restore the lock from version control.")
    for each in versions:
        if each.path not in there:
            says = f"{each.table} {each.version} is in the lock, and {each.path} is missing"
            yield Finding(workload, each.table, Level.FAULT, says, "Restore it from version control.")
        elif _digest(each.path) != each.digest:
            says = f"{each.table} {each.version} was changed after it was published: {each.path} has another digest"
            remedy = "Restore it from version control; what should change belongs in the working document."
            yield Finding(workload, each.table, Level.FAULT, says, remedy)
    for path in sorted(there - {each.path for each in versions}):
        says = f"{path} is not in the lock: it was not published by `warrant contract publish`"
        yield Finding(workload, path.parent.name, Level.FAULT, says, "Remove it, and publish the working document.")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)


def grouped(findings: Sequence[Finding]) -> Mapping[Level, int]:
    """How many findings there are of each level."""
    return {level: sum(finding.level is level for finding in findings) for level in Level}
