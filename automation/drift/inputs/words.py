"""What the evidence on a model's inputs says, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automation.drift.inputs.watch import Evidence, Inputs

SAID_AT_MOST = 1_000_000
PARTS = {"values": "its values", "spread": "how its values spread", "missing": "how often it is missing"}


def evidence_says(one: Evidence) -> str:
    """One feature: what speaks for a change of it, and since when it may have changed."""
    since = f", since about {one.since}" if one.rejected and one.since else ""
    return (
        f"{one.feature}: the evidence that {PARTS[one.part]} changed is {_odds(one.log10)}, "
        f"of {one.needed:,.0f} to 1 needed{since}"
    )


def inputs_say(inputs: Inputs) -> str:
    """All features: whether any has changed, which, and how sure that is."""
    plan, count = inputs.plan, len(inputs.features)
    if inputs.is_learning:
        needed = plan.scale_days + plan.learn_days
        return f"{inputs.shown} of {needed} days are learned; nothing is said of {count} inputs before"
    sure = f"a false alarm within {plan.season_days} days has a chance of {plan.rate:.0%}"
    if not inputs.changed:
        return f"none of {count} inputs has changed; {sure}"
    told = "; ".join(evidence_says(one) for one in inputs.evidence() if one.rejected)
    have = "has" if len(inputs.changed) == 1 else "have"
    return f"{len(inputs.changed)} of {count} inputs {have} changed ({sure}): {told}"


def _odds(log10: float) -> str:
    if log10 > math.log10(SAID_AT_MOST):
        return f"more than {SAID_AT_MOST:,} to 1"
    if log10 < -2:
        return "less than 0.01 to 1"
    value = 10.0**log10
    return f"{value:,.0f} to 1" if value >= 10 else f"{value:.2g} to 1"
