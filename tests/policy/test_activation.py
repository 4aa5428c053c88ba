"""Which policy decides which day: a fold over events that two people cannot both append, by whoever is allowed to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from automation import database
from automation.ledger import store
from automation.ledger.store import Ledger
from automation.policy import activation
from automation.policy.activation import (
    FIRST,
    Change,
    NoPolicyError,
    NotAuthorizedError,
    PolicyConflictError,
    Standing,
    activate,
    in_force,
    kept,
    roll_back,
    shadow,
    shadow_of,
    standing,
)
from automation.policy.bundle import OtherContentError, PolicyBundle
from automation.settings import Settings
from automation.workload import Workload
from tests.ledger.conftest import NOW
from tests.ledger.test_killed import Dying, in_a_process_that_dies

OWNER, OPERATOR, REVIEWER = "A. Jensen", "M. Okafor", "R. Silva"
DAY = date(2013, 3, 1)
LATER = DAY + timedelta(days=10)


@pytest.fixture(autouse=True)
def _as_in_a_new_process(ledger: Ledger) -> None:
    activation._kept.cache_clear()


@pytest.fixture(scope="module")
def other(pilots: PolicyBundle) -> PolicyBundle:
    """A policy by which a bad outcome costs a little more."""
    return _with_harm(pilots, 61.0)


def _with_harm(policy: PolicyBundle, harm: float) -> PolicyBundle:
    return replace(policy, declared=policy.declared.model_copy(update={"harm": harm}))


def said(by: str = OWNER, why: str = "it costs more", first_day: date = DAY) -> dict[str, Any]:
    return {"by": by, "why": why, "first_day": first_day, "now": NOW}


# ---------------------------------------------------------------- in force


def test_a_workloads_first_policy_is_activated_by_itself_from_its_first_day_on(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle
) -> None:
    assert in_force(settings, ledger, workload, DAY, NOW) == pilots
    [change] = standing(ledger, workload.name).changes
    assert (change.type, change.version, change.by) == ("activated", pilots.version, FIRST)
    assert change.first_day == workload.calendar.start
    assert in_force(settings, ledger, workload, workload.calendar.start, NOW).version == pilots.version
    assert len(standing(ledger, workload.name).changes) == 1
    assert kept(settings, pilots.version) == pilots


def test_two_that_ask_for_the_first_policy_at_once_get_one(
    settings: Settings, workload: Workload, pilots: PolicyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=20)
    really = activation.keep

    def keep(chosen: Settings, policy: PolicyBundle) -> None:
        really(chosen, policy)
        both.wait()

    monkeypatch.setattr(activation, "keep", keep)

    def ask(_: int) -> PolicyBundle:
        with store.opened(settings) as mine:
            return in_force(settings, mine, workload, DAY, NOW)

    with ThreadPoolExecutor(2) as pool:
        assert [found.version for found in pool.map(ask, range(2))] == [pilots.version] * 2
    with store.opened(settings) as ledger:
        assert len(standing(ledger, workload.name).changes) == 1


def test_a_day_is_decided_by_its_policy_whatever_was_activated_since(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle, other: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    change = activate(settings, workload, other, **said(first_day=LATER))
    assert (change.version, change.first_day, change.by, change.why) == (other.version, LATER, OWNER, "it costs more")
    before = LATER - timedelta(days=1)
    found = [in_force(settings, ledger, workload, day, NOW).version for day in (DAY, before, LATER, date(2014, 1, 1))]
    assert found == [pilots.version, pilots.version, other.version, other.version]
    # One that is activated later for earlier days leaves those that another's first day began.
    third = _with_harm(pilots, 62.0)
    activate(settings, workload, third, **said(first_day=DAY))
    found = [in_force(settings, ledger, workload, day, NOW).declared.harm for day in (date(2013, 1, 5), DAY, LATER)]
    assert found == [60.0, 62.0, 61.0]
    # Of two from the same day on, the last.
    activate(settings, workload, pilots, **said(first_day=LATER))
    assert in_force(settings, ledger, workload, LATER, NOW) == pilots


def test_days_before_the_first_policy_have_none(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle
) -> None:
    activate(settings, workload, pilots, **said(first_day=LATER))
    with pytest.raises(NoPolicyError, match=f"decides {DAY}: the first one does from {LATER} on") as caught:
        in_force(settings, ledger, workload, DAY, NOW)
    assert f"--first-day {DAY}" in caught.value.remedy


def test_what_decides_already_is_not_activated_again(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    with pytest.raises(PolicyConflictError, match="decides from 2013-01-01 on already"):
        activate(settings, workload, pilots, **said())
    assert len(standing(ledger, workload.name).changes) == 1


@pytest.mark.parametrize("change", ["activate", "roll back"])
def test_of_two_changes_at_once_one_wins(
    settings: Settings,
    ledger: Ledger,
    workload: Workload,
    pilots: PolicyBundle,
    other: PolicyBundle,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    activate(settings, workload, other, **said())
    both = threading.Barrier(2, timeout=20)
    really = activation._authorized

    def authorized(*given: Any) -> None:
        really(*given)
        # Both have seen the stream as it was.
        both.wait()

    monkeypatch.setattr(activation, "_authorized", authorized)

    def work(number: int) -> str:
        who = said(OPERATOR if change == "roll back" else OWNER, f"reason {number}", LATER)
        try:
            if change == "roll back":
                roll_back(settings, workload, **who)
            else:
                activate(settings, workload, _with_harm(pilots, 70.0 + number), **who)
        except PolicyConflictError as error:
            return error.message
        return "won"

    with ThreadPoolExecutor(2) as pool:
        lost, won = sorted(pool.map(work, range(2)))
    assert won == "won"
    assert lost == "Something else was done to the policy of flight_disruption at the same time."
    assert len(standing(ledger, workload.name).changes) == 3


# ---------------------------------------------------------------- rollback


def test_a_rollback_brings_back_what_decided_before_from_a_day_on(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle, other: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    activate(settings, workload, other, **said())
    change = roll_back(settings, workload, **said(OPERATOR, "too many notices", LATER))
    assert (change.type, change.version, change.first_day) == ("rolled_back", pilots.version, LATER)
    # The days that it decided stay its own.
    found = [in_force(settings, ledger, workload, day, NOW) for day in (date(2013, 2, 1), DAY, LATER)]
    assert found == [pilots, other, pilots]
    assert [each.type for each in standing(ledger, workload.name).changes] == ["activated", "activated", "rolled_back"]


def test_there_is_nothing_to_go_back_to_before_a_second_policy(
    settings: Settings, ledger: Ledger, workload: Workload
) -> None:
    for _ in range(2):
        with pytest.raises(PolicyConflictError, match="has no policy to go back to"):
            roll_back(settings, workload, **said(by=OPERATOR))
        in_force(settings, ledger, workload, DAY, NOW)


def test_a_rollback_that_what_it_replaces_would_outlive_is_refused(
    settings: Settings, ledger: Ledger, workload: Workload, other: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    activate(settings, workload, other, **said(first_day=LATER))
    with pytest.raises(PolicyConflictError, match=f"from {DAY} on would end on {LATER}") as caught:
        roll_back(settings, workload, **said(by=OPERATOR, first_day=DAY))
    assert f"Roll back from {LATER} on" in caught.value.remedy
    roll_back(settings, workload, **said(by=OPERATOR, first_day=LATER))
    assert in_force(settings, ledger, workload, LATER, NOW).version != other.version


# ---------------------------------------------------------------- shadows


def test_a_candidate_shadows_from_a_day_on_until_it_ends_and_decides_nothing(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle, other: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    shadow(settings, workload, other, **said())
    end = shadow(settings, workload, None, **said(why="seen enough", first_day=LATER))
    assert (end.type, end.version) == ("shadow_ended", None)
    before, last = DAY - timedelta(days=1), LATER - timedelta(days=1)
    found = [shadow_of(settings, ledger, workload.name, day) for day in (before, DAY, last, LATER)]
    assert found == [None, other, other, None]
    assert {in_force(settings, ledger, workload, day, NOW).version for day in (before, DAY, LATER)} == {pilots.version}
    shadow(settings, workload, other, **said(first_day=LATER))
    assert shadow_of(settings, ledger, workload.name, LATER) == other


def test_a_candidate_that_shadows_before_anything_decides_keeps_no_policy_from_it(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle, other: PolicyBundle
) -> None:
    shadow(settings, workload, other, **said())
    assert in_force(settings, ledger, workload, DAY, NOW) == pilots
    assert [each.type for each in standing(ledger, workload.name).changes] == ["shadowed", "activated"]
    assert shadow_of(settings, ledger, workload.name, DAY) == other


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize(
    ("by", "may"),
    [
        (OWNER, {"activate", "roll back", "shadow", "end shadow"}),
        (OPERATOR, {"roll back"}),
        (REVIEWER, set()),
        ("Nobody Known", set()),
        ('A. Jensen" || true', set()),
    ],
)
def test_who_may_not_is_refused_and_nothing_happens(
    settings: Settings,
    ledger: Ledger,
    workload: Workload,
    pilots: PolicyBundle,
    other: PolicyBundle,
    by: str,
    may: set[str],
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    activate(settings, workload, other, **said())
    who = said(by=by, first_day=LATER)
    ways: dict[str, Callable[[], object]] = {
        "activate": lambda: activate(settings, workload, _with_harm(pilots, 70.0), **who),
        "roll back": lambda: roll_back(settings, workload, **who),
        "shadow": lambda: shadow(settings, workload, other, **who),
        "end shadow": lambda: shadow(settings, workload, None, **who),
    }
    count = len(standing(ledger, workload.name).changes)
    for name, way in ways.items():
        if name in may:
            way()
            count += 1
        else:
            with pytest.raises(NotAuthorizedError, match=r"Person .* (may not|is not among)") as caught:
                way()
            assert "authorization.cedar of the policy in force" in caught.value.remedy
        assert len(standing(ledger, workload.name).changes) == count


def test_who_may_is_said_by_the_policy_in_force_and_not_by_the_candidate(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    texts = pilots.documents
    anybody = replace(
        texts,
        policies_text=texts.policies_text
        + '@id("anybody") permit (principal is Person, action, resource == Workload::"flight_disruption");',
    )
    with pytest.raises(NotAuthorizedError, match="may not activate_policy"):
        activate(settings, workload, replace(pilots, documents=anybody), **said(by=REVIEWER))
    activate(settings, workload, replace(pilots, documents=anybody), **said())
    # Once it is in force, it says so.
    activate(settings, workload, pilots, **said(by=REVIEWER, first_day=LATER))


@pytest.mark.parametrize("missing", ["by", "why"])
def test_a_change_names_who_makes_it_and_why(
    settings: Settings, workload: Workload, other: PolicyBundle, missing: str
) -> None:
    nameless = {**said(), missing: "  "}
    for way in (
        lambda: activate(settings, workload, other, **nameless),
        lambda: roll_back(settings, workload, **nameless),
        lambda: shadow(settings, workload, other, **nameless),
    ):
        with pytest.raises(PolicyConflictError, match="names who makes it and why"):
            way()


# ---------------------------------------------------------------- texts


def test_a_text_that_was_changed_where_it_is_kept_decides_nothing(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE policy_contents SET content = replace(content, '300000', '900000')")
        assert cursor.rowcount == 1
    for way in (
        lambda: in_force(settings, ledger, workload, DAY, NOW),
        lambda: kept(settings, pilots.version),
    ):
        with pytest.raises(OtherContentError, match=f"policy {pilots.version[:12]} is that of"):
            way()
    # Nor does it say who may change that.
    with pytest.raises(OtherContentError):
        activate(settings, workload, _with_harm(pilots, 70.0), **said())


def test_a_text_that_nobody_kept_is_named(settings: Settings, ledger: Ledger) -> None:
    with pytest.raises(NoPolicyError, match="No policy of version 000000000000 is kept"):
        kept(settings, "0" * 64)


def test_killed_at_any_moment_and_run_again_it_is_activated_once(
    settings: Settings, ledger: Ledger, workload: Workload, pilots: PolicyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_force(settings, ledger, workload, DAY, NOW)
    for moment in itertools.count():
        candidate = _with_harm(pilots, 70.0 + moment)
        first_day = DAY + timedelta(days=moment)
        moments = itertools.count()

        def work(candidate=candidate, first_day=first_day, moments=moments, moment=moment) -> None:
            _dying(monkeypatch, moments, moment)
            activate(settings, workload, candidate, **said(first_day=first_day))

        before = len(standing(ledger, workload.name).changes)
        ended = in_a_process_that_dies(work)
        found = standing(ledger, workload.name).changes[before:]
        assert [each.version for each in found] in ([], [candidate.version])
        # An event names a text that is kept.
        assert all(kept(settings, str(each.version)) == candidate for each in found)
        if not found:
            activate(settings, workload, candidate, **said(first_day=first_day))
        assert len(standing(ledger, workload.name).changes) == before + 1
        assert in_force(settings, ledger, workload, first_day, NOW) == candidate
        if ended:
            break
    # Before and after each statement and commit of keeping the text, and of the event.
    assert moment > 8


def _dying(monkeypatch: pytest.MonkeyPatch, moments: itertools.count, last: int) -> None:
    """Has this process die at a moment of what it does with the database."""
    with_tables, opened = database.with_tables, store.opened

    @contextmanager
    def tables(*given: Any):
        with with_tables(*given) as connection:
            yield Dying(connection, moments, last)

    @contextmanager
    def ledgers(*given: Any):
        with opened(*given) as held:
            yield Ledger(Dying(held.connection, moments, last))

    monkeypatch.setattr(database, "with_tables", tables)
    monkeypatch.setattr(store, "opened", ledgers)


def test_a_rollback_after_a_rollback_goes_further_back_and_never_to_what_was_rolled_back() -> None:
    changes = [("activated", "a"), ("activated", "b"), ("activated", "c"), ("rolled_back", "b")]
    found = Standing(
        tuple(Change(n, kind, version, DAY, "x", "y", "z") for n, (kind, version) in enumerate(changes, start=1))
    )
    last = found.changes[-1]
    before = found.before(last)
    assert before is not None
    assert before.version == "a"
    further = replace(last, number=5, version="a")
    assert Standing((*found.changes, further)).before(further) is None
