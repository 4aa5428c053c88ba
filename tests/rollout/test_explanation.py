"""Why a version is not live, in a paragraph: of each state, with its gates and what the plan has next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automation.rollout import promotion
from automation.rollout.explanation import Gates, GateStands, paragraph
from automation.rollout.machine import Champion, UnknownModelVersionError
from automation.rollout.plan import RolloutPlan
from automation.rollout.rollback import roll_back
from automation.settings import Settings
from automation.workload import Workload
from tests.rollout.conftest import APRIL, MARCH, MAY, NAME, NOW, OPERATOR, standing

Made = Callable[..., Champion]
AT_ONCE = RolloutPlan()


def says(settings: Settings, version: int, plan: RolloutPlan = AT_ONCE, gates: Gates | None = None) -> str:
    return paragraph(standing(settings), version, plan, gates or Gates())


def test_of_a_champion_and_of_those_it_replaced_or_that_were_rolled_back(
    settings: Settings, workload: Workload, promoted: Made
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    assert says(settings, 2) == (
        "Version 2 of flight_disruption, of 2013-04-01, is champion. It is live: it decides from 2013-04-01 on. It was "
        "promoted by warrant, because: it passed its gates."
    )
    assert says(settings, 1) == (
        "Version 1 of flight_disruption, of 2013-03-01, is retired. It is not live: it decided from 2013-03-01 on, "
        "until version 2 was promoted as of 2013-04-01. A rollback can bring it back."
    )
    roll_back(settings, workload, by=OPERATOR, why="it misses evenings.", as_of=MAY, views=dict, now=lambda: NOW)
    assert says(settings, 2) == (
        "Version 2 of flight_disruption, of 2013-04-01, is rolled back. It is not live: M. Okafor rolled it back to "
        "version 1, which decides from 2013-05-01 on, because: it misses evenings. A version that was rolled back "
        "stays so; train another."
    )
    assert "It was brought back by M. Okafor, because: it misses evenings." in says(settings, 1)


def test_of_one_promoted_for_days_in_between(settings: Settings, promoted: Made) -> None:
    promoted(1, MARCH)
    promoted(3, MAY)
    promoted(2, APRIL)
    assert says(settings, 2).endswith(
        "It is not live: it decides from 2013-04-01 on, but version 3 does from the later day 2013-05-01 on."
    )
    assert "until version 3 was promoted as of 2013-05-01" in says(settings, 1)


def test_of_one_whose_gates_hold_it_back(settings: Settings) -> None:
    promotion.register(settings, NAME, Champion(NAME, 1, "d" * 64, MARCH), {}, NOW)
    failed = GateStands("calibrated", "failed", open=False, says="Calibration error 0.110, at most 0.050.")
    passed = GateStands("no_leak", "passed", open=True, says="The strongest feature alone is delay.")
    never = GateStands("beats_base_rate", "never run", open=False, says="")
    assert says(settings, 1, gates=Gates((failed, passed))) == (
        "Version 1 of flight_disruption, of 2013-03-01, is registered. It is not live: a gate holds it back: "
        "calibrated failed: Calibration error 0.110, at most 0.050."
    )
    assert says(settings, 1, gates=Gates((failed, never))).endswith(
        "2 gates hold it back: calibrated failed: Calibration error 0.110, at most 0.050; beats_base_rate was never "
        "run."
    )
    assert says(settings, 1).endswith("its gates were not judged yet.")
    assert "champion of 2013-03-01 was not materialized since" in says(settings, 1, gates=Gates((passed,)))
    assert says(settings, 1, gates=Gates(replaced_by=4)).endswith(
        "the candidate of 2013-03-01 was trained again since and is version 4 now."
    )


def test_of_one_that_is_under_way_with_what_the_plan_has_next(settings: Settings, promoted: Made, gated: Made) -> None:
    promoted(1, MARCH)
    gated(2, APRIL)
    plan = RolloutPlan(shadow=True, canary=True, materiality="high")
    waits = " A promotion needs 2 approvals (high materiality) and has 0."
    assert says(settings, 2, plan) == (
        "Version 2 of flight_disruption, of 2013-04-01, is gated. It is not live: it passed its gates, and version 1 "
        f"decides. The plan has it score beside the champion next.{waits}"
    )
    promotion.shadow(settings, NAME, 2, as_of=APRIL, why="planned", now=NOW)
    proven = ", once its outcomes prove it better."
    assert says(settings, 2, plan).endswith(
        "It is not live: it scores beside the champion from 2013-04-01 on, to no effect, and version 1 decides. The "
        f"plan has it decide 1% of the cases next{proven}{waits}"
    )
    promotion.canary(settings, NAME, 2, 50, as_of=MAY, why="planned", evidence={}, now=NOW)
    promotion.approve(settings, NAME, 2, by="A. Jensen", why="fine", now=NOW)
    assert says(settings, 2, plan).endswith(
        "it decides 50% of the cases from 2013-05-01 on, as a canary, and version 1 decides. The plan has it promoted "
        f"next{proven} A promotion needs 2 approvals (high materiality) and has 1: A. Jensen."
    )
    promotion.abort(settings, NAME, 2, as_of=MAY, by="A. Jensen", why="it is slow", now=NOW)
    assert says(settings, 2, plan).endswith(
        "is aborted. It is not live: A. Jensen aborted it in the state canary, because: it is slow. A version that was "
        "aborted stays so; train another."
    )


def test_of_one_that_nobody_registered(settings: Settings) -> None:
    with pytest.raises(UnknownModelVersionError, match="knows no version 7"):
        says(settings, 7)
