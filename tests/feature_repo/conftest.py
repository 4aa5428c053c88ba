"""A feature store with a real registry and real Delta tables, holding the toy workload."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import feature_repo
from feature_repo import store as feature_store_module

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
WORKLOADS = str(Path(__file__).parent / "workloads")
TIME = pl.Datetime("us", "UTC")


def at(hours: float) -> datetime:
    """That many hours after noon."""
    return NOON + timedelta(hours=hours)


def cases(*rows: tuple) -> pl.DataFrame:
    """An entity frame of (airport, plane, time of the decision)."""
    schema = {"airport": pl.String, "plane": pl.Int64, "event_timestamp": TIME}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


@pytest.fixture(autouse=True)
def _toy_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_repo, "__path__", [*feature_repo.__path__, WORKLOADS])


@pytest.fixture
def lakehouse(tmp_path: Path) -> Path:
    return tmp_path / "lakehouse"


@pytest.fixture
def write(lakehouse: Path):
    """Write rows to a table of the lakehouse: one commit, at most one file."""

    def write(table: str, schema: dict, rows: Sequence[tuple], mode: str = "append") -> None:
        frame = pl.DataFrame(
            rows if schema is None else list(rows), schema=schema, orient=None if schema is None else "row"
        )
        options = {"schema_mode": "overwrite"} if mode == "overwrite" else {}
        frame.write_delta(str(lakehouse / table), mode=mode, delta_write_options=options)

    return write


@pytest.fixture(scope="session")
def applied_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that holds the toy workloads, to copy: applying them to a new one takes a second."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    opened = feature_store_module.feature_store(f"sqlite:///{path}", "unused")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_repo, "__path__", [*feature_repo.__path__, WORKLOADS])
        for workload in ("toy", "variants"):
            feature_store_module.apply(opened, workload)
    return path


@pytest.fixture
def store(tmp_path: Path, lakehouse: Path, applied_registry: Path):
    registry = shutil.copy(applied_registry, tmp_path)
    return feature_store_module.feature_store(f"sqlite:///{registry}", str(lakehouse))
