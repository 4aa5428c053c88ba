"""Triage: is what changed the data's fault, before any talk of drift? Then the data is repaired, not the model.

What is asked, in this order: did a gate of what the day rests on fail, and a waiver let it pass; do too many cases
break the feature vector's contract; does a feature look broken. What a gate holds never comes so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.gates import Standing

BROKEN_SHARE = 0.2


@dataclass(frozen=True)
class Triage:
    """What is at fault in a day's data, in words; nothing, if the day may tell of the world."""

    found: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.found

    @property
    def says(self) -> str:
        if self.whole:
            return "The day's data is whole: no gate was waived, and no feature looks broken."
        return "The data is to be repaired first: " + "; ".join(self.found) + "."


def triage(waived: Sequence[Standing], broken: int, cases: int, faults: Sequence[str]) -> Triage:
    """What is at fault.

    Args:
        waived: gates of what the day rests on that failed and were waived.
        broken: how many of the ``cases`` broke the feature vector's contract.
        faults: what looks broken of features, in words.
    """
    found = [
        f"the gate {each.gate} of {each.asset.path[-1]} failed on {each.partition} and was waived"
        for each in sorted(waived, key=lambda one: (one.asset.to_user_string(), one.gate))
    ]
    if cases and broken > BROKEN_SHARE * cases:
        found.append(f"{broken} of {cases} cases broke the feature vector's contract")
    return Triage((*found, *faults))
