"""Who reads a column, from raw tables to decisions; and what the platform's own stages are said to read, held true."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from assets.stages.served import served_features
from automation.contract.consumers import described, in_text
from automation.lineage.consumers import Consumers, UnknownColumnError, broken_by, consumers
from automation.lineage.graph import DECISIONS, Kind, Role, column, platform_edges
from automation.lineage.metadata import column_lineage, vector_lineage
from automation.policy.bundle import working
from automation.policy.deciding import Day, decide
from automation.policy.evidence import phrases
from automation.rollout.promotion import Champion
from automation.workload import Workload

CHAMPION = Champion("flight_disruption", 3, "digest", date(2013, 3, 1))


@pytest.fixture(scope="module")
def found(workload: Workload):
    def find(table: str, *columns: str) -> Consumers:
        return consumers(workload, served_features(workload), table, columns or None, CHAMPION)

    return find


def named(found: Consumers, kind: Kind, role: Role | None = None) -> set[str]:
    return {str(node) for node in found.of(kind, role)}


def test_dropping_a_column_says_which_features_model_version_and_decisions_break(workload: Workload) -> None:
    broken = broken_by(workload, "weather", ["visibility_miles"], CHAMPION)
    views = {"origin_weather.visibility_miles", "origin_weather.visibility_miles_3h"}
    assert named(broken, Kind.TABLE) == named(broken, Kind.FEATURE) == views
    assert named(broken, Kind.MODEL) == {
        "flight_disruption.visibility_miles",
        "flight_disruption.visibility_miles_3h",
    }
    assert {"decisions.action", "decisions.probability"} <= named(broken, Kind.DECISION, Role.READS)
    assert broken.breaks().startswith(
        "dropping weather.visibility_miles breaks table columns origin_weather.visibility_miles, "
        "origin_weather.visibility_miles_3h; features origin_weather.visibility_miles, "
        "origin_weather.visibility_miles_3h; champion version 3 of flight_disruption, which sees visibility_miles, "
        "visibility_miles_3h; policy clauses rule notify-saves, rule protect-saves, rule protect-unlikely; "
        "decision columns "
    )


def test_what_breaks_is_known_too_when_the_contract_has_been_changed_already(workload: Workload) -> None:
    before = workload.contract("weather")
    kept = tuple(promised for promised in before.columns if promised.name != "visibility_miles")
    changed = workload.promising(replace(before, columns=kept))
    broken = broken_by(changed, "weather", ["visibility_miles"], CHAMPION, before)
    assert broken == broken_by(workload, "weather", ["visibility_miles"], CHAMPION)
    with pytest.raises(UnknownColumnError):
        broken_by(changed, "weather", ["visibility_miles"], CHAMPION)


def test_the_policy_is_a_consumer_of_what_it_reads(found) -> None:
    # By the stake, and by the probability, which the model makes of the seats among other things.
    by_probability = {"rule notify-saves", "rule protect-saves", "rule protect-unlikely"}
    assert named(found("aircraft", "seats"), Kind.POLICY) == {"stake", "rule protect-dear", *by_probability}
    assert named(found("aircraft", "engines"), Kind.POLICY) == by_probability
    assert "rule protect-late-evening-lga" in named(found("cases", "origin"), Kind.POLICY)
    assert "rule protect-late-evening" in named(found("cases", "event_time"), Kind.POLICY)
    assert "limit protect per origin every day" in named(found("cases", "origin"), Kind.POLICY)
    assert "simple rule" in named(found("flight_status", "delay_minutes"), Kind.POLICY)
    assert "policy clauses rule notify-saves, rule protect-dear, " in found("aircraft", "seats").breaks()


def test_a_key_chooses_rows_and_is_not_said_to_be_read(found) -> None:
    tail = found("flight_status", "tail_number")
    assert named(tail, Kind.TABLE, Role.READS) == {"aircraft_rotation.tail_number"}
    assert "at_decision.rotation_slack_minutes" in named(tail, Kind.FEATURE, Role.ROWS)
    assert not named(tail, Kind.FEATURE, Role.READS)


def test_a_column_that_nothing_reads_can_go(found) -> None:
    assert found("weather", "wind_direction").found == ()
    assert found("weather", "wind_direction").breaks() == "nothing reads weather.wind_direction"


def test_a_column_the_model_must_not_see_is_no_input_of_it(found) -> None:
    assert named(found("feature_vector", "tail_number"), Kind.MODEL) == set()
    assert "scores.problems" in named(found("feature_vector", "tail_number"), Kind.DECISION)


def test_it_is_told_in_words_and_as_json(workload: Workload, found) -> None:
    seats = found("aircraft", "seats")
    text = in_text(workload, seats, [])
    assert "policy    rule notify-saves" in text
    assert "champion: version 3 of flight_disruption, deciding from 2013-03-01 on" in text
    told = json.loads(json.dumps(described(workload, served_features(workload), seats)))
    assert told["champion"] == {"model": "flight_disruption", "version": 3, "from": "2013-03-01"}
    stake = next(each for each in told["columns"]["seats"] if each["name"] == "stake")
    assert stake == {
        "kind": "policy",
        "name": "stake",
        "part": None,
        "role": "reads",
        "via": ["aircraft.seats", "feature_vector.seats"],
    }


@pytest.mark.parametrize(
    ("table", "column", "says"), [("wether", "x", "no table wether"), ("weather", "x", "column x")]
)
def test_what_is_not_there_is_refused_with_what_is(found, table: str, column: str, says: str) -> None:
    with pytest.raises(UnknownColumnError, match=says) as caught:
        found(table, column)
    assert "Choose one of these: " in caught.value.remedy


def test_dagster_is_shown_the_lineage_of_every_column_of_every_computed_table(workload: Workload) -> None:
    def shown(metadata: dict) -> dict[str, set[str]]:
        deps = metadata["dagster/column_lineage"].deps_by_column
        return {name: {f"{d.asset_key.path[1]}.{d.column_name}" for d in of} for name, of in deps.items()}

    for table in (*workload.spec.derived_tables, "decisions", "outcomes"):
        assert set(shown(column_lineage(workload, table))) == set(workload.contract(table).schema)
    scores = shown(vector_lineage(workload, "scores", served_features(workload)))
    assert set(scores) == set(workload.contract("scores").schema)
    assert {"aircraft_rotation.rotation_ready_time", "cases.scheduled_departure"} <= scores["probability"]
    trained = shown(vector_lineage(workload, "training_set", served_features(workload)))
    assert trained["rotation_slack_minutes"] == {"aircraft_rotation.rotation_ready_time", "cases.scheduled_departure"}
    assert trained["label"] == {"labels.label"}
    assert shown(column_lineage(workload, "decisions"))["stake"] == {"scores.features"}
    assert column_lineage(workload, "weather") == {}


def test_every_column_of_the_platforms_tables_is_declared(workload: Workload) -> None:
    declared = {edge.consumer for edge in platform_edges(workload)}
    for table in ("scores", "decisions", "outcomes"):
        made_of_nothing = {"feature_service", "contracts", "policy_version"}
        for name in set(workload.contract(table).schema) - made_of_nothing:
            assert column(table, name) in declared, (table, name)


def test_whatever_changes_in_a_decision_is_said_to_read_what_was_changed(workload: Workload) -> None:
    """Changes one input of `decide` at a time, over random cases."""
    chance, cases = np.random.default_rng(5), 40
    vector = workload.contract(workload.spec.model.contract)
    declared = workload.spec.policy.model_copy(
        update={"limits": tuple(limit.model_copy(update={"at_most": 3}) for limit in workload.spec.policy.limits)}
    )
    policy = replace(working(workload), declared=declared)

    def numbers(names) -> pl.DataFrame:
        return pl.DataFrame({name: chance.uniform(0, 300, cases).round() for name in names})

    def frames() -> dict[str, pl.DataFrame]:
        # From noon on, so that some are decided in the evening, when a person finds the seats.
        minutes = 16 * 60 + 12 * chance.permutation(cases)
        scores = {
            "case_key": [f"F{number:03d}" for number in chance.permutation(cases)],
            "event_time": [datetime(2013, 6, 1, tzinfo=UTC) + timedelta(minutes=int(minute)) for minute in minutes],
            "probability": chance.uniform(0, 1, cases),
            "problems": ["[]" if good else '["seats: required"]' for good in chance.random(cases) < 0.8],
            "model_version": [3 if good else None for good in chance.random(cases) < 0.8],
        }
        return {
            "scores": pl.DataFrame(scores),
            "features": numbers(vector.schema),
            "contributions": numbers(workload.model_features) - 150,
            "cases": pl.DataFrame({"origin": chance.choice(["EWR", "JFK", "LGA"], cases)}),
        }

    given, other = frames(), frames()

    def decided(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
        day = Day(workload.name, **frames, timezone=workload.calendar.timezone)
        return decide(day, policy, phrases(workload), {})

    def node(frame: str, name: str):
        match frame:
            case "features":
                return f"{vector.name}.{name}"
            case "contributions":
                return "scores.contributions"
            case _:
                return f"{frame}.{name}"

    reads: dict[str, set[str]] = {}
    for edge in platform_edges(workload):
        reads.setdefault(str(edge.consumer), set()).add(str(edge.source))

    def behind(name: str) -> set[str]:
        """What a column of the decisions reads, through the policy's clauses."""
        found, waiting = set(), [f"{DECISIONS}.{name}"]
        while waiting:
            for source in reads.get(waiting.pop(), set()) - found:
                found.add(source)
                if not source.startswith(("scores.", "cases.")):
                    waiting.append(source)
        return found

    before, felt = decided(given), 0
    for frame, changed in other.items():
        for name in changed.columns:
            after = decided({**given, frame: given[frame].with_columns(changed[name])})
            for made in after.columns:
                if not before[made].equals(after[made]):
                    felt += 1
                    assert node(frame, name) in behind(made), (made, frame, name)
    assert felt > 20
