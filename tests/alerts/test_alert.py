"""What is worth a message, and how a message reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from automation.alerts.alert import (
    FAILED_RUN,
    SUBJECT_LENGTH,
    Alert,
    Evidence,
    Finding,
    Kind,
    Reach,
    Runbook,
    Severity,
    Standing,
    bundled,
    judged,
)
from automation.alerts.graph import Node, reach

NIGHT = datetime(2026, 3, 1, 3, 12, tzinfo=UTC)
FINDING = Finding(
    event=812,
    at=NIGHT,
    asset="flight_disruption/weather",
    gate="contract",
    partition="2013-01-12",
    severity=Severity.ERROR,
    passed=False,
    says="36 of 72 rows (50.0%) break weather 1.0.0; more than the 2.0% may.",
    facts=(("rows in", "72"), ("valid", "36"), ("quarantined", "36")),
    evidence=(
        Evidence(
            "rules broken",
            ("rule wind_speed_mph: maximum 120, rows 36", "rule temperature_f: type number, rows 3"),
            2,
        ),
        Evidence(
            "first rejected rows", ('rules wind_speed_mph: maximum 120, row {"origin":"EWR","wind_speed_mph":1200}',), 5
        ),
    ),
    run="5f9e3c1a-0000-4000-8000-000000000000",
    job="flight_disruption_daily",
)
REACH = Reach(
    ("flight_disruption/origin_weather", "flight_disruption/scores", "flight_disruption/decisions"),
    ("flight_disruption_daily", "flight_disruption_retrain"),
    ("team:flight-data", "ann@example.com"),
)
RUNBOOK = Runbook("docs/runbooks/contract.md", "Read which rule most rejected rows broke.")
ALERT = Alert(Kind.RAISED, FINDING, REACH, RUNBOOK, NIGHT, 1)


def test_a_failed_contract_reads_like_this() -> None:
    assert ALERT.subject == (
        "FAILED flight_disruption/weather 2013-01-12: contract: "
        "36 of 72 rows (50.0%) break weather 1.0.0; more than the 2.0% may."
    )
    assert (
        ALERT.text
        == """\
36 of 72 rows (50.0%) break weather 1.0.0; more than the 2.0% may.

First: Read which rule most rejected rows broke.
Runbook: docs/runbooks/contract.md

What: the gate contract of flight_disruption/weather, partition 2013-01-12
Found: rows in 72, valid 36, quarantined 36
Rules broken:
  rule wind_speed_mph: maximum 120, rows 36
  rule temperature_f: type number, rows 3
First rejected rows (1 of 5):
  rules wind_speed_mph: maximum 120, row {"origin":"EWR","wind_speed_mph":1200}
Holds up: 3 assets downstream (origin_weather, scores, decisions); jobs \
flight_disruption_daily, flight_disruption_retrain
Concerns: team:flight-data, ann@example.com
Run: 5f9e3c1a-0000-4000-8000-000000000000 (flight_disruption_daily)
Since: 2026-03-01 03:12 UTC"""
    )


def test_a_failed_run_reads_like_this() -> None:
    finding = Finding(
        event=9,
        at=NIGHT,
        asset="flight_disruption/labels",
        gate=FAILED_RUN,
        partition="2013-01-01 to 2013-01-31",
        severity=Severity.ERROR,
        passed=False,
        says="It raised ZeroDivisionError: division by zero",
        job="flight_disruption_history",
    )
    alert = Alert(Kind.CHANGED, finding, Reach(), Runbook("docs/runbooks/failed-run.md", "Read the error."), NIGHT, 3)
    assert alert.subject == (
        "FAILED flight_disruption/labels 2013-01-01 to 2013-01-31: run: It raised ZeroDivisionError: division by zero"
    )
    assert (
        alert.text
        == """\
It raised ZeroDivisionError: division by zero

First: Read the error.
Runbook: docs/runbooks/failed-run.md

What: a step that raised of flight_disruption/labels, partition 2013-01-01 to 2013-01-31
Holds up: nothing downstream
Concerns: nobody is named as its owner
Since: 2026-03-01 03:12 UTC; failed 3 times since"""
    )


def test_a_recovery_says_that_nothing_is_to_be_done() -> None:
    passed = replace(FINDING, passed=True, says="All 72 rows keep weather 1.0.0.", facts=(), evidence=())
    alert = replace(ALERT, kind=Kind.RECOVERED, finding=passed)
    assert alert.subject == "RECOVERED flight_disruption/weather 2013-01-12: contract"
    assert (
        alert.text
        == """\
All 72 rows keep weather 1.0.0.

Nothing is to be done: what it held up goes on with the next run, or was done already.

