"""A workload's policy, whole, in one version: what actions cost, what may be done, who may do it, and how often.

| part | file | says |
|---|---|---|
| declared | ``policy:`` of defs.yaml, or policy.yaml in its place | actions, their costs, the safe action, limits |
| decision table | policy/decision_table.json | what may be done about a case (`automation.policy.tables`) |
| authorization | policy/authorization.cedar, .cedarschema, entities.json | who may do it |

A version is the digest of what the parts say, so that a policy is known by it wherever it is kept. The text of one
(`PolicyBundle.content`) is all that is needed to decide by it again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pydantic
import yaml

from automation.errors import WarrantError
from automation.ledger.canonical import canonical
from automation.policy.authorization.authorizer import Authorizer
from automation.policy.authorization.documents import Documents
from automation.policy.tables.document import Kind, TableError, text_of
from automation.policy.tables.judge import Table
from automation.workload import Policy
from contracts.contract import LogicalType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from automation.workload import Workload

TABLE, DECLARED = "decision_table.json", "policy.yaml"
# What the platform works out for each case and action; a table may read these, the cases' columns and the features.
WORKED_OUT = {
    "action": (Kind.STRING,),
    **dict.fromkeys(("probability", "price", "stake", "cost", "saving"), (Kind.NUMBER,)),
    "hour": (Kind.INTEGER, Kind.NUMBER),
}
_FEATURES = (LogicalType.INTEGER, LogicalType.NUMBER)
_KINDS = {
    LogicalType.STRING: (Kind.STRING,),
    LogicalType.INTEGER: (Kind.INTEGER, Kind.NUMBER),
    LogicalType.NUMBER: (Kind.NUMBER,),
    LogicalType.BOOLEAN: (Kind.BOOLEAN,),
}


class PolicyError(WarrantError):
    """A part of a policy cannot be read, or contradicts another."""


class OtherContentError(WarrantError):
    """A policy that was kept is not what its version says."""


@dataclass(frozen=True)
class PolicyBundle:
    """A policy. Two of one version decide alike."""

    declared: Policy
    table_text: str
    documents: Documents

    @cached_property
    def table(self) -> Table:
        return Table.parse(self.table_text, TABLE)

    @cached_property
    def authorizer(self) -> Authorizer:
        """Who may do what. Of documents that were examined when the policy was made: `check`."""
        return Authorizer(self.documents)

    @cached_property
    def version(self) -> str:
        """SHA-256 of what the parts say; comments and the order of Cedar's policies are no part of it."""
        said = {
            "declared": self.declared.model_dump(mode="json"),
            "decision_table": json.loads(self.table_text),
            "authorization": self.documents.version,
        }
        return hashlib.sha256(canonical(said)).hexdigest()

    def content(self) -> str:
        """Everything, as one text: `of_content` reads it."""
        return canonical(
            {
                "declared": self.declared.model_dump(mode="json"),
                "decision_table": self.table_text,
                "authorization": [
                    self.documents.policies_text,
                    self.documents.schema_text,
                    self.documents.entities_text,
                ],
            }
        ).decode()


def of_content(text: str, version: str) -> PolicyBundle:
    """The policy whose `PolicyBundle.content` is this.

    Raises:
        OtherContentError: it is none, or one of another version.
    """
    try:
        said = json.loads(text)
        made = PolicyBundle(
            Policy.model_validate(said["declared"]), said["decision_table"], Documents(*said["authorization"])
        )
        found = made.version
    except (ValueError, KeyError, TypeError, WarrantError) as error:
        raise OtherContentError(
            f"The text kept for policy {version[:12]} is no policy: {error}",
            remedy="It was changed where it is kept. Restore the database, then `warrant ledger verify`.",
        ) from error
    if found != version:
        raise OtherContentError(
            f"The text kept for policy {version[:12]} is that of {found[:12]}.",
            remedy="It was changed where it is kept. Restore the database, then `warrant ledger verify`.",
        )
    return made


def working(workload: Workload) -> PolicyBundle:
    """The policy as the workload's files say it now, checked. It decides nothing before it is activated.

    Raises:
        PolicyError: a file is missing, is refused, or contradicts another; with all that is wrong.
    """
    return load(workload, workload.policy_folder)


