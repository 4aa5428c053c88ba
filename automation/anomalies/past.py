"""A table's past: the profiles of its days so far, and how a new day is judged by them. Pure.

Two levels, of which only the first has an error rate by proof:

- *unusual*: the day's p-value is at most `STATED_RATE`. Where the residuals are exchangeable, an ordinary day is
  called unusual with that probability at most. It takes 99 residuals for a p-value of 0.01: about four months.
- *impossible*: some measure lies so far beyond its own tail, and beyond the greatest residual it ever had, that the
  day cannot be an ordinary one. What holidays and storms move (volume, hours, values, categories) has to go further
  than what only a fault moves: nulls, and values that no day before had. These factors were chosen on a year of real
  days; their rate is measured, not proved (docs/decisions/0035).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from automation.anomalies.profile import NEVER_SEEN, SPAN, Kind, kind
from automation.anomalies.surprise import LEVEL_DAYS, SEASON_WEEKS, level, season, surprise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from automation.anomalies.profile import Profile
    from automation.anomalies.surprise import Surprise

STATED_RATE = 0.01
# A year and a week: long enough for every season, short enough that a table's youth is forgotten.
LONGEST = 371
WEEK = 7
ROOM = 32
SHOWN = 8
SMALLEST, ONE_MINUTE = 1e-6, 1.0


@dataclass(frozen=True)
class Bound:
    """How far is impossible: multiples of a measure's tail, and of the greatest residual it had before."""

    scaled: float
    beyond: float


FAULTS = Bound(scaled=4.0, beyond=1.8)
EVENTS = Bound(scaled=6.0, beyond=5.0)


@dataclass(frozen=True)
class Measure:
    """A measure of the judged day, what was expected, and its residual in multiples of its tail and its greatest.

    ``value`` and ``expected`` are as profiles read them (roots of counts, angles of shares).
    """

    name: str
    value: float
    expected: float
    scaled: float
    beyond: float

    @property
    def impossible(self) -> bool:
        bound = FAULTS if kind(self.name) in {Kind.MISSING, Kind.NEVER_SEEN} else EVENTS
        return self.scaled >= bound.scaled and self.beyond >= bound.beyond


@dataclass(frozen=True)
class Verdict:
    """How a day stands beside the ``days`` before it. ``p`` is None where they are too few to say.

    ``profile`` is the day's with the measures that its past gives it; ``measures`` come the most surprising first.
    """

    profile: Profile
    days: int
    p: float | None = None
    score: float = 0.0
    measures: tuple[Measure, ...] = ()

    @property
    def unusual(self) -> bool:
        return self.p is not None and self.p <= STATED_RATE

    @property
    def impossible(self) -> tuple[Measure, ...]:
        return tuple(measure for measure in self.measures if measure.impossible)


