"""Whether what a model takes is what the feature service has: by name, type, and whether a value may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from automation.rollout.sandbox.mlmodel import accepts, holds_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from automation.rollout.sandbox.mlmodel import Column, Signature
    from automation.workload import Workload
    from contracts.contract import Column as Promised


@dataclass(frozen=True)
class Served:
    """What the feature service has of each case.

    ``features`` are the columns a model may see; ``hidden`` those it may not: the case's key and time, and what
    defs.yaml excludes.
    """

    service: str
    features: tuple[Promised, ...]
    hidden: tuple[str, ...]

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """What the workload's service has today, as its vector's contract promises it."""
        vector, seen = workload.contract(workload.spec.model.contract), set(workload.model_features)
        return cls(
            workload.spec.features.service,
            tuple(column for column in vector.columns if column.name in seen),
            tuple(column.name for column in vector.columns if column.name not in seen),
        )


@dataclass(frozen=True)
class Fit:
    """How a signature fits the service: what is wrong, in sentences; what it takes of the features; what it leaves."""

    service: str
    problems: tuple[str, ...]
    takes: tuple[str, ...]
    leaves: tuple[str, ...]


def fitted(signature: Signature, served: Served) -> Fit:
    """Compares the columns that a model takes with what it would be served."""
    names = [column.name for column in signature.columns]
    promised = {column.name: column for column in served.features}
    takes = tuple(dict.fromkeys(name for name in names if name in promised))
    problems = [f"It takes {name} twice." for name in dict.fromkeys(names) if names.count(name) > 1]
    for column in signature.columns:
        problems += _problems(column, promised.get(column.name), served)
    if not takes:
        problems.insert(
            0,
            f"It takes nothing that {served.service} has: {', '.join(names[:5]) or 'no column at all'}"
            f"{' and others' if len(names) > 5 else ''}.",
        )
    return Fit(served.service, tuple(problems), takes, tuple(name for name in promised if name not in takes))


def _problems(column: Column, promised: Promised | None, served: Served) -> Iterator[str]:
    if column.name in served.hidden:
        yield f"It takes {column.name}, which a model may not see: it is the case's key or time, or excluded."
    elif promised is None and column.required:
        yield f"It takes {column.name}, which {served.service} does not have."
    elif promised is not None and not accepts(column, promised.dtype):
        yield f"It takes {column.name} as {column.type}, which is {promised.dtype} here."
    elif promised is not None and not promised.required and not holds_missing(column):
        yield f"It takes {column.name} as {column.type}, which has no missing values; here some are missing."
