"""Writing the documentation pages of the contracts."""

from __future__ import annotations

from pathlib import Path

import click

from automation.contract.lint import ROOT

PAGES = ROOT.parent / "docs" / "contracts"


def written(folder: Path) -> dict[Path, str]:
    """What every page of this repository's contracts should say, by its path in ``folder``."""
    from contracts.document import load
    from contracts.lint import documents
    from contracts.page import pages

    return {folder / path: text for path, text in pages(ROOT, [load(path) for path in documents([ROOT])]).items()}


@click.command("page")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=PAGES, help="By default docs/contracts."
)
def command(folder: Path) -> None:
    """Write the documentation page of every contract, and their index. Run it after a contract has changed.

    Pages of contracts that are gone are removed; other files in the folder are let be.

    \b
    Example:
      warrant contract page
    """
    from contracts.page import is_page

    now = written(folder)
    gone = [path for path in folder.rglob("*.md") if path not in now and is_page(path.read_text(encoding="utf-8"))]
    changed = [path for path, text in now.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(now[path], encoding="utf-8")
        click.echo(f"wrote {path}")
    for path in gone:
        path.unlink()
        click.echo(f"removed {path}")
    click.echo(f"Pages: {len(now)}. Changed: {len(changed)}. Removed: {len(gone)}.", err=True)
