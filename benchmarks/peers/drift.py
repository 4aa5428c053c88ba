"""Evidently and NannyML at their defaults on sequences of days: run by `benchmarks.drift` in an environment of its own.

    python drift.py FOLDER LOOK_EVERY

The folder holds ``N.parquet``: columns `sequence_day` and the features. Days before 42 are the reference. Prints a JSON
object: by file and library, the first day of an alarm and the columns it names, or null; and the seconds it took.

Evidently alarms if it calls a dataset drifted (half of the columns). NannyML has no alarm of a dataset: a day is a
chunk, and any column's alert is one.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ |= {"NML_DISABLE_USAGE_LOGGING": "true", "DO_NOT_TRACK": "1"}
warnings.filterwarnings("ignore")

import nannyml  # noqa: E402  # pyrefly: ignore[missing-import]
import pandas as pd  # noqa: E402
from evidently import Report  # noqa: E402  # pyrefly: ignore[missing-import]
from evidently.metrics import DriftedColumnsCount  # noqa: E402  # pyrefly: ignore[missing-import]

REFERENCE_DAYS = 42
DAY = "sequence_day"


def evidently_alarm(frame, look_every):
    reference = frame[frame[DAY] < REFERENCE_DAYS].drop(columns=DAY)
    for day in range(REFERENCE_DAYS, frame[DAY].max() + 1, look_every):
        # It refuses a column without a value.
        today = frame[frame[DAY] == day].drop(columns=DAY).dropna(axis="columns", how="all")
        run = Report([DriftedColumnsCount()]).run(today, reference[today.columns]).dict()
        if run["metrics"][0]["value"]["share"] >= 0.5:
            return [day, []]
    return None


def nannyml_alarm(frame):
    columns = [name for name in frame.columns if name != DAY]
    timed = frame.assign(at=pd.Timestamp("2013-01-01") + pd.to_timedelta(frame[DAY], unit="D"))
    calculator = nannyml.UnivariateDriftCalculator(column_names=columns, timestamp_column_name="at", chunk_period="D")
    calculator.fit(timed[timed[DAY] < REFERENCE_DAYS])
    found = calculator.calculate(timed[timed[DAY] >= REFERENCE_DAYS]).filter(period="analysis").to_df()
    alerts = pd.DataFrame({name[0]: found[name] for name in found.columns if name[-1] == "alert"}).astype(bool)
    for number, row in enumerate(alerts.itertuples(index=False)):
        if any(row):
            return [REFERENCE_DAYS + number, [name for name, alert in zip(alerts.columns, row, strict=True) if alert]]
    return None


def main(folder, look_every):
    told = {}
    for file in sorted(Path(folder).glob("*.parquet")):
        frame = pd.read_parquet(file)
        began = time.perf_counter()
        evidently = evidently_alarm(frame, look_every)
        between = time.perf_counter()
        nanny = nannyml_alarm(frame)
        told[file.stem] = {
            "evidently": evidently,
            "nannyml": nanny,
            "evidently_seconds": between - began,
            "nannyml_seconds": time.perf_counter() - between,
        }
        print(file.stem, told[file.stem], file=sys.stderr, flush=True)
    json.dump(told, sys.stdout)


main(sys.argv[1], int(sys.argv[2]))
