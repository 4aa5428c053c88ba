"""The gates that judge a day by the table's own past: what they catch, what they let pass, and that they never change
their minds."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from automation.anomalies import gate
from automation.anomalies.gate import IMPOSSIBLE, UNUSUAL, judgements, profile_of, table_gates
from automation.anomalies.past import STATED_RATE
from automation.anomalies.profile import natural, profiles
from automation.calendar import Days
from automation.gates import Judgement, Severity
from automation.lakehouse import DAY, Lakehouse
from automation.workload import Workload

C = pl.col
TABLE = "weather"
FIRST = date(2013, 1, 1)
KNOT = 1.15078
Change = Callable[[pl.DataFrame], pl.DataFrame]


def day_of(number: int) -> date:
    return FIRST + timedelta(days=number)


@cache
def weather(number: int) -> pl.DataFrame:
    """A made-up day of weather in New York: 24 hours at three airports, wind in whole knots, a season in it."""
    chance, day = np.random.default_rng(number), day_of(number)
    begins = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
    hours = [begins + timedelta(hours=hour) for hour in range(24) for _ in range(3)]
    knots = chance.poisson(9, 72)
    gusts = np.where(chance.random(72) < 0.3, knots + 8, 0)
    warmth = 50 + 20 * np.sin(number / 58) + chance.normal(0, 4) + chance.normal(0, 3, 72)
    return pl.DataFrame(
        {
            "origin": ["EWR", "JFK", "LGA"] * 24,
            "temperature_f": warmth.round(1),
            "dew_point_f": (warmth - 10).round(1),
            "relative_humidity": chance.uniform(40, 90, 72),
            "wind_direction": (chance.integers(0, 36, 72) * 10).astype(float),
            "wind_speed_mph": knots * KNOT,
            "wind_gust_mph": pl.Series(gusts * KNOT).replace(0.0, None),
            "precipitation_in": np.where(chance.random(72) < 0.1, 0.1, 0.0),
            "pressure_mb": chance.normal(1015, 5, 72).round(1),
            "visibility_miles": np.full(72, 10.0),
            "observed_date": [day] * 72,
            "observed_hour": [hour for hour in range(24) for _ in range(3)],
            "event_time": hours,
            "known_time": [hour + timedelta(minutes=10) for hour in hours],
            DAY: [day] * 72,
        },
        schema_overrides={name: pl.Datetime("us", "UTC") for name in ("event_time", "known_time")},
    )


def several(first: int, last: int) -> tuple[pl.DataFrame, Days]:
    return pl.concat(weather(number) for number in range(first, last + 1)), Days(day_of(first), day_of(last))


@pytest.fixture
def lake(tmp_path) -> Lakehouse:
    gate._remembered.clear()
    return Lakehouse(str(tmp_path))


Run = Callable[..., dict[str, Judgement]]


def runner(lake: Lakehouse, workload: Workload) -> Run:
    """Judges one day, or several; gives the judgements of the last one by gate."""

    def judged(first: int, last: int | None = None, change: Change | None = None, held: tuple[int, ...] = ()):
        rows, days = several(first, first if last is None else last)
        partitions = {day_of(number).isoformat() for number in held}
        found = judgements(lake, workload, TABLE, rows if change is None else change(rows), days, partitions)
        return {one.gate.name: one for one in found if one.partition == days.keys[-1]}

    return judged


@pytest.fixture
def run(lake: Lakehouse, workload: Workload) -> Run:
    return runner(lake, workload)


MANY = 130


@pytest.fixture(scope="module")
def after_many(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Judges in a lakehouse with MANY ordinary days; a day after them can be judged again and again."""
    made = runner(Lakehouse(str(tmp_path_factory.mktemp("many"))), workload)
    made(0, MANY - 1)
    return made


