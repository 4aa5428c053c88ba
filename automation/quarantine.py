"""The quarantine of a table: what is held, since when, and how it and the table change as one.

A table and its quarantine are two Delta tables, so two commits. They change as one because each day has a *revision*,
a number that the table's commit carries, and each held row says at which revision it begins to be held (``since``)
and at which it ends (``until``, or never). First the quarantine is written with what will be held as well as what will
not be any more; then the table, with its new revision: in that instant the one becomes held and the other free; last
the quarantine without what is over. Killed anywhere, no row is in neither, and `held` tells what is held.

Nothing here touches Dagster or the clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from automation.errors import WarrantError
from automation.lakehouse import DAY, quarantine_of
from contracts import canonical_json, row_types
from contracts.enforcement import QUARANTINE_SCHEMA, LostRowsError, enforce_together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from automation.calendar import Days
    from automation.lakehouse import Lakehouse
    from contracts.contract import Contract

PROVENANCE_SCHEMA: dict[str, pl.DataType] = {
    "run": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "since": pl.Int64(),
    "until": pl.Int64(),
}
HELD_SCHEMA = QUARANTINE_SCHEMA | PROVENANCE_SCHEMA
# How a row came: it stays with the row for as long as it is held.
AS_IT_CAME = ("row", "types", "run", "time")


class RetypedError(WarrantError):
    """The contract gives a column another type than the rows that lie in the table."""


class UntypedError(WarrantError):
    """Rows are held of which nobody knows what types their values had."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that a day is made of; ``held`` is what the quarantine says of each of them, if they come out of it."""

    rows: pl.DataFrame
    held: pl.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """The parts of some days as the contract splits them.

    ``valid`` and ``quarantined`` are the two sides, ``quarantined`` in HELD_SCHEMA: rows held anew have no run.
    ``arrived``, ``released`` and ``taken_back`` count by day the rows there were, those that were held and are valid,
    and those that were in the table and are held.
    """

    valid: pl.DataFrame
    quarantined: pl.DataFrame
    arrived: Counter[date | None]
    released: Counter[date | None]
    taken_back: Counter[date | None]

    @property
    def broken(self) -> dict[str, int]:
        """How many rows broke each rule, by rule name, sorted. A row counts once for each rule it broke."""
        rules = self.quarantined["rules"].explode(empty_as_null=False)
        return dict(sorted(rules.value_counts().iter_rows()))


def judge(parts: Sequence[Part], contract: Contract, partition: str | None = DAY) -> Judged:
    """Splits the parts together, so that keys are unique over all of them.

    A row that is held still keeps the form, run and time it came with; rules, contract and version are those of now.

    Raises:
        LostRowsError: rows in are not rows valid and rows held, on some day. Nothing may be written.
    """
    splits = enforce_together([part.rows for part in parts], contract, partition)
    held, released, taken_back = [], Counter(), Counter()
    again = any(part.held is not None for part in parts)
    for part, split in zip(parts, splits, strict=True):
        found = split.quarantined
        if part.held is None:
            found = found.with_columns(run=pl.lit(None, pl.String), time=pl.lit(None, PROVENANCE_SCHEMA["time"]))
            taken_back += _by_day(found, partition) if again else Counter()
        else:
            came = part.held[split.held]
            found = found.with_columns(came[name] for name in AS_IT_CAME)
            released += _by_day(split.valid, partition)
        held.append(found)
    quarantined = pl.concat(held).with_columns(since=pl.lit(None, pl.Int64), until=pl.lit(None, pl.Int64))
    valid = pl.concat([split.valid for split in splits]) if len(splits) > 1 else splits[0].valid
    arrived: Counter[date | None] = sum((_by_day(part.rows, partition) for part in parts), Counter())
    counted = _by_day(valid, partition) + _by_day(quarantined, partition)
    if counted != arrived:
        wrong = sorted(str(day) for day in arrived | counted if arrived[day] != counted[day])
        raise LostRowsError(
            f"{contract.name} {contract.version}: on {', '.join(wrong)} rows in are not rows valid plus rows held. "
            "Publish nothing from this run"
        )
    order = [*HELD_SCHEMA, *([] if partition is None else [partition])]
    return Judged(valid, quarantined.select(order), arrived, released, taken_back)


