"""Models that others registered: the archive of their files, scored in the sandbox.

Their code runs nowhere else (docs/threat-model-of-models.md). They say how likely a case is to come out badly, and not
why: the exact shares of features are known of trees that were trained here.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from automation.rollout.sandbox import mlmodel
from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.rollout.sandbox.running import Limits, Sandbox

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from automation.rollout.sandbox.running import Prediction

# What is kept lies in one cell of the database, and is read every day.
MOST_BYTES = 256 * 1024**2


def archived(folder: Path) -> bytes:
    """The files of a model's folder as one archive: the same files give the same bytes.

    Raises:
        ModelFailedError: it holds what is no plain file, or too much.
    """
    written = io.BytesIO()
    with (
        mlmodel.copied(folder, MOST_BYTES) as copy,
        tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(each for each in copy.rglob("*") if each.is_file()):
            member = tarfile.TarInfo(path.relative_to(copy).as_posix())
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)
    return written.getvalue()


class ForeignModel:
    """A model out of the archive of its files.

    Raises:
        ModelFailedError: from whatever reads or runs it; the message says what the model did.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def content(self) -> bytes:
        return self._content

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self._content).hexdigest()

    @cached_property
    def signature(self) -> mlmodel.Signature:
        """The columns it takes, as its files say. Nothing of it is run."""
        return mlmodel.signature(self.folder)

    @property
    def flavor(self) -> str:
        """How MLflow would load it, as its files say."""
        return ", ".join(mlmodel.flavors(self.folder)) or "unknown"

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.signature.columns)

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        return self.predicted(frame).probability

    def predicted(self, frame: pl.DataFrame, limits: Limits | None = None) -> Prediction:
        """`predict`, with what it took."""
        return sandbox().predict(self.folder, frame, limits)

    def contributions(self, frame: pl.DataFrame) -> None:  # noqa: ARG002 - what every model is asked for
        return None

    @cached_property
    def folder(self) -> Path:
        """Its files, for as long as the model is in use."""
        self._unpacked = tempfile.TemporaryDirectory(prefix="warrant-foreign-")
        try:
            with tarfile.open(fileobj=io.BytesIO(self._content)) as tar:
                tar.extractall(self._unpacked.name, filter="data")
        except tarfile.TarError as error:
            raise ModelFailedError(Failure.NO_MODEL, f"what is kept of it is no archive: {error}") from error
        return Path(self._unpacked.name)


@lru_cache(maxsize=1)
def sandbox() -> Sandbox:
    """This process's sandbox: its template takes seconds to start, and serves every foreign model."""
    return Sandbox()
