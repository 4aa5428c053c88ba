"""One real Spark on this machine, and a lakehouse that holds the pilot's first days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from automation.calendar import Days
from automation.derivation import derive_table
from automation.engines import on_spark
from automation.engines.on_duckdb import DuckDB
from automation.engines.on_spark import Spark
from automation.lakehouse import DAY, Lakehouse
from automation.workload import Delivery, Workload, WorkloadSpec
from contracts.enforcement import enforce

ROOT = Path(__file__).parent.parent.parent
LANDED = Days(date(2013, 1, 1), date(2013, 1, 5))
ASKED = Days(date(2013, 1, 4), date(2013, 1, 5))


@pytest.fixture(scope="session")
def workload() -> Workload:
    """The pilot."""
    attributes = yaml.safe_load((ROOT / "assets" / "flight_disruption" / "defs.yaml").read_text())["attributes"]
    return Workload(WorkloadSpec.model_validate(attributes), "assets.flight_disruption", ROOT / "contracts")


@pytest.fixture(scope="session")
def spark() -> Spark:
    """Spark on two cores of this machine, started when it is first used."""
    lacks = on_spark.missing()
    if lacks is not None:
        pytest.fail(f"Spark cannot run: {lacks.what}. {lacks.remedy} .ci/run does both.")
    return Spark("local[2]", (("spark.driver.memory", "1g"),))


@pytest.fixture(scope="session")
def lake(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Raw tables of some days as the boundary writes them, and what DuckDB derives from them."""
    made = Lakehouse(str(tmp_path_factory.mktemp("lakehouse")))
    feed = workload.module("feed")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WARRANT_FLIGHT_DISRUPTION_SOURCE", raising=False)
        for table in workload.spec.feeds:
            deliver, contract = getattr(feed, table.table), workload.contract(table.table)
            if table.delivery is Delivery.WHOLE:
                made.replace(workload.name, table.table, enforce(deliver(), contract).valid)
            else:
                rows = enforce(deliver(workload.calendar, LANDED), contract, partition=DAY).valid
                made.replace_days(workload.name, table.table, rows, LANDED)
    for table, _ in workload.spec.derived_tables.values():
        rows = derive_table(DuckDB(), made, workload, table, LANDED)
        valid = enforce(rows, workload.contract(table.table), partition=DAY).valid
        made.replace_days(workload.name, table.table, valid, LANDED)
    return made
