"""The flags of OpenFeature are the switches of the ledger, and whatever cannot be read is off.

Pinned here, too, is what is leaned on of OpenFeature's SDK: what its clients answer where something fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from pydantic import SecretStr

from automation.ledger.store import Ledger
from automation.policy.deciding import REVIEW, decide
from automation.settings import Settings
from automation.switches.flags import LedgerFlags, client, domain, flag, off_on, parsed
from automation.switches.standing import switch_off, switch_on
from automation.switches.switch import ALL_ON, WORKLOAD, SwitchedOff, of_action, of_model
from automation.workload import Workload
from tests.ledger.conftest import NOW
from tests.policy.made import Case, day, declared, small
from tests.switches.conftest import DAY, LATER, NAME, OPERATOR, VERSION

PROTECT = of_action("protect")
ACTIONS = ("notify", "protect")
EVERY = (f"{NAME}.decides", f"{NAME}.action.notify", f"{NAME}.action.protect", f"{NAME}.model.{VERSION}")


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> Iterator[None]:
    api.shutdown()
    yield
    api.shutdown()


def on(day_: date = DAY) -> EvaluationContext:
    return EvaluationContext(attributes={"day": day_.isoformat()})


def said(first_day: date = DAY) -> dict:
    return {"by": OPERATOR, "why": "no seats", "first_day": first_day, "now": NOW}


@pytest.fixture
def unreachable() -> Settings:
    return Settings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))


def test_a_flag_is_true_until_its_switch_is_off_and_again_after(
    settings: Settings, ledger: Ledger, deciding: Workload
) -> None:
    asking = client(settings)
    assert [asking.get_boolean_value(key, False, on()) for key in EVERY] == [True] * 4
    switch_off(settings, deciding, PROTECT, **said())
    # The same client: nothing is kept.
    assert [asking.get_boolean_value(key, False, on()) for key in EVERY] == [True, True, False, True]
    details = asking.get_boolean_details(f"{NAME}.action.protect", False, on(LATER))
    assert (details.flag_metadata["by"], details.flag_metadata["why"]) == (OPERATOR, "no seats")
    assert (details.value, details.variant, details.reason, details.error_code) == (False, "off", "DISABLED", None)
    switch_on(settings, deciding, PROTECT, **said(LATER))
    values = [asking.get_boolean_value(f"{NAME}.action.protect", False, on(each)) for each in (DAY, LATER)]
    assert values == [False, True]


def test_a_decision_run_reads_what_is_off_through_the_client(
    settings: Settings, ledger: Ledger, deciding: Workload
) -> None:
    assert off_on(settings, NAME, ACTIONS, [VERSION], DAY) == ALL_ON
    for switch in (WORKLOAD, PROTECT, of_model(VERSION)):
        switch_off(settings, deciding, switch, **said(LATER))
    assert off_on(settings, NAME, ACTIONS, [VERSION], DAY) == ALL_ON
    found = off_on(settings, NAME, ACTIONS, [VERSION], LATER)
    assert found.switches == tuple(
        sorted(SwitchedOff(switch, OPERATOR, "no seats") for switch in (WORKLOAD, PROTECT, of_model(VERSION)))
    )


@pytest.mark.parametrize(
    ("key", "context", "code"),
    [
        (f"{NAME}.action.protest", on(), ErrorCode.FLAG_NOT_FOUND),
        (f"{NAME}.model.8", on(), ErrorCode.FLAG_NOT_FOUND),
        (f"{NAME}.model.seven", on(), ErrorCode.FLAG_NOT_FOUND),
        (f"{NAME}.decide", on(), ErrorCode.FLAG_NOT_FOUND),
        ("parcel_claims.decides", on(), ErrorCode.FLAG_NOT_FOUND),
        ("", on(), ErrorCode.FLAG_NOT_FOUND),
        # Before its first policy decides.
        (f"{NAME}.decides", on(date(2012, 1, 1)), ErrorCode.FLAG_NOT_FOUND),
        (f"{NAME}.decides", None, ErrorCode.INVALID_CONTEXT),
        (f"{NAME}.decides", EvaluationContext(attributes={"day": "yesterday"}), ErrorCode.INVALID_CONTEXT),
        (f"{NAME}.decides", EvaluationContext(attributes={"day": 20130301}), ErrorCode.INVALID_CONTEXT),
    ],
)
def test_what_the_ledger_does_not_know_is_no_flag(
    settings: Settings, deciding: Workload, key: str, context: EvaluationContext | None, code: ErrorCode
) -> None:
    for default in (False, True):
        details = client(settings).get_boolean_details(key, default, context)
        assert (details.value, details.error_code) == (default, code)


def test_a_flag_is_of_one_type(settings: Settings, deciding: Workload) -> None:
    asking = client(settings)
    answers = [
        asking.get_string_details(EVERY[0], "x", on()),
        asking.get_integer_details(EVERY[0], 1, on()),
        asking.get_float_details(EVERY[0], 1.0, on()),
        asking.get_object_details(EVERY[0], {}, on()),
    ]
    assert [each.error_code for each in answers] == [ErrorCode.TYPE_MISMATCH] * 4
    assert [each.value for each in answers] == ["x", 1, 1.0, {}]


def test_a_key_is_read_as_it_is_written() -> None:
    for switch in (WORKLOAD, PROTECT, of_action("ask.twice"), of_model(7)):
        assert parsed(flag(NAME, switch)) == (NAME, switch)


# ---------------------------------------------------------------- what cannot be read is off


def test_a_ledger_that_cannot_be_read_never_looks_like_on(unreachable: Settings) -> None:
    asking = client(unreachable)
    # The default is what a client gives back: with True it would look like on, in the asynchronous way, too.
    for default in (False, True):
        details = asking.get_boolean_details(EVERY[0], default, on())
        later = asyncio.run(asking.get_boolean_details_async(EVERY[0], default, on()))
        for each in (details, later):
            assert (each.value, each.reason, each.error_code) == (default, "ERROR", ErrorCode.GENERAL)
            assert "the ledger cannot be read" in (each.error_message or "")
    found = off_on(unreachable, "toy", ["act", "tell"], [3], DAY)
    assert (found.workload, found.actions, found.models) == (True, {"act", "tell"}, {3})
    assert {each.by for each in found.switches} == {"warrant"}
    [row] = decide(replace(day(Case("a")), off=found), small(declared()), {}, {}).iter_rows(named=True)
    assert (row["action"], row["status"]) == ("wait", REVIEW)
    assert "toy is switched off by warrant: whether it is on could not be read" in row["review_reasons"]


def test_an_event_that_is_none_of_ours_makes_everything_off(
    settings: Settings, ledger: Ledger, deciding: Workload, superuser: Callable[[str], None]
) -> None:
    switch_off(settings, deciding, PROTECT, **said())
    superuser(
        """UPDATE events SET leaf = replace(leaf, '"kind":"action"', '"kind":"feature"')
        WHERE stream = 'switches/flight_disruption'"""
    )
    found = off_on(settings, NAME, ACTIONS, [VERSION], DAY)
    assert (found.workload, found.actions, found.models) == (True, set(ACTIONS), {VERSION})


class _Hook(Hook):
    """A hook of the application's, which moves the day, or fails."""

    def __init__(self, day_: date | None) -> None:
        self._day = day_

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:  # noqa: ARG002
        if self._day is None:
            raise ValueError("the application's hook fails")
        return on(self._day)


