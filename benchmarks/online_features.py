"""What serving features takes: the embedded default and Redis beside the Feast SDK's own SQLite store, in one run.

A home is made with a few real days of the pilot. The same service is then read for 1, 10 and 100 cases: by our reader
from PostgreSQL and from a Redis of the benchmark's own, and by Feast's `get_online_features` from its SQLite store,
materialized from the same tables. Keys differ from read to read. Then events are pushed until they are served.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from benchmarks.process import fresh_home, measured
from benchmarks.report import Figure, Peer, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKLOAD = "flight_disruption"
FIRST, LAST = date(2013, 1, 10), date(2013, 1, 12)
READS = {1: 3000, 10: 1000, 100: 200}
FEAST_READS = {1: 500, 10: 200, 100: 30}
WARM_UP = 50
PUSHES = 40
MILLISECONDS = 1000.0


def prepare() -> int:
    """Decides the days in this process's home. Returns the cases there are."""
    from automation.calendar import Days
    from automation.lakehouse import Lakehouse
    from automation.replay import Platform, replay
    from automation.settings import settings

    platform = Platform(settings())
    workload = platform.workload(WORKLOAD)
    for step, number, total in replay(platform, workload, Days(FIRST, LAST)):
        progress(f"home: {number}/{total} {step}")
    return Lakehouse(platform.settings.lakehouse).read(WORKLOAD, workload.spec.cases.table).height


def ours(address: str | None) -> dict[str, list[float]]:
    """Milliseconds, [p50, p99], by number of cases, from the store at an address (None: the embedded one)."""
    if address is not None:
        os.environ["WARRANT_ONLINE_STORE_URL"] = address
    from assets.online.commands import served_of
    from assets.online.materialization import materialize
    from feature_repo.online import OnlineReader

    served = served_of(WORKLOAD)
    materialize(served.plan.views, served.lake, served.workload.calendar, served.backend, LAST)
    reader, at = OnlineReader(served.plan, served.backend), served.workload.calendar.ends(LAST)
    cases = _cases(served)
    return {
        str(size): _timed(lambda some: reader.read(some, at), cases, size, number) for size, number in READS.items()
    }


