"""The three files that say who may do what, read and examined before anything is asked of them.

Cedar passes over what it cannot evaluate: a policy about an attribute that nothing has is skipped, and a `forbid` that
is skipped forbids nothing. So the files are held against the schema first, and whatever does not fit stops the load.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from automation.errors import WarrantError
from automation.policy.authorization.requests import Automation, Cases, ModelStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cedarpy import PolicySet, Schema

POLICIES, SCHEMA, ENTITIES = "authorization.cedar", "authorization.cedarschema", "entities.json"


@dataclass(frozen=True)
class Problem:
    """One thing wrong: in which file, at what (a policy, an entity, an action), the rule broken and what to do."""

    file: str
    where: str
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.rule}. {self.fix}"


class AuthorizationInvalidError(WarrantError):
    """The authorization files contradict each other or cannot be read: nobody may do anything."""

    def __init__(self, folder: Path, found: Sequence[Problem]) -> None:
        super().__init__(
            f"The authorization in {folder} is not used: "
            + "; ".join(f"{problem.file}: {problem.where}: {problem.rule}" for problem in found)
            + ".",
            remedy=" ".join(dict.fromkeys(problem.fix for problem in found)),
        )
        self.problems = tuple(found)


class _NotReadError(ValueError):
    """A file cannot be read or parsed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def problems(folder: Path, actions: Sequence[str] = ()) -> list[Problem]:
    """What is wrong with the files of a folder, which shall authorize an automation's ``actions``; none if nothing."""
    try:
        return list(Documents.read(folder).problems(actions))
    except _NotReadError as error:
        return [error.problem]


