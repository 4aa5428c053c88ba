"""A day on which it would be looked into whether to retrain, delivered with faults: a program, for a home of its own.

    python -m tests.lineage.faulty_days DAY FILE FOLDER

A gate holds the first delivery; the second's gates are waived; the third keeps its contracts, and is in another unit.
The fourth is whole. FILE says what each of them came to; the sources are written to FOLDER.
"""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from assets.stages import retraining
from assets.stages.drift import decided_days, reference
from assets.stages.feature_faults import units_of
from automation.calendar import Days
from automation.drift import asking, states
from automation.drift.inputs.faults import Usual
from automation.drift.plan import Cause
from automation.drift.states import FEATURE_FAULTS, Kept
from automation.gates import waivers
from automation.jobs import RETRAINING
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.replay import Platform, Step
from automation.rollout.machine import rollout
from automation.settings import settings
from automation.workload import Workload
from benchmarks.corrupted_year import SOURCE_VARIABLE, Corruption, Source, about, corrupted, shipped, written

NAME, WEATHER = "flight_disruption", "weather"


@dataclass(frozen=True)
class CameTo:
    """What a delivery came to: gates that held the day, new alerts, what retraining says (None: it was not run), what
    the ledger has of it, and what retraining says the day after."""

    held_by: list[str]
    alerts: list[str]
    says: str | None
    looks: list[str]
    next_day_says: str | None = None


def in_celsius(source: Source, day: date) -> Source:
    """The day's temperatures in another unit, all of them possible ones."""
    file = source.files["weather.csv"]
    degrees = [(pl.col(name).cast(pl.Float64) - 32) * 5 / 9 for name in ("temp", "dewp")]
    colder = [
        pl.when(about(WEATHER, day)).then(each.cast(pl.String)).otherwise(each.meta.root_names()[0]).alias(name)
        for each, name in zip(degrees, ("temp", "dewp"), strict=True)
    ]
    return Source({**source.files, "weather.csv": file.with_columns(colder)}, source.unflown)


class Deliveries:
    """Deliveries of one day, one after the other, in one home."""

    def __init__(self, day: date, folder: Path) -> None:
        self.day, self.folder = day, folder
        self.platform = Platform(settings())
        self.workload: Workload = self.platform.workload(NAME)
        self.alerts = self.platform.settings.home / "logs" / "alerts.log"

    def told_what_is_usual(self) -> None:
        """As after some days more: what the first model learned from is usual, too."""
        lake = Lakehouse(self.platform.settings.lakehouse)
        days = decided_days(lake, self.workload, self.platform.settings)
        before = self.day - timedelta(days=1)
        kept = states.on(lake, NAME, FEATURE_FAULTS, before)
        assert kept is not None
        with store.opened(self.platform.settings) as ledger:
            since = rollout(ledger, NAME).deciding(before)
        assert since is not None
        features = self.workload.model_features
        vector = self.workload.contract(self.workload.spec.model.contract)
        usual = Usual.of(features, units_of(vector, features))
        known = reference(lake, self.workload, days, since.as_of, (since.as_of - self.workload.calendar.start).days)
        for rows in (*known.values(), *(days.vectors(each) for each in Days(since.as_of, before))):
            usual = usual.after(rows)
        states.keep(lake, NAME, FEATURE_FAULTS, Kept(kept.watched, before, usual.as_bytes(), False, "as told", []))

    def delivered(self, name: str, source: Source) -> CameTo:
        written(source, self.folder / name)
        return self.run()

    def run(self) -> CameTo:
        """The day's job, and the alerts that the sensor would raise."""
        told = self._raised()
        last = self._retraining(self.day)
        stopped = self.platform.run(self.workload, Step("daily", Days.one(self.day)))
        assert stopped is None or not stopped.errors, stopped
        self.platform.watch()
        now = self._retraining(self.day)
        return CameTo(
            [] if stopped is None else list(stopped.gates),
            self._raised()[len(told) :],
            None if now is None or now == last else now[1],
            self._looks(),
        )

    def waived(self) -> None:
        """Somebody waives what holds the day."""
        for gate in ("contract", "expectations"):
            waivers.waive(
                self.platform.settings,
                dg.AssetKey([NAME, WEATHER]),
                gate,
                (self.day.isoformat(), self.day.isoformat()),
                by="A. Jensen",
                reason="one day only",
                until=datetime.now(UTC) + timedelta(days=1),
                now=datetime.now(UTC),
            )

    def next_day(self) -> str | None:
        """What retraining says a day later, asked alone."""
        after = self.day + timedelta(days=1)
        key = dg.AssetKey([NAME, RETRAINING])
        stopped = self.platform.run(self.workload, Step("daily", Days.one(after)), only=[key])
        assert stopped is None, str(stopped)
        found = self._retraining(after)
        return None if found is None else found[1]

    def _raised(self) -> list[str]:
        lines = self.alerts.read_text().splitlines() if self.alerts.exists() else []
        found = [json.loads(line) for line in lines]
        return [each["subject"] for each in found if each["kind"] in ("raised", "changed")]

    def _retraining(self, day: date) -> tuple[int, str] | None:
        asked = dg.AssetRecordsFilter(dg.AssetKey([NAME, RETRAINING]), asset_partitions=[day.isoformat()])
        for record in self.platform.instance.fetch_materializations(asked, limit=1).records:
            made = record.asset_materialization
            assert made is not None
            return record.storage_id, str(made.metadata["says"].value)
        return None

    def _looks(self) -> list[str]:
        with store.opened(self.platform.settings) as ledger:
            return [each.says for each in asking.askings(ledger, NAME)]


def main(day: date, file: Path, folder: Path) -> None:
    retraining._causes = lambda *_: (Cause.HARM,)
    deliveries, whole = Deliveries(day, folder), shipped().around(day)
    deliveries.told_what_is_usual()

    def spoilt(corruption: Corruption) -> Source:
        return corrupted(whole, corruption, WEATHER, day, random.Random(1))[0]  # noqa: S311 - a draw

    found = {
        "held": deliveries.delivered("held", spoilt(Corruption.EMPTY_DAY)),
        "doubled": deliveries.delivered("doubled", spoilt(Corruption.DOUBLED_DAY)),
    }
    deliveries.waived()
    found["waived"] = replace(deliveries.run(), next_day_says=deliveries.next_day())
    found["unit"] = deliveries.delivered("unit", in_celsius(whole, day))
    os.environ.pop(SOURCE_VARIABLE)
    found["whole"] = deliveries.run()
    file.write_text(json.dumps({name: asdict(each) for name, each in found.items()}))


if __name__ == "__main__":
    main(date.fromisoformat(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
