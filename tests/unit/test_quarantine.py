"""Law 4 over whatever happens: deliveries, contracts mended and tightened, replays, and kills at every commit.

On real Delta tables. What lies in a table and its quarantine after each step is what ingesting the day's latest
delivery under the contract of now would give: so no row is lost, none is there twice, and none was changed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation import quarantine
from automation.calendar import Days
from automation.lakehouse import DAY, Lakehouse, quarantine_of
from automation.quarantine import Part, again, held, judge, settle
from contracts.contract import Column, Contract, LogicalType
from contracts.enforcement import enforce

FIRST = date(2013, 3, 1)
NAME, TABLE = "toy", "scans"
TIME = datetime(2013, 3, 5, tzinfo=UTC)


def contract(most: float = 10, key: tuple[str, ...] = ("id",), note: bool = False) -> Contract:
    """A version of the toy's contract: how much an amount may be, what the key is, whether there is a note."""
    version = f"1.{most:g}.{len(key)}{note:d}"
    columns = [
        Column("id", LogicalType.STRING, "string", required=True),
        Column("kind", LogicalType.STRING, "string"),
        Column("amount", LogicalType.NUMBER, "float64", minimum=0, maximum=most),
    ]
    return Contract(
        workload=NAME,
        name=TABLE,
        version=version,
        status="active",
        description="",
        purpose="",
        owners=("nobody",),
        columns=(*columns, *([Column("note", LogicalType.STRING, "string")] if note else [])),
        key=key,
        row_rules=(),
        expectations=(),
        quarantine_limit=1.0,
        timezone="UTC",
        path=Path("none"),
        digest=version,
    )


CONTRACTS = [contract(), contract(most=5), contract(most=100), contract(key=("id", "kind")), contract(note=True)]


def delivery(day: date, rows: list[tuple[str | None, str, str | None]], note: bool = False) -> pl.DataFrame:
    """Rows as a feed hands them over: numbers as text, a column more if there is a note."""
    frame = pl.DataFrame(rows, schema={"id": pl.String, "kind": pl.String, "amount": pl.String}, orient="row")
    frame = frame.with_columns(note=pl.lit("n")) if note else frame
    return frame.with_columns(pl.lit(day).alias(DAY))


class KilledError(Exception):
    """The process was killed here."""


@dataclass(frozen=True)
class Mortal(Lakehouse):
    """Tables whose writer dies at its n-th commit: before it, or right after it. Without a number it lives."""

    dies_at: int | None = None
    after: bool = False
    done: list[str] = field(default_factory=list)

    def _commit(self, table: str, write):
        dies = self.dies_at is not None and len(self.done) == self.dies_at
        if dies and not self.after:
            raise KilledError
        version = write()
        self.done.append(table)
        if dies:
            raise KilledError
        return version

    def replace_days(self, workload, table, frame, days, revisions=None):
        return self._commit(table, lambda: super(Mortal, self).replace_days(workload, table, frame, days, revisions))

    def replace(self, workload, table, frame, revisions=None):
        return self._commit(table, lambda: super(Mortal, self).replace(workload, table, frame, revisions))


def meant(value: object) -> object:
    """A value, however it was spelt."""
    try:
        return float(value)  # pyrefly: ignore
    except (TypeError, ValueError):
        return value


def content(valid: pl.DataFrame, kept: pl.DataFrame) -> tuple[Counter, Counter]:
    """What is in the table and what is held with which rules, as values."""
    return (
        Counter(json.dumps({k: v for k, v in row.items() if v is not None}, default=str) for row in valid.to_dicts()),
        Counter(
            json.dumps([sorted((k, meant(v)) for k, v in json.loads(row["row"]).items()), row["rules"], row["version"]])
            for row in kept.to_dicts()
        ),
    )


def expected(rows: pl.DataFrame, under: Contract) -> tuple[Counter, Counter]:
    split = enforce(rows.drop(DAY), under)
    return content(split.valid, split.quarantined)


def found(lake: Lakehouse, day: date) -> tuple[Counter, Counter]:
    here = Days.one(day)
    valid = lake.read(NAME, TABLE, here).drop(DAY) if lake.exists(NAME, TABLE) else pl.DataFrame()
    return content(valid, held(lake, NAME, TABLE, here))


def ingest(lake: Lakehouse, rows: pl.DataFrame, days: Days, under: Contract, run: str = "r1") -> None:
    settle(lake, NAME, TABLE, judge([Part(rows)], under), days, run, TIME)