def load(workload: Workload, folder: Path) -> PolicyBundle:
    """The policy of a folder, for this workload, checked. Without a policy.yaml what defs.yaml declares holds.

    Raises:
        PolicyError: a file is missing, is refused, or contradicts another; with all that is wrong.
    """
    from automation.policy.authorization.documents import problems

    declared, found = workload.spec.policy, []
    if (folder / DECLARED).exists():
        try:
            declared = Policy.model_validate(yaml.safe_load((folder / DECLARED).read_text("utf-8")))
        except (yaml.YAMLError, pydantic.ValidationError, UnicodeDecodeError) as error:
            found.append(f"{DECLARED}: {error}")
    found += _declared_problems(workload, declared, DECLARED if (folder / DECLARED).exists() else "defs.yaml")
    found += [str(problem) for problem in problems(folder, [action.name for action in declared.actions])]
    text = ""
    try:
        text = text_of(folder / TABLE)
        found += _table_problems(workload, declared, Table.parse(text, TABLE))
    except TableError as error:
        found.append(f"{error.message} {error.remedy}")
    if found:
        raise PolicyError(
            f"The policy in {folder.name}/ of {workload.name} is not used: " + "\n".join(found),
            remedy="Correct the files, then `warrant policy lint`.",
        )
    return PolicyBundle(declared, text, Documents.read(folder))


def _declared_problems(workload: Workload, declared: Policy, file: str) -> Iterator[str]:
    """What the declared part reads that the workload does not have: it would only be missed when a day is decided."""
    cases, vector = workload.contract(workload.spec.cases.table), workload.contract(workload.spec.model.contract)
    for limit in declared.limits:
        if limit.per is not None and limit.per not in cases.schema:
            yield (
                f"{file}: the limit of {limit.key} counts by {limit.per}, which {cases.name} does not have. "
                f"Use one of its columns: {', '.join(cases.schema)}."
            )
    if declared.stake.feature not in vector.schema:
        yield (
            f"{file}: the stake is of {declared.stake.feature}, which {vector.name} does not have, so that every case "
            f"would have the assumed one. Use one of its columns: {', '.join(vector.schema)}."
        )


def _table_problems(workload: Workload, declared: Policy, table: Table) -> Iterator[str]:
    """What the table says that the workload does not know."""
    known = {**kinds(workload), **WORKED_OUT}
    for given in table.inputs:
        if given.name not in known:
            yield (
                f"{TABLE}: the input {given.name} is not there. Use one of {', '.join(WORKED_OUT)}, a column of "
                f"{workload.spec.cases.table}, or a feature of {workload.spec.model.contract}."
            )
        elif given.kind not in known[given.name]:
            may = " or ".join(known[given.name]) or "no input: a table reads texts, numbers and truth values"
            yield (
                f"{TABLE}: the input {given.name} is declared as {given.kind}, and would never be one, so that every "
                f"case went to a person. It can be {may}."
            )
        if given.name == "action" and (unlike := {*given.values} ^ {each.name for each in declared.actions}):
            yield f"{TABLE}: the input action and the policy's actions differ: {', '.join(sorted(unlike))}."


def kinds(workload: Workload) -> dict[str, tuple[Kind, ...]]:
    """By column that a table may read: the types it may be declared as. Features are read as numbers."""
    cases, vector = workload.contract(workload.spec.cases.table), workload.contract(workload.spec.model.contract)
    features: dict[str, tuple[Kind, ...]] = {
        column.name: (Kind.NUMBER,) if column.type in _FEATURES else () for column in vector.columns
    }
    return features | {column.name: _KINDS.get(column.type, ()) for column in cases.columns}


def columns(workload: Workload) -> dict[str, str]:
    """What else a table may read: column by table, the cases' own before the features."""
    cases, vector = workload.spec.cases.table, workload.spec.model.contract
    return {
        **dict.fromkeys(workload.contract(vector).schema, vector),
        **dict.fromkeys(workload.contract(cases).schema, cases),
    }
