"""Point-in-time training sets: our offline store beside Feast's DuckDB store, on the pilot and on a hard case.

Both hold the same rows, ours as Delta, Feast's as Parquet (it would download an extension to read Delta), and answer
the same `get_historical_features(...).to_df()`, known-time filter on. Each contestant runs in a fresh process.
"""

from __future__ import annotations

import math
import random
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import polars as pl
import psutil

from benchmarks import bare_lineage
from benchmarks.process import measured
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from feast import FeatureStore

OURS, FEAST = "delta", "duckdb"
PROCESSES = {OURS: 3, FEAST: 1}
YEAR = ("2013-01-01", "2013-12-30")
SEED = 2013
SAMPLE = 1_000
# Each view: table, keys, features, hours to live. The features are of the types of the pilot's own views.
VIEWS = {
    "pilot": {
        "origin_weather": (("origin",), None, 4),
        "carrier_history": (("origin", "carrier"), None, 60 * 24),
        "aircraft_rotation": (("tail_number",), None, 60 * 24),
    },
    "late": {"readings": (("sensor",), ("reading", "level"), 30 * 24)},
}
TIMES = ("event_time", "known_time")
LATE_ROWS, LATE_KEYS, LATE_CASES = 2_000_000, 2_000, 100_000


# ---------------------------------------------------------------- what is asked


def prepare(case: str, folder: str, size: float) -> int:
    """Writes the case's tables, as Parquet and as Delta, and its entity rows. Returns how many these are."""
    into = Path(folder)
    if case == "pilot":
        last = (datetime.fromisoformat(YEAR[0]) + timedelta(days=max(round(363 * size), 2))).date().isoformat()
        bare_lineage.write(YEAR[0], last, folder)
        found = pl.read_parquet(into / "cases.parquet")
        asked = found.select("flight_id", "origin", "carrier", "tail_number", event_timestamp="event_time")
    else:
        asked = _late(into, size)
    asked.write_parquet(into / "asked.parquet")
    asked.write_delta(str(into / "delta" / "asked"))
    for table in VIEWS[case]:
        rows = pl.read_parquet(into / f"{table}.parquet")
        rows.write_delta(str(into / "delta" / table))
    return asked.height


def _late(into: Path, size: float) -> pl.DataFrame:
    """Readings of many sensors, some known late, some corrected, and cases that ask for them."""
    rows, cases = int(LATE_ROWS * size), int(LATE_CASES * size)
    draw = random.Random(SEED)  # noqa: S311
    begin, span = datetime(2013, 1, 1, tzinfo=UTC), 90 * 86_400

    def instant(second: float) -> datetime:
        return begin + timedelta(seconds=second)

    events = [draw.randrange(span) for _ in range(rows)]
    pl.DataFrame(
        {
            "sensor": [draw.randrange(LATE_KEYS) for _ in range(rows)],
            "event_time": [instant(event) for event in events],
            # A tenth is known hours or days later, so that it may be overtaken by newer events.
            "known_time": [
                instant(event + (draw.randrange(5 * 86_400) if draw.random() < 0.1 else draw.randrange(60)))
                for event in events
            ],
            "reading": [draw.random() for _ in range(rows)],
            "level": [draw.randrange(9) for _ in range(rows)],
        },
        schema_overrides={name: pl.Datetime("us", "UTC") for name in TIMES},
    ).write_parquet(into / "readings.parquet")
    return pl.DataFrame(
        {
            "sensor": [draw.randrange(LATE_KEYS) for _ in range(cases)],
            "event_timestamp": [instant(draw.randrange(span)) for _ in range(cases)],
        },
        schema_overrides={"event_timestamp": pl.Datetime("us", "UTC")},
    )


def _features(case: str, table: str, folder: Path) -> tuple[str, ...]:
    keys, features, _ = VIEWS[case][table]
    schema = pl.read_parquet_schema(folder / f"{table}.parquet")
    return features or tuple(name for name in schema if name not in {*keys, *TIMES, "day"})


