"""What Cedar itself does and the adapter stands on: where it fails open. If an upgrade changes one, look again."""

from __future__ import annotations

import json
from typing import Any

import cedarpy
import pytest
from cedarpy import Decision

ENTITIES = json.dumps([{"uid": {"type": "A", "id": "a"}, "attrs": {}, "parents": []}])
PERMIT = "permit (principal, action, resource);"
SCHEMA = cedarpy.Schema.from_str(
    "entity A; action act appliesTo { principal: A, resource: A, context: { amount: Long, more?: Long } };"
)


def ask(policies: str, context: dict[str, Any], schema: cedarpy.Schema | None = None) -> cedarpy.AuthzResult:
    request = {"principal": 'A::"a"', "action": 'Action::"act"', "resource": 'A::"a"', "context": context}
    return cedarpy.is_authorized(request, policies, ENTITIES, schema)


def test_a_forbid_on_a_missing_attribute_is_skipped_and_the_request_allowed() -> None:
    found = ask(PERMIT + "forbid (principal, action, resource) when { context.amount > 5 };", {})
    assert found.decision is Decision.Allow
    assert found.diagnostics.reasons == ["policy0"]
    assert len(found.diagnostics.errors) == 1


def test_a_forbid_that_overflows_is_skipped_even_with_a_schema() -> None:
    policies = PERMIT + "forbid (principal, action, resource) when { context.amount * 2 > 5 };"
    assert cedarpy.validate_policies(policies, SCHEMA)
    found = ask(policies, {"amount": 2**62}, SCHEMA)
    assert found.decision is Decision.Allow
    assert len(found.diagnostics.errors) == 1


def test_a_forbid_on_another_type_is_skipped_without_a_schema() -> None:
    policies = PERMIT + "forbid (principal, action, resource) when { context.amount > 5 };"
    assert ask(policies, {"amount": "6"}).decision is Decision.Allow
    assert ask(policies, {"amount": "6"}, SCHEMA).decision is Decision.NoDecision


@pytest.mark.parametrize("amount", [1.5, 1.0, float("nan"), float("inf"), None, 2**63, "6", True, [6], {"x": 6}])
def test_what_is_no_long_gets_no_decision(amount: Any) -> None:
    assert ask(PERMIT, {"amount": amount}, SCHEMA).decision is Decision.NoDecision


def test_a_negative_amount_is_below_every_bound() -> None:
    policies = "permit (principal, action, resource) when { context.amount < 5 };"
    assert ask(policies, {"amount": -(2**63)}, SCHEMA).decision is Decision.Allow


def test_an_entity_that_nobody_declared_is_one_that_has_nothing() -> None:
    request = {"principal": 'A::"nobody"', "action": 'Action::"act"', "resource": 'A::"a"', "context": {"amount": 1}}
    assert cedarpy.is_authorized(request, PERMIT, ENTITIES, SCHEMA).decision is Decision.Allow


def test_without_a_schema_an_action_that_nobody_declared_is_an_action() -> None:
    request = {"principal": 'A::"a"', "action": 'Action::"other"', "resource": 'A::"a"'}
    assert cedarpy.is_authorized(request, PERMIT, ENTITIES).decision is Decision.Allow
    assert cedarpy.is_authorized(request, PERMIT, ENTITIES, SCHEMA).decision is Decision.NoDecision


def test_a_typo_in_a_forbid_is_found_by_the_schema_alone() -> None:
    policies = PERMIT + "forbid (principal, action, resource) when { context.amuont > 5 };"
    assert ask(policies, {"amount": 6}, SCHEMA).decision is Decision.Allow
    assert not cedarpy.validate_policies(policies, SCHEMA)


def test_an_optional_attribute_has_to_be_asked_for_before_it_is_read() -> None:
    policies = PERMIT + "forbid (principal, action, resource) when { context.more > 5 };"
    assert ask(policies, {"amount": 1}, SCHEMA).decision is Decision.Allow
    assert not cedarpy.validate_policies(policies, SCHEMA)


def test_a_template_permits_nothing_and_a_parent_need_not_exist() -> None:
    assert ask("permit (principal == ?principal, action, resource);", {}).decision is Decision.Deny
    schema = cedarpy.Schema.from_str("entity R; entity A in [R];")
    child = [{"uid": {"type": "A", "id": "a"}, "attrs": {}, "parents": [{"type": "R", "id": "undeclared"}]}]
    assert len(cedarpy.Entities.from_json_str(json.dumps(child), schema)) == 1


def test_the_same_entity_twice_and_a_name_twice_in_an_object_are_taken() -> None:
    one = '{"uid": {"type": "A", "id": "a"}, "attrs": {}, "parents": []}'
    assert len(cedarpy.Entities.from_json_str(f"[{one}, {one}]")) == 1
    twice = '[{"uid": {"type": "A", "id": "a"}, "attrs": {"x": 1, "x": 2}, "parents": []}]'
    with pytest.raises(ValueError, match="deserialization"):
        cedarpy.Entities.from_json_str(twice)


def test_policies_are_named_by_their_place_in_the_file() -> None:
    held = cedarpy.PolicySet.from_str(PERMIT * 12).to_pst().static_policies
    assert set(held) == {f"policy{n}" for n in range(12)}
