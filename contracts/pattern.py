r"""Patterns: one regular expression that every engine reads alike.

ODCS says that a `pattern` follows ECMA-262, as JSON Schema does, but rows are judged by Rust's `regex` (in polars)
and events by Python's `re`. The three differ: `\d` is any Unicode digit to Rust and Python and 0 to 9 to ECMA-262;
`$` comes before a last line break in Python; `.` leaves out one, two or four line breaks; `\b`, flags, look-around
and class arithmetic exist in one of them only. So a pattern is read as ECMA-262 here, and written out again in the
part of the language that the three share (`\d` as `[0-9]`). What is outside that part is refused.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

# ECMA-262's classes spelled out (https://262.ecma-international.org/5.1/#sec-15.10.2.12), without their brackets.
_CLASSES = {
    "d": "0-9",
    "w": "A-Za-z0-9_",
    "s": r"\t\n\v\f\r " + "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff",
}
_ANY = "[^\\n\\r\u2028\u2029]"
_TOKEN = re.compile(
    r"""
      (?P<code>\\x[0-9A-Fa-f]{2}|\\u(?![dD][89A-Fa-f])[0-9A-Fa-f]{4}) # a character by its number, surrogates left out
    | \\(?P<class>[dwsDWS])
    | (?P<escape>\\[tnvfr^$\\.*+?()\[\]{}|/-])
    | \[(?P<negated>\^?)(?P<members>(?:[^\]\[\\]|\\.)+)\]
    | (?P<group>\((?:\?:)?(?!\?)|\)|\|)
    | (?P<repeat>[*+?]\??|\{[0-9]+(?:,[0-9]*)?\}\??)
    | (?P<any>\.)
    | (?P<literal>[^\\^$.*+?()\[\]{}|])
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(
    r"(?P<code>\\x[0-9A-Fa-f]{2}|\\u(?![dD][89A-Fa-f])[0-9A-Fa-f]{4})|\\(?P<class>[dws])"
    r"|(?P<escape>\\[tnvfr^$\\.*+?()\[\]{}|/-])|(?P<literal>[^\\])",
    re.DOTALL,
)


class PatternError(ValueError):
    """A pattern that engines would read differently: which part of it, and what to write instead."""

    def __init__(self, broken: str, fix: str) -> None:
        super().__init__(f"{broken}: {fix}")
        self.broken = broken
        self.fix = fix


@lru_cache(maxsize=1024)
def portable(pattern: str) -> str:
    r"""What stands between the anchors of `pattern`, in words that Rust, Python and ECMA-262 read alike.

    It is to be matched against a whole value: `\A(?:…)\z` in Rust, `re.fullmatch` in Python, `^(?:…)$` in ECMA-262.

    >>> portable(r"^\d{4}|x$")
    '[0-9]{4}|x'

    Raises `PatternError`.
    """
    if len(pattern) < 2 or not (pattern.startswith("^") and pattern.endswith("$")):
        raise PatternError(f"{pattern!r} is not anchored", "write ^...$: engines differ on what is matched")
    body = "".join(_written(pattern[1:-1]))
    try:
        re.compile(body)
    except re.error as error:
        raise PatternError(f"it does not parse: {error}", "correct the expression") from error
    return body


def _written(body: str) -> Iterator[str]:
    at, repeatable = 0, False
    while at < len(body):
        token = _TOKEN.match(body, at)
        if token is None:
            raise PatternError(f"engines differ on {body[at:][:12]!r}", _advice(body[at:]))
        at = token.end()
        match token.lastgroup:
            case "class":
                letter = token["class"]
                yield f"[{'^' if letter.isupper() else ''}{_CLASSES[letter.lower()]}]"
            case "members":
                yield f"[{token['negated']}{''.join(_members(token['members']))}]"
            case "any":
                yield _ANY
            case "repeat" if not repeatable:
                raise PatternError(f"{token[0]!r} repeats nothing, or a repetition", "put what it repeats in (?:...)")
            case _:
                # An escaped slash or hyphen is no escape to every engine.
                yield {r"\/": "/", r"\-": "-"}.get(token[0], token[0])
        repeatable = token.lastgroup != "repeat" and token[0] not in ("(", "(?:", "|")


def _members(members: str) -> Iterator[str]:
    """What a character class holds. Arithmetic (`&&`, `--`, `~~`) is Rust's alone, so doubled signs are refused."""
    if members.startswith("^") or re.search(r"(?<!\\)(&&|--|~~|\|\|)", members):
        raise PatternError(f"engines differ on [{members}]", "name each sign once")
    at = 0
    while at < len(members):
        token = _MEMBER.match(members, at)
        if token is None:
            raise PatternError(f"engines differ on {members[at:][:12]!r} in [{members}]", "write the characters out")
        before, at = members[:at], token.end()
        if token.lastgroup == "class":
            if re.search(r"[^\\]-$", before) or re.match("-.", members[at:]):
                raise PatternError(f"{token[0]!r} is an end of a range in [{members}]", "escape the hyphen")
            yield _CLASSES[token["class"]]
        else:
            yield r"\-" if token[0] == r"\-" else token[0].replace(r"\/", "/")


def _advice(rest: str) -> str:
    if rest == "\\":
        return "the last $ is escaped: write ^...$"
    if rest[0] in "^$":
        return "anchors stand at the two ends only; put alternatives in ^(?:...)$"
    if rest.startswith("(?"):
        return "use plain groups, or (?:...)"
    if rest[0] in "[]{}":
        return "escape a bracket that is meant as itself"
    return "write the characters out"