def half_missing(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 0).then("temperature_f").alias("temperature_f"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(
            lambda rows: rows.with_columns(C("wind_speed_mph", "wind_gust_mph") * 0.44704),
            "wind_speed_mph: never seen",
            id="a unit that leaves the lattice of the values",
        ),
        pytest.param(half_missing, "temperature_f: missing", id="half the values missing"),
        pytest.param(
            lambda rows: rows.with_columns(
                pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit("BOS")).otherwise("origin").alias("origin")
            ),
            "origin: never seen",
            id="a category never seen",
        ),
        pytest.param(lambda rows: rows.clear(), "rows", id="an empty day"),
        pytest.param(lambda rows: pl.concat([rows] * 4), "rows", id="a day four times over"),
        pytest.param(
            lambda rows: rows.with_columns(C("event_time") + timedelta(hours=1)),
            "event_time to known_time",
            id="one of two clocks shifted an hour",
        ),
    ],
)
def test_what_cannot_be_an_ordinary_day_is_held_and_says_which_measure_and_by_how_much(
    after_many: Run, change: Change, named: str
) -> None:
    found = after_many(MANY, change=change)
    assert not found[IMPOSSIBLE.name].passed
    assert named in found[IMPOSSIBLE.name].says
    assert re.search(r"is .+, expected .+: [\d.,]+ times its worst usual error", found[IMPOSSIBLE.name].says)
    assert not found[UNUSUAL.name].passed


def test_ordinary_days_pass_and_few_are_called_unusual(lake: Lakehouse, workload: Workload) -> None:
    rows, days = several(0, 360)
    found = judgements(lake, workload, TABLE, rows, days, ())
    assert [one.partition for one in found if one.gate is IMPOSSIBLE and not one.passed] == []
    unusual = [one.partition for one in found if one.gate is UNUSUAL and not one.passed]
    # 240 days have a past long enough; their judgements share it, so the bound is a loose one.
    assert len(unusual) <= 3 * STATED_RATE * 240


def test_a_season_is_no_surprise_but_the_same_value_out_of_season_is(run: Run) -> None:
    winter = weather(3)["temperature_f"].mean()
    run(0, 179)
    summer_day = several(180, 180)[0]
    assert summer_day["temperature_f"].mean() - winter > 5
    assert run(180)[IMPOSSIBLE.name].passed
    cold = run(181, change=lambda rows: rows.with_columns(C("temperature_f") - 60))
    assert "temperature_f: mean" in cold[UNUSUAL.name].says or "temperature_f: mean" in cold[IMPOSSIBLE.name].says


def test_a_past_too_short_says_so_and_passes(run: Run) -> None:
    found = run(0, 23, change=lambda rows: rows.with_columns(pl.lit(None, pl.Float64).alias("temperature_f")))
    for judgement in found.values():
        assert judgement.passed
        assert judgement.says.startswith("Not judged: 23 ordinary days before it are too short a past")


def test_a_past_too_short_for_the_stated_rate_says_so_and_still_holds_the_impossible(run: Run) -> None:
    run(0, 59)
    assert "too few to call a day one of the 1% most unusual" in run(60)[UNUSUAL.name].says
    found = run(60, change=half_missing)
    assert found[UNUSUAL.name].passed
    assert not found[IMPOSSIBLE.name].passed


# ---------------------------------------------------------------- the past


def verdicts(found: dict[str, Judgement]) -> list[tuple[str, bool, str]]:
    return [(name, judgement.passed, judgement.says) for name, judgement in sorted(found.items())]


def test_nothing_after_a_day_changes_its_verdict(run: Run, lake: Lakehouse, workload: Workload) -> None:
    run(0, 79)
    first = verdicts(run(80))
    kept = lake.digest(workload.name, profile_of(TABLE), Days.one(day_of(80)))
    run(81, 100)
    run(101, change=half_missing)
    assert verdicts(run(80)) == first
    assert lake.digest(workload.name, profile_of(TABLE), Days.one(day_of(80))) == kept


def test_days_judged_one_by_one_in_another_process_or_as_a_range_are_judged_alike(
    run: Run, lake: Lakehouse, workload: Workload, tmp_path
) -> None:
    run(0, 49)
    one_by_one = []
    for number in range(50, 60):
        gate._remembered.clear()  # As a new process would: nothing but the table is known.
        one_by_one.append(verdicts(run(number)))
    gate._remembered.clear()
    other = Lakehouse(str(tmp_path / "other"))
    rows, days = several(0, 59)
    at_once: dict[str, dict[str, Judgement]] = {}
    for judgement in judgements(other, workload, TABLE, rows, days, ()):
        at_once.setdefault(str(judgement.partition), {})[judgement.gate.name] = judgement
    assert one_by_one == [verdicts(at_once[day_of(number).isoformat()]) for number in range(50, 60)]
    assert lake.digest(workload.name, profile_of(TABLE)) == other.digest(workload.name, profile_of(TABLE))


