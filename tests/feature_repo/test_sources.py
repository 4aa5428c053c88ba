"""Where features come from: Feast's views for plain ones, the source of the function for those computed on demand."""

from __future__ import annotations

import textwrap

import pytest

from feature_repo.sources import CASE, UnknownServiceError, feature_sources
from feature_repo.transformation import inputs_of

GIVEN = {"seats", "year", "ready", "asked"}


def made_from(body: str) -> dict[str, set[str]]:
    """What outputs x and y of a function with this body are made from."""
    source = "def computed(inputs):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return {name: set(found) for name, found in inputs_of(source, GIVEN, ["x", "y"]).items()}


@pytest.mark.parametrize(
    ("body", "x", "y"),
    [
        (
            """
            result = pd.DataFrame(index=inputs.index)
            result["x"] = inputs["seats"] * 2
            result["y"] = inputs.ready - inputs["asked"]
            return result
            """,
            {"seats"},
            {"ready", "asked"},
        ),
        (
            """
            def hours(column):
                return pd.to_datetime(inputs[column]).dt.hour
            late = hours("ready")
            result = pd.DataFrame()
            result["x"] = late - hours("asked")
            result["y"] = result["x"] + inputs["seats"]
            return result
            """,
            {"ready", "asked"},
            {"ready", "asked", "seats"},
        ),
        ('return pd.DataFrame({"x": inputs["seats"], "y": inputs["year"]})', {"seats"}, {"year"}),
        # A condition decides what every output is.
        (
            """
            result = pd.DataFrame()
            if inputs["year"].max() > 2000:
                result["x"] = inputs["seats"]
            result["y"] = inputs["ready"]
            return result
            """,
            {"seats", "year"},
            {"ready", "year"},
        ),
        # What cannot be followed reads everything.
        ("return inputs.apply(lambda row: row, axis=1)", GIVEN, GIVEN),
        ('frame = inputs\nresult = frame.copy()\nresult["x"] = 1\nreturn result', GIVEN, GIVEN),
        (
            """
            result = pd.DataFrame()
            for name in names():
                result[name] = inputs[name]
            return result
            """,
            GIVEN,
            GIVEN,
        ),
        (
            """
            result = pd.DataFrame()
            result["x"] = inputs["seats"]
            result.loc[inputs["year"] > 2000, "x"] = 0
            result["y"] = inputs["ready"]
            return result
            """,
            {"seats", "year"},
            {"ready", "year"},
        ),
    ],
)
def test_each_output_of_a_function_names_the_inputs_it_is_made_from(body: str, x: set[str], y: set[str]) -> None:
    assert made_from(body) == {"x": x, "y": y}


def test_a_feature_computed_on_demand_is_traced_through_the_function_to_tables_and_the_case() -> None:
    found = {source.name: source for source in feature_sources("flight_disruption", "flight_disruption_v1")}
    slack = found["rotation_slack_minutes"]
    assert slack.view == "at_decision"
    assert slack.reads == {("aircraft_rotation", "rotation_ready_time"), (CASE, "scheduled_departure")}
    assert {("aircraft_rotation", "tail_number"), ("aircraft_rotation", "known_time"), (CASE, "tail_number")} <= (
        slack.found_by
    )
    assert found["aircraft_age_years"].reads == {("aircraft", "manufacture_year"), (CASE, "event_timestamp")}
    assert found["visibility_miles"].reads == {("origin_weather", "visibility_miles")}


def test_a_service_that_is_not_defined_is_refused() -> None:
    with pytest.raises(UnknownServiceError, match="no service flight_disruption_v9"):
        feature_sources("flight_disruption", "flight_disruption_v9")
