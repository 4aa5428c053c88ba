"""The benchmark of promotions: its contestants see the same days, and its figures say what they are held against."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from automation.rollout.verdicts.pairs import PAIRS, Cohort
from automation.rollout.verdicts.watch import Verdict
from benchmarks.promotion import _all, _peeked, _seen, _swapped, figures_of

PAIR = pl.DataFrame(
    {
        "case_key": ["a", "b"],
        "champion_if_good": [0.0, 3.0],
        "champion_if_bad": [60.0, 9.0],
        "challenger_if_good": [12.0, 3.0],
        "challenger_if_bad": [36.0, 9.0],
        "bad": [True, False],
        "probability": [0.7, 0.1],
    },
    schema=PAIRS,
)


def test_exchanged_roles_turn_savings_round_and_twice_changes_nothing() -> None:
    seen = _seen(Cohort(date(2013, 3, 1), PAIR))
    assert (seen.cohort.savings.at_least, seen.squares) == (24.0, 576.0)
    swapped = _swapped(seen)
    assert (swapped.cohort.savings.at_least, swapped.squares) == (-24.0, 576.0)
    assert _swapped(swapped).cohort.pairs.equals(seen.cohort.pairs)


def test_a_t_test_gives_its_verdict_on_the_first_day_that_it_finds_something() -> None:
    ones, sums = np.ones(12), np.array([1.0, -1.0] * 4 + [3.0] * 4)
    found = _peeked(ones, sums, sums**2)
    t = [sums[:n].mean() / sums[:n].std(ddof=1) * n**0.5 for n in range(7, 13)]
    assert found.verdict is Verdict.PROMOTE
    assert found.days == next(n for n, value in zip(range(7, 13), t, strict=True) if abs(value) > 1.645)
    assert _peeked(ones, -sums, sums**2).verdict is Verdict.ABORT
    assert _peeked(ones[:8], sums[:8], sums[:8] ** 2).verdict is Verdict.WAIT


def test_both_error_rates_are_held_against_what_is_stated_beside_the_peeked_t_test() -> None:
    many = pl.concat([PAIR.with_columns(pl.col("case_key") + str(number)) for number in range(50)])
    found = _all([_seen(Cohort(date(2013, 3, day), many)) for day in range(1, 21)])
    # A week to learn the scale, then wealth grows by up to 2.8 a day.
    assert found["ours"] == ["promote", 11]
    figures = {each.name: each for each in figures_of({"equal": [found], "better": [], "worse": [], "monthly": []})}
    for name, value in (("false_promotions", 1.0), ("false_aborts", 0.0)):
        assert (figures[name].value, figures[name].goal, figures[name].met) == (value, 0.05, value == 0.0)
        assert figures[name].peer_value is not None
