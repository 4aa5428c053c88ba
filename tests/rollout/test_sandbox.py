"""Models that somebody else made run where they can only compute, and whatever else they do has a name.

The models are made by another process, as a data scientist would (foreign_models.py); each is loaded and run for real.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from automation.rollout.sandbox import mlmodel
from automation.rollout.sandbox.confinement import NEEDED_FOR_CODE, Protection
from automation.rollout.sandbox.failure import Failure, ModelFailedError
from automation.rollout.sandbox.mlmodel import Column
from automation.rollout.sandbox.probing import probe
from automation.rollout.sandbox.running import Limits, Prediction, Sandbox, SandboxError

ROOT = Path(__file__).parents[2]
CONFIDENTIAL = "what nobody else may read"
LIMITS = Limits(seconds=20, memory_bytes=256 * 1024**2)


@dataclass(frozen=True)
class Made:
    """The models, the rows to predict, a folder that is none of theirs, and who listens for them."""

    folder: Path
    features: pl.DataFrame
    outside: Path
    listener: socket.socket

    def connections(self) -> int:
        count = 0
        while True:
            try:
                self.listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder, outside = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text(CONFIDENTIAL)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        script = Path(__file__).parent / "foreign_models.py"
        subprocess.run(
            [sys.executable, "-W", "ignore", str(script), str(folder), str(listener.getsockname()[1]), str(outside)],
            check=True,
            capture_output=True,
            env={"PATH": os.environ["PATH"], "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
        )
        done = Made(folder, pl.read_parquet(folder / "features.parquet"), outside, listener)
        assert done.connections() == 1, "what makes the models can connect; see foreign_models.py"
        yield done


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # As a server of ours would hold it.
    os.environ["WARRANT_DATABASE_URL"] = f"postgresql://warrant:{CONFIDENTIAL}@db/warrant"
    with Sandbox(LIMITS) as opened:
        yield opened
    del os.environ["WARRANT_DATABASE_URL"]


def in_its_session(sandbox: Sandbox) -> list[int]:
    """All processes that the sandbox's has started, wherever their parent is now, and itself."""
    assert sandbox._template is not None
    template, found = sandbox._template._process.pid, []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == template:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return sorted(found)


def failure(sandbox: Sandbox, made: Made, name: str, limits: Limits = LIMITS) -> ModelFailedError:
    with pytest.raises(ModelFailedError) as caught:
        sandbox.predict(made.folder / name, made.features, limits)
    if sandbox._template is not None:
        assert in_its_session(sandbox) == [sandbox._template._process.pid], "it left a process behind"
    return caught.value


def prediction(sandbox: Sandbox, made: Made, name: str) -> Prediction:
    found = sandbox.predict(made.folder / name, made.features)
    assert sandbox._template is not None
    assert in_its_session(sandbox) == [sandbox._template._process.pid]
    return found


@pytest.mark.parametrize("name", ["regression", "pickled", "forest", "booster", "own_code"])
def test_an_honest_model_answers_what_it_answers_in_process_byte_for_byte(
    sandbox: Sandbox, made: Made, name: str
) -> None:
    found = prediction(sandbox, made, name)
    assert found.probability.tobytes() == np.load(made.folder / "in_process.npz")[name].tobytes()
    assert found.protections.enough_for_code
    assert 0 < found.load_seconds + found.predict_seconds < found.seconds
    assert found.peak_memory_bytes > 50 * 1024**2


def test_a_model_reads_its_own_files(sandbox: Sandbox, made: Made) -> None:
    assert set(prediction(sandbox, made, "with_artifact").probability) == {0.25}


