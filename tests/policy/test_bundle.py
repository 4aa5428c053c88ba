"""A policy is known by what it says, wherever it is kept; and files that would not do what they say are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from automation.policy import bundle
from automation.policy.bundle import OtherContentError, PolicyBundle, PolicyError, load, of_content
from automation.policy.deciding import decide
from automation.workload import Workload
from tests.policy.conftest import PILOT
from tests.policy.test_deciding import pilot_day

TABLE, CEDAR, SCHEMA = "decision_table.json", "authorization.cedar", "authorization.cedarschema"


def test_the_pilots_files_are_its_working_policy(workload: Workload, pilots: PolicyBundle) -> None:
    assert pilots.declared == workload.spec.policy
    assert load(workload, PILOT / "policy").version == pilots.version
    assert [action.name for action in pilots.declared.actions] == ["proceed", "notify", "protect"]


# ---------------------------------------------------------------- the version


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (CEDAR, "// Who or what may do what.", "// Whoever reads this: it is only a comment.\n\n//"),
        (CEDAR, "permit (\n  principal ==", "permit (principal =="),
        (SCHEMA, "// What a person decides instead.", ""),
        (TABLE, '\n  "nodes"', '"nodes"'),
        ("entities.json", '"attrs": {}, "parents": []', '"parents": [], "attrs": {}'),
    ],
)
def test_comments_and_white_space_are_no_part_of_the_version(
    workload: Workload, pilots: PolicyBundle, edited: Callable[..., Path], file: str, old: str, new: str
) -> None:
    assert load(workload, edited(file, old, new)).version == pilots.version


def test_the_order_of_cedars_policies_is_no_part_of_the_version(pilots: PolicyBundle) -> None:
    texts = pilots.documents
    first, *others = texts.policies_text.split("\n\n@id")
    # What is before the first policy is a comment.
    comment, *rest = [first, *(f"@id{text}" for text in others)]
    reversed_ = "\n\n".join([comment, *reversed(rest)])
    assert reversed_ != texts.policies_text
    assert replace(pilots, documents=replace(texts, policies_text=reversed_)).version == pilots.version


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (CEDAR, "context.price_cents > 300000", "context.price_cents > 300001"),
        (CEDAR, '@says("doing nothing needs no model")', '@says("doing nothing needs a model")'),
        (SCHEMA, "entity Cases in [Workload];", "entity Cases in [Workload, Role];"),
        (TABLE, '"> 3000"', '"> 3001"'),
        (TABLE, "seats elsewhere cost", "seats cost"),
        ("entities.json", "R. Silva", "S. Rilva"),
    ],
)
def test_whatever_is_said_otherwise_is_another_version(
    workload: Workload, pilots: PolicyBundle, edited: Callable[..., Path], file: str, old: str, new: str
) -> None:
    assert load(workload, edited(file, old, new)).version != pilots.version


def test_whatever_is_declared_otherwise_is_another_version(pilots: PolicyBundle) -> None:
    said = pilots.declared.model_dump(mode="json")
    versions = {pilots.version}
    for change in (
        {"harm": 61.0},
        {"safe_action": "notify", "limits": []},
        {"limits": []},
        {"actions": said["actions"][::-1]},
        {"stake": {**said["stake"], "otherwise": 111}},
        {"assumptions": ["none"]},
    ):
        declared = type(pilots.declared).model_validate({**said, **change})
        versions.add(replace(pilots, declared=declared).version)
    assert len(versions) == 7
    same = replace(pilots, declared=type(pilots.declared).model_validate(said))
    assert same.version == pilots.version


def test_a_policy_yaml_takes_the_place_of_what_the_workload_declares(
    workload: Workload, pilots: PolicyBundle, edited: Callable[..., Path]
) -> None:
    folder = edited(TABLE, "", "")
    said = pilots.declared.model_dump(mode="json")
    (folder / "policy.yaml").write_text(yaml.safe_dump(said))
    assert load(workload, folder).version == pilots.version
    (folder / "policy.yaml").write_text(yaml.safe_dump({**said, "harm": 61.0}))
    found = load(workload, folder)
    assert (found.declared.harm, found.version == pilots.version) == (61.0, False)


# ---------------------------------------------------------------- its text


def test_its_text_is_all_that_is_needed_to_decide_by_it_again(pilots: PolicyBundle) -> None:
    again = of_content(pilots.content(), pilots.version)
    assert (again, again.version, again.content()) == (pilots, pilots.version, pilots.content())
    flights = pilot_day(6, 60)
    assert decide(flights, again, {}, {}).equals(decide(flights, pilots, {}, {}))


def _spoilt(change: Callable[[dict], object]) -> Callable[[str], str]:
    def spoil(text: str) -> str:
        said = json.loads(text)
        change(said)
        return json.dumps(said)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(lambda text: text.replace("300000", "900000"), "is that of", id="another bound"),
        pytest.param(lambda text: text.replace('\\"> 3000\\"', '\\"> 9000\\"'), "is that of", id="another cell"),
        pytest.param(_spoilt(lambda said: said["declared"].update(harm=1.0)), "is that of", id="other costs"),
        pytest.param(lambda text: text[:-1], "is no policy", id="half a text"),
        pytest.param(lambda _: "", "is no policy", id="no text"),
        pytest.param(lambda _: "[]", "is no policy", id="a list"),
        pytest.param(lambda _: "null", "is no policy", id="null"),
        pytest.param(_spoilt(lambda said: said.pop("decision_table")), "is no policy", id="no table"),
        pytest.param(_spoilt(lambda said: said.update(decision_table="{")), "is no policy", id="half a table"),
        pytest.param(_spoilt(lambda said: said.update(decision_table=None)), "is no policy", id="null for a table"),
        pytest.param(_spoilt(lambda said: said.update(decision_table="NaN")), "is no policy", id="NaN for a table"),
        pytest.param(_spoilt(lambda said: said["declared"].update(harm=-1)), "is no policy", id="no harm"),
        pytest.param(_spoilt(lambda said: said["declared"].update(more=1)), "is no policy", id="more is declared"),
        pytest.param(_spoilt(lambda said: said["authorization"].pop()), "is no policy", id="two of three texts"),
        pytest.param(_spoilt(lambda said: said["authorization"].append("")), "is no policy", id="four texts"),
        *(
            pytest.param(
                _spoilt(lambda said, n=n, to=to: said["authorization"].__setitem__(n, to)),
                "is no policy",
                id=f"{n} {to}",
            )
            for n in range(3)
            for to in ("permit permit", None, 7)
        ),
    ],
)
def test_a_text_that_was_changed_is_refused(pilots: PolicyBundle, spoil: Callable[[str], str], says: str) -> None:
    with pytest.raises(OtherContentError, match=says) as caught:
        of_content(spoil(pilots.content()), pilots.version)
    assert pilots.version[:12] in caught.value.message
    assert "Restore the database" in caught.value.remedy


def test_the_text_of_another_policy_is_refused(pilots: PolicyBundle) -> None:
    with pytest.raises(OtherContentError, match=f"{'0' * 12} is that of {pilots.version[:12]}"):
        of_content(pilots.content(), "0" * 64)


# ---------------------------------------------------------------- what lint finds


def refused(workload: Workload, folder: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        load(workload, folder)
    assert "policy/ of flight_disruption is not used" in caught.value.message
    assert "warrant policy lint" in caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize("file", [TABLE, CEDAR, SCHEMA, "entities.json"])
def test_a_missing_file_is_named(workload: Workload, edited: Callable[..., Path], file: str) -> None:
    folder = edited(file, "", "")
    (folder / file).unlink()
    message = refused(workload, folder)
    assert file in message
    assert "Put" in message or "Give" in message or "Write" in message


def test_a_table_input_that_nobody_has_is_named_with_what_there_is(
    workload: Workload, edited: Callable[..., Path]
) -> None:
    folder = edited(TABLE, "origin", "origine")
    text = (folder / TABLE).read_text().replace('"origin"', '"origine"').replace('\\"origin\\"', '\\"origine\\"')
    (folder / TABLE).write_text(text.replace("{origin}", "{origine}"))
    message = refused(workload, folder)
    assert "decision_table.json: the input origine is not there. Use one of action, probability" in message
    assert "a column of cases, or a feature of feature_vector." in message


@pytest.mark.parametrize(
    ("name", "kind", "may"),
    [
        # A case's own column, a feature (read as a number, though it is a whole one), a time, and what is worked out.
        ("origin", "number", "It can be string."),
        ("seats", "integer", "It can be number."),
        ("scheduled_departure", "string", "It can be no input"),
        ("price", "integer", "It can be number."),
    ],
)
def test_an_input_declared_as_what_it_never_is_would_send_every_case_to_a_person(
    workload: Workload, edited: Callable[..., Path], name: str, kind: str, may: str
) -> None:
    folder = edited(TABLE, "{", "{")
    table = json.loads((folder / TABLE).read_text())
    [given] = [node for node in table["nodes"] if node["type"] == "inputNode"]
    schema = json.loads(given["content"]["schema"])
    schema["properties"][name] = {"type": kind}
    schema["required"] = sorted({*schema["required"], name})
    given["content"]["schema"] = json.dumps(schema)
    [content] = [node["content"] for node in table["nodes"] if node["type"] == "decisionTableNode"]
    cell = '"x"' if kind == "string" else "7"
    if name not in {column["field"] for column in content["inputs"]}:
        content["inputs"].append({"id": "in-more", "name": "More", "field": name})
    [key] = [column["id"] for column in content["inputs"] if column["field"] == name]
    for number, rule in enumerate(content["rules"]):
        rule[key] = cell if number == 0 else ""
    (folder / TABLE).write_text(json.dumps(table).replace("{origin}", "this airport").replace("{price:,.0f}", "much"))
    message = refused(workload, folder)
    assert f"the input {name} is declared as {kind}, and would never be one" in message
    assert may in message


def test_actions_that_differ_between_the_parts_are_named(workload: Workload, edited: Callable[..., Path]) -> None:
    folder = edited(TABLE, '\\"protect\\"\\n', '\\"shelter\\"\\n')
    (folder / TABLE).write_text((folder / TABLE).read_text().replace('"\\"protect\\""', '"\\"shelter\\""'))
    message = refused(workload, folder)
    assert "decision_table.json: the input action and the policy's actions differ: protect, shelter." in message


def test_an_action_that_cedar_does_not_know_is_named(
    workload: Workload, pilots: PolicyBundle, edited: Callable[..., Path]
) -> None:
    folder = edited(TABLE, "", "")
    said = pilots.declared.model_dump(mode="json")
    said["actions"].append({"name": "pray", "cost": 0.0, "mitigates": 0.0, "says": "pray"})
    (folder / "policy.yaml").write_text(yaml.safe_dump(said))
    message = refused(workload, folder)
    assert "authorization.cedarschema: action 'pray': the workload has this action" in message
    assert "Declare it: action ... appliesTo" in message
    # All that is wrong is said at once.
    assert "decision_table.json: the input action and the policy's actions differ: pray." in message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("harm: [", "policy.yaml: "),
        ("- 1", "policy.yaml: "),
        ("", "policy.yaml: "),
        ("harm: 60.0", "policy.yaml: "),
        ({"harm": -1}, "greater than 0"),
        ({"safe_action": "sleep"}, "safe_action names the action 'sleep', which is none of proceed, notify, protect"),
        ({"review_above": 3000}, "review_above"),
        (
            {"limits": [{"action": "protect", "at_most": 1, "per": "airport"}]},
            "policy.yaml: the limit of protect per airport every day counts by airport, which cases does not have. "
            "Use one of its columns: ",
        ),
        (
            {"stake": {"unit": "passengers", "feature": "sets", "factor": 0.83, "otherwise": 110}},
            "policy.yaml: the stake is of sets, which feature_vector does not have",
        ),
    ],
)
def test_a_policy_yaml_that_is_none_says_why(
    workload: Workload, pilots: PolicyBundle, edited: Callable[..., Path], change: str | dict, says: str
) -> None:
    folder = edited(TABLE, "", "")
    said = pilots.declared.model_dump(mode="json")
    (folder / "policy.yaml").write_text(change if isinstance(change, str) else yaml.safe_dump({**said, **change}))
    assert says in refused(workload, folder)


def test_a_policy_yaml_that_is_no_utf_8_says_so(workload: Workload, edited: Callable[..., Path]) -> None:
    folder = edited(TABLE, "", "")
    (folder / "policy.yaml").write_bytes(b"harm: \xff")
    assert "policy.yaml: 'utf-8' codec" in refused(workload, folder)


def test_a_cedar_policy_that_errs_never_gets_to_decide(workload: Workload, edited: Callable[..., Path]) -> None:
    message = refused(workload, edited(CEDAR, "context.price_cents > 300000", "context.price > 300000"))
    assert "authorization.cedar: policy a_machine_spends_at_most_3000_dollars" in message
    assert "Correct the policy" in message


def test_what_is_declared_is_held_against_defs_yaml_where_there_is_no_policy_yaml(
    workload: Workload, pilots: PolicyBundle
) -> None:
    limit = pilots.declared.limits[0].model_copy(update={"per": "airport"})
    declared = pilots.declared.model_copy(update={"limits": (limit,)})
    [says] = bundle._declared_problems(workload, declared, "defs.yaml")
    assert says.startswith("defs.yaml: the limit of protect per airport every day counts by airport")
    assert not list(bundle._declared_problems(workload, pilots.declared, "defs.yaml"))
