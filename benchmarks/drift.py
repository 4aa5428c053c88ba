"""Drift of a model's inputs, watched daily on the pilot's real vectors.

    python -m benchmarks.drift --json

**Nothing drifts.** A sequence is 120 whole days, drawn with return from February to December: cases of a day keep what
they have in common, and no day tells of the next. The first 42 days are the reference, looks are daily from then on. An
alarm is false. A harder kind keeps days together: runs of consecutive days, seven on average, from sixty days of the
year, so that weather lasts and nothing drifts for longer than a spell.

**Something drifts.** Two features are shifted from the 70th day on, by 0.1, 0.2 and 0.4 standard deviations of their
values in the reference. They are drawn from numbers with at least fifty different values of which none is most of them;
whole numbers stay whole, rounded at random. It is found if the first alarm since the shift, and none before, names one
of them.

**Something is broken.** On single real days, in the order of the year, a feature is stuck (at each airport's first
value), constant, null, or in another unit; or it is not broken: two features are shifted, or nothing is.

Peers on the same sequences: KS with Bonferroni over the features at each look, and, on the first few and in an
environment of their own, Evidently and NannyML at their defaults (see `benchmarks/peers/drift.py`).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import click
import numpy as np
import polars as pl

from automation.calendar import Days
from automation.drift.inputs.faults import CONVERSIONS, Usual
from automation.drift.inputs.plan import InputPlan
from automation.drift.inputs.watch import Inputs
from automation.lakehouse import DAY
from benchmarks.pilot_year import FIRST, LAST, ingested
from benchmarks.process import ROOT, fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAN = InputPlan(categories=("origin_code", "carrier_code"))
RATE = PLAN.rate
LENGTH, REFERENCE, SHIFTED_AT = 120, PLAN.scale_days + PLAN.learn_days, 70
# Features of the last 28 days have nothing to look back on before.
POOL_FROM = date(2013, 2, 1)
SHIFTS = (0.1, 0.2, 0.4)
SPELL, SPELL_WITHIN = 7, 60
KS, EVIDENTLY, NANNYML = "KS with Bonferroni", "Evidently's defaults", "NannyML's defaults"
PEERS = ("evidently==0.7.23", "nannyml==0.13.1", "pandas<3", "pyarrow")
# Evidently takes a second or more for a look.
EVIDENTLY_LOOKS_EVERY = 7
FAULTY_FROM = 35
# Of each feature, and what a feed hands over instead.
UNITS = {
    "temperature_f": ("degrees Fahrenheit", "degrees Celsius"),
    "wind_speed_mph": ("miles an hour", "metres a second"),
    "pressure_mb": ("millibars", "inches of mercury"),
    "distance_miles": ("miles", "kilometres"),
    "scheduled_minutes": ("minutes", "seconds"),
    "departures_late_share_3h": ("share", "per cent"),
    "departure_delay_mean_3h": ("minutes", "seconds"),
    "rotation_minutes_since": ("minutes", "hours"),
    "carrier_late_share_28d": ("share", "per cent"),
    "visibility_miles": ("miles", "kilometres"),
}


@dataclass(frozen=True)
class Pool:
    """The year's days in order, each with its cases' features; and the features that may be shifted."""

    days: list[pl.DataFrame]
    first: date
    shiftable: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        return self.days[0].columns

    @property
    def drawn_from(self) -> list[pl.DataFrame]:
        return self.days[(POOL_FROM - self.first).days :]


@dataclass(frozen=True)
class Sequence:
    """Days in a row; ``shifted``: which features by how much, from `SHIFTED_AT` on."""

    days: list[pl.DataFrame]
    shifted: tuple[str, ...] = ()


def run(last: str, sequences: int, peer_sequences: int, python: str) -> dict:
    """Ingests the days up to ``last`` and measures, in this process. Returns counts and days."""
    from automation.replay import Platform
    from automation.settings import settings

    days = Days(FIRST, date.fromisoformat(last))
    year = ingested(Platform(settings()), days)
    key = year.key
    rows = year.usable.join(year.cases(days).select(key, DAY), on=key, maintain_order="left").sort(
        DAY, "event_time", key
    )
    return measured_on(rows.select(DAY, *year.workload.model_features), sequences, peer_sequences, python)


def measured_on(rows: pl.DataFrame, sequences: int, peer_sequences: int, python: str) -> dict:
    """Every contestant on the vectors of a year (`DAY` and the features)."""
    pool = _pool(rows)
    same = [_drawn(pool, seed) for seed in range(sequences)]
    result: dict = {"same": [], "spells": [], "shifted": {}, "faults": _faults(pool), "speed": _speed(pool)}
    for number, sequence in enumerate(same, start=1):
        result["same"].append({"ours": _ours(sequence), KS: _ks(sequence)})
        if number % 20 == 0:
            progress(
                f"[{number}/{sequences}] sequences in which nothing drifts: {_alarmed(result['same'], 'ours')} alarms"
            )
    for seed in range(max(1, sequences // 4)):
        result["spells"].append({"ours": _ours(_spells(pool, seed))})
    progress(f"{_alarmed(result['spells'], 'ours')} alarms in {len(result['spells'])} sequences of spells")
    for size in SHIFTS:
        found = [_both(_shifted(pool, seed, size)) for seed in range(max(1, sequences // 10))]
        result["shifted"][str(size)] = found
        progress(f"{size} standard deviations: found in {mean(each['ours']['found'] for each in found):.0%}")
    result["peers"] = _others(pool, peer_sequences, python)
    return result


def _pool(rows: pl.DataFrame) -> Pool:
    days = rows.partition_by(DAY, as_dict=True, include_key=False)
    first = min(day for (day,) in days)
    told = [days.get((first + timedelta(days=number),), rows.drop(DAY).clear()) for number in range(len(days))]
    features = rows.drop(DAY)
    shiftable = [
        name
        for name in features.columns
        if name not in PLAN.categories
        and features[name].n_unique() >= 50
        and _most_frequent(features[name]) < 0.5 * features.height
    ]
    return Pool(told, first, tuple(shiftable))


def _most_frequent(column: pl.Series) -> int:
    """How often the most frequent value occurs, or none."""
    return int(column.value_counts(sort=True)["count"][0])


def _drawn(pool: Pool, seed: int) -> Sequence:
    days = pool.drawn_from
    return Sequence([days[at] for at in np.random.default_rng(seed).integers(len(days), size=LENGTH)])


def _spells(pool: Pool, seed: int) -> Sequence:
    random, days = np.random.default_rng(seed), pool.drawn_from
    first, told = int(random.integers(len(days) - SPELL_WITHIN)), []
    while len(told) < LENGTH:
        begin = int(random.integers(SPELL_WITHIN))
        told += [days[first + (begin + at) % SPELL_WITHIN] for at in range(random.geometric(1 / SPELL))]
    return Sequence(told[:LENGTH])


def _shifted(pool: Pool, seed: int, size: float) -> Sequence:
    """Not one of the sequences in which nothing drifts: their seeds are smaller."""
    random, drawn = np.random.default_rng(10_000 + seed), _drawn(pool, 10_000 + seed)
    names = tuple(random.choice(pool.shiftable, 2, replace=False).tolist())
    by = {name: size * one for name, one in _deviations(drawn.days[:REFERENCE], names).items()}
    return Sequence([*drawn.days[:SHIFTED_AT], *(_by(day, by, random) for day in drawn.days[SHIFTED_AT:])], names)


def _deviations(days: list[pl.DataFrame], names: Iterable[str]) -> dict[str, float]:
    reference = pl.concat(days)
    return {name: float(np.std(_values(reference[name]))) for name in names}


def _by(day: pl.DataFrame, by: dict[str, float], random: np.random.Generator) -> pl.DataFrame:
    changed = []
    for name, amount in by.items():
        column = day[name]
        if column.dtype.is_integer():
            rounded = np.floor(amount + random.random(len(column))).astype(np.int64)
            changed.append((column + pl.Series(rounded)).alias(name))
        else:
            changed.append((column + amount).alias(name))
    return day.with_columns(changed)


# ---------------------------------------------------------------- contestants


def _ours(sequence: Sequence, since: int = 0) -> list | None:
    """The first alarm's day since one, and the features it names."""
    inputs = Inputs.started(PLAN, sequence.days[0].columns)
    for number, rows in enumerate(sequence.days):
        inputs = inputs.after(FIRST + timedelta(days=number), rows)
        if inputs.changed and number >= since:
            return [number, sorted(inputs.changed)]
    return None


