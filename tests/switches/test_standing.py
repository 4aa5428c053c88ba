"""What is off on a day is a fold over events that only an operator appends, each with who and why."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.ledger import store
from automation.ledger.decisions import DECIDED
from automation.ledger.decisions import stream as decisions_of
from automation.ledger.store import Happened, Ledger
from automation.policy.activation import NotAuthorizedError
from automation.policy.evidence import as_decided
from automation.settings import Settings
from automation.switches.standing import (
    Change,
    SafeActionError,
    Standing,
    SwitchConflictError,
    Turned,
    UnknownSwitchError,
    standing,
    stream,
    switch_off,
    switch_on,
)
from automation.switches.switch import (
    ALL_ON,
    WORKLOAD,
    Off,
    SwitchedOff,
    SwitchesInvalidError,
    of_action,
    of_model,
)
from automation.workload import Workload
from tests.ledger.conftest import NOW
from tests.switches.conftest import DAY, LATER, NAME, OPERATOR, REVIEWER, VERSION

PROTECT = of_action("protect")
SWITCHES = [WORKLOAD, of_action("notify"), PROTECT, of_model(7)]


def said(by: str = OPERATOR, why: str = "no seats", first_day: date = DAY) -> dict:
    return {"by": by, "why": why, "first_day": first_day, "now": NOW}


# ---------------------------------------------------------------- the fold

_EVENTS = st.lists(st.tuples(st.sampled_from(Turned), st.sampled_from(SWITCHES), st.integers(0, 5)), max_size=12)


def folded(events: list[tuple]) -> Standing:
    return Standing(
        tuple(
            Change(number, turned, switch, DAY + timedelta(days=after), f"person {number}", "so", "")
            for number, (turned, switch, after) in enumerate(events, start=1)
        )
    )


@given(_EVENTS)
def test_a_switch_is_on_a_day_as_the_last_event_of_its_newest_first_day_says(events: list[tuple]) -> None:
    for after in range(-1, 7):
        found = folded(events).off(DAY + timedelta(days=after))
        for switch in SWITCHES:
            own = [(first, number, turned) for number, (turned, of, first) in enumerate(events, 1) if of == switch]
            # By hand: days in order, on each the events in order; whatever comes last holds.
            held = [each for each in sorted(own) if each[0] <= after]
            off = bool(held) and held[-1][2] is Turned.OFF
            assert found.get(switch) == (SwitchedOff(switch, f"person {held[-1][1]}", "so") if off else None)


@given(_EVENTS, st.tuples(st.sampled_from(Turned), st.sampled_from(SWITCHES), st.integers(3, 5)))
def test_what_is_switched_for_later_days_leaves_earlier_ones_as_they_were(events: list[tuple], more: tuple) -> None:
    before, after = folded(events), folded([*events, more])
    for days in range(3):
        assert before.off(DAY + timedelta(days=days)) == after.off(DAY + timedelta(days=days))


# ---------------------------------------------------------------- in the ledger


def test_what_is_switched_is_off_from_its_first_day_on_and_on_again_from_another(
    settings: Settings, ledger: Ledger, deciding: Workload
) -> None:
    assert standing(ledger, NAME).off(DAY) == ALL_ON
    for switch in (PROTECT, of_model(VERSION), WORKLOAD):
        made = switch_off(settings, deciding, switch, **said())
        assert (made.turned, made.switch, made.first_day, made.by) == (Turned.OFF, switch, DAY, OPERATOR)
    switch_on(settings, deciding, WORKLOAD, **said(by="T. Novak", why=" they are back ", first_day=LATER))
    found = standing(ledger, NAME)
    assert found.off(DAY - timedelta(days=1)) == ALL_ON
    assert found.off(DAY) == Off.of(
        SwitchedOff(switch, OPERATOR, "no seats") for switch in (PROTECT, of_model(VERSION), WORKLOAD)
    )
    assert (found.off(LATER).workload, found.off(LATER).actions, found.off(LATER).models) == (
        False,
        frozenset({"protect"}),
        frozenset({VERSION}),
    )
    assert [event.type for event in ledger.events(stream(NAME))] == ["switched_off"] * 3 + ["switched_on"]
    assert found.changes[-1].why == "they are back"


def test_who_may_not_switch_is_refused_and_nothing_is_appended(
    settings: Settings, ledger: Ledger, deciding: Workload
) -> None:
    for by in (REVIEWER, "nobody", "A. Jensen"):
        with pytest.raises(NotAuthorizedError):
            switch_off(settings, deciding, PROTECT, **said(by=by))
    switch_off(settings, deciding, PROTECT, **said())
    with pytest.raises(NotAuthorizedError, match="may not switch"):
        switch_on(settings, deciding, PROTECT, **said(by=REVIEWER))
    assert len(standing(ledger, NAME).changes) == 1


def test_what_cannot_be_switched_off_says_what_can(settings: Settings, ledger: Ledger, deciding: Workload) -> None:
    with pytest.raises(UnknownSwitchError, match=r"has no action protest\.\nChoose one of these: notify, protect\."):
        switch_off(settings, deciding, of_action("protest"), **said())
    with pytest.raises(SafeActionError, match="proceed is the safe action"):
        switch_off(settings, deciding, of_action("proceed"), **said())
    with pytest.raises(UnknownSwitchError, match="has no model version 8"):
        switch_off(settings, deciding, of_model(8), **said())
    for by, why in ((" ", "no seats"), (OPERATOR, "\n")):
        with pytest.raises(SwitchConflictError, match="names who turns it and why"):
            switch_off(settings, deciding, PROTECT, **said(by=by, why=why))
    assert standing(ledger, NAME).changes == ()


def test_what_is_so_already_is_not_switched_again(settings: Settings, ledger: Ledger, deciding: Workload) -> None:
    with pytest.raises(SwitchConflictError, match=f"the action protect is on on {DAY} already"):
        switch_on(settings, deciding, PROTECT, **said())
    switch_off(settings, deciding, PROTECT, **said())
    with pytest.raises(SwitchConflictError, match=f"is off on {LATER} already from {DAY} on, by {OPERATOR}: no seats"):
        switch_off(settings, deciding, PROTECT, **said(first_day=LATER))
    assert len(standing(ledger, NAME).changes) == 1


def test_of_two_that_switch_at_once_one_is_told_to_look_again(
    settings: Settings, ledger: Ledger, deciding: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = store.Ledger.append

    def append(mine: Ledger, named: str, expected: int, events: list[Happened]) -> None:
        monkeypatch.setattr(store.Ledger, "append", really)
        switch_off(settings, deciding, WORKLOAD, **said(by="T. Novak"))
        really(mine, named, expected, events)

    monkeypatch.setattr(store.Ledger, "append", append)
    with pytest.raises(SwitchConflictError, match="at the same time"):
        switch_off(settings, deciding, PROTECT, **said())
    assert standing(ledger, NAME).off(DAY).actions == frozenset()
    assert standing(ledger, NAME).off(DAY).workload


# ---------------------------------------------------------------- as a day was decided


def test_what_was_off_is_read_from_the_newest_event_of_a_day(ledger: Ledger) -> None:
    held = Off.of([SwitchedOff(PROTECT, OPERATOR, "no seats")])
    assert as_decided(ledger, NAME, DAY).off == ALL_ON
    for number, data in enumerate(({}, {"switches_off": held.as_data()}, {"switches_off": []})):
        ledger.append(decisions_of(NAME, DAY), number, [Happened(DECIDED, data, NOW)])
        assert as_decided(ledger, NAME, DAY).off == (held if data.get("switches_off") else ALL_ON)
    ledger.append(decisions_of(NAME, DAY), 3, [Happened(DECIDED, {"switches_off": ["protect"]}, NOW)])
    with pytest.raises(SwitchesInvalidError):
        as_decided(ledger, NAME, DAY)
