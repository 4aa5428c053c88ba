"""The code location: every asset as it stands in a committed snapshot, and an import that pulls in nothing slow.

After a change that is meant, write the snapshot again and look at what differs:

    WARRANT_REWRITE_SNAPSHOTS=1 python -m pytest tests/unit/test_definitions.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from automation.components import declared_workloads
from automation.gates.standing import GATES

ROOT = Path(__file__).parent.parent.parent
SNAPSHOT = Path(__file__).parent / "assets.snapshot.json"
SLOW = ("great_expectations", "feast", "mlflow", "lightgbm", "sklearn", "pandera")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    from automation.definitions import defs

    return defs()


def described(definitions: dg.Definitions) -> dict[str, dict]:
    graph = definitions.resolve_asset_graph()
    result = {}
    for spec in sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key.to_user_string()):
        checks = [graph.get_check_spec(key) for key in graph.get_check_keys_for_assets({spec.key})]
        partitions = spec.partitions_def
        result[spec.key.to_user_string()] = {
            "group": spec.group_name,
            "deps": {dep.asset_key.to_user_string(): _mapping(dep) for dep in spec.deps},
            "owners": list(spec.owners),
            "kinds": sorted(spec.kinds),
            "tags": {name: value for name, value in sorted(spec.tags.items()) if not name.startswith("dagster/kind/")},
            "condition": spec.automation_condition.get_label() if spec.automation_condition else None,
            "checks": sorted(
                f"{check.name}{' blocking' if check.blocking else ''}{' by day' if check.partitions_def else ''}"
                for check in checks
            ),
            "partitions": partitions and _partitioned(partitions),
            "columns": len(spec.metadata["dagster/column_schema"].columns)
            if "dagster/column_schema" in spec.metadata
            else None,
        }
    return result


def _partitioned(partitions: dg.PartitionsDefinition) -> str:
    if isinstance(partitions, dg.DynamicPartitionsDefinition):
        return str(partitions.name)
    assert isinstance(partitions, dg.TimeWindowPartitionsDefinition)
    each = "" if isinstance(partitions, dg.DailyPartitionsDefinition) else f", each {partitions.schedule_type.value}"
    return f"{partitions.start:%Y-%m-%d} to {partitions.end:%Y-%m-%d} {partitions.timezone}{each}"


def _mapping(dep: dg.AssetDep) -> str:
    mapping = dep.partition_mapping
    if mapping is None:
        return "all"
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    return f"days {mapping.start_offset} to {mapping.end_offset}"


def test_every_asset_is_as_the_snapshot_says(definitions: dg.Definitions) -> None:
    found = json.dumps(described(definitions), indent=1, sort_keys=True) + "\n"
    if os.environ.get("WARRANT_REWRITE_SNAPSHOTS"):
        SNAPSHOT.write_text(found)
    assert json.loads(found) == json.loads(SNAPSHOT.read_text())


WARNING_ONLY = (
    "unusual",
    "live_models",
    "as_promoted",
    "features_whole",
    "inputs_unchanged",
    "expected_performance",
    "no_harm",
)


def test_every_asset_has_an_owner_a_group_a_description_and_what_reads_it_waits_for_its_gates(
    definitions: dg.Definitions,
) -> None:
    for name, asset in described(definitions).items():
        assert asset["owners"], name
        assert asset["group"] == asset["tags"]["stage"], name
        assert all("blocking" in check or check.startswith(WARNING_ONLY) for check in asset["checks"]), name
        assert all(("by day" in check) == bool(asset["partitions"]) for check in asset["checks"]), name
    assert all(spec.description for spec in definitions.resolve_all_asset_specs())


def test_every_table_with_a_contract_has_its_gate(definitions: dg.Definitions) -> None:
    [workload] = declared_workloads(definitions).values()
    assets = described(definitions)
    for table, contract in workload.contracts.items():
        asset = assets.get(f"{workload.name}/{table}")
        if asset is None:
            assert table == workload.spec.model.contract
            continue
        assert any(check.startswith("contract blocking") for check in asset["checks"]), table
        assert any(check.startswith("expectations") for check in asset["checks"]) == bool(contract.expectations), table


def test_a_table_shows_where_its_contract_lies_and_its_gates_what_the_contract_promises(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    table = dg.AssetKey(["flight_disruption", "flight_status"])
    # Dagster adds the place of the declaration, defs.yaml.
    references = graph.get(table).metadata["dagster/code_references"].code_references
    document = ROOT / "contracts" / "flight_disruption" / "flight_status.odcs.yaml"
    assert document in [Path(reference.file_path) for reference in references]
    promised = {key.name: graph.get_check_spec(key).description for key in graph.get_check_keys_for_assets({table})}
    assert promised["contract"].startswith("At most 1% of the rows may break flight_status 1.0.0")
    assert "rows: from 200 to 2,600" in promised["expectations"]


def test_jobs_schedules_and_sensors_are_those_the_platform_promises(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert {name for name in repository.job_names if not name.startswith("__")} == {
        "flight_disruption_setup",
        "flight_disruption_history",
        "flight_disruption_retrain",
        "flight_disruption_submitted",
        "flight_disruption_daily",
        "flight_disruption_landing",
        "flight_disruption_release",
        "flight_disruption_upkeep",
        "flight_disruption_retraining_ways",
    }
    assert sorted(schedule.name for schedule in repository.schedule_defs) == [
        "flight_disruption_daily",
        "flight_disruption_retrain",
        "flight_disruption_upkeep",
    ]
    assert [
        sensor.name for sensor in repository.sensor_defs if sensor.name != "default_automation_condition_sensor"
    ] == [
        "flight_disruption_automation",
        "flight_disruption_landing",
        "flight_disruption_model_aliases",
        "flight_disruption_new_data",
        "flight_disruption_retraining",
        "flight_disruption_submitted_models",
        "warrant_alerts",
    ]


def test_the_code_location_is_imported_without_the_slow_libraries_and_without_touching_the_disk(tmp_path: Path) -> None:
    program = f"""
import sys
from automation.definitions import defs
defs().get_repository_def()
loaded = [name for name in {SLOW!r} if name in sys.modules]
assert not loaded, loaded
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"WARRANT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "home").exists()


def test_imports_point_one_way() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_reads_a_table_knows_its_gates_and_asks_for_them(definitions: dg.Definitions) -> None:
    """A job of one asset knows of its inputs' metadata only, and dg.asset would ask for nothing."""
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        holding = sorted(check.name for check in graph.get(key).check_keys if graph.get(check).blocking)
        assert sorted(graph.get(key).metadata.get(GATES, [])) == holding, f"{key} is not a gates.gated_asset"
    for asset in definitions.resolve_asset_graph().assets_defs:
        if asset.is_materializable:
            compute = asset.op.compute_fn.decorated_fn
            assert hasattr(compute, "__wrapped__"), f"{asset.key} is not a gates.gated_asset"
