"""Landing: files that people drop into the landing folder are taken in, each with a verdict."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.stages.declaration import declared, key
from automation import gates
from automation.jobs import DELIVERIES
from automation.landing.door import Door
from automation.landing.folder import Landing
from automation.landing.verdict import Delivery
from automation.resources import LakehouseResource
from automation.settings import settings
from automation.workload import Stage, Workload

GATE = gates.Gate("delivery", "No delivery is refused, nor more of its lines than the table's contract lets be.")
# A run that names no file takes what has lain unchanged for so long: it looks once.
UNCHANGED_FOR = timedelta(minutes=1)


class PickUp(dg.Config):
    """Which file to take in, by its path below the landing folder; if none is named, all that lie there."""

    file: str | None = None


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    @gates.gated_asset(
        **declared(
            workload,
            Stage.RAW,
            DELIVERIES,
            kinds={"python", "deltalake", "postgres"},
            description="Files that were dropped into the landing folder, each taken in once, with the verdict on it.",
            daily=False,
            more_gates=[GATE],
        )
    )
    def taken_in(context: dg.AssetExecutionContext, config: PickUp, lakehouse: LakehouseResource):
        now = datetime.now(UTC)
        door = Door(settings(), lakehouse.open(), Landing(settings().landing), workload)
        files = [config.file] if config.file else door.landing.unchanged(workload.name, now - UNCHANGED_FOR)
        taken = [delivery for file in files if (delivery := door.let_in(file, now))]
        yield dg.MaterializeResult(metadata=_shown(taken))
        yield from gates.record(context, key(workload, DELIVERIES), [_judgement(taken)])

    return [taken_in]


def _judgement(taken: list[Delivery]) -> gates.Judgement:
    bad = [delivery for delivery in taken if delivery.judged and not delivery.judged.within_limits]
    said = "; ".join(f"{delivery.file}: {delivery.judged.says}" for delivery in bad if delivery.judged)
    return gates.Judgement(
        GATE,
        passed=not bad,
        says=said or f"{len(taken)} deliveries came in.",
        metadata={"deliveries": len(taken), "refused or worse than the contract lets be": len(bad)},
    )


def _shown(taken: list[Delivery]) -> dict[str, dg.MetadataValue | int | str]:
    judged = [(delivery, delivery.judged) for delivery in taken if delivery.judged]
    records = [
        dg.TableRecord(
            {
                "file": delivery.file,
                "verdict": verdict.verdict.value,
                "rows let in": sum(verdict.account.landed.values()),
                "came before": verdict.account.known,
                "refused": ", ".join(f"{fault} ({count})" for fault, count in verdict.account.refused.items()),
                "days": ", ".join(map(str, verdict.days)),
                "says": verdict.says,
                "digest": delivery.digest,
                "lies at": delivery.filed or "",
            }
        )
        for delivery, verdict in judged
    ]
    names = ("file", "verdict", "rows let in", "came before", "refused", "days", "says", "digest", "lies at")
    columns = [dg.TableColumn(name, "int" if name in ("rows let in", "came before") else "string") for name in names]
    return {
        "deliveries": dg.TableMetadataValue(records=records, schema=dg.TableSchema(columns)),
        "rows let in": sum(sum(verdict.account.landed.values()) for _, verdict in judged),
        "lines refused": sum(sum(verdict.account.refused.values()) for _, verdict in judged),
        "days touched": ", ".join(sorted({str(day) for _, verdict in judged for day in verdict.days})) or "none",
    }