What: the gate contract of flight_disruption/weather, partition 2013-01-12
Concerns: team:flight-data, ann@example.com
Run: 5f9e3c1a-0000-4000-8000-000000000000 (flight_disruption_daily)
Since: 2026-03-01 03:12 UTC"""
    )


def test_a_gate_that_only_warns_says_so_and_that_nothing_waits_for_it() -> None:
    alert = replace(ALERT, finding=replace(FINDING, severity=Severity.WARN))
    assert alert.subject.startswith("WARNING flight_disruption/weather")
    assert "Holds up: nothing, it only warns" in alert.text


@given(st.text(min_size=1, max_size=400))
def test_a_subject_is_one_line_whatever_a_gate_says(says: str) -> None:
    subject = replace(ALERT, finding=replace(FINDING, says=says)).subject
    assert len(subject.splitlines()) == 1
    assert len(subject) <= SUBJECT_LENGTH


def test_days_of_one_run_are_one_message_and_days_of_two_runs_are_two() -> None:
    def failed(day: int, run: str) -> Alert:
        return replace(ALERT, finding=replace(FINDING, partition=f"2013-01-0{day}", run=run))

    [first, second] = bundled([(1, failed(1, "a")), (2, failed(2, "a")), (3, failed(3, "b"))])
    assert first[0] == (1, 2)
    assert first[1].also == ("2013-01-02",)
    assert "2013-01-01 and 1 more: contract" in first[1].subject
    assert "Also: the same on 2013-01-02" in first[1].text
    assert (second[0], second[1].also) == ((3,), ())


def test_what_is_held_up_is_everything_downstream_once_nearest_first_with_its_owners_and_jobs() -> None:
    graph = {
        "a": Node(("b", "c"), ("ann",), ("daily",)),
        "b": Node(("d",), ("bob",), ("daily",)),
        "c": Node(("d",), ("ann",), ("weekly",)),
        "d": Node((), ("cat",), ()),
        "e": Node((), ("eve",), ("other",)),
    }
    assert reach(graph, "a") == Reach(("b", "c", "d"), ("daily", "weekly"), ("ann", "bob", "cat"))
    assert reach(graph, "elsewhere") == Reach()


# ---------------------------------------------------------------- what is worth a message

LOOKS = st.lists(
    st.tuples(st.sampled_from(["passes", "fails thus", "fails otherwise"]), st.integers(0, 30)), min_size=1, max_size=12
)


def history(looks: list[tuple[str, int]]) -> list[Finding]:
    """One finding for each look, so many hours apart."""
    made, at = [], NIGHT
    for event, (says, hours) in enumerate(looks, start=1):
        at += timedelta(hours=hours)
        made.append(replace(FINDING, event=event, at=at, passed=says == "passes", says=says))
    return made


def told(findings: list[Finding]) -> tuple[Standing | None, list[tuple[Finding, Kind]]]:
    standing, messages = None, []
    for finding in findings:
        standing, kind = judged(standing, finding)
        if kind is not None:
            messages.append((finding, kind))
    return standing, messages


@given(LOOKS)
def test_each_failure_is_told_once_and_each_recovery_once(looks: list[tuple[str, int]]) -> None:
    findings = history(looks)
    standing, messages = told(findings)
    last = [kind for _, kind in messages if kind in (Kind.RAISED, Kind.RECOVERED)]
    assert last[::2] == [Kind.RAISED] * len(last[::2])
    assert last[1::2] == [Kind.RECOVERED] * len(last[1::2])
    # What was told last is how it is.
    assert (standing is not None and standing.failing) == (not findings[-1].passed)
    assert bool(messages) == any(not finding.passed for finding in findings)
    if messages and not findings[-1].passed:
        assert messages[-1][0].says == findings[-1].says


@given(LOOKS)
def test_the_same_failure_is_not_told_again_within_a_day(looks: list[tuple[str, int]]) -> None:
    _, messages = told(history(looks))
    for (one, _), (two, kind) in pairwise(messages):
        if kind is Kind.REPEATED:
            assert two.at - one.at >= timedelta(hours=24)
        if two.says == one.says:
            assert kind is Kind.REPEATED


@given(LOOKS, st.data())
def test_events_that_are_read_again_tell_nothing_new(looks: list[tuple[str, int]], data: st.DataObject) -> None:
    """Each look of the watch begins again some way back."""
    findings = history(looks)
    read: list[Finding] = []
    for end in range(1, len(findings) + 1):
        read += findings[data.draw(st.integers(0, end - 1)) : end]
    assert told(read) == told(findings)


def test_an_acknowledged_failure_is_told_again_only_when_it_says_something_else() -> None:
    standing, _ = judged(None, FINDING)
    assert standing is not None
    standing = replace(standing, acknowledged=True)
    next_week = replace(FINDING, event=900, at=NIGHT + timedelta(days=7))
    standing, kind = judged(standing, next_week)
    assert kind is None
    _, kind = judged(standing, replace(next_week, event=901, says="All rows broke."))
    assert kind is Kind.CHANGED
