"""CloudEvents 1.0 in the JSON event format: what must be there, and the row that an event's data is.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and formats/json-format.md. Why this is a model of
ours and not the official SDK: docs/decisions/0040.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator, model_validator

Text = Annotated[str, StringConstraints(min_length=1)]
# RFC 3986's characters; an absolute URI begins with a scheme.
UriReference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$")]
Uri = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+.\-]*:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$")]
Rfc3339 = Annotated[
    str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+\-]\d\d:\d\d)$", to_upper=True)
]
EXTENSION_NAME = re.compile(r"[a-z0-9]+")
JSON_CONTENT = re.compile(r"[a-z]+/([a-z0-9.\-]+\+)?json\s*(;.*)?", re.IGNORECASE)


class NotAnEventError(ValueError):
    """A line that is not a CloudEvent whose data is a row; the message says why."""


class NotJsonError(NotAnEventError):
    """A line that is not even JSON, as one that was cut off is not."""


class CloudEvent(BaseModel):
    """One event. Attributes that are null count as absent, as the JSON event format says."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    specversion: Literal["1.0"]
    id: Text
    source: UriReference
    type: Text
    datacontenttype: Text | None = None
    dataschema: Uri | None = None
    subject: Text | None = None
    time: Rfc3339 | None = None
    data: dict[str, Any] | None = None
    data_base64: str | None = None

    @field_validator("datacontenttype")
    @classmethod
    def _json(cls, value: str | None) -> str | None:
        if value is not None and not JSON_CONTENT.fullmatch(value):
            raise ValueError(f"the data of a row must be JSON, not {value}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if not EXTENSION_NAME.fullmatch(name):
                raise ValueError(f"the extension {name!r} is not named by lower-case letters and digits")
            if not isinstance(value, str | bool | int):
                raise ValueError(f"the extension {name!r} is neither text, number nor boolean")  # noqa: TRY004
        if (self.data is None) == (self.data_base64 is None):
            raise ValueError("it must have either data or data_base64")
        return self

    def row(self) -> dict[str, Any]:
        """The event's data as a row.

        Raises:
            NotAnEventError: its binary data is not a JSON object.
        """
        if self.data is not None:
            return self.data
        try:
            row = parsed(base64.b64decode(self.data_base64 or "", validate=True).decode("utf-8"))
        except (binascii.Error, ValueError) as error:
            raise NotAnEventError(f"data_base64 is not JSON in base64: {error}") from None
        if not isinstance(row, dict):
            raise NotAnEventError("data_base64 does not hold a JSON object")
        return row


def event(line: str) -> CloudEvent:
    """The event that one line of a file is.

    Raises:
        NotAnEventError: it is none.
    """
    try:
        found = parsed(line)
    except ValueError as error:
        raise NotJsonError(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise NotAnEventError("it is not a JSON object")
    try:
        return CloudEvent.model_validate({name: value for name, value in found.items() if value is not None})
    except ValidationError as error:
        raise NotAnEventError("; ".join(_words(problem) for problem in error.errors(include_url=False))) from None


def parsed(text: str) -> Any:
    """``text`` as RFC 8259 JSON, strictly: no NaN, no name twice in an object, nothing that UTF-8 cannot say.

    Raises:
        ValueError: it is not.
    """
    try:
        value = json.loads(text, parse_constant=_not_a_number, object_pairs_hook=_once)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _words(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names the same thing twice")
    return found
