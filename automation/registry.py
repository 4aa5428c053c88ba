"""MLflow: runs, registered model versions and what they were trained from."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from automation import database
from automation.errors import WarrantError
from automation.models import BoostedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    import polars as pl
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from automation.models import Model
    from automation.settings import Settings

TRAINING_KEY, DIGEST, AS_OF = "warrant.training_key", "warrant.digest", "warrant.as_of"
# What others may say of a version, so that it is not judged on days it was trained on.
TRAINED_UNTIL = "warrant.trained_until"
TABLES, VIEWS = "delta_versions", "feature_views"
FOLLOWED, STATE = "warrant.champion", "warrant.state"
CHAMPION_ALIAS, CANDIDATE_ALIAS = "champion", "candidate"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model."""

    model: str
    version: int
    digest: str
    run_id: str


@dataclass(frozen=True)
class Submitted:
    """A version that somebody registered by other means than training here.

    ``trained_until`` is the last day it says it was trained on (tag `TRAINED_UNTIL`), None where it does not say.
    """

    model: str
    version: int
    run_id: str
    by: str
    at: datetime
    description: str
    trained_until: date | None


@dataclass(frozen=True)
class TrainingRecord:
    """What a run logs: how the model was made, from what, and how it did."""

    training_key: str
    as_of: date
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    evidence: Mapping[str, object]
    plots: Mapping[str, str]


class UnknownVersionError(WarrantError):
    """MLflow does not hold the version that was asked for, or holds other bytes under its number."""


