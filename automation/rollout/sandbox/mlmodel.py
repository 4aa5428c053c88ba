"""What a model's folder says of itself, read without running anything of it.

An MLflow model is a folder with a YAML file, ``MLmodel``, which names the columns that the model takes (its signature)
and how it is loaded. Almost every way of loading runs code that came with the model: a pickle does, and so does a class
of one's own. One kind is only data: LightGBM's text.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import polars as pl
import yaml

from automation.rollout.sandbox.failure import Failure, ModelFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE: Final = "MLmodel"
_MOST_OF_FILE: Final = 1 << 20
_CHUNK: Final = 1 << 20
_MOST_FILES: Final = 10_000
_LIGHTGBM_TEXT: Final = "model.lgb"
_WHOLE: Final = ("integer", "long")
_FLOATING: Final = ("float", "double")
_POLARS: Final = {
    "boolean": pl.Boolean(),
    "integer": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "string": pl.String(),
    "datetime": pl.Datetime("ns"),
}
"""MLflow's names of types (mlflow.types.DataType), those a table can be given as."""


@dataclass(frozen=True)
class Column:
    """A column that a model takes; ``type`` is MLflow's name of it, such as "double"."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Signature:
    """The columns that a model takes, in order."""

    columns: tuple[Column, ...]

    def taken_from(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The columns of ``frame`` that the model takes, in its order and types; others are left out.

        Raises:
            ModelFailedError: a column is missing, or its type cannot become the model's without loss.
        """
        taken = []
        for column in self.columns:
            if column.name in frame.columns:
                taken.append(_as(frame[column.name], column))
            elif column.required:
                raise ModelFailedError(
                    Failure.WRONG_SIGNATURE, f"it takes the column {column.name}, which is not there"
                )
        return pl.DataFrame(taken)


