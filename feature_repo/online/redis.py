"""Online records in Redis: a hash for each key, with an index by event for each slot."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from feature_repo.online.records import Mark, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PREFIX = "warrant:online"
MARKS = f"{PREFIX}:marks"
KINDS = {False: "m", True: "p"}
# A script blocks the server while it runs.
ROWS_A_SCRIPT = 500


class RedisBackend:
    """See `Backend`. One Redis database serves one Warrant: names begin with PREFIX."""

    def __init__(self, url: str) -> None:
        import redis

        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._write = self._client.register_script(_script("write.lua"))

    def write(self, slot: str, records: Sequence[Record], *, pushed: bool = False) -> None:
        for part in _parts(records):
            names = [*(_name(slot, record.key) for record in part), _index(slot)]
            given = [KINDS[pushed], *(text for record in part for text in record)]
            self._write(keys=names, args=given)

    def read(self, asked: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[tuple[bool, Record]]]:
        pipeline = self._client.pipeline(transaction=False)
        for slot, key in asked:
            pipeline.hmget(_name(slot, key), list(KINDS.values()))
        return {
            place: [(pushed, _record(place[1], text)) for pushed, text in zip(KINDS, held, strict=True) if text]
            for place, held in zip(asked, pipeline.execute(), strict=True)
        }

    def expire(self, slot: str, before: int) -> int:
        return self._remove(slot, KINDS, lambda name: self._client.zrangebyscore(name, "-inf", f"({before}"))

    def forget(self, slot: str) -> int:
        self._client.hdel(MARKS, slot)
        return self._remove(slot, KINDS, lambda name: self._client.zrange(name, 0, -1))

    def drop_pushed(self, slot: str, until: int) -> int:
        def known_by(name: str) -> list[str]:
            keys = list(self._client.zrange(name, 0, -1))  # pyrefly: ignore[bad-argument-type]
            held = self.read([(slot, key) for key in keys])
            return [key for (_, key), found in held.items() if any(p and r.known <= until for p, r in found)]

        return self._remove(slot, {True: KINDS[True]}, known_by)

    def mark(self, slot: str, mark: Mark) -> None:
        self._client.hset(MARKS, slot, f"{mark.until}|{mark.version}")

    def marks(self) -> Mapping[str, Mark]:
        held: Any = self._client.hgetall(MARKS)
        return {slot: Mark(*map(int, text.split("|"))) for slot, text in held.items()}

    def count(self) -> Mapping[str, tuple[int, int]]:
        counted: dict[str, tuple[int, int]] = {}
        for name in self._client.scan_iter(f"{PREFIX}:index:*"):
            slot = name.removeprefix(f"{PREFIX}:index:").rpartition(":")[0]
            cards = [self._client.zcard(f"{_index(slot)}:{kind}") for kind in KINDS.values()]
            counted[slot] = (int(cards[0]), int(cards[1]))  # pyrefly: ignore[bad-argument-type]
        return dict(sorted(counted.items()))

    def close(self) -> None:
        self._client.close()

    def _remove(self, slot: str, kinds: Mapping[bool, str], choose: Callable[[str], Any]) -> int:
        removed = 0
        for kind in kinds.values():
            index = f"{_index(slot)}:{kind}"
            keys = list(choose(index))
            for part in _parts(keys):
                pipeline = self._client.pipeline(transaction=False)
                for key in part:
                    pipeline.hdel(_name(slot, key), kind)
                pipeline.zrem(index, *part)
                pipeline.execute()
            removed += len(keys)
        return removed


def _parts(rows: Sequence[Any]) -> list[Sequence[Any]]:
    return [rows[first : first + ROWS_A_SCRIPT] for first in range(0, len(rows), ROWS_A_SCRIPT)]


def _name(slot: str, key: str) -> str:
    return f"{PREFIX}:record:{slot}:{key}"


def _index(slot: str) -> str:
    return f"{PREFIX}:index:{slot}"


def _record(key: str, text: str) -> Record:
    event, known, values = text.split("|", 2)
    return Record(key, int(event), int(known), values)


@cache
def _script(name: str) -> str:
    return files("feature_repo.online").joinpath(name).read_text("utf-8")
