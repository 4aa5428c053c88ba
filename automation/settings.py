"""Where Warrant keeps its state and which ports it serves, read from ``WARRANT_*`` variables.

This is the only module that reads Warrant's environment. Everything else is handed a `Settings`.
Reading settings touches neither the network nor the file system.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from automation.engines.engine import EngineName

Schema: TypeAlias = Literal["dagster", "mlflow", "feast", "warrant"]


class Settings(BaseSettings):
    """Warrant's settings. Every field is an environment variable with the prefix ``WARRANT_``."""

    model_config = SettingsConfigDict(env_prefix="WARRANT_", frozen=True, extra="ignore")

    home: Path = Field(
        default=Path(".warrant"),
        description="Folder of all local state: embedded Postgres, Delta tables, artifacts, logs.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description=(
            "A PostgreSQL database of your own (postgresql://user:password@host/name) instead of the "
            "embedded one. Warrant keeps to the schemas dagster, mlflow, feast and warrant in it."
        ),
    )
    lakehouse_url: str | None = Field(
        default=None,
        description="Folder or object store URL of the Delta tables; by default WARRANT_HOME/lakehouse.",
    )
    artifacts_url: str | None = Field(
        default=None,
        description="Folder or object store URL of MLflow's artifacts; by default WARRANT_HOME/artifacts.",
    )
    landing_folder: Path | None = Field(
        default=None, description="Folder into which files for the feeds are dropped; by default WARRANT_HOME/landing."
    )
    online_store_url: SecretStr | None = Field(
        default=None,
        description="A Redis (redis://user:password@host:6379/0) to serve features from; by default the database.",
    )
    engine: EngineName | None = Field(
        default=None,
        description="What computes derived tables: duckdb or spark; by default what the workload says, else duckdb.",
    )
    spark_master: str = Field(default="local[*]", description="Spark's master, where the engine is spark.")
    spark_conf: dict[str, str] | None = Field(
        default=None, description="Further settings of the Spark session: a JSON object of texts."
    )
    ledger_name: str = Field(
        default="warrant", description="The name that the ledger is signed under, for ever: your organisation's, say."
    )
    ledger_key_file: Path | None = Field(
        default=None, description="File of the ledger's signing key; by default WARRANT_HOME/keys/ledger.key."
    )
    ledger_witness_url: str | None = Field(
        default=None, description="Address of a witness (C2SP tlog-witness) that cosigns the ledger's checkpoints."
    )
    ledger_witness_key: str | None = Field(default=None, description="The witness's public key: name+id+key.")
    ledger_anchor: Path | None = Field(
        default=None,
        description="Folder into which every checkpoint is written, where the database's keeper has no hand.",
    )
    host: str = Field(default="127.0.0.1", description="Address the user interfaces listen on.")
    dagster_port: int = Field(default=3000, ge=1, le=65535, description="Port of the Dagster UI.")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="Port of the MLflow UI.")

    alert_webhook_url: SecretStr | None = Field(
        default=None, description="Address that alerts are posted to as JSON (Slack and its like take it as it is)."
    )
    alert_webhook_secret: SecretStr | None = Field(
        default=None, description="What the posted alerts are signed with (HMAC-SHA256, as in Standard Webhooks)."
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server that takes alerts: smtp://user:password@host:587, or smtps:// for TLS at once.",
    )
    alert_email_to: str | None = Field(
        default=None,
        description="Who gets every alert by e-mail, separated by commas. Owners that are addresses get theirs anyway.",
    )
    alert_email_from: str | None = Field(
        default=None, description="Whom alerts by e-mail come from; by default warrant@ and the host's name."
    )

    @field_validator("home", "landing_folder", "ledger_key_file", "ledger_anchor")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    def __hash__(self) -> int:
        return hash(
            (self.home, self.database_url, self.lakehouse_url, self.artifacts_url, self.online_store_url, self.host)
        )

    @property
    def lakehouse(self) -> str:
        """URL or folder under which every Delta table lies, at ``<workload>/<table>``."""
        return self.lakehouse_url or str(self.home / "lakehouse")

    @property
    def artifacts(self) -> str:
        """URL or folder of MLflow's artifacts."""
        return self.artifacts_url or str(self.home / "artifacts")

    @property
    def landing(self) -> Path:
        """The folder into which files for the feeds are dropped, at ``<workload>/<table>``."""
        return self.landing_folder or self.home / "landing"

    @property
    def dagster_home(self) -> Path:
        """The folder that ``DAGSTER_HOME`` names; its dagster.yaml is generated."""
        return self.home / "dagster"


@cache
def settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()


def environment(overrides: dict[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's, with ``overrides`` on top."""
    return {**os.environ, **overrides}
