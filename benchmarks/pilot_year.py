"""The pilot's year for benchmarks of models: what was known of each case when it was decided, what became of it, models
as of any day, and what they would have decided.

Nothing known later than a decision enters it: a model as of a day is trained on cases whose outcome was known before
that day, and each case's vector is what Feast gives for its decision time. It is joined once and serves every training
set that the case is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation import database
from automation.lakehouse import DAY, Lakehouse
from automation.versions import newest
from benchmarks.report import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from automation.calendar import Days
    from automation.models import BoostedModel
    from automation.policy.bundle import PolicyBundle
    from automation.policy.deciding import Weighed
    from automation.policy.limits.demand import Demands
    from automation.replay import Platform
    from automation.workload import Workload

WORKLOAD = "flight_disruption"
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 30)


@dataclass(frozen=True, eq=False)
class Year:
    """Days of the pilot: ``usable`` vectors, and the ``labels`` (case key, label) that are known at their end."""

    workload: Workload
    policy: PolicyBundle
    lake: Lakehouse
    usable: pl.DataFrame
    labels: pl.DataFrame

    @property
    def key(self) -> str:
        return self.workload.spec.case_key

    def known(self, as_of: date) -> pl.DataFrame:
        """The rows of the training set as of a day: usable vectors whose label was known by then, with it."""
        from assets.stages.training import labelled_cases

        rows = labelled_cases(self.lake, self.workload, as_of).select(self.key, "label")
        return rows.join(self.usable, on=self.key, how="inner", maintain_order="left")

    def trained(self, as_of: date) -> BoostedModel:
        """The model that the workload's recipe makes of what was known as of a day."""
        from assets.stages.training import fit

        rows = self.known(as_of)
        progress(f"training as of {as_of} on {rows.height:,} rows")
        return fit(self.workload, rows).model

    def twin(self, as_of: date, seed: int) -> BoostedModel:
        """The model that the recipe makes, with a seed of its own, of as many days, drawn from the same with return."""
        by_day = self.known(as_of).with_columns(pl.col("event_time").dt.date().alias(DAY)).partition_by(DAY)
        drawn = sorted(np.random.default_rng(seed).integers(len(by_day), size=len(by_day)))
        rows = pl.concat([by_day[number] for number in drawn]).sort("event_time", self.key)
        progress(f"training twin {seed} as of {as_of} on {rows.height:,} rows")
        features, label = rows.select(self.workload.model_features), rows["label"].cast(pl.Int8).to_numpy()
        return self.workload.module("model").fit(features, label, seed).model

    def cases(self, days: Days) -> pl.DataFrame:
        return self.lake.read(self.workload.name, self.workload.spec.cases.table, days)

    def decided(
        self, model: BoostedModel, cases: pl.DataFrame, demands: dict[date, Demands] | None = None
    ) -> pl.DataFrame:
        """What the workload's policy, limits and reviews included, decides on a model's scores, day by day.

        Columns: the case key, day, probability (null where the vector breaks its contract), action and stake. A case
        that goes to a person has the safe action. What is usual of limits whose places follow the day is what was
        wanted on days before: ``demands`` holds it, and is given each day's.
        """
        from automation.policy.deciding import outcomes_of

        parts = []
        for rows, weighed in self.weighed(model, cases, demands):
            action = outcomes_of(weighed, weighed.choose({}))["action"]
            told = rows.select(self.key, DAY, stake=pl.Series(weighed.stake))
            parts.append(told.hstack([weighed.day.scores["probability"], action]))
        return pl.concat(parts)

    def weighed(
        self, model: BoostedModel, cases: pl.DataFrame, demands: dict[date, Demands] | None = None
    ) -> Iterator[tuple[pl.DataFrame, Weighed]]:
        """Each day's cases, in order, and how the policy sees them before its limits. ``demands`` as in `decided`."""
        from automation.policy.authorization.requests import ModelStage
        from automation.policy.deciding import Day, Weighed
        from automation.policy.limits.demand import usual

        key = self.key
        scored = cases.select(key).join(self.usable, on=key, how="inner", maintain_order="left")
        scored = scored.select(key, probability=pl.Series(model.predict(scored), dtype=pl.Float64))
        demands = {} if demands is None else demands
        cases = cases.sort(DAY, "event_time", key)
        given = cases.select(key, DAY).join(self.usable, on=key, how="left", maintain_order="left")
        by_day = zip(*(frame.partition_by(DAY, maintain_order=True) for frame in (cases, given)), strict=True)
        for rows, features in by_day:
            scores = rows.join(scored, on=key, how="left", maintain_order="left").select(
                "event_time",
                "probability",
                case_key=key,
                problems=pl.when(pl.col("probability").is_null()).then(pl.lit(None)).otherwise(pl.lit("[]")),
                model_version=pl.lit(1),
            )
            day = Day(
                self.workload.name,
                scores,
                features.drop(DAY),
                pl.DataFrame(),
                rows.drop(DAY),
                self.workload.calendar.timezone,
                ModelStage.CHAMPION,
                usual=usual(self.policy.declared.limits, demands, rows[DAY][0]),
            )
            weighed = Weighed(day, self.policy)
            demands[rows[DAY][0]] = weighed.demand
            yield rows, weighed


def ingested(platform: Platform, days: Days) -> Year:
    """Brings the days into the platform's home, as far as they are not there, and joins their vectors."""
    from automation.policy.bundle import working
    from automation.replay import backfill

    workload = platform.workload(WORKLOAD)
    for step, number, total in backfill(platform, workload, days):
        progress(f"[{number}/{total}] {step}")
    lake, key = Lakehouse(platform.settings.lakehouse), workload.spec.case_key
    labels = newest(lake.read(workload.name, workload.spec.labels.table, days, [key, "label", "known_time"]), key)
    return Year(workload, working(workload), lake, _vectors(platform, workload, lake, days), labels.drop("known_time"))


def _vectors(platform: Platform, workload: Workload, lake: Lakehouse, days: Days) -> pl.DataFrame:
    """The usable vectors of all cases. Month by month, to hold little at a time."""
    from assets.stages.vectors import vectors
    from feature_repo.store import feature_store

    store = feature_store(database.url(platform.settings, "feast"), platform.settings.lakehouse)
    parts = []
    for month in days.months():
        found = vectors(store, workload, lake.read(workload.name, workload.spec.cases.table, month))
        progress(f"{month.first:%B}: {found.usable.height:,} vectors, {found.broken.height:,} broke their contract")
        parts.append(found.usable)
    return pl.concat(parts)
