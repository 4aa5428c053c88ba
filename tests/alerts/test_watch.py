"""From the event log to a sink: real runs of a toy lineage, a real outbox."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

from automation.alerts import outbox, watch
from automation.alerts.alert import Kind
from automation.alerts.outbox import NoSuchAlertError, Position
from automation.replay import REPLAYED
from automation.settings import Settings
from tests.alerts.conftest import ARRIVALS, NOON, Inbox, Toy, Watcher

SAYS = "3 of 4 rows (75.0%) break arrivals 1.0.0; more than the 1.0% may."


def test_a_failed_gate_says_what_failed_how_many_rows_examples_what_waits_and_whom_it_concerns(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox
) -> None:
    toy.failing = {"2013-01-02": SAYS}
    run = toy.run(instance, "2013-01-02")
    assert watcher().raised == 1
    [message] = inbox.messages
    alert = message.alert
    assert (alert.finding.asset, alert.finding.gate, alert.finding.partition) == (
        "toy/arrivals",
        "contract",
        "2013-01-02",
    )
    assert (alert.finding.says, alert.finding.facts) == (SAYS, (("quarantined", "3"), ("rows in", "4")))
    broken, rejected = alert.finding.evidence
    assert broken.lines == ("rule delay: maximum 1440, rows 3",)
    assert rejected.lines[0] == 'rules delay: maximum 1440, row {"delay": 9000, "carrier": "AA"}'
    assert (len(rejected.lines), rejected.rows) == (3, 4)
    assert alert.reach.downstream == ("toy/labels", "toy/plans")
    assert alert.reach.jobs == ("toy_daily",)
    assert alert.reach.owners == ("flight-data@example.com", "team:analysts")
    assert alert.runbook.path == "docs/runbooks/contract.md"
    assert alert.finding.run == run


def test_looking_again_tells_nothing_again_and_a_day_that_fails_again_the_same_is_counted(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, settings: Settings
) -> None:
    toy.failing = {"2013-01-02": SAYS}
    toy.run(instance, "2013-01-02")
    assert [watcher().raised, watcher().raised, watcher(timedelta(minutes=3)).raised] == [1, 0, 0]
    toy.run(instance, "2013-01-02")
    assert watcher(timedelta(minutes=3)).raised == 0
    [listed] = outbox.listed(settings)
    assert (listed.failing, listed.alert.count) == (True, 2)
    assert len(inbox.messages) == 1


def test_a_day_that_fails_otherwise_is_told_and_so_is_its_recovery(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, settings: Settings
) -> None:
    for failing in ({"2013-01-02": SAYS}, {"2013-01-02": "4 of 4 rows break it."}, {}, {}):
        toy.failing = failing
        toy.run(instance, "2013-01-02")
        watcher(timedelta(minutes=1))
    assert [message.alert.kind for message in inbox.messages] == [Kind.RAISED, Kind.CHANGED, Kind.RECOVERED]
    assert [alert.failing for alert in outbox.listed(settings)] == [False]


def test_a_gate_that_never_failed_is_not_worth_a_word(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, settings: Settings
) -> None:
    toy.run(instance, "2013-01-01", "2013-01-05")
    assert (watcher().raised, inbox.messages, outbox.listed(settings)) == (0, [], [])


def test_the_days_of_a_range_that_fail_are_one_message_and_each_recovers_for_itself(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, settings: Settings
) -> None:
    toy.failing = dict.fromkeys(("2013-01-02", "2013-01-03", "2013-01-05"), SAYS)
    toy.run(instance, "2013-01-01", "2013-01-05")
    assert watcher().raised == 3
    [message] = inbox.messages
    assert message.alert.finding.partition == "2013-01-02"
    assert message.alert.also == ("2013-01-03", "2013-01-05")
    del toy.failing["2013-01-03"]
    toy.run(instance, "2013-01-03")
    watcher()
    assert inbox.subjects[1:] == ["RECOVERED toy/arrivals 2013-01-03: contract"]
    assert sum(alert.failing for alert in outbox.listed(settings)) == 2


def test_an_evaluation_reported_from_outside_any_run_and_one_that_only_warns_are_told(
    instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox
) -> None:
    for partition, severity in (
        ("2013-01-02", dg.AssetCheckSeverity.ERROR),
        ("2013-01-03", dg.AssetCheckSeverity.WARN),
    ):
        instance.report_runless_asset_event(
            AssetCheckEvaluation(
                asset_key=ARRIVALS,
                check_name="contract",
                passed=False,
                severity=severity,
                description="It looks odd.",
                partition=partition,
            )
        )
    watcher()
    assert inbox.subjects == [
        "FAILED toy/arrivals 2013-01-02: contract: It looks odd.",
        "WARNING toy/arrivals 2013-01-03: contract: It looks odd.",
    ]


# ---------------------------------------------------------------- runs that failed


def test_a_step_that_raised_is_told_with_what_it_raised_and_is_over_once_the_asset_is_made(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, settings: Settings
) -> None:
    toy.raising = {"2013-01-02": "the seats\nare gone"}
    toy.run(instance, "2013-01-02")
    watcher()
    assert inbox.subjects == [
        "FAILED toy/labels 2013-01-02: run: It raised ZeroDivisionError: the seats are gone",
    ]
    assert inbox.messages[0].alert.reach.downstream == ("toy/plans",)
    toy.raising = {}
    toy.run(instance, "2013-01-03")
    assert watcher().raised == 0
    toy.run(instance, "2013-01-02")
    watcher()
    assert inbox.subjects[1:] == ["RECOVERED toy/labels 2013-01-02: run"]
    assert watcher().raised == 0


def test_a_range_that_failed_is_over_once_it_is_made_from_end_to_end(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox
) -> None:
    toy.raising = {"2013-01-02": "no"}
    toy.run(instance, "2013-01-01", "2013-01-03")
    toy.raising = {}
    toy.run(instance, "2013-01-01")
    watcher()
    toy.run(instance, "2013-01-01", "2013-01-03")
    watcher()
    assert inbox.subjects == [
        "FAILED toy/labels 2013-01-01 to 2013-01-03: run: It raised ZeroDivisionError: no",
        "RECOVERED toy/labels 2013-01-01 to 2013-01-03: run",
    ]


def test_a_run_that_a_gate_stopped_is_told_as_the_gate_only(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox
) -> None:
    toy.failing = {"2013-01-02": SAYS}
    toy.run(instance, "2013-01-02")
    watcher()
    assert [message.alert.finding.gate for message in inbox.messages] == ["contract"]


def test_a_run_that_failed_outside_its_steps_is_told_unless_a_replay_closed_it_to_do_it_again(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox
) -> None:
    job = toy.definitions.resolve_job_def("toy_daily")
    for day, tags in (("2013-01-02", {}), ("2013-01-03", {REPLAYED: "toy"})):
        run = instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": day, **tags}
        )
        instance.report_run_failed(run, "Its process is gone.")
    watcher()
    assert inbox.subjects == ["FAILED toy_daily 2013-01-02: run: Its process is gone."]
    toy.run(instance, "2013-01-02")
    watcher()
    assert inbox.subjects[1:] == ["RECOVERED toy_daily 2013-01-02: run"]


# ---------------------------------------------------------------- delivery


def test_a_broken_sink_stops_no_other_is_tried_again_later_each_time_and_gets_everything_in_the_end(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, settings: Settings
) -> None:
    broken = Inbox("broken", broken=True)
    watcher.inboxes.insert(0, broken)
    toy.failing = {"2013-01-02": SAYS}
    toy.run(instance, "2013-01-02")
    watched = watcher()
    assert (watched.failed, len(inbox.messages)) == ({"broken": "The inbox is broken."}, 1)
    assert outbox.waiting_by_sink(settings) == {"broken": 1}
    # Not due before half a minute is over, and then not before a whole one is.
    assert watcher(timedelta(seconds=29)).failed == {}
    assert watcher(timedelta(seconds=1)).failed
    assert watcher(timedelta(seconds=59)).failed == {}
    broken.broken = False
    assert watcher(timedelta(seconds=1)).sent == 1
    assert broken.subjects == inbox.subjects
    assert outbox.waiting_by_sink(settings) == {}


def test_what_a_sink_took_before_the_process_died_is_not_sent_again(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox
) -> None:
    class KilledError(Exception):
        """The process ends here."""

    class Mortal(Inbox):
        def send(self, message) -> None:
            if self.messages:
                raise KilledError
            super().send(message)

    mortal = Mortal("inbox")
    watcher.inboxes = [mortal]
    for day in ("2013-01-02", "2013-01-03"):
        toy.failing = {day: SAYS}
        toy.run(instance, day)
    with pytest.raises(KilledError):
        watcher()
    watcher.inboxes = [inbox]
    watcher()
    assert [message.alert.finding.partition for message in (*mortal.messages, *inbox.messages)] == [
        "2013-01-02",
        "2013-01-03",
    ]


def test_a_look_that_dies_half_way_leaves_no_trace_and_the_next_one_finds_everything(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    toy.failing = {"2013-01-02": SAYS}
    toy.run(instance, "2013-01-02")
    with monkeypatch.context() as patched:
        patched.setattr(outbox.Look, "move_to", killed)
        with pytest.raises(KeyboardInterrupt):
            watcher()
    assert inbox.messages == []
    watcher()
    assert len(inbox.messages) == 1


def test_an_acknowledged_alert_says_by_whom_and_one_that_is_not_open_cannot_be(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, settings: Settings
) -> None:
    toy.failing = {"2013-01-02": SAYS}
    toy.run(instance, "2013-01-02")
    watcher()
    [listed] = outbox.listed(settings)
    outbox.acknowledge(settings, listed.number, "ann")
    toy.run(instance, "2013-01-02")
    watcher(timedelta(days=2))
    [listed] = outbox.listed(settings)
    assert (listed.acknowledged_by, listed.alert.count) == ("ann", 2)
    toy.failing = {}
    toy.run(instance, "2013-01-02")
    watcher()
    [listed] = outbox.listed(settings)
    assert (listed.acknowledged_by, listed.failing) == (None, False)
    with pytest.raises(NoSuchAlertError):
        outbox.acknowledge(settings, listed.number, "ann")


# ---------------------------------------------------------------- how far the log was read


def test_what_is_written_late_below_what_was_read_is_read_yet() -> None:
    """The log ended at 100 when it was looked at; the event 90 appears half a minute later."""
    position = Position(0, 0, NOON - timedelta(minutes=5)).after_reading_to(100, NOON)
    assert position.settled < 90
    position = position.after_reading_to(200, NOON + timedelta(seconds=30))
    assert position.settled < 90
    # A minute later, nothing can appear below 100 any more, and all of it has been read.
    assert position.after_reading_to(300, NOON + timedelta(seconds=61)).settled == 100


def test_a_log_too_long_for_one_look_is_read_in_several(
    toy: Toy, instance: dg.DagsterInstance, watcher: Watcher, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automation.alerts.findings.EVENTS_A_PAGE", 2)
    toy.failing = dict.fromkeys(("2013-01-01", "2013-01-04"), SAYS)
    toy.run(instance, "2013-01-01", "2013-01-05")
    toy.failing = {}
    toy.raising = {"2013-01-07": "late"}
    toy.run(instance, "2013-01-07")
    seconds = iter(range(0, 10_000, watch.SECONDS_TO_READ + 1))
    with monkeypatch.context() as slow:
        slow.setattr("automation.alerts.watch.time.monotonic", lambda: next(seconds))
        looks = 0
        while len(inbox.messages) < 3:
            watcher()
            looks += 1
            assert looks < 12
    assert looks > 2
    assert {message.alert.finding.partition for message in inbox.messages} == {"2013-01-01", "2013-01-04", "2013-01-07"}