def test_what_columns_come_in_and_how_they_are_ordered_is_the_signatures_affair(sandbox: Sandbox, made: Made) -> None:
    wider = made.features.select("lead", pl.lit("x").alias("carrier"), "queue", "wind")
    as_it_is = sandbox.predict(made.folder / "regression", made.features).probability
    assert sandbox.predict(made.folder / "regression", wider).probability.tobytes() == as_it_is.tobytes()


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("crashing", Failure.CRASHED, "crashed with signal 11 (SIGSEGV), while predicting"),
        ("exiting", Failure.CRASHED, "ended its process with the exit code 3, while predicting"),
        ("forging", Failure.WRONG_ANSWER, "answered 10 bytes, which are no whole values, for 300 rows"),
        ("hungry", Failure.OUT_OF_MEMORY, "needed more than 256 MiB of memory, while predicting"),
        ("many_threads", Failure.RAISED, "raised RuntimeError, while predicting: can't start new thread"),
        ("raising", Failure.RAISED, "raised ValueError, while predicting: no wind ?[31mtoday"),
        ("needing", Failure.MISSING_PACKAGE, "needs a package that is not here: No module named 'a_package_of_nobody'"),
        ("short", Failure.WRONG_ANSWER, "answered 299 values for 300 rows"),
        ("long", Failure.WRONG_ANSWER, "answered more than 300 values for 300 rows"),
        ("missing", Failure.WRONG_ANSWER, "answered nan in row 4, which is no finite number, and so in 1 rows"),
        ("beyond", Failure.WRONG_ANSWER, "answered 1.5 in row 0, which is not between 0 and 1, and so in 300 rows"),
        ("words", Failure.WRONG_ANSWER, "it answered list of <U4, not numbers"),
        ("wrong_signature", Failure.WRONG_SIGNATURE, "it takes the column visibility, which is not there"),
        ("linked", Failure.NO_MODEL, "its folder holds more, which is a link or a device and not a file"),
    ],
)
def test_a_model_that_does_not_answer_gets_its_verdict(
    sandbox: Sandbox, made: Made, name: str, kind: Failure, says: str
) -> None:
    failed = failure(sandbox, made, name)
    assert (failed.kind, failed.says) == (kind, says)
    assert failed.remedy


def test_a_slow_model_is_stopped(sandbox: Sandbox, made: Made) -> None:
    failed = failure(sandbox, made, "slow", replace(LIMITS, seconds=2.5))
    assert (failed.kind, failed.says) == (Failure.TIMED_OUT, "timed out after 2.5 s, while predicting")


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("reading", "read {outside}/secret"),
        ("listing", "list {outside}"),
        ("writing", "write {outside}/written"),
        ("writing_into_itself", "write its own artifacts/table.json"),
        ("runs_when_loaded", "write {outside}/by_pickle"),
        ("connecting", "look up a host 127.0.0.1; to open a socket"),
        ("programs", "start a program /bin/sh"),
        ("forking", "start a process"),
    ],
)
def test_a_model_that_tries_what_it_may_not_is_prevented_and_told_of(
    sandbox: Sandbox, made: Made, name: str, tried: str
) -> None:
    failed = failure(sandbox, made, name, replace(LIMITS, seconds=2.5 if name == "forking" else 20.0))
    assert failed.kind is Failure.FORBIDDEN
    assert failed.says == f"it tried to {tried.format(outside=made.outside)}. It was prevented"
    assert [each.name for each in made.outside.iterdir()] == ["secret"]
    assert made.connections() == 0


def test_what_the_models_try_is_possible_outside_the_sandbox(made: Made) -> None:
    outside = json.loads((made.folder / "outside.json").read_text())
    assert outside == {"files": ["by_program", "secret", "written"], "beneath": 63 / 64, "hungry_beneath": 0.0}


def test_code_that_goes_beneath_python_is_prevented_just_so(sandbox: Sandbox, made: Made) -> None:
    assert set(prediction(sandbox, made, "beneath").probability) == {0.0}
    assert set(prediction(sandbox, made, "hungry_beneath").probability) == {1.0}
    assert [each.name for each in made.outside.iterdir()] == ["secret"]


def test_nothing_of_ours_is_in_its_environment(sandbox: Sandbox, made: Made) -> None:
    printed = prediction(sandbox, made, "curious").printed
    seen = {name: value for line in printed.split("\n") if line for name, value in json.loads(line).items()}
    assert not [name for name in seen["environment"] if name.startswith(("WARRANT", "DAGSTER", "AWS", "PG", "USER"))]
    assert seen["environment"]["HOME"] == os.devnull
    assert CONFIDENTIAL not in printed
    assert seen["folder"] == "/"
    # The standard three, and its pipes for the answer and its notes.
    assert seen["open"] == [0, 1, 2, 4, 5]