class Past:
    """The days that later ones are judged by, oldest first: those of the table whose gates passed."""

    def __init__(self, days: Sequence[Profile] = ()) -> None:
        self._days: list[date] = []
        self._weekdays: tuple[list[int], ...] = tuple([] for _ in range(WEEK))
        self._names: list[str] = []
        self._at: dict[str, int] = {}
        self._categories: dict[str, list[int]] = {}
        # Of each day, by measure: its value, how far off the level before it that was, and off what was expected.
        self._values, self._off, self._residuals = (np.full((len(days) + ROOM, 0), np.nan) for _ in range(3))
        self._seen: dict[str, set[str]] = {}
        self._noises, self._by_name = Noises.of([]), np.empty(0, dtype=int)
        self._learn(sorted({name for day in days for name in day.measures}))
        for day in days:
            self.accept(day)

    def judge(self, profile: Profile) -> Verdict:
        """The verdict on a day that comes after all of them."""
        measured = replace(profile, measures={**profile.measures, **self._never_seen(profile)})
        self._learn([name for name in measured.measures if name not in self._at])
        values = self._row(measured)
        _, expected = self._expected(measured.day)
        recent = slice(max(0, len(self._days) - LONGEST), len(self._days))
        residuals = np.vstack([self._residuals[recent], np.abs(values - expected)])
        noise = self._noises.measured(np.vstack([self._values[recent], values]), self._at["rows"])
        found = surprise(residuals, noise)
        if found is None:
            return Verdict(measured, len(self._days))
        measures = tuple(self._measures(values, expected, found))
        return Verdict(measured, len(found.ranked), found.p, found.score, measures)

    def accept(self, profile: Profile) -> None:
        """Takes in a day as it was judged."""
        self._learn([name for name in profile.measures if name not in self._at])
        values, number = self._row(profile), len(self._days)
        usual, expected = self._expected(profile.day)
        if number == len(self._values):
            self._values, self._off, self._residuals = (
                np.vstack([known, np.full_like(known, np.nan)]) for known in (self._values, self._off, self._residuals)
            )
        self._values[number] = values
        self._off[number] = values - usual
        self._residuals[number] = np.abs(values - expected)
        self._days.append(profile.day)
        self._weekdays[profile.day.weekday()].append(number)
        for column, counted in profile.values.items():
            self._seen.setdefault(column, set()).update(counted)

    def series(self, name: str) -> tuple[list[date], list[float]]:
        """A measure on the days that had it, oldest first."""
        if name not in self._at:
            return [], []
        values = self._values[: len(self._days), self._at[name]]
        there = np.nonzero(np.isfinite(values))[0][-LONGEST:]
        return [self._days[at] for at in there], values[there].tolist()

    def _never_seen(self, profile: Profile) -> dict[str, float]:
        """The share of rows with a value that no day before had, of each column that had few values so far."""
        return {
            f"{column}{NEVER_SEEN}": sum(rows for value, rows in counted.items() if value not in self._seen[column])
            / profile.rows
            for column, counted in profile.values.items()
            if column in self._seen
        }

    def _learn(self, names: Sequence[str]) -> None:
        """Makes room for measures that no day had. A category none had was none of its column's on all of them."""
        if not names:
            return
        for name in names:
            column = name.partition(" = ")[0] if kind(name) is Kind.CATEGORY else None
            siblings = self._categories.setdefault(column, []) if column else []
            self._values, self._off, self._residuals = (
                np.column_stack([known, _none_of_it(known, siblings)])
                for known in (self._values, self._off, self._residuals)
            )
            siblings.append(len(self._names))
            self._at[name] = len(self._names)
            self._names.append(name)
        self._noises = Noises.of(self._names)
        self._by_name = np.argsort(self._names)

    def _row(self, profile: Profile) -> np.ndarray:
        """The day's measures in the order of the columns."""
        values = np.full(len(self._names), np.nan)
        for column in profile.values:
            group = self._categories.get(column)
            if group and any(self._names[at] in profile.measures for at in group):
                values[group] = 0.0
        values[[self._at[name] for name in profile.measures]] = list(profile.measures.values())
        return values

    def _expected(self, day: date) -> tuple[np.ndarray, np.ndarray]:
        """The level before a day, and what is expected of it."""
        number = len(self._days)
        usual = level(self._values[max(0, number - LEVEL_DAYS) : number])
        same = [at for at in self._weekdays[day.weekday()][-SEASON_WEEKS:] if at >= number - LONGEST]
        return usual, usual + season(self._off[same])

    def _measures(self, values: np.ndarray, expected: np.ndarray, found: Surprise) -> Iterator[Measure]:
        """The most surprising first: those that are shown, and all that are impossible."""
        # Of measures that surprise alike the first by name, in whatever order they were met.
        surprising = -np.nan_to_num(found.scaled[self._by_name], nan=-1.0)
        for place, at in enumerate(self._by_name[np.argsort(surprising, kind="stable")]):
            if not np.isfinite(found.scaled[at]) or (place >= SHOWN and found.scaled[at] < FAULTS.scaled):
                return
            yield Measure(self._names[at], *(float(of[at]) for of in (values, expected, found.scaled, found.beyond)))


@dataclass(frozen=True)
class Noises:
    """Where the measures of each kind stand, to reckon for all at once what chance alone moves them by."""

    counts: np.ndarray
    categories: np.ndarray
    shares: np.ndarray
    numbers: np.ndarray
    deviations: np.ndarray
    quantiles: np.ndarray
    least: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str]) -> Noises:
        at = {name: number for number, name in enumerate(names)}
        kinds = [kind(name) for name in names]
        deviation = {name: at.get(f"{name.rpartition(': ')[0]}: deviation") for name in names}
        numbers = [name for name in names if kind(name) is Kind.NUMBER and deviation[name] is not None]

        def where(*chosen: Kind) -> np.ndarray:
            return np.array([number for number, found in enumerate(kinds) if found in chosen], dtype=int)

        return cls(
            counts=where(Kind.COUNT),
            categories=where(Kind.CATEGORY),
            shares=where(Kind.MISSING, Kind.NEVER_SEEN),
            numbers=np.array([at[name] for name in numbers], dtype=int),
            deviations=np.array([deviation[name] for name in numbers], dtype=int),
            quantiles=np.array([name.endswith("%") for name in numbers], dtype=bool),
            least=np.array([ONE_MINUTE if SPAN in name else SMALLEST for name in names]),
        )

    def measured(self, values: np.ndarray, rows_at: int) -> np.ndarray:
        """What chance moves each measure by, given ``values`` (days by measures): their rows and how they spread.

        A quantile of values on a lattice, or of mostly zeros, moves by steps, however many rows there are.
        """
        rows = max(1.0, float(np.median(values[:, rows_at])) ** 2)
        there = np.isfinite(values)
        known, days = np.where(there, values, 0.0), np.maximum(there.sum(axis=0), 1)
        noise = np.zeros(values.shape[1])
        noise[self.counts] = 0.5
        noise[self.categories] = 0.5 / np.sqrt(rows)
        usual = np.clip(known[:, self.shares].sum(axis=0) / days[self.shares], 0.0, 1.0)
        noise[self.shares] = np.sqrt(usual * (1 - usual) / rows) + 1 / rows
        spread = np.sqrt(np.square(known[:, self.deviations]).sum(axis=0) / days[self.deviations])
        noise[self.numbers] = spread / np.where(self.quantiles, 4.0, np.sqrt(rows))
        return np.maximum(noise, self.least)


def _none_of_it(known: np.ndarray, siblings: Sequence[int]) -> np.ndarray:
    """A new column of ``known``: zero where others of its group have a value, NaN elsewhere."""
    if not siblings:
        return np.full(len(known), np.nan)
    return np.where(np.isfinite(known[:, siblings]).any(axis=1), 0.0, np.nan)
