"""What is kept of a model that others registered: one archive of its plain files, from MLflow's own artifacts alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from automation.registry import ModelRegistry, _inside
from automation.rollout.foreign import ForeignModel, archived
from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.settings import Settings

MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn}
  sklearn: {pickled_model: model.pkl}
signature:
  inputs: '[{"type": "double", "name": "wind"}, {"type": "double", "name": "queue"}]'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "code").mkdir(parents=True)
    (made / "MLmodel").write_text(MLMODEL)
    (made / "model.pkl").write_bytes(b"\x80\x04 anything")
    (made / "code" / "own.py").write_text("late = True\n")
    return made


def test_the_same_files_are_the_same_model_whenever_they_were_written(folder: Path) -> None:
    before = archived(folder)
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert archived(folder) == before
    (folder / "code" / "own.py").write_text("late = False\n")
    assert ForeignModel(archived(folder)).digest != ForeignModel(before).digest


def test_it_says_what_it_takes_out_of_its_archive_and_comes_back_file_by_file(folder: Path) -> None:
    model = ForeignModel(archived(folder))
    assert (model.features, model.flavor) == (("wind", "queue"), "sklearn")
    found = {path.relative_to(model.folder).as_posix(): path.read_bytes() for path in model.folder.rglob("*.*")}
    assert found == {"model.pkl": b"\x80\x04 anything", "code/own.py": b"late = True\n"}
    assert archived(model.folder) == model.content()


def test_a_link_is_no_file_of_a_model(folder: Path) -> None:
    (folder / "elsewhere").symlink_to("/etc/passwd")
    with pytest.raises(ModelFailedError) as refused:
        archived(folder)
    assert refused.value.kind is Failure.NO_MODEL


def test_what_is_kept_and_is_no_archive_is_no_model() -> None:
    with pytest.raises(ModelFailedError, match="is no archive"):
        _ = ForeignModel(b"not an archive").folder


def test_a_card_is_put_beside_a_run_and_nowhere_that_a_client_names(settings: Settings, tmp_path: Path) -> None:
    registry, elsewhere = ModelRegistry(settings, "workload", "model"), tmp_path / "elsewhere"
    client = registry._client
    runs = []
    for name, place in (("ours", f"{settings.artifacts}/ours"), ("elsewhere", f"file://{elsewhere}")):
        runs.append(client.create_run(client.create_experiment(name, artifact_location=place)).info.run_id)
    for run in (*runs, "0" * 32, ""):
        registry.attach(run, "model_card.md", "A card.")
    [card] = tmp_path.rglob("model_card.md")
    assert runs[0] in card.as_posix()
    assert not elsewhere.exists() or not any(path.is_file() for path in elsewhere.rglob("*"))


@pytest.mark.parametrize(
    ("place", "artifacts", "inside"),
    [
        ("/home/artifacts/1/model", "/home/artifacts", True),
        ("file:///home/artifacts/1/model", "/home/artifacts", True),
        ("/home/artifacts/../secrets", "/home/artifacts", False),
        ("file:///home/artifacts/%2e%2e/secrets", "/home/artifacts", False),
        ("s3://bucket/artifacts/%2E%2E/secrets", "s3://bucket/artifacts", False),
        ("/home/artifacts-of-others/model", "/home/artifacts", False),
        ("/etc", "/home/artifacts", False),
        ("http://127.0.0.1/model", "/home/artifacts", False),
        ("s3://bucket/artifacts/model", "s3://bucket/artifacts", True),
        ("s3://bucket/artifacts/../secrets", "s3://bucket/artifacts", False),
        ("s3://bucket/artifacts-of-others/model", "s3://bucket/artifacts", False),
        ("/home/artifacts/model", "s3://bucket/artifacts", False),
    ],
)
def test_files_are_fetched_from_mlflows_own_artifacts_alone(place: str, artifacts: str, inside: bool) -> None:
    assert _inside(place, artifacts) is inside
