"""Shares: they add up to the probability, greatest first, in the contract's words."""

from __future__ import annotations

import math

import polars as pl
import pytest

from automation.explanation.shares import chance, log_odds, shares
from automation.models import BoostedModel
from contracts.document import Contract


def test_base_and_shares_are_the_probability(parcels: pl.DataFrame, model: BoostedModel, vector: Contract) -> None:
    contributions, probability = model.contributions(parcels[:50]), model.predict(parcels[:50])
    for row in range(50):
        told = shares(contributions.row(row, named=True), parcels.row(row, named=True), float(probability[row]), vector)
        whole = log_odds(told.base) + sum(share.log_odds for share in told.shares)
        assert chance(whole) == pytest.approx(probability[row], abs=1e-9)
        assert abs(told.rest) < 1e-9
        sizes = [abs(share.log_odds) for share in told.shares]
        assert sizes == sorted(sizes, reverse=True)
        assert {share.feature for share in told.shares} == set(model.features)
        for share in told.shares:
            assert (share.without < probability[row]) == (share.log_odds > 0)
            assert share.effect == ("raises" if share.log_odds > 0 else "lowers" if share.log_odds < 0 else "leaves")


def test_what_is_missing_is_named_and_still_has_its_share(
    parcels: pl.DataFrame, model: BoostedModel, vector: Contract
) -> None:
    told = shares(
        model.contributions(parcels[:1]).row(0, named=True),
        parcels.row(0, named=True),
        float(model.predict(parcels[:1])[0]),
        vector,
    )
    [missing] = told.missing
    assert (missing.feature, missing.says) == ("wet", "Share of the hour with rain: not known")
    [delay] = [share for share in told.shares if share.feature == "delay"]
    assert delay.says == f"the van is {parcels['delay'][0]:.0f} minutes late"


def test_a_row_whose_shares_are_not_its_probabilitys_is_noticed(
    parcels: pl.DataFrame, model: BoostedModel, vector: Contract
) -> None:
    told = shares(model.contributions(parcels[:1]).row(0, named=True), parcels.row(0, named=True), 0.9, vector)
    assert abs(told.rest) > 0.1


@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.3, 0.5, 1.0])
def test_log_odds_and_chance_are_inverse(probability: float) -> None:
    assert chance(log_odds(probability)) == pytest.approx(probability, abs=1e-11)
    assert math.isfinite(log_odds(probability))
