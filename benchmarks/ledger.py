"""The ledger: durable appends, batches of decision rows with proofs, verification.

    python -m benchmarks.ledger --json

On the embedded PostgreSQL with its full durability (fsync on, synchronous_commit on). Appends are single events from
four processes at once, each to a stream of its own, while the keeper signs beside them as it does under `warrant up`.
Decision rows have the columns and the size of the pilot's: they are committed by one event a batch, signed, and proofs
of rows are made and checked. The peer of a batch is an append for each row. Verification is of a ledger of a million
events; of a million decision rows the root is worked out, as the reconciler does.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import click
import polars as pl

from automation.settings import Settings
from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_least, figure, machine, progress, show

WRITERS, APPENDS = 4, 1500
BATCH_ROWS, BATCHES = 50_000, 5
EVENTS, EVENTS_A_CALL = 1_000_000, 20_000
NOW = datetime(2013, 3, 1, 12, tzinfo=UTC)
DAY = date(2013, 3, 1)


def decision_rows(count: int, first: int = 0) -> pl.DataFrame:
    """Rows with the columns and the size of the pilot's decisions; each has a key, costs and features of its own."""
    number = pl.int_range(first, first + count, dtype=pl.Int64)
    names = [f"feature_of_the_pilot_{n:02}" for n in range(45)]
    values = [((number * (n + 3) % 997) / 7).alias(name) for n, name in enumerate(names)]
    return pl.select(
        case_key=pl.format("2013-03-01:UA{}:EWR", number),
        event_time=pl.lit(NOW),
        known_time=pl.lit(NOW),
        action=pl.when(number % 5 == 0).then(pl.lit("notify")).otherwise(pl.lit("proceed")),
        status=pl.lit("automated"),
        review_reasons=pl.lit("[]"),
        reasons=pl.lit('["wind of 25 mph at the airport","this flight 12 minutes late on average in four weeks"]'),
        probability=(number % 9973) / 9973.0,
        stake=(number % 300) + 0.85,
        expected_cost=(number % 7919) / 13.0,
        expected_costs=pl.struct(notify=number / 3, proceed=number / 5).struct.json_encode(),
        rule_value=(number % 97) / 4.0,
        features=pl.struct(values).struct.json_encode(),
        contributions=pl.struct(values).struct.json_encode(),
        model=pl.lit("flight_disruption"),
        model_version=pl.lit(3, pl.Int64),
        model_digest=pl.lit("0b766e2b3a45caef59e9edb621aae6d9f20c9fa54632ac863efbad33f335a28f"),
        model_stage=pl.lit("champion"),
        feature_service=pl.lit("flight_disruption_v1"),
        contracts=pl.lit(json.dumps({f"contract_{n:02}": ["1.0.0", "0" * 64] for n in range(18)})),
        policy_version=pl.lit("d52c583a3008ad940936cf36f754c49fb581814f04692d6da1efb2faa030a419"),
    )


def _settings(home: str) -> Settings:
    return Settings(home=Path(home), database_url=None)


def _append(home: str, writer: int, count: int, began: float) -> list[float]:
    """Appends events one by one. Returns seconds of each."""
    from automation.ledger import store
    from automation.ledger.store import Happened

    took = []
    with store.opened(_settings(home)) as ledger:
        time.sleep(max(0.0, began - time.time()))
        for version in range(count):
            event = Happened("approved", {"case": f"2013-03-01:UA{version}:EWR", "by": "ann@example.com"}, NOW)
            start = time.perf_counter()
            ledger.append(f"approvals/{writer}", version, [event])
            took.append(time.perf_counter() - start)
    return took


def appended(home: str) -> dict[str, float]:
    """Four writers at once, the keeper beside them. Returns appends a second, milliseconds of one, seconds behind."""
    from automation import database
    from automation.ledger import sequencing, service, store

    settings = _settings(home)
    database.prepare(settings)
    with store.opened(settings) as ledger:
        stop = threading.Event()
        keeper = threading.Thread(target=service.keep, args=(settings, stop, progress))
        keeper.start()
        with ProcessPoolExecutor(WRITERS) as pool:
            # Every process is there and imported before the clock starts.
            list(pool.map(_append, [home] * WRITERS, range(100, 100 + WRITERS), [5] * WRITERS, [0.0] * WRITERS))
            began = time.time() + 0.5
            parts = list(pool.map(_append, [home] * WRITERS, range(WRITERS), [APPENDS] * WRITERS, [began] * WRITERS))
            seconds = time.time() - began
        behind = time.perf_counter()
        while sequencing.waiting(ledger):
            time.sleep(0.01)
        behind = time.perf_counter() - behind
        stop.set()
        keeper.join()
    every = sorted(took for part in parts for took in part)
    return {
        "a second": WRITERS * APPENDS / seconds,
        "p50": statistics.median(every) * 1e3,
        "p99": every[int(len(every) * 0.99)] * 1e3,
        "behind": behind,
    }


