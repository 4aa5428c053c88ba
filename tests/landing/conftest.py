"""The door of a toy workload and of the pilot: a real database, real Delta tables, real files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from automation import database
from automation.lakehouse import Lakehouse
from automation.landing.door import Door
from automation.landing.folder import Landing
from automation.landing.landed import REFUSED_LINES, landed_of
from automation.landing.verdict import Delivery
from automation.settings import Settings
from automation.workload import Workload, WorkloadSpec

ROOT = Path(__file__).parent.parent.parent
TOY = ROOT / "tests" / "workloads" / "parcel_claims"
CLAIMS = "urn:warrant:contract:parcel_claims:claims:1.0.0"
NOW = datetime(2020, 6, 10, 9, 30, tzinfo=UTC)


def claim(number: int, **changed: Any) -> dict[str, Any]:
    """One row that keeps the contract of claims."""
    made = f"2020-06-10T{8 + number // 60:02}:{number % 60:02}:00Z"
    row = {
        "claim_id": f"L{number:03}",
        "depot": "north",
        "value_dollars": 10 + number,
        "receipt": True,
        "event_time": made,
        "known_time": made,
    }
    return row | changed


def event(number: int, *, data: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """One CloudEvent of a claim."""
    given = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/counters/oslo",
        "type": "claim.made",
        "dataschema": CLAIMS,
        "data": claim(number) if data is None else data,
    }
    return {name: value for name, value in (given | attributes).items() if value is not None}


def ndjson(*lines: dict[str, Any] | str) -> str:
    return "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)


def csv(*rows: dict[str, Any]) -> str:
    return pl.DataFrame([{name: _cell(value) for name, value in row.items()} for row in rows]).write_csv()


def _cell(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


@dataclass(frozen=True)
class Opened:
    """A door, and what is behind it."""

    door: Door

    def put(self, file: str, content: str | bytes) -> str:
        """Writes a file below the workload's landing folder. Returns its path below the landing folder."""
        path = self.door.landing.root / self.door.workload.name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path.relative_to(self.door.landing.root).as_posix()

    def drop(self, file: str, content: str | bytes, now: datetime = NOW) -> Delivery:
        """Puts a file there and takes it in."""
        delivery = self.door.let_in(self.put(file, content), now)
        assert delivery is not None
        return delivery

    def landed(self, table: str = "claims") -> list[dict[str, Any]]:
        """The rows that came in, as they were delivered."""
        lake, name = self.door.lake, self.door.workload.name
        if not lake.exists(name, landed_of(table)):
            return []
        rows = lake.read(name, landed_of(table)).sort("received_at", "delivery", "arrival", "line")
        return [json.loads(row) for row in rows["row"]]

    def ids(self) -> list[str]:
        return [row["claim_id"] for row in self.landed()]

    def refused(self) -> pl.DataFrame:
        """The lines that were not let in."""
        return self.door.lake.read(self.door.workload.name, REFUSED_LINES).sort("line")

    def files(self) -> list[str]:
        """Every file below the landing folder."""
        root = self.door.landing.root
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def database_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running, prepared embedded database."""
    chosen = Settings(home=tmp_path_factory.mktemp("door") / "home")
    database.prepare(chosen)
    yield chosen
    database.stop(chosen)


@pytest.fixture(scope="session")
def parcel_contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy workload's contracts, laid out as the platform's are."""
    contracts = tmp_path_factory.mktemp("contracts")
    shutil.copytree(TOY / "contracts", contracts / "parcel_claims")
    shutil.copytree(ROOT / "contracts" / "platform", contracts / "platform")
    return contracts


@pytest.fixture(scope="session")
def parcels(parcel_contracts: Path) -> Workload:
    """The toy workload, declared."""
    attributes = yaml.safe_load((TOY / "assets" / "defs.yaml").read_text())["attributes"]
    return Workload(WorkloadSpec.model_validate(attributes), "assets.parcel_claims", parcel_contracts)


@pytest.fixture(scope="session")
def flights() -> Workload:
    """The pilot, declared."""
    attributes = yaml.safe_load((ROOT / "assets" / "flight_disruption" / "defs.yaml").read_text())["attributes"]
    return Workload(WorkloadSpec.model_validate(attributes), "assets.flight_disruption", ROOT / "contracts")


@pytest.fixture
def opened(database_home: Settings, tmp_path: Path) -> Callable[[Workload], Opened]:
    """Opens a workload's door on empty folders and an empty record."""
    with database.connect(database_home) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS deliveries")

    def open_door(workload: Workload) -> Opened:
        lake, landing = Lakehouse(str(tmp_path / "lakehouse")), Landing(tmp_path / "landing")
        return Opened(Door(database_home, lake, landing, workload))

    return open_door


@pytest.fixture
def door(opened: Callable[[Workload], Opened], parcels: Workload) -> Opened:
    """The door of the toy workload."""
    return opened(parcels)
