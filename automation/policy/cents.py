"""Dollars as whole cents: sums of them are exact, and compare alike everywhere."""

from __future__ import annotations

import numpy as np

IN_A_DOLLAR = 100
# What is not known, not finite, negative, or too large for a double to say exactly.
UNKNOWN = -1
_LARGEST = 2**53 - 1


def cents(dollars: np.ndarray) -> np.ndarray:
    """Dollars as the nearest whole cents, of two equally near the even one; `UNKNOWN` where no amount can be said."""
    with np.errstate(over="ignore"):
        whole = np.rint(np.asarray(dollars, dtype=np.float64) * IN_A_DOLLAR)
    known = (whole >= 0) & (whole <= _LARGEST)
    return np.where(known, whole, UNKNOWN).astype(np.int64)
