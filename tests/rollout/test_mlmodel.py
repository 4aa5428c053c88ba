"""A model's folder is read as what a stranger wrote: it may lie, lead elsewhere or be made to choke on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from automation.rollout.sandbox import mlmodel
from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.rollout.sandbox.mlmodel import Column, Signature


def model(folder: Path, text: str) -> Path:
    (folder / "MLmodel").write_text(text)
    return folder


def described(*columns: object) -> str:
    return f"signature:\n  inputs: '{json.dumps(columns)}'\n"


def failed(folder: Path) -> str:
    with pytest.raises(ModelFailedError) as caught:
        mlmodel.signature(folder)
    return f"{caught.value.kind}: {caught.value.says}"


def test_a_signature_is_columns_in_order(tmp_path: Path) -> None:
    text = described({"type": "double", "name": "wind"}, {"type": "long", "name": "seats", "required": False})
    found = mlmodel.signature(model(tmp_path, text))
    assert found == Signature((Column("wind", "double", required=True), Column("seats", "long", required=False)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no model: its file MLmodel does not describe a model"),
        ("- a list", "no model: its file MLmodel does not describe a model"),
        ("a: !!python/object/apply:os.system ['touch /tmp/made']", "wrong signature: it was saved without a signature"),
        ("[" * 50_000, "no model: its file MLmodel is not YAML"),
        (f"a: {'x' * (1 << 20)}", "no model: its file MLmodel is larger than 1,048,576 bytes"),
        ("signature: null", "wrong signature: it was saved without a signature"),
        ("signature:\n  inputs: null", "wrong signature: it was saved without a signature"),
        ("signature:\n  inputs: [1]", "wrong signature: it was saved without a signature"),
        ("signature:\n  inputs: 'no json'", "wrong signature: its signature is not a list of named columns"),
        (f"signature:\n  inputs: '{'[' * 50_000}'", "wrong signature: its signature is not a list of named columns"),
        (described({"type": "tensor", "tensor-spec": {"dtype": "float64"}}), "wrong signature: its signature is not"),
        (
            described({"type": "object", "name": "x"}),
            "wrong signature: its signature gives the column x the type object",
        ),
        (described({"type": [], "name": "x"}), "wrong signature: its signature gives the column x the type []"),
    ],
)
def test_what_is_no_signature_is_said(tmp_path: Path, text: str, says: str) -> None:
    assert failed(model(tmp_path, text)).startswith(says)


def test_merges_that_grow_are_not_made(tmp_path: Path) -> None:
    """Each line merges the one before ten times: made, the last would hold 10 ** 12 entries."""
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 13)]
    assert failed(model(tmp_path, "\n".join(lines))).startswith("wrong signature: it was saved without")


def test_a_file_that_is_none_is_not_opened(tmp_path: Path) -> None:
    assert failed(tmp_path) == "no model: its file MLmodel cannot be read: No such file or directory"
    secret = tmp_path / "secret"
    secret.write_text(described({"type": "double", "name": "wind"}))
    (tmp_path / "MLmodel").symlink_to(secret)
    assert "MLmodel, which is a link or a device" in failed(tmp_path)
    (tmp_path / "MLmodel").unlink()
    # Opened like a file, it would wait for a writer for ever.
    os.mkfifo(tmp_path / "MLmodel")
    assert "MLmodel, which is a link or a device" in failed(tmp_path)


def test_a_copy_holds_the_models_files_and_is_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own.py").write_text("x = 1")
    with mlmodel.copied(model(tmp_path, "a: 1"), 100) as copy:
        assert sorted(str(each.relative_to(copy)) for each in copy.rglob("*")) == ["MLmodel", "code", "code/own.py"]
        assert (copy / "code" / "own.py").read_text() == "x = 1"
        assert {each.stat().st_mode & 0o777 for each in copy.rglob("*")} == {0o644, 0o755}
    assert not copy.exists()


@pytest.mark.parametrize("make", ["link", "folder link", "pipe", "large"])
def test_a_folder_that_leads_elsewhere_or_is_too_large_is_not_copied(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model(folder, "a: 1")
    if make == "link":
        (folder / "data").symlink_to("/etc/hostname")
    elif make == "folder link":
        (folder / "data").symlink_to("/etc")
    elif make == "pipe":
        os.mkfifo(folder / "data")
    else:
        (folder / "data").write_bytes(b"x" * 200)
    with pytest.raises(ModelFailedError) as caught, mlmodel.copied(folder, 100):
        pytest.fail("it was copied")
    assert caught.value.kind is Failure.NO_MODEL


FRAME = pl.DataFrame(
    {
        "whole": pl.Series([1, None, 3], dtype=pl.Int64),
        "all": pl.Series([1, 2, 1 << 40], dtype=pl.Int64),
        "truth": [True, False, True],
        "real": [0.5, None, 1.5],
        "text": ["a", None, "b"],
    }
)


@pytest.mark.parametrize(
    ("name", "type", "gives"),
    [
        ("whole", "double", pl.Series([1.0, None, 3.0])),
        ("truth", "float", pl.Series([1.0, 0.0, 1.0], dtype=pl.Float32)),
        ("truth", "long", pl.Series([1, 0, 1])),
        ("all", "long", FRAME["all"]),
        ("text", "string", FRAME["text"]),
        ("truth", "boolean", FRAME["truth"]),
    ],
)
def test_a_column_comes_in_the_type_the_model_takes(name: str, type: str, gives: pl.Series) -> None:
    taken = Signature((Column(name, type, required=True),)).taken_from(FRAME)
    assert_frame_equal(taken, pl.DataFrame([gives.rename(name)]))


@pytest.mark.parametrize(
    ("name", "type", "says"),
    [
        ("gone", "double", "it takes the column gone, which is not there"),
        ("text", "double", "it takes the column text as double, which is String here"),
        ("real", "long", "it takes the column real as long, which is Float64 here"),
        ("real", "string", "it takes the column real as string, which is Float64 here"),
        ("whole", "boolean", "it takes the column whole as boolean, which is Int64 here"),
        ("whole", "long", "it takes the column whole as long, which has no missing values, but some are missing"),
        ("all", "integer", "it takes the column all as integer, which is too narrow for its values"),
    ],
)
def test_a_column_that_cannot_become_what_the_model_takes_is_a_wrong_signature(name: str, type: str, says: str) -> None:
    with pytest.raises(ModelFailedError) as caught:
        Signature((Column(name, type, required=True),)).taken_from(FRAME)
    assert (caught.value.kind, caught.value.says) == (Failure.WRONG_SIGNATURE, says)


def test_a_column_that_is_not_required_may_be_missing() -> None:
    columns = (Column("gone", "double", required=False), Column("real", "double", required=True))
    assert Signature(columns).taken_from(FRAME).columns == ["real"]
