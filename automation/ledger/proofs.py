"""Files that prove themselves: an event of the ledger, or one decision with the event that commits to it.

`warrant_verify` checks them without anything else of Warrant.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import warrant_verify
from automation.calendar import Days
from automation.errors import WarrantError
from automation.lakehouse import DAY
from automation.ledger import decisions, sequencing
from automation.ledger.canonical import canonical_rows
from automation.ledger.sequencing import StoredTiles
from automation.ledger.tree import inclusion_proof
from warrant_verify import checkpoint, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from automation.lakehouse import Lakehouse
    from automation.ledger.store import Event, Ledger


class NoProofError(WarrantError):
    """There is nothing to prove, or nothing signed yet to prove it by."""


def of_event(ledger: Ledger, event: Event) -> bytes:
    """A file that proves the event.

    Raises:
        NoProofError: no signed checkpoint has it yet.
    """
    return warrant_verify.write(_event(ledger, event))


def of_decision(ledger: Ledger, lake: Lakehouse, workload: str, case: str) -> bytes:
    """The warrant of a case: its decision, the event that commits to it, and the proofs.

    Raises:
        NoProofError: the case was not decided, or the ledger commits to another decision of it.
    """
    import polars as pl

    found = _rows(lake, workload).filter(pl.col(decisions.KEY) == case)
    if found.is_empty():
        raise NoProofError(f"{workload} has no decision of {case}.", remedy="Look the case's key up in `decisions`.")
    [day] = found[DAY].to_list()
    held = ledger.events(decisions.stream(workload, day))
    made = decisions.batch_of(lake.read(workload, decisions.TABLE, Days.one(day)))
    if not held or held[-1].data["batches"][decisions.TABLE] != made.committed:
        raise NoProofError(
            f"The ledger does not commit to the decisions of {day} as the table has them.",
            remedy="Run `warrant ledger reconcile`: it says what differs.",
        )
    [leaf] = canonical_rows(found.drop(DAY))
    position = made.hashes.index(leaf_hash(leaf))
    row = {"row": leaf.decode(), "position": position, "proof": _lines(made.proof(position))}
    return warrant_verify.write(_event(ledger, held[-1]) | {"rows": {decisions.TABLE: row}})


def _rows(lake: Lakehouse, workload: str) -> pl.DataFrame:
    import polars as pl

    return (
        lake.read(workload, decisions.TABLE)
        if lake.exists(workload, decisions.TABLE)
        else pl.DataFrame(schema={decisions.KEY: pl.String})
    )


def _event(ledger: Ledger, event: Event) -> dict[str, Any]:
    note = sequencing.newest_note(ledger)
    size = checkpoint(note).size if note else 0
    if note is None or event.position is None or event.position >= size:
        raise NoProofError(
            f"Version {event.version} of {event.stream} is in no signed checkpoint yet.",
            remedy="`warrant ledger sign` signs what waits; `warrant up` keeps it signed.",
        )
    with ledger.connection:
        proof = inclusion_proof(StoredTiles(ledger.connection), event.position, size)
    return {"event": event.leaf.decode(), "position": event.position, "proof": _lines(proof), "checkpoint": note}


def _lines(proof: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(hash_).decode() for hash_ in proof]
