"""What it is worth that a limit's places follow the day: three ways to give them out, on the pilot's year.

    python -m benchmarks.places --json

From March to December 2013 the workload's policy decides by models that are retrained on each first of a month. Its
places go to whoever comes first, to whoever saves more than a fixed price by one, or, as declared, for what the day
makes them worth (`automation.policy.limits.demand`; the fixed price until seven days are known). All else is alike.
Dollars are realised ones, against doing nothing, of the cases whose outcome is known. The time that a choice takes is
measured of the last month's days, each way in turn.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from automation.calendar import Days
from benchmarks.decision_quality import judged
from benchmarks.pilot_year import FIRST, LAST, Year, ingested
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from automation.models import BoostedModel
    from automation.policy.bundle import PolicyBundle
    from automation.policy.limits.demand import Demands

DECIDES_FROM = date(2013, 3, 1)
FOLLOWING, FIXED, FIRST_COME = "following", "fixed", "first_come"
# A day of a thousand cases is chosen in this, or less.
MOST_MS = 50.0


def ways_of(policy: PolicyBundle) -> dict[str, PolicyBundle]:
    """The policy as it is, with places at the least that they are worth, and for nothing."""

    def at(price: float | None) -> PolicyBundle:
        limits = tuple(
            limit
            if limit.follows is None
            else limit.model_copy(update={"place": limit.least if price is None else price})
            for limit in policy.declared.limits
        )
        return replace(policy, declared=policy.declared.model_copy(update={"limits": limits}))

    if not any(limit.follows for limit in policy.declared.limits):
        raise click.ClickException("No place of the policy's limits follows the day: there is nothing to compare.")
    return {FOLLOWING: policy, FIXED: at(None), FIRST_COME: at(0.0)}


def by_month(last: str) -> dict[str, dict]:
    """Ingests the days up to ``last``, then trains and decides month by month, in this process.

    Returns for each way: saved (dollars by month) and choice_ms (of a thousand cases).
    """
    from automation.replay import Platform
    from automation.settings import settings

    days = Days(FIRST, date.fromisoformat(last))
    year = ingested(Platform(settings()), days)
    years = {name: replace(year, policy=policy) for name, policy in ways_of(year.policy).items()}
    demands: dict[str, dict[date, Demands]] = {name: {} for name in years}
    found: dict[str, dict] = {name: {"saved": {}} for name in years}
    months = [part for part in days.months() if part.first >= DECIDES_FROM]
    models = {month: year.trained(month.first) for month in months}
    for month, model in models.items():
        cases = year.cases(month)
        for name, each in years.items():
            began = time.perf_counter()
            saved = judged(each, each.decided(model, cases, demands[name])).saved
            found[name]["saved"][f"{month.first:%Y_%m}"] = saved
            progress(f"{month.first:%B}: ${saved:,.0f} {name.replace('_', ' ')}, {time.perf_counter() - began:.0f} s")
    for name, milliseconds in _choice_times(years, demands, models[months[-1]], months[-1]).items():
        found[name]["choice_ms"] = milliseconds
    return found


def _choice_times(
    years: dict[str, Year], demands: dict[str, dict[date, Demands]], model: BoostedModel, month: Days
) -> dict[str, float]:
    """Milliseconds that a choice takes for a thousand cases, median of the month's days, by way."""
    took: dict[str, list[float]] = {name: [] for name in years}
    days = zip(*(year.weighed(model, year.cases(month), demands[name]) for name, year in years.items()), strict=True)
    for each in days:
        for name, (_, weighed) in zip(years, each, strict=True):
            # Once before, for what is worked out once.
            weighed.choose({})
            began = time.perf_counter()
            weighed.choose({})
            took[name].append(1e6 * (time.perf_counter() - began) / len(weighed.order))
    return {name: median(each) for name, each in took.items()}


def figures_of(found: dict[str, dict]) -> list[Figure]:
    """What following saves beside the other ways, then each way by month, and what a choice takes."""
    total = {name: sum(way["saved"].values()) for name, way in found.items()}
    ms = {name: way["choice_ms"] for name, way in found.items()}
    return [
        at_least(total[FIXED], "saved_following", total[FOLLOWING], "USD", Peer("fixed price", total[FIXED])),
        at_least(total[FIRST_COME], "saved_fixed", total[FIXED], "USD", Peer("first come", total[FIRST_COME])),
        figure("saved_first_come", total[FIRST_COME], "USD"),
        at_most(MOST_MS, "choice_of_1000_cases", ms[FOLLOWING], "ms", Peer("fixed price", ms[FIXED])),
        *(
            figure(f"saved_following_{month}", saved, "USD", Peer("fixed price", found[FIXED]["saved"][month]))
            for month, saved in found[FOLLOWING]["saved"].items()
        ),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(path_type=Path), help="A WARRANT_HOME to ingest into, or that holds the year.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day, if not the year's.")
def main(as_json: bool, home: Path | None, until) -> None:
    """Measure dollars saved by places that follow the day, at a fixed price, and first come, first served."""
    on = machine()
    with nullcontext(home) if home else fresh_home() as chosen:
        found = measured(by_month, until.date().isoformat(), home=chosen).result
    show("places", on, figures_of(found), as_json=as_json)


if __name__ == "__main__":
    main()
