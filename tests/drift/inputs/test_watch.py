"""A model's inputs under watch: what is found in whole days, and that a watch survives being stopped."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from automation.drift.inputs import betting, chart
from automation.drift.inputs.plan import InputPlan
from automation.drift.inputs.state import as_bytes, of_bytes
from automation.drift.inputs.watch import Inputs, MissingFeatureError
from automation.drift.inputs.words import inputs_say
from automation.drift.watch_state import NotInOrderError, OtherStateError

FIRST = date(2020, 1, 1)
FEATURES = ("delay", "seats", "carrier", "gate")
PLAN = InputPlan(scale_days=3, learn_days=20, bag_days=60, categories=("gate",))


def cases(number: int, *, delay: float = 0.0, missing: float = 0.1, favour: float = 0.5) -> pl.DataFrame:
    """A day whose cases have something in common."""
    random = np.random.default_rng(number)
    count = int(random.integers(60, 90))
    common = random.normal()
    return pl.DataFrame(
        {
            "key": [f"{number}-{at}" for at in range(count)],
            "delay": random.normal(10 + 3 * (common + delay), 9, count),
            "seats": pl.Series(random.integers(50, 200, count))
            .to_frame()
            .select(pl.when(pl.Series(random.random(count) < missing)).then(None).otherwise(pl.first()).alias("seats"))[
                "seats"
            ],
            "carrier": np.where(random.random(count) < favour, "AA", random.choice(["DL", "UA"], count)),
            "gate": random.integers(1, 4, count),
        }
    )


def watched(days: int, changed: Callable[[int], dict], plan: InputPlan = PLAN) -> Inputs:
    inputs = Inputs.started(plan, FEATURES)
    for number in range(days):
        inputs = inputs.after(FIRST + timedelta(days=number), cases(number, **changed(number)))
    return inputs


def test_nothing_is_said_to_have_changed_where_nothing_has() -> None:
    inputs = watched(70, lambda _: {})
    assert inputs.rejected == ()
    assert "none of 4 inputs has changed" in inputs_say(inputs)


@pytest.mark.parametrize(
    ("feature", "part", "change"),
    [
        ("delay", "values", {"delay": 3}),
        ("seats", "missing", {"missing": 0.4}),
        ("carrier", "spread", {"favour": 0.9}),
    ],
)
def test_what_has_changed_is_named_alone_and_how(feature: str, part: str, change: dict) -> None:
    inputs = watched(75, lambda number: change if number >= 50 else {})
    assert inputs.rejected == (feature,)
    first = inputs.evidence()[0]
    assert first.part == part
    assert first.since is not None
    assert abs((first.since - FIRST).days - 50) <= 5
    assert inputs.changed[feature] > FIRST + timedelta(days=50)
    assert "1 of 4 inputs has changed" in inputs_say(inputs)
    assert f"{feature}: the evidence that" in inputs_say(inputs)


def test_the_same_days_give_the_same_bytes_wherever_the_watch_is_stopped() -> None:
    plan = PLAN.model_copy(update={"seasonal": ("delay",)})
    straight, resumed = Inputs.started(plan, FEATURES), Inputs.started(plan, FEATURES)
    for number in range(40):
        day, rows = FIRST + timedelta(days=number), cases(number)
        straight = straight.after(day, rows)
        resumed = of_bytes(as_bytes(resumed), plan).after(day, rows)
        assert as_bytes(straight) == as_bytes(resumed)
    assert straight.evidence() == resumed.evidence()


def test_the_state_stops_growing() -> None:
    inputs = watched(60, lambda _: {}, PLAN.model_copy(update={"bag_days": 60}))
    sizes = set()
    for number in range(60, 100):
        inputs = inputs.after(FIRST + timedelta(days=number), cases(number))
        if number > 85:
            sizes.add(len(inputs.bag))
    assert sizes == {60}


def test_days_are_shown_once_in_order() -> None:
    inputs = watched(5, lambda _: {})
    for wrong in (4, 6):
        with pytest.raises(NotInOrderError, match="Show each day once"):
            inputs.after(FIRST + timedelta(days=wrong), cases(9))


def test_a_day_with_too_few_cases_is_shown_and_changes_nothing_else() -> None:
    inputs = watched(30, lambda _: {})
    after = inputs.after(FIRST + timedelta(days=30), cases(1).head(0))
    assert after.day == FIRST + timedelta(days=30)
    assert (after.shown, len(after.bag)) == (inputs.shown, len(inputs.bag))
    assert after.wealth is inputs.wealth


def test_features_must_be_there() -> None:
    with pytest.raises(MissingFeatureError, match="lack gate"):
        Inputs.started(PLAN, FEATURES).after(FIRST, cases(0).drop("gate"))
    with pytest.raises(MissingFeatureError, match="no such feature"):
        Inputs.started(PLAN, ("delay",))
    with pytest.raises(MissingFeatureError, match="each once"):
        Inputs.started(InputPlan(), ("delay", "delay"))


def test_a_state_under_another_plan_or_of_something_else_is_refused() -> None:
    text = as_bytes(watched(25, lambda _: {}))
    with pytest.raises(OtherStateError, match="another plan"):
        of_bytes(text, PLAN.model_copy(update={"rate": 0.1}))
    for other in (
        b"",
        b"[]",
        b"{}",
        text.replace(b'"format":1', b'"format":2'),
        text.replace(b'"features":[', b'"features":["a",'),
    ):
        with pytest.raises(OtherStateError, match="not the state"):
            of_bytes(other, PLAN)


def test_numbers_that_are_all_missing_and_infinite_ones_are_borne() -> None:
    inputs = Inputs.started(PLAN, FEATURES)
    for number in range(30):
        rows = cases(number).with_columns(
            pl.lit(None, dtype=pl.Float64).alias("delay"),
            pl.when(pl.int_range(pl.len()) % 9 == 0).then(float("inf")).otherwise(pl.col("seats")).alias("seats"),
        )
        inputs = inputs.after(FIRST + timedelta(days=number), rows)
    assert inputs.rejected == ()
    assert not inputs.is_learning


def test_a_plan_that_cannot_hold_is_refused() -> None:
    for wrong in ({"rate": 0}, {"learn_days": 365}, {"seasonal": ("a", "a")}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            InputPlan.model_validate(wrong)


def test_the_evidence_is_drawn_with_what_is_needed() -> None:
    inputs, history = Inputs.started(PLAN, FEATURES), []
    for number in range(30):
        inputs = inputs.after(FIRST + timedelta(days=number), cases(number))
        history += inputs.evidence()
    drawn = chart.evidence(history, PLAN, "Inputs")
    assert drawn.startswith("<svg")
    assert "80 to 1, alone" in drawn
    assert all(feature in drawn for feature in FEATURES)


def test_a_day_is_ranked_among_all_days_before_it() -> None:
    """Ranked among the first days only, what was odd about them would seem to be a change."""
    before = watched(35, lambda _: {})
    after = before.after(FIRST + timedelta(days=35), cases(35))
    drawn = betting.draws(after.numbers, before.shown, PLAN.seed)
    p = betting.p_values(after.bag[:-1], after.bag[-1], drawn)
    assert len(after.bag) == 33
    expected = before.wealth.after(betting.scores(p, after.discount), 0)
    assert after.wealth.sums == pytest.approx(expected.sums)
