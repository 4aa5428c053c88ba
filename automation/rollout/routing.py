"""Which cases the canary decides: by a hash of the case and the rollout, so that a replay routes each case alike.

A case has one place between 0 and 100 in the rollout of a version, and the canary decides it while the share is more
than that. So a share that grows takes further cases and gives none back, and a case is in another place for the next
version: no case is always the one that is tried on.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLACES = 2**64


def place(workload: str, version: int, case_key: str) -> float:
    """The case's place in a version's rollout, evenly spread over [0, 100)."""
    named = f"{workload}\0{version}\0{case_key}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big") / _PLACES * 100


def routed(workload: str, version: int, share: float, case_keys: Iterable[str]) -> list[bool]:
    """For each case, whether a canary with ``share`` percent of the cases decides it."""
    return [place(workload, version, key) < share for key in case_keys]
