"""Whether published contracts are what they were, and whether the working ones are numbered honestly."""

from __future__ import annotations

import json
from pathlib import Path

import click

from automation.contract.references import ROOT_OPTION, folder_of, unreadable, workloads
from contracts.document import ContractError
from contracts.publication import Finding, Level, check, grouped


@click.command("check")
@click.option("--workload", help="Check this workload's contracts only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of all findings.")
@ROOT_OPTION
def command(workload: str | None, as_json: bool, root: Path) -> None:
    """Check that published contracts are unchanged and that working ones are numbered honestly.

    Exit code: 0 if so, 1 if not, with the reason and what to do about it. A table that is not published
    yet, and one that is ready to be, are noted and no fault.

    \b
    Example:
      warrant contract check
    """
    names = [folder_of(workload, root).name] if workload else workloads(root)
    try:
        findings = [finding for name in names for finding in check(root / name)]
    except ContractError as error:
        raise unreadable(error) from error
    if as_json:
        click.echo(json.dumps([_plain(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    raise SystemExit(1 if any(finding.level is Level.FAULT for finding in findings) else 0)


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "workload": finding.workload,
        "table": finding.table,
        "level": finding.level,
        "says": finding.says,
        "remedy": finding.remedy,
        "changes": [change.says for change in finding.changes],
    }


def _show(findings: list[Finding]) -> None:
    """Faults last, where a person looks."""
    for level in (Level.NOTE, Level.FAULT):
        for finding in findings:
            if finding.level is level:
                click.echo(f"{level}: {finding.workload}: {finding.says}\n  {finding.remedy}")
    counted = grouped(findings)
    click.echo(
        f"{counted[Level.OK]} contracts are what was published, {counted[Level.NOTE]} noted, "
        f"{counted[Level.FAULT]} at fault."
    )
