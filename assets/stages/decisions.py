"""Decisions: the least costly action that the policy in force leaves each case, with its evidence; each gets one."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from assets.stages.declaration import days_before, declared, run_days
from assets.stages.scoring import SCORES
from automation import gates
from automation.boundary import publish
from automation.calendar import Days
from automation.explanation.metadata import explained
from automation.lakehouse import DAY, Lakehouse
from automation.ledger import decisions as ledger_decisions
from automation.ledger import sequencing, service, store, witnessing
from automation.ledger.store import Ledger
from automation.plots import bars, image
from automation.policy import activation
from automation.policy.bundle import PolicyBundle
from automation.policy.choice import Choice
from automation.policy.deciding import Weighed, said_of
from automation.policy.evidence import PastDemand, decision_rows, evidence_of
from automation.policy.limits.declared import Every, Limit
from automation.policy.limits.demand import said as demand_said
from automation.policy.limits.reservations import Reservation, commit, reserve, used
from automation.policy.limits.shown import places
from automation.policy.limits.use import Snapshot, Use, as_data
from automation.resources import LakehouseResource
from automation.settings import Settings, settings
from automation.switches.flags import off_on
from automation.switches.switch import Off
from automation.workload import Stage, Workload

DECISIONS = "decisions"
# Whoever decides a day by itself names its part of the limits; the daily run is the whole day.
BATCH = "daily"
MODEL = ("model", "model_version", "model_digest")
EVERY_CASE = gates.Gate("every_case_decided", "Each case of the day has exactly one decision, and no other has.")
COMMITTED = gates.Gate("committed", "The ledger commits to the day's decisions as the table holds them, and is signed.")
POLICY = gates.Gate(
    "policy_kept",
    "Every action is one the policy knows, no limit is exceeded, and nothing that is switched off is done.",
)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    spec = workload.spec
    contract = workload.contract(DECISIONS)

    @gates.gated_asset(
        **declared(
            workload,
            Stage.DECISIONS,
            DECISIONS,
            kinds={"python", "polars", "deltalake"},
            description=spec.description,
            contract=contract,
            deps=[days_before(workload, SCORES, 0), days_before(workload, spec.cases.table, 0)],
            more_gates=[EVERY_CASE, POLICY, COMMITTED],
            range_runs=False,
        )
    )
    def decisions(context: dg.AssetExecutionContext, lakehouse: LakehouseResource):
        days, lake = run_days(context), lakehouse.open()
        chosen, now = settings(), datetime.now(UTC)
        evidence = evidence_of(workload, lake, days)
        with store.opened(chosen) as ledger:
            policy = activation.in_force(chosen, ledger, workload, days.first, now)
            off = _off(chosen, workload.name, policy, evidence.scores, days.first)
            usual = PastDemand(lake, ledger, workload, policy).usual(days.first)
            weighed = Weighed(replace(evidence.day, off=off, usual=usual), policy)
            # Said now: what the ledger cannot hold must not be decided.
            demand_said(weighed.demand, usual)

            def choose(snapshot: Snapshot) -> tuple[Choice, Mapping[Use, int]]:
                choice = weighed.choose(snapshot.used)
                return choice, choice.uses

            choice, reservation = reserve(ledger, workload.name, days.first, BATCH, choose, now)
            rows = decision_rows(workload, evidence, policy, said_of(weighed, choice, evidence.phrases))
            by_action = dict(rows["action"].value_counts().sort("action").iter_rows())
            automated = rows.filter(pl.col("status") == "automated").height
            # Before anything is published: what others see of the limits holds whatever becomes of this run.
            commit(ledger, reservation, now)
            yield from publish(
                context,
                lake,
                workload,
                DECISIONS,
                rows,
                days,
                more=_judged(workload, lake, ledger, weighed, reservation, evidence.cases, days.first),
                metadata={
                    "policy": policy.version,
                    "switched off": str(off),
                    "decisions by action": dg.JsonMetadataValue(by_action),
                    "automation rate": automated / max(1, rows.height),
                    "actions": image(bars(by_action, f"Decisions of {days.first}", "decisions")),
                    "rules": _rules(rows),
                    **places(weighed, choice),
                    **explained(workload, rows, weighed, choice, reservation.snapshot.used),
                },
            )

    return [decisions]


def _off(chosen: Settings, workload: str, policy: PolicyBundle, scores: pl.DataFrame, day: date) -> Off:
    """What is off, of all that the day's decisions could rest on."""
    safe = policy.declared.safe_action
    actions = [action.name for action in policy.declared.actions if action.name != safe]
    # Registered versions begin at 1; what else is there is no model's score, and the policy treats it so.
    models = scores["model_version"].drop_nulls().unique().sort()
    return off_on(chosen, workload, actions, models.filter(models > 0), day)


def _judged(
    workload: Workload,
    lake: Lakehouse,
    ledger: Ledger,
    weighed: Weighed,
    reservation: Reservation,
    cases: pl.DataFrame,
    day: date,
) -> Iterator[gates.Judgement]:
    """Asked once the decisions are written: of what the table holds, to which the ledger then commits."""
    stored = lake.read(workload.name, DECISIONS, Days.one(day))
    yield _every_case(cases[workload.spec.case_key], stored["case_key"], day.isoformat())
    uses = used(ledger, workload.name, day)
    yield _policy_kept(workload, weighed.policy, stored, cases, uses, day.isoformat(), weighed.day.off)
    yield _committed(workload, lake, ledger, weighed, reservation, stored, day)


