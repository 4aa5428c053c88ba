"""What is switched off is not done on a real day, is in the day's evidence, and with it the day is made again alike."""

from __future__ import annotations

import json

import dagster as dg
import polars as pl
from click.testing import CliRunner

from automation.cli import warrant
from automation.ledger import decisions as ledger_decisions
from automation.ledger import store
from automation.replay import Platform
from automation.workload import Workload
from tests.lineage.conftest import NAME, Home
from tests.lineage.test_policy_life import LAST, decide_again, decided

BY = ("--by", "M. Okafor", "--reason", "no seats are left", "--first-day", str(LAST))
OWNED = ("--by", "A. Jensen", *BY[2:])
OFF = "is switched off by M. Okafor: no seats are left"


def invoked(*words: str) -> str:
    result = CliRunner().invoke(warrant, [*words, "--workload", NAME])
    assert result.exception is None, result.output
    return result.output


def evidence(platform: Platform) -> dict:
    with store.opened(platform.settings) as ledger:
        return ledger.events(ledger_decisions.stream(NAME, LAST))[-1].data


def shown(platform: Platform) -> str:
    made = platform.instance.get_latest_materialization_event(dg.AssetKey([NAME, "decisions"]))
    assert made is not None
    assert made.asset_materialization is not None
    return str(made.asset_materialization.metadata["switched off"].value)


def test_an_action_and_a_model_that_are_off_decide_nothing_and_the_day_is_made_again_alike(
    platform: Platform, workload: Workload, home: Home
) -> None:
    before = decided(home)
    [version] = before["model_version"].drop_nulls().unique()
    invoked("policy", "shadow", *OWNED)
    invoked("switch", "off", "--action", "protect", *BY)
    decide_again(platform)
    rows = decided(home)
    protected = before.filter(action="protect", status="automated")["case_key"]
    assert protected.len() > 0
    assert "protect" not in rows["action"].to_list()
    instead = rows.filter(pl.col("case_key").is_in(protected.implode()))
    assert set(instead["status"]) == {"automated"}
    assert set(instead["action"]) <= {"notify", "proceed"}
    assert all(OFF in reasons for reasons in instead["reasons"])
    assert evidence(platform)["switches_off"] == [
        {"kind": "action", "name": "protect", "by": "M. Okafor", "why": "no seats are left"}
    ]
    assert shown(platform) == f"the action protect {OFF}"
    _made_again_alike(home, instead["case_key"][0])

    # The model's cases, too: a person decides all that were scored.
    invoked("switch", "off", "--model", str(version), *BY)
    decide_again(platform)
    rows = decided(home)
    assert set(rows["status"]) == {"review"}
    scored = rows.filter(pl.col("model_version").is_not_null())
    assert all(f"model version {version} {OFF}" in json.loads(said) for said in scored["review_reasons"])
    _made_again_alike(home, scored["case_key"][0])

    # On again, the day is decided as it was, byte for byte.
    invoked("switch", "on", "--action", "protect", *BY)
    invoked("switch", "on", "--model", str(version), *BY)
    invoked("policy", "shadow", "--end", *OWNED)
    decide_again(platform)
    assert decided(home).equals(before)
    assert (evidence(platform)["switches_off"], shown(platform)) == ([], "nothing")


def _made_again_alike(home: Home, case: str) -> None:
    """Whole and alone, by a backtest and by a shadow, both of the policy in force: nothing comes out otherwise."""
    again = json.loads(invoked("replay-decision", "--day", str(LAST), "--json"))
    assert (again["made_again"], again["unlike"], again["committed"]) == (decided(home).height, [], True)
    assert json.loads(invoked("replay-decision", case, "--json"))["unlike"] == []
    days = ("--from", str(LAST), "--to", str(LAST))
    assert json.loads(invoked("policy", "backtest", *days, "--json"))["decided_otherwise"] == 0
    shadow = home.lake.read(NAME, "shadow_decisions").filter(day=LAST)
    assert shadow.height > 0
    assert not shadow["differs"].any()