class ModelRegistry:
    """One workload's registered model in MLflow, reached through its database, with or without its server."""

    def __init__(self, settings: Settings, workload: str, model: str) -> None:
        self._settings = settings
        self._workload = workload
        self._model = model

    def find(self, training_key: str) -> RegisteredVersion | None:
        """The version trained from exactly these inputs, if there is one: training again registers nothing twice."""
        found = self._client.search_model_versions(
            f"name = '{self._model}' AND tag.`{TRAINING_KEY}` = '{training_key}'"
        )
        return self._registered(found[0]) if found else None

    def register(self, model: BoostedModel, record: TrainingRecord, example: pl.DataFrame) -> RegisteredVersion:
        """Logs a run with the model, its record and its plots, and registers the version."""
        import mlflow
        from mlflow.models import infer_signature

        client = self._client
        # What is logged goes where the process was told last, which may be another home's database.
        self._address(mlflow)
        mlflow.set_experiment(self._experiment())
        inputs = model_input(example, model.features)
        tags = {TRAINING_KEY: record.training_key, AS_OF: record.as_of.isoformat(), DIGEST: model.digest}
        for said in (TABLES, VIEWS):
            if record.evidence.get(said):
                tags[said] = json.dumps(record.evidence[said], separators=(",", ":"))
        with mlflow.start_run(run_name=f"{self._model} as of {record.as_of}", tags=tags) as run, _quiet():
            mlflow.log_params(dict(record.parameters))
            mlflow.log_metrics(dict(record.metrics))
            mlflow.log_dict(dict(record.evidence), "evidence.json")
            for name, drawn in record.plots.items():
                mlflow.log_text(drawn, f"plots/{name}.svg")
            info = mlflow.lightgbm.log_model(
                model.booster,
                name="model",
                signature=infer_signature(inputs, model.predict(example)),
                input_example=inputs,
                pip_requirements=_requirements(),
            )
        client_model = self._client
        if not client_model.search_registered_models(f"name = '{self._model}'"):
            client_model.create_registered_model(self._model, tags={"workload": self._workload})
        version = client.create_model_version(self._model, info.model_uri, run_id=run.info.run_id, tags=tags)
        self._client.set_registered_model_alias(self._model, CANDIDATE_ALIAS, version.version)
        return self._registered(version)

    def submitted(self) -> dict[int, Submitted]:
        """By number: the complete versions that others registered. Ours say what they were trained from.

        None where MLflow has no tables: it is not asked then, since it would make them.
        """
        if not self._is_there():
            return {}
        found = self._client.search_model_versions(f"name = '{self._model}'", max_results=10_000)
        return {
            int(each.version): Submitted(
                self._model,
                int(each.version),
                each.run_id or "",
                each.user_id or "somebody",
                datetime.fromtimestamp(each.creation_timestamp / 1000, UTC),
                each.description or "",
                _day(each.tags.get(TRAINED_UNTIL)),
            )
            for each in found
            if TRAINING_KEY not in each.tags and each.status == "READY"
        }

    @contextmanager
    def files(self, version: int) -> Iterator[Path]:
        """A version's files, as MLflow has them, for as long as the context lasts. Nothing of them is run.

        Raises:
            UnknownVersionError: they are not there, or lie somewhere that is not MLflow's own: what a client names as
                its model's place is no permission to read it.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            uri = self._client.get_model_version_download_uri(self._model, str(version))
        except MlflowException as error:
            raise self._without_files(version, str(error)) from error
        if not _inside(uri, self._settings.artifacts):
            raise self._without_files(version, f"they lie at {uri}, which is not among MLflow's own artifacts")
        with tempfile.TemporaryDirectory() as folder:
            try:
                tracking = database.url(self._settings, "mlflow")
                found = Path(download_artifacts(uri, dst_path=folder, tracking_uri=tracking))
            except (MlflowException, OSError) as error:
                raise self._without_files(version, str(error)) from error
            yield found

    def _is_there(self) -> bool:
        with database.connect(self._settings) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('mlflow.model_versions') IS NOT NULL")
            return cursor.fetchone() == (True,)

    def attach(self, run_id: str, name: str, text: str) -> None:
        """Puts a text beside what a run logged. Not where a version came without a run, or names one that is not there
        or whose place is not among MLflow's own artifacts: a client may name any.
        """
        from mlflow.exceptions import MlflowException

        if not run_id:
            return
        try:
            place = self._client.get_run(run_id).info.artifact_uri
        except MlflowException:
            return
        if place and _inside(place, self._settings.artifacts):
            self._client.log_text(run_id, text, name)

    def _without_files(self, version: int, says: str) -> UnknownVersionError:
        return UnknownVersionError(
            f"MLflow does not have the files of {self._model} version {version}: {says}",
            remedy="Run `warrant doctor`; if the artifacts are lost, register the version again.",
        )

    def trained_on(self) -> dict[int, dict[str, int]]:
        """By registered version: the versions of the tables it was trained on. Those that do not say are left out."""
        found = self._client.search_model_versions(f"name = '{self._model}'", max_results=10_000)
        return {int(each.version): json.loads(each.tags[TABLES]) for each in found if TABLES in each.tags}

    def trained_with_by_version(self) -> dict[int, dict[str, str]]:
        """By registered version: what each view meant when it was trained. Those that do not say are left out."""
        found = self._client.search_model_versions(f"name = '{self._model}'", max_results=10_000)
        return {int(each.version): json.loads(each.tags[VIEWS]) for each in found if VIEWS in each.tags}

    def trained_with(self, version: int) -> dict[str, str]:
        """By feature view: the digest of what it meant when the version was trained. Empty where that is not known."""
        return _trained_with(self, version)

    def load(self, version: int, digest: str) -> Model:
        """The model of a version, checked against its digest: as it is kept beside the ledger, which needs no MLflow,
        or from MLflow where it never passed a gate.

        Raises:
            UnknownVersionError: MLflow lacks the version, or its files are not those that were promoted.
            KeptChangedError: what is kept is not what was promoted.
        """
        return _load(self, version, digest)

    def download(self, version: int) -> BoostedModel:
        """The model of a version, from MLflow's artifacts."""
        import lightgbm as lgb
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            uri = self._client.get_model_version_download_uri(self._model, str(version))
            with tempfile.TemporaryDirectory() as folder:
                tracking = database.url(self._settings, "mlflow")
                path = Path(download_artifacts(uri, dst_path=folder, tracking_uri=tracking))
                booster = lgb.Booster(model_file=str(next(path.rglob("model.lgb"))))
        except (MlflowException, StopIteration) as error:
            raise UnknownVersionError(
                f"MLflow does not have the files of {self._model} version {version}: {error}",
                remedy="Run `warrant doctor`; if the artifacts are lost, materialize candidate_model of its day again.",
            ) from error
        return BoostedModel(booster, tuple(booster.feature_name()))

    def project_champion(self, version: int | None) -> None:
        """Moves MLflow's alias to the version that decides. A projection: nothing reads it to decide."""
        if version is None:
            self._client.delete_registered_model_alias(self._model, CHAMPION_ALIAS)
        else:
            self._client.set_registered_model_alias(self._model, CHAMPION_ALIAS, str(version))

    def follow(self, version: int) -> None:
        """Moves MLflow's alias to the version that decides, and notes in a tag that this was us."""
        self.project_champion(version)
        self._client.set_registered_model_tag(self._model, FOLLOWED, str(version))

    def followed(self) -> int | None:
        """Where we moved the alias last; None if we never did. The alias elsewhere was moved by other means."""
        found = self._client.search_registered_models(f"name = '{self._model}'")
        version = found[0].tags.get(FOLLOWED) if found else None
        return None if version is None else int(version)

    def states(self) -> dict[int, str]:
        """By registered version: the state of the rollout that its tag says; an empty text where it says none."""
        found = self._client.search_model_versions(f"name = '{self._model}'", max_results=10_000)
        return {int(each.version): each.tags.get(STATE, "") for each in found}

    def project_states(self, states: Mapping[int, str]) -> None:
        """Has each version's tag say its state. A projection: nothing reads it to decide."""
        for version, state in states.items():
            self._client.set_model_version_tag(self._model, str(version), STATE, state)

    def champion_alias(self) -> int | None:
        """Where MLflow's alias is; None if there is no such alias or no such model."""
        # By search: asking for one alias of a model that lacks it is an error that has no class of its own.
        found = self._client.search_registered_models(f"name = '{self._model}'")
        version = found[0].aliases.get(CHAMPION_ALIAS) if found else None
        return None if version is None else int(version)

    def links(self, version: RegisteredVersion) -> dict[str, str]:
        """Where MLflow's UI shows the run and the version."""
        base = f"http://{self._settings.host}:{self._settings.mlflow_port}/#"
        experiment = self._client.get_run(version.run_id).info.experiment_id
        return {
            "mlflow run": f"{base}/experiments/{experiment}/runs/{version.run_id}",
            "mlflow version": f"{base}/models/{version.model}/versions/{version.version}",
        }

    @cached_property
    def _client(self) -> MlflowClient:
        # MLflow reads these when it is imported; without them it would phone home and create a folder here.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        import mlflow

        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._address(mlflow)
        return mlflow.MlflowClient()

    def _address(self, mlflow: ModuleType) -> None:
        """Tells MLflow, which keeps it for the whole process, where its database is."""
        mlflow.set_tracking_uri(database.url(self._settings, "mlflow"))
        mlflow.set_registry_uri(database.url(self._settings, "mlflow"))

    def _experiment(self) -> str:
        name = self._workload
        if self._client.get_experiment_by_name(name) is None:
            from mlflow.exceptions import MlflowException

            try:
                self._client.create_experiment(name, artifact_location=f"{self._settings.artifacts}/{name}")
            except MlflowException:
                # Another process created it in between; any other trouble shows when it is looked up again.
                if self._client.get_experiment_by_name(name) is None:
                    raise
        return name

    def _registered(self, version: ModelVersion) -> RegisteredVersion:
        return RegisteredVersion(
            model=self._model,
            version=int(version.version),
            digest=version.tags[DIGEST],
            run_id=version.run_id or "",
        )


