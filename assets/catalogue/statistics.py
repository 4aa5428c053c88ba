"""What the values of each feature were like on each day: one row a view, feature and day, kept in a table.

| column | |
|---|---|
| view, feature, day | of what, and when it became known |
| rows, missing | rows of the view that day, and those without a value |
| distinct | different values |
| mean, deviation | of numbers (true counts as 1), as are |
| least, p05, p50, p95, greatest | the quantiles |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from automation.jobs import FEATURE_STATISTICS
from automation.lakehouse import DAY
from contracts.contract import LogicalType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from automation.calendar import Days
    from automation.lakehouse import Lakehouse
    from automation.workload import Workload
    from contracts.contract import Contract

NUMERIC = frozenset({LogicalType.INTEGER, LogicalType.NUMBER, LogicalType.BOOLEAN})
QUANTILES = {"least": 0.0, "p05": 0.05, "p50": 0.5, "p95": 0.95, "greatest": 1.0}
NUMBERS = ("mean", "deviation", *QUANTILES)
SCHEMA = {
    "view": pl.String,
    "feature": pl.String,
    "rows": pl.Int64,
    "missing": pl.Int64,
    "distinct": pl.Int64,
    **dict.fromkeys(NUMBERS, pl.Float64),
    DAY: pl.Date,
}
# Figures are read by people and compared: the last digits of a mean depend on the order of addition.
DIGITS = 12
# A day is compared with that many before it, and not with fewer than this many.
PAST_DAYS, FEWEST_DAYS = 28, 7


def statistics(lake: Lakehouse, workload: Workload, days: Days) -> pl.DataFrame:
    """The statistics of every daily view of the workload on ``days``, in the order of the views and their columns."""
    rows = [
        row
        for view in workload.spec.features.views
        for row in _of_table(lake, workload, workload.contract(view.table), view.table, days)
    ]
    numbers = [pl.col(name).round_sig_figs(DIGITS) for name in NUMBERS]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(numbers)


def _of_table(lake: Lakehouse, workload: Workload, contract: Contract, table: str, days: Days) -> Iterator[tuple]:
    columns = [c for c in contract.columns if c.name not in (*contract.key, "event_time", "known_time")]
    rows = lake.read(workload.name, table, days, [*(column.name for column in columns), DAY])
    shapes = rows.group_by(DAY).agg(
        pl.len().alias("rows"),
        # A struct a column, its fields in the order of SCHEMA.
        *(pl.struct(_expressions(column.name, column.type)).alias(f"of {column.name}") for column in columns),
    )
    for column in columns:
        for day, rows_then, told in shapes.sort(DAY).select(DAY, "rows", f"of {column.name}").iter_rows():
            numbers = (told.get(name) for name in NUMBERS)
            yield (table, column.name, rows_then, told["missing"], told["distinct"], *numbers, day)


def _expressions(name: str, dtype: LogicalType) -> Iterator[pl.Expr]:
    value = pl.col(name)
    yield value.null_count().cast(pl.Int64).alias("missing")
    yield value.drop_nulls().n_unique().cast(pl.Int64).alias("distinct")
    if dtype in NUMERIC:
        number = value.cast(pl.Float64)
        yield number.mean().alias("mean")
        yield number.std().alias("deviation")
        for quantile, at in QUANTILES.items():
            yield number.quantile(at, "linear").alias(quantile)


def beside_the_past(today: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """Today's statistics with the mean of the past days' means, and how far off today's is.

    ``off`` is in standard deviations of the daily means; null where fewer than FEWEST_DAYS days are known or all were
    alike. The farthest off come first.
    """
    key = ["view", "feature"]
    usual = past.group_by(key).agg(
        pl.col("mean").mean().alias("usual mean"),
        pl.col("mean").std().alias("spread"),
        pl.col("mean").count().alias("days"),
    )
    known = (pl.col("days") >= FEWEST_DAYS) & (pl.col("spread") > 0)
    off = pl.when(known).then((pl.col("mean") - pl.col("usual mean")) / pl.col("spread"))
    return (
        today.join(usual, on=key, how="left", maintain_order="left")
        .with_columns(off.alias("off"))
        .drop("spread", "days")
        .sort(pl.col("off").abs(), descending=True, nulls_last=True, maintain_order=True)
    )


def stored(lake: Lakehouse, workload: Workload, days: Days, views: Sequence[str] = ()) -> pl.DataFrame:
    """The statistics that were kept of ``days``, by day."""
    if not lake.exists(workload.name, FEATURE_STATISTICS):
        return pl.DataFrame(schema=SCHEMA)
    found = lake.read(workload.name, FEATURE_STATISTICS, days)
    if views:
        found = found.filter(pl.col("view").is_in(list(views)))
    return found.sort(DAY, maintain_order=True)