def _store(kind: str, case: str, folder: Path) -> tuple[FeatureStore, list[str]]:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.data_format import DeltaFormat, ParquetFormat
    from feast.types import Float64, Int64, String, UnixTimestamp

    offline: dict[str, str] = {"type": "duckdb"}
    if kind == OURS:
        offline = {"type": "feature_repo.offline_store.DeltaOfflineStore", "lakehouse": str(folder / "delta")}
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(folder / f"{kind}.registry"),
        offline_store=offline,
        online_store=None,
        entity_key_serialization_version=3,
    )
    types: dict[Any, Any] = {pl.String: String, pl.Float64: Float64, pl.Datetime: UnixTimestamp, pl.Date: UnixTimestamp}
    entities: dict[str, Entity] = {}
    views, asked = [], []
    for table, (keys, _, hours) in VIEWS[case].items():
        schema = pl.read_parquet_schema(folder / f"{table}.parquet")
        kinds = {name: types.get(kind.base_type(), Int64) for name, kind in schema.items()}
        features = _features(case, table, folder)
        for key in keys:
            value = ValueType.STRING if kinds[key] == String else ValueType.INT64
            entities.setdefault(key, Entity(name=key, join_keys=[key], value_type=value))
        path = table if kind == OURS else str(folder / f"{table}.parquet")
        views.append(
            FeatureView(
                name=table,
                entities=[entities[key] for key in keys],
                ttl=timedelta(hours=hours),
                schema=[Field(name=name, dtype=kinds[name]) for name in (*keys, *features)],
                source=FileSource(
                    name=table,
                    path=path,
                    file_format=DeltaFormat() if kind == OURS else ParquetFormat(),
                    timestamp_field="event_time",
                    created_timestamp_column="known_time",
                ),
                online=False,
            )
        )
        asked += [f"{table}:{name}" for name in features]
    store = FeatureStore(config=config)
    store.apply([*entities.values(), *views])
    return store, asked


# ---------------------------------------------------------------- the contestants


def retrieve(kind: str, case: str, folder: str, answer: str) -> dict[str, float]:
    """One whole call to a frame, kept as ``answer``: its seconds, and MiB before it and at most."""
    store, features = _store(kind, case, Path(folder))
    asked = pl.read_parquet(Path(folder) / "asked.parquet").to_pandas()
    before, began = psutil.Process().memory_info().rss / 2**20, time.perf_counter()
    frame = store.get_historical_features(
        asked, features, full_feature_names=True, filter_by_created_timestamp=True
    ).to_df()
    seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    frame.to_parquet(answer)
    return {"seconds": seconds, "before": before, "peak": peak}


def stream(case: str, folder: str, times: int) -> list[float]:
    """Entity rows by SQL, ``times`` as many, answered by batches: seconds, and the rows that came."""
    store, features = _store(OURS, case, Path(folder))
    began, rows = time.perf_counter(), 0
    sql = f'SELECT * FROM "asked", range({times}) ORDER BY event_timestamp'  # noqa: S608
    for batch in store.get_historical_features(sql, features, full_feature_names=True).to_arrow_batches():  # pyrefly: ignore[missing-attribute]
        rows += batch.num_rows
    return [time.perf_counter() - began, rows]


# ---------------------------------------------------------------- what is right


def unlike_definition(case: str, folder: str, answer: str) -> int:
    """Of a sample of entity rows, those of which a value is not what the definition says."""
    got = pl.read_parquet(answer)
    chosen = random.Random(SEED).sample(range(got.height), min(SAMPLE, got.height))  # noqa: S311
    wrong: set[int] = set()
    for table, (keys, _, hours) in VIEWS[case].items():
        features = _features(case, table, Path(folder))
        rows = pl.read_parquet(Path(folder) / f"{table}.parquet")
        parts = rows.partition_by(keys, as_dict=True)
        for position in chosen:
            asked = got.row(position, named=True)
            at, mine = asked["event_timestamp"], parts.get(tuple(asked[key] for key in keys))
            expected: tuple | None = None
            if mine is not None and None not in [asked[key] for key in keys]:
                seen = mine.filter((pl.col("event_time") <= at) & (pl.col("known_time") <= at))
                best = seen.sort("event_time", "known_time", *features, nulls_last=True).tail(1)
                if best.height and best["event_time"][0] >= at - timedelta(hours=hours):
                    expected = best.select(features).row(0)
            found = tuple(asked[f"{table}__{name}"] for name in features)
            if not _same(found, expected or (None,) * len(features)):
                wrong.add(position)
    return len(wrong)


