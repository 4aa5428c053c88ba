"""What the channels of drift see of a day: the vectors that were scored, and what the champion's decisions came to."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from automation.calendar import Days
from automation.lakehouse import DAY
from automation.policy.authorization.requests import ModelStage
from automation.policy.evidence import DECISIONS
from automation.rollout.verdicts.pairs import PAIRS, Cohort, paired
from automation.versions import newest
from contracts.canonical_json import frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from automation.lakehouse import Lakehouse
    from automation.workload import Policy, Workload

COLUMNS = ["case_key", "event_time", "probability", "action", "stake", "features", "policy_version", "model_stage"]
# What no model could score has no stage, and is decided as the champion's.
OF_THE_CHAMPION = pl.col("model_stage").ne_missing(ModelStage.CANARY.value)


class DecidedDays:
    """Days of decisions, as their table holds them. ``policy_of`` gives the policy of a version that a row names."""

    def __init__(self, lake: Lakehouse, workload: Workload, policy_of: Callable[[str], Policy]) -> None:
        self.lake = lake
        self.workload = workload
        self.policy_of = policy_of
        self.decisions = lru_cache(maxsize=4)(self._decisions)

    def _decisions(self, day: date) -> pl.DataFrame:
        return self.lake.read(self.workload.name, DECISIONS, Days.one(day), COLUMNS).sort("event_time", "case_key")

    def vectors(self, day: date) -> pl.DataFrame:
        """The vectors that were scored on the day, a canary's among them: the model's features, in order of decision
        time.
        """
        scored = self.decisions(day).filter(pl.col("probability").is_not_null())
        vector = self.workload.contract(self.workload.spec.model.contract)
        return frame(scored["features"].to_list(), vector.schema).select(self.workload.model_features)

    def unscored(self, day: date) -> tuple[int, int]:
        """How many cases of the day were not scored, and how many there were."""
        found = self.decisions(day)["probability"]
        return found.null_count(), found.len()

    def labels(self, first: date, today: date) -> pl.DataFrame:
        """The outcomes (case_key, label) of cases from ``first`` on, as they are known at the end of ``today``."""
        spec = self.workload.spec
        days = self.workload.calendar.within(Days(first, today))
        rows = self.lake.read(self.workload.name, spec.labels.table, days, [spec.case_key, "label", "known_time"])
        return newest(rows, spec.case_key).select(case_key=spec.case_key, label="label")

    def cohort(self, day: date, labels: pl.DataFrame) -> Cohort:
        """The champion's decisions of the day with these outcomes, paired with itself; empty where it made none. Cases
        that a canary took are not among them: it drew them by chance."""
        rows = self.decisions(day).filter(OF_THE_CHAMPION)
        if rows.is_empty():
            return Cohort(day, pl.DataFrame(schema=PAIRS))
        policy = self.policy_of(str(rows["policy_version"][0]))
        return paired(rows, rows, labels, day, policy)

    def mature(self, first: date | None, today: date, wait_days: int) -> list[Cohort]:
        """The days from ``first`` on to which nothing more is to come, in order, up to the first that is not one."""
        found: list[Cohort] = []
        if first is None or first > today:
            return found
        labels = self.labels(first, today)
        for day in self.workload.calendar.within(Days(first, today)):
            cohort = self.cohort(day, labels)
            if not cohort.is_mature(today, wait_days) or (cohort.cases == 0 and day == today):
                break
            found.append(cohort)
        return found


def days_of(rows: pl.DataFrame, timezone: str) -> dict[date, pl.DataFrame]:
    """Rows with an ``event_time``, by their local day, in order."""
    local = rows.with_columns(pl.col("event_time").dt.convert_time_zone(timezone).dt.date().alias(DAY))
    parts = local.partition_by(DAY, as_dict=True, include_key=False)
    return {key[0]: parts[key] for key in sorted(parts)}
