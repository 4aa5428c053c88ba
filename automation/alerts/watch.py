"""The watch: reads what is new in the event log, stores the alerts it makes, delivers them.

Every path raises the same alerts, because all of them write to the event log: a run of the daemon, a replay from the
command line, a person's click, an evaluation reported from outside. The sensor watches; the commands that run without
a daemon watch once when they were stopped. Nothing here runs inside a run, so that no alert can fail one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import psycopg2

from automation.alerts import findings, outbox
from automation.alerts.alert import bundled
from automation.alerts.graph import graph_of, reach
from automation.alerts.sinks import DeliveryError, Message, sinks
from automation.errors import WarrantError
from automation.replay import REPLAYED

if TYPE_CHECKING:
    import dagster as dg

    from automation.alerts.alert import Alert, Reach
    from automation.alerts.graph import Node
    from automation.alerts.outbox import Sending
    from automation.alerts.sinks import Sink
    from automation.settings import Settings

# A sensor's tick may last 60 s.
SECONDS_TO_READ, SECONDS_TO_SEND = 20, 25

Now = Callable[[], datetime]


@dataclass(frozen=True)
class Watched:
    """What one look came to: messages made, deliveries done, and why a sink took none, by its name."""

    raised: int
    sent: int
    failed: dict[str, str]

    def __str__(self) -> str:
        broken = "; ".join(f"{sink} failed: {error}" for sink, error in self.failed.items())
        return f"alerts: {self.raised} made, {self.sent} delivered" + (f"; {broken}" if broken else "")


def watch(settings: Settings, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: Now) -> Watched:
    """Looks at what is new in the log and delivers whatever waits."""
    to = sinks(settings)
    raised = look(settings, instance, repository, [sink.name for sink in to], now())
    return deliver(settings, to, now, raised=len(raised))


def look(
    settings: Settings,
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    to: Sequence[str],
    now: datetime,
) -> list[Alert]:
    """Reads the log from where the last look ended and stores the messages that makes, to be delivered ``to`` sinks."""
    until = time.monotonic() + SECONDS_TO_READ

    @cache
    def graph() -> dict[str, Node]:
        return graph_of(repository)

    def known(asset: str) -> Reach:
        return reach(graph(), asset)

    with outbox.looking(settings, now) as found:
        newest = findings.newest_event(instance)
        after = found.position.settled
        judged, complete = findings.judgements(instance, after, lambda: time.monotonic() < until)
        reached = newest if complete else max((judgement.event for judgement in judged), default=after)
        failed = findings.failed_runs(instance, after, REPLAYED)
        failed = [run for run in failed if complete or run.event <= reached]
        alerts = found.take([*judged, *failed], to, known)
        alerts += found.take(list(findings.mended(instance, found.failed_runs(), now)), to, known)
        # A log too long for one look is an old one, in which nothing appears late.
        at = found.position.after_reading_to(newest, now) if complete else outbox.Position(reached, reached, now)
        found.move_to(at)
    return alerts


def deliver(settings: Settings, to: Sequence[Sink], now: Now, *, raised: int = 0) -> Watched:
    """Delivers what waits to each sink. A sink that fails is left until it is due again; the others go on."""
    sent, failed = 0, {}
    until = time.monotonic() + SECONDS_TO_SEND
    with outbox.sending(settings) as underway:
        if underway is not None:
            for sink in to:
                done, error = _to_one(underway, sink, now, until)
                sent += done
                if error is not None:
                    failed[sink.name] = error
    return Watched(raised, sent, failed)


def _to_one(underway: Sending, sink: Sink, now: Now, until: float) -> tuple[int, str | None]:
    """How many messages a sink took, and why it took no more."""
    sent = 0
    waiting = [(waits.message, waits.alert) for waits in underway.waiting(sink.name, now())]
    for numbers, alert in bundled(waiting):
        if time.monotonic() > until:
            break
        try:
            sink.send(Message("-".join(map(str, dict.fromkeys((numbers[0], numbers[-1])))), alert, now()))
        except DeliveryError as error:
            underway.failed(numbers, sink.name, now(), error.message)
            return sent, error.message
        underway.done(numbers, sink.name, now())
        sent += len(numbers)
    return sent, None


@contextmanager
def only_logged() -> Iterator[None]:
    """For a command that has something else to say: alerts that cannot be raised now are logged, and wait.

    The next look raises them.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (WarrantError, psycopg2.Error, SQLAlchemyError) as error:
        logging.getLogger(__name__).warning("Alerts could not be raised now: %s", type(error).__name__)