def _every_case(cases: pl.Series, decided: pl.Series, partition: str) -> gates.Judgement:
    wanted, found = set(cases), set(decided)
    missing, extra, twice = wanted - found, found - wanted, decided.len() - len(found)
    return gates.Judgement(
        EVERY_CASE,
        passed=not missing and not extra and not twice,
        says=f"{len(wanted)} cases, {decided.len()} decisions: {len(missing)} missing, {len(extra)} of no case, "
        f"{twice} twice.",
        partition=partition,
        metadata={"cases": len(wanted), "decisions": decided.len()},
    )


def _policy_kept(
    workload: Workload,
    policy: PolicyBundle,
    rows: pl.DataFrame,
    cases: pl.DataFrame,
    uses: Mapping[Use, int],
    partition: str,
    off: Off,
) -> gates.Judgement:
    """Worked out anew from the rows: not from what the choice says of itself."""
    declared = policy.declared
    known = {action.name for action in declared.actions}
    problems = [f"unknown action {name}" for name in sorted(set(rows["action"]) - known)]
    problems += [
        f"{use.group or 'all'}, {use.window}: {units:,} of {limit}"
        for limit in declared.limits
        for use, units in sorted(uses.items(), key=str)
        if use.limit == limit.key and units > limit.capacity
    ]
    problems += _done_though_off(rows, off)
    # Reviewed cases hold their place in the limits, too: so at most as many are automated.
    taken = rows.filter(pl.col("status") == "automated").join(
        cases.rename({workload.spec.case_key: "case_key"}).drop(DAY, "event_time", "known_time", strict=False),
        on="case_key",
    )
    for limit in declared.limits:
        if isinstance(limit, Limit) and limit.every is Every.DAY:
            counted = taken.filter(pl.col("action") == limit.action)[limit.per].value_counts()
            problems += [
                f"{limit.action} for {count} cases of {limit.per} {value}, at most {limit.at_most} may"
                for value, count in counted.sort(limit.per).iter_rows()
                if count > limit.at_most
            ]
    return gates.Judgement(
        POLICY, passed=not problems, says="; ".join(problems) or "Every limit is kept.", partition=partition
    )


def _done_though_off(rows: pl.DataFrame, off: Off) -> Iterator[str]:
    automated = rows.filter(pl.col("status") == "automated")
    for name in sorted(off.actions):
        if count := automated.filter(pl.col("action") == name).height:
            yield f"{name} is switched off, and was taken for {count} cases"
    for version in sorted(off.models):
        if count := automated.filter(pl.col("model_version") == version).height:
            yield f"model version {version} is switched off, and decided {count} cases"
    if off.workload and automated.height:
        yield f"the workload is switched off, and decided {automated.height} cases"


def _committed(
    workload: Workload,
    lake: Lakehouse,
    ledger: Ledger,
    weighed: Weighed,
    reservation: Reservation,
    stored: pl.DataFrame,
    day: date,
) -> gates.Judgement:
    """Has the ledger commit to what the table holds now, before anything comes of it."""
    now, chosen = datetime.now(UTC), settings()
    evidence = {
        "table_version": lake.version(workload.name, DECISIONS),
        "policy_version": weighed.policy.version,
        "limits": {"stream": reservation.stream, "version": reservation.version},
        "limits_used": as_data(reservation.snapshot.used),
        "switches_off": weighed.day.off.as_data(),
        **demand_said(weighed.demand, weighed.day.usual),
        "models": sorted({f"{m} {v} {d}" for m, v, d in stored.select(MODEL).drop_nulls().iter_rows()}),
    }
    event = ledger_decisions.commit(ledger, workload.name, day, stored, evidence, now)
    signed, said = True, ""
    try:
        service.bring_up_to_date(chosen, ledger, now)
    except (witnessing.WitnessRefusedError, witnessing.WitnessUnreachableError, service.AnchorError) as error:
        # What is signed is committed; a fork, though, is no basis for anything.
        signed, said = not isinstance(error, witnessing.WitnessRefusedError), f" {error.message}"
    [event] = [each for each in ledger.events(event.stream) if each.version == event.version]
    head = sequencing.newest(ledger)
    covered = head is not None and event.position is not None and event.position < head.size
    return gates.Judgement(
        COMMITTED,
        passed=signed and covered,
        says=f"{stored.height} decisions are leaf {event.position} of {head.size if head else 0}, signed.{said}"
        if covered
        else f"The event that commits to {stored.height} decisions is not signed.{said}",
        partition=day.isoformat(),
        metadata={
            "stream": event.stream,
            "version": event.version,
            "batch root": event.data["batches"][DECISIONS]["root"],
            "ledger root": head.root.hex() if head else "",
        },
    )


def _rules(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """How often each rule of the decision table matched, by action."""
    counted = Counter(
        (action, rule)
        for text in rows["rules"]
        for action, matched in json.loads(text).items()
        if action != "authorization"
        for rule in matched
    )
    return dg.TableMetadataValue(
        records=[
            dg.TableRecord({"action": action, "rule": rule, "cases": count})
            for (action, rule), count in sorted(counted.items())
        ],
        schema=dg.TableSchema([dg.TableColumn("action"), dg.TableColumn("rule"), dg.TableColumn("cases", "int")]),
    )
