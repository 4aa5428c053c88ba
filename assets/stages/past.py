"""The past, asked again: what another model would have decided on days that were decided."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from assets.stages.challengers import redecided, rescored
from assets.stages.scoring import SCORES
from automation.calendar import Days
from automation.drift.days import OF_THE_CHAMPION, DecidedDays
from automation.lakehouse import Lakehouse
from automation.ledger.store import Ledger
from automation.models import Model
from automation.policy import activation
from automation.policy.bundle import PolicyBundle
from automation.policy.evidence import as_decided
from automation.settings import Settings
from automation.workload import Workload


@dataclass(frozen=True)
class Past:
    """Days that were decided, in the tables as they are."""

    workload: Workload
    lake: Lakehouse
    settings: Settings
    ledger: Ledger
    days: DecidedDays

    def decided(self, first: date, last: date) -> Iterator[tuple[date, pl.DataFrame, PolicyBundle]]:
        """The days from one to another of which there are decisions, with these and the policy that made them."""
        for day in self.workload.calendar.within(Days(first, last)):
            was = self.days.decisions(day)
            if not was.is_empty():
                yield day, was, activation.kept(self.settings, str(was["policy_version"][0]))

    def was_the_champions(self, day: date) -> bool:
        """Whether the champion decided the whole day: not where the workload or a model was switched off, nor where a
        canary took some of the cases."""
        off = as_decided(self.ledger, self.workload.name, day).off
        return not (off.workload or off.models) and bool(self.days.decisions(day).select(OF_THE_CHAMPION.all()).item())

    def made(self, model: Model, day: date, policy: PolicyBundle) -> pl.DataFrame:
        """What a model would have decided on a day, under the policy, the limits and the switches of the time, but
        for those of models: another one was not off.

        Columns: case_key, probability (null where the vector broke its contract), action and stake.
        """
        name = self.workload.name
        scores = self.lake.read(name, SCORES, Days.one(day)).sort("event_time", "case_key")
        own = rescored(self.workload, model, scores)
        cases = self.lake.read(name, self.workload.spec.cases.table, Days.one(day))
        stood = as_decided(self.ledger, name, day)
        made = redecided(self.workload, own, cases, policy, replace(stood, off=stood.off.but_models))
        return own.select("case_key", "probability").hstack(made.select("action", "stake"))
