"""The drift plan: what a workload may declare."""

from __future__ import annotations

import pydantic
import pytest

from automation.drift.plan import Cause, DriftPlan
from tests.rollout.conftest import spec


def test_an_empty_plan_watches_everything_and_left_out_it_watches_nothing() -> None:
    assert DriftPlan().causes == (Cause.HARM, Cause.INPUTS)
    assert spec().drift is not None, "the pilot is watched"
    assert spec().model_copy(update={"drift": None}).drift is None


@pytest.mark.parametrize(
    "wrong", [{"causes": ["harm", "harm"]}, {"causes": ["estimate"]}, {"repaired_days": -1}, {"nothing": 1}]
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        DriftPlan.model_validate(wrong)
