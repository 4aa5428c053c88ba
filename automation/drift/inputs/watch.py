"""The inputs of a model under watch, day by day, and which of them have changed.

    inputs = Inputs.started(plan, model.features)
    inputs = inputs.after(day, rows)            # a day's cases, whole, once, in order
    inputs.rejected                             # the features that have changed

A day is one observation: its cases share weather and delays. The state is canonical and of bounded size: a watch that
is stopped on any day and read again (`automation.drift.inputs.state`) goes on to the same bytes. Evidence that is lost
again, as days after a change become the most of the bag, ends a rejection: whoever retrains starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from automation.drift.inputs import betting
from automation.drift.inputs.betting import Wealth
from automation.drift.inputs.scales import PARTS, Sample, Scale, is_named, statistics
from automation.drift.watch_state import in_order
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from automation.drift.inputs.plan import InputPlan


class MissingFeatureError(WarrantError):
    """The day's rows lack a feature of the model, or the plan names one that the model has not."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a change of a feature after a day: ``log10`` of its e-value, of ``needed`` to 1.

    ``part`` is what speaks most (of `PARTS`), ``since`` the day on which the best bet on it was begun: a guess of when
    the change began, None without a bet.
    """

    feature: str
    day: date
    log10: float
    needed: float
    rejected: bool
    part: str
    since: date | None


@dataclass(frozen=True, eq=False)
class Inputs:
    """A model's inputs under watch. `started` begins.

    - ``shown``: days with cases enough so far. ``bag``: the last of them after the scales' days, in order, each in
      `PARTS` a feature. Shape (days, 3 features), float32.
    - ``discount``: what a number's scores are divided by; empty until it is learned.
    - ``changed``: the features that are rejected, each since when.
    """

    plan: InputPlan
    features: tuple[str, ...]
    day: date | None
    shown: int
    samples: tuple[Sample, ...]
    scales: tuple[Scale, ...]
    bag: np.ndarray
    discount: np.ndarray
    wealth: Wealth
    changed: Mapping[str, date] = field(default_factory=dict)

    @classmethod
    def started(cls, plan: InputPlan, features: Sequence[str]) -> Inputs:
        """A watch that has seen no day.

        Raises:
            MissingFeatureError: there is no feature, one is named twice, or the plan names another.
        """
        names = tuple(features)
        if not names or len(set(names)) < len(names):
            raise MissingFeatureError(
                f"{len(names)} features cannot be watched, of which {len(set(names))} differ.",
                remedy="Give the model's features, each once.",
            )
        if unknown := sorted({*plan.categories, *plan.seasonal} - set(names)):
            raise MissingFeatureError(
                f"The plan names {', '.join(unknown)}, and the model has no such feature.",
                remedy="Name features of the model under categories and seasonal.",
            )
        count = len(PARTS) * len(names)
        empty = np.empty((0, count), dtype=np.float32)
        return cls(plan, names, None, 0, (), (), empty, np.empty(0), Wealth.of(count))

    def after(self, day: date, rows: pl.DataFrame) -> Inputs:
        """The watch after a day's cases (rows by features; other columns are not looked at). A day with none is shown.

        Raises:
            NotInOrderError: it is not the day after the last.
            MissingFeatureError: a feature is not among the columns.
        """
        in_order(day, self.day, "watched for its inputs")
        if missing := [name for name in self.features if name not in rows.columns]:
            raise MissingFeatureError(
                f"The cases of {day} lack {', '.join(missing)}.", remedy="Show the vectors that the model scored."
            )
        if rows.height < self.plan.least_cases:
            return replace(self, day=day)
        return self._with(day, rows.select(self.features))

    def _with(self, day: date, rows: pl.DataFrame) -> Inputs:
        plan, shown = self.plan, self.shown + 1
        if not self.scales:
            had = self.samples or tuple(
                Sample(names={} if is_named(name, dtype, plan) else None) for name, dtype in rows.schema.items()
            )
            samples = tuple(one.with_day(column) for one, column in zip(had, rows.iter_columns(), strict=True))
            if shown < plan.scale_days:
                return replace(self, day=day, shown=shown, samples=samples)
            scales = tuple(one.scale(plan.bins) for one in samples)
            return replace(self, day=day, shown=shown, samples=(), scales=scales)
        bag = np.vstack([self.bag, statistics(self.scales, rows, plan.least_cases)])
        kept = bag[-plan.bag_days :]
        if not len(self.discount):
            discount = self._discount(bag) if len(bag) == plan.learn_days else self.discount
            return replace(self, day=day, shown=shown, bag=kept, discount=discount)
        ranked = self._compared(bag)
        p = betting.p_values(ranked[:-1], ranked[-1], betting.draws(self.numbers, self.shown, plan.seed))
        wealth = self.wealth.after(betting.scores(p, self.discount), day.toordinal())
        return replace(self, day=day, shown=shown, bag=kept, wealth=wealth)._judged()

    def _compared(self, bag: np.ndarray) -> np.ndarray:
        seasonal = np.repeat([name in self.plan.seasonal for name in self.features], len(PARTS))
        return betting.compared(bag, seasonal, self.plan.trailing_days)

    def _discount(self, bag: np.ndarray) -> np.ndarray:
        drawn = [betting.draws(self.numbers, self.plan.scale_days + at, self.plan.seed) for at in range(len(bag))]
        return betting.discounts(self._compared(bag), np.asarray(drawn))

    def _judged(self) -> Inputs:
        """The features that are rejected now; one that was before keeps its day."""
        mask = betting.chosen(self._log_evidence(), self.plan.rate)
        now = [name for name, rejected in zip(self.features, mask, strict=True) if rejected]
        assert self.day is not None  # noqa: S101
        return replace(self, changed={name: self.changed.get(name, self.day) for name in now})

    @property
    def numbers(self) -> tuple[str, ...]:
        """The name of each number of a day."""
        return tuple(f"{feature}/{part}" for feature in self.features for part in PARTS)

    @property
    def is_learning(self) -> bool:
        """Whether nothing has been bet on yet."""
        return not len(self.discount)

    @property
    def rejected(self) -> tuple[str, ...]:
        """The features that have changed, those with the most evidence first."""
        return tuple(one.feature for one in self.evidence() if one.rejected)

    def evidence(self) -> tuple[Evidence, ...]:
        """What speaks for a change of each feature, the most first; nothing before the first day."""
        if self.day is None:
            return ()
        logs = self._log_evidence() / np.log(10)
        parts = self.wealth.log_evidence(self.plan.season_days).reshape(-1, len(PARTS))
        best = parts.argmax(axis=1)
        began = self.wealth.since().reshape(parts.shape)
        return tuple(
            self._evidence(at, float(logs[at]), int(best[at]), int(began[at, best[at]]))
            for at in np.argsort(-logs, kind="stable").tolist()
        )

    def _evidence(self, at: int, log10: float, part: int, began: int) -> Evidence:
        feature = self.features[at]
        rejected = feature in self.changed
        together = len(self.changed) + (not rejected)
        needed = len(self.features) / (self.plan.rate * together)
        since = date.fromordinal(began) if began else None
        assert self.day is not None  # noqa: S101
        return Evidence(feature, self.day, log10, needed, rejected, PARTS[part], since)

    def _log_evidence(self) -> np.ndarray:
        """Each feature's, the mean of its parts'. Shape (features,)."""
        return betting.log_mean(self.wealth.log_evidence(self.plan.season_days).reshape(-1, len(PARTS)), axis=1)
