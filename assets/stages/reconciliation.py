"""Reconciliation: what ledger, decisions and MLflow say is compared in both directions, once a week and when asked.

A proof shows that what is there is as it was; that nothing was left out only a comparison shows.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from assets.stages.declaration import declared, key
from automation import gates
from automation.jobs import MODEL_ALIASES
from automation.ledger import custody, decisions, store, verification
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.rollout.aliases import put_back
from automation.settings import settings
from automation.workload import Stage, Workload
from contracts.contract import Severity

LEDGER_RECONCILIATION = "ledger_reconciliation"
VERIFIED = gates.Gate("verified", "Every event, leaf, tile and signature of the ledger is as it was written.")
RECONCILED = gates.Gate("reconciled", "The decisions are those that the ledger commits to, none more and none less.")
AS_PROMOTED = gates.Gate(
    "as_promoted", "MLflow's champion is the version that was promoted, and nobody moved it.", Severity.WARNING
)
SHOWN = 20


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.UPKEEP,
            LEDGER_RECONCILIATION,
            kinds={"postgres", "deltalake"},
            description="The whole ledger verified, and the decisions compared with what it commits to.",
            daily=False,
            automated=False,
            more_gates=[VERIFIED, RECONCILED],
        )
    )
    def ledger_reconciliation(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        chosen = settings()
        with store.opened(chosen) as ledger:
            seen = verification.elsewhere([chosen.ledger_anchor] if chosen.ledger_anchor else [])
            found = verification.verify(ledger.connection, custody.public_keys(ledger), seen)
            unlike = list(decisions.reconcile(ledger, lakehouse.open(), workload.name))
        yield dg.MaterializeResult(
            metadata={
                "events": found.size,
                "signed": found.signed,
                "waiting": found.waiting,
                "root": found.root.hex(),
                "faults": _table("fault", [(each.fault.value, each.says) for each in found.findings]),
                "days that differ": _table("day", [(each.day.isoformat(), each.says) for each in unlike]),
            }
        )
        yield from gates.record(context, key(workload, LEDGER_RECONCILIATION), list(_judged(found, unlike)))

    @gates.gated_asset(
        **declared(
            workload,
            Stage.UPKEEP,
            MODEL_ALIASES,
            kinds={"mlflow", "postgres"},
            description="MLflow's alias of the champion, put back to the promoted version where somebody moved it.",
            daily=False,
            automated=False,
            more_gates=[AS_PROMOTED],
        )
    )
    def model_aliases(context: dg.AssetExecutionContext, models: ModelRegistryResource):
        registry = models.open(workload.name, workload.spec.model.name)
        found = put_back(models.settings, workload, registry, datetime.now(UTC))
        yield dg.MaterializeResult(
            metadata={"found at": found.is_at or "none", "promoted": found.belongs_at or "none", "model": found.model}
        )
        judged = gates.Judgement(AS_PROMOTED, passed=not found.moved, says=found.says)
        yield from gates.record(context, key(workload, MODEL_ALIASES), [judged])

    return [ledger_reconciliation, model_aliases]


def _judged(found: verification.Verified, unlike: list[decisions.Unlike]) -> Iterator[gates.Judgement]:
    first = f" First: {found.findings[0].fault.value}: {found.findings[0].says}" if found.findings else ""
    yield gates.Judgement(
        VERIFIED, passed=found.right, says=f"{found.size} events, {len(found.findings)} faults.{first}"
    )
    first = f" First: {unlike[0].day}: {unlike[0].says}." if unlike else ""
    yield gates.Judgement(RECONCILED, passed=not unlike, says=f"{len(unlike)} days differ.{first}")


def _table(first: str, rows: list[tuple[str, str]]) -> dg.TableMetadataValue:
    return dg.TableMetadataValue(
        records=[dg.TableRecord({first: name, "says": says}) for name, says in rows[:SHOWN]],
        schema=dg.TableSchema([dg.TableColumn(first), dg.TableColumn("says")]),
    )