def test_what_it_prints_is_kept_apart_and_bounded(sandbox: Sandbox, made: Made) -> None:
    found = prediction(sandbox, made, "loud")
    assert found.probability.tobytes() == np.load(made.folder / "in_process.npz")["own_code"].tobytes()
    assert "a line that is no part of any protocol" in found.printed
    assert len(found.printed) <= 8192


def test_a_signature_is_read_without_running_anything(made: Made) -> None:
    taken = tuple(Column(name, "double", required=True) for name in ("wind", "queue", "lead"))
    assert mlmodel.signature(made.folder / "runs_when_loaded").columns == taken
    assert not (made.outside / "by_pickle").exists()
    with pytest.raises(ModelFailedError, match="saved without a signature"):
        mlmodel.signature(made.folder / "unsigned")


def test_only_lightgbms_text_is_data(made: Made, tmp_path: Path) -> None:
    kinds = {each: mlmodel.only_data(made.folder / each) for each in ("booster", "regression", "pickled", "own_code")}
    assert kinds == {"booster": True, "regression": False, "pickled": False, "own_code": False}
    described = (made.folder / "booster" / "MLmodel").read_text()
    (tmp_path / "model.lgb").write_bytes((made.folder / "booster" / "model.lgb").read_bytes())
    (tmp_path / "MLmodel").write_text(described)
    assert mlmodel.only_data(tmp_path)
    (tmp_path / "MLmodel").write_text(described.replace("python_function:", "python_function:\n    code: code"))
    assert not mlmodel.only_data(tmp_path)
    (tmp_path / "MLmodel").write_text(described)
    (tmp_path / "model.lgb").write_bytes((made.folder / "own_code" / "python_model.pkl").read_bytes())
    assert not mlmodel.only_data(tmp_path)


def test_the_probe_finds_here_what_foreign_code_needs() -> None:
    found = probe()
    assert set(NEEDED_FOR_CODE) <= set(found.in_force)
    assert Protection.THREADS in found.in_force


# Confines itself where less may be permitted, starts threads until it cannot, and prints what is said to be in force.
CONFINED = """
    import ctypes, json, os, struct, sys, threading
    sys.path.insert(0, sys.argv[1])
    from automation.rollout.sandbox.confinement import Bounds, confine, readable_folders

    libc = ctypes.CDLL(None)
    if sys.argv[2] == "capabilities":
        assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
    found, started, never = confine(Bounds(readable_folders(), 1 << 36, 8)), 0, threading.Event()
    try:
        while started < 100:
            threading.Thread(target=never.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    print(json.dumps({"in_force": [each.name for each in found.in_force], "threads": started}), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("lacking", ["nothing", "capabilities"])
def test_a_limit_on_threads_that_is_claimed_holds(lacking: str) -> None:
    command = [sys.executable, "-I", "-c", textwrap.dedent(CONFINED), str(ROOT), lacking]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {each.name for each in NEEDED_FOR_CODE} <= set(found["in_force"])
    assert (found["threads"] == 8) == ("THREADS" in found["in_force"])


# Confines itself, then makes every system call that is not allowed, with arguments that mean nothing.
EVERY_CALL = """
    import ctypes, json, os, platform, sys
    sys.path.insert(0, sys.argv[1])
    from automation.rollout.sandbox import syscalls
    from automation.rollout.sandbox.confinement import Bounds, confine, readable_folders

    confine(Bounds(readable_folders(), 1 << 28, 8))
    libc, machine, answers = ctypes.CDLL(None, use_errno=True), platform.machine(), {}
    known = {**syscalls.allowed(machine), **syscalls.with_conditions(machine)}
    # Those of another numbering (x32) too, and of kernels to come.
    # x86's 335 and 336 (uretprobe, uprobe) are the kernel's own and pass no filter: from elsewhere they are SIGILL.
    others = [*(set(range(520)) - {335, 336} - set(known.values())), *range(0x40000000, 0x40000000 + 520)]
    nothing = [ctypes.c_long(0)] * 6
    for number in others:
        done = libc.syscall(ctypes.c_long(number), *nothing)
        answers[number] = "went on" if done != -1 else os.strerror(ctypes.get_errno())
    never = {"kill": (os.getppid(), 0), "tgkill": (os.getppid(), os.getppid(), 0), "prctl": (4, 1), "clone": (17,)}
    never |= {"fcntl": (1, 8, os.getppid()), "ioctl": (0, 0x5412, 0), "prlimit64": (0, 9, 1 << 40)}
    for name, arguments in never.items():
        done = libc.syscall(ctypes.c_long(known[name]), *map(ctypes.c_long, arguments), *nothing[: 6 - len(arguments)])
        answers[name] = "went on" if done != -1 else os.strerror(ctypes.get_errno())
    print(json.dumps(answers))
