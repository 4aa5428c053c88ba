"""``warrant explain``: why a case was decided as it was. ``warrant replay-decision``: whether it still comes out so."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import click

from automation.calendar import Days
from automation.errors import WarrantError
from automation.lakehouse import Lakehouse
from automation.options import DATE
from automation.replay import Platform

if TYPE_CHECKING:
    from datetime import datetime

    from automation.explanation.evidence import Decided
    from automation.explanation.replayed import Commitment, Kept, Replayed
    from automation.ledger.store import Ledger
    from automation.models import Model
    from automation.workload import Workload

SHOWN = 20
LONGEST = 200


class UnnamedWorkloadError(WarrantError):
    """There are several workloads, and none was named."""


_workload = click.option("--workload", "name", help="The workload; it may be left out where there is only one.")
_day = click.option("--day", type=DATE, help="The day it was decided on; it is looked up otherwise.")


@click.command("explain")
@click.argument("case")
@_workload
@_day
@click.option("--every", is_flag=True, help="Show every feature's share, however small.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with everything.")
def explain_command(case: str, name: str | None, day: datetime | None, every: bool, as_json: bool) -> None:
    """Say why a case was decided as it was: what spoke for it, which rules applied, what would have decided it
    otherwise, how sure that is, and what it rests on.

    \b
    Examples:
      warrant explain 2013-01-11:B671:JFK
      warrant explain 2013-01-11:B671:JFK --workload flight_disruption --day 2013-01-11 --json

    Exit code 0: it is explained whole. 1: there is no such decision, or a part of it cannot be explained because its
    model or policy is gone; the rest is printed, with what is lacking.
    """
    from automation.explanation.explanation import explain
    from automation.explanation.shown import show
    from automation.ledger import store

    platform, workload, lake = _opened(name)
    with store.opened(platform.settings) as ledger:
        found = _decided(lake, ledger, workload, case, day)
    told = explain(lake, workload, found, case, _kept(platform, workload))
    if as_json:
        click.echo(json.dumps(told.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(told, every=every)
    raise SystemExit(0 if told.whole else 1)


@click.command("replay-decision")
@click.argument("case", required=False)
@_workload
@click.option("--day", type=DATE, help="The day; without a case, all of its decisions are made again.")
@click.option("--from", "first", type=DATE, help="Instead: the first of many days, all of whose decisions…")
@click.option("--to", "last", type=DATE, help="…until the last, included, are made again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay_command(
    case: str | None,
    name: str | None,
    day: datetime | None,
    first: datetime | None,
    last: datetime | None,
    as_json: bool,
) -> None:
    """Make a past decision again from its recorded features, model, policy and contract, and compare it byte for byte
    with the row, as the ledger commits to it. Nothing is written.

    \b
    Examples:
      warrant replay-decision 2013-01-11:B671:JFK
      warrant replay-decision --day 2013-01-11 --workload flight_disruption
      warrant replay-decision --from 2013-01-10 --to 2013-01-11 --workload flight_disruption

    Exit code 0: the same bytes, and the ledger commits to them. 1: they are not, or the decision cannot be made again
    because something it names is gone; the message says what.
    """
    from automation.explanation import replayed
    from automation.ledger import store

    if first is not None and last is not None and case is None and day is None:
        raise SystemExit(_replay_days(name, Days(first.date(), last.date()), as_json))
    if first is not None or last is not None:
        raise click.UsageError("Give --from and --to together, and neither a case nor --day.")
    if case is None and day is None:
        raise click.UsageError("Name a case, or give --day for all decisions of a day.")
    platform, workload, lake = _opened(name)
    with store.opened(platform.settings) as ledger:
        found = _decided(lake, ledger, workload, case, day)
        commitment = replayed.committed(ledger, workload, found)
    at_hand = _kept(platform, workload)
    if case is None:
        again = replayed.whole(workload, found, at_hand)
    else:
        again = replayed.each(workload, found.alone(case), at_hand)
    if as_json:
        click.echo(json.dumps(_as_json(found, again, commitment), indent=2, ensure_ascii=False))
    else:
        _print(found, again, commitment)
    raise SystemExit(0 if commitment.held and not any(each.differences for each in again) else 1)


def _replay_days(name: str | None, days: Days, as_json: bool) -> int:
    """Makes every decision of many days again. Returns the exit code."""
    from rich.console import Console
    from rich.progress import Progress

    from automation.explanation import replayed
    from automation.explanation.evidence import UnknownDecisionError, decided_on
    from automation.ledger import store

    platform, workload, lake = _opened(name)
    held = sorted(day for day in lake.counts(workload.name, "decisions", days) if day is not None)
    if not held:
        raise UnknownDecisionError(
            f"No case of {workload.name} was decided from {days.first} to {days.last}.",
            remedy="`warrant scorecard` shows the days that were.",
        )
    at_hand, made, unlike, uncommitted = _kept(platform, workload), 0, [], []
    with (
        store.opened(platform.settings) as ledger,
        Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress,
    ):
        for day in progress.track(held, description="made again"):
            found = decided_on(lake, ledger, workload, day)
            again = replayed.whole(workload, found, at_hand)
            made += len(again)
            unlike += [(day, each) for each in again if each.differences]
            commitment = replayed.committed(ledger, workload, found)
            if not commitment.held:
                uncommitted.append((day, commitment.says))
    if as_json:
        told = {
            "days": len(held),
            "made_again": made,
            "unlike": [{"day": day.isoformat(), "case": each.case} for day, each in unlike],
            "not_committed": [{"day": day.isoformat(), "says": says} for day, says in uncommitted],
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for day, each in unlike[:SHOWN]:
            click.echo(f"{day} {each.case} comes out otherwise: {', '.join(d.column for d in each.differences)}")
        for day, says in uncommitted[:SHOWN]:
            click.echo(f"{day}: {says}.")
        same = "made again, the same bytes" if not unlike else f"{len(unlike):,} come out otherwise"
        roots = "the ledger commits to each day" if not uncommitted else f"{len(uncommitted)} days not committed to"
        click.echo(f"{made:,} decisions of {len(held)} days: {same}; {roots}.")
    return 1 if unlike or uncommitted else 0


def _opened(name: str | None) -> tuple[Platform, Workload, Lakehouse]:
    from automation.components import declared_workloads
    from automation.settings import settings

    platform = Platform(settings())
    if name is None:
        declared = sorted(declared_workloads(platform.definitions))
        if len(declared) != 1:
            raise UnnamedWorkloadError(
                f"There are {len(declared)} workloads.", remedy=f"Give --workload: {', '.join(declared)}."
            )
        name = declared[0]
    return platform, platform.workload(name), Lakehouse(platform.settings.lakehouse)


def _decided(lake: Lakehouse, ledger: Ledger, workload: Workload, case: str | None, day: datetime | None) -> Decided:
    from automation.explanation.evidence import UnknownDecisionError, day_of, decided_on

    if day is not None:
        found = decided_on(lake, ledger, workload, day.date())
        if case is not None:
            found.position(case)
        return found
    if case is None:
        raise UnknownDecisionError("No case was named.", remedy="Name one, or give --day.")
    return decided_on(lake, ledger, workload, day_of(lake, workload, case))


def _kept(platform: Platform, workload: Workload) -> Kept:
    from automation.explanation.replayed import Kept
    from automation.policy import activation

    @lru_cache(maxsize=16)
    def load(model: str, version: int, digest: str) -> Model:
        from automation.registry import ModelRegistry

        return ModelRegistry(platform.settings, workload.name, model).load(version, digest)

    return Kept(load, partial(activation.kept, platform.settings))


def _as_json(found: Decided, kept: tuple[Replayed, ...], commitment: Commitment) -> dict[str, object]:
    unlike = [
        {
            "case": each.case,
            "columns": {d.column: {"stored": d.stored, "made_again": d.made_again} for d in each.differences},
        }
        for each in kept
        if each.differences
    ]
    return {
        "day": found.on.isoformat(),
        "made_again": len(kept),
        "unlike": unlike,
        "committed": commitment.held,
        "commitment": commitment.says,
    }


def _print(found: Decided, kept: tuple[Replayed, ...], commitment: Commitment) -> None:
    unlike = [each for each in kept if each.differences]
    for each in unlike[:SHOWN]:
        click.echo(f"{each.case} comes out otherwise:")
        for difference in each.differences:
            click.echo(f"  {difference.column}")
            click.echo(f"    stored      {_short(difference.stored)}\n    made again  {_short(difference.made_again)}")
    if len(unlike) > SHOWN:
        click.echo(f"… and {len(unlike) - SHOWN} more; --json has them all.")
    what = kept[0].case if len(kept) == 1 else f"{len(kept)} decisions of {found.on}"
    verdict = f"{len(unlike)} come out otherwise" if len(kept) > 1 and unlike else "it is not the same"
    click.echo(f"{what}: {verdict if unlike else 'made again, the same bytes'}.")
    click.echo(f"Ledger: {commitment.says}.")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
