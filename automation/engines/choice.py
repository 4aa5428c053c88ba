"""Which engine computes: the machine's setting first, then the workload's, then DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automation.engines.engine import EngineName
from automation.engines.on_duckdb import DuckDB
from automation.engines.on_spark import Spark

if TYPE_CHECKING:
    from automation.engines.engine import Engine
    from automation.settings import Settings
    from automation.workload import Workload


def chosen_engine(workload: Workload, settings: Settings) -> EngineName:
    """The name of the engine that computes the workload's tables."""
    return settings.engine or workload.spec.engine or EngineName.DUCKDB


def engine_of(workload: Workload, settings: Settings) -> Engine:
    """The engine that computes the workload's tables. Nothing is started before it is used."""
    return engine_named(chosen_engine(workload, settings), settings)


def engine_named(name: EngineName, settings: Settings) -> Engine:
    """The engine of that name, as it is set up."""
    return DuckDB() if name is EngineName.DUCKDB else spark(settings)


def spark(settings: Settings) -> Spark:
    """Spark, as it is set up."""
    return Spark(settings.spark_master, tuple(sorted((settings.spark_conf or {}).items())))
