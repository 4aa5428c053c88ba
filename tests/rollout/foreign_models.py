"""A data scientist's script: saves models with the plain client, honest ones and others, in the folder it is given.

Run as `python foreign_models.py FOLDER PORT OUTSIDE`, by itself, with only MLflow, scikit-learn and LightGBM: what the
models of one's own are is pickled by value. PORT is where somebody listens; OUTSIDE a folder that is not the model's.
"""

import contextlib
import ctypes
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import lightgbm
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

FOLDER, PORT, OUTSIDE = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
FEATURES = pd.DataFrame(np.random.default_rng(7).normal(size=(300, 3)), columns=["wind", "queue", "lead"])
LATE = (FEATURES.wind + FEATURES.queue > 0.3).astype(int)


def half(rows):
    return np.full(len(rows), 0.5)


def own_code(rows):
    return 1.0 / (1.0 + np.exp(-rows["wind"].to_numpy() - rows["queue"].to_numpy()))


def crashing(rows):
    return ctypes.string_at(0)


def exiting(rows):
    os._exit(3)


def raising(rows):
    raise ValueError("no wind\n\x1b[31mtoday")


def needing(rows):
    import a_package_of_nobody

    return a_package_of_nobody.predict(rows)


def slow(rows):
    while True:
        pass


def hungry(rows):
    eaten = []
    while True:
        eaten.append(np.ones(1 << 20))


def hungry_beneath(rows):
    """Memory that no limit on a process counts: files in memory, shared segments. 1 where it was refused."""

    libc = ctypes.CDLL(None)
    segment = libc.shmget(0, 4096, 0o1600)
    refused = libc.memfd_create(b"hidden", 0) == -1 and segment == -1
    # It would outlive the process.
    libc.shmctl(segment, 0, None)
    return half(rows) * 0 + float(refused)


def many_threads(rows):
    never = threading.Event()
    while True:
        threading.Thread(target=never.wait, daemon=True).start()


def forking(rows):
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def programs(rows):
    with contextlib.suppress(OSError):
        subprocess.run(["/bin/sh", "-c", f"touch {OUTSIDE}/by_program"], capture_output=True, check=False)
    return half(rows)


def reading(rows):
    with contextlib.suppress(OSError):
        sys.stdout.write(Path(OUTSIDE, "secret").read_text())
    return half(rows)


def listing(rows):
    return half(rows) + len(list(Path(OUTSIDE).iterdir()))


def writing(rows):
    with Path(OUTSIDE, "written").open("w") as file:
        file.write("x")
    return half(rows)


