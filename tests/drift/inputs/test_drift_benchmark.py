"""The benchmark of drift: what counts as found, and that a shift is what it says."""

import itertools
from datetime import date

import numpy as np
import polars as pl

from benchmarks.drift import SHIFTED_AT, Pool, Sequence, _by, _outcome, _spells


def test_found_is_the_first_alarm_since_the_shift_that_names_what_was_shifted() -> None:
    sequence = Sequence([], ("a", "b"))
    assert _outcome(sequence, None) == {"found": False, "early": False}
    assert _outcome(sequence, [SHIFTED_AT - 1, ["a"]]) == {"found": False, "early": True}
    assert _outcome(sequence, [SHIFTED_AT + 4, ["a", "c"]]) == {"found": True, "days": 5, "precision": 0.5}
    assert not _outcome(sequence, [SHIFTED_AT, ["c"]])["found"]


def test_whole_numbers_are_shifted_on_average_and_stay_whole() -> None:
    rows = pl.DataFrame(
        {"whole": [5] * 4000, "part": [0.5] * 4000, "missing": pl.Series([None] * 4000, dtype=pl.Int64)}
    )
    moved = _by(rows, {"whole": 0.3, "part": 0.3, "missing": 0.3}, np.random.default_rng(0))
    assert moved.schema == rows.schema
    assert abs(moved["whole"].mean() - 5.3) < 0.03
    assert moved["part"].to_list() == [0.8] * 4000
    assert moved["missing"].null_count() == 4000


def test_spells_are_runs_of_consecutive_days() -> None:
    days = [pl.DataFrame({"number": [number]}) for number in range(200)]
    told = [rows.item() for rows in _spells(Pool(days, date(2013, 1, 1), ()), 3).days]
    assert max(told) - min(told) < 60
    steps = [later - one for one, later in itertools.pairwise(told)]
    assert sum(step == 1 for step in steps) > 0.6 * len(steps)
