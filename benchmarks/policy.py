"""Decision tables and authorization: answers a second, beside zen-engine and Cedar asked without us.

    python -m benchmarks.policy --json

The pilot's table is asked about made-up cases, each with every action it could get, for a verdict, the rules that
matched and their reasons filled in. The peer is zen-engine with the same table and the same reasons, in the faster of
its two ways to be asked about many rows: a batch of requests, and one request whose table loops over them. What it is
asked with lies ready before its clock starts; ours starts at a frame and includes all checks of the inputs. Both are
held to one core and timed by what they computed there, so that a busy machine favours neither. Every row's answer is
compared.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl

import assets.flight_disruption
from automation.policy.tables.document import STRICTNESS, TABLE_NODE, Verdict
from automation.policy.tables.judge import Table
from benchmarks.process import measured
from benchmarks.report import Figure, Peer, at_least, at_most, figure, machine, progress, show

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = Path(assets.flight_disruption.__path__[0]) / "policy" / "decision_table.json"
CASES = 100_000
A_DAY = 1_000
ROWS_A_CALL = 1_000
REPEATS = 5
SINGLES = 300
# The pilot's costs: dollars a passenger of each action, the share of the harm it spares, the harm.
ACTIONS = {"proceed": (0.0, 0.0), "notify": (1.0, 0.12), "protect": (12.0, 0.6)}
HARM = 60.0

Answer = tuple[str, list[str], list[str]]


def questions(cases: int) -> pl.DataFrame:
    """Cases with the pilot's sizes, hours and chances of being late, each with every action: three rows a case."""
    random = np.random.default_rng(7)
    probability = random.beta(1.2, 4.5, cases).round(6)
    stake = (random.integers(20, 380, cases) * 0.83).round(2)
    drawn = pl.DataFrame(
        {
            "probability": probability,
            "stake": stake,
            "origin": random.choice(["EWR", "JFK", "LGA"], cases),
            "hour": random.integers(5, 23, cases),
        }
    )
    parts = [
        drawn.with_columns(
            action=pl.lit(action),
            price=(pl.col("stake") * price).round(6),
            saving=(pl.col("stake") * (pl.col("probability") * HARM * spared - price)).round(6),
        )
        for action, (price, spared) in ACTIONS.items()
    ]
    return pl.concat(parts)


def _on_one_core() -> None:
    """This process, from here on. Where a process cannot be held to a core, polars has them all."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _median(
    function: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.process_time
) -> tuple[float, Any]:
    """Median seconds of a call after a first one that is not counted, and what the last returned.

    Seconds are of this process's computing: of one core they are those of a clock, less what other processes took.
    """
    seconds, result = [], function()
    for _ in range(repeats):
        began = clock()
        result = function()
        seconds.append(clock() - began)
    return statistics.median(seconds), result


def _answered(contexts: list[dict], replies: list[list[dict]]) -> list[Answer]:
    """What a caller makes of the engine's replies: the strictest verdict, the rules, their reasons filled in."""
    answers = []
    for context, reply in zip(contexts, replies, strict=True):
        if not reply:
            answers.append((Verdict.FORBID.value, ["table:no-rule"], ["no rule of the table allows it"]))
            continue
        verdict = max((said["verdict"] for said in reply), key=STRICTNESS.__getitem__)
        rules = [said["rule"] for said in reply]
        answers.append((verdict, rules, [said["reason"].format(**context) for said in reply]))
    return answers


def _batches(text: str, contexts: list[dict]) -> Callable[[], list[Answer]]:
    """zen-engine asked with a batch of requests."""
    import zen

    engine = zen.ZenEngine({"loader": {"type": "static", "content": {"table": json.loads(text)}}})
    requests: list[zen.EvaluateBatchRequest] = [{"key": "table", "context": context} for context in contexts]

    def ask() -> list[Answer]:
        replies: Any = engine.evaluate_batch(requests)
        return _answered(contexts, [reply["data"]["result"] for reply in replies])

    return ask


def _loops(text: str, contexts: list[dict]) -> Callable[[], list[Answer]]:
    """zen-engine asked with one request for many rows: the table, changed to loop over them; no schema is checked."""
    import zen

    document = json.loads(text)
    for node in document["nodes"]:
        if node["type"] == TABLE_NODE:
            node["content"] |= {"executionMode": "loop", "inputField": "rows", "outputPath": "rows"}
        else:
            node.pop("content", None)
    decision = zen.ZenEngine().create_decision(json.dumps(document))
    calls = [{"rows": contexts[at : at + ROWS_A_CALL]} for at in range(0, len(contexts), ROWS_A_CALL)]

    def ask() -> list[Answer]:
        return _answered(contexts, [reply for call in calls for reply in decision.evaluate(call)["result"]["rows"]])

    return ask