def signature(model_dir: Path) -> Signature:
    """The signature in a model's folder. Nothing of the model is executed.

    Raises:
        ModelFailedError: there is no model, no signature, or one that is not of named columns.
    """
    said = _described(model_dir).get("signature")
    inputs = said.get("inputs") if isinstance(said, dict) else None
    if not isinstance(inputs, str) or inputs == "null":
        says = "it was saved without a signature, so that nobody can tell which columns it takes"
        raise ModelFailedError(Failure.WRONG_SIGNATURE, says)
    try:
        fields = json.loads(inputs)
        columns = tuple(Column(each["name"], each["type"], each.get("required", True)) for each in fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        says = "its signature is not a list of named columns (it was made from an array, say, not from a table)"
        raise ModelFailedError(Failure.WRONG_SIGNATURE, says) from None
    for column in columns:
        if not isinstance(column.name, str) or not isinstance(column.type, str) or column.type not in _POLARS:
            says = f"its signature gives the column {column.name} the type {column.type}, which no feature has"
            raise ModelFailedError(Failure.WRONG_SIGNATURE, says)
    return Signature(columns)


def accepts(column: Column, dtype: pl.DataType) -> bool:
    """Whether values of a polars type become the column's type. Numbers and truths become floats."""
    number = dtype.is_numeric() or dtype in {pl.Boolean, pl.Null}
    return (
        dtype == _POLARS[column.type]
        or (column.type in _FLOATING and number)
        or (column.type in _WHOLE and (dtype.is_integer() or dtype == pl.Boolean))
        or (column.type == "datetime" and dtype.is_temporal())
    )


def holds_missing(column: Column) -> bool:
    """Whether the column's type has missing values."""
    return column.type in (*_FLOATING, "string", "datetime")


def only_data(model_dir: Path) -> bool:
    """Whether the model's files hold no code: LightGBM's text, which its own parser reads, and no code beside it."""
    flavors = _described(model_dir).get("flavors")
    loaded = flavors.get("python_function") if isinstance(flavors, dict) else None
    if not isinstance(loaded, dict) or loaded.get("loader_module") != "mlflow.lightgbm":
        return False
    if loaded.get("data") != _LIGHTGBM_TEXT or loaded.get("code", "null") != "null":
        return False
    with _opened(model_dir, _LIGHTGBM_TEXT) as file:
        return file.read(5) == b"tree\n"


def flavors(model_dir: Path) -> tuple[str, ...]:
    """How the model says it can be loaded, as MLflow's flavors: "sklearn", say; "python_function" where that is all."""
    said = _described(model_dir).get("flavors")
    names = sorted(said) if isinstance(said, dict) else []
    return tuple(name for name in names if name != "python_function") or tuple(names)


@contextmanager
def copied(model_dir: Path, most_bytes: int) -> Iterator[Path]:
    """A copy of the model's files, which others can read and nobody changes while it is used.

    Raises:
        ModelFailedError: it holds links or devices, which lead elsewhere, or more than ``most_bytes``.
    """
    with tempfile.TemporaryDirectory(prefix="warrant-model-") as folder:
        target = Path(folder, "model")
        _copy(model_dir, target, most_bytes)
        Path(folder).chmod(0o711)
        yield target


def _copy(source: Path, target: Path, most_bytes: int) -> None:
    left = _MOST_FILES
    for folder, names, here in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir()
        into.chmod(0o755)
        left -= len(names) + len(here)
        if left < 0:
            raise ModelFailedError(Failure.NO_MODEL, f"its folder holds more than {_MOST_FILES:,} files and folders")
        for name in names:
            if Path(folder, name).is_symlink():
                raise _no_file(name)
        for name in here:
            most_bytes -= _copy_file(Path(folder), name, into / name, most_bytes)


def _copy_file(folder: Path, name: str, target: Path, most_bytes: int) -> int:
    copied = 0
    with _opened(folder, name) as file, target.open("wb") as copy:
        # Counted as it is read: a file may grow meanwhile.
        while chunk := file.read(_CHUNK):
            copied += len(chunk)
            if copied > most_bytes:
                raise ModelFailedError(Failure.NO_MODEL, "its files are larger than the limit on a model's size")
            copy.write(chunk)
    target.chmod(0o644)
    return copied


def _opened(folder: Path, name: str) -> BinaryIO:
    """A plain file of the model. A link may lead to a file that is not the model's, and a pipe never ends."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise _no_file(name) from None
        raise ModelFailedError(Failure.NO_MODEL, f"its file {name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(name)
    return os.fdopen(descriptor, "rb")


def _no_file(name: str) -> ModelFailedError:
    return ModelFailedError(Failure.NO_MODEL, f"its folder holds {name}, which is a link or a device and not a file")


def _described(model_dir: Path) -> Mapping[str, Any]:
    """What the file says, all values as text. Of YAML's loaders this does the least: the one in C falls over text that
    is nested deeply, and the others merge mappings, which grow with every merge."""
    with _opened(model_dir, FILE) as file:
        text = file.read(_MOST_OF_FILE + 1)
    if len(text) > _MOST_OF_FILE:
        raise ModelFailedError(Failure.NO_MODEL, f"its file {FILE} is larger than {_MOST_OF_FILE:,} bytes")
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (it makes nothing but text, lists and mappings)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ModelFailedError(Failure.NO_MODEL, f"its file {FILE} is not YAML that says something") from None
    if not isinstance(found, dict):
        raise ModelFailedError(Failure.NO_MODEL, f"its file {FILE} does not describe a model")
    return found


def _as(series: pl.Series, column: Column) -> pl.Series:
    """The series in the type the model takes. Nothing loses what it says."""
    if not accepts(column, series.dtype):
        says = f"it takes the column {column.name} as {column.type}, which is {series.dtype} here"
        raise ModelFailedError(Failure.WRONG_SIGNATURE, says)
    if not holds_missing(column) and series.null_count():
        says = f"it takes the column {column.name} as {column.type}, which has no missing values, but some are missing"
        raise ModelFailedError(Failure.WRONG_SIGNATURE, says)
    try:
        return series.cast(_POLARS[column.type])
    except pl.exceptions.InvalidOperationError:
        says = f"it takes the column {column.name} as {column.type}, which is too narrow for its values"
        raise ModelFailedError(Failure.WRONG_SIGNATURE, says) from None
