"""The holdout: the cases of the last days, which a candidate was not trained on, and what two models say of them.

It is cut in time, not at random: cases of one day share its weather and its crews, so that a model which saw some of
them knows something of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.calendar import Days
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.rollout.judging.plan import HOUR, SEASON

if TYPE_CHECKING:
    from automation.rollout.judging.plan import JudgingPlan
    from automation.workload import Workload

CASE_KEY, EVENT_TIME, LABEL = "case_key", "event_time", "label"
SEASONS = ("December to February", "March to May", "June to August", "September to November")
MOST_SLICES = 200
MISSING = "missing"


class TooLittleHeldOutError(WarrantError):
    """The holdout is too small to judge anything by."""


class SliceColumnError(WarrantError):
    """A column that the plan slices by cannot be sliced by."""


class NotScoredAlikeError(WarrantError):
    """Probabilities are not one for each case of the holdout."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """Cases, row beside row, in order of day, decision time and key.

    - ``cases``: case_key, event_time (UTC), day, label (0 or 1: it came out badly; null: not known yet), and the
      cases' own columns.
    - ``vectors``: numbers by feature; null where the vector breaks its contract.
    - ``usable``: whether a case has a vector that keeps its contract, so that a model scores it.
    - ``slices``: the name of each case's slice, a column for each that the plan slices by.
    """

    workload: str
    timezone: str
    cases: pl.DataFrame
    vectors: pl.DataFrame
    usable: np.ndarray
    slices: pl.DataFrame

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The days that have cases, in order."""
        return tuple(sorted(self.cases[DAY].unique().to_list()))

    @cached_property
    def day(self) -> np.ndarray:
        """Each case's day, as its position in ``days``."""
        return np.searchsorted(np.array(self.days, dtype="datetime64[D]"), self.cases[DAY].to_numpy())

    @cached_property
    def known(self) -> np.ndarray:
        """Whether a case's label is known."""
        return self.cases[LABEL].is_not_null().to_numpy()

    @cached_property
    def judged(self) -> np.ndarray:
        """The rows by which probabilities are judged: scored, with a known label."""
        return np.flatnonzero(self.usable & self.known)

    def placed(self, case_keys: pl.Series, probability: np.ndarray) -> np.ndarray:
        """Probabilities that were given for some cases, as one for each row; NaN where none was given."""
        given = pl.DataFrame({CASE_KEY: case_keys, "given": pl.Series(probability, dtype=pl.Float64)})
        joined = self.cases.select(CASE_KEY).join(given, on=CASE_KEY, how="left", maintain_order="left", validate="1:1")
        return joined["given"].to_numpy()

    @cached_property
    def label(self) -> np.ndarray:
        """The labels of the judged rows."""
        return self.cases[LABEL].to_numpy()[self.judged].astype(np.int8)


def days_before(as_of: date, plan: JudgingPlan) -> Days:
    """The days that are held out of a candidate that may decide from ``as_of`` on."""
    return Days(as_of - timedelta(days=plan.holdout_days), as_of - timedelta(days=1))


def held_out(
    workload: Workload, cases: pl.DataFrame, usable: pl.DataFrame, labels: pl.DataFrame, plan: JudgingPlan
) -> Holdout:
    """The holdout of these cases.

    Args:
        cases: rows of the workload's table of cases, with their day.
        usable: vectors that keep their contract, with the case's key; there may be others.
        labels: case key and label of those that are known; there may be others.

    Raises:
        TooLittleHeldOutError: too few days or cases to judge by, or none of one kind of outcome.
        SliceColumnError: the plan slices by a column that is not there, or that has too many values.
    """
    key = workload.spec.case_key
    rows = cases.sort(DAY, EVENT_TIME, key)
    ids = rows.select(key)
    joined = ids.join(
        usable.with_columns(_usable=True), on=key, how="left", maintain_order="left", validate="1:1"
    ).with_columns(pl.col("_usable").fill_null(value=False))
    label = ids.join(labels.select(key, LABEL), on=key, how="left", maintain_order="left", validate="1:1")[LABEL]
    own = rows.rename({key: CASE_KEY}).with_columns(label.cast(pl.Int8))
    vectors = joined.select(name for name in joined.columns if name not in {key, EVENT_TIME, "_usable"})
    timezone = workload.calendar.timezone
    holdout = Holdout(
        workload.name,
        timezone,
        own,
        vectors,
        joined["_usable"].to_numpy(),
        pl.DataFrame([_slice(name, own, vectors, timezone) for name in plan.slices]),
    )
    _judgeable(holdout, plan)
    return holdout


