"""What is taken for the champion's of a day that was decided: nothing that a canary took, or that was switched off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from assets.stages.past import Past
from automation.calendar import Days
from automation.drift.days import COLUMNS, DecidedDays
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.ledger.decisions import stream
from automation.ledger.store import Happened
from automation.policy.evidence import DECISIONS
from automation.settings import Settings
from automation.switches.switch import WORKLOAD, Off, SwitchedOff, of_action, of_model
from automation.workload import Workload
from tests.rollout.conftest import MARCH, NOW

STAGES = ("champion", None, "canary")
Decided = Callable[[Sequence[str | None]], DecidedDays]


@pytest.fixture
def decided(workload: Workload, tmp_path: Path) -> Decided:
    """A day with a case of each stage; of one without a stage, no model could score it."""

    def of(stages: Sequence[str | None]) -> DecidedDays:
        lake = Lakehouse(str(tmp_path))
        rows = [
            (f"case {n}", n, None if stage is None else 0.2, "proceed", 100.0, "{}", "p", stage)
            for n, stage in enumerate(stages)
        ]
        frame = pl.DataFrame(rows, schema=COLUMNS, orient="row").with_columns(day=pl.lit(MARCH))
        lake.replace_days(workload.name, DECISIONS, frame, Days.one(MARCH))
        return DecidedDays(lake, workload, lambda _: workload.spec.policy)

    return of


def test_cases_that_a_canary_took_are_not_the_champions(decided: Decided) -> None:
    outcomes = pl.DataFrame({"case_key": ["case 0", "case 2"], "label": [True, False]})
    cohort = decided(STAGES).cohort(MARCH, outcomes)
    assert cohort.pairs["case_key"].to_list() == ["case 0", "case 1"]
    assert decided(["canary"]).cohort(MARCH, outcomes).cases == 0
    assert decided(STAGES).unscored(MARCH) == (1, 3), "whether cases could be scored is asked of all"


def test_what_is_off_for_a_model_that_is_not_off_itself_is_all_but_the_models() -> None:
    every = [SwitchedOff(switch, "o", "w") for switch in (WORKLOAD, of_action("notify"), of_model(1))]
    left = Off.of(every).but_models
    assert (left.workload, left.actions, left.models) == (True, {"notify"}, set())


@pytest.mark.parametrize(
    ("stages", "off", "expected"),
    [
        (STAGES[:2], Off(), True),
        (STAGES[:2], Off((SwitchedOff(of_action("notify"), "o", "w"),)), True),
        (STAGES[:2], Off((SwitchedOff(of_model(1), "o", "w"),)), False),
        (STAGES[:2], Off((SwitchedOff(WORKLOAD, "o", "w"),)), False),
        (STAGES, Off(), False),
    ],
)
def test_a_day_with_a_canary_or_a_model_off_says_nothing_of_the_champion(
    workload: Workload, settings: Settings, decided: Decided, stages: Sequence[str | None], off: Off, expected: bool
) -> None:
    days = decided(stages)
    with store.opened(settings) as ledger:
        told = Happened("decided", {"switches_off": off.as_data()}, NOW)
        ledger.append(stream(workload.name, MARCH), 0, [told])
        past = Past(workload, days.lake, settings, ledger, days)
        assert past.was_the_champions(MARCH) is expected
