"""A candidate policy is tried on the past, shadows, decides from a day on, and is taken back: the day is as it was.

So are switches: what is off is not done, is in the day's evidence, and with it the day is made again alike.
"""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from automation.calendar import Days
from automation.cli import warrant
from automation.ledger import decisions as ledger_decisions
from automation.ledger import store
from automation.policy import bundle
from automation.replay import Platform
from automation.workload import Workload
from tests.lineage.conftest import NAME, ROOT, Home

LAST = date(2013, 1, 11)


def invoked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(warrant, ["policy", *arguments, "--workload", NAME])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, str(result.exception)
    return result.exit_code, result.output


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    """The pilot's policy, but for a notice that must save $60, and one airport at which nobody is protected."""
    folder = tmp_path / "stricter"
    shutil.copytree(ROOT / "assets" / NAME / "policy", folder)
    table = json.loads((folder / bundle.TABLE).read_text())
    [rules] = [node["content"]["rules"] for node in table["nodes"] if node["type"] == "decisionTableNode"]
    [notify] = [rule for rule in rules if rule["_id"] == "notify-saves"]
    notify["in-saving"] = "> 60"
    forbidden = {**notify, "_id": "none-from-jfk", "in-action": '"protect"', "in-saving": "", "in-origin": '"JFK"'}
    forbidden |= {"out-rule": '"none-from-jfk"', "out-verdict": '"forbid"', "out-reason": '"no seats from {origin}"'}
    rules.append(forbidden)
    (folder / bundle.TABLE).write_text(json.dumps(table))
    return folder


def decided(home: Home, day: date = LAST) -> pl.DataFrame:
    return home.lake.read(NAME, "decisions", Days.one(day)).sort("case_key")


def decide_again(platform: Platform) -> None:
    """The day's decisions and what shadows them, materialized by hand."""
    job = platform.definitions.resolve_job_def(f"{NAME}_daily")
    assets = [dg.AssetKey([NAME, table]) for table in ("decisions", "shadow_decisions")]
    done = job.execute_in_process(instance=platform.instance, partition_key=str(LAST), asset_selection=assets)
    assert all(each.passed for each in done.get_asset_check_evaluations())


def test_a_candidate_is_tried_shadows_decides_and_is_taken_back(
    platform: Platform, workload: Workload, home: Home, stricter: Path, tmp_path: Path
) -> None:
    before = decided(home)
    candidate = bundle.load(workload, stricter)
    asked = ("--candidate", str(stricter), "--by", "A. Jensen", "--reason", "a test", "--first-day", str(LAST))

    # Tried on both days that were decided: only what its rules change comes out otherwise.
    files = ("--plot", str(tmp_path / "saved.svg"), "--cases", str(tmp_path / "cases.csv"))
    days = ("--from", "2013-01-10", "--to", "2013-01-11")
    code, said = invoked("backtest", "--candidate", str(stricter), *days, *files, "--json")
    assert code == 0, said
    found = json.loads(said)
    rules = {each["rule"]: each for each in found["by_rule"]}
    assert set(rules) == {"notify-saves", "none-from-jfk"}
    assert found["decided_otherwise"] == sum(each["cases"] for each in rules.values()) > 0
    assert found["saved"] == pytest.approx(sum(each["saved"] for each in rules.values()))
    assert found["cases"] == home.lake.read(NAME, "decisions").height
    assert pl.read_csv(tmp_path / "cases.csv").height == found["decided_otherwise"]
    assert (tmp_path / "saved.svg").read_text().startswith("<svg")
    same = json.loads(invoked("backtest", *days, "--json")[1])
    assert (same["decided_otherwise"], same["saved"]) == (0, 0.0)

    # It shadows: beside the decisions of the day, which stay as they are.
    assert invoked("shadow", *asked)[0] == 0
    decide_again(platform)
    shadow = home.lake.read(NAME, "shadow_decisions", Days.one(LAST))
    assert decided(home).equals(before)
    assert set(shadow["policy_version"]) == {candidate.version}
    unlike = shadow.filter("differs")["case_key"]
    assert sorted(unlike) == sorted(
        pl.read_csv(tmp_path / "cases.csv", try_parse_dates=True).filter(pl.col("day") == LAST)["case_key"]
    )

    # Not by everybody; then it decides, and what it decides is what it would have.
    refused = invoked("activate", *(word if word != "A. Jensen" else "R. Silva" for word in asked))
    assert refused[0] == 1
    assert "Person 'R. Silva' may not activate_policy" in refused[1]
    assert invoked("activate", *asked)[0] == 0
    decide_again(platform)
    now = decided(home)
    assert set(now["policy_version"]) == {candidate.version}
    assert now["action"].to_list() == shadow.sort("case_key")["action"].to_list()
    assert set(decided(home, date(2013, 1, 10))["policy_version"]) == set(before["policy_version"])

    # Taken back, the day is decided as it was, byte for byte, and the ledger says all of it.
    back = ("--by", "M. Okafor", "--reason", "too strict", "--first-day", str(LAST))
    assert invoked("rollback", *back)[0] == 0
    decide_again(platform)
    assert decided(home).equals(before)
    with store.opened(platform.settings) as ledger:
        said_of = [event.type for event in ledger.events(f"policy/{NAME}")]
        roots = [
            event.data["batches"]["decisions"]["root"] for event in ledger.events(ledger_decisions.stream(NAME, LAST))
        ]
    assert said_of == ["activated", "shadowed", "activated", "rolled_back"]
    assert len(roots) == 3
    assert roots[0] == roots[2] != roots[1]
    listed = json.loads(invoked("list", "--json")[1])
    assert [each["by"] for each in listed] == ["warrant", "A. Jensen", "A. Jensen", "M. Okafor"]

    # Nothing shadows any more: the home, which others share, has what it had.
    assert invoked("shadow", "--end", *asked[2:])[0] == 0
    decide_again(platform)
    assert home.lake.read(NAME, "shadow_decisions", Days.one(LAST)).is_empty()
    shutil.rmtree(home.folder / "lakehouse" / NAME / "shadow_decisions")


