"""A day's drift, killed and run again: a program, since whoever is killed takes its process along.

    python -m tests.lineage.killed_day DAY FILE

Decides the day, then runs its channels and looks into whether to retrain: once undisturbed; then from nothing, in life
after life. The first dies at the day's first moment, the next at the second, and the last comes to its end. Moments are
before and after each write of a channel's row and of the ledger's event. A line of FILE says what was there after each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.stages import retraining
from automation.calendar import Days
from automation.drift import asking, states
from automation.drift.plan import Cause
from automation.drift.states import CHANNELS
from automation.jobs import RETRAINING
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.ledger.store import Ledger
from automation.replay import Platform, Step
from automation.settings import settings
from tests.ledger.test_killed import in_a_process_that_dies

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "flight_disruption"
# What takes seconds to load, and is loaded once for all lives.
HEAVY = (
    "automation.definitions",
    "dagster_postgres",
    "feast.feature_store",
    "feature_repo.offline_store",
    "feature_repo.store",
    "lightgbm",
    "mlflow",
    "pandera.polars",
    "sklearn.isotonic",
)
# Before and after so many rows and one event.
MOMENTS = 2 * (len(CHANNELS) + 1)
KEEP, APPEND = states.keep, Ledger.append


@dataclass
class Life:
    """A process of its own, in which the day is run from one moment to another."""

    day: date
    told: Path
    platform: Platform = field(default_factory=lambda: Platform(settings()))

    @property
    def lake(self) -> Lakehouse:
        return Lakehouse(self.platform.settings.lakehouse)

    def run(self, *keys: str) -> None:
        only = [dg.AssetKey([NAME, key]) for key in keys] or None
        stopped = self.platform.run(self.platform.workload(NAME), Step("daily", Days.one(self.day)), only=only)
        assert stopped is None, str(stopped)

    def watch(self, story: str, dies_at: int | None = None) -> None:
        """The day's drift, looked into. The ledger forgets nothing, so that each story has a stream of its own there,
        which begins with nothing said."""
        passed: list[None] = []

        def moment() -> None:
            if len(passed) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            passed.append(None)

        def dying(write: Callable[..., Any]) -> Callable[..., Any]:
            def written(*given: Any) -> None:
                moment()
                write(*given)
                moment()

            return written

        states.keep, Ledger.append = dying(KEEP), dying(APPEND)
        asking.stream = lambda workload: f"drift/{workload}/{story}"
        retraining._causes = lambda *_: (Cause.HARM,)
        self.run(*CHANNELS, RETRAINING)

    def forget(self) -> None:
        """The day's rows are not there."""
        for table in CHANNELS:
            self.lake.remove_days(NAME, table, Days.one(self.day))

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        return {table: self.lake.read(NAME, table, Days.one(self.day)).to_dicts() for table in CHANNELS}

    def events(self, story: str) -> list[dict[str, Any]]:
        """What was said, but for the time and the stream."""
        with store.opened(self.platform.settings) as ledger:
            said = [event.said for event in ledger.events(f"drift/{NAME}/{story}")]
        return [{name: each[name] for name in ("version", "type", "data")} for each in said]

    def tell(self, story: str, after: str) -> None:
        """Writes down what is there."""
        told = {"after": after, "rows": self.rows(), "events": self.events(story)}
        with self.told.open("a") as file:
            file.write(json.dumps(told, default=str) + "\n")


def main(day: date, told: Path) -> None:
    # No more than loaded: what computes, or reads the definitions, starts threads of Polars. A forked life is without
    # them, and would wait for them forever.
    for name in HEAVY:
        import_module(name)

    def undisturbed() -> None:
        life = Life(day, told)
        life.run()
        life.forget()
        life.watch("undisturbed")
        life.tell("undisturbed", "it came to its end")
        life.forget()

    assert in_a_process_that_dies(undisturbed)
    for moment in range(MOMENTS + 1):

        def live(at: int = moment) -> None:
            life = Life(day, told)
            if at > 0:
                life.tell("killed", f"killed at {at - 1}")
            life.watch("killed", dies_at=at)
            life.tell("killed", "it came to its end")

        assert in_a_process_that_dies(live) == (moment == MOMENTS), moment


if __name__ == "__main__":
    main(date.fromisoformat(sys.argv[1]), Path(sys.argv[2]))
