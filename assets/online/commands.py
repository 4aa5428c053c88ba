"""`warrant features get | push | status | rebuild`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click
import polars as pl

from automation.errors import WarrantError
from automation.options import DATE, WORKLOAD
from automation.replay import Platform
from feature_repo.online.records import moment

if TYPE_CHECKING:
    from assets.online.pushes import Served

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class UnknownCaseError(WarrantError):
    """The workload has no such case."""


class NothingServedError(WarrantError):
    """Nothing was materialized yet."""


def served_of(name: str) -> Served:
    """The workload's tables and where its features are served from."""
    from assets.online.pushes import Served
    from assets.stages.feature_store import online_backend, opened_store
    from automation.lakehouse import Lakehouse
    from automation.settings import settings
    from feature_repo.online import service_plan

    platform = Platform(settings())
    workload = platform.workload(name)
    store = opened_store(platform.settings, platform.settings.lakehouse)
    held = {service.name for service in store.list_feature_services()}
    if workload.spec.features.service not in held:
        raise NothingServedError(
            f"The feature views of {name} are not registered yet.",
            remedy=f"Replay a day first: `warrant replay --help`. It registers {workload.spec.features.service}.",
        )
    plan = service_plan(store, workload.spec.features.service)
    return Served(
        platform.settings, workload, Lakehouse(platform.settings.lakehouse), online_backend(platform.settings), plan
    )


@click.command("get")
@WORKLOAD
@click.option("--case", "case_key", required=True, help="The case's key.")
@click.option(
    "--at", help="As known at this instant (ISO 8601, UTC without a zone); by default when materialized last."
)
@JSON
def get(name: str, case_key: str, at: str | None, as_json: bool) -> None:
    """Show the features of a case as the online store has them.

    It keeps the newest row of each key, so an instant before the last materialization finds what has not changed since.

    \b
    Example:
      warrant features get --workload flight_disruption --case 2013-01-11:9E3314:JFK
    """
    from feature_repo.online import OnlineReader

    served = served_of(name)
    spec = served.workload.spec
    cases = served.lake.read(name, spec.cases.table) if served.lake.exists(name, spec.cases.table) else pl.DataFrame()
    found = cases.filter(pl.col(spec.case_key) == case_key).to_dicts() if cases.height else []
    if not found:
        example = f", for example {cases[spec.case_key][0]}" if cases.height else ""
        raise UnknownCaseError(
            f"{name} has no case {case_key}.", remedy=f"Choose one of the table {spec.cases.table}{example}."
        )
    instant = _instant(at) if at else _until(served)
    [values] = OnlineReader(served.plan, served.backend).read(found[:1], instant)
    if as_json:
        document = {"case": case_key, "at": instant.isoformat(), "features": values}
        click.echo(json.dumps(document, indent=2, default=str))
        return
    click.echo(f"{case_key} at {instant:%Y-%m-%d %H:%M:%S} UTC")
    width = max(map(len, values))
    for feature, value in values.items():
        click.echo(f"  {feature:<{width}}  {'-' if value is None else value}")


@click.command("push")
@WORKLOAD
@click.option("--feed", required=True, help="The feed that the events are rows of.")
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@JSON
def push(name: str, feed: str, file: Any, as_json: bool) -> None:
    """Let events of a feed change what is served, at once, before their day is materialized.

    FILE has one JSON object a line, a row of the feed's table each; - is standard input. The events do not enter the
    lakehouse: the feed still has to deliver them (`warrant land` does).

    \b
    Example:
      echo '{"flight_id": "...", ...}' | warrant features push --workload flight_disruption --feed flight_status

    Exit code 0: pushed. 1: an event breaks the contract, and none was pushed.
    """
    from assets.online.pushes import push as pushing
    from assets.online.pushes import read_events

    done = pushing(served_of(name), feed, read_events(file.read()))
    if as_json:
        click.echo(json.dumps({"feed": done.feed, "events": done.events, "records": dict(done.records)}, indent=2))
        return
    changed = ", ".join(f"{table} ({records})" for table, records in done.records.items()) or "no view"
    click.echo(f"{done.events} events of {feed} changed what is served of {changed}.")


@click.command("status")
@WORKLOAD
@JSON
def status(name: str, as_json: bool) -> None:
    """Say what is served: records of each view, materialized and pushed, and up to when.

    \b
    Example:
      warrant features status --workload flight_disruption --json

    Exit code 0: every view of the service is materialized. 1: some view is not.
    """
    served = served_of(name)
    marks, counts = served.backend.marks(), served.backend.count()
    views = [
        {
            "view": view.name,
            "until": moment(marks[view.slot].until).isoformat() if view.slot in marks else None,
            "materialized": counts.get(view.slot, (0, 0))[0],
            "pushed": counts.get(view.slot, (0, 0))[1],
        }
        for view in served.plan.views
    ]
    if as_json:
        click.echo(json.dumps({"service": served.plan.name, "views": views}, indent=2))
    else:
        for view in views:
            click.echo(
                f"{view['view']:<44} {view['materialized']:>8,} records, {view['pushed']:,} pushed, "
                f"{'until ' + view['until'] if view['until'] else 'not materialized'}"
            )
    if any(view["until"] is None for view in views):
        sys.exit(1)


@click.command("rebuild")
@WORKLOAD
@click.option("--to", "last", type=DATE, help="Up to the end of this day; by default up to where it was.")
@JSON
def rebuild(name: str, last: datetime | None, as_json: bool) -> None:
    """Make the online store anew from the lakehouse: forget the service's records, then materialize what still lives.

    While it runs, what is not there yet is served as not known. Pushed events are forgotten, too.

    \b
    Example:
      warrant features rebuild --workload flight_disruption
    """
    from assets.online.materialization import materialize

    served = served_of(name)
    calendar = served.workload.calendar
    if last is None:
        day = (_until(served).astimezone(ZoneInfo(calendar.timezone)) - timedelta(microseconds=1)).date()
    else:
        day = last.date()
    for view in served.plan.views:
        served.backend.forget(view.slot)
    found = materialize(served.plan.views, served.lake, calendar, served.backend, day)
    if as_json:
        click.echo(json.dumps({each.view: each.records for each in found}, indent=2))
        return
    click.echo(f"{sum(each.records for each in found):,} records of {len(found)} views, up to the end of {day}.")


def _until(served: Served) -> datetime:
    marks = served.backend.marks()
    until = [marks[view.slot].until for view in served.plan.views if view.slot in marks]
    if not until:
        raise NothingServedError(
            f"Nothing of {served.workload.name} is materialized yet.",
            remedy="Replay a day, or name one: `warrant features rebuild --to DAY`.",
        )
    return moment(max(until))


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no ISO 8601 instant, like 2013-01-11T15:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
