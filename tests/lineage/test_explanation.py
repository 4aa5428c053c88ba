"""Explanations and replays of real decisions: what they say holds, and a row that was changed is found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

import dagster as dg
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from automation import database
from automation.cli import warrant
from automation.explanation.deciding import Turn
from automation.explanation.evidence import Decided, UnknownDecisionError, decided, decided_on
from automation.explanation.explanation import explain
from automation.explanation.metadata import explained
from automation.explanation.replayed import Kept, UnrepeatableError, committed, each, whole
from automation.ledger import store
from automation.models import BoostedModel
from automation.policy import activation
from automation.policy.activation import NoPolicyError
from automation.policy.bundle import PolicyBundle
from automation.policy.deciding import Weighed, decide
from automation.policy.evidence import Stood, UnreadableEvidenceError, phrases
from automation.policy.limits.use import UsesInvalidError
from automation.registry import ModelRegistry, UnknownVersionError
from automation.replay import Platform
from automation.settings import Settings
from automation.workload import Workload
from tests.lineage.conftest import DECIDED, NAME, Home

DAY = DECIDED.last


def edited(workload: Workload, home: Home, found: Decided, **columns: pl.Expr) -> Decided:
    """The day as it were if somebody had changed its rows."""
    cases = home.lake.read(NAME, workload.spec.cases.table, DECIDED).filter(pl.col("day") == found.on)
    stood = Stood(found.used, found.evidence.off, found.evidence.usual)
    return decided(workload, found.on, found.rows.with_columns(**columns), cases, stood)


@pytest.fixture
def found(platform: Platform, workload: Workload, home: Home) -> Decided:
    with store.opened(platform.settings) as ledger:
        return decided_on(home.lake, ledger, workload, DAY)


@pytest.fixture
def kept(platform: Platform) -> Kept:
    return kept_in(platform.settings, ModelRegistry(platform.settings, NAME, NAME))


def kept_in(settings: Settings, registry: ModelRegistry) -> Kept:
    def load(_: str, version: int, digest: str) -> BoostedModel:
        return registry.load(version, digest)

    return Kept(load, partial(activation.kept, settings))


def gone(model: str, version: int, digest: str) -> BoostedModel:
    raise UnknownVersionError(f"MLflow has no {model} {version} {digest[:6]}.", remedy="Look elsewhere.")


def test_a_decision_is_explained_and_what_is_said_of_it_holds(
    workload: Workload, home: Home, found: Decided, kept: Kept
) -> None:
    of = partial(explain, home.lake, workload, found, kept=kept)
    [notified, unscored] = [
        found.rows.filter(pl.col("status") == status, pl.col("action") == action)["case_key"][-1]
        for status, action in (("automated", "notify"), ("review", "proceed"))
    ]
    told, at = of(notified), found.position(notified)
    row = found.rows.row(at, named=True)
    assert told.whole
    assert list(told.reasons) == json.loads(row["reasons"])
    assert {change.target for change in told.counterfactuals} == {
        "to do nothing",
        "to hold seats elsewhere for the passengers",
    }
    assert told.shares is not None
    assert {share.feature for share in told.shares.shares} == set(workload.model_features)
    assert set(told.missing) == {share.feature for share in told.shares.missing}
    assert told.action_says == "notify the passengers"

    rules = [rule.rule for rule in told.rules]
    assert rules[:2] == ["least cost", "notify-saves"]
    assert rules[-2:] == ["limit protect per origin every day", "authorization"]
    assert set(rules[1:-2]) <= {rule for matched in json.loads(row["rules"]).values() for rule in matched}
    assert "a_deciding_model_acts (the champion and a canary decide)" in told.rules[-1].says

    weighed = Weighed(found.evidence, kept.policy(row["policy_version"]))
    turn = Turn.of(weighed, weighed.choose(found.used), found.used, at)
    assert turn.reads == {"seats"}
    changes = [counterfactual for counterfactual in told.counterfactuals if counterfactual.changes]
    assert changes
    for counterfactual in changes:
        case = found.evidence.features[at].with_columns(
            pl.lit(change.would_be).alias(change.feature) for change in counterfactual.changes
        )
        probability = kept.model(NAME, row["model_version"], row["model_digest"]).predict(case)
        assert probability[0] == counterfactual.probability
        assert turn.redecide(case, probability).row(0)[:2] == (counterfactual.action, "automated")

    told = of(unscored)
    assert (told.probability, told.counterfactuals, told.shares) == (None, (), None)
    assert told.review_reasons == ("not scored: tail_number: required",)
    assert told.rules[0].rule == "fail closed"

    told = explain(home.lake, workload, found, notified, replace(kept, model=gone))
    assert not told.whole
    assert told.shares is not None
    assert "MLflow has no flight_disruption" in told.lacking[0]
    told = explain(home.lake, workload, edited(workload, home, found, policy_version=pl.lit("a" * 64)), notified, kept)
    assert (told.whole, told.rules, told.counterfactuals) == (False, (), ())
    assert "No policy of version aaaaaaaaaaaa is kept" in told.lacking[0]


def test_the_command_explains_and_names_the_rules_of_the_table(found: Decided) -> None:
    protected = found.rows.filter(pl.col("action") == "protect")["case_key"][0]
    result = CliRunner().invoke(warrant, ["explain", protected, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["case"] == protected
    said = CliRunner().invoke(warrant, ["explain", protected, "--workload", NAME, "--every"]).stdout
    assert all(part in said for part in ("Because", "Rules", "Otherwise, if", "How sure", "It rests on"))
    assert "protect-saves: to hold seats elsewhere for the passengers is allowed: seats elsewhere for" in said
    assert "limit protect per origin every day: at most 60 protect a day per origin, each where it saves" in said
    rules = {each["rule"]: each["says"] for each in json.loads(result.stdout)["rules"]}
    limit = "at most 60 protect a day per origin, each where it saves more than $200.00 or than the day makes it worth:"
    assert re.match(
        rf"{re.escape(limit)} \d+ of [A-Z]{{3}} used before this one, \d+ left, a place worth \$200\.00",
        rules["limit protect per origin every day"],
    )
    assert "authorization: Permitted by a_deciding_model_acts" in said
    with pytest.raises(UnknownDecisionError, match="no decision of a case nobody"):
        CliRunner().invoke(warrant, ["explain", "nobody"], catch_exceptions=False)
    with pytest.raises(UnknownDecisionError, match="was not decided on 2013-01-10"):
        CliRunner().invoke(warrant, ["explain", protected, "--day", DECIDED.keys[0]], catch_exceptions=False)


def test_a_day_explained_in_dagster_has_one_decision_of_each_kind_and_says_what_is_so(
    platform: Platform, workload: Workload, found: Decided, kept: Kept
) -> None:
    weighed = Weighed(found.evidence, kept.policy(found.rows["policy_version"][0]))
    choice = weighed.choose(found.used)
    shown = explained(workload, found.rows, weighed, choice, found.used)
    table, why = shown["first decisions"], shown["why"]
    assert isinstance(table, dg.TableMetadataValue)
    assert isinstance(why, dg.MarkdownMetadataValue)
    kinds = set(found.rows.select("action", "status").iter_rows())
    assert {(r.data["action"], r.data["status"]) for r in table.records} == kinds
    assert str(why.value).count("### ") == len(kinds)
    assert "- notify-saves: to notify the passengers is allowed: " in str(why.value)
    for record in (r.data for r in table.records if r.data["probability"]):
        at = found.position(str(record["case"]))
        low, high = (float(part) for part in str(record["the same"]).removeprefix("from ").split(" to "))
        assert low <= round(found.rows["probability"][at], 3) <= high
        turn = Turn.of(weighed, choice, found.used, at)
        ends = turn.redecide(turn.features[[0, 0]], np.array([low, high]))
        assert set(ends.select("action", "status").iter_rows()) == {(record["action"], record["status"])}

    last = platform.instance.get_latest_materialization_event(dg.AssetKey([NAME, "decisions"]))
    assert last is not None
    assert last.asset_materialization is not None
    assert {"first decisions", "why", "places"} <= last.asset_materialization.metadata.keys()


def test_a_day_made_again_has_the_same_bytes_and_a_row_that_was_changed_has_not(
    platform: Platform, workload: Workload, home: Home, found: Decided, kept: Kept
) -> None:
    result = CliRunner().invoke(warrant, ["replay-decision", "--day", DAY.isoformat(), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) | {"commitment": ""} == {
        "day": DAY.isoformat(),
        "made_again": found.rows.height,
        "unlike": [],
        "committed": True,
        "commitment": "",
    }
    assert [one.case for one in each(workload, found, kept) if one.differences] == []

    case = found.rows.filter(pl.col("action") == "protect")["case_key"][0]
    assert CliRunner().invoke(warrant, ["replay-decision", case]).exit_code == 0
    here = pl.col("case_key") == case
    for column, value in (
        ("action", pl.lit("notify")),
        ("probability", pl.lit(0.987)),
        ("contributions", pl.col("contributions").str.replace(r"_base.:-?\d", '_base":-9')),
        ("reasons", pl.lit('["it rained"]')),
        ("rule_value", pl.lit(77.0)),
        ("rules", pl.lit('{"protect":["the-weather"]}')),
        ("limits_used", pl.col("limits_used").str.replace("}", ',"day ":7}', literal=True)),
    ):
        changed = edited(workload, home, found, **{column: pl.when(here).then(value).otherwise(column)})
        for made in (whole(workload, changed, kept), each(workload, changed.alone(case), kept)):
            [unlike] = [one for one in made if one.differences]
            assert unlike.case == case
            assert [difference.column for difference in unlike.differences] == [column]
        with store.opened(platform.settings) as ledger:
            assert not committed(ledger, workload, changed).held
    with store.opened(platform.settings) as ledger:
        assert committed(ledger, workload, found).held
        assert "nothing commits" in committed(ledger, workload, replace(found, on=date(2013, 7, 1))).says

    # A changed input is another decision altogether, of which the cases after it see something in the day's limits: so
    # few seats are not worth a place.
    seats = pl.col("features").str.replace(r'"seats":[^,}]*', '"seats":20')
    saw = found.rows.filter(pl.col("limits_used").str.contains('"day":1}', literal=True))["limits_used"][0]
    first = pl.col("limits_used") == saw.replace('"day":1}', '"day":0}')
    another = first & (pl.col("action") == "protect")
    changed = edited(workload, home, found, features=pl.when(another).then(seats).otherwise("features"))
    [unlike] = [one for one in each(workload, changed, kept) if one.differences]
    assert {"action", "stake"} <= {difference.column for difference in unlike.differences}
    day = {one.case: one.differences for one in whole(workload, changed, kept) if one.differences}
    assert day.pop(unlike.case) == unlike.differences
    assert {difference.column for differences in day.values() for difference in differences} == {"limits_used"}
    # A row that says another use than there was when its turn came is found by its day.
    more = pl.col("limits_used").str.replace(r'"day":\d+', '"day":9')
    changed = edited(workload, home, found, limits_used=pl.when(here).then(more).otherwise("limits_used"))
    [unlike] = [one for one in whole(workload, changed, kept) if one.differences]
    assert [difference.column for difference in unlike.differences] == ["limits_used"]


def test_what_a_day_names_and_cannot_be_had_is_said(workload: Workload, home: Home, found: Decided, kept: Kept) -> None:
    here = pl.col("case_key") == found.rows["case_key"][7]
    with pytest.raises(NoPolicyError):
        whole(workload, edited(workload, home, found, policy_version=pl.lit("a" * 64)), kept)
    with pytest.raises(UnknownVersionError):
        whole(workload, found, replace(kept, model=gone))
    old = pl.col("contracts").str.replace(r'("feature_vector":\["1.0.0",")[0-9a-f]{6}', "${1}000000")
    with pytest.raises(UnrepeatableError, match=r"feature_vector 1\.0\.0 with the digest 000000"):
        whole(workload, edited(workload, home, found, contracts=old), kept)
    other = pl.when(here).then(pl.lit("b" * 64)).otherwise("policy_version")
    with pytest.raises(UnrepeatableError, match="name 2 values of policy_version"):
        whole(workload, edited(workload, home, found, policy_version=other), kept)
    typed = edited(workload, home, found, features=pl.col("features").str.replace(r'"overdue":[^,]*', '"overdue":[3]'))
    with pytest.raises(UnrepeatableError, match="are not what feature_vector"):
        whole(workload, typed, kept)
    with pytest.raises(UnreadableEvidenceError, match="The column features of a row holds 'no JSON'"):
        edited(workload, home, found, features=pl.lit("no JSON"))
    with pytest.raises(UnreadableEvidenceError, match="The column limits_used of a row holds 'no JSON'"):
        each(workload, edited(workload, home, found, limits_used=pl.lit("no JSON")), kept)
    with pytest.raises(UsesInvalidError):
        each(workload, edited(workload, home, found, limits_used=pl.lit('{"a limit":[["JFK",{"day":-1}]]}')), kept)


def test_what_was_decided_under_a_policy_that_decides_no_more_comes_out_the_same(
    copied: Callable[[str], Home], workload: Workload, found: Decided, kept: Kept
) -> None:
    home = copied("another_policy")
    database.start(home.settings)
    was = activation.kept(home.settings, found.rows["policy_version"][0])
    harm = was.declared.model_copy(update={"harm": 3 * was.declared.harm})
    dearer = PolicyBundle(harm, was.table_text, was.documents)
    why, now = "late flights cost more than we thought", datetime.now(UTC)
    activation.activate(home.settings, workload, dearer, by="A. Jensen", why=why, first_day=DAY, now=now)

    with store.opened(home.settings) as ledger:
        assert activation.in_force(home.settings, ledger, workload, DAY, now).version == dearer.version != was.version
        then = decided_on(home.lake, ledger, workload, DAY)
        assert committed(ledger, workload, then).held
    otherwise = decide(then.evidence, dearer, phrases(workload), then.used)
    assert (otherwise["action"] != then.rows["action"]).sum() > 100, "it decides alike: the test says nothing"
    at_hand = replace(kept, policy=partial(activation.kept, home.settings))
    for made in (whole(workload, then, at_hand), each(workload, then, at_hand)):
        assert len(made) == then.rows.height
        assert [one.case for one in made if one.differences] == []
    notified = then.rows.filter(pl.col("action") == "notify")["case_key"][0]
    assert explain(home.lake, workload, then, notified, at_hand).rules[1].rule == "notify-saves"
