"""Law 2: whatever is wrong with a case's input, it gets the safe action and a person, and says why."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import polars as pl
import pytest

from assets.stages.vectors import vectors
from automation.policy.bundle import working
from automation.policy.deciding import Day, decide
from contracts.contract import LogicalType
from contracts.enforcement import enforce

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
KEY = "2013-06-01:UA1:EWR"


# ---------------------------------------------------------------- the vector, up to the decision


def clean_vector(workload) -> dict[str, object]:
    """A vector that keeps its contract: the least allowed of every number."""
    contract = workload.contract(workload.spec.model.contract)
    values: dict[str, object] = {}
    for column in contract.columns:
        match column.type:
            case LogicalType.STRING:
                values[column.name] = KEY if column.name == "flight_id" else "N1000A"
            case LogicalType.TIMESTAMP:
                values[column.name] = NOON
            case LogicalType.INTEGER:
                values[column.name] = int(column.minimum or 0) if column.name != "seats" else 100
            case _:
                values[column.name] = float(column.minimum or 0)
    return values


@pytest.fixture
def split(workload, monkeypatch: pytest.MonkeyPatch):
    """Vectors of cases whose features Feast gave back as in the frame."""

    def run(frame: pl.DataFrame):
        monkeypatch.setattr("feature_repo.store.historical_features", lambda *_: frame)
        cases = pl.DataFrame({"flight_id": [KEY] * frame.height, "event_time": [NOON] * frame.height})
        return vectors(None, workload, cases)

    return run


def frame_with(workload, **changes: object) -> pl.DataFrame:
    contract = workload.contract(workload.spec.model.contract)
    values = {**clean_vector(workload), **changes}
    types = {
        name: contract.schema[name] if value is None or name not in changes else None for name, value in values.items()
    }
    return pl.DataFrame(
        [pl.Series(name, [value], dtype=types.get(name), strict=False) for name, value in values.items()]
    )


def test_a_clean_vector_is_usable(workload, split) -> None:
    found = split(frame_with(workload))
    assert (found.usable.height, found.broken.height) == (1, 0)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param({"tail_number": None}, "tail_number: required", id="null tail number"),
        pytest.param({"tail_number": "n/a"}, "tail_number: pattern", id="garbled tail number"),
        pytest.param({"origin_code": None}, "origin_code: required", id="unknown category"),
        pytest.param({"carrier_code": 99}, "carrier_code: maximum 15", id="category out of range"),
        pytest.param({"visibility_miles": math.nan}, "visibility_miles: finite", id="NaN"),
        pytest.param({"visibility_miles": math.inf}, "visibility_miles: finite", id="infinite"),
        pytest.param({"visibility_miles": -math.inf}, "visibility_miles: finite", id="minus infinite"),
        pytest.param({"visibility_miles": "clear"}, "visibility_miles: type number", id="a word for a number"),
        pytest.param({"departure_minute": 4000}, "departure_minute: maximum 1439", id="number out of range"),
        pytest.param({"departure_minute": 1.5}, "departure_minute: type integer", id="a fraction for a whole number"),
    ],
)
def test_a_vector_that_breaks_its_contract_is_not_scored_and_says_why(workload, split, change, rule) -> None:
    found = split(frame_with(workload, **change))
    assert found.usable.is_empty()
    [row] = found.broken.iter_rows(named=True)
    assert row["flight_id"] == KEY
    assert rule in json.loads(row["problems"])
    decision = one_decision_of(workload, row["problems"])
    assert (decision["action"], decision["status"]) == (workload.spec.policy.safe_action, "review")
    assert f"not scored: {rule}" in json.loads(decision["review_reasons"])


def test_a_vector_that_lacks_a_column_is_not_scored(workload, split) -> None:
    found = split(frame_with(workload).drop("visibility_miles"))
    assert found.usable.is_empty()
    assert "visibility_miles: missing column" in json.loads(found.broken["problems"][0])


def test_every_case_is_usable_or_broken_and_none_is_both(workload, split) -> None:
    good, bad = frame_with(workload), frame_with(workload, tail_number=None)
    other = good.with_columns(flight_id=pl.lit("2013-06-01:UA2:EWR"))
    found = split(pl.concat([good.with_columns(flight_id=pl.lit("2013-06-01:UA3:EWR")), bad, other]))
    assert found.usable["flight_id"].to_list() == ["2013-06-01:UA3:EWR", "2013-06-01:UA2:EWR"]
    assert found.broken["flight_id"].to_list() == [KEY]


def one_decision_of(workload, problems: str) -> dict:
    day = Day(
        workload.name,
        pl.DataFrame(
            {"case_key": [KEY], "event_time": [NOON], "probability": [None], "problems": [problems]},
            schema_overrides={"probability": pl.Float64, "event_time": pl.Datetime("us", "UTC")},
        ),
        pl.DataFrame({"seats": [100.0]}),
        pl.DataFrame({"distance_miles": [None]}, schema={"distance_miles": pl.Float64}),
        pl.DataFrame({"origin": ["EWR"]}),
        workload.calendar.timezone,
    )
    return decide(day, working(workload), {}, {}).row(0, named=True)


@pytest.mark.parametrize("table", ["decisions", "scores"])
def test_a_decision_table_lets_no_unscored_automation_through(workload, table: str) -> None:
    contract = workload.contract(table)
    row = {name: [None] for name in contract.schema}
    frame = pl.DataFrame(row, schema=contract.schema).with_columns(
        case_key=pl.lit("a"),
        event_time=pl.lit(NOON, pl.Datetime("us", "UTC")),
        known_time=pl.lit(NOON, pl.Datetime("us", "UTC")),
        features=pl.lit("{}"),
    )
    if table == "scores":
        frame = frame.with_columns(problems=pl.lit("[]"))
        rule = "row: scored_or_explained"
    else:
        frame = frame.with_columns(action=pl.lit("proceed"), status=pl.lit("automated"))
        rule = "row: automated_needs_a_score"
    split = enforce(frame, contract)
    assert split.valid.is_empty()
    assert rule in split.quarantined["rules"][0]