def release(lake: Lakehouse, days: Days, under: Contract, run: str = "r2") -> quarantine.Judged:
    judged = judge(again(lake, NAME, TABLE, under, days), under)
    settle(lake, NAME, TABLE, judged, days, run, TIME + timedelta(days=1))
    return judged


# ---------------------------------------------------------------- law 4, whatever happens

DAYS = st.integers(0, 2)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["1", "1.0", "7", "12", "many", None]),
    ),
    max_size=5,
)
DIES = st.none() | st.tuples(st.integers(0, 2), st.booleans())
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ingest"), DAYS, DAYS, st.tuples(ROWS, ROWS, ROWS), st.booleans(), DIES),
        st.tuples(st.just("mend"), st.sampled_from(CONTRACTS)),
        st.tuples(st.just("replay"), DAYS, DAYS, DIES),
        st.tuples(st.just("replay"), DAYS, DAYS, DIES),
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_every_row_of_the_latest_delivery_is_valid_or_held_once_and_unchanged_whatever_happens(steps: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        now = CONTRACTS[0]
        # By day: the delivery that is in effect, and the contract it was last judged by.
        state: dict[date, tuple[pl.DataFrame, Contract]] = {}
        for number, step in enumerate(steps):
            if step[0] == "mend":
                now = step[1]
                continue
            first, last, dies = *sorted(step[1:3]), step[-1]
            days = Days(FIRST + timedelta(days=first), FIRST + timedelta(days=last))
            after = dict(state)
            if step[0] == "ingest":
                came = [delivery(day, rows, step[4]) for day, rows in zip(days, step[3], strict=False)]
                after |= {day: (rows, now) for day, rows in zip(days, came, strict=True)}
            else:
                after |= {day: (state[day][0], now) for day in days if day in state}

            def run(lake: Lakehouse, step=step, days=days, number=number, now=now, after=after) -> None:
                if step[0] == "ingest":
                    ingest(lake, pl.concat([after[day][0] for day in days]), days, now, f"r{number}")
                else:
                    release(lake, days, now, f"r{number}")

            if dies is not None:
                try:
                    run(Mortal(folder, *dies))
                except KilledError:
                    lake = Lakehouse(folder)
                    took = {day: found(lake, day) for day in days}
                    was = {day: expected(*state[day]) if day in state else (Counter(), Counter()) for day in days}
                    shall = {day: expected(*after[day]) if day in after else was[day] for day in days}
                    assert took in (was, shall), "a day is half of one delivery and half of another"
                    if took == was and number % 2:
                        # Somebody does something else first.
                        continue
            lake = Lakehouse(folder)
            run(lake)
            state = after
            for day, (rows, under) in state.items():
                assert found(lake, day) == expected(rows, under), (step, day)
                # And nothing else lies there: what is over was swept away.
                if day in days:
                    lying = sum(lake.counts(NAME, quarantine_of(TABLE), Days.one(day)).values())
                    assert lying + lake.counts(NAME, TABLE, Days.one(day)).get(day, 0) == rows.height


# ---------------------------------------------------------------- one by one


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    return Lakehouse(str(tmp_path))


ONE = Days.one(FIRST)
MIXED = delivery(FIRST, [("a", "x", "1"), ("b", "x", "7"), ("c", "x", "many"), ("a", "x", "1.0")])


def test_a_held_row_says_what_it_was_what_it_broke_and_which_run_held_it_when(lake: Lakehouse) -> None:
    ingest(lake, MIXED, ONE, contract(most=5))
    rows = {json.loads(row["row"])["amount"]: row for row in held(lake, NAME, TABLE).to_dicts()}
    assert {amount: row["rules"] for amount, row in rows.items()} == {
        "7": ["amount: maximum 5"],
        "many": ["amount: type number"],
        "1.0": ["key: duplicate"],
    }
    assert {(row["run"], row["time"], row["contract"], row["version"]) for row in rows.values()} == {
        ("r1", TIME, TABLE, "1.5.10")
    }


def test_a_row_that_stays_held_keeps_its_form_its_run_and_its_time_and_gets_its_rules_anew(lake: Lakehouse) -> None:
    ingest(lake, MIXED, ONE, contract(most=5))
    judged = release(lake, ONE, contract(most=6))
    assert (judged.released, judged.taken_back) == ({}, {})
    [seven] = [row for row in held(lake, NAME, TABLE).to_dicts() if '"7"' in row["row"]]
    assert (seven["rules"], seven["version"]) == (["amount: maximum 6"], "1.6.10")
    assert (seven["run"], seven["time"]) == ("r1", TIME)


def test_what_passes_now_is_released_and_doing_it_again_changes_nothing(lake: Lakehouse) -> None:
    ingest(lake, MIXED, ONE, contract(most=5))
    assert release(lake, ONE, contract()).released == {FIRST: 1}
    before = [lake.digest(NAME, table) for table in (TABLE, quarantine_of(TABLE))]
    assert release(lake, ONE, contract()).released == {}
    assert [lake.digest(NAME, table) for table in (TABLE, quarantine_of(TABLE))] == before
    assert sorted(lake.read(NAME, TABLE)["amount"]) == [1.0, 7.0]


def test_a_rule_that_was_tightened_takes_rows_back_with_their_values(lake: Lakehouse) -> None:
    ingest(lake, MIXED, ONE, contract())
    judged = release(lake, ONE, contract(most=5))
    assert judged.taken_back == {FIRST: 1}
    [seven] = [row for row in held(lake, NAME, TABLE).to_dicts() if "7" in row["row"]]
    assert (json.loads(seven["row"])["amount"], seven["run"]) == (7.0, "r2")


def test_rows_in_conflict_are_released_once_the_key_tells_them_apart(lake: Lakehouse) -> None:
    ingest(lake, delivery(FIRST, [("a", "x", "1"), ("a", "y", "2")]), ONE, contract())
    assert held(lake, NAME, TABLE)["rules"].to_list() == [["key: conflict"]] * 2
    assert release(lake, ONE, contract(key=("id", "kind"))).released == {FIRST: 2}


def test_a_column_too_many_is_released_once_it_is_declared(lake: Lakehouse) -> None:
    ingest(lake, delivery(FIRST, [("a", "x", "1")], note=True), ONE, contract())
    ingest(
        lake, delivery(FIRST + timedelta(days=1), [("b", "x", "1")]), Days.one(FIRST + timedelta(days=1)), contract()
    )
    assert release(lake, ONE, contract(note=True)).released == {FIRST: 1}
    assert lake.read(NAME, TABLE).sort("id")["note"].to_list() == ["n", None]


def test_a_day_without_held_rows_is_written_in_one_commit_and_a_first_one_with_some_in_two(tmp_path: Path) -> None:
    lake = Mortal(str(tmp_path))
    ingest(lake, delivery(FIRST, [("a", "x", "1")]), ONE, contract())
    assert lake.done == [TABLE]
    ingest(lake, MIXED, ONE, contract())
    assert lake.done[1:] == [quarantine_of(TABLE), TABLE]


def test_a_table_without_days_is_settled_the_same_way(tmp_path: Path) -> None:
    rows = MIXED.drop(DAY)
    for dies_at in (None, 0, 1, 2):
        place = str(tmp_path / str(dies_at))
        lake = Lakehouse(place)
        settle(lake, NAME, TABLE, judge([Part(rows)], contract(most=5), None), None, "r1", TIME)
        now = contract()
        parts = again(lake, NAME, TABLE, now, None)
        try:
            settle(Mortal(place, dies_at, after=True), NAME, TABLE, judge(parts, now, None), None, "r2", TIME)
        except KilledError:
            settle(lake, NAME, TABLE, judge(again(lake, NAME, TABLE, now, None), now, None), None, "r2", TIME)
        assert content(lake.read(NAME, TABLE), held(lake, NAME, TABLE)) == expected(MIXED, now)
        assert lake.read(NAME, quarantine_of(TABLE)).height == 2


def test_what_has_another_type_now_is_refused_with_what_to_do(lake: Lakehouse) -> None:
    ingest(lake, MIXED, ONE, contract())
    columns = tuple(
        replace(column, type=LogicalType.STRING, physical_type="string", minimum=None, maximum=None)
        for column in contract().columns
    )
    with pytest.raises(quarantine.RetypedError, match="amount is Float64 in the table and String in the contract") as e:
        again(lake, NAME, TABLE, replace(contract(), columns=columns, digest="other"), ONE)
    assert "major version" in e.value.remedy


def test_rows_held_before_they_kept_their_types_are_shown_replaced_and_not_guessed_at(lake: Lakehouse) -> None:
    ingest(lake, MIXED, ONE, contract(most=5))
    old = lake.read(NAME, quarantine_of(TABLE)).drop("types", "run", "time", "since", "until")
    shutil.rmtree(lake.location(NAME, quarantine_of(TABLE)))
    lake.replace_days(NAME, quarantine_of(TABLE), old, ONE)
    assert held(lake, NAME, TABLE).height == 3
    with pytest.raises(quarantine.UntypedError, match="toy/scans are held without the types"):
        release(lake, ONE, contract())
    ingest(lake, MIXED, ONE, contract(most=5))
    assert release(lake, ONE, contract()).released == {FIRST: 1}