def test_a_day_that_was_held_is_no_part_of_the_past_until_it_is_repaired(run: Run) -> None:
    run(0, 69)
    undisturbed = verdicts(run(71))
    assert not run(70, change=half_missing)[IMPOSSIBLE.name].passed
    # Were the half-missing day a part of the past, the next one like it would be nothing new.
    assert not run(71, change=half_missing)[IMPOSSIBLE.name].passed
    run(70, held=(70,))
    assert verdicts(run(71)) == undisturbed
    run(70)
    assert verdicts(run(71)) != undisturbed


def test_a_change_that_stays_is_held_until_a_person_accepts_a_day_of_it(
    run: Run, lake: Lakehouse, workload: Workload
) -> None:
    def nulls(judgement: Judgement) -> bool:
        return "temperature_f: missing" in judgement.says and not judgement.passed

    run(0, 69)
    assert nulls(run(70, change=half_missing)[IMPOSSIBLE.name])
    assert nulls(run(71, change=half_missing)[IMPOSSIBLE.name])
    gate.accept(lake, workload, TABLE, Days(day_of(70), day_of(71)))
    assert not nulls(run(72, change=half_missing)[IMPOSSIBLE.name])


def test_a_new_major_version_of_the_contract_begins_a_new_past(
    run: Run, lake: Lakehouse, workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    run(0, 69)
    renewed = {**workload.contracts, TABLE: replace(workload.contract(TABLE), version="2.0.0")}
    monkeypatch.setitem(workload.__dict__, "contracts", renewed)
    assert run(70, change=half_missing)[IMPOSSIBLE.name].says.startswith("Not judged: 0 ordinary days")


def test_only_tables_that_a_feed_delivers_by_the_day_are_judged(lake: Lakehouse, workload: Workload) -> None:
    assert table_gates(workload, "aircraft") == table_gates(workload, "origin_weather") == []
    rows, days = several(0, 0)
    assert judgements(lake, workload, "origin_weather", rows, days, ()) == []
    assert [g.severity for g in table_gates(workload, TABLE)] == [Severity.ERROR, Severity.WARNING]


# ---------------------------------------------------------------- profiles and what a person sees


def test_days_profiled_together_or_alone_in_any_order_have_the_same_profile(workload: Workload) -> None:
    contract = workload.contract(TABLE)
    rows, days = several(60, 69)
    together = profiles(rows.sample(fraction=1.0, shuffle=True, seed=5), contract, workload.calendar, days)
    alone = [profiles(weather(n), contract, workload.calendar, Days.one(day_of(n)))[0] for n in range(60, 70)]
    assert together == alone


def test_on_a_clock_change_and_beside_it_the_time_of_day_is_no_measure(workload: Workload) -> None:
    rows, days = several(65, 71)  # 7 to 13 March; the clocks go forward on the 10th.
    found = profiles(rows, workload.contract(TABLE), workload.calendar, days)
    timed = [day.day.day for day in found if "hour 12" in day.measures]
    assert timed == [7, 8, 12, 13]
    assert [round(natural("rows", day.measures["rows"]), 1) for day in found] == [72, 72, 72, 75.1, 72, 72, 72]


def test_the_evidence_has_the_measures_and_the_history_with_today_in_it(after_many: Run) -> None:
    metadata = after_many(MANY, change=half_missing)[IMPOSSIBLE.name].metadata
    first = metadata["measures"].records[0].data
    assert first["measure"] == "temperature_f: missing"
    assert (first["today"], first["expected"]) == ("50.0%", "0.0%")
    assert first["times its worst usual error"] > 4
    [encoded] = re.findall(r"base64,([^)]+)\)", metadata["history"].value)
    drawn = base64.b64decode(encoded).decode()
    assert "temperature_f: missing: 50.0% on 2013-05-11, expected 0.0%" in drawn
    assert drawn.count("<circle") == 2
    assert len(re.findall(r"[\d.]+,[\d.]+", drawn)) > MANY
    assert len(metadata["history"].value) < 20_000