def test_a_hook_that_fails_or_asks_about_another_day_makes_it_off(
    settings: Settings, ledger: Ledger, deciding: Workload
) -> None:
    switch_off(settings, deciding, PROTECT, **said(LATER))
    for hook in (_Hook(None), _Hook(DAY)):
        api.clear_hooks()
        api.add_hooks([hook])
        found = off_on(settings, NAME, ACTIONS, [VERSION], LATER)
        assert (found.workload, found.actions, found.models) == (True, set(ACTIONS), {VERSION})
        assert {each.by for each in found.switches} == {"warrant"}


# ---------------------------------------------------------------- beside an application's own provider


def test_the_applications_provider_stays_and_is_not_believed(
    settings: Settings, ledger: Ledger, deciding: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_off(settings, deciding, PROTECT, **said())
    everything = {key: InMemoryFlag("yes", {"yes": True}) for key in (*EVERY, "dark_mode")}
    api.set_provider_and_wait(InMemoryProvider(everything))
    assert off_on(settings, NAME, ACTIONS, [VERSION], DAY).actions == {"protect"}
    assert api.get_client().get_boolean_value("dark_mode", False)
    # Where ours is not registered, OpenFeature asks the application's: what that says of our flags is not taken.
    stranger = api.get_client("none").get_boolean_details(EVERY[2], False, on())
    assert (stranger.value, stranger.error_code) == (True, None)
    monkeypatch.setattr("automation.switches.flags.client", lambda _: api.get_client("none"))
    assert off_on(settings, NAME, ACTIONS, [VERSION], DAY).actions == set(ACTIONS)


def test_a_provider_is_registered_once_and_again_where_the_application_removed_it(
    settings: Settings, deciding: Workload
) -> None:
    first = client(settings).provider
    assert client(settings).provider is first
    api.clear_providers()
    again = client(settings)
    assert again.provider is not first
    assert again.get_boolean_value(EVERY[0], False, on())


def test_two_ledgers_in_one_process_are_two_domains(
    settings: Settings, deciding: Workload, unreachable: Settings
) -> None:
    assert client(settings).get_boolean_value(EVERY[0], False, on())
    assert not client(unreachable).get_boolean_value(EVERY[0], False, on())
    assert client(settings).get_boolean_value(EVERY[0], False, on())
    assert domain(settings) != domain(unreachable)
    assert "nobody" not in domain(unreachable)


def test_anybody_can_have_the_flags_from_a_provider_of_their_own(settings: Settings, deciding: Workload) -> None:
    api.set_provider_and_wait(LedgerFlags(settings))
    switch_off(settings, deciding, PROTECT, **said())
    assert [api.get_client().get_boolean_value(key, False, on()) for key in EVERY] == [True, True, False, True]
