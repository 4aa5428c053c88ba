"""The commands of the door: `warrant land` takes a file in, `warrant deliveries` lists what came in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automation import jobs
from automation.errors import WarrantError
from automation.landing.deliveries import judged_deliveries
from automation.landing.door import described
from automation.landing.folder import Landing
from automation.landing.landed import REFUSED_LINES
from automation.landing.sensor import PICKED_UP, pick_up, run_config
from automation.landing.verdict import Verdict
from automation.options import WORKLOAD
from automation.replay import Platform

if TYPE_CHECKING:
    from automation.landing.verdict import Delivery
    from automation.workload import Workload


class AlreadyWaitingError(WarrantError):
    """A file of that name waits in the landing folder."""


class NotTakenInError(WarrantError):
    """The run that should take the file in did not come to a verdict."""


@click.command("land")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@WORKLOAD
@click.option("--table", help="The feed the file is for. Files of CloudEvents need none: each event names it.")
@click.option("--later", is_flag=True, help="Only put it into the landing folder: the sensor takes it in.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON object.")
def land(source: Path, name: str, table: str | None, later: bool, as_json: bool) -> None:
    """Take a file into a workload's feed: CSV, Parquet, or CloudEvents one a line (.ndjson).

    The file is copied into the landing folder and taken in at once. The days it brings rows for are then run by the
    sensor NAME_new_data, or by `warrant replay --again`.

    \b
    Example:
      warrant land late_weather.csv --workload flight_disruption --table weather

    Exit code 0: all of it is in, now or from before. 1: it, or some of its lines, were refused; the verdict says why.
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    landing = Landing(platform.settings.landing)
    try:
        file = landing.put(source, workload.name, table)
    except FileExistsError:
        raise AlreadyWaitingError(
            f"A file {source.name} waits in the landing folder already.",
            remedy="Wait until it was taken in (`warrant deliveries`), or give yours another name.",
        ) from None
    if later:
        click.echo(json.dumps({"file": file, "verdict": None}) if as_json else f"{landing.root / file} waits.")
        return
    delivery = take_in(platform, workload, landing, file)
    click.echo(json.dumps(described(delivery), indent=2) if as_json else _words(delivery, workload, landing))
    if delivery.judged is None or delivery.judged.verdict not in (Verdict.ACCEPTED, Verdict.DUPLICATE):
        sys.exit(1)


def take_in(platform: Platform, workload: Workload, landing: Landing, file: str) -> Delivery:
    """Runs the landing job for one file in this process.

    Raises:
        NotTakenInError: the run ended without a verdict. The file waits; the sensor tries it again.
    """
    stamp = landing.waiting(workload.name).get(file)
    job = platform.definitions.resolve_job_def(jobs.name(workload.name, "landing"))
    before = {delivery.name for delivery in judged_deliveries(platform.settings, workload.name)}
    result = job.execute_in_process(
        instance=platform.instance,
        run_config=run_config(workload, file) | {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={PICKED_UP: pick_up(file, stamp)} if stamp else {},
        raise_on_error=False,
    )
    for delivery in judged_deliveries(platform.settings, workload.name):
        if delivery.file == file and delivery.name not in before:
            return delivery
    raise NotTakenInError(
        f"The run {result.run_id} ended without a verdict on {file}.",
        remedy="Look at the run in the Dagster UI (`warrant up`), mend the cause, then land the file again.",
    )


@click.command("deliveries")
@WORKLOAD
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def listed(name: str, as_json: bool) -> None:
    """List the files that were taken in with the verdict on each, and those that wait.

    \b
    Example:
      warrant deliveries --workload flight_disruption --json
    """
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    landing = Landing(platform.settings.landing)
    judged = judged_deliveries(platform.settings, workload.name)
    waiting = landing.waiting(workload.name)
    if as_json:
        waits = [{"file": file, "bytes": stamp.size, "verdict": None} for file, stamp in waiting.items()]
        click.echo(json.dumps([*map(described, judged), *waits], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    made = Table("received (UTC)", show_edge=False)
    for column in ("file", "verdict", "rows let in", "came before", "refused", "days"):
        made.add_column(column, overflow="fold")
    for delivery in judged:
        verdict = delivery.judged
        if verdict is None:
            continue
        account = verdict.account
        made.add_row(
            f"{delivery.received_at:%Y-%m-%d %H:%M:%S}",
            delivery.file.removeprefix(f"{workload.name}/"),
            f"{verdict.verdict}" + (f": {verdict.fault}" if verdict.fault else ""),
            f"{sum(account.landed.values()):,}",
            f"{account.known:,}",
            ", ".join(f"{fault} ({count:,})" for fault, count in account.refused.items()),
            _days(delivery),
        )
    for file in waiting:
        made.add_row("", file.removeprefix(f"{workload.name}/"), "waits", "", "", "", "")
    Console(width=140).print(made)


def _words(delivery: Delivery, workload: Workload, landing: Landing) -> str:
    verdict = delivery.judged
    if verdict is None:
        return f"{delivery.file} waits."
    lines = [f"{delivery.file}: {verdict.verdict}. {verdict.says}"]
    if delivery.filed:
        lines.append(f"The file and the verdict lie at {landing.root / delivery.filed}")
    if verdict.account.refused:
        lines.append(f"The refused lines lie in the table {workload.name}/{REFUSED_LINES}, as they came.")
    if verdict.days:
        lines.append(
            f"It brings rows for {_days(delivery)}. The sensor {workload.name}_new_data runs these days again; by hand:"
        )
        lines.append(
            f"warrant replay --workload {workload.name} --from {verdict.days[0]} --to {verdict.days[-1]} --again"
        )
    return "\n".join(lines)


def _days(delivery: Delivery) -> str:
    days = delivery.judged.days if delivery.judged else ()
    if len(days) <= 2:
        return ", ".join(map(str, days))
    return f"{days[0]} to {days[-1]} ({len(days)} days)"