class WritingIntoItself(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        with Path(context.artifacts["table"]).open("a") as file:
            file.write("x")
        return half(model_input)


class WithArtifact(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return half(model_input) * json.loads(Path(context.artifacts["table"]).read_text())["factor"]


def connecting(rows):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", PORT), timeout=1).sendall(b"all the features")
    return half(rows)


def beneath(rows):
    """What Python does not see: straight to the C library. A bit of 1/64 for each thing that was possible."""

    libc = ctypes.CDLL(None)
    secret, written = f"{OUTSIDE}/secret".encode(), f"{OUTSIDE}/by_libc".encode()
    possible = [
        libc.socket(2, 1, 0) != -1,
        libc.socket(1, 1, 0) != -1,
        libc.open(secret, os.O_RDONLY) != -1,
        libc.open(written, os.O_WRONLY | os.O_CREAT, 0o600) != -1,
        libc.kill(os.getppid(), 0) != -1 or libc.ptrace(16, os.getppid(), 0, 0) != -1,
        libc.chmod(secret, 0o777) != -1 or libc.setrlimit(9, (ctypes.c_ulong * 2)(-1, -1)) != -1,
    ]
    return half(rows) * 0 + sum(2**bit for bit, was in enumerate(possible) if was) / 64


def curious(rows):
    sys.stdout.write(json.dumps({"environment": dict(os.environ), "arguments": sys.argv, "folder": str(Path.cwd())}))
    sys.stderr.write(json.dumps({"open": [each for each in range(64) if _is_open(each)]}) + "\n")
    return half(rows)


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def loud(rows):
    for _ in range(20_000):
        sys.stdout.write("a line that is no part of any protocol " * 3)
    os.write(1, b"the end\n")
    return own_code(rows)


def short(rows):
    return half(rows)[1:]


def long(rows):
    return np.full(2_000_000, 0.5)


def missing(rows):
    answer = half(rows)
    answer[4] = np.nan
    return answer


def beyond(rows):
    return half(rows) * 3


def words(rows):
    return ["late"] * len(rows)


def forging(rows):
    """Says on every descriptor it finds that all went well."""

    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"predicted\n")
    os._exit(0)


class RunsWhenLoaded:
    def __reduce__(self):
        return (exec, (f"open({OUTSIDE + '/by_pickle'!r}, 'w').write('x')",))


def save(name, model, **more):
    mlflow.pyfunc.save_model(
        FOLDER / name,
        python_model=model,
        signature=infer_signature(FEATURES, half(FEATURES)),
        pip_requirements=["mlflow"],
        **more,
    )


signature = infer_signature(FEATURES, half(FEATURES))
regression = LogisticRegression().fit(FEATURES, LATE)
forest = RandomForestClassifier(20, n_jobs=2, random_state=0).fit(FEATURES, LATE)
booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(FEATURES, LATE), 10)
keeping = {"signature": signature, "pip_requirements": ["scikit-learn"]}
mlflow.sklearn.save_model(regression, FOLDER / "regression", **keeping)
keeping_pickle = {"serialization_format": "cloudpickle", **keeping}
mlflow.sklearn.save_model(regression, FOLDER / "pickled", **keeping_pickle)
mlflow.sklearn.save_model(forest, FOLDER / "forest", pyfunc_predict_fn="predict_proba", **keeping_pickle)
mlflow.lightgbm.save_model(booster, FOLDER / "booster", signature=signature, pip_requirements=["lightgbm"])
mlflow.sklearn.save_model(regression, FOLDER / "unsigned", pip_requirements=["scikit-learn"])
wider = FEATURES.assign(visibility=1.0)
mlflow.sklearn.save_model(
    LogisticRegression().fit(wider, LATE),
    FOLDER / "wrong_signature",
    signature=infer_signature(wider, half(wider)),
    pip_requirements=["scikit-learn"],
)

models = [
    own_code,
    crashing,
    exiting,
    raising,
    needing,
    slow,
    hungry,
    hungry_beneath,
    many_threads,
    forking,
    programs,
    reading,
]
models += [listing, writing, connecting, beneath, curious, loud, short, long, missing, beyond, words, forging]
for each in models:
    save(each.__name__, each)
table = FOLDER / "table.json"
table.write_text('{"factor": 0.5}')
save("with_artifact", WithArtifact(), artifacts={"table": str(table)})
save("writing_into_itself", WritingIntoItself(), artifacts={"table": str(table)})
shutil.copytree(FOLDER / "own_code", FOLDER / "runs_when_loaded")
(FOLDER / "runs_when_loaded" / "python_model.pkl").write_bytes(pickle.dumps(RunsWhenLoaded()))
shutil.copytree(FOLDER / "own_code", FOLDER / "linked")
(FOLDER / "linked" / "more").symlink_to(f"{OUTSIDE}/secret")

features = FEATURES.sort_values("wind")
features.to_parquet(FOLDER / "features.parquet")
features = pd.read_parquet(FOLDER / "features.parquet")
in_process = {
    "regression": regression.predict_proba(features)[:, 1],
    "pickled": regression.predict_proba(features)[:, 1],
    # In one thread: several add up the trees in whatever order they end.
    "forest": forest.set_params(n_jobs=1).predict_proba(features)[:, 1],
    "booster": mlflow.pyfunc.load_model(FOLDER / "booster").predict(features),
    "own_code": mlflow.pyfunc.load_model(FOLDER / "own_code").predict(features),
}
np.savez(FOLDER / "in_process.npz", **in_process)

# What the models try is possible here, outside the sandbox, or their being prevented would mean nothing.
reading(features)
writing(features)
programs(features)
connecting(features)
done = {each.name for each in Path(OUTSIDE).iterdir()}
possible = {"beneath": float(beneath(features)[0]), "hungry_beneath": float(hungry_beneath(features)[0])}
(FOLDER / "outside.json").write_text(json.dumps({"files": sorted(done), **possible}))
for each in ("written", "by_program", "by_libc"):
    Path(OUTSIDE, each).unlink()
