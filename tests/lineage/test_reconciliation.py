"""What ledger, decisions and MLflow say is compared, and what was changed behind the ledger's back is found."""

from __future__ import annotations

from datetime import date

import dagster as dg
import polars as pl
import pytest

from automation.calendar import Days
from automation.ledger import store
from automation.registry import CHAMPION_ALIAS, ModelRegistry
from automation.replay import Platform
from automation.workload import Workload
from tests.lineage.conftest import NAME, Home

pytestmark = pytest.mark.lineage
DAY = date(2013, 1, 11)


def judged(platform: Platform, asset: str) -> dict[str, tuple[bool, str]]:
    """The gates of an asset, materialized alone: whether each passed, and what it says."""
    job = platform.definitions.resolve_job_def(f"{NAME}_upkeep")
    done = job.execute_in_process(
        instance=platform.instance, asset_selection=[dg.AssetKey([NAME, asset])], raise_on_error=False
    )
    return {each.check_name: (each.passed, each.description or "") for each in done.get_asset_check_evaluations()}


def test_decisions_edited_in_the_table_are_found_and_decided_again_are_right(platform: Platform, home: Home) -> None:
    assert judged(platform, "ledger_reconciliation") == {
        "verified": (True, judged(platform, "ledger_reconciliation")["verified"][1]),
        "reconciled": (True, "0 days differ."),
    }
    rows = home.lake.read(NAME, "decisions", Days.one(DAY))
    home.lake.replace_days(NAME, "decisions", rows.with_columns(stake=pl.col("stake") + 1), Days.one(DAY))
    found = judged(platform, "ledger_reconciliation")
    assert found["verified"][0]
    assert found["reconciled"] == (
        False,
        f"1 days differ. First: {DAY}: a decision of the table is not as it was committed to: one was edited or "
        "exchanged.",
    )
    home.lake.replace_days(NAME, "decisions", rows, Days.one(DAY))
    assert judged(platform, "ledger_reconciliation")["reconciled"][0]


def test_an_alias_moved_in_mlflow_is_noticed_at_the_next_tick_recorded_and_put_back(
    platform: Platform, workload: Workload
) -> None:
    settings = platform.settings
    registry = ModelRegistry(settings, NAME, workload.spec.model.name)
    promoted = registry.champion_alias()
    assert promoted is not None
    repository = platform.definitions.get_repository_def()
    sensor = repository.get_sensor_def(f"{NAME}_model_aliases")

    def tick() -> dg.SensorResult | dg.RunRequest | dg.SkipReason:
        context = dg.build_sensor_context(instance=platform.instance, repository_def=repository)
        return sensor(context)  # pyrefly: ignore[bad-return]

    assert isinstance(tick(), dg.SkipReason)
    registry.project_champion(None)
    request = tick()
    assert isinstance(request, dg.RunRequest)
    assert request.asset_selection == [dg.AssetKey([NAME, "model_aliases"])]
    passed, says = judged(platform, "model_aliases")["as_promoted"]
    assert not passed
    assert f"{CHAMPION_ALIAS} of flight_disruption was at no version, and version {promoted} was promoted" in says
    assert registry.champion_alias() == promoted
    with store.opened(settings) as ledger:
        [event] = ledger.events(f"aliases/{NAME}")
    assert event.data == {"model": "flight_disruption", "alias": "champion", "is_at": None, "belongs_at": promoted}
    assert isinstance(tick(), dg.SkipReason)
    assert judged(platform, "model_aliases")["as_promoted"][0]
