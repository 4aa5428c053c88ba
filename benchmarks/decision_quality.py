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

from automation import database
from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, figure, machine, progress, show

if TYPE_CHECKING:
    from automation.models import BoostedModel
    from automation.replay import Platform
    from automation.workload import Workload

WORKLOAD = "flight_disruption"
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 30)
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
    from assets.stages.training import fit, labelled_cases
    from automation.replay import Platform, backfill
    from automation.settings import settings

    days = Days(FIRST, date.fromisoformat(last))
    platform = Platform(settings())
    workload = platform.workload(WORKLOAD)
    for step, number, total in backfill(platform, workload, days):
        progress(f"[{number}/{total}] {step}")
    lake = Lakehouse(platform.settings.lakehouse)
    usable = _vectors(platform, workload, lake, days)
    labels = lake.read(workload.name, workload.spec.labels.table, days, [workload.spec.case_key, "label"])

    def trained(as_of: date) -> BoostedModel:
        rows = labelled_cases(lake, workload, as_of).select(workload.spec.case_key, "label")
        known = rows.join(usable, on=workload.spec.case_key, how="inner", maintain_order="left")
        progress(f"training as of {as_of} on {known.height:,} rows")
        return fit(workload, known).model

    frozen, result = trained(FROZEN_AS_OF), []
    for month in (part for part in days.months() if part.first >= FROZEN_AS_OF):
        cases = lake.read(workload.name, workload.spec.cases.table, month)
        retrained = frozen if month.first == FROZEN_AS_OF else trained(month.first)
        found, beside = (_decided(workload, model, cases, usable, labels) for model in (retrained, frozen))
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


def _vectors(platform: Platform, workload: Workload, lake: Lakehouse, days: Days) -> pl.DataFrame:
    """The usable vectors of all cases. A vector rests on what was known when its case was decided, so one joined
    once serves every training set that the case is in. Month by month, to hold little at a time."""
    from assets.stages.vectors import vectors
    from feature_repo.store import feature_store

    store = feature_store(database.url(platform.settings, "feast"), platform.settings.lakehouse)
    parts = []
    for month in days.months():
        found = vectors(store, workload, lake.read(workload.name, workload.spec.cases.table, month))
        progress(f"{month.first:%B}: {found.usable.height:,} vectors, {found.broken.height:,} broke their contract")
        parts.append(found.usable)
    return pl.concat(parts)


def _decided(
    workload: Workload, model: BoostedModel, cases: pl.DataFrame, usable: pl.DataFrame, labels: pl.DataFrame
) -> Decided:
    """Decides cases day by day, as the daily job does, and compares with what became of them."""
    from automation.evaluation import auc
    from automation.policy.costs import costs, decide

    spec = workload.spec
    key = spec.case_key
    vector = cases.select(key).join(usable, on=key, how="inner", maintain_order="left")
    scored = vector.select(key, probability=pl.Series(model.predict(vector)))
    chosen = []
    for day in cases.sort("event_time", key).partition_by(DAY):
        features = day.select(key).join(vector, on=key, how="left", maintain_order="left")
        scores = day.join(scored, on=key, how="left", maintain_order="left").select(
            "event_time", "probability", case_key=key, problems=pl.lit("[]")
        )
        decided = decide(scores, features, pl.DataFrame(), day, {}, spec.policy)
        chosen.append(
            scores.select(pl.col("case_key").alias(key), "probability").hstack(decided.select("action", "stake"))
        )
    judged = pl.concat(chosen).join(labels, on=key, how="inner", maintain_order="left")
    realised = costs(judged["label"].cast(pl.Float64).to_numpy(), judged["stake"].to_numpy(), spec.policy)
    column = judged["action"].replace_strict(
        {name: i for i, name in enumerate(realised.actions)}, return_dtype=pl.Int64
    )
    nothing = realised.values[:, realised.actions.index(spec.policy.safe_action)]
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
