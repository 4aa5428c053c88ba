"""The evidence of harm day by day, with what is needed, as a plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automation import plots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.drift.harm.watch import Evidence


def evidence(history: Sequence[Evidence], title: str) -> str:
    """What each claim's evidence was after each of its days, as SVG, in powers of ten. A line ``N needed`` is drawn for
    each level that a claim must reach; days before a claim's first bet leave a gap."""
    told = {(one.claim, one.day): one.log10 for one in history}
    days = sorted({one.day for one in history if one.day is not None})
    claims = list(dict.fromkeys(one.claim for one in history if one.day is not None))
    series = {claim: [told.get((claim, day), math.nan) for day in days] for claim in claims}
    levels = sorted({one.needed for one in history})
    series |= {f"{level:,.0f} needed": [math.log10(level)] * len(days) for level in levels}
    return plots.lines(days, series, title, "powers of ten")
