"""The year's decisions made twice, each time by a process of its own: does the ledger get the same roots?

    python -m benchmarks.replayed_year --json

March to December 2013, decided day by day under the workload's policy by a model trained on the first of each month.
Each process joins the vectors, trains the models, scores, decides and makes the rows of the table of decisions, and of
each day the Merkle root that the ledger commits to. The second run has nothing of the first but the ingested tables.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import click
import polars as pl

from automation.calendar import Days
from automation.lakehouse import DAY
from benchmarks.pilot_year import FIRST, LAST, Year, ingested
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, at_most, figure, machine, progress, show

FIRST_DECIDED = date(2013, 3, 1)


def roots(last: str) -> dict:
    """Decides every day until ``last``. Returns by day the root and the number of its decisions; and seconds."""
    from automation.replay import Platform
    from automation.settings import settings

    year = ingested(Platform(settings()), Days(FIRST, date.fromisoformat(last)))
    found, began = {}, time.perf_counter()
    for number, month in enumerate(Days(FIRST_DECIDED, date.fromisoformat(last)).months(), start=1):
        found |= of_month(year, month, number)
        progress(f"{month.first:%B}: {sum(count for _, count in found.values()):,} decisions")
    return {"days": found, "seconds": time.perf_counter() - began}


def of_month(year: Year, month: Days, version: int) -> dict[str, tuple[str, int]]:
    """The roots of a month's days, decided by the model as of its first."""
    from assets.stages.vectors import as_json
    from automation.ledger.decisions import batch_of
    from automation.policy.deciding import decide
    from automation.policy.evidence import Evidence, day_of, decision_rows, phrases

    workload, key = year.workload, year.key
    model = year.trained(month.first)
    words, result = phrases(workload), {}
    for rows in year.cases(month).partition_by(DAY, maintain_order=True):
        usable = rows.select(key).join(year.usable, on=key, how="inner", maintain_order="left")
        scored = pl.DataFrame(
            {
                "case_key": usable[key],
                "probability": model.predict(usable) if usable.height else [],
                "features": as_json(usable),
                "contributions": as_json(model.contributions(usable)) if usable.height else [],
            },
            schema_overrides={"probability": pl.Float64, "contributions": pl.String},
        ).with_columns(
            problems=pl.lit("[]"),
            model=pl.lit(workload.spec.model.name),
            model_version=pl.lit(version, pl.Int64),
            model_digest=pl.lit(model.digest),
            model_stage=pl.lit("champion"),
        )
        scores = (
            rows.select(pl.col(key).alias("case_key"), "event_time", "known_time", DAY)
            .join(scored, on="case_key", how="left")
            .with_columns(pl.col("features").fill_null("{}"), pl.col("problems").fill_null('["no vector"]'))
            .sort("event_time", "case_key")
        )
        evidence = Evidence(scores, rows, day_of(workload, scores, rows), words)
        made = decide(evidence.day, year.policy, words, {})
        batch = batch_of(decision_rows(workload, evidence, year.policy, made))
        result[str(rows[DAY][0])] = (batch.committed["root"], batch.committed["rows"])
    return result


def figures_of(first: dict, second: dict) -> list[Figure]:
    one, other = first["days"], second["days"]
    unlike = sum(one.get(day) != other.get(day) for day in {*one, *other})
    return [
        figure("days_decided_twice", len(one), "days"),
        figure("decisions_made_twice", sum(count for _, count in one.values()), "decisions"),
        at_most(0, "days_whose_roots_differ", unlike, "days"),
        figure("first_run", first["seconds"], "s"),
        figure("second_run", second["seconds"], "s"),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="A home that is kept, and filled.")
@click.option("--until", type=click.DateTime(formats=["%Y-%m-%d"]), default=str(LAST), help="The last day.")
def main(as_json: bool, home: Path | None, until) -> None:
    """Makes the year's decisions twice and compares what the ledger would commit to."""
    on, last = machine(), str(until.date())
    with fresh_home() if home is None else nullcontext(home) as used:
        first, second = (measured(roots, last, home=used).result for _ in range(2))
    show("replayed_year", on, figures_of(first, second), as_json=as_json)


if __name__ == "__main__":
    main()