def _ks(sequence: Sequence) -> list | None:
    """Asymptotic p-values of two-sample Kolmogorov-Smirnov tests of a day against the reference."""
    from scipy.stats import ks_2samp

    reference = pl.concat(sequence.days[:REFERENCE])
    names, bound = reference.columns, RATE / len(reference.columns)
    for number in range(REFERENCE, LENGTH):
        today = sequence.days[number]
        samples = ((name, _values(reference[name]), _values(today[name])) for name in names)
        found = [
            name
            for name, then, now in samples
            if len(then) and len(now) and ks_2samp(then, now, method="asymp").pvalue <= bound
        ]
        if found:
            return [number, found]
    return None


def _values(column: pl.Series) -> np.ndarray:
    return column.drop_nulls().cast(pl.Float64).to_numpy()


def _both(sequence: Sequence) -> dict:
    return {"ours": _outcome(sequence, _ours(sequence)), KS: _outcome(sequence, _ks(sequence))}


def _outcome(sequence: Sequence, alarm: list | None) -> dict:
    """Whether the shift was found, after how many days, and which share of the features named were shifted."""
    if alarm is None or alarm[0] < SHIFTED_AT:
        return {"found": False, "early": alarm is not None}
    day, named = alarm
    right = sum(name in sequence.shifted for name in named)
    return {"found": right > 0, "days": day - SHIFTED_AT + 1, "precision": right / len(named) if named else 0.0}


