"""The features as Feast serves them. Whatever imports Feast imports this first.

Feast decorates its classes with `typeguard.typechecked`, which parses and compiles their source anew in every process
that imports Feast: 2.7 of its 4.0 seconds (Feast 0.67, typeguard 4.6). ``python -O`` leaves that out, and so does this.
Nothing else that is installed decorates with it.
"""

from typing import Any

import typeguard


def _as_it_is(target: Any = None, **_: Any) -> Any:
    """What `typeguard.typechecked` is under ``python -O``."""
    return _as_it_is if target is None else target


typeguard.typechecked = _as_it_is
