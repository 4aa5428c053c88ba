"""What a prediction takes: time and memory, as measured from outside the model's process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automation.rollout.judging.plan import JudgingPlan


@dataclass(frozen=True)
class Cost:
    """A batch of ``rows`` took ``seconds`` from the process's start to its end, and at most ``peak_memory_bytes``."""

    rows: int
    seconds: float
    peak_memory_bytes: int

    @property
    def milliseconds(self) -> float:
        """Milliseconds a case."""
        return 1000 * self.seconds / self.rows if self.rows else float("inf")

    def problems(self, plan: JudgingPlan) -> tuple[str, ...]:
        """What is more than the plan allows, in sentences."""
        said = []
        if not self.milliseconds <= plan.slowest:
            said.append(f"{self.milliseconds:.3g} ms a case is more than {plan.slowest:g}.")
        if self.peak_memory_bytes > plan.most_memory:
            said.append(f"{_mebibytes(self.peak_memory_bytes)} is more than {_mebibytes(plan.most_memory)}.")
        return tuple(said)

    def __str__(self) -> str:
        return (
            f"{self.rows:,} cases in {self.seconds:.2f} s, start included: {self.milliseconds:.3g} ms a case; "
            f"{_mebibytes(self.peak_memory_bytes)} of memory at most, Python and its packages included."
        )


def _mebibytes(count: int) -> str:
    return f"{count / 1024**2:,.0f} MiB"
