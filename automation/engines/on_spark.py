"""Spark: a session on a master of your choice, by default this machine's cores.

Tables are read from the Parquet files that Delta's log names, so that nothing is downloaded and no Delta package has to
fit the cluster's Spark. This module imports without pyspark; a session is started when something is first computed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs

from automation.engines.engine import EngineName, EngineUnavailableError, Files

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.sql.compilers.base import SQLGlotCompiler
    from pyspark.sql import SparkSession

    from automation.calendar import Days
    from automation.engines.engine import Input
    from automation.lakehouse import Lakehouse

OLDEST_JAVA = 17
LOCAL = re.compile(r"local(\[|-|$)")
# What results depend on; nobody may set them otherwise. ANSI: what cannot be cast or overflows fails, as on DuckDB.
PINNED = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
# Where the cluster is this machine: no page of its own, no name of the host to be resolved, a task a core.
ON_THIS_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "4g",
    "spark.sql.shuffle.partitions": str(max(os.cpu_count() or 1, 2)),
    # Otherwise Spark names a folder of the working directory.
    "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "warrant-spark-warehouse"),
}
ANYWHERE = {"spark.app.name": "warrant", "spark.log.level": "ERROR", "spark.driver.maxResultSize": "0"}


@dataclass(frozen=True)
class Spark:
    """The engine for data that one machine's DuckDB takes too long for."""

    master: str
    configuration: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> EngineName:
        return EngineName.SPARK

    def stored(self, lakehouse: Lakehouse, workload: str, table: str, days: Days | None) -> Input:
        return lakehouse.files(workload, table, days)

    def compiled(self, expression: ir.Table) -> str:
        compiler = _compiler()
        return compiler.to_sqlglot(expression).sql(dialect=compiler.dialect)

    def run(self, sql: str, inputs: Mapping[str, Input]) -> pl.DataFrame:
        from ibis.backends.pyspark.datatypes import PySparkSchema
        from ibis.formats.polars import PolarsSchema

        # Names of tables and settings are the session's: of two that compute at once neither sees the other's.
        session = self.started().newSession()
        for name, value in PINNED.items():
            session.conf.set(name, value)
        for name, given in inputs.items():
            schema = PySparkSchema.from_ibis(PolarsSchema.to_ibis(given.schema))
            match given:
                case Files(paths=()):
                    rows = session.createDataFrame([], schema)
                case Files(paths=paths):
                    rows = session.read.schema(schema).parquet(*paths)
                case pl.DataFrame():
                    rows = session.createDataFrame(given.to_arrow(compat_level=pl.CompatLevel.oldest()), schema)
            rows.createOrReplaceTempView(name)
        result = pl.DataFrame(session.sql(sql).toArrow())
        return result.with_columns(cs.datetime().dt.cast_time_unit("us").dt.convert_time_zone("UTC"))

    def started(self) -> SparkSession:
        """The session, started with the first call in a process.

        Raises:
            EngineUnavailableError: pyspark or Java is missing or too old, or the master does not answer.
        """
        return _session(self)

    def session_settings(self) -> dict[str, str]:
        """Everything a session of this engine is started with, once it is known that it can be.

        Raises:
            EngineUnavailableError: pyspark or Java is missing or too old.
        """
        if (lacks := missing()) is not None:
            raise EngineUnavailableError(
                f"The engine is spark, but {lacks.what}.",
                remedy=f"{lacks.remedy} Or leave WARRANT_ENGINE (or `engine:` in defs.yaml) at duckdb.",
            )
        local = ON_THIS_MACHINE if LOCAL.match(self.master) else {}
        return {"spark.master": self.master, **ANYWHERE, **local, **dict(self.configuration), **PINNED}


@dataclass(frozen=True)
class Missing:
    """What Spark lacks here, and what to do about it."""

    what: str
    remedy: str


def missing() -> Missing | None:
    """What Spark lacks on this machine; None if it can run."""
    if find_spec("pyspark") is None:
        return Missing("the package pyspark is not installed", "Run `make spark`.")
    java = _java()
    install = "Install Java 17 (Debian: apt install openjdk-17-jre-headless), or set JAVA_HOME to one that is there."
    if java is None:
        return Missing("there is no Java: neither JAVA_HOME nor the PATH leads to one", install)
    found = java_version(java)
    if found is None:
        return Missing(f"{java} does not say which version it is", install)
    if found < OLDEST_JAVA:
        return Missing(f"{java} is Java {found}", install)
    return None


def java_version(java: str) -> int | None:
    """The major version that a ``java`` program gives of itself."""
    try:
        said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found else None


def _java() -> str | None:
    """The program that Spark starts: that of JAVA_HOME, or else the first on the PATH."""
    if home := os.environ.get("JAVA_HOME"):
        java = Path(home) / "bin" / "java"
        return str(java) if os.access(java, os.X_OK) else None
    return shutil.which("java")


@cache
def _session(engine: Spark) -> SparkSession:
    settings = engine.session_settings()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        said = str(error).strip().splitlines()
        raise EngineUnavailableError(
            f"Spark does not start on {engine.master}: {said[0] if said else type(error).__name__}.",
            remedy="Check WARRANT_SPARK_MASTER and WARRANT_SPARK_CONF; `warrant doctor` says what is missing here.",
        ) from error


@cache
def _compiler() -> SQLGlotCompiler:
    """Ibis's compiler for Spark, but that seconds become instants as numbers, not by way of a text."""
    from ibis.backends.pyspark import Backend
    from ibis.backends.sql.compilers.pyspark import PySparkCompiler

    # The compiler reads options that the backend declares.
    Backend.register_options()

    class NumericInstants(PySparkCompiler):
        __slots__ = ()

        def visit_ExtractEpochSeconds(self, op, *, arg):  # noqa: N802, ARG002 - as Ibis calls it
            return self.f.anon.unix_seconds(arg)

        def visit_TimestampFromUNIX(self, op, *, arg, unit):  # noqa: N802 - as Ibis calls it
            if unit.short != "s":
                return super().visit_TimestampFromUNIX(op, arg=arg, unit=unit)
            return self.f.anon.timestamp_seconds(arg)

    return NumericInstants()
