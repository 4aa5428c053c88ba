"""What is used is written in one way, and read back as it was or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.policy.limits.use import Use, UsesInvalidError, as_data, from_data

TEXT = st.sampled_from(["EWR", 'a"b', "None", "", "\u00e9", "\U0001f600", "\uffff", "protect per origin every day"])
USES = st.dictionaries(
    st.builds(Use, TEXT, st.none() | TEXT, st.sampled_from(["day", "0", "14"])), st.integers(0, 2**53 - 1), max_size=8
)


@given(USES)
def test_uses_are_read_back_as_they_were(uses: dict[Use, int]) -> None:
    assert from_data(json.loads(json.dumps(as_data(uses)))) == uses
    # Written in one way, in whatever order they were made.
    assert json.dumps(as_data(dict(reversed(uses.items())))) == json.dumps(as_data(uses))


def test_no_value_is_not_the_text_none() -> None:
    uses = {Use("a", None, "day"): 1, Use("a", "None", "day"): 2, Use("a", "", "day"): 3}
    assert as_data(uses) == {"a": [[None, {"day": 1}], ["", {"day": 3}], ["None", {"day": 2}]]}
    assert from_data(as_data(uses)) == uses


@pytest.mark.parametrize(
    "spoilt",
    [
        None,
        [],
        1,
        {"a": None},
        {"a": [["EWR"]]},
        {"a": [[1, {"day": 1}]]},
        *({"a": [["EWR", {"day": units}]]} for units in (None, -1, 1.0, 1.5, True, "1", [], {})),
        {"a": [["EWR", ["day", 1]]]},
    ],
)
def test_what_does_not_say_what_is_used_is_refused(spoilt: object) -> None:
    with pytest.raises(UsesInvalidError):
        from_data(spoilt)
