"""Asks Cedar, and denies whatever Cedar did not clearly allow.

Cedar skips a policy that it cannot evaluate and goes on with the others, so that a `forbid` with an error forbids
nothing: here an error anywhere is a denial. A request is held against the schema; what does not fit is denied and says
why.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from automation.policy.authorization.documents import AuthorizationInvalidError, Documents, deciding, problems
from automation.policy.authorization.requests import Answer, Automation, fault, said, uid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cedarpy import AuthzResult, Entities

    from automation.policy.authorization.requests import Principal, Request

_AUTOMATION = Automation.__name__


class Authorizer:
    """The authorization of one workload, parsed once."""

    def __init__(self, documents: Documents) -> None:
        """Of documents that have no `problems`: use `load`."""
        import cedarpy

        self.version = documents.version
        self._policies, self._schema = documents.policies, documents.schema
        self._annotations = documents.annotations
        self._declared = {(entity["uid"]["type"], entity["uid"]["id"]) for entity in documents.entities}
        automations = [entity for entity in documents.entities if entity["uid"]["type"] == _AUTOMATION]
        self._automations: dict[str, dict[str, Any]] = {entity["uid"]["id"]: entity for entity in automations}
        others = [entity for entity in documents.entities if entity["uid"]["type"] != _AUTOMATION]
        self._others = cedarpy.Entities.from_json_str(json.dumps(others), self._schema)

    @classmethod
    def load(cls, folder: Path, actions: Sequence[str] = ()) -> Authorizer:
        """Reads authorization.cedar, authorization.cedarschema and entities.json of a workload's policy folder.

        ``actions`` are the workload's: the schema must have each.

        Raises:
            AuthorizationInvalidError: a file is missing, cannot be parsed or contradicts another.
        """
        if found := problems(folder, actions):
            raise AuthorizationInvalidError(folder, found)
        return cls(Documents.read(folder))

    def authorize(self, requests: Sequence[Request]) -> list[Answer]:
        """The answer to each request, in order. Equal requests are asked once."""
        keys: list[tuple | Answer] = []
        by_principal: dict[Principal, dict[tuple, Request]] = {}
        for request in requests:
            if unfit := self._refused(request):
                keys.append(unfit)
            else:
                key = request.key
                keys.append(key)
                by_principal.setdefault(request.principal, {}).setdefault(key, request)
        answers: dict[tuple, Answer] = {}
        for principal, asked in by_principal.items():
            answers.update(zip(asked, self._ask(principal, list(asked.values())), strict=True))
        return [key if isinstance(key, Answer) else answers[key] for key in keys]

    def _refused(self, request: Request) -> Answer | None:
        """What Cedar is not even asked."""
        if wrong := fault(request):
            return _denied(f"The request is of the wrong type: {wrong}.")
        for entity in (request.principal, request.resource):
            if uid(entity) not in self._declared:
                return _denied(f"{said(entity)} is not among the entities that are declared.")
        return None

    def _ask(self, principal: Principal, requests: list[Request]) -> list[Answer]:
        import cedarpy

        try:
            entities = self._entities(principal)
        except ValueError as error:
            return [_denied(f"{said(principal)} does not fit the schema: {error}.")] * len(requests)
        asked = [request.as_cedar() for request in requests]
        results = cedarpy.is_authorized_batch(asked, self._policies, entities, self._schema)
        return [self._answer(request, result) for request, result in zip(requests, results, strict=True)]

    def _entities(self, principal: Principal) -> Entities:
        """What Cedar is told there is: an automation has the model that it decides by now."""
        if not isinstance(principal, Automation):
            return self._others
        now = deciding(self._automations[principal.workload], principal)
        return self._others.with_added_json_str(json.dumps([now]), self._schema)

    def _answer(self, request: Request, result: AuthzResult) -> Answer:
        from cedarpy import Decision

        # Cedar tells errors in no particular order; an answer is a part of decisions that come out alike.
        errors, reasons = sorted(map(_told, result.diagnostics.errors)), result.diagnostics.reasons
        asked = f"{said(request.principal)} may not {request.action} {said(request.resource)}"
        if result.decision is Decision.NoDecision:
            return _denied(f"{asked}: the request does not fit the schema: {'; '.join(errors)}.")
        if errors:
            return _denied(f"{asked}: a policy could not be evaluated: {'; '.join(errors)}.")
        policies = tuple(sorted(self._annotations[reason]["id"] for reason in reasons))
        if result.decision is Decision.Allow and policies:
            return Answer(allowed=True, policies=policies, says=self._why("Permitted by", reasons))
        if policies:
            return Answer(allowed=False, policies=policies, says=f"{asked}. {self._why('Forbidden by', reasons)}")
        return _denied(f"{asked}: no policy permits it.")

    def _why(self, how: str, reasons: Sequence[str]) -> str:
        """The policies' ids, each with what its annotation @says where it has one."""
        held = sorted((self._annotations[reason]["id"], self._annotations[reason].get("says")) for reason in reasons)
        return f"{how} " + ", ".join(f"{name} ({says})" if says else name for name, says in held) + "."


def _told(error: str) -> str:
    return error.removeprefix("failed to build request: ")


def _denied(says: str) -> Answer:
    return Answer(allowed=False, policies=(), says=says)
