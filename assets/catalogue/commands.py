"""`warrant features list | show | check | statistics`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from automation.errors import WarrantError
from automation.options import DATE, JSON, WORKLOAD
from automation.replay import Platform, within

if TYPE_CHECKING:
    from datetime import datetime

    from assets.catalogue.views import View
    from automation.workload import Workload


class NoStatisticsError(WarrantError):
    """Nothing was kept of the days asked for."""


def _views(name: str) -> tuple[Platform, Workload, list[View], dict[str, str]]:
    """Besides the views: what each view of the workload's service means, by the name it has there."""
    from assets.catalogue.views import as_coded, views
    from automation.settings import settings
    from feature_repo.pins import view_digests

    platform = Platform(settings())
    workload = platform.workload(name)
    with as_coded(workload) as store:
        return platform, workload, views(store, workload), view_digests(store, workload.spec.features.service)


@click.command("list")
@WORKLOAD
@JSON
def list_command(name: str, as_json: bool) -> None:
    """List the workload's feature views as the code defines them.

    \b
    Example:
      warrant features list --workload flight_disruption
    """
    _, _, found, _ = _views(name)
    if as_json:
        click.echo(json.dumps([asdict(view) for view in found], indent=2))
        return
    width = max((len(view.table) for view in found), default=0)
    for view in found:
        contract = view.contract or "computed on demand"
        click.echo(f"{view.table:<{width}}  {len(view.features):>2} features  {contract:<32}  {view.owner}")


@click.command("show")
@WORKLOAD
@click.argument("view")
@JSON
def show(name: str, view: str, as_json: bool) -> None:
    """Show one view: what it is about, who owns it, when its values count, and its features.

    \b
    Example:
      warrant features show --workload flight_disruption origin_weather
    """
    from assets.catalogue.views import one

    _, _, found, _ = _views(name)
    chosen = one(found, view)
    if as_json:
        click.echo(json.dumps(asdict(chosen), indent=2))
        return
    lives = "for ever" if chosen.ttl_seconds is None else str(timedelta(seconds=chosen.ttl_seconds))
    click.echo(f"{chosen.name}\n  {chosen.description}")
    for what, says in (
        ("owner", chosen.owner),
        ("contract", chosen.contract or "-"),
        ("keys", ", ".join(chosen.keys) or "-"),
        ("known time", chosen.known_time),
        ("lives", "-" if chosen.on_demand else lives),
        ("services", ", ".join(chosen.services) or "-"),
        ("meaning", chosen.means or "-"),
    ):
        click.echo(f"  {what:<11} {says}")
    width = max(len(feature.name) for feature in chosen.features)
    for feature in chosen.features:
        click.echo(f"    {feature.name:<{width}}  {feature.type:<15} {feature.description}")


@click.command("check")
@WORKLOAD
@JSON
def check(name: str, as_json: bool) -> None:
    """Check the views as the code defines them, before they are applied.

    Each has an owner, a description, a known-time rule and the working contract's version; and none means something
    else than when the model that decides was trained on it.

    \b
    Example:
      warrant features check --workload flight_disruption

    Exit code 0: so it is. 1: it is not, with the reason and what to do about it. Notes are no fault.
    """
    from assets.catalogue.lint import Level, lint
    from assets.catalogue.live import findings as live_findings

    platform, workload, found, meanings = _views(name)
    findings = [*lint(workload, found), *live_findings(platform.settings, workload, meanings)]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        for level in Level:
            for each in findings:
                if each.level is level:
                    click.echo(f"{level.value}: {each.view} {each.says}.\n  {each.remedy}")
        faults = sum(each.level is Level.FAULT for each in findings)
        click.echo(f"{len(found)} views, {faults} faults, {len(findings) - faults} notes.")
    raise SystemExit(1 if any(each.level is Level.FAULT for each in findings) else 0)


@click.command("statistics")
@WORKLOAD
@click.option("--view", "views", multiple=True, help="This view only; may be given again. By default all.")
@click.option("--from", "first", type=DATE, help="First day. By default the newest day that has some.")
@click.option("--to", "last", type=DATE, help="Last day.")
@JSON
def statistics(name: str, views: tuple[str, ...], first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """Show what each feature's values were like on each day.

    \b
    Example:
      warrant features statistics --workload flight_disruption --view origin_weather
    """
    from assets.catalogue.statistics import stored
    from automation.calendar import Days
    from automation.lakehouse import DAY, Lakehouse
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(name)
    lake = Lakehouse(platform.settings.lakehouse)
    days = within(workload, first, last)
    found = stored(lake, workload, days, views)
    if first is None and last is None and found.height:
        newest = found[DAY].to_list()[-1]
        found = stored(lake, workload, Days.one(newest), views)
    if found.is_empty():
        raise NoStatisticsError(
            f"There are no feature statistics of {', '.join(views) or name} from {days.first} to {days.last}.",
            remedy="Replay the days (`warrant replay --help`), or choose other ones.",
        )
    if as_json:
        click.echo(found.write_json())
        return
    for (day,), part in found.group_by(DAY, maintain_order=True):
        click.echo(f"{day}")
        for row in part.iter_rows(named=True):
            mean = "-" if row["mean"] is None else f"{row['mean']:.4g} ± {row['deviation'] or 0:.3g}"
            spread = "" if row["mean"] is None else f"{row['p05']:.4g} .. {row['p50']:.4g} .. {row['p95']:.4g}"
            missing = f"{row['missing'] / row['rows']:>6.1%} missing"
            click.echo(f"  {row['view']}.{row['feature']:<36} {row['rows']:>6} rows  {missing}  {mean:<20} {spread}")