def _unlike(found: pl.DataFrame, answers: list[Answer]) -> int:
    return sum(one != other for one, other in zip(found.iter_rows(), answers, strict=True))


def compared(cases: int, repeats: int) -> dict[str, float]:
    """All ways on one core. Returns rows a second of each, and how many rows were answered otherwise by any."""
    _on_one_core()
    table, text, frame = Table.load(TABLE), TABLE.read_text(encoding="utf-8"), questions(cases)
    seconds, found = _median(lambda: table.judge(frame), repeats)
    rates, unlike = {"compiled": frame.height / seconds}, 0
    progress("zen-engine")
    contexts = frame.select(given.name for given in table.inputs).to_dicts()
    for name, made in (("batch", _batches), ("loop", _loops)):
        seconds, answers = _median(made(text, contexts), max(repeats // 2, 1))
        rates[name] = frame.height / seconds
        unlike += _unlike(found, answers)
    progress("the engine behind our checks")
    engine = table.by_engine()
    seconds, answered = _median(lambda: engine.judge(frame), max(repeats // 2, 1))
    rates["by_engine"] = frame.height / seconds
    unlike += _unlike(found, answered.rows())
    single = frame.head(1)
    return rates | {
        "rows": frame.height,
        "unlike": unlike,
        "one_compiled": _median(lambda: table.judge(single), SINGLES)[0] * 1e3,
        "one_by_engine": _median(lambda: engine.judge(single), SINGLES)[0] * 1e3,
        "load": _median(lambda: Table.load(TABLE), SINGLES)[0] * 1e3,
    }


def on_all_cores(cases: int, repeats: int) -> float:
    """The compiled form with every core of the machine: rows a second."""
    table, frame = Table.load(TABLE), questions(cases)
    return frame.height / _median(lambda: table.judge(frame), repeats, time.perf_counter)[0]


def tables(cases: int, repeats: int) -> list[Figure]:
    """The figures of decision tables."""
    progress(f"{cases:,} cases with every action")
    found = measured(compared, cases, repeats).result
    progress("on all cores")
    spread = measured(on_all_cores, cases, repeats).result
    way = max(("batch", "loop"), key=found.__getitem__)
    peer = Peer({"batch": "zen-engine, batch", "loop": "zen-engine, looping table"}[way], found[way])
    return [
        figure("answers_compiled", found["compiled"], "answers/s", peer),
        at_least(10, "answers_compiled_over_engine", found["compiled"] / peer.value, "times"),
        figure("answers_compiled_on_all_cores", spread, "answers/s"),
        figure("answers_of_engine_in_batches", found["batch"], "answers/s"),
        figure("answers_of_engine_looping", found["loop"], "answers/s"),
        figure("answers_by_engine_behind_our_checks", found["by_engine"], "answers/s"),
        figure("answers_compared", 3 * found["rows"], "answers"),
        at_most(0, "answers_unlike", found["unlike"], "answers"),
        figure("one_answer_compiled", found["one_compiled"], "ms"),
        figure("one_answer_by_engine", found["one_by_engine"], "ms"),
        figure("table_loaded_and_checked", found["load"], "ms"),
    ]


def authorization(cases: int, repeats: int) -> list[Figure]:
    """The figures of Cedar: of a day's cases, however many tables are asked about."""
    from benchmarks.policy_authorization import measure_cedar

    progress("Cedar")
    return measure_cedar(min(cases, A_DAY), repeats)


# What is measured, in order: each makes its figures from the number of cases and of repeats.
MEASUREMENTS: tuple[Callable[[int, int], list[Figure]], ...] = (tables, authorization)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--cases", default=CASES, show_default=True, help="Cases asked about, each with three actions.")
@click.option("--repeats", default=REPEATS, show_default=True, help="Times each is measured.")
def main(as_json: bool, cases: int, repeats: int) -> None:
    """Measures decision tables and authorization beside the engines they are written for."""
    on = machine()
    figures = [found for measure in MEASUREMENTS for found in measure(cases, repeats)]
    show("policy", on, figures, as_json=as_json)


if __name__ == "__main__":
    main()