# ---------------------------------------------------------------- switches

BY = ("--by", "M. Okafor", "--reason", "no seats are left", "--first-day", str(LAST))
OWNED = ("--by", "A. Jensen", *BY[2:])
OFF = "is switched off by M. Okafor: no seats are left"


def done(*words: str) -> str:
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


def test_what_is_off_decides_nothing_is_evidence_and_the_day_is_made_again_alike(
    platform: Platform, home: Home
) -> None:
    before = decided(home)
    [version] = before["model_version"].drop_nulls().unique()
    done("policy", "shadow", *OWNED)
    done("switch", "off", "--action", "protect", *BY)
    done("switch", "off", "--model", str(version), *BY)
    decide_again(platform)
    rows = decided(home)
    # A person decides all that the model scored, and hears what would not have been done anyway.
    assert set(rows["status"]) == {"review"}
    scored = rows.filter(pl.col("model_version").is_not_null())
    assert all(f"model version {version} {OFF}" in json.loads(said) for said in scored["review_reasons"])
    protected = before.filter(action="protect", status="automated")["case_key"]
    instead = rows.filter(pl.col("case_key").is_in(protected.implode()))
    assert instead.height > 0
    assert all(OFF in reasons for reasons in instead["reasons"])
    who = {"by": "M. Okafor", "why": "no seats are left"}
    assert evidence(platform)["switches_off"] == [
        {"kind": "action", "name": "protect", **who},
        {"kind": "model", "name": str(version), **who},
    ]
    assert shown(platform) == f"the action protect {OFF}; model version {version} {OFF}"
    _made_again_alike(home, instead["case_key"][0])

    # On again, the day is decided as it was, byte for byte.
    done("switch", "on", "--action", "protect", *BY)
    done("switch", "on", "--model", str(version), *BY)
    done("policy", "shadow", "--end", *OWNED)
    decide_again(platform)
    assert decided(home).equals(before)
    assert (evidence(platform)["switches_off"], shown(platform)) == ([], "nothing")
    # What the day wanted of places that follow it is in its event, and what was usual: of the one day before it.
    wanted = "protect per origin every day, to save more than $200.00"
    (of_day, groups), (of_usual, _) = (evidence(platform)[name][wanted] for name in ("demand", "demand_usual"))
    assert (of_day, of_usual) == (1, 1)
    assert {group for group, *_ in groups} <= {"EWR", "JFK", "LGA"}
    shutil.rmtree(home.folder / "lakehouse" / NAME / "shadow_decisions")


def _made_again_alike(home: Home, case: str) -> None:
    """Whole and alone, by a backtest and by a shadow, both of the policy in force: nothing comes out otherwise."""
    again = json.loads(done("replay-decision", "--day", str(LAST), "--json"))
    assert (again["made_again"], again["unlike"], again["committed"]) == (decided(home).height, [], True)
    assert json.loads(done("replay-decision", case, "--json"))["unlike"] == []
    days = ("--from", str(LAST), "--to", str(LAST))
    assert json.loads(done("policy", "backtest", *days, "--json"))["decided_otherwise"] == 0
    shadow = home.lake.read(NAME, "shadow_decisions").filter(day=LAST)
    assert shadow.height > 0
    assert not shadow["differs"].any()
