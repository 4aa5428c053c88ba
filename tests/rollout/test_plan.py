"""The rollout plan as declared: what it says when left out, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from automation.rollout.plan import AliasMoved, RolloutPlan
from tests.rollout.conftest import spec


def test_left_out_a_candidate_that_passes_its_gates_is_promoted_at_once() -> None:
    plan = spec().rollout
    assert plan == RolloutPlan()
    assert (plan.shadow, plan.canary, plan.approvals_needed) == (False, False, 0)
    assert plan.alias_moved is AliasMoved.RESTORE


def test_the_canary_grows_by_the_declared_shares_and_then_is_champion() -> None:
    plan, seen = RolloutPlan(), [None]
    while (share := plan.wider(seen[-1])) is not None:
        seen.append(share)
    assert seen == [None, 1, 5, 25, 50]


def test_the_approvals_are_those_of_the_materiality() -> None:
    declared = {"approvals": {"medium": 1, "high": 3}}
    needed = {tier: spec(materiality=tier, **declared).rollout.approvals_needed for tier in ("low", "medium", "high")}
    assert needed == {"low": 0, "medium": 1, "high": 3}


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"shares": []}, "at least 1 item"),
        ({"shares": [5, 5]}, "shares must rise from stage to stage: 5, 5"),
        ({"shares": [25, 5]}, "shares must rise from stage to stage: 25, 5"),
        ({"shares": [50, 100]}, "a canary's share is more than 0 and less than 100 percent, not 100"),
        ({"approvals": {"low": 2}}, "approvals must not fall as materiality rises: low 2, medium 1, high 2"),
        ({"materiality": "vast"}, "Input should be 'low', 'medium' or 'high'"),
        ({"alias_moved": "ignore"}, "Input should be 'restore' or 'adopt'"),
        ({"canaries": True}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_plan_is_refused_in_plain_words(declared: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec(**declared)
