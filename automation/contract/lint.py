"""What is wrong with contract documents: `file:line: element: what. To fix: how.`"""

from __future__ import annotations

import json
from pathlib import Path

import click

import contracts
from automation.errors import WarrantError

ROOT = Path(contracts.__file__).parent


class NoContractsError(WarrantError):
    """There is no contract document where one was looked for."""


def workload_folder(name: str) -> Path:
    """The folder of a workload's contracts. It need not load: that is what linting is for."""
    folder = ROOT / name
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in ROOT.iterdir() if any(path.glob("*.odcs.yaml"))))
        raise NoContractsError(f"No contracts lie in {folder}.", remedy=f"Name one of these workloads: {known}.")
    return folder


def _from_here(path: Path) -> Path:
    """`path` as one would type it here, so that terminals and editors open the lines printed."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


@click.command("lint")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--workload", "name", help="Lint the contracts of one workload (or of `platform`).")
@click.option("--advice", is_flag=True, help="Say too what is missing without being wrong; it leaves the exit code.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(paths: tuple[Path, ...], name: str | None, advice: bool, as_json: bool) -> None:
    """Say everything that is wrong with contract documents, each with its file, line and fix.

    PATHS are documents or folders of them; by default, every contract of this repository. The exit code is 1 if
    anything is wrong.

    \b
    Example:
      warrant contract lint --workload flight_disruption
      warrant contract lint contracts/platform/decisions.odcs.yaml --json
    """
    from contracts.lint import Severity, documents, lint

    asked = [_from_here(path) for path in (*paths, *([workload_folder(name)] if name else []))] or [_from_here(ROOT)]
    found = documents(asked)
    if not found:
        raise NoContractsError(
            f"No contract document (<table>.odcs.yaml) lies in {', '.join(map(str, asked))}.",
            remedy="Name a document, or a folder that holds some.",
        )
    findings = [finding for finding in lint(found) if advice or finding.severity is Severity.ERROR]
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    if as_json:
        listed = [
            {
                "path": str(finding.path),
                "line": finding.problem.place and finding.problem.place.line,
                "column": finding.problem.place and finding.problem.place.column,
                "element": finding.problem.element,
                "broken": finding.problem.broken,
                "fix": finding.problem.fix,
                "severity": finding.severity.value,
            }
            for finding in findings
        ]
        click.echo(json.dumps(listed, indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(f"Contracts read: {len(found)}. Errors: {errors}.", err=True)
    if errors:
        click.get_current_context().exit(1)
