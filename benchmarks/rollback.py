"""A champion that turns harmful, and is rolled back by itself, in a replay of the pilot.

    python -m benchmarks.rollback --json

A data scientist registers a model in March that is as good as the champion while it is cold, and answers the wrong way
round when it is warm. Its gates are judged in winter, so it passes, and is promoted: the plan asks for no shadow. From
then on the version before scores beside it. What the outcomes prove in spring has it rolled back, with nobody touching
it. Told are the day on which harm began, the day it was proven, what it cost by then, and the golden set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta

import click

from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, at_least, figure, machine, progress, show
from benchmarks.rollout import WORKLOAD, Copy, copied, export, register

STARTS, REGISTERED, LAST = date(2013, 3, 26), date(2013, 3, 29), date(2013, 5, 20)
PLAN = {"guard_days": 60, "judging": {"slices": ["origin", "hour", "season"]}}
MODEL = "harmful_when_warm"
# A day's dollars that the champion cost beyond the version before it, from which on it counts as harm.
HARM = 10_000.0


@dataclass(frozen=True)
class Harm:
    """What a champion cost beyond the version before it, day by day, and how it ended."""

    by_day: dict[date, float]
    rolled_back: date | None
    golden: str

    @property
    def began(self) -> date | None:
        """The first day on which it cost much more."""
        return next((day for day, dollars in sorted(self.by_day.items()) if dollars > HARM), None)


def costs(version: int, until: str) -> dict[str, float]:
    """By day: the dollars that a version cost beyond the one it replaced, of what both would have decided."""
    from assets.stages.rollout import evidence
    from automation.lakehouse import Lakehouse
    from automation.ledger import store
    from automation.replay import Platform
    from automation.rollout.contests import Contest, Role
    from automation.rollout.machine import Kind, rollout
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(WORKLOAD)
    with store.opened(platform.settings) as ledger:
        found = rollout(ledger, WORKLOAD)
    [promoted] = [each for each in found.of(version) if each.kind is Kind.PROMOTED]
    before = found.of(promoted.leaves or 0)[-1].champion
    contest = Contest(WORKLOAD, promoted.champion, Role.CHAMPION, promoted.as_of, before)
    seen = evidence(workload, Lakehouse(platform.settings.lakehouse), contest, date.fromisoformat(until))
    return {day.isoformat(): -saved for day, saved in seen.saved.items()}


def ended(copy: Copy, version: int) -> tuple[date | None, str]:
    """From which day on it was rolled back, if it was, and how its predecessor's golden set came out."""
    shown = json.loads(copy.warrant("model", "show", str(version), "--workload", WORKLOAD, "--json"))
    back = [each for each in shown["events"] if each["kind"] == "rolled_back"]
    if not back:
        return None, "not scored"
    progress(f"rolled back by {back[0]['by']}, because: {back[0]['why']}")
    return date.fromisoformat(back[0]["from"]), back[0]["evidence"]["golden"]


def figures_of(found: Harm) -> list[Figure]:
    back, began = found.rolled_back, found.began
    result = [
        at_least(1, "rolled_back", int(back is not None), "champions"),
        at_least(1, "golden_set_equal", int("byte for byte" in found.golden), "golden sets"),
    ]
    if back is None or began is None:
        return result
    harmful = {day: dollars for day, dollars in found.by_day.items() if began <= day < back}
    return [
        *result,
        figure("days_as_champion", (back - REGISTERED).days, "days"),
        figure("days_from_harm_to_rollback", (back - began).days, "days"),
        figure("cost_until_rollback", sum(harmful.values()), "USD"),
        figure("cost_a_day", sum(harmful.values()) / len(harmful), "USD"),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day that is replayed.")
def main(as_json: bool, until) -> None:
    """Promote a model that turns harmful, and see it rolled back."""
    on, last = machine(), until.date()
    with fresh_home() as home, copied(PLAN, home) as copy:
        rows = home / "rows.parquet"
        progress(f"ingesting to {last}")
        measured(export, last.isoformat(), str(rows), home=home)
        progress(f"deciding from {STARTS} on")
        copy.replay(STARTS, REGISTERED - timedelta(days=1))
        progress("registering")
        version = register(copy, rows, (MODEL,), STARTS)[MODEL]
        progress(f"going on to {last}")
        copy.replay(REGISTERED, last)
        back, golden = ended(copy, version)
        spent = measured(costs, version, last.isoformat(), home=home).result
        found = Harm({date.fromisoformat(day): dollars for day, dollars in spent.items()}, back, golden)
    progress(f"harm began on {found.began}, rolled back from {found.rolled_back} on; {found.golden}")
    show("rollback", on, figures_of(found), as_json=as_json)


if __name__ == "__main__":
    main()
