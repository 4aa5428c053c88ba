"""A ledger on a real embedded PostgreSQL, a database of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2 import sql
from pydantic import SecretStr

from automation import database
from automation.ledger import sequencing, store
from automation.ledger.keys import Signer
from automation.ledger.store import Happened, Ledger
from automation.settings import Settings
from warrant_verify import COSIGNATURE, ED25519

NOW = datetime(2013, 3, 1, 12, tzinfo=UTC)
SIGNER = Signer("log.example/warrant", ED25519, bytes(range(32)))
WITNESS = Signer("witness.example", COSIGNATURE, bytes(range(32, 64)))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server's address, as a URL without a database."""
    chosen = Settings(home=tmp_path_factory.mktemp("ledger") / "home", database_url=None)
    database.start(chosen)
    yield database._base(chosen)
    database.stop(chosen)


@pytest.fixture
def settings(server: str, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of a database that is new."""
    name = f"ledger_{next(_NUMBERS)}"
    administrator = psycopg2.connect(server)
    administrator.autocommit = True
    with administrator.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield Settings(database_url=SecretStr(server.replace("/postgres?", f"/{name}?")))
    with administrator.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    administrator.close()


_NUMBERS = itertools.count()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    database.prepare(settings)
    with store.opened(settings) as made:
        yield made


@pytest.fixture
def superuser(settings: Settings, ledger: Ledger) -> Iterator[Callable[[str], None]]:
    """Runs SQL as the database's superuser, with the triggers off."""
    connection = psycopg2.connect(settings.database_url.get_secret_value())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = ledger; SET session_replication_role = replica")
        yield cursor.execute
    connection.close()


def happened(*numbers: int) -> list[Happened]:
    return [Happened("counted", {"n": number}, NOW + timedelta(seconds=number)) for number in numbers]


def filled(ledger: Ledger, streams: int = 3, events: int = 5) -> None:
    """Some streams with some events each, signed twice on the way."""
    for name in range(streams):
        ledger.append(f"stream/{name}", 0, happened(*range(events)))
        sequencing.sequence(ledger, SIGNER, NOW)
