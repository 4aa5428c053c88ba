"""Options that several commands have, in one wording."""

from __future__ import annotations

import click

DATE = click.DateTime(formats=["%Y-%m-%d"])
WORKLOAD = click.option("--workload", "name", required=True, help="The workload, as its defs.yaml names it.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
# Of commands that change what decides.
BY = click.option("--by", required=True, help="Who does it, as entities.json names them.")
REASON = click.option("--reason", "why", required=True, help="Why, in a sentence.")
FIRST_DAY = click.option(
    "--first-day", type=DATE, help="From which day on. By default the first that was not decided yet."
)
