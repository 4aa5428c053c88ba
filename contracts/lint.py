"""Linting: everything wrong with contract documents, by file and line, and what would make them better.

An error keeps a contract from being loaded. Advice does not: it names what nothing enforces but a reader will miss.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from contracts import location
from contracts.contract import Contract, LogicalType
from contracts.document import ContractError, Problem, load, misnamed_file
from contracts.publication import FOLDER

SUFFIX = ".odcs.yaml"


class Severity(StrEnum):
    """Whether a finding keeps the contract from being used."""

    ERROR = "error"
    ADVICE = "advice"


@dataclass(frozen=True)
class Finding:
    """One thing to change in one file."""

    path: Path
    problem: Problem
    severity: Severity

    def __str__(self) -> str:
        line = self.problem.place.line if self.problem.place else 1
        return f"{self.path}:{line}: {'advice: ' if self.severity is Severity.ADVICE else ''}{self.problem}"


def documents(paths: Iterable[Path]) -> list[Path]:
    """The working documents among `paths` and in the folders among them, each once, in the order of their names.

    Published versions are copies that never change: `contracts.publication` watches over them.
    """
    found = (each for path in paths for each in (path.rglob(f"*{SUFFIX}") if path.is_dir() else [path]))
    return sorted({each for each in found if FOLDER not in each.parts})


def lint(paths: Iterable[Path]) -> list[Finding]:
    """What is wrong with each of the documents `paths`, then what is missing from those that are right."""
    return [finding for path in paths for finding in _findings(path)]


def _findings(path: Path) -> Iterator[Finding]:
    try:
        contract = load(path)
    except ContractError as error:
        yield from (Finding(path, problem, Severity.ERROR) for problem in error.problems)
        return
    misnamed = misnamed_file(contract)
    found = [(problem, Severity.ADVICE) for problem in _advice(contract)]
    found += [(misnamed, Severity.ERROR)] if misnamed else []
    places = location.of_elements([problem.element for problem, _ in found], path.read_bytes()) if found else []
    placed = [
        Finding(path, replace(problem, place=place), severity)
        for (problem, severity), place in zip(found, places, strict=True)
    ]
    yield from sorted(placed, key=lambda finding: finding.problem.place or location.Place(1, 1))


def _advice(contract: Contract) -> Iterator[Problem]:
    table = contract.name
    if not contract.owners:
        yield Problem("team", "nobody owns the contract", "name the team and whom to write to")
    if not contract.purpose:
        yield Problem("description.purpose", "it is missing", "say what the table is for")
    if not contract.key:
        yield Problem(f"{table}.primaryKey", "there is none, so copies of a row pass", "mark the columns of the key")
    for column in contract.columns:
        if not column.description:
            yield Problem(f"{table}.{column.name}.description", "it is missing", "say what a value means")
        if column.type is LogicalType.NUMBER and column.unit is None:
            yield Problem(f"{table}.{column.name}.unit", "it is missing", 'name the unit; "1" for a pure number')
    for rule in contract.row_rules:
        if not rule.description:
            yield Problem(f"{table}.quality.{rule.name}", "it has no description", "say what the rule protects")