def one_by_one(home: str, rows: int) -> float:
    """An append for each decision row, by one writer: rows a second."""
    from automation.ledger import store
    from automation.ledger.store import Happened

    every = decision_rows(rows).drop("event_time", "known_time").to_dicts()
    with store.opened(_settings(home)) as ledger:
        began = time.perf_counter()
        for number, row in enumerate(every):
            ledger.append(f"decision/{number}", 0, [Happened("decided", row, NOW)])
        return rows / (time.perf_counter() - began)


def batched(home: str) -> dict[str, float]:
    """Batches of decision rows, each committed by one event and signed; then proofs of rows. Returns rows a second."""
    import base64

    from automation.ledger import decisions, service, store
    from warrant_verify import verify_inclusion

    settings, took, proofs = _settings(home), [], []
    with store.opened(settings) as ledger:
        for number in range(BATCHES):
            rows = decision_rows(BATCH_ROWS, number * BATCH_ROWS)
            began = time.perf_counter()
            event = decisions.commit(ledger, f"pilot{number}", DAY, rows, {}, NOW)
            service.bring_up_to_date(settings, ledger, NOW)
            took.append(time.perf_counter() - began)
            made = decisions.batch_of(rows)
            for index in range(0, BATCH_ROWS, BATCH_ROWS // 5):
                began = time.perf_counter()
                proof = made.proof(index)
                proofs.append(time.perf_counter() - began)
                root = base64.b64decode(event.data["batches"]["decisions"]["root"])
                verify_inclusion(made.hashes[index], index, BATCH_ROWS, proof, root)
    return {"a second": BATCH_ROWS / statistics.median(took), "proof": statistics.median(proofs) * 1e3}


def filled(home: str, events: int) -> float:
    """Appends events in large transactions and signs them. Returns seconds."""
    from automation.ledger import service, store
    from automation.ledger.store import Happened

    settings = _settings(home)
    began = time.perf_counter()
    with store.opened(settings) as ledger:
        for first in range(0, events, EVENTS_A_CALL):
            made = [
                Happened("effect_done", {"case": f"2013-03-01:UA{first + n}:EWR"}, NOW) for n in range(EVENTS_A_CALL)
            ]
            ledger.append(f"effects/{first}", 0, made)
        service.bring_up_to_date(settings, ledger, NOW)
    return time.perf_counter() - began


def verified(home: str) -> dict[str, float]:
    """Verifies the whole ledger. Returns events, faults and seconds."""
    from automation.ledger import custody, store
    from automation.ledger.verification import verify

    with store.opened(_settings(home)) as ledger:
        keys = custody.public_keys(ledger)
        began = time.perf_counter()
        found = verify(ledger.connection, keys)
        return {"events": found.size, "faults": len(found.findings), "seconds": time.perf_counter() - began}


def rows_verified(count: int) -> float:
    """Computes the root of a million decision rows, as a reconciler does. Returns seconds."""
    from automation.ledger import decisions

    took = 0.0
    for first in range(0, count, BATCH_ROWS):
        rows = decision_rows(BATCH_ROWS, first)
        began = time.perf_counter()
        _ = decisions.batch_of(rows)
        took += time.perf_counter() - began
    return took


def _measure(events: int) -> list[Figure]:
    with fresh_home() as home:
        place = str(home)
        progress("four writers")
        single = measured(appended, place, home=home).result
        progress("a row an event")
        slow = measured(one_by_one, place, 3_000, home=home).result
        progress("batches")
        bulk = measured(batched, place, home=home)
        progress("a row's root, a million times")
        rows = measured(rows_verified, 1_000_000, home=home)
        progress(f"{events:,} events")
        filling = measured(filled, place, events, home=home)
        progress("verifying them")
        whole = measured(verified, place, home=home)
    mib = 2**20
    return [
        at_least(2_000, "single_appends_of_four_writers", single["a second"], "events/s"),
        figure("single_append_p50", single["p50"], "ms"),
        figure("single_append_p99", single["p99"], "ms"),
        figure("signed_after_the_last_append", single["behind"], "s"),
        at_least(
            50_000,
            "decision_rows_committed",
            bulk.result["a second"],
            "rows/s",
            Peer("an append for each row", slow),
        ),
        figure("proof_of_a_row", bulk.result["proof"], "ms"),
        figure("memory_of_batches", bulk.peak_bytes / mib, "MiB"),
        figure("a_million_decision_rows_verified", rows.result, "s"),
        figure("memory_of_that", rows.peak_bytes / mib, "MiB"),
        figure("events_appended_and_signed_in_bulk", events / filling.result, "events/s"),
        figure("events_verified", whole.result["events"], "events"),
        figure("faults_found", whole.result["faults"], "faults"),
        figure("whole_ledger_verified", whole.result["events"] / whole.result["seconds"], "events/s"),
        figure("memory_of_verification", whole.peak_bytes / mib, "MiB"),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--events", default=EVENTS, show_default=True, help="Events of the ledger that is verified.")
def main(as_json: bool, events: int) -> None:
    """Measures appends, batches and verification of the ledger."""
    on = machine()
    show("ledger", on, _measure(events), as_json=as_json)


if __name__ == "__main__":
    main()
