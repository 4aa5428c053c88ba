"""Where contracts lie, and the documents that a command line names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

import contracts
from automation.errors import WarrantError
from contracts.document import ContractError
from contracts.publication import SUFFIX, Published, Version, published
from contracts.survey import Document, survey

ROOT = Path(contracts.__file__).parent
_REFERENCE = re.compile(r"([a-z][a-z0-9_]*)/([a-z][a-z0-9_]*)(?:@(.+))?")

ROOT_OPTION = click.option(
    "--contracts",
    "root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=ROOT,
    show_default="the platform's own",
    help="Folder of all contracts, one subfolder a workload.",
)


@dataclass(frozen=True)
class Named:
    """A document that was named, and the versions published before it in its major, if it is a published one."""

    name: str
    document: Document
    before: tuple[Published, ...] = ()


def named(reference: str, root: Path) -> Named:
    """The document at a path; ``workload/table@version`` is a published one, ``workload/table`` the working one.

    Raises `click.BadParameter` that says what is wrong with it.
    """
    path, match = Path(reference), _REFERENCE.fullmatch(reference)
    if path.is_file() or match is None:
        return Named(reference, _read(path))
    workload, table, version = match.groups()
    folder = folder_of(workload, root)
    if version is None:
        return Named(reference, _read(folder / f"{table}{SUFFIX}"))
    versions = [each for each in published(folder) if each.table == table]
    found = next((each for each in versions if str(each.version) == version), None)
    if found is None:
        there = ", ".join(str(each.version) for each in versions) or "none"
        raise click.BadParameter(f"{workload}/{table} has no published version {version}; there are: {there}.")
    return Named(reference, _read(found.path), _before(found, versions))


def _before(found: Published, versions: list[Published]) -> tuple[Published, ...]:
    major = Version(found.version.major, 0, 0)
    return tuple(each for each in versions if major <= each.version < found.version)


def _read(path: Path) -> Document:
    try:
        return survey(path)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be read: {error.strerror}.") from error
    except ContractError as error:
        raise click.BadParameter(f"it is not an ODCS document.\n{error}") from error


def folder_of(workload: str, root: Path) -> Path:
    """A workload's folder of contracts. Raises `click.BadParameter` that lists those there are."""
    there = workloads(root)
    if workload not in there:
        raise click.BadParameter(f"no contracts of {workload!r}; there are those of {', '.join(there)}.")
    return root / workload


def workloads(root: Path) -> list[str]:
    """The folders of ``root`` that hold contracts, in the order of their names."""
    return sorted({path.parent.name for path in root.glob(f"*/*{SUFFIX}")})


def unreadable(error: ContractError) -> WarrantError:
    """A contract that is no ODCS document, as an error for the command line."""
    return WarrantError(str(error), remedy="Correct the document, then run this again.")
