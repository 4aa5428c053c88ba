"""How fast Cedar is asked through the adapter, for the benchmark of policies.

A day of the pilot's cases, each asked about its three actions. Distinct: each case has a price of its own, so each
request is another. Repeated: prices follow from the seats of aircraft, of which there are some fifty. The peer asks
Cedar itself, one request after another, as a first program does: with the texts of the files, blind to its errors.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from automation.policy.authorization import Authorizer, Automation, Cases, ModelStage, Request
from automation.policy.authorization.documents import Documents, deciding
from benchmarks.report import Figure, Peer, figure

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = Path(__file__).parent.parent / "assets" / "flight_disruption" / "policy"
ACTIONS = ("proceed", "notify", "protect")
DECIDING, ABOUT = Automation("flight_disruption", ModelStage.CHAMPION, 3), Cases("flight_disruption")
CASES, REPEATS, PRICES, ASKED_ONE_BY_ONE = 1_000, 7, 50, 300


def measure_cedar(cases: int = CASES, repeats: int = REPEATS) -> list[Figure]:
    """Requests answered a second, distinct and repeated, and milliseconds to load the files; medians of ``repeats``.

    Everything is measured in turns, so that a busy moment of the machine meets all alike.
    """
    authorizer = Authorizer.load(POLICY, ACTIONS)
    distinct = _day(cases, cases)
    repeated = _day(cases, PRICES)
    if not all(answer.allowed for answer in authorizer.authorize(distinct)):
        raise AssertionError("The benchmark's requests are all allowed, and one was not.")
    plain = _plainly(distinct[:: max(1, len(distinct) // ASKED_ONE_BY_ONE)])
    took: dict[str, list[float]] = {"distinct": [], "repeated": [], "plain": [], "load": []}
    for _ in range(repeats):
        took["distinct"].append(len(distinct) / _seconds(lambda: authorizer.authorize(distinct)))
        took["repeated"].append(len(repeated) / _seconds(lambda: authorizer.authorize(repeated)))
        took["plain"].append(1 / plain())
        took["load"].append(_seconds(lambda: Authorizer.load(POLICY, ACTIONS)) * 1e3)
    median = {name: statistics.median(values) for name, values in took.items()}
    peer = Peer("cedarpy, one by one, from texts", median["plain"])
    return [
        figure("cedar_distinct_requests", median["distinct"], "requests/s", peer),
        figure("cedar_repeated_requests", median["repeated"], "requests/s", peer),
        figure("cedar_policies_examined_and_loaded", median["load"], "ms"),
    ]


def _day(cases: int, prices: int) -> list[Request]:
    """Each case's requests, about all of its actions."""
    return [
        Request(DECIDING, action, ABOUT, {"price_cents": case % prices * 3 + nth})
        for case in range(cases)
        for nth, action in enumerate(ACTIONS)
    ]


def _plainly(requests: list[Request]) -> Callable[[], float]:
    """Asks Cedar itself about each request: a function that returns seconds of one."""
    import cedarpy

    documents, asked = Documents.read(POLICY), [request.as_cedar() for request in requests]
    entities = json.dumps(
        [
            deciding(entity, DECIDING) if entity["uid"]["type"] == "Automation" else entity
            for entity in documents.entities
        ]
    )

    def ask() -> None:
        for request in asked:
            cedarpy.is_authorized(request, documents.policies_text, entities, documents.schema_text)

    return lambda: _seconds(ask) / len(asked)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
