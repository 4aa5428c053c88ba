"""Which column depends on which, held against the data: change one input column, and see what else changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
import ibis.expr.operations as ops
import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import assets
from automation.calendar import Days
from automation.derivation import derive
from automation.lakehouse import DAY
from automation.lineage.flow import ColumnOf, Dependency, UntraceableError, flow
from automation.lineage.graph import derived_flow
from automation.workload import Workload, WorkloadSpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

ROOT = Path(__file__).parent.parent.parent
TOY = ROOT / "tests" / "workloads" / "parcel_claims"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workload]:
    """The toy workload, laid out as the platform expects one."""
    root = tmp_path_factory.mktemp("toy")
    (root / "assets").mkdir()
    (root / "assets" / "parcel_claims").symlink_to(TOY / "assets")
    (root / "contracts").mkdir()
    (root / "contracts" / "parcel_claims").symlink_to(TOY / "contracts")
    (root / "contracts" / "platform").symlink_to(ROOT / "contracts" / "platform")
    attributes = yaml.safe_load((TOY / "assets" / "defs.yaml").read_text())["attributes"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "__path__", [*assets.__path__, str(root / "assets")])
        yield Workload(WorkloadSpec.model_validate(attributes), "assets.parcel_claims", root / "contracts")
    for name in [name for name in sys.modules if name.startswith("assets.parcel_claims")]:
        del sys.modules[name]


def raw(workload: Workload, days: Days) -> dict[str, pl.DataFrame]:
    """What the feed delivers on those days."""
    feed = workload.module("feed")
    return {
        table: getattr(feed, table)(workload.calendar, days).select(*workload.contract(table).schema)
        for table in workload.spec.daily_raw_tables
    }


def changed(values: pl.Series, chance: np.random.Generator) -> pl.Series:
    """The same values in another order, some of them moved besides: another column of the same type."""
    mixed = values.sample(fraction=1.0, shuffle=True, seed=int(chance.integers(2**31)))
    some = pl.Series(chance.random(len(values)) < 0.3)
    if values.dtype == pl.Boolean:
        return mixed.zip_with(~some, ~mixed)
    if values.dtype.is_temporal():
        step = timedelta(days=3) if values.dtype == pl.Date else timedelta(minutes=47)
        return mixed.zip_with(~some, mixed + step)
    return mixed.zip_with(~some, mixed + 7) if values.dtype.is_numeric() else mixed


def rows(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """The rows of some columns, in order of their values."""
    return frame.select(pl.struct(columns).struct.json_encode().alias("row"))["row"].sort()


def untold(workload: Workload, days: Days, chance: np.random.Generator) -> tuple[list[str], set[tuple[str, str, str]]]:
    """Changes each input column of each derived table. Returns what changed without depending on it, and all it saw.

    What does not depend on the column must stay as it was, all of it together and row by row.
    """
    given, missed, seen = raw(workload, days), [], set()
    for table, (declared, module) in workload.spec.derived_tables.items():
        found, key = derived_flow(workload, table), workload.contract(table).key
        function = getattr(workload.module(module), table)
        inputs = {name: given[name] for name in declared.reads}

        def computed(inputs: Mapping[str, pl.DataFrame], function=function, key=key) -> pl.DataFrame:
            return derive(function, inputs, workload.calendar, days, key).drop(DAY)

        before = computed(inputs)
        for name in declared.reads:
            for column in given[name].columns:
                source = ColumnOf(name, column)
                if source in found.rows:
                    continue
                other = given[name].with_columns(changed(given[name][column], chance))
                after = computed({**inputs, name: other})
                rest = [each for each, dependency in found.columns.items() if source not in dependency.all]
                if not rows(before, rest).equals(rows(after, rest)):
                    missed.append(f"{table} changes with {source}")
                seen |= {
                    (table, each, str(source))
                    for each in found.columns
                    if not before[each].sort().equals(after[each].sort())
                }
    return missed, seen


def test_whatever_changes_with_a_column_of_the_pilot_is_known_to_depend_on_it(workload: Workload) -> None:
    missed, seen = untold(workload, Days(date(2013, 1, 8), date(2013, 1, 9)), np.random.default_rng(1))
    assert not missed
    # The change was felt, or nothing would have been tested.
    assert ("origin_weather", "visibility_miles_3h", "weather.visibility_miles") in seen
    assert ("aircraft_rotation", "rotation_ready_time", "flight_status.scheduled_arrival") in seen
    assert ("origin_congestion", "departure_delay_mean_3h", "flight_status.delay_minutes") in seen


def test_whatever_changes_with_a_column_of_another_workload_is_known_to_depend_on_it(toy: Workload) -> None:
    missed, seen = untold(toy, Days(date(2020, 6, 3), date(2020, 6, 6)), np.random.default_rng(1))
    assert not missed
    assert ("depot_record", "false_share_7d", "findings.is_false") in seen


def _swapped(table: ir.Table) -> ir.Table:
    return table.select(a=table.b, b=table.c, c=table.a)


# Each takes a table of the integers a, b and c, and a table u of k and d, to another table of a, b and c.
STEPS: dict[str, Callable[[ir.Table, ir.Table], ir.Table]] = {
    "sum": lambda t, _: t.mutate(c=t.a + t.b),
    "swap": lambda t, _: _swapped(t),
    "case": lambda t, _: t.mutate(a=ibis.cases((t.b > 2, t.c), else_=t.a)),
    "filter": lambda t, _: t.filter(t.b > 1),
    "aggregate": lambda t, _: t.group_by("a").agg(b=t.b.sum().cast("int64"), c=t.count()),
    "groups": lambda t, _: t.group_by("a").agg(b=t.b.max()).mutate(c=ibis.literal(1, "int64")),
    "window": lambda t, _: t.mutate(b=t.c.sum().over(ibis.window(group_by=t.a, order_by=t.b)).cast("int64")),
    "share": lambda t, _: t.mutate(c=t.count().over(ibis.window(group_by=t.b))),
    "join": lambda t, u: t.join(u, t.a == u.k).select(a=t.a, b=t.b, c=u.d),
    "left join": lambda t, u: t.left_join(u, (t.a == u.k) & (t.b < u.d)).select(a=t.a, b=u.d, c=t.c),
    "semi join": lambda t, u: t.semi_join(u, t.b == u.k),
    "anti join": lambda t, u: t.anti_join(u, t.a == u.d),
    "self join": lambda t, _: t.join(other := t.view(), t.a == other.b).select(a=t.a, b=other.c, c=t.c),
    "distinct": lambda t, _: t.select("a", "b").distinct().mutate(c=ibis.literal(1, "int64")),
    "union": lambda t, _: ibis.union(t, _swapped(t)),
    "except": lambda t, _: ibis.difference(t, _swapped(t)),
    "in": lambda t, u: t.mutate(c=t.b.isin(u.d).cast("int64")),
    "scalar": lambda t, u: t.mutate(c=t.c + u.filter(u.k > 1).d.max().as_scalar()),
    "first": lambda t, _: t.order_by(["a", "b", "c"]).limit(4),
    "unnest": lambda t, _: t.mutate(b=ibis.array([t.a, t.c]).unnest()),
    "drop null": lambda t, _: t.mutate(b=t.b.nullif(2)).drop_null("b"),
    "fill null": lambda t, _: t.mutate(b=t.b.nullif(2)).fill_null({"b": 0}),
    "drop column": lambda t, _: t.drop("c").mutate(c=t.b),
}
NAMED = {"t": ["a", "b", "c"], "u": ["k", "d"]}


def hidden(steps: list[str], seed: int) -> list[ColumnOf]:
    """The columns whose change is felt where nothing is known to depend on them."""
    t, u = (ibis.table(dict.fromkeys(columns, "int64"), name=name) for name, columns in NAMED.items())
    made = t
    for step in steps:
        made = STEPS[step](made, u.view()).select("a", "b", "c")
    found, sql = flow(made), str(ibis.to_sql(made, dialect="duckdb"))
    chance = np.random.default_rng(seed)
    frames = {
        name: pl.DataFrame({column: chance.integers(5, size=12) for column in columns})
        for name, columns in NAMED.items()
    }
    felt = []
    with duckdb.connect() as connection:

        def run(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
            for name, frame in tables.items():
                connection.register(name, frame.to_arrow())
            return pl.DataFrame(connection.sql(sql).to_arrow_table())

        before = run(frames)
        for source in (ColumnOf(name, column) for name, columns in NAMED.items() for column in columns):
            rest = [each for each, dependency in found.columns.items() if source not in dependency.all]
            if source in found.rows or not rest:
                continue
            other = frames[source.table].with_columns(pl.Series(source.column, chance.integers(5, size=12)))
            if not rows(before, rest).equals(rows(run({**frames, source.table: other}), rest)):
                felt.append(source)
    return felt


@pytest.mark.parametrize("step", STEPS)
def test_no_operation_hides_what_it_reads(step: str) -> None:
    assert not hidden([step], seed=1)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=4), st.integers(0, 2**31))
def test_no_chain_of_operations_hides_what_it_reads(steps: list[str], seed: int) -> None:
    assert not hidden(steps, seed)


def test_a_filter_a_group_and_an_order_are_told_from_what_is_read() -> None:
    t = ibis.table({"key": "string", "at": "int64", "value": "int64", "kind": "string"}, name="t")
    kept = t.filter(t.kind == "final")
    summed = kept.select("key", total=kept.value.sum().over(ibis.window(group_by=kept.key, order_by=kept["at"])))
    found = flow(summed)
    assert found.rows == {ColumnOf("t", "kind")}
    assert found.columns["total"] == Dependency(
        reads=frozenset({ColumnOf("t", "value")}),
        placed_by=frozenset({ColumnOf("t", "key"), ColumnOf("t", "at")}),
    )


def test_a_query_in_text_is_refused_rather_than_guessed() -> None:
    t = ibis.table({"a": "int64"}, name="t")
    text = ops.SQLStringView(parent=t, query="SELECT a FROM t", schema=t.schema()).to_expr()
    with pytest.raises(UntraceableError, match="SQLStringView"):
        flow(text)