"""


def test_every_system_call_that_computing_does_not_take_is_refused() -> None:
    command = [sys.executable, "-I", "-c", textwrap.dedent(EVERY_CALL), str(ROOT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) > 900
    assert set(answers.values()) == {os.strerror(errno.EPERM)}


# Runs as a kernel without Landlock would: the call is answered by "no such call". Prints what came of it.
WITHOUT_LANDLOCK = """
    import ctypes, json, os, struct, sys, threading
    from pathlib import Path
    import polars as pl, psutil

    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program, libc = Program(len(steps), ctypes.cast(code, ctypes.c_void_p)), ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0

    from automation.rollout.sandbox.failure import ModelFailedError
    from automation.rollout.sandbox.probing import probe
    from automation.rollout.sandbox.running import Sandbox
    from automation.servers import doctor

    folder, found, protections = Path(sys.argv[1]), {}, probe()
    found["enough"] = protections.enough_for_code
    found["lacking"] = [each.name for each, _ in protections.lacking]
    found["doctor"] = doctor.foreign_models().verdict
    features = pl.read_parquet(folder / "features.parquet")
    sandbox = Sandbox()
    try:
        sandbox.predict(folder / "own_code", features)
    except ModelFailedError as error:
        found["refused"] = [error.kind, error.says]
    found["booster"] = sandbox.predict(folder / "booster", features).probability.tobytes().hex()

    # Then it ends while a model runs, and closes nothing.
    many = pl.concat([features] * 5000)
    threading.Thread(target=sandbox.predict, args=(folder / "booster", many), daemon=True).start()
    template = psutil.Process(sandbox._template._process.pid)
    while not (running := template.children()):
        pass
    found["running"] = [template.pid, running[0].pid]
    print(json.dumps(found), flush=True)
    os._exit(0)
"""


def test_without_file_protection_code_is_refused_and_data_still_runs(made: Made, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(WITHOUT_LANDLOCK), str(made.folder)],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["enough"]
    assert "FILES" in found["lacking"]
    assert found["doctor"] == "wrong"
    kind, says = found["refused"]
    assert kind == Failure.UNPROTECTED
    assert "without the protections that foreign code needs" in says
    assert "Landlock" in says
    in_process = np.load(made.folder / "in_process.npz")["booster"]
    assert found["booster"] == in_process.tobytes().hex()
    assert [pid for pid in found["running"] if not _ends(pid)] == [], "whoever started them is gone"
    until = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == [], "and so are the copies of the models"


def test_a_model_ends_with_the_process_it_was_copied_from(sandbox: Sandbox, made: Made) -> None:
    sandbox.predict(made.folder / "own_code", made.features)
    template = sandbox._template
    assert template is not None
    before, caught = template._process.pid, []

    def predict() -> None:
        with pytest.raises(SandboxError) as error:
            sandbox.predict(made.folder / "slow", made.features, replace(LIMITS, seconds=60))
        caught.append(error.value)

    waiting = threading.Thread(target=predict)
    waiting.start()
    while len(running := in_its_session(sandbox)) < 2:
        assert waiting.is_alive()
    os.kill(before, signal.SIGKILL)
    waiting.join(20)
    assert len(caught) == 1
    assert [pid for pid in running if not _ends(pid)] == []
    assert sandbox._template is None, "another is started when it is asked again"


def _ends(pid: int) -> bool:
    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True
