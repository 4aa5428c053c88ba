"""Promotion: which model version decides from which day on.

`promote` is the only way a version becomes champion. It appends a row to the table of promotions with
compare-and-swap, then moves MLflow's alias, which is a projection: what decides is what the table says. A day asks
for the champion as of that day, so that a replay of an old day is decided by the model that decided it then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from psycopg2.errors import UniqueViolation

from automation import database
from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a function's name

    from automation.settings import Settings


_TABLE_LOCK = 0x57415252_50524F4D


@dataclass(frozen=True)
class Champion:
    """A model version that decides from the day ``as_of`` on, until the next."""

    model: str
    version: int
    digest: str
    as_of: date


class NoChampionError(WarrantError):
    """No model version decides on that day."""


class PromotionConflictError(WarrantError):
    """Another promotion of the workload came first."""


def promote(settings: Settings, workload: str, champion: Champion, evidence: Mapping[str, object]) -> bool:
    """Makes ``champion`` decide from its day on. Returns whether that was new: promoting twice changes nothing.

    Raises:
        PromotionConflictError: another promotion was appended at the same time; look at it before trying again.
    """
    with database.connect(settings) as connection, connection.cursor() as cursor:
        _make_table(connection)
        cursor.execute(
            "SELECT sequence, model, version, digest, as_of FROM promotions WHERE workload = %s ORDER BY sequence",
            (workload,),
        )
        held = cursor.fetchall()
        standing = {row[4]: Champion(*row[1:]) for row in held}
        if standing.get(champion.as_of) == champion:
            return False
        try:
            cursor.execute(
                "INSERT INTO promotions (workload, sequence, as_of, model, version, digest, evidence) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (
                    workload,
                    len(held) + 1,
                    champion.as_of,
                    champion.model,
                    champion.version,
                    champion.digest,
                    json.dumps(evidence, sort_keys=True),
                ),
            )
        except UniqueViolation:
            raise PromotionConflictError(
                f"Another promotion of {workload} was made while version {champion.version} was being promoted.",
                remedy="Look at the champion in MLflow, then materialize the champion again.",
            ) from None
    return True


def champion_on(settings: Settings, workload: str, day: date) -> Champion:
    """The version that decides on ``day``: the newest as-of day not after it, and of those the last promotion.

    Raises:
        NoChampionError: none was promoted for that day or an earlier one.
    """
    with database.connect(settings) as connection, connection.cursor() as cursor:
        _make_table(connection)
        cursor.execute(
            "SELECT model, version, digest, as_of FROM promotions WHERE workload = %s AND as_of <= %s "
            "ORDER BY as_of DESC, sequence DESC LIMIT 1",
            (workload, day),
        )
        row = cursor.fetchone()
    if row is None:
        raise NoChampionError(
            f"No model of {workload} was promoted as of {day} or earlier.",
            remedy=f"Train one first: materialize training_set, candidate_model and champion of {workload} for a day "
            f"not after {day}.",
        )
    return Champion(*row)


def _make_table(connection: Connection) -> None:
    """Makes the table of promotions where it is missing. ``CREATE ... IF NOT EXISTS`` alone fails when it is raced."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('promotions')")
        if cursor.fetchone() == (None,):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_TABLE_LOCK,))
            cursor.execute(files("automation.rollout").joinpath("promotions.sql").read_text("utf-8"))
    connection.commit()
