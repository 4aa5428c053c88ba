"""What retraining is worth: a model retrained each month beside one frozen at February, March to December 2013.

    python -m benchmarks.decision_quality --json

Both are trained by the workload's own recipe on the rows that the training set as of their day holds: cases whose
outcome was known before that day began. Both then decide the month's cases by the workload's policy, limits and
reviews included, on the vectors that Feast gives for each case's decision time. AUC is over the cases that could be
scored; dollars are over all cases with a known outcome, against doing nothing (a case that goes to a person counts
as nothing done).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click
import numpy as np
import polars as pl

from automation.calendar import Days
from benchmarks.pilot_year import FIRST, LAST, Year, ingested
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, figure, machine, progress, show

if TYPE_CHECKING:
    from automation.policy.limits.demand import Demands

FROZEN_AS_OF = date(2013, 3, 1)
MEAN_AUC_GOAL = 0.79
FROZEN = "frozen at February"


@dataclass(frozen=True)
class Decided:
    """How a model did on one month's cases: cases judged, AUC and dollars saved against doing nothing."""

    cases: int
    auc: float
    saved: float


def by_month(last: str) -> list[dict]:
    """Ingests the days up to ``last``, then trains and decides month by month, in this process.

    Returns for each month: month, cases, auc and saved of the retrained model, frozen_auc and frozen_saved.
    """
    from automation.replay import Platform
    from automation.settings import settings

    days = Days(FIRST, date.fromisoformat(last))
    year = ingested(Platform(settings()), days)
    frozen, result = year.trained(FROZEN_AS_OF), []
    wanted: tuple[dict[date, Demands], dict[date, Demands]] = {}, {}
    for month in (part for part in days.months() if part.first >= FROZEN_AS_OF):
        retrained = frozen if month.first == FROZEN_AS_OF else year.trained(month.first)
        found, beside = (
            judged(year, year.decided(model, year.cases(month), demands))
            for model, demands in zip((retrained, frozen), wanted, strict=True)
        )
        progress(f"{month.first:%B}: AUC {found.auc:.3f} retrained, {beside.auc:.3f} frozen")
        result.append(
            {
                "month": f"{month.first:%Y_%m}",
                "cases": found.cases,
                "auc": found.auc,
                "saved": found.saved,
                "frozen_auc": beside.auc,
                "frozen_saved": beside.saved,
            }
        )
    return result


def judged(year: Year, decided: pl.DataFrame) -> Decided:
    """Compares decisions with what became of their cases."""
    from automation.evaluation import auc
    from automation.policy.costs import costs

    policy = year.policy.declared
    judged = decided.join(year.labels, on=year.key, how="inner", maintain_order="left")
    realised = costs(judged["label"].cast(pl.Float64).to_numpy(), judged["stake"].to_numpy(), policy)
    column = judged["action"].replace_strict(
        {name: i for i, name in enumerate(realised.actions)}, return_dtype=pl.Int64
    )
    nothing = realised.values[:, realised.actions.index(policy.safe_action)]
    ranked = judged.drop_nulls("probability")
    return Decided(
        cases=judged.height,
        auc=auc(ranked["probability"].to_numpy(), ranked["label"].cast(pl.Int8).to_numpy()),
        saved=float(np.sum(nothing - realised.of(column.to_numpy()))),
    )


def figures_of(months: list[dict]) -> list[Figure]:
    """Means first, then each month, the retrained model's value beside the frozen one's."""
    mean, frozen = (fmean(found[name] for found in months) for name in ("auc", "frozen_auc"))
    saved, frozen_saved = (sum(found[name] for found in months) for name in ("saved", "frozen_saved"))
    return [
        at_least(MEAN_AUC_GOAL, "mean_auc_retrained", mean, "AUC", Peer(FROZEN, frozen)),
        figure("mean_auc_frozen", frozen, "AUC"),
        figure("saved_retrained", saved, "USD", Peer(FROZEN, frozen_saved)),
        figure("saved_frozen", frozen_saved, "USD"),
        *(figure(f"auc_{m['month']}", m["auc"], "AUC", Peer(FROZEN, m["frozen_auc"])) for m in months),
        *(figure(f"saved_{m['month']}", m["saved"], "USD", Peer(FROZEN, m["frozen_saved"])) for m in months),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(path_type=Path), help="A WARRANT_HOME to ingest into, or that holds the year.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day, if not the year's.")
def main(as_json: bool, home: Path | None, until) -> None:
    """Measure AUC and dollars by month, the model retrained monthly beside the model frozen at February."""
    on = machine()
    with nullcontext(home) if home else fresh_home() as chosen:
        months = measured(by_month, until.date().isoformat(), home=chosen).result
    show("decision_quality", on, figures_of(months), as_json=as_json)


if __name__ == "__main__":
    main()
