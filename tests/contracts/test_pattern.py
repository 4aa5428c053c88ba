r"""Patterns mean the same to Rust, to Python and to ECMA-262; where they could not, the contract is refused."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.pattern import PatternError, portable


def rust(pattern: str, value: str) -> bool:
    return pl.Series([value]).str.contains(rf"\A(?:{portable(pattern)})\z").item()


def python(pattern: str, value: str) -> bool:
    return re.fullmatch(portable(pattern), value) is not None


@pytest.mark.parametrize(
    ("pattern", "matches", "differs"),
    [
        (r"^\d{2}$", ["12"], ["\u0661\u0662", "12\n", "\n12", "1", "123"]),
        (r"^\w+$", ["aZ_9"], ["é", "a-b", ""]),
        (r"^a.c$", ["abc", "aéc", "a\x85c"], ["a\nc", "a\rc", "a\u2028c"]),
        (r"^a\sb$", ["a b", "a\tb", "a\u00a0b", "a\ufeffb"], ["a\x1cb", "a\x85b"]),
        (r"^\D\W\S$", ["a-b", "\u0663é\u0663"], ["1-b", "a_b", "a- "]),
        (r"^[^\d]$", ["a", "\u0663"], ["3"]),
        (r"^a|b$", ["a", "b"], ["ab", "ax", "xb"]),
        (r"^[\w.-]+@x\.org$", ["a-b.c@x.org"], ["a@x-org"]),
        (r"^\x41\u0042?\/\-$", ["A/-", "AB/-"], ["B/-"]),
        (r"^(?:ab|c){1,2}?d*$", ["ab", "abc", "cdd"], ["", "abcc"]),
        (r"^\\$", ["\\"], ["\\\\"]),
        (r"^$", [""], ["\n"]),
    ],
)
def test_a_pattern_is_read_as_ecma_262_says_by_both_engines(pattern, matches, differs):
    for engine in (rust, python):
        assert [value for value in matches if not engine(pattern, value)] == []
        assert [value for value in differs if engine(pattern, value)] == []


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"a", "not anchored"),
        (r"^a\$", "the last [$] is escaped"),
        (r"^a$|^b$", "anchors stand at the two ends only"),
        (r"^\ba$", "engines differ on"),
        (r"^\p{L}$", "engines differ on"),
        (r"^(?i)a$", "use plain groups"),
        (r"^(?=a)a$", "use plain groups"),
        (r"^(a)\1$", "engines differ on"),
        (r"^[[:alpha:]]$", "escape a bracket"),
        (r"^[a-z&&[^b]]$", "escape a bracket"),
        (r"^[a&&b]$", "name each sign once"),
        (r"^[a--b]$", "name each sign once"),
        (r"^[\d-x]$", "escape the hyphen"),
        (r"^[]a]$", "escape a bracket"),
        (r"^a{,2}$", "escape a bracket"),
        (r"^a**$", "repeats nothing, or a repetition"),
        (r"^+a$", "repeats nothing, or a repetition"),
        (r"^a{2}{3}$", "repeats nothing, or a repetition"),
        (r"^\ud83d$", "engines differ on"),
        (r"^[z-a]$", "does not parse"),
        (r"^(a$", "does not parse"),
    ],
)
def test_what_engines_read_differently_is_refused(pattern, says):
    with pytest.raises(PatternError, match=says):
        portable(pattern)


PIECES = [
    "a",
    "-",
    ".",
    "*",
    "?",
    "|",
    "(",
    ")",
    "[",
    "]",
    "^",
    "{2}",
    "[^a]",
    "[a-c-]",
    r"\d",
    r"\W",
    r"\.",
    r"\n",
    "é",
]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text("aBc-.3\u0663é\n\r|", max_size=4))
def test_a_pattern_that_is_accepted_has_one_meaning(body, value):
    try:
        portable(f"^{body}$")
    except PatternError:
        return
    assert rust(f"^{body}$", value) == python(f"^{body}$", value)
