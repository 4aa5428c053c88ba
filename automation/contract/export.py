"""What a contract is compiled to, as a document for use elsewhere."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

import click

from automation.contract.lint import NoContractsError, workload_folder

if TYPE_CHECKING:
    from contracts.document import Contract


class Form(StrEnum):
    """What a contract can be printed as."""

    JSON_SCHEMA = "json-schema"
    GX = "gx"
    MARKDOWN = "markdown"


def exported(contract: Contract, form: Form) -> str:
    """The contract in another form."""
    match form:
        case Form.JSON_SCHEMA:
            from contracts.json_schema import event_schema

            return json.dumps(event_schema(contract), indent=2, ensure_ascii=False)
        case Form.GX:
            from contracts.expectations import expectation_suite

            return json.dumps(expectation_suite(contract).to_json_dict(), indent=2, ensure_ascii=False)
        case Form.MARKDOWN:
            from contracts.page import page

            return page(contract).rstrip("\n")


@click.command("export")
@click.option("--workload", "name", required=True, help="The workload, or `platform`.")
@click.option("--table", required=True, help="The table whose contract it is.")
@click.option(
    "--as",
    "form",
    type=click.Choice([form.value for form in Form]),
    required=True,
    help="json-schema: one row as JSON (2020-12). gx: the expectations of a day, a Great Expectations suite. "
    "markdown: the documentation page.",
)
def command(name: str, table: str, form: str) -> None:
    """Print what one contract is compiled to.

    \b
    Example:
      warrant contract export --workload flight_disruption --table flight_status --as json-schema
    """
    from contracts.document import load

    folder = workload_folder(name)
    path = folder / f"{table}.odcs.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.name.removesuffix(".odcs.yaml") for each in folder.glob("*.odcs.yaml")))
        raise NoContractsError(f"{name} has no contract for the table {table}.", remedy=f"It has {known}.")
    click.echo(exported(load(path), Form(form)))