def _alarmed(found: list[dict], who: str) -> int:
    return sum(each[who] is not None for each in found)


def _others(pool: Pool, count: int, python: str) -> dict | None:
    """What Evidently and NannyML say of the first sequences, and of as many with the greatest shift; None if they
    cannot
    be run."""
    if not count:
        return None
    sequences = {f"same-{seed}": _drawn(pool, seed) for seed in range(count)}
    sequences |= {f"shifted-{seed}": _shifted(pool, seed, SHIFTS[-1]) for seed in range(count)}
    with tempfile.TemporaryDirectory() as folder:
        for name, sequence in sequences.items():
            numbered = [rows.with_columns(sequence_day=pl.lit(number)) for number, rows in enumerate(sequence.days)]
            pl.concat(numbered).write_parquet(Path(folder) / f"{name}.parquet")
        try:
            python = python or _environment(Path(folder) / "environment")
            script = [python, str(ROOT / "benchmarks/peers/drift.py"), folder, str(EVIDENTLY_LOOKS_EVERY)]
            told = json.loads(subprocess.run(script, check=True, stdout=subprocess.PIPE).stdout)
        except (subprocess.CalledProcessError, OSError) as error:
            progress(f"left out: {EVIDENTLY} and {NANNYML} cannot be run: {error}")
            return None
    found = {
        name: {who: _outcome(sequences[name], alarms[who]) for who in ("evidently", "nannyml")}
        for name, alarms in told.items()
        if name.startswith("shifted")
    }
    return {"alarms": told, "shifted": found, "count": count}


def _environment(folder: Path) -> str:
    """A Python with the peers. They do not fit beside our pins: NannyML wants an older LightGBM."""
    uv = str(ROOT / ".venv/bin/uv")
    subprocess.run([uv, "venv", "--quiet", "--python", "3.11", str(folder)], check=True)
    python = str(folder / "bin/python")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *PEERS], check=True)
    return python


# ---------------------------------------------------------------- faults and speed


def _faults(pool: Pool) -> dict:
    """On single days: of what is broken, whether it is told, with its kind; of what is not, whether it is left
    alone."""
    usual, before = (
        Usual.of(pool.features, {name: unit for name, (unit, _) in UNITS.items() if name in pool.features}),
        [],
    )
    for rows in pool.days:
        before.append(usual)
        usual = usual.after(rows)
    random, told = np.random.default_rng(7), {}
    for kind in ("stuck", "constant", "nulls", "unit", *SHIFTS, 1.0):
        names = tuple(UNITS) if kind == "unit" else pool.shiftable
        found = []
        for at in random.choice(np.arange(FAULTY_FROM, len(pool.days)), 20, replace=False).tolist():
            chosen = [str(name) for name in random.choice(names, 2, replace=False)]
            rows = _broken(pool, at, kind, chosen, random)
            faults = before[at].faults(rows)
            if isinstance(kind, float):
                found.append(not faults)
            else:
                kinds = "stuck" if kind == "constant" else kind
                found.append(
                    [(one.feature, one.kind) for one in faults if one.feature == chosen[0]] == [(chosen[0], kinds)]
                )
        told[str(kind)] = found
    told["nothing"] = [
        not usual.faults(rows) for usual, rows in list(zip(before, pool.days, strict=True))[FAULTY_FROM:]
    ]
    return told


def _broken(pool: Pool, at: int, kind: str | float, names: list[str], random: np.random.Generator) -> pl.DataFrame:
    rows, name = pool.days[at], names[0]
    if isinstance(kind, float):
        by = {one: kind * deviation for one, deviation in _deviations(pool.days[at - 28 : at], names).items()}
        return _by(rows, by, random)
    if kind == "nulls":
        return rows.with_columns(pl.lit(None, dtype=rows[name].dtype).alias(name))
    if kind == "constant":
        return rows.with_columns(pl.col(name).drop_nulls().first().alias(name))
    if kind == "stuck":
        return rows.with_columns(pl.col(name).drop_nulls().first().over("origin_code").alias(name))
    unit, other = UNITS[name]
    factor, offset = CONVERSIONS[unit][other]
    return rows.with_columns((pl.col(name).cast(pl.Float64) * factor + offset).alias(name))