@dataclass(frozen=True)
class Documents:
    """The texts of the three files."""

    policies_text: str
    schema_text: str
    entities_text: str

    @classmethod
    def read(cls, folder: Path) -> Documents:
        texts = []
        for name in (POLICIES, SCHEMA, ENTITIES):
            try:
                texts.append((folder / name).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise _NotReadError(
                    Problem(name, "the file", f"it cannot be read: {error}", f"Put {name} there, in UTF-8.")
                ) from error
        return cls(*texts)

    @cached_property
    def schema(self) -> Schema:
        import cedarpy

        try:
            return cedarpy.Schema.from_str(self.schema_text)
        except ValueError as error:
            raise _NotReadError(
                Problem(SCHEMA, "the file", f"it is no Cedar schema: {error}", "Write it in Cedar's schema syntax.")
            ) from error

    @cached_property
    def policies(self) -> PolicySet:
        import cedarpy

        try:
            return cedarpy.PolicySet.from_str(self.policies_text)
        except ValueError as error:
            raise _NotReadError(
                Problem(POLICIES, "the file", f"it is no Cedar: {error}", "Write it in Cedar's policy syntax.")
            ) from error

    @cached_property
    def entities(self) -> list[dict[str, Any]]:
        """The entities as JSON, each with a uid of two texts, attrs and parents."""
        try:
            entities = json.loads(self.entities_text, object_pairs_hook=_object, parse_constant=_no_constant)
        except ValueError as error:
            raise _not_entities(str(error)) from error
        if not isinstance(entities, list) or not all(map(_is_entity, entities)):
            raise _not_entities("it is not one of objects with exactly uid {type, id}, attrs {} and parents []")
        return entities

    @cached_property
    def annotations(self) -> dict[str, dict[str, str]]:
        """Each policy's annotations by the id that Cedar gave it, in the order of the file."""
        held = self.policies.to_pst().static_policies
        return {name: dict(held[name].annotations) for name in sorted(held, key=_place)}

    @cached_property
    def version(self) -> str:
        """SHA-256 of what the files say: not of comments, spaces or the order of policies and entities."""
        policies = json.loads(_policies_json(self.policies_text))["staticPolicies"].values()
        said = [
            sorted(json.dumps(policy, sort_keys=True) for policy in policies),
            str(self.schema),
            sorted(
                json.dumps({**entity, "parents": sorted(map(_uid, entity["parents"]))}, sort_keys=True)
                for entity in self.entities
            ),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def problems(self, actions: Sequence[str]) -> Iterator[Problem]:
        """What is wrong, policies first. A file that cannot be parsed is the only problem."""
        _ = self.schema, self.policies, self.entities
        yield from self._unnamed()
        yield from self._unfit_policies()
        yield from self._unfit_entities()
        yield from self._unknown()
        yield from self._unasked(actions)

    def _unnamed(self) -> Iterator[Problem]:
        for template in self.policies.templates():
            yield Problem(
                POLICIES,
                _named(template["id"], template["id_annotation"]),
                "it is a template, and a template that nothing fills in authorizes nothing",
                "Write the principal and the resource into it.",
            )
        ids = Counter(said.get("id", "") for said in self.annotations.values())
        for name, said in self.annotations.items():
            if not said.get("id"):
                yield Problem(
                    POLICIES, _named(name), "it has no @id, so no decision can name it", 'Put @id("a_name") before it.'
                )
        for name in sorted(name for name, count in ids.items() if name and count > 1):
            yield Problem(
                POLICIES, f"policy {name}", f"{ids[name]} policies have this @id", "Give each an @id of its own."
            )

    def _unfit_policies(self) -> Iterator[Problem]:
        import cedarpy

        found = cedarpy.validate_policies(self.policies_text, self.schema)
        by_policy = {(error.policy_id, _without_prefix(error.error)) for error in found.errors}
        for name, says in sorted(by_policy, key=lambda each: (_place(each[0]), each[1])):
            yield Problem(
                POLICIES,
                _named(name, self.annotations.get(name, {}).get("id")),
                f"it does not fit {SCHEMA}: {says}",
                "Correct the policy, or declare in the schema what it names.",
            )
        if not found.validation_passed and not by_policy:
            yield Problem(POLICIES, "the file", f"it does not fit {SCHEMA}", "Correct the policies or the schema.")

    def _unfit_entities(self) -> Iterator[Problem]:
        counts = Counter(_uid(entity["uid"]) for entity in self.entities)
        twice = [uid for uid, count in counts.items() if count > 1]
        for uid in twice:
            yield Problem(ENTITIES, _said(uid), f"it is declared {counts[uid]} times", "Declare each entity once.")
        unfit = [(entity, error) for entity in self.entities if (error := self._misfit([entity]))]
        for entity, error in unfit:
            yield Problem(
                ENTITIES,
                _said(_uid(entity["uid"])),
                f"it does not fit {SCHEMA}: {error}",
                "Give it the attributes and parents that the schema declares for its type, each of its type.",
            )
        if not twice and not unfit and (error := self._misfit(self.entities)):
            yield Problem(ENTITIES, "all together", str(error), "See that nothing is its own parent's parent.")

    def _misfit(self, entities: list[dict[str, Any]]) -> ValueError | None:
        import cedarpy

        try:
            cedarpy.Entities.from_json_str(json.dumps(entities), self.schema)
        except ValueError as error:
            return error
        return None

    def _unknown(self) -> Iterator[Problem]:
        """Entities that are named and not declared. Cedar takes them for entities that have nothing."""
        from cedarpy import pst

        declared = {_uid(entity["uid"]) for entity in self.entities}
        # What the schema lists by name needs no declaration, and Cedar holds names against the list.
        listed = set(re.findall(r"^entity (\S+) enum \[", str(self.schema), re.MULTILINE)) | {"Action"}
        for entity in self.entities:
            for parent in map(_uid, entity["parents"]):
                if parent not in declared and parent[0] not in listed:
                    yield Problem(
                        ENTITIES,
                        _said(_uid(entity["uid"])),
                        f"its parent {_said(parent)} is not declared",
                        "Declare it, or correct its name.",
                    )
        held = self.policies.to_pst().static_policies
        for name in sorted(held, key=_place):
            named = {(str(uid.type), uid.id) for uid in pst.entity_uids(held[name])}
            for uid in sorted(named - declared):
                if uid[0] not in listed:
                    yield Problem(
                        POLICIES,
                        _named(name, self.annotations[name].get("id")),
                        f"it names {_said(uid)}, which {ENTITIES} does not declare",
                        "Declare it, or correct its name.",
                    )

    def _unasked(self, actions: Sequence[str]) -> Iterator[Problem]:
        """What keeps an automation from even asking about its workload's actions. Cedar is asked whether it could."""
        import cedarpy

        if actions:
            yield from self._cannot_ask()
        for action in actions:
            probe = {
                "effect": "permit",
                "principal": {"op": "is", "entity_type": "Automation"},
                "action": {"op": "==", "entity": {"type": "Action", "id": action}},
                "resource": {"op": "is", "entity_type": "Cases"},
                "conditions": [],
            }
            text = cedarpy.policies_from_json_str(
                json.dumps({"templates": {}, "staticPolicies": {"probe": probe}, "templateLinks": []})
            )
            if not cedarpy.validate_policies(text, self.schema):
                yield Problem(
                    SCHEMA,
                    f"action {action!r}",
                    "the workload has this action, and the schema has none for an Automation and Cases",
                    "Declare it: action ... appliesTo { principal: Automation, resource: Cases, context: ... }.",
                )

    def _cannot_ask(self) -> Iterator[Problem]:
        declared = {_uid(entity["uid"]): entity for entity in self.entities}
        automations = [name for kind, name in declared if kind == Automation.__name__]
        if not automations:
            yield Problem(ENTITIES, "the file", "it declares no Automation, which is what decides", "Declare one.")
        for name in automations:
            for stage in ModelStage:
                entity = deciding(declared[Automation.__name__, name], Automation(name, stage, 1))
                if error := self._misfit([entity]):
                    yield Problem(
                        SCHEMA,
                        f"Automation {name!r}",
                        f"a model of stage {stage} could not decide: {error}",
                        "Declare its attributes: stage, a ModelStage of "
                        f"{', '.join(each.value for each in ModelStage)}, and model_version, a Long.",
                    )
            if (Cases.__name__, name) not in declared:
                yield Problem(ENTITIES, f"Cases {name!r}", "the automation's cases are not declared", "Declare them.")


def deciding(declared: dict[str, Any], automation: Automation) -> dict[str, Any]:
    """The entity of an automation as it is while it decides: with the model that it decides by."""
    now = {
        "stage": {"__entity": {"type": ModelStage.__name__, "id": automation.stage.value}},
        "model_version": automation.model_version,
    }
    return {**declared, "attrs": {**declared["attrs"], **now}}


def _not_entities(says: str) -> _NotReadError:
    return _NotReadError(
        Problem(ENTITIES, "the file", f"it is no list of entities: {says}", "Write it in Cedar's entity JSON.")
    )


def _policies_json(text: str) -> str:
    import cedarpy

    return cedarpy.policies_to_json_str(text)


def _place(policy: str) -> int:
    """Where a policy stands in the file: Cedar names those it reads policy0, policy1 and on."""
    return int(policy.removeprefix("policy") or -1)


def _named(policy: str, id_: str | None = None) -> str:
    return f"policy {id_}" if id_ else f"policy {_place(policy) + 1} of the file" if policy else "the file"


def _without_prefix(error: str) -> str:
    return re.sub(r"^for policy `[^`]*`[,:] ", "", error)


def _uid(found: dict[str, Any]) -> tuple[str, str]:
    return found["type"], found["id"]


def _said(uid: tuple[str, str]) -> str:
    return f"{uid[0]} {uid[1]!r}"


def _is_uid(found: object) -> bool:
    return (
        isinstance(found, dict) and found.keys() == {"type", "id"} and all(isinstance(v, str) for v in found.values())
    )


def _is_entity(found: object) -> bool:
    return (
        isinstance(found, dict)
        and found.keys() == {"uid", "attrs", "parents"}
        and _is_uid(found["uid"])
        and isinstance(found["attrs"], dict)
        and isinstance(found["parents"], list)
        and all(map(_is_uid, found["parents"]))
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, in which no name may stand twice: a parser would take one of the two."""
    names = Counter(name for name, _ in pairs)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise ValueError(f"an object has {', '.join(twice)} twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
