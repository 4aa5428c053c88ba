"""The process that runs foreign models, and the one it is copied from.

Importing MLflow and its kin takes seconds, so one process, the template, does it once and then waits. It runs no model:
for each it makes a copy of itself, which confines itself, loads the model, predicts once and ends. The template kills a
copy that is too slow, says how each ended, and ends when whoever started it does.

It is started by `python -I -c` with an environment of its own, holds nothing of the caller's, and knows of a model only
where its files are. Of what it is sent, one line of JSON with four file descriptors, nothing comes from foreign code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from automation.rollout.sandbox import confinement, tries

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

PRELOADED: Final = (
    "numpy",
    "pandas",
    "pyarrow.ipc",
    "mlflow.pyfunc.model",
    "mlflow.sklearn",
    "mlflow.lightgbm",
    "mlflow.xgboost",
    "joblib",
    "skops.io",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "lightgbm",
    "xgboost",
)
READY: Final = b"ready\n"
CONTROL: Final = 3
"""The file descriptor of the socket to whoever started the template."""
FEATURES, ANSWER, NOTES = 3, 4, 5
"""The file descriptors of a copy, beside the standard ones: what it reads, what it answers, what it says of itself."""


@dataclass(frozen=True)
class Request:
    """Run the model in a folder, within limits. ``only_data``: its files hold no code (LightGBM's text)."""

    folder: str
    only_data: bool
    seconds: float
    memory_bytes: int
    threads: int


@dataclass(frozen=True)
class Ended:
    """How a copy ended: its wait status and greatest resident memory, of the kernel; whether it was killed for time."""

    status: int
    peak_memory_bytes: int
    timed_out: bool


class NotConfinedError(Exception):
    """The protections that foreign code needs are not in force here."""


class WrongAnswerError(Exception):
    """The model answered something that is not one number for each row."""


def main() -> None:
    """The template's life."""
    control = socket.socket(fileno=CONTROL)
    for name in PRELOADED:
        # xgboost, for one, is there only if somebody installed it.
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    _warm()
    gc.freeze()
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    control.sendall(READY)
    while True:
        line, received, _, _ = socket.recv_fds(control, 1 << 16, 4)
        if not line:
            return
        ended = _run(Request(**json.loads(line)), received, control, woken)
        control.sendall(json.dumps(ended.__dict__).encode() + b"\n")


def _warm() -> None:
    """Predicts once with a model of our own: scikit-learn imports the rest of itself then."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    frame = pd.DataFrame({"feature": [0.0, 1.0]})
    LogisticRegression().fit(frame, [0, 1]).predict_proba(frame)


def _run(request: Request, received: list[int], control: socket.socket, woken: int) -> Ended:
    deadline = time.monotonic() + request.seconds
    child = os.fork()
    if child == 0:
        _copy(request, received)
    for descriptor in received:
        os.close(descriptor)
    timed_out = False
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            unit = 1 if sys.platform == "darwin" else 1024
            return Ended(status, usage.ru_maxrss * unit, timed_out)
        left = None if timed_out else max(0.0, deadline - time.monotonic())
        heard, _, _ = select.select([control, woken], [], [], left)
        if woken in heard:
            os.read(woken, 512)
        # Nobody sends while a model runs: what is heard is the end of whoever started this.
        abandoned = control in heard
        if abandoned or (not timed_out and time.monotonic() >= deadline):
            timed_out = True
            os.kill(child, signal.SIGKILL)
        if abandoned:
            os.waitpid(child, 0)
            # Whoever copied the model here cannot remove it any more.
            shutil.rmtree(Path(request.folder).parent, ignore_errors=True)
            os._exit(0)


def _copy(request: Request, received: list[int]) -> None:
    """The life of a copy. It never returns, whatever foreign code does: it would go on as if it were the template."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _keep_only(received)
        _predict(request)
        code = 0
    except BaseException as error:  # noqa: BLE001 (foreign code may raise anything; whatever it is goes to the caller)
        _tell("failed", type(error).__name__, _kind(error), _words(error))
    finally:
        try:
            _flush()
        finally:
            os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Foreign code may have closed them, or put something else in their place.
        with contextlib.suppress(Exception):
            stream.flush()


def _keep_only(received: list[int]) -> None:
    """The four descriptors become the copy's only ones: features, answer, notes, and what is printed."""
    features, answer, notes, printed = (os.dup(each) for each in received)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (printed, 1), (printed, 2), (features, FEATURES), (answer, ANSWER)):
        os.dup2(source, target)
    os.dup2(notes, NOTES)
    os.closerange(NOTES + 1, max(features, answer, notes, printed, nothing, *received) + 1)


