"""The four pipes to a process that runs a model: features in; its answer, its notes and what it prints out.

All of what comes out may be written by foreign code, so each has its bound, and none is parsed beyond lines of text.
"""

from __future__ import annotations

import os
import selectors
from typing import Final

_CHUNK: Final = 1 << 16
_MOST_NOTES: Final = 1 << 16
_MOST_PRINTED: Final = 1 << 13

Ends = tuple[int, int, int, int]


def pipes() -> tuple[Ends, Ends]:
    """The process's ends of the pipes, and ours: features, answer, notes, printed. Ours to write does not block."""
    features, answer, notes, printed = os.pipe(), os.pipe(), os.pipe(), os.pipe()
    os.set_blocking(features[1], False)
    return (features[0], answer[1], notes[1], printed[1]), (features[1], answer[0], notes[0], printed[0])


class Talk:
    """What is sent and heard through our ends, which it closes. ``most`` bounds the answer, in bytes."""

    def __init__(self, ours: Ends, features: bytes, most: int) -> None:
        self._features, self._answer, self._notes, self._printed = ours
        self._left = memoryview(features)
        self._heard = {self._answer: bytearray(), self._notes: bytearray(), self._printed: bytearray()}
        self._most = {self._answer: most, self._notes: _MOST_NOTES}
        self._open = set(ours)
        self.came: dict[str, float] = {}
        """When each kind of note first came, on the clock that `attend` is given."""
        self.overflowed = False
        """Whether it answered more than ``most`` bytes."""
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._features, selectors.EVENT_WRITE)
        for end in self._heard:
            self.selector.register(end, selectors.EVENT_READ)

    @property
    def goes_on(self) -> bool:
        """Whether the process may still say something."""
        return not self._open.isdisjoint(self._heard)

    @property
    def answer(self) -> bytes:
        """What it answered."""
        return bytes(self._heard[self._answer])

    @property
    def notes(self) -> tuple[tuple[str, ...], ...]:
        """The whole lines it said of itself, as fields; what a terminal would take for a command is made harmless."""
        heard = self._heard[self._notes]
        lines = heard[: heard.rfind(b"\n") + 1].decode(errors="replace").split("\n")[:-1]
        return tuple(tuple(_printable(field) for field in line.split("\t")) for line in lines)

    @property
    def printed(self) -> str:
        """The last of what it printed, as it printed it."""
        return self._heard[self._printed].decode(errors="replace")

    def attend(self, end: int, now: float) -> None:
        """Writes to the end that is ready, or reads from it."""
        if end == self._features:
            self._send()
            return
        chunk = os.read(end, _CHUNK)
        if not chunk:
            self._close(end)
            return
        heard = self._heard[end]
        heard += chunk
        if end == self._printed:
            del heard[:-_MOST_PRINTED]
        elif len(heard) > self._most[end]:
            # Whoever writes on is ended by that: nobody listens any more.
            self.overflowed = self.overflowed or end == self._answer
            del heard[self._most[end] :]
            self._close(end)
        if end == self._notes:
            self.came = {**{note[0]: now for note in self.notes}, **self.came}

    def end(self) -> None:
        """Closes what is still open."""
        for end in tuple(self._open):
            self._close(end)
        self.selector.close()

    def _send(self) -> None:
        try:
            self._left = self._left[os.write(self._features, self._left[:_CHUNK]) :]
        except BrokenPipeError:
            # It ended, or did not want them; how it ended says why.
            self._left = self._left[:0]
        if not self._left:
            self._close(self._features)

    def _close(self, end: int) -> None:
        self.selector.unregister(end)
        self._open.remove(end)
        os.close(end)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