def again(lake: Lakehouse, workload: str, table: str, contract: Contract, days: Days | None) -> list[Part]:
    """What lies in the table on ``days`` and what is held of them, each row in the form in which it came.

    A row that lies in the table has the table's types. Raises `RetypedError` if the contract has others.
    """
    nothing = pl.DataFrame(schema=contract.schema | ({} if days is None else {DAY: pl.Date()}))
    valid = lake.read(workload, table, days) if lake.exists(workload, table) else nothing
    _refuse_other_types(f"{workload}/{table}", valid, contract)
    kept = held(lake, workload, table, days)
    if kept["types"].has_nulls():
        raise UntypedError(
            f"Rows of {workload}/{table} are held without the types they came in, by an earlier version of Warrant.",
            remedy="Deliver their days again: `warrant replay --again`.",
        )
    parts = []
    days_of = [None] if days is None else sorted(set(kept[DAY]) | set(valid[DAY]))
    for day in days_of:
        here = valid if day is None else valid.filter(pl.col(DAY) == day)
        of_day = kept if day is None else kept.filter(pl.col(DAY) == day)
        shapes = [
            Part(_as_it_came(rows, str(types), day), rows)
            for (types,), rows in of_day.group_by("types", maintain_order=True)
        ]
        # A day is one delivery: a column that its held rows did not have is none that its other rows had.
        had = [*dict.fromkeys(name for part in shapes for name in part.rows.columns)]
        lacking = [name for name in here.columns if name not in had] if shapes else []
        parts += [Part(here.drop(lacking)), *shapes]
    return parts or [Part(valid)]


def held(lake: Lakehouse, workload: str, table: str, days: Days | None = None) -> pl.DataFrame:
    """The rows that are held (of ``days``; all, if none are given), in HELD_SCHEMA, with ``day`` where there are days.

    Not those that a run which was cut off wrote beside them.
    """
    sibling = quarantine_of(table)
    if not lake.exists(workload, sibling):
        return pl.DataFrame(schema=HELD_SCHEMA | {DAY: pl.Date()})
    rows = lake.read(workload, sibling, days)
    # Rows that were held before quarantines had all of these columns.
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in HELD_SCHEMA.items() if name not in rows.columns]
    rows = rows.with_columns(*lacking)
    return _alive(rows, lake.revisions(workload, table, rows[DAY].unique() if DAY in rows.columns else [None]))


def settle(
    lake: Lakehouse,
    workload: str,
    table: str,
    judged: Judged,
    days: Days | None,
    run: str,
    time: datetime | None,
) -> int:
    """Writes both sides of ``days``, in an order that loses nothing wherever it is cut off.

    Returns the table's version. ``run`` and ``time`` say who holds the rows that are held anew.
    """
    sibling, fresh = quarantine_of(table), judged.quarantined

    def write(name: str, rows: pl.DataFrame, revisions: Mapping[date | None, int] | None = None) -> int:
        if days is None:
            return lake.replace(workload, name, rows, revisions)
        return lake.replace_days(workload, name, rows, days, revisions)

    if fresh.is_empty() and not _any(lake, workload, sibling, days):
        return write(table, judged.valid)
    before = held(lake, workload, table, days)
    touched = [None] if days is None else sorted({*fresh[DAY], *lake.counts(workload, sibling, days)})
    revisions = {day: n + 1 for day, n in lake.revisions(workload, table, touched).items()}
    new = _revision(revisions)
    fresh = fresh.with_columns(
        run=pl.col("run").fill_null(pl.lit(run)),
        time=pl.col("time").fill_null(pl.lit(time, PROVENANCE_SCHEMA["time"])),
        since=new,
    )
    ending = before.select(fresh.columns).with_columns(until=new)
    write(sibling, pl.concat([ending, fresh]))
    version = write(table, judged.valid, revisions)
    if not ending.is_empty():
        write(sibling, fresh)
    return version


def _any(lake: Lakehouse, workload: str, sibling: str, days: Days | None) -> bool:
    if days is None:
        return lake.exists(workload, sibling)
    return bool(lake.counts(workload, sibling, days))


def _alive(rows: pl.DataFrame, revisions: Mapping[date | None, int]) -> pl.DataFrame:
    """The rows that are held at these revisions of their days."""
    now = _revision(revisions)
    return rows.filter((pl.col("since").fill_null(0) <= now) & (pl.col("until").is_null() | (pl.col("until") > now)))


def _revision(revisions: Mapping[date | None, int]) -> pl.Expr:
    """Each row's revision, by its day."""
    if None in revisions:
        return pl.lit(revisions[None], pl.Int64)
    return pl.col(DAY).replace_strict(list(revisions), list(revisions.values()), default=0, return_dtype=pl.Int64)


def _as_it_came(rows: pl.DataFrame, types: str, day: date | None) -> pl.DataFrame:
    frame = canonical_json.frame(rows["row"].to_list(), row_types.parsed(types))
    return frame if day is None else frame.with_columns(rows[DAY])


def _refuse_other_types(name: str, valid: pl.DataFrame, contract: Contract) -> None:
    retyped = [
        f"{column} is {valid.schema[column]} in the table and {dtype} in the contract"
        for column, dtype in contract.schema.items()
        if column in valid.columns and valid.schema[column] != dtype
    ]
    if retyped:
        raise RetypedError(
            f"{name} cannot be judged again by {contract.name} {contract.version}: {'; '.join(retyped)}.",
            remedy="Publish the new types as a new major version of the contract, beside the old one, or deliver "
            "the days again.",
        )


def _by_day(rows: pl.DataFrame, partition: str | None) -> Counter[date | None]:
    if partition is None:
        return Counter({None: rows.height} if rows.height else {})
    return Counter(dict(rows[partition].value_counts().iter_rows()))
