"""Publishing a contract: from then on its version stays what it is."""

from __future__ import annotations

from pathlib import Path

import click

from automation.contract.references import ROOT_OPTION, folder_of, unreadable
from automation.errors import WarrantError
from contracts.document import ContractError
from contracts.publication import SUFFIX, PublicationError, publish


@click.command("publish")
@click.option("--workload", required=True, help="Whose contracts, as contracts/<workload> names it.")
@click.option("--table", help="The table whose contract to publish.")
@click.option("--all", "every", is_flag=True, help="Publish every contract of the workload that is not published yet.")
@ROOT_OPTION
def command(workload: str, table: str | None, every: bool, root: Path) -> None:
    """Publish the working document of a contract under its version number.

    It is copied to contracts/<workload>/published/<table>/<version>.odcs.yaml, and its SHA-256 joins the lock
    beside it. A published version that was changed, and a number that rises by less than the change asks
    for, are refused. Publishing what is published already does nothing.

    \b
    Example:
      warrant contract publish --workload flight_disruption --table weather
      warrant contract publish --workload flight_disruption --all
    """
    folder = folder_of(workload, root)
    there = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    if every == (table is not None):
        raise click.UsageError("Say either --table or --all.")
    if table is not None and table not in there:
        raise click.BadParameter(f"{workload} has no contract of {table!r}; it has {', '.join(there)}.")
    for name in there if table is None else [table]:
        try:
            click.echo(publish(folder, name).says)
        except ContractError as error:
            raise unreadable(error) from error
        except PublicationError as error:
            raise WarrantError(error.finding.says, remedy=error.finding.remedy) from error
