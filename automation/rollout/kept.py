"""What scoring and a rollback need, kept where MLflow is not: models and golden sets by the SHA-256 of their bytes.

They lie beside the ledger, in the same database: whoever can read which version decides can also read that version.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from automation import database
from automation.errors import WarrantError
from automation.models import BoostedModel

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.models import Model
    from automation.settings import Settings


# How LightGBM's text begins, and no archive does.
BOOSTER = b"tree\n"


class NotKeptError(WarrantError):
    """Nothing of that digest is kept."""


class KeptChangedError(WarrantError):
    """What is kept under a digest has another one."""


def keep(settings: Settings, content: bytes) -> str:
    """Keeps ``content`` and returns its digest. Kept again, it is there once."""
    digest = hashlib.sha256(content).hexdigest()
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO kept_contents (digest, content) VALUES (%s, %s) ON CONFLICT DO NOTHING", (digest, content)
        )
    return digest


def read(settings: Settings, digest: str) -> bytes:
    """The bytes of a digest.

    Raises:
        NotKeptError: there are none.
        KeptChangedError: they are others.
    """
    with _connected(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT content FROM kept_contents WHERE digest = %s", (digest,))
        row = cursor.fetchone()
    if row is None:
        raise NotKeptError(
            f"Nothing is kept under the digest {digest[:12]}.",
            remedy="Only what was trained here is kept, or has passed its gates. Restore the database if this was.",
        )
    content = bytes(row[0])
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise KeptChangedError(
            f"What is kept under the digest {digest[:12]} has the digest {found[:12]}: it was changed.",
            remedy="Restore the table kept_contents from a backup, and find out who changed it.",
        )
    return content


def keep_model(settings: Settings, model: Model) -> str:
    """Keeps a model under its digest."""
    return keep(settings, model.content())


def model(settings: Settings, digest: str) -> Model:
    """The model of a digest, without MLflow: a booster from its text, any other from the archive of its files.

    Raises:
        NotKeptError, KeptChangedError: it is not there, or not as it was.
    """
    import lightgbm as lgb

    from automation.rollout.foreign import ForeignModel

    content = read(settings, digest)
    if not content.startswith(BOOSTER):
        return ForeignModel(content)
    booster = lgb.Booster(model_str=content.decode())
    return BoostedModel(booster, tuple(booster.feature_name()))


def _connected(settings: Settings) -> AbstractContextManager[Connection]:
    return database.with_tables(settings, "kept_contents", files("automation.rollout") / "kept.sql")
