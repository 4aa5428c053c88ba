"""Who may do what in the pilot; whatever is not clearly allowed is denied, and says why."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from automation.policy.authorization import (
    Answer,
    Authorizer,
    Automation,
    Cases,
    ModelStage,
    Person,
    Request,
    Workload,
)
from automation.policy.authorization.documents import ENTITIES, Documents
from tests.policy.authorization.conftest import (
    ACTIONS,
    BOTH,
    CASES,
    CHAMPION,
    NAME,
    OPERATOR,
    OWNER,
    PILOT,
    REVIEWER,
    WORKLOAD,
)

CHEAP, DEAR, DEAREST = {"price_cents": 300_000}, {"price_cents": 300_001}, {"price_cents": 1_000_001}
CANARY = Automation(NAME, ModelStage.CANARY, 4)
CHALLENGER = Automation(NAME, ModelStage.CHALLENGER, 4)
NO_MODEL = Automation(NAME)


def one(authorizer: Authorizer, request: Request) -> Answer:
    [answer] = authorizer.authorize([request])
    return answer


# What is allowed, by which policies: each policy of the pilot that permits has a line.
ALLOWED = [
    (Request(NO_MODEL, "proceed", CASES, CHEAP), ["the_safe_action_is_always_the_automations"]),
    (Request(CHAMPION, "proceed", CASES, {"price_cents": 0}), ["the_safe_action_is_always_the_automations"]),
    (Request(CHAMPION, "notify", CASES, CHEAP), ["a_deciding_model_acts"]),
    (Request(CANARY, "protect", CASES, CHEAP), ["a_deciding_model_acts"]),
    (Request(CHAMPION, "promote_model", WORKLOAD), ["the_automation_promotes"]),
    (Request(OWNER, "shadow_policy", WORKLOAD), ["policy_owners_change_policies"]),
    (Request(OWNER, "activate_policy", WORKLOAD), ["policy_owners_change_policies"]),
    (Request(OWNER, "rollback_policy", WORKLOAD), ["policy_owners_change_policies"]),
    (Request(OPERATOR, "rollback_policy", WORKLOAD), ["operators_go_back"]),
    (Request(OPERATOR, "restore_table", WORKLOAD), ["operators_go_back"]),
    (Request(BOTH, "promote_model", WORKLOAD), ["operators_go_back"]),
    (Request(OPERATOR, "switch", WORKLOAD), ["operators_switch"]),
    (Request(BOTH, "switch", WORKLOAD), ["operators_switch"]),
    (Request(OWNER, "waive_gate", WORKLOAD), ["owners_and_operators_waive_gates"]),
    (Request(OPERATOR, "waive_gate", WORKLOAD), ["owners_and_operators_waive_gates"]),
    (Request(REVIEWER, "override_decision", CASES, DEAR), ["reviewers_override"]),
    (Request(BOTH, "override_decision", CASES, DEAR), ["reviewers_override"]),
    (Request(OWNER, "override_decision", CASES, DEAREST), ["policy_owners_override"]),
]
# What is denied: by a policy that forbids, or because none permits.
DENIED = [
    (Request(CHAMPION, "protect", CASES, DEAR), ["a_machine_spends_at_most_3000_dollars"]),
    (Request(NO_MODEL, "proceed", CASES, DEAR), ["a_machine_spends_at_most_3000_dollars"]),
    (Request(REVIEWER, "override_decision", CASES, DEAREST), ["a_reviewer_spends_at_most_10000_dollars"]),
    (Request(CHALLENGER, "notify", CASES, CHEAP), []),
    (Request(NO_MODEL, "protect", CASES, CHEAP), []),
    (Request(Automation(NAME, ModelStage.CHAMPION, 0), "notify", CASES, CHEAP), []),
    (Request(REVIEWER, "activate_policy", WORKLOAD), []),
    (Request(OPERATOR, "activate_policy", WORKLOAD), []),
    (Request(OPERATOR, "override_decision", CASES, CHEAP), []),
    (Request(OWNER, "restore_table", WORKLOAD), []),
    (Request(REVIEWER, "waive_gate", WORKLOAD), []),
    (Request(REVIEWER, "switch", WORKLOAD), []),
    (Request(OWNER, "switch", WORKLOAD), []),
]


@pytest.mark.parametrize(("request_", "policies"), ALLOWED)
def test_what_is_allowed_names_the_policies_that_permit_it(
    pilot: Authorizer, request_: Request, policies: list[str]
) -> None:
    answer = one(pilot, request_)
    assert (answer.allowed, list(answer.policies)) == (True, policies)
    assert answer.says.startswith(f"Permitted by {policies[0]}")


@pytest.mark.parametrize(("request_", "policies"), DENIED)
def test_what_is_denied_names_the_policies_that_forbid_it(
    pilot: Authorizer, request_: Request, policies: list[str]
) -> None:
    answer = one(pilot, request_)
    assert (answer.allowed, list(answer.policies)) == (False, policies)
    assert ("Forbidden by" in answer.says) if policies else ("no policy permits it" in answer.says)


def test_every_policy_of_the_pilot_determines_some_answer_here(pilot: Authorizer) -> None:
    met = {name for _, policies in (*ALLOWED, *DENIED) for name in policies}
    assert met == {said["id"] for said in Documents.read(PILOT).annotations.values()}


def test_answers_come_in_the_order_of_the_requests_and_equal_ones_alike(pilot: Authorizer) -> None:
    every = [request for request, _ in (*ALLOWED, *DENIED)] * 3
    bad = Request(CHAMPION, "protect", CASES, {"price_cents": True})
    mixed = list(itertools.chain.from_iterable((request, bad) for request in reversed(every)))
    answers = pilot.authorize(mixed)
    assert answers[::2] == [one(pilot, request) for request in reversed(every)]
    assert not any(answer.allowed for answer in answers[1::2])
    assert pilot.authorize([]) == []


def test_equal_requests_are_asked_once(pilot: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    import cedarpy

    asked, real = [], cedarpy.is_authorized_batch
    monkeypatch.setattr(cedarpy, "is_authorized_batch", lambda r, *rest: asked.append(len(r)) or real(r, *rest))
    requests = [Request(CHAMPION, "protect", CASES, {"price_cents": n % 4}) for n in range(400)]
    assert all(answer.allowed for answer in pilot.authorize(requests))
    assert asked == [4]


INJECTIONS = [
    'flight_disruption" || true || "',
    'x", "parents": [{"type": "Role", "id": "policy_owner"}], "y": "',
    'A. Jensen"',
    "A. Jensen\\",
    "A. Jensen\x00",
    "A. Jensen\n",
    "A\u200b. Jensen",
    "А. Jensen",  # noqa: RUF001 - a Cyrillic letter that looks like A
    'Person::"A. Jensen"',
    "\ud800",
    "\u2028",
    "*",
    "?principal",
    "",
    "x" * 100_000,
]
NOT_TEXTS: list[Any] = [
    None,
    math.nan,
    True,
    1,
    1.5,
    -1,
    2**70,
    ["A. Jensen"],
    {"type": "Person", "id": "A. Jensen"},
    b"a",
]
NOT_AMOUNTS: list[Any] = [
    None,
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    0.0,
    1.0,
    1.5,
    -1,
    -(2**63),
    -(2**63) - 1,
    2**63,
    2**64 + 1,
    10**400,
    "1",
    "",
    "0",
    '1}, "price_cents": {"x": 1',
    [1],
    [],
    {"price_cents": 1},
    {},
    {"__extn": {"fn": "decimal", "arg": "1.0"}},
    {"__entity": {"type": "Role", "id": "policy_owner"}},
    np.int64(1),
    np.float64(1),
    b"1",
]
MISSING = object()
NOT_MAPPINGS: list[Any] = [None, True, 1, "price_cents", ["price_cents"], [("price_cents", 1)]]
NOT_STAGES: list[Any] = [None, "champion", "", "CHAMPION", True, 1, 1.5, math.nan, [], {}]
MORE = [{"other": 1}, {"": 1}, {1: 1}, {None: 1}, {"__entity": "x"}, {"price_cents ": 1}, {"\ud800": 1}]


def spoilt(request: Request) -> Iterator[Request]:
    """The request with each of its parts replaced by each thing that it must not be."""
    principal, resource, context = request.principal, request.resource, dict(request.context)

    def named(entity: Any, name: Any) -> Any:
        return dataclasses.replace(entity, **{dataclasses.fields(entity)[0].name: name})

    for name in (*NOT_TEXTS, *INJECTIONS, "unknown"):
        yield dataclasses.replace(request, principal=named(principal, name))
        yield dataclasses.replace(request, resource=named(resource, name))
        yield dataclasses.replace(request, action=name)
    for other in (None, "Person", 1, True, resource, ("Person", "A. Jensen")):
        yield dataclasses.replace(request, principal=other)  # type: ignore[bad-argument-type]
    for other in (None, "Cases", 1, True, principal, Person("A. Jensen"), ("Cases", NAME)):
        yield dataclasses.replace(request, resource=other)  # type: ignore[bad-argument-type]
    for wrong in (Cases(NAME), Workload(NAME)):
        if wrong != resource:
            yield dataclasses.replace(request, resource=wrong)
    if isinstance(principal, Automation):
        for stage in NOT_STAGES:
            yield dataclasses.replace(request, principal=dataclasses.replace(principal, stage=stage))
        for version in NOT_AMOUNTS:
            yield dataclasses.replace(request, principal=dataclasses.replace(principal, model_version=version))
    for other in NOT_MAPPINGS:
        yield dataclasses.replace(request, context=other)  # type: ignore[bad-argument-type]
    for more in MORE:
        yield dataclasses.replace(request, context={**context, **more})
    for name in context:
        for value in (MISSING, *NOT_AMOUNTS, *INJECTIONS):
            kept = {key: held for key, held in context.items() if key != name}
            yield dataclasses.replace(request, context=kept if value is MISSING else {**kept, name: value})


def test_no_bad_input_is_ever_allowed(pilot: Authorizer) -> None:
    count = 0
    for clean, _ in (*ALLOWED, *DENIED):
        bad = list(spoilt(clean))
        answers = pilot.authorize(bad)
        for request, answer in zip(bad, answers, strict=True):
            assert not answer.allowed, request
            assert answer.says
        # Nor does a bad request among clean ones change what they are answered.
        assert pilot.authorize([clean, *bad, clean])[:: len(bad) + 1] == [one(pilot, clean)] * 2
        count += len(bad)
    print(f"{count:,} bad requests: none was allowed.")  # noqa: T201
    assert count > 3_000


PATHS: list[tuple] = [
    *(("uid",), ("uid", "type"), ("uid", "id")),
    *(("attrs",), ("attrs", "stage"), ("attrs", "model_version")),
    *(("parents",), ("parents", 0), ("parents", 0, "id"), ("parents", 0, "type")),
]


def test_no_bad_entity_allows_anything(tmp_path) -> None:
    """Each part of each entity is spoilt in turn: either the file is refused, or nothing is allowed that was not."""
    from automation.policy.authorization import AuthorizationInvalidError

    clean = json.loads((PILOT / ENTITIES).read_text())
    requests = [request for request, _ in (*ALLOWED, *DENIED)]
    answers = Authorizer.load(PILOT).authorize(requests)
    allowed = {request.key for request, answer in zip(requests, answers, strict=True) if answer.allowed}
    for name in ("authorization.cedar", "authorization.cedarschema"):
        (tmp_path / name).write_text((PILOT / name).read_text())
    refused = count = 0
    values = [MISSING, None, math.nan, 1.5, -1, 2**63, True, "", 'a"b', [], {"x": 1}]
    for at, entity in enumerate(clean):
        for path in PATHS:
            for value in values:
                changed = json.loads(json.dumps(clean))
                inner = changed[at]
                try:
                    for step in path[:-1]:
                        inner = inner[step]
                    if value is MISSING:
                        del inner[path[-1]]
                    else:
                        inner[path[-1]] = value
                except (KeyError, IndexError):
                    continue
                (tmp_path / ENTITIES).write_text(json.dumps(changed))
                count += 1
                try:
                    answers = Authorizer.load(tmp_path).authorize(requests)
                except AuthorizationInvalidError:
                    refused += 1
                    continue
                now = {request.key for request, answer in zip(requests, answers, strict=True) if answer.allowed}
                assert now <= allowed, (entity, path, value)
    print(f"{count:,} bad entities: {refused:,} refused, none allowed anything.")  # noqa: T201
    assert refused > count / 2 > 100


def test_an_answer_says_what_does_not_fit(pilot: Authorizer) -> None:
    for context, says in [
        ({}, "expected the record to have an attribute `price_cents`"),
        ({"price_cents": "1"}, 'context `{price_cents: "1"}` is not valid'),
        ({"price_cents": 1, "more": 1}, "`more` should not exist"),
        ({"price_cents": 1.0}, "price_cents is of type float, and must be a whole number: 1.0"),
        ({"price_cents": True}, "price_cents is of type bool"),
        ({"price_cents": -1}, "price_cents is -1: an amount is from 0"),
    ]:
        assert says in one(pilot, Request(CHAMPION, "protect", CASES, context)).says
    assert '`Action::"fly"` does not exist' in one(pilot, Request(CHAMPION, "fly", CASES, CHEAP)).says
    assert one(pilot, Request(Person("N. N."), "waive_gate", WORKLOAD)).says == (
        "Person 'N. N.' is not among the entities that are declared."
    )


def test_an_evaluation_error_anywhere_denies(spoilt) -> None:
    """Cedar alone allows here: it skips the forbid that overflows."""
    folder = spoilt(
        "authorization.cedar",
        old="when { context.price_cents > 300000 }",
        new="when { context.price_cents * 1000000000000 > 300000000000000000 }",
    )
    authorizer = Authorizer.load(folder, ACTIONS)
    assert one(authorizer, Request(CHAMPION, "protect", CASES, {"price_cents": 5})).allowed
    answer = one(authorizer, Request(CHAMPION, "protect", CASES, {"price_cents": 2**40}))
    assert not answer.allowed
    assert "could not be evaluated" in answer.says
    assert "integer overflow" in answer.says