def _day(text: str | None) -> date | None:
    """A day as somebody wrote it; None where it is none, since nothing is known then."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        return None


def _inside(uri: str, artifacts: str) -> bool:
    """Whether a place lies where MLflow keeps its artifacts, whatever it is called."""
    # As MLflow reads it: a step upwards may be written with percent signs.
    place, root = unquote(uri.removeprefix("file://")), artifacts.removeprefix("file://")
    if "://" in root or "://" in place:
        return place.startswith(root.rstrip("/") + "/") and ".." not in place
    return Path(place).resolve().is_relative_to(Path(root).resolve())


def model_input(frame: pl.DataFrame, features: tuple[str, ...]):
    """The features as the frame of floats that the registered model takes."""
    import polars as pl

    return frame.select(pl.col(list(features)).cast(pl.Float64)).to_pandas()


@lru_cache(maxsize=16)
def _load(registry: ModelRegistry, version: int, digest: str) -> Model:
    from automation.rollout import kept

    try:
        return kept.model(registry._settings, digest)
    except kept.NotKeptError:
        model = registry.download(version)
    if model.digest != digest:
        raise UnknownVersionError(
            f"Version {version} has the digest {model.digest}, but {digest} was promoted: its files were changed.",
            remedy="Promote a version whose files are whole, and find out who changed these.",
        )
    return model


@lru_cache(maxsize=16)
def _trained_with(registry: ModelRegistry, version: int) -> dict[str, str]:
    found = registry._client.get_model_version(registry._model, str(version))
    return json.loads(found.tags.get(VIEWS, "{}"))


@lru_cache(maxsize=1)
def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("lightgbm", "mlflow", "numpy", "scikit-learn", "scipy")]


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow warns that integers cannot hold missing values; ours are floats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
