"""The action in the place of one that is switched off: never one that does more, and at nobody else's expense.

Simply closing an action lets its cases go to the next least costly one, which may be a dearer one, and leaves to other
cases what it would have used of a budget. Either makes a decision more permissive by switching something off. So a day
is first chosen as if all were on, every case holding its place in the limits; then a case whose action is off gets the
least costly of those that

- may be taken for it and are on,
- cost less to do than the one that is off, and
- are counted by no limit that does not count that one, too: the place that the case holds covers them.

The safe action counts as one of these whatever it costs. Other cases get what they would have got.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from automation.policy.choice import PERSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automation.policy.choice import Actions
    from automation.policy.limits.declared import AnyLimit


def lesser(actions: Actions, limits: Sequence[AnyLimit], chosen: np.ndarray, off: frozenset[str]) -> np.ndarray:
    """What each case gets where some actions are off: columns like those ``chosen`` with all on, or `PERSON`."""
    got, safe = chosen.copy(), actions.names.index(actions.safe)
    for column in (actions.names.index(name) for name in sorted(off & set(actions.names) - {actions.safe})):
        rows = np.flatnonzero(chosen == column)
        covered = [_covered(actions, limits, column, other) for other in range(len(actions.names))]
        on = [name not in off or name == actions.safe for name in actions.names]
        cheaper = actions.prices[rows] < actions.prices[rows, column][:, None]
        cheaper[:, safe] = True
        left = actions.usable[rows] & cheaper & np.array(covered) & np.array(on)
        costs = np.where(left, actions.costs[rows], np.inf)
        got[rows] = np.where(left.any(axis=1), costs.argmin(axis=1), PERSON)
    return got


def _covered(actions: Actions, limits: Sequence[AnyLimit], held: int, other: int) -> bool:
    """Whether a place held for one action is in every limit that counts the other."""
    one, another = actions.names[held], actions.names[other]
    return all(limit.limits(one, actions.safe) for limit in limits if limit.limits(another, actions.safe))
