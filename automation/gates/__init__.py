"""Gates: asset checks that judge each partition of a table and stop everything downstream when one fails.

A gate holds on every path to what lies downstream: inside the run that judged it, in a later tick of automation, in a
backfill and when a person starts a run by hand. Three parts see to that, and ask one question, `standing.read`:

- `specs` and `record` declare and judge, so that Dagster stops the run itself;
- `downstream_condition` is the automation condition of everything that reads a gated table;
- `gated_asset` makes an asset that asks again before it does anything, and refuses with the reason.

A waiver lifts the hold of a failed gate until it expires. It never changes what the gate found.
"""

from automation.gates.condition import downstream_condition
from automation.gates.gate import (
    ADVICE,
    CONTRACT,
    EXPECTATIONS,
    Gate,
    Judgement,
    Severity,
    UnjudgedError,
    record,
    report,
    specs,
)
from automation.gates.refusal import GateRefusalError, gated_asset, optional_inputs, require
from automation.gates.standing import Asked, Standing, State, gates_of, read
from automation.gates.waivers import Waiver

__all__ = [
    "ADVICE",
    "CONTRACT",
    "EXPECTATIONS",
    "Asked",
    "Gate",
    "GateRefusalError",
    "Judgement",
    "Severity",
    "Standing",
    "State",
    "UnjudgedError",
    "Waiver",
    "downstream_condition",
    "gated_asset",
    "gates_of",
    "optional_inputs",
    "read",
    "record",
    "report",
    "require",
    "specs",
]
