"""The demo: real days through the whole lineage within a few minutes, then the scorecard."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from automation.calendar import Days
from automation.replay import Platform, Step, alone, replay, shown
from automation.scorecard import scorecard_of, show

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOAD = "flight_disruption"
FIRST_DAY = date(2013, 3, 1)
MOST_DAYS = 45


def until(steps: Iterator[tuple[Step, int, int]], deadline: float) -> Iterator[tuple[Step, int, int]]:
    """The steps, as long as there is time to begin another. ``deadline`` is of `time.monotonic`."""
    for step in steps:
        if step[0].job == "daily" and time.monotonic() > deadline:
            return
        yield step


@click.command("demo")
@click.option("--minutes", default=3.5, show_default=True, help="Begin no further day after so many minutes.")
def command(minutes: float) -> None:
    """Train on January and February 2013, decide real days from 1 March on, and print the scorecard.

    Run it again to decide further days.

    \b
    Example:
      warrant demo --minutes 2
    """
    from automation.settings import settings

    deadline = time.monotonic() + minutes * 60
    platform = Platform(settings())
    workload = platform.workload(WORKLOAD)
    decided = platform.done(workload).days
    last = FIRST_DAY + timedelta(days=MOST_DAYS - 1)
    while last.isoformat() in decided and last < workload.calendar.days().last:
        last += timedelta(days=MOST_DAYS)
    days = Days(FIRST_DAY, min(last, workload.calendar.days().last))
    with alone(platform, workload):
        shown(until(replay(platform, workload, days), deadline))
    card = scorecard_of(platform, workload)
    show(card, workload.spec.policy)
    following = date.fromisoformat(card.last) + timedelta(days=1)
    click.echo(
        "\nNext:\n"
        "  make up        the lineage in the Dagster UI, the models in MLflow\n"
        "  . .venv/bin/activate\n"
        f"  warrant contract counts --workload {WORKLOAD}\n"
        f"  warrant replay --workload {WORKLOAD} --from {following} --to {following + timedelta(days=6)}"
    )