def _judgeable(holdout: Holdout, plan: JudgingPlan) -> None:
    judged = holdout.judged
    days = len(np.unique(holdout.day[judged]))
    if len(judged) < plan.least_cases or days < plan.least_days:
        raise TooLittleHeldOutError(
            f"{len(judged):,} cases of {days} days are held out with a vector and an outcome; a candidate is judged "
            f"by at least {plan.least_cases:,} of {plan.least_days}.",
            remedy="Judge it as of a later day, hold out more days (rollout: judging: holdout_days), or lower "
            "least_cases and least_days knowing that less can then be told.",
        )
    if holdout.label.min() == holdout.label.max():
        raise TooLittleHeldOutError(
            f"All {len(judged):,} cases held out came out alike: nothing to tell apart.",
            remedy="Hold out more days (rollout: judging: holdout_days).",
        )


def _slice(name: str, cases: pl.DataFrame, vectors: pl.DataFrame, timezone: str) -> pl.Series:
    local = cases[EVENT_TIME].dt.convert_time_zone(timezone)
    if name == HOUR:
        return local.dt.to_string("%H:00").alias(name)
    if name == SEASON:
        return pl.Series(name, [SEASONS[month % 12 // 3] for month in local.dt.month()], dtype=pl.String)
    for frame in (cases, vectors):
        if name in frame.columns:
            return _named(frame[name])
    raise SliceColumnError(
        f"The plan slices by {name!r}, which is neither a column of the cases nor of the feature vector.",
        remedy=f"Slice by hour, season, or one of {', '.join(sorted({*cases.columns, *vectors.columns}))}.",
    )


def _named(column: pl.Series) -> pl.Series:
    values = column.n_unique()
    if values > MOST_SLICES:
        raise SliceColumnError(
            f"The plan slices by {column.name!r}, which has {values:,} values here: too many to tell anything of each.",
            remedy=f"Slice by a column of at most {MOST_SLICES} values, or add one that groups them.",
        )
    return column.cast(pl.String).fill_null(MISSING)


@dataclass(frozen=True, eq=False)
class Scored:
    """A model version's probability of each case of the holdout; not looked at where the vector is not usable."""

    version: int
    probability: np.ndarray


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate beside the champion, on the same cases. A workload's first version has no champion beside it.

    Raises:
        NotScoredAlikeError: a model's probabilities are not one for each usable case, from 0 to 1.
    """

    holdout: Holdout
    candidate: Scored
    champion: Scored | None

    def __post_init__(self) -> None:
        for scored in (self.candidate, self.champion):
            if scored is None:
                continue
            if scored.probability.shape != (self.holdout.cases.height,):
                raise NotScoredAlikeError(
                    f"Version {scored.version} gives {scored.probability.shape} probabilities for "
                    f"{self.holdout.cases.height:,} cases held out.",
                    remedy="Score every row of the holdout, in its order, with both versions.",
                )
            given = scored.probability[self.holdout.usable]
            # NaN compares false, too.
            if wrong := int(np.count_nonzero(~((given >= 0) & (given <= 1)))):
                raise NotScoredAlikeError(
                    f"Version {scored.version} gives {wrong:,} cases held out no probability from 0 to 1.",
                    remedy="Score every row of the holdout whose vector keeps its contract.",
                )

    def probabilities(self, scored: Scored) -> np.ndarray:
        """A version's probabilities of the rows that are judged."""
        return scored.probability[self.holdout.judged]
