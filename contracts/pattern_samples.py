"""Texts that match a regular expression: a few short ones, to try a column's pattern with.

Only what column patterns are usually made of is read: literals, classes, groups, alternatives and
counts. Of anything else there are no samples, so whoever asks must be ready for none, and must check
each sample against the expression itself: that is the judge, this only proposes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

_CLASSES = {"d": "09", "w": "aZ0_", "s": " \t", "D": "a-", "W": "- ", "S": "a0"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_AT_MOST = 12
_LONGEST = 200
_MANY = 9  # stands for any number of times


class _UnreadError(ValueError):
    """Something in the expression that is not read here."""


def samples(pattern: str) -> list[str]:
    """At most a dozen texts that match `pattern`, the shortest counts first; none if it cannot be read.

    >>> samples("^P[0-9]{2}$")[:2]
    ['P00', 'P09']
    """
    try:
        reading = _Pattern(pattern.removeprefix("^").removesuffix("$"))
        return list(dict.fromkeys(islice(reading.whole(), _AT_MOST)))
    except (_UnreadError, IndexError, ValueError):
        return []


@dataclass
class _Pattern:
    """A recursive descent over the expression; every part becomes the list of its own samples."""

    text: str
    position: int = 0

    def whole(self) -> list[str]:
        found = self._alternatives()
        if self.position != len(self.text):
            raise _UnreadError(self.text[self.position :])
        return found

    def _next(self) -> str:
        return self.text[self.position] if self.position < len(self.text) else ""

    def _take(self) -> str:
        self.position += 1
        return self.text[self.position - 1]

    def _alternatives(self) -> list[str]:
        branches = [self._sequence()]
        while self._next() == "|":
            self._take()
            branches.append(self._sequence())
        return [text for branch in branches for text in branch[:_AT_MOST]][: 4 * _AT_MOST]

    def _sequence(self) -> list[str]:
        found = [""]
        while self._next() not in ("", "|", ")"):
            part = self._counted(self._atom())
            # Every sample of each part stands beside the first sample of the others, then some of all pairs.
            found = [*(found[0] + text for text in part), *(text + part[0] for text in found[1:])]
            found = [text for text in dict.fromkeys(found) if len(text) <= _LONGEST][: 2 * _AT_MOST]
            if not found:
                raise _UnreadError("too long")
        return found

    def _counted(self, part: list[str]) -> list[str]:
        low, high = 1, 1
        match self._next():
            case "?":
                self._take()
                low, high = 0, 1
            case "*":
                self._take()
                low, high = 0, _MANY
            case "+":
                self._take()
                low, high = 1, _MANY
            case "{":
                low, high = self._count()
        if self._next() == "?":
            self._take()
        counts = dict.fromkeys([low, min(low + 1, high), high])
        return [text * count for count in counts for text in part]

    def _count(self) -> tuple[int, int]:
        end = self.text.index("}", self.position)
        low, comma, high = self.text[self.position + 1 : end].partition(",")
        self.position = end + 1
        return int(low or 0), int(high) if high else int(low or 0) + (_MANY if comma else 0)

    def _atom(self) -> list[str]:
        match self._take():
            case "(":
                if self._next() == "?":
                    self._take()
                    if self._take() != ":":
                        raise _UnreadError("(?")
                found = self._alternatives()
                if self._take() != ")":
                    raise _UnreadError("(")
                return found
            case "[":
                return self._bracket()
            case "\\":
                return list(self._escaped(self._take()))
            case ".":
                return ["a", "0"]
            case sign if sign in "^$*+?{":
                raise _UnreadError(sign)
            case letter:
                return [letter]

    def _escaped(self, letter: str) -> Iterator[str]:
        if letter in _CLASSES:
            yield from _CLASSES[letter]
        elif letter in _ESCAPES:
            yield _ESCAPES[letter]
        elif letter.isalnum():
            raise _UnreadError(letter)
        else:
            yield letter

    def _bracket(self) -> list[str]:
        if self._next() == "^":
            self._take()
            excluded = set(self._bracket())
            return [letter for letter in "aZ0-" if letter not in excluded] or ["ø"]
        found: list[str] = []
        while self._next() != "]":
            letters = list(self._escaped(self._take())) if self._next() == "\\" and self._take() else [self._take()]
            if self._next() == "-" and self.text[self.position + 1] != "]" and len(letters) == 1:
                self._take()
                letters.append(self._take())
            found.extend(letters)
        self._take()
        if not found:
            raise _UnreadError("[]")
        return found
