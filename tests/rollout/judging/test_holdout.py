"""The holdout, the plan, and what of a candidate is checked without it: signature, sameness, cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from automation.rollout.judging import gates
from automation.rollout.judging.cost import Cost
from automation.rollout.judging.findings import Ran
from automation.rollout.judging.holdout import (
    Holdout,
    SliceColumnError,
    TooLittleHeldOutError,
    days_before,
    held_out,
)
from automation.rollout.judging.plan import JudgingPlan
from automation.rollout.judging.reproducing import NotTheSameRowsError, reproduced
from automation.rollout.judging.signature import Served, fitted
from automation.rollout.plan import RolloutPlan
from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.rollout.sandbox.mlmodel import Column, Signature
from automation.workload import Workload
from tests.rollout.conftest import spec

PLAN = JudgingPlan(least_cases=100, least_slice_cases=30, slices=("hour", "season", "origin", "origin_code"))
AS_OF = date(2013, 6, 8)


# ---------------------------------------------------------------- the plan


def test_what_is_declared_under_judging_reaches_the_rollout_plan() -> None:
    assert RolloutPlan().judging == JudgingPlan()
    declared = spec(judging={"slices": ["carrier", "hour"], "rate": 0.05}).rollout.judging
    assert declared.slices == ("carrier", "hour")
    # Calibration, the whole, the slices and dollars: each proven at the rate.
    assert declared.false_refusals == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"least_days": 30}, "least_days is 30, but only 28 days are held out: nothing would ever be judged"),
        ({"least_slice_cases": 2000}, "least_slice_cases is 2000, more than the 1000 cases that a whole holdout needs"),
        ({"slices": ["hour", "hour"]}, "slices names hour twice"),
        ({"rate": 0.0001}, "greater than or equal to 0.002"),
        ({"slowest": 0}, "greater than 0"),
        ({"slice_margins": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_judging_plan_is_refused_in_plain_words(declared: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec(judging=declared)


# ---------------------------------------------------------------- the holdout


def tables(per_day: int = 20) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Cases, usable vectors of all but every fifth, and labels of all but every seventh, in no order."""
    days = list(days_before(AS_OF, PLAN))
    total = len(days) * per_day
    number = pl.int_range(total, eager=True)
    day = pl.Series("day", [days[n // per_day] for n in range(total)])
    cases = pl.DataFrame(
        {
            "flight_id": [f"F{n:05}" for n in range(total)],
            "event_time": pl.Series(
                [datetime.combine(day[n], time(10), UTC) + timedelta(hours=n % per_day) for n in range(total)],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "origin": [("EWR", "JFK", None)[n % 3] for n in range(total)],
            "day": day,
        }
    )
    vectors = cases.select("flight_id", "event_time", origin_code=number % 3, departure_delay_mean_3h=number / 7.0)
    labels = cases.select("flight_id", label=number % 4 == 0)
    return cases.reverse(), vectors.filter(number % 5 != 0), labels.filter(number % 7 != 0)


def test_every_case_is_in_the_holdout_and_judged_is_what_is_scored_and_known(workload: Workload) -> None:
    cases, usable, labels = tables()
    held = held_out(workload, cases, usable, labels, PLAN)
    assert isinstance(held, Holdout)
    assert held.cases.height == cases.height == 560
    assert held.cases["case_key"].is_sorted()
    assert held.days == tuple(days_before(AS_OF, PLAN))
    assert held.usable.sum() == usable.height
    assert held.known.sum() == labels.height
    assert held.judged.tolist() == [n for n in range(560) if n % 5 and n % 7]
    assert held.label.tolist() == [int(n % 4 == 0) for n in range(560) if n % 5 and n % 7]
    assert held.vectors["origin_code"].null_count() == 560 - usable.height


def test_probabilities_are_placed_by_case_whatever_order_they_come_in(workload: Workload) -> None:
    cases, usable, labels = tables()
    holdout = held_out(workload, cases, usable, labels, PLAN)
    keys = holdout.cases["case_key"]
    given = np.linspace(0, 1, len(keys))
    shuffled = np.random.default_rng(3).permutation(len(keys))[1:]
    placed = holdout.placed(keys[shuffled], given[shuffled])
    missing = np.isnan(placed)
    assert missing.sum() == 1
    assert np.array_equal(placed[~missing], given[~missing])


def test_slices_are_by_local_hour_season_and_any_column_with_missing_ones_among_themselves(workload: Workload) -> None:
    held = held_out(workload, *tables(), PLAN)
    assert held.slices["hour"][:3].to_list() == ["06:00", "07:00", "08:00"]
    assert set(held.slices["season"]) == {"March to May", "June to August"}
    assert set(held.slices["origin"]) == {"EWR", "JFK", "missing"}
    assert set(held.slices["origin_code"]) == {"0", "1", "2", "missing"}


def test_a_column_that_cannot_be_sliced_by_is_refused(workload: Workload) -> None:
    with pytest.raises(SliceColumnError, match="slices by 'airline', which is neither a column of the cases nor"):
        held_out(workload, *tables(), PLAN.model_copy(update={"slices": ("airline",)}))
    with pytest.raises(SliceColumnError, match="'departure_delay_mean_3h', which has 449 values here: too many"):
        held_out(workload, *tables(), PLAN.model_copy(update={"slices": ("departure_delay_mean_3h",)}))


def test_too_little_to_judge_by_is_refused(workload: Workload) -> None:
    cases, usable, labels = tables()
    short = cases.filter(pl.col("day") >= AS_OF - timedelta(days=9))
    with pytest.raises(TooLittleHeldOutError, match=r"of 9 days are held out .* at least 100 of 10"):
        held_out(workload, short, usable, labels, PLAN)
    with pytest.raises(TooLittleHeldOutError, match=r"of 28 days are held out .* at least 1,000 of 10"):
        held_out(workload, cases, usable, labels, PLAN.model_copy(update={"least_cases": 1000}))
    alike = labels.with_columns(label=pl.lit(value=False))
    with pytest.raises(TooLittleHeldOutError, match="cases held out came out alike: nothing to tell apart"):
        held_out(workload, cases, usable, alike, PLAN)


# ---------------------------------------------------------------- signature


def takes(*columns: tuple[str, str]) -> Signature:
    return Signature(tuple(Column(name, kind, required=True) for name, kind in columns))


def test_a_signature_of_features_by_their_types_fits(workload: Workload) -> None:
    fit = fitted(
        takes(("distance_miles", "long"), ("temperature_f", "double"), ("origin_code", "float")), Served.of(workload)
    )
    assert fit.problems == ()
    assert fit.takes == ("distance_miles", "temperature_f", "origin_code")
    assert "carrier_code" in fit.leaves
    assert gates.fits(fit, None).passed
    assert gates.fits(fit, None).says.startswith("It takes 3 features of flight_disruption_v1. It leaves carrier_code,")


def test_every_feature_of_the_pilot_may_be_taken_as_a_float(workload: Workload) -> None:
    fit = fitted(takes(*((name, "double") for name in workload.model_features)), Served.of(workload))
    assert (fit.problems, fit.takes, fit.leaves) == ((), workload.model_features, ())


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (("humidity", "double"), "It takes humidity, which flight_disruption_v1 does not have."),
        (("origin_code", "string"), "It takes origin_code as string, which is Int64 here."),
        (("temperature_f", "long"), "It takes temperature_f as long, which is Float64 here."),
        (("flight_id", "string"), "It takes flight_id, which a model may not see"),
        (("event_time", "datetime"), "It takes event_time, which a model may not see"),
        (("tail_number", "string"), "It takes tail_number, which a model may not see"),
        (("distance_miles", "double"), "It takes distance_miles twice."),
    ],
)
def test_each_column_that_does_not_fit_is_named_with_why(
    workload: Workload, column: tuple[str, str], says: str
) -> None:
    fit = fitted(takes(("distance_miles", "double"), column), Served.of(workload))
    assert len(fit.problems) == 1
    assert fit.problems[0].startswith(says)
    assert not gates.fits(fit, None).passed


def test_a_whole_number_that_may_be_missing_is_not_taken_as_one(workload: Workload) -> None:
    served = Served.of(workload)
    missing = next(each for each in served.features if not each.required and each.dtype.is_integer())
    [problem] = fitted(takes(("distance_miles", "long"), (missing.name, "long")), served).problems
    assert problem == f"It takes {missing.name} as long, which has no missing values; here some are missing."


def test_a_model_of_something_else_has_nothing_in_common(workload: Workload) -> None:
    fit = fitted(takes(("sepal", "double"), ("petal", "double")), Served.of(workload))
    assert fit.problems[0] == "It takes nothing that flight_disruption_v1 has: sepal, petal."
    assert fitted(Signature(()), Served.of(workload)).problems == (
        "It takes nothing that flight_disruption_v1 has: no column at all.",
    )


# ---------------------------------------------------------------- the same again


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.data())
def test_one_bit_in_one_row_is_enough_to_be_told(values: list[float], data: st.DataObject) -> None:
    batch = np.array(values)
    rows = np.arange(len(batch))
    assert reproduced(batch, batch.copy(), rows, batch.copy()).equal
    row = data.draw(st.integers(0, len(batch) - 1))
    other = batch.copy()
    other.view(np.uint64)[row] ^= np.uint64(1)
    for found, differs in (
        (again := reproduced(batch, other, rows, batch), again.again),
        (alone := reproduced(batch, batch, rows, other), alone.by_itself),
    ):
        assert not found.equal
        assert differs is not None
        assert (differs.row, differs.rows) == (row, 1)
        assert f"the first is row {row}, {float(other[row])!r} instead of {float(batch[row])!r}" in found.says


def test_the_row_that_is_named_is_the_row_of_the_batch() -> None:
    found = reproduced(np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.2, 0.3]), np.array([2, 0]), np.array([0.3, 0.4]))
    assert found.says == (
        "1 of 2 rows came out otherwise alone than among the others: the first is row 0, 0.4 instead of 0.1."
    )
    # Equal to the eye, and not to the ledger.
    assert not reproduced(np.array([0.0]), np.array([-0.0]), np.array([0]), np.array([0.0])).equal


