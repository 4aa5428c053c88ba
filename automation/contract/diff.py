"""What changed between two versions of a contract, whom it breaks, and the least honest version number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

from automation.contract.references import ROOT_OPTION, Named, named
from contracts.compatibility import Bump, Comparison, Judgement, Verdict
from contracts.contract import Compatibility
from contracts.difference import compare_documents
from contracts.publication import Version
from contracts.survey import survey


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Compatibility], case_sensitive=False),
    help="What NEW owes to OLD; by default what OLD declares.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@ROOT_OPTION
def command(old: str, new: str, mode: str | None, as_json: bool, root: Path) -> None:
    """Compare two versions of a contract: every change, judged for producers and for consumers.

    OLD and NEW are files (any ODCS 3 document), or workload/table@version for a published version and
    workload/table for the working document. Under a TRANSITIVE mode, the versions published before OLD
    in its major are compared with NEW, too.

    Exit code: 0 if NEW keeps the mode, 1 if it does not or cannot be shown to, 2 if the command is wrong.

    \b
    Example:
      warrant contract diff flight_disruption/weather@1.0.0 flight_disruption/weather
      warrant contract diff old.odcs.yaml new.odcs.yaml --mode FULL --json
    """
    before, after = named(old, root), named(new, root)
    owed = Compatibility(mode) if mode else _declared(before)
    difference = Difference(
        before, after, owed, compare_documents(before.document, after.document), _earlier(before, after, owed)
    )
    if as_json:
        click.echo(json.dumps(_plain(difference), indent=2))
    else:
        _show(difference)
    raise SystemExit(0 if difference.verdict is Verdict.COMPATIBLE else 1)


@dataclass(frozen=True)
class Difference:
    """What lies between two versions under a mode; ``earlier`` has NEW's verdict against those before OLD."""

    old: Named
    new: Named
    mode: Compatibility
    comparison: Comparison
    earlier: dict[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        return _worst([self.comparison.verdict(self.mode), *self.earlier.values()])

    @property
    def least(self) -> Bump:
        """The least honest bump from OLD to NEW."""
        return Bump.MAJOR if self.verdict is not Verdict.COMPATIBLE else self.comparison.least_bump(self.mode)

    @property
    def least_version(self) -> str:
        return _next(self.old.document.version, self.least)


def _declared(old: Named) -> Compatibility:
    modes = {contract.compatibility for contract in old.document.contracts.values()}
    return modes.pop() if len(modes) == 1 else Compatibility.BACKWARD


def _earlier(old: Named, new: Named, mode: Compatibility) -> dict[str, Verdict]:
    """The verdict on NEW against each version published before OLD, where the mode asks for them."""
    if not mode.transitive:
        return {}
    return {str(each.version): compare_documents(survey(each.path), new.document).verdict(mode) for each in old.before}


def _worst(verdicts: list[Verdict]) -> Verdict:
    return next((each for each in (Verdict.BROKEN, Verdict.UNSHOWN) if each in verdicts), Verdict.COMPATIBLE)


def _next(version: str, bump: Bump) -> str:
    """The least honest version after `version`, where that is numbered at all."""
    try:
        return str(Version.read(version).bumped(bump))
    except ValueError:
        return f"a {bump} version after {version}" if bump else version


def _plain(difference: Difference) -> dict[str, object]:
    old, new, mode, comparison = difference.old, difference.new, difference.mode, difference.comparison
    return {
        "old": {"name": old.name, "version": old.document.version, "digest": old.document.digest},
        "new": {"name": new.name, "version": new.document.version, "digest": new.document.digest},
        "mode": mode,
        "verdict": difference.verdict,
        "earlier": difference.earlier,
        "least_bump": str(difference.least),
        "least_version": difference.least_version,
        "changes": [
            {
                "element": change.element,
                "aspect": change.aspect,
                "before": change.before,
                "after": change.after,
                "says": change.says,
                "producers": _judged(change.producers),
                "consumers": _judged(change.consumers),
                "asks_for": str(comparison.asks(change, mode)),
            }
            for change in comparison.changes
        ],
    }


def _judged(judgement: Judgement) -> dict[str, object]:
    witness = [{name: _json_value(value) for name, value in row.items()} for row in judgement.witness]
    return {"verdict": judgement.verdict, "because": judgement.because, "witness": witness}


def _json_value(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _show(difference: Difference) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    old, new, mode, comparison = difference.old, difference.new, difference.mode, difference.comparison
    console = Console(width=None if Console().is_terminal else 160)
    console.print(f"{escape(old.name)} {old.document.version} → {escape(new.name)} {new.document.version}")
    if comparison.changes:
        made = Table("element", "change", "producers", "consumers", "asks for", show_edge=False)
        for change in sorted(comparison.changes, key=lambda change: -comparison.asks(change, mode)):
            made.add_row(
                escape(change.element),
                escape(change.says),
                escape(_told(change.producers)),
                escape(_told(change.consumers)),
                str(comparison.asks(change, mode)),
            )
        console.print(made)
    else:
        console.print("Nothing changed.")
    for version, kept in difference.earlier.items():
        console.print(f"Against {version}: {kept}.")
    console.print(
        f"{mode}: {difference.verdict}. Least honest version: {difference.least_version} ({difference.least})."
    )


def _told(judgement: Judgement) -> str:
    if judgement.verdict is Verdict.COMPATIBLE:
        return "unharmed"
    return f"{judgement.verdict}: {judgement.because}"
