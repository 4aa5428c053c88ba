"""Records and where they are kept: one interface, two backends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UnknownStoreError(ValueError):
    """The address names a kind of store there is no backend for."""


class Record(NamedTuple):
    """One key's row: times in microseconds since the epoch, values as a JSON list in the view's order."""

    key: str
    event: int
    known: int
    values: str


@dataclass(frozen=True)
class Mark:
    """Up to where a view is materialized: the instant in microseconds, and the version of its table then."""

    until: int
    version: int


class Backend(Protocol):
    """Where records lie, by slot (a view's name and shape) and key. Safe to use from many processes at once."""

    def write(self, slot: str, records: Sequence[Record], *, pushed: bool = False) -> None:
        """Keeps each record unless a newer one of its kind (materialized or pushed) is there. May be repeated."""
        ...

    def read(self, asked: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[tuple[bool, Record]]]:
        """What is kept of each (slot, key), in one round trip, with whether it was pushed."""
        ...

    def expire(self, slot: str, before: int) -> int:
        """Removes the records with an event before that instant. Returns how many."""
        ...

    def forget(self, slot: str) -> int:
        """Removes every record of the slot and its mark. Returns how many."""
        ...

    def drop_pushed(self, slot: str, until: int) -> int:
        """Removes pushed records known by ``until``: what was materialized since holds them. Returns how many."""
        ...

    def mark(self, slot: str, mark: Mark) -> None:
        """Remembers up to where the slot is materialized."""
        ...

    def marks(self) -> Mapping[str, Mark]:
        """Up to where each slot is materialized."""
        ...

    def count(self) -> Mapping[str, tuple[int, int]]:
        """Records by slot: materialized and pushed."""
        ...

    def close(self) -> None:
        """Gives the connection back."""
        ...


def opened(address: str, schema: str = "public") -> Backend:
    """The backend at an address. ``schema`` is PostgreSQL's, ``redis`` ignores it.

    Raises:
        UnknownStoreError: neither PostgreSQL nor Redis.
    """
    kind = address.partition("://")[0].partition("+")[0]
    if kind in {"postgresql", "postgres"}:
        from feature_repo.online.postgres import PostgresBackend

        return PostgresBackend(address, schema)
    if kind in {"redis", "rediss", "unix"}:
        from feature_repo.online.redis import RedisBackend

        return RedisBackend(address)
    raise UnknownStoreError(
        f"There is no online store of the kind {kind!r}: give a redis:// or a postgresql:// address, or none."
    )


def key_of(values: Sequence[Any]) -> str | None:
    """The values of a view's join keys as one text; None where one is missing: an unknown key is no key."""
    if any(value is None for value in values):
        return None
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


def instant(moment: datetime) -> int:
    """Microseconds since the epoch; a time without a zone is in UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The instant that `instant` made a number of."""
    return _EPOCH + at * _MICROSECOND
