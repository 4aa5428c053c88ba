"""A documentation page for each contract, in Markdown, and an index of them: what people read instead of YAML.

Pages hold nothing that the contract does not say, so they are written by machine and never by hand.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from contracts import wording
from contracts.contract import DTYPES, Column, Contract, LogicalType
from contracts.json_schema import schema_id

INDEX = PurePosixPath("README.md")
REGENERATE = "warrant contract page"


def pages(root: Path, contracts: Iterable[Contract]) -> dict[PurePosixPath, str]:
    """The text of every page by its path below the pages' folder: `<folder>/<table>.md` and the index.

    `root` is the folder that holds the folders of `contracts`; `<folder>` is that of the contract's document.
    """
    placed = {PurePosixPath(each.path.parent.relative_to(root)) / f"{each.name}.md": each for each in contracts}
    return {INDEX: _index(placed), **{path: page(contract) for path, contract in placed.items()}}


def is_page(text: str) -> bool:
    """Whether a text was written here, so that it may be replaced or removed."""
    return f"ritten by `{REGENERATE}` from" in text


def _index(placed: Mapping[PurePosixPath, Contract]) -> str:
    lines = [
        "# Contracts",
        "",
        f"What every table promises. Written by `{REGENERATE}` from the documents in `contracts/`; do not edit.",
    ]
    for folder in sorted({path.parent for path in placed}):
        lines += ["", f"## {folder}", "", "| Table | Version | What it holds | Owners |", "|---|---|---|---|"]
        lines += [
            _row(f"[{each.name}]({path})", f"{each.version} ({each.status})", each.description, ", ".join(each.owners))
            for path, each in sorted(placed.items())
            if path.parent == folder
        ]
    return "\n".join(lines) + "\n"


def page(contract: Contract) -> str:
    """The page of one contract."""
    return "\n".join(_lines(contract)) + "\n"


def _lines(contract: Contract) -> Iterator[str]:
    document = f"contracts/{contract.path.parent.name}/{contract.path.name}"
    yield f"# {contract.name} {contract.version}"
    yield ""
    for text in filter(None, [contract.description, contract.purpose and f"*Purpose:* {contract.purpose}"]):
        yield from (text, "")
    yield from (
        f"- **Workload**: {contract.workload}",
        f"- **Status**: {contract.status}",
        f"- **Owners**: {', '.join(contract.owners) or 'nobody'}",
        f"- **Key**: {', '.join(f'`{name}`' for name in contract.key) or 'none'}",
        f"- **Days**: those of {contract.timezone}",
        f"- **Next version**: {contract.compatibility} with this one",
        f"- **Kept**: {f'{contract.retention.days} days at least' if contract.retention else 'nothing is promised'}",
        *([f"- **Supported until**: {contract.end_of_support}"] if contract.end_of_support else []),
        f"- **Quarantine**: {wording.rows_promise(contract)}",
        f"- **Schema of one row as JSON**: `{schema_id(contract)}`",
    )
    yield from (
        "",
        "## Columns",
        "",
        "| Column | Type | Unit | May be missing | Rules | Meaning |",
        "|---|---|---|---|---|---|",
    )
    for column in contract.columns:
        yield _row(
            f"`{column.name}`",
            _type(column),
            column.unit or "",
            "no" if column.required else "yes",
            "; ".join(_rules(column)),
            column.description,
        )
    if contract.row_rules:
        yield from ("", "## Rules of a row", "", "A row breaks a rule when it is false; unknown keeps it.", "")
        yield from ("| Rule | Holds | Why |", "|---|---|---|")
        yield from (_row(rule.name, f"`{rule.predicate}`", rule.description) for rule in contract.row_rules)
    if contract.expectations:
        yield from ("", "## Expectations of a day", "", "| Expectation | Promise | Why |", "|---|---|---|")
        yield from (
            _row(each.name, wording.expectation(each, contract), each.description) for each in contract.expectations
        )
    yield from ("", f"Written by `{REGENERATE}` from `{document}`; do not edit.")


def _type(column: Column) -> str:
    name = "timestamp (UTC)" if column.type is LogicalType.TIMESTAMP else str(column.type)
    return name if column.physical_type == next(iter(DTYPES[column.type])) else f"{name} ({column.physical_type})"


def _rules(column: Column) -> Iterator[str]:
    for rule in wording.column_rules(column):
        yield rule.replace(column.pattern, f"`{column.pattern}`") if column.pattern else rule


def _row(*cells: str) -> str:
    """A row of a table: a cell is one line, and a bar in it does not end it."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |"
