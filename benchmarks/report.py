"""What a benchmark prints: figures with their goals and peers, beside the machine they were measured on.

A benchmark is a module with a click command; ``python -m benchmarks.NAME`` prints a table for people, and with
``--json`` one object ``{"benchmark", "machine", "figures"}`` on standard output and nothing else. Progress goes to
standard error. The exit code is 0 if everything was measured, whether goals were met or not.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import click
import psutil

CALIBRATION_STEPS = 5_000_000
CALIBRATION_REPEATS = 3


class Better(StrEnum):
    """Which way a figure with a goal is better."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True)
class Figure:
    """One measured value. ``goal`` and ``peer`` are None where there is none; ``ratio`` is value over peer's value."""

    name: str
    value: float
    unit: str
    better: Better | None = None
    goal: float | None = None
    met: bool | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Peer:
    """Another way of doing the same, measured in the same run."""

    name: str
    value: float


def figure(name: str, value: float, unit: str, peer: Peer | None = None) -> Figure:
    """A figure without a goal."""
    return Figure(name, value, unit, **_beside(value, peer))


def at_most(goal: float, name: str, value: float, unit: str, peer: Peer | None = None) -> Figure:
    """A figure that shall not be greater than ``goal``."""
    return Figure(name, value, unit, Better.LOWER, goal, value <= goal, **_beside(value, peer))


def at_least(goal: float, name: str, value: float, unit: str, peer: Peer | None = None) -> Figure:
    """A figure that shall not be less than ``goal``."""
    return Figure(name, value, unit, Better.HIGHER, goal, value >= goal, **_beside(value, peer))


def _beside(value: float, peer: Peer | None) -> dict:
    if peer is None:
        return {}
    return {"peer": peer.name, "peer_value": peer.value, "ratio": value / peer.value if peer.value else None}


@dataclass(frozen=True)
class Machine:
    """Where figures were measured. ``calibration_seconds`` is a fixed loop of plain Python: the time of one core,
    on which a slow machine and a fast one, or a busy one and a quiet one, can be told apart."""

    cpu: str
    cores: int
    memory_gib: float
    platform: str
    python: str
    calibration_seconds: float
    load_before: float

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB, {self.platform}, Python {self.python}, "
            f"calibration loop {self.calibration_seconds:.2f} s, load before {self.load_before:.1f}"
        )


def machine() -> Machine:
    """This machine, as fast and as busy as it is now."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        platform=platform.platform(terse=True),
        python=platform.python_version(),
        load_before=round(os.getloadavg()[0], 2),
        calibration_seconds=round(statistics.median(_loop() for _ in range(CALIBRATION_REPEATS)), 3),
    )


def _loop() -> float:
    began, total = time.perf_counter(), 0
    for number in range(CALIBRATION_STEPS):
        total += number & 7
    return time.perf_counter() - began


def _cpu() -> str:
    described = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", described.read_text(), re.MULTILINE) if described.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def progress(text: str) -> None:
    """Says on standard error what is going on."""
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def show(benchmark: str, on: Machine, figures: list[Figure], *, as_json: bool) -> None:
    """Prints the figures: as one JSON object, or as a table."""
    if as_json:
        document = {"benchmark": benchmark, "machine": asdict(on), "figures": [asdict(f) for f in figures]}
        json.dump(document, sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(width=120)
    table = Table(title=f"{benchmark}: {on}", title_justify="left", show_edge=False, pad_edge=False)
    for number, column in enumerate(("figure", "value", "unit", "goal", "met", "peer", "peer's", "ratio")):
        table.add_column(column, justify="right" if number in {1, 6, 7} else "left")
    for found in figures:
        met = "" if found.met is None else "yes" if found.met else "NO"
        goal = "" if found.goal is None else f"{'≤' if found.better is Better.LOWER else '≥'} {found.goal:g}"
        row = (found.value, found.unit, goal, met, found.peer or "", found.peer_value, found.ratio)
        table.add_row(found.name, *(cell if isinstance(cell, str) else _number(cell) for cell in row))
    console.print(table)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
