"""A champion scores with the views it was trained with, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from assets.stages import scoring
from assets.stages.feature_store import opened_store
from assets.stages.training import _training_key
from automation.calendar import Days
from automation.cli import warrant
from automation.registry import ModelRegistry
from automation.replay import Platform, Step
from automation.rollout.machine import deciding_on
from automation.workload import Workload
from feature_repo import flight_disruption as coded
from feature_repo.pins import view_digests
from tests.lineage.conftest import NAME, Home


def test_the_champion_names_its_views_and_refuses_others(
    platform: Platform, workload: Workload, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = workload.spec
    live = view_digests(opened_store(platform.settings, platform.settings.lakehouse), spec.features.service)
    registry = ModelRegistry(platform.settings, NAME, spec.model.name)
    assert registry.trained_with(1) == live
    assert len(live) == len(spec.features.views) + 2

    before, day = home.digests(), Days.one(date(2013, 1, 11))
    other = live | {"flight_disruption__origin_weather": "0" * 16}
    champion, pinned = deciding_on(platform.settings, NAME, day.first)
    assert pinned.feature_views == live
    monkeypatch.setattr(scoring, "decider", lambda *_: (champion, replace(pinned, feature_views=other)))
    stopped = platform.run(workload, Step("daily", day), only=[dg.AssetKey([NAME, "scores"])])
    assert "flight_disruption__origin_weather means something else now than when" in str(stopped)
    assert "version 1 was trained" in str(stopped)
    assert home.digests() == before


def test_the_same_rows_under_other_views_are_another_training(
    platform: Platform, workload: Workload, home: Home
) -> None:
    rows = home.lake.read(NAME, "training_set")
    assert _training_key(workload, rows, {"a": "1"}) == _training_key(workload, rows, {"a": "1"})
    assert _training_key(workload, rows, {"a": "1"}) != _training_key(workload, rows, {"a": "2"})


def features(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(warrant, ["features", *arguments])
    return result.exit_code, result.stdout


def test_a_changed_view_is_found_before_it_is_applied_and_a_warning_after(
    platform: Platform, workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert features("check", "--workload", NAME) == (0, "11 views, 0 faults, 0 notes.\n")
    applied = [dg.AssetKey([NAME, "feature_views"])]

    with monkeypatch.context() as edited:
        edited.setattr(coded.origin_weather, "ttl", timedelta(hours=3))
        code, said = features("check", "--workload", NAME, "--json")
        [finding] = json.loads(said)
        assert (code, finding["level"], finding["view"]) == (1, "fault", f"{NAME}__origin_weather")
        assert "version 1 decides and was trained otherwise: scoring will refuse" in finding["says"]
        assert live_models(platform) == (True, 1)
        assert platform.run(workload, Step("setup", None), only=applied) is None
        assert live_models(platform) == (False, 2)
    assert platform.run(workload, Step("setup", None), only=applied) is None
    assert live_models(platform) == (True, 3)


def live_models(platform: Platform) -> tuple[bool, int]:
    """Whether the gate passed last, and how often it was judged."""
    check = dg.AssetCheckKey(dg.AssetKey([NAME, "feature_views"]), "live_models")
    found = platform.instance.event_log_storage.get_asset_check_execution_history(check, limit=10)
    evaluation = found[0].event.dagster_event.asset_check_evaluation_data
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    return evaluation.passed, len(found)


def test_the_catalogue_is_shown_and_so_are_the_days(platform: Platform) -> None:
    code, said = features("list", "--workload", NAME)
    assert code == 0
    assert len(said.splitlines()) == 11
    assert "origin_weather" in said
    code, said = features("show", "--workload", NAME, "origin_weather")
    assert code == 0
    assert "lives       4:00:00" in said
    code, said = features("statistics", "--workload", NAME, "--view", "origin_weather")
    assert code == 0
    assert said.startswith("2013-01-11\n")
    assert "origin_weather.temperature_f" in said
    code, said = features("statistics", "--workload", NAME, "--from", "2013-01-09", "--to", "2013-01-11", "--json")
    assert {row["day"] for row in json.loads(said)} == {"2013-01-09", "2013-01-10", "2013-01-11"}
    [record] = platform.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey([NAME, "feature_statistics"]), asset_partitions=["2013-01-11"]), limit=1
    ).records
    shown = record.asset_materialization.metadata["statistics"].records
    assert len(shown) > 40
    assert any(row.data["off"] != "-" for row in shown)