def _speed(pool: Pool) -> dict:
    """The real year in its own order: seconds a day early and late, and which features changed when."""
    inputs, spent, first = Inputs.started(PLAN, pool.features), [], {}
    for number, rows in enumerate(pool.days):
        day, began = pool.first + timedelta(days=number), time.perf_counter()
        inputs = inputs.after(day, rows)
        spent.append(time.perf_counter() - began)
        for name in inputs.changed:
            first.setdefault(name, day.isoformat())
    progress("in the year's own order: " + ", ".join(f"{name} {day}" for name, day in first.items()))
    cells = sum(rows.height for rows in pool.days) * len(pool.features)
    quarter = slice(REFERENCE, REFERENCE + 30)
    return {
        "cells": cells / sum(spent),
        "early": median(spent[quarter]),
        "late": median(spent[-30:]),
        "first": first,
    }


# ---------------------------------------------------------------- figures


def figures_of(result: dict) -> list[Figure]:
    same, spells, peers, speed = result["same"], result["spells"], result["peers"], result["speed"]
    ks = Peer(KS, _alarmed(same, KS) / len(same))
    return [
        figure("sequences", len(same), f"of {LENGTH} days"),
        at_most(RATE, "false_alarms", _alarmed(same, "ours") / len(same), "share", ks),
        at_most(RATE, "false_alarms_in_spells", _alarmed(spells, "ours") / len(spells), f"share of {len(spells)}"),
        *(one for size in SHIFTS for one in _found(f"{size:g}".replace(".", "_"), result["shifted"][str(size)])),
        *(_of_peers(peers) if peers else ()),
        *_told(result["faults"]),
        figure("cells", speed["cells"], "rows x features a second"),
        figure("day_early", 1000 * speed["early"], "ms"),
        figure("day_late", 1000 * speed["late"], "ms"),
        figure("changed_in_the_year", len(speed["first"]), "features"),
    ]


def _found(size: str, found: list[dict]) -> list[Figure]:
    ours = [each["ours"] for each in found if each["ours"]["found"]]
    ks = Peer(KS, mean(each[KS]["found"] for each in found))
    told = [figure(f"found_{size}_sd", len(ours) / len(found), f"share of {len(found)}", ks)]
    if ours:
        told.append(figure(f"days_to_{size}_sd", median(each["days"] for each in ours), "days"))
        told.append(figure(f"precision_{size}_sd", mean(each["precision"] for each in ours), "share"))
    return told


def _of_peers(peers: dict) -> list[Figure]:
    told = []
    for who in ("evidently", "nannyml"):
        same = [alarms[who] is not None for name, alarms in peers["alarms"].items() if name.startswith("same")]
        found = [each[who]["found"] for each in peers["shifted"].values()]
        told.append(figure(f"false_alarms_of_{who}", mean(same), f"share of {len(same)}"))
        told.append(figure(f"found_0_4_sd_by_{who}", mean(found), f"share of {len(found)}"))
    return told


def _told(faults: dict[str, list[bool]]) -> list[Figure]:
    broken = [one for kind in ("stuck", "constant", "nulls", "unit") for one in faults[kind]]
    shifted = [one for size in (*SHIFTS, 1.0) for one in faults[str(size)]]
    return [
        at_least(0.95, "faults_told_from_drift", mean([*broken, *shifted]), f"share of {len(broken) + len(shifted)}"),
        *(
            figure(f"faults_told_{kind}", mean(faults[kind]), "share of 20")
            for kind in ("stuck", "constant", "nulls", "unit")
        ),
        figure("shifts_called_faults", 1 - mean(shifted), f"share of {len(shifted)}"),
        figure("real_days_called_faulty", 1 - mean(faults["nothing"]), f"share of {len(faults['nothing'])}"),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--home", type=click.Path(path_type=Path), help="A WARRANT_HOME to ingest into, or that holds the year.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default=str(LAST), help="Last day, if not the year's.")
@click.option("--sequences", default=200, type=click.IntRange(1), help="Sequences in which nothing drifts.")
@click.option("--peer-sequences", default=3, type=click.IntRange(0), help="How many Evidently and NannyML see of each.")
@click.option("--peer-python", default="", help="A Python that has them; without it, one is made.")
def main(as_json: bool, home: Path | None, until, sequences: int, peer_sequences: int, peer_python: str) -> None:
    """Measure how often changed inputs are found, rightly and wrongly."""
    on = machine()
    arguments = (until.date().isoformat(), sequences, peer_sequences, peer_python)
    with nullcontext(home) if home else fresh_home() as chosen:
        result = measured(run, *arguments, home=chosen).result
    show("drift", on, figures_of(result), as_json=as_json)


if __name__ == "__main__":
    main()
