"""The scorecard's ways to retrain: what was done, and what others would have come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from automation.calendar import Days
from automation.drift import asking
from automation.drift.asking import Answer, Asking
from automation.drift.worth.ways import RETRAINING_WAYS, Came, Way, rows
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.rollout.machine import Champion
from automation.scorecard import Month, retraining
from automation.settings import Settings
from automation.workload import Workload
from tests.rollout.conftest import NOW, ROOT

DAYS = Days(date(2013, 3, 1), date(2013, 4, 30))
MONTHS = (Month("2013-03", 10, 0.8, 100.0, 40.0), Month("2013-04", 10, None, 100.0, 2.0))


def came(way: Way, month: Days, saved: float) -> Came:
    return Came(way, month.first, month.last, 10, 0.75, saved, 1, 2.0)


def test_ways_that_were_compared_in_every_month_are_beside_what_was_done(
    workload: Workload, settings: Settings, promoted: Callable[..., Champion], tmp_path: Path
) -> None:
    lake, months = Lakehouse(str(tmp_path)), DAYS.months()
    for month in months:
        told = [came(Way.NEVER, month, 30.0), *([came(Way.DAILY, month, 50.0)] if month is months[0] else [])]
        lake.replace_days(workload.name, RETRAINING_WAYS, rows(told), Days.one(month.first))
    promoted(1, DAYS.first)
    look = Asking(DAYS.first, Answer.ASKED, (), None, {}, "said", {}, 2)
    with store.opened(settings) as ledger:
        asking.said(ledger, workload.name, look, NOW)
        (own, never), left_out = retraining(lake, ledger, workload, list(DAYS), MONTHS)
    assert workload.spec.drift is not None
    costs = workload.spec.drift.worth.costs
    assert (own.way, own.saved, own.auc_by_month) == ("as it was", 42.0, {"2013-03": 0.8, "2013-04": None})
    assert (own.trainings, own.cost) == (3, costs.of(1) + 2 * costs.compute)
    assert (never.way, never.saved, never.trainings, never.cost) == ("never", 60.0, 2, 2 * costs.of(1))
    assert never.saved_by_month == {"2013-03": 30.0, "2013-04": 30.0}
    assert left_out == ("daily",), "one month of it was not compared"


def test_a_way_that_was_compared_on_other_days_or_outcomes_is_not_set_beside_what_was_done(
    workload: Workload, settings: Settings, tmp_path: Path
) -> None:
    lake = Lakehouse(str(tmp_path))
    for month in DAYS.months():
        lake.replace_days(workload.name, RETRAINING_WAYS, rows([came(Way.NEVER, month, 30.0)]), Days.one(month.first))
    fewer, later = list(DAYS)[:-1], [replace(MONTHS[0], outcomes=11), MONTHS[1]]
    with store.opened(settings) as ledger:
        for days, months in ((fewer, MONTHS), (list(DAYS), later)):
            ways, left_out = retraining(lake, ledger, workload, days, months)
            assert ([each.way for each in ways], left_out) == (["as it was"], ("never",))


def test_a_workload_that_is_not_watched_has_no_ways(workload: Workload, settings: Settings, tmp_path: Path) -> None:
    unwatched = Workload(workload.spec.model_copy(update={"drift": None}), workload.package, ROOT / "contracts")
    with store.opened(settings) as ledger:
        assert retraining(Lakehouse(str(tmp_path)), ledger, unwatched, list(DAYS), MONTHS) == ((), ())
