"""A canary decides its share of a real day in earnest, a shadow none of it; the day is made again byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
import pytest

from automation import database
from automation.calendar import Days
from automation.ledger import store
from automation.models import BoostedModel
from automation.rollout import kept, promotion
from automation.rollout.machine import Champion, deciding_on, rollout
from automation.rollout.routing import routed
from tests.lineage.conftest import NAME, Home

NEXT, NOW, SHARE = date(2013, 1, 12), datetime(2013, 1, 12, tzinfo=UTC), 30.0
CANARY, SHADOW = 2, 3


@dataclass(frozen=True)
class Tried:
    """A home in which the next day was decided with a canary and a shadow."""

    home: Home
    decisions: pl.DataFrame
    would_be: pl.DataFrame


@pytest.fixture(scope="module")
def tried(copied: Callable[[str], Home]) -> Tried:
    """The other versions are the champion with fewer trees: real boosters that score otherwise."""
    import lightgbm as lgb

    home = copied("canary")
    settings = home.settings
    database.start(settings)
    champion, pins = deciding_on(settings, NAME, NEXT)
    model = kept.model(settings, champion.digest)
    assert isinstance(model, BoostedModel)
    for version in (CANARY, SHADOW):
        fewer = lgb.Booster(model_str=model.booster.model_to_string(num_iteration=5 * version))
        digest = kept.keep_model(settings, BoostedModel(fewer, model.features))
        candidate = Champion(champion.model, version, digest, NEXT)
        promotion.register(settings, NAME, candidate, {}, NOW)
        promotion.gate(settings, NAME, candidate, pins, {}, NOW)
    promotion.canary(settings, NAME, CANARY, SHARE, as_of=NEXT, why="a try", evidence={}, now=NOW)
    promotion.shadow(settings, NAME, SHADOW, as_of=NEXT, why="a try", now=NOW)
    replayed = home.replay(str(NEXT), str(NEXT))
    assert replayed.returncode == 0, replayed.stderr
    day = Days.one(NEXT)
    return Tried(home, home.lake.read(NAME, "decisions", day), home.lake.read(NAME, "challenger_decisions", day))


def test_the_canary_decides_the_cases_that_are_routed_to_it_and_no_others(tried: Tried) -> None:
    scored = tried.decisions.filter(pl.col("probability").is_not_null())
    taken = routed(NAME, CANARY, SHARE, scored["case_key"])
    assert 0.2 < sum(taken) / len(taken) < 0.4
    expected = [CANARY if each else 1 for each in taken]
    assert scored["model_version"].to_list() == expected
    assert scored["model_stage"].to_list() == ["canary" if each else "champion" for each in taken]
    canaried = scored.filter(pl.col("model_version") == CANARY)
    assert canaried.filter(pl.col("status") == "automated").height > 0.8 * canaried.height, "the policy lets it decide"


def test_each_version_is_compared_on_every_case_as_if_it_decided_alone(tried: Tried) -> None:
    roles = {1: "champion", CANARY: "canary", SHADOW: "shadow"}
    cases = sorted(tried.decisions["case_key"])
    by_version = {}
    for (version, role), rows in tried.would_be.partition_by("version", "role", as_dict=True).items():
        assert roles.pop(version) == role  # pyrefly: ignore[no-matching-overload]
        assert sorted(rows["case_key"]) == cases
        by_version[version] = rows
    assert roles == {}
    in_earnest = tried.decisions.select("case_key", "model_version", given="probability")
    for version in (1, CANARY):
        own = by_version[version].join(in_earnest.filter(pl.col("model_version") == version), on="case_key")
        assert own.height > 100
        assert own["probability"].equals(own["given"]), "what was given in earnest is what is compared"
    one, other = (by_version[version].sort("case_key")["probability"] for version in (1, SHADOW))
    assert (one != other).sum() > 0.9 * one.drop_nulls().len(), "the shadow scores by itself"


def test_the_day_is_made_again_byte_for_byte_and_rolled_on_once(tried: Tried) -> None:
    done = tried.home.warrant("replay-decision", "--workload", NAME, "--day", str(NEXT), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (json.loads(done.stdout)["unlike"], json.loads(done.stdout)["committed"]) == ([], True)
    with store.opened(tried.home.settings) as ledger:
        found = rollout(ledger, NAME)
    assert found.champion is not None
    assert (found.champion.version, found.canary(NEXT).version) == (1, CANARY)  # type: ignore[union-attr]
    assert [each.version for each in found.shadows(NEXT)] == [SHADOW]
