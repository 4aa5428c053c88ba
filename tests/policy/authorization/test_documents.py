"""The authorization files are held against each other before anybody is asked; the version is of what they say."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from automation.policy.authorization import AuthorizationInvalidError, Authorizer, problems
from automation.policy.authorization.documents import ENTITIES, POLICIES, SCHEMA
from tests.policy.authorization.conftest import ACTIONS, PILOT


def test_the_pilots_authorization_has_no_problems() -> None:
    assert problems(PILOT, ACTIONS) == []


AUTOMATION, CASES = "Automation 'flight_disruption'", "Cases 'flight_disruption'"
SPOILT = [
    (
        POLICIES,
        "context.price_cents > 300000",
        "context.price_cent > 300000",
        "policy a_machine_spends_at_most_3000_dollars",
        "attribute `price_cent` in context",
    ),
    (POLICIES, "principal.stage", "principal.stge", "policy a_deciding_model_acts", "attribute `stge` on entity type"),
    (
        POLICIES,
        'ModelStage::"champion"',
        'ModelStage::"champoin"',
        "policy a_deciding_model_acts",
        "not declared as a valid eid",
    ),
    (
        POLICIES,
        'principal in Role::"operator"',
        'principal in Role::"oprator"',
        "policy operators_go_back",
        "not declared as a valid eid",
    ),
    (POLICIES, 'Action::"promote_model"', 'Action::"promote"', "policy the_automation_promotes", "unrecognized action"),
    (
        POLICIES,
        "context.price_cents > 300000",
        'context.price_cents > "300000"',
        "policy a_machine_spends_at_most_3000_dollars",
        "expected Long",
    ),
    (
        POLICIES,
        '== Automation::"flight_disruption"',
        '== Automation::"flight_disrupted"',
        "policy the_safe_action_is_always_the_automations",
        "which entities.json does not declare",
    ),
    (POLICIES, '@id("operators_go_back")\n', "", "policy 6 of the file", "it has no @id"),
    (POLICIES, '@id("operators_go_back")\n', '@id("")\n', "policy 6 of the file", "it has no @id"),
    (
        POLICIES,
        '@id("operators_go_back")',
        '@id("reviewers_override")',
        "policy reviewers_override",
        "2 policies have this @id",
    ),
    (
        POLICIES,
        '  principal in Role::"reviewer",',
        "  principal == ?principal,",
        "policy reviewers_override",
        "it is a template",
    ),
    (POLICIES, "permit (", "permits (", "the file", "it is no Cedar"),
    (POLICIES, "> 300000", "> 3000.00", "the file", "it is no Cedar"),
    (SCHEMA, "entity Person in [Role];", "entity Person in [Rle];", "the file", "it is no Cedar schema"),
    (SCHEMA, "context: { price_cents: Long }", "context: { price_cents: Float }", "the file", "it is no Cedar schema"),
    (
        SCHEMA,
        "action proceed, notify, protect",
        "action proceed, notify",
        "action 'protect'",
        "the workload has this action",
    ),
    (
        SCHEMA,
        "  principal: Automation,",
        "  principal: Person,",
        "action 'proceed'",
        "the schema has none for an Automation",
    ),
    (ENTITIES, '"model_version": 0', '"model_version": "0"', "Automation 'flight_disruption'", "it does not fit"),
    (ENTITIES, ', "model_version": 0', "", "Automation 'flight_disruption'", "it does not fit"),
    (SCHEMA, '"canary", ', '"canry", ', AUTOMATION, "a model of stage canary could not decide"),
    (ENTITIES, '"type": "Cases"', '"type": "Workload"', CASES, "the automation's cases are not declared"),
    (
        ENTITIES,
        '"model_version": 0',
        '"model_version": 0, "more": 1',
        "Automation 'flight_disruption'",
        "it does not fit",
    ),
    (ENTITIES, '"model_version": 0', '"model_version": 0, "model_version": 1', "the file", "model_version twice"),
    (ENTITIES, '"model_version": 0', '"model_version": NaN', "the file", "NaN is no number"),
    (ENTITIES, '"id": "policy_owner"', '"id": "owner"', "Person 'A. Jensen'", "it does not fit"),
    (
        ENTITIES,
        '"parents": [{"type": "Workload", "id": "flight_disruption"}]',
        '"parents": [{"type": "Workload", "id": "other"}]',
        "Cases 'flight_disruption'",
        "its parent Workload 'other' is not declared",
    ),
    (ENTITIES, '"M. Okafor"', '"A. Jensen"', "Person 'A. Jensen'", "it is declared 2 times"),
    (ENTITIES, '"type": "Person"', '"type": "Persona"', "Persona 'A. Jensen'", "it does not fit"),
    (ENTITIES, '"attrs": {}', '"attributes": {}', "the file", "it is no list of entities"),
    (ENTITIES, "[\n", "[[\n", "the file", "it is no list of entities"),
]


@pytest.mark.parametrize(("file", "old", "new", "where", "rule"), SPOILT)
def test_a_contradiction_names_file_policy_rule_and_what_to_do(spoilt, file, old, new, where, rule) -> None:
    folder = spoilt(file, old=old, new=new)
    found = problems(folder, ACTIONS)
    assert [problem for problem in found if problem.file == file and problem.where == where and rule in problem.rule], (
        found
    )
    with pytest.raises(AuthorizationInvalidError, match=file) as caught:
        Authorizer.load(folder, ACTIONS)
    assert where in caught.value.message
    assert all(problem.fix in caught.value.remedy for problem in found)


@pytest.mark.parametrize("file", [POLICIES, SCHEMA, ENTITIES])
def test_a_file_that_is_not_there_or_no_text_is_named(spoilt, file) -> None:
    folder = spoilt(POLICIES, old="//", new="//")
    (folder / file).write_bytes(b"\xff\xfe")
    assert [(problem.file, problem.where) for problem in problems(folder)] == [(file, "the file")]
    (folder / file).unlink()
    with pytest.raises(AuthorizationInvalidError, match=f"{file}: the file: it cannot be read"):
        Authorizer.load(folder)


def test_a_workload_with_an_action_the_schema_lacks_is_refused(spoilt) -> None:
    with pytest.raises(AuthorizationInvalidError, match="the workload has this action"):
        Authorizer.load(PILOT, [*ACTIONS, 'x", Action::"protect'])


def test_the_version_is_of_what_the_files_say_and_not_of_how(spoilt) -> None:
    version = Authorizer.load(PILOT).version
    for file, old, new in [
        (POLICIES, "// Who", "// Says who"),
        (POLICIES, "when { context", "when {\n    context"),
        (SCHEMA, "// What can be asked.", "// Questions."),
        (ENTITIES, "[\n", "[\n\n\n"),
        (
            ENTITIES,
            '{"type": "Role", "id": "reviewer"}, {"type": "Role", "id": "operator"}',
            '{"type": "Role", "id": "operator"}, {"type": "Role", "id": "reviewer"}',
        ),
    ]:
        assert Authorizer.load(spoilt(file, old=old, new=new)).version == version
    for file, old, new in [
        (POLICIES, "> 300000", "> 300001"),
        (POLICIES, '@says("the champion', '@says("that the champion'),
        (SCHEMA, "context: { price_cents: Long }", "context: { price_cents: Long, more?: Long }"),
        (ENTITIES, "R. Silva", "R. Silvia"),
    ]:
        assert Authorizer.load(spoilt(file, old=old, new=new)).version != version


def test_a_policy_set_without_an_automation_decides_nothing(spoilt) -> None:
    folder = spoilt(POLICIES, old="//", new="//")
    (folder / ENTITIES).write_text("[]")
    assert any("it declares no Automation" in problem.rule for problem in problems(folder, ACTIONS))
    assert not any("it declares no Automation" in problem.rule for problem in problems(folder))


def test_the_version_is_what_it_was_under_other_versions_of_cedar(tmp_path) -> None:
    """How Cedar writes policies and schemas is a part of versions: decisions of last year name them."""
    (tmp_path / POLICIES).write_text(
        '@id("a") permit (principal in Role::"r", action in [Action::"x", Action::"y"], resource is Thing) '
        'when { context.n <= 5 && principal.t like "a*" && !(resource has size) } '
        "unless { [1, 2].contains(context.n) };"
    )
    (tmp_path / SCHEMA).write_text(
        'entity Role enum ["r"]; entity P in [Role] { t: String, s?: Set<Long> }; entity Thing { size?: Long }; '
        "action x, y appliesTo { principal: P, resource: Thing, context: { n: Long } };"
    )
    (tmp_path / ENTITIES).write_text(
        '[{"uid": {"type": "P", "id": "p"}, "attrs": {"t": "a"}, "parents": [{"type": "Role", "id": "r"}]}]'
    )
    assert Authorizer.load(tmp_path).version == "f4c4f06a46e1b0ac6685a558fddb391d0eaa3395720ebffb85a4723acf92846d"


def test_the_version_does_not_depend_on_order_or_process(spoilt) -> None:
    version = Authorizer.load(PILOT).version
    folder = spoilt(POLICIES, old="//", new="//")
    entities = json.loads((folder / ENTITIES).read_text())
    (folder / ENTITIES).write_text(json.dumps(entities[::-1]))
    first, *policies = (folder / POLICIES).read_text().split("@id(")
    (folder / POLICIES).write_text(first + "".join(f"@id({text}\n" for text in reversed(policies)))
    assert Authorizer.load(folder).version == version
    code = (
        "from pathlib import Path; from automation.policy.authorization import Authorizer; "
        f"print(Authorizer.load(Path({str(PILOT)!r})).version)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PILOT.parents[2]
    )
    assert printed.stdout.strip() == version


def test_importing_it_does_not_import_cedar() -> None:
    code = "import sys, automation.policy.authorization; print('cedarpy' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PILOT.parents[2]
    )
    assert printed.stdout.strip() == "False"
