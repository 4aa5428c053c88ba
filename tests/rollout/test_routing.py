"""Routing: a case is the canary's or not by a hash of its own, whenever and with whatever others it is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from automation.rollout.routing import place, routed

KEYS = [f"2013-03-01:UA{number}:EWR" for number in range(20_000)]


def test_the_share_of_the_cases_is_the_declared_one() -> None:
    for share in (1.0, 5.0, 25.0, 50.0):
        taken = sum(routed("flight_disruption", 3, share, KEYS)) / len(KEYS) * 100
        # Five standard deviations of a share that is drawn.
        assert abs(taken - share) < 5 * (share * (100 - share) / len(KEYS)) ** 0.5


def test_a_share_that_grows_gives_no_case_back() -> None:
    small, large = (routed("flight_disruption", 3, share, KEYS) for share in (5.0, 25.0))
    assert all(later for first, later in zip(small, large, strict=True) if first)


def test_another_version_and_another_workload_try_other_cases() -> None:
    mine = routed("flight_disruption", 3, 50.0, KEYS)
    for other in (routed("flight_disruption", 4, 50.0, KEYS), routed("parcel_claims", 3, 50.0, KEYS)):
        alike = sum(a == b for a, b in zip(mine, other, strict=True)) / len(KEYS)
        assert 0.48 < alike < 0.52


def test_the_place_of_a_case_never_changes() -> None:
    """A replay of a year later must route as the day did: this is a promise, not a finding."""
    assert place("flight_disruption", 3, "2013-03-01:UA1545:EWR") == 42.52426944193549


@given(st.lists(st.text(), unique=True), st.floats(0, 100))
def test_a_case_is_routed_alike_alone_and_among_others(keys: list[str], share: float) -> None:
    assert routed("w", 1, share, keys) == [routed("w", 1, share, [key])[0] for key in keys]