def test_nothing_predicted_reproduces_nothing() -> None:
    empty = np.array([])
    with pytest.raises(NotTheSameRowsError):
        reproduced(empty, empty, empty.astype(int), empty)
    with pytest.raises(NotTheSameRowsError):
        reproduced(np.zeros(3), np.zeros(2), np.array([0]), np.zeros(1))


# ---------------------------------------------------------------- cost and running


def ran(workload: Workload, cost: Cost, again: float = 0.5) -> Ran:
    batch = np.full(4, 0.5)
    fit = fitted(takes(("distance_miles", "double")), Served.of(workload))
    return Ran(fit, reproduced(batch, np.full(4, again), np.array([0]), batch[:1]), cost)


def test_a_candidate_that_runs_as_it_should_passes_the_gates_on_it(workload: Workload) -> None:
    told = gates.on_run(ran(workload, Cost(20_000, 6.0, 300 * 1024**2)), JudgingPlan(), "2013-06-08")
    assert [each.gate for each in told] == list(gates.RUN_GATES)
    assert all(each.passed for each in told)
    assert told[-1].says == (
        "20,000 cases in 6.00 s, start included: 0.3 ms a case; 300 MiB of memory at most, Python and its packages "
        "included."
    )


@pytest.mark.parametrize(
    ("cost", "again", "gate", "says"),
    [
        (Cost(1000, 9.0, 1), 0.5, gates.FAST_ENOUGH, "9 ms a case is more than 5."),
        (Cost(0, 1.0, 1), 0.5, gates.FAST_ENOUGH, "inf ms a case is more than 5."),
        (Cost(1000, 1.0, 3 * 1024**3), 0.5, gates.FAST_ENOUGH, "3,072 MiB is more than 2,048 MiB."),
        (Cost(1000, 1.0, 1), 0.25, gates.REPRODUCIBLE, "4 of 4 rows came out otherwise in another process"),
    ],
)
def test_what_is_wrong_fails_its_gate_alone(workload: Workload, cost: Cost, again: float, gate, says: str) -> None:
    told = gates.on_run(ran(workload, cost, again), JudgingPlan(), None)
    assert [each.gate for each in told if not each.passed] == [gate]
    assert next(each for each in told if not each.passed).says.startswith(says)


def test_a_model_that_failed_is_told_how_and_what_to_do() -> None:
    told = gates.failed(ModelFailedError(Failure.TIMED_OUT, "timed out after 20 s, while predicting"), None)
    assert (told.gate, told.passed) == (gates.RUNS, False)
    assert told.says == (
        "It failed (timed out): timed out after 20 s, while predicting. Make it faster, or raise the limit on time if "
        "the workload can wait."
    )