def _predict(request: Request) -> None:
    with os.fdopen(FEATURES, "rb") as sent:
        features = sent.read()
    readable = (*confinement.readable_folders(), os.path.realpath(request.folder))
    protections = confinement.confine(confinement.Bounds(readable, request.memory_bytes, request.threads))
    if not request.only_data and not protections.enough_for_code:
        raise NotConfinedError(protections.says)
    _tell("confined", *(f"{each.name} {dict(protections.lacking).get(each, '')}" for each in confinement.Protection))
    import pyarrow as pa

    table = pa.ipc.open_stream(features).read_all()
    if request.only_data:
        answer = _by_lightgbm(request, table)
    else:
        tries.listen(readable, lambda what: _tell("tried", what.replace(f"{request.folder}/", "its own ")))
        answer = _by_mlflow(request, table.to_pandas())
    _tell("predicted")
    left = memoryview(answer.tobytes())
    while left:
        left = left[os.write(ANSWER, left) :]


def _by_lightgbm(request: Request, table: pa.Table) -> np.ndarray:
    import lightgbm as lgb
    import numpy as np

    booster = lgb.Booster(model_file=str(Path(request.folder, "model.lgb")))
    _tell("loaded")
    columns = [table[name].cast("float64").to_numpy() for name in booster.feature_name()]
    return _probabilities(booster.predict(np.column_stack(columns), num_threads=1))


def _by_mlflow(request: Request, frame: pd.DataFrame) -> np.ndarray:
    import tempfile

    import mlflow.pyfunc

    # Otherwise Python looks for a place for temporary files by trying to write in several.
    tempfile.tempdir = request.folder
    sys.dont_write_bytecode = True
    model = mlflow.pyfunc.load_model(request.folder, suppress_warnings=True)
    flavor = model.metadata.flavors["python_function"]
    of_a_library = flavor["loader_module"] in {"mlflow.sklearn", "mlflow.lightgbm", "mlflow.xgboost"}
    raw: Any = model.get_raw_model() if of_a_library else None
    _tell("loaded")
    # A classifier's `predict`, which is what MLflow calls unless told otherwise, is a class and no probability.
    if hasattr(raw, "predict_proba") and flavor.get("predict_fn", "predict") == "predict":
        classes = list(raw.classes_)
        if sorted(classes) != [0, 1]:
            raise WrongAnswerError(f"its classes are {classes}, not 0 and 1")
        return _probabilities(raw.predict_proba(frame)[:, classes.index(1)])
    return _probabilities(model.predict(frame))


def _probabilities(answer: Any) -> np.ndarray:
    """The answer as float64, one a row: itself, its only column, or the second of two that add up to one."""
    import numpy as np

    values = np.asarray(answer)
    if values.dtype.kind not in "fiub":
        raise WrongAnswerError(f"it answered {type(answer).__name__} of {values.dtype}, not numbers")
    values = values.astype("<f8")
    if values.ndim == 2 and values.shape[1] == 2 and np.allclose(values.sum(axis=1), 1.0, rtol=0.0, atol=1e-6):
        values = values[:, 1]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise WrongAnswerError(f"it answered an array of shape {values.shape}, not one number for each row")
    return np.ascontiguousarray(values)


def _kind(error: BaseException) -> str:
    """What the error is a case of, of those that the caller tells apart."""
    for kind in (NotConfinedError, WrongAnswerError, MemoryError, ModuleNotFoundError):
        if isinstance(error, kind):
            return kind.__name__
    return ""


def _words(error: BaseException) -> str:
    # The frames hold whatever the model had in memory when there was no more.
    traceback.clear_frames(error.__traceback__)
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (the error is foreign code, too)
        return "an error without words"


def _tell(*said: str) -> None:
    """One line to the caller, of fields between tabs."""
    line = "\t".join(" ".join(each.split())[:500] if index else each for index, each in enumerate(said))
    os.write(NOTES, line.encode(errors="replace") + b"\n")