def _same(found: tuple, expected: tuple) -> bool:
    """Values of a pandas frame, in which a null among integers made them floats."""
    return all(
        (a is None or (isinstance(a, float) and math.isnan(a))) == (b is None) and (b is None or a == b)
        for a, b in zip(found, expected, strict=True)
    )


def _lost(asked: pl.DataFrame, answer: str) -> int:
    """Entity rows that did not come back, or not in the order given."""
    got = pl.read_parquet(answer, columns=asked.columns)
    if got.height != asked.height:
        return abs(asked.height - got.height)
    return got.height - int(pl.select((got["event_timestamp"] == asked["event_timestamp"]).sum()).item())


def compared(case: str, folder: Path, size: float) -> list[Figure]:
    """Both stores on one case."""
    progress(f"{case}: tables")
    measured(prepare, case, str(folder), size)
    asked = pl.read_parquet(folder / "asked.parquet")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in PROCESSES}
    for number in range(max(PROCESSES.values())):
        for kind in (each for each, processes in PROCESSES.items() if number < processes):
            progress(f"{case}: {asked.height:,} entity rows, {kind}")
            found[kind].append(measured(retrieve, kind, case, str(folder), str(folder / f"{kind}.parquet")).result)

    def median(kind: str, of: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(map(of, found[kind]))

    def beside(of: Callable[[dict[str, float]], float]) -> tuple[float, Peer]:
        return median(OURS, of), Peer("Feast's DuckDB store", median(FEAST, of))

    def seconds(each: dict[str, float]) -> float:
        return each["seconds"]

    def memory(each: dict[str, float]) -> float:
        return each["peak"] - each["before"]

    def peak(each: dict[str, float]) -> float:
        return each["peak"]

    ours = str(folder / f"{OURS}.parquet")
    took, peer = beside(seconds)
    whole = size == 1.0
    figures = [
        at_most(3.0, "late_seconds", took, "s", peer)
        if case == "late" and whole
        else figure(f"{case}_seconds", took, "s", peer),
        figure(f"{case}_memory_of_the_call", *_with_unit(beside(memory))),
        figure(f"{case}_peak_memory_of_the_process", *_with_unit(beside(peak))),
        at_most(0, f"{case}_rows_lost", _lost(asked, ours), "rows"),
        at_most(0, f"{case}_unlike_brute_force_of_{SAMPLE}", unlike_definition(case, str(folder), ours), "rows"),
    ]
    if case == "pilot":
        figures += [
            at_least(8.0, "pilot_times_as_fast", peer.value / took, "times"),
            at_most(0.25, "pilot_share_of_memory", median(OURS, memory) / median(FEAST, memory), "of the peer's"),
        ]
        progress("pilot: eight times the entity rows, by SQL, in batches")
        streamed = measured(stream, case, str(folder), 8)
        figures += [
            figure("stream_rows", streamed.result[1], "rows"),
            figure("stream_seconds", streamed.result[0], "s"),
            figure("stream_peak_memory", streamed.peak_bytes / 2**20, "MiB"),
        ]
    return figures


def _with_unit(found: tuple[float, Peer]) -> tuple[float, str, Peer]:
    value, peer = found
    return value, "MiB", peer


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--size", type=click.FloatRange(min=0.01, max=1.0), default=1.0, help="A share of both cases.")
def main(as_json: bool, size: float) -> None:
    """Measure point-in-time retrieval beside Feast's DuckDB store."""
    on = machine()
    figures = []
    for case in VIEWS:
        with tempfile.TemporaryDirectory(prefix="warrant-benchmark-") as folder:
            figures += compared(case, Path(folder), size)
    show("point_in_time", on, figures, as_json=as_json)


if __name__ == "__main__":
    main()