def feasts(folder: str) -> dict[str, list[float]]:
    """The same through Feast's SDK, from its own SQLite store."""
    from feast import FeatureStore, RepoConfig

    from assets.online.commands import served_of
    from feature_repo.store import apply

    served = served_of(WORKLOAD)
    lakehouse = served.lake.url
    config = RepoConfig(
        project="warrant",
        provider="local",
        registry=f"{folder}/registry.db",
        offline_store={"type": "feature_repo.offline_store.DeltaOfflineStore", "lakehouse": lakehouse},
        online_store={"type": "sqlite", "path": f"{folder}/online.db"},
        materialization={"pull_latest_features": True},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    apply(store, WORKLOAD)
    end = served.workload.calendar.ends(LAST)
    store.materialize(end - timedelta(days=60), end)
    service = store.get_feature_service(served.plan.name)
    names = {*served.plan.keys, "event_timestamp", "scheduled_departure"}
    cases = [{k: v for k, v in case.items() if k in names} | {"event_timestamp": end} for case in _cases(served)]

    def read(some: list[dict[str, Any]]) -> None:
        store.get_online_features(service, some).to_dict()

    return {str(size): _timed(read, cases, size, number) for size, number in FEAST_READS.items()}


def pushes() -> list[float]:
    """Milliseconds, [p50, p99], from handing an event over until a reader serves what it changed."""
    from assets.online.commands import served_of
    from assets.online.pushes import push
    from feature_repo.online import OnlineReader

    served = served_of(WORKLOAD)
    reader, end = OnlineReader(served.plan, served.backend), served.workload.calendar.ends(LAST)
    cases = _cases(served)
    took = []
    for number in range(PUSHES + 3):
        case, landed = cases[number], end + timedelta(minutes=number + 1)
        event = {
            "flight_id": f"2013-01-13:UA{number}:ORD",
            "status": "arrived",
            "carrier": "UA",
            "flight_number": number + 1,
            "tail_number": case["tail_number"],
            "origin": case["origin"],
            "destination": "ORD",
            "scheduled_departure": (landed - timedelta(hours=4)).isoformat(),
            "scheduled_arrival": (landed - timedelta(minutes=90)).isoformat(),
            "delay_minutes": 90,
            "event_time": landed.isoformat(),
            "known_time": landed.isoformat(),
        }
        began = time.perf_counter()
        push(served, "flight_status", [event])
        [answer] = reader.read([case], landed)
        took.append((time.perf_counter() - began) * MILLISECONDS)
        if answer["rotation_event_time"] != datetime.fromisoformat(event["event_time"]):
            raise AssertionError(f"{event['flight_id']} was pushed and is not served.")
    return _percentiles(took[3:])


def _cases(served: Any) -> list[dict[str, Any]]:
    """The last day's cases, less those without an aircraft: Feast's SDK takes no key that is missing."""
    from automation.calendar import Days

    cases = served.lake.read(WORKLOAD, served.workload.spec.cases.table, Days.one(LAST))
    return cases.drop_nulls("tail_number").sort("flight_id").to_dicts()


def _timed(
    read: Callable[[list[dict[str, Any]]], Any], cases: list[dict[str, Any]], size: int, number: int
) -> list[float]:
    took = []
    for turn in range(number + min(WARM_UP, number)):
        some = [cases[(turn * size + n) % len(cases)] for n in range(size)]
        began = time.perf_counter()
        read(some)
        took.append((time.perf_counter() - began) * MILLISECONDS)
    return _percentiles(took[-number:])


def _percentiles(took: list[float]) -> list[float]:
    return [float(value) for value in np.percentile(took, [50, 99])]


@contextmanager
def _redis() -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        raise click.ClickException("redis-server is not installed (Debian: apt install redis-server).")
    with tempfile.TemporaryDirectory(prefix="warrant-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        server = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None  # noqa: S101
            if not any("ready to accept connections" in line.lower() for line in server.stdout):
                raise click.ClickException("redis-server ended before it was ready.")
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.wait(10)


def compared(home: Path) -> list[Figure]:
    """All three stores, read alike."""
    measured(prepare, home=home)
    progress("reads: embedded PostgreSQL")
    embedded = measured(ours, None, home=home).result
    progress("reads: Redis")
    with _redis() as address:
        redis = measured(ours, address, home=home).result
    progress("reads: Feast's SQLite store")
    with tempfile.TemporaryDirectory(prefix="warrant-feast-") as folder:
        feast = measured(feasts, folder, home=home).result
    progress("pushes")
    pushed = measured(pushes, home=home).result
    figures = []
    for kind, found in (("embedded", embedded), ("redis", redis)):
        for size in map(str, READS):
            for place, percentile in enumerate(("p50", "p99")):
                peer = Peer("Feast's SQLite store", feast[size][place])
                name, value = f"{kind}_{size}_{percentile}", found[size][place]
                bounded = (size, percentile) == ("1", "p99")
                figures.append(at_most(2.0, name, value, "ms", peer) if bounded else figure(name, value, "ms", peer))
    figures.append(figure("push_to_served_p50", pushed[0], "ms"))
    figures.append(at_most(1000.0, "push_to_served_p99", pushed[1], "ms"))
    return figures


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(as_json: bool) -> None:
    """Measure reads of the pilot's service from both stores beside Feast's SQLite store, and pushes."""
    on = machine()
    began = datetime.now(UTC)
    with fresh_home() as home:
        figures = compared(home)
    progress(f"took {datetime.now(UTC) - began}")
    show("online_features", on, figures, as_json=as_json)


if __name__ == "__main__":
    main()
