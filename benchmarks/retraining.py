"""Retraining where it is worth it, beside other ways: the pilot's days from March to December 2013, really replayed.

    python -m benchmarks.retraining --json

A home replays the days as schedules and sensors would, with nobody touching it: alarms and looks, models asked for,
trained, gated and promoted. Then `warrant drift compare` has models that were trained never again, on each first of a
month, each week and, where ``--daily`` asks for that (some hundred models more, hours), each day, decide the same days
under the same policy and limits. What is told is the scorecard: dollars saved against doing nothing and AUC by month,
models trained, and what the plan says that they cost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from statistics import fmean

import click

from automation.drift.worth.ways import Way
from automation.scorecard import AS_IT_WAS
from benchmarks.pilot_year import LAST, WORKLOAD
from benchmarks.process import ROOT, fresh_home
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

FIRST = date(2013, 3, 1)


def scored(home: Path, first: date, last: date, ways: list[Way]) -> dict:
    """Replays the days in a home, as far as they are not there, and compares the ways. Returns the scorecard."""
    between = ["--from", str(first), "--to", str(last)]
    warrant(home, "replay", *between)
    warrant(home, "drift", "compare", *between, *(part for way in ways for part in ("--way", way.value)))
    return json.loads(warrant(home, "scorecard", *between, "--json"))


def warrant(home: Path, *arguments: str) -> str:
    """Runs a command of the workload's in a home. Returns what it printed; its progress goes to standard error.

    Raises:
        click.ClickException: it failed.
    """
    progress(f"warrant {' '.join(arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", "automation.cli", *arguments, "--workload", WORKLOAD],
        cwd=ROOT,
        env=os.environ | {"WARRANT_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"warrant {arguments[0]} ended with exit code {done.returncode}: see above why.")
    return done.stdout


def figures_of(card: dict, asked: list[Way]) -> list[Figure]:
    """From a scorecard's data: ours beside each other way, then each way's figures."""
    if left_out := [way.value for way in asked if way.value in card["not_compared"]]:
        raise click.ClickException(
            f"Retrained {', '.join(left_out)} was compared on other days than {card['first']} to {card['last']}, or "
            "before all outcomes were there: `warrant drift compare --again`, or another --until, sets that right."
        )
    ways = {each["way"]: each for each in card["retraining"]}
    ours = ways.pop(AS_IT_WAS)
    days = (date.fromisoformat(card["last"]) - date.fromisoformat(card["first"])).days + 1
    told = {AS_IT_WAS.replace(" ", "_"): ours, **ways}
    return [
        *(
            at_least(ways[peer]["saved"], f"saved_beside_{peer}", ours["saved"], "USD", Peer(peer, ways[peer]["saved"]))
            for peer in (Way.NEVER.value, Way.MONTHLY.value)
        ),
        at_most(days - 1, "trainings", ours["trainings"], "models", Peer("one a day", days)),
        *(figure(f"saved_{name}", way["saved"], "USD") for name, way in told.items()),
        *(figure(f"trainings_{name}", way["trainings"], "models") for name, way in told.items()),
        *(figure(f"cost_of_models_{name}", way["cost"], "USD") for name, way in told.items()),
        *(figure(f"mean_auc_{name}", _mean(way["auc_by_month"]), "AUC") for name, way in told.items()),
        *(
            figure(f"{what}_{name}_{month.replace('-', '_')}", value, unit)
            for name, way in told.items()
            for what, unit in (("saved", "USD"), ("auc", "AUC"))
            for month, value in way[f"{what}_by_month"].items()
        ),
    ]


def _mean(by_month: dict[str, float]) -> float:
    return fmean(value for value in by_month.values() if value is not None)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(path_type=Path), help="A WARRANT_HOME to replay in, or that was replayed.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day, if not the year's.")
@click.option("--daily", is_flag=True, help="Compare with a training each day, too.")
def main(as_json: bool, home: Path | None, until, daily: bool) -> None:
    """Measure retraining where it is worth it, beside other ways: AUC and dollars by month, models and their cost."""
    on = machine()
    ways = [Way.NEVER, Way.MONTHLY, Way.WEEKLY, *([Way.DAILY] if daily else [])]
    with nullcontext(home) if home else fresh_home() as chosen:
        card = scored(chosen, FIRST, until.date(), ways)
    show("retraining", on, figures_of(card, ways), as_json=as_json)


if __name__ == "__main__":
    main()
