"""Plots for asset and check metadata, as SVG that the Dagster UI and MLflow show as images.

They are drawn here: a day has five of them and every raw table one more, and matplotlib takes a tenth of a second for
each. The same values give the same bytes.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from html import escape
from itertools import count
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from automation.evaluation import calibration_bins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#a0aec0"
COLORS = (BLUE, ORANGE, "#38a169", "#805ad5", GREY, "#d53f8c", "#319795", "#975a16")
LETTER = 6.2  # the mean width of a letter at the size of the labels


def image(svg: str) -> dg.MarkdownMetadataValue:
    """The plot as Markdown metadata."""
    return dg.MarkdownMetadataValue(f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def bars(values: Mapping[str, float], title: str, label: str, width: int = 560) -> str:
    """Horizontal bars with their values, which may be negative."""
    left = 16 + LETTER * max(map(len, values), default=1)
    right, below = 76, 56 + 22 * len(values)
    low, high = min([0.0, *values.values()]), max([0.0, *values.values()])
    reach = (high - low) or 1.0
    start = left if low == 0 else left + 60
    scale = (width - start - right) / reach
    drawn = [_text(left, 16, "start", title)]
    for row, (name, value) in enumerate(values.items()):
        top, begins = 30 + 22 * row, start + (min(value, 0.0) - low) * scale
        ends = begins + abs(value) * scale
        at, anchor = (begins - 4, "end") if value < 0 else (ends + 4, "start")
        drawn += [
            f'<rect x="{begins:.1f}" y="{top}" width="{ends - begins:.1f}" height="16" fill="{BLUE}"/>',
            _text(left - 6, top + 12, "end", name),
            _text(at, top + 12, anchor, f"{value:,.4g}"),
        ]
    drawn.append(_text(start, below - 10, "start", label))
    return _svg(width, below, drawn)


@dataclass(frozen=True)
class Whisker:
    """A value and the interval it lies in. An end that is not finite is drawn to the edge."""

    name: str
    low: float
    value: float
    high: float


def whiskers(shown: Sequence[Whisker], title: str, label: str, margin: float = 0.0, width: int = 640) -> str:
    """Values with their intervals below each other, beside zero and a margin; those beyond it are orange."""
    left = 16 + LETTER * max((len(each.name) for each in shown), default=1)
    right, below = 16, 60 + 18 * len(shown)
    told = [
        0.0,
        margin,
        *(end for each in shown for end in (each.low, each.value, each.high) if math.isfinite(end)),
    ]
    low, high = min(told), max(told)
    scale = (width - left - right) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) * scale

    drawn = [_text(16, 16, "start", title)]
    for at, color in ((0.0, GREY), (margin, ORANGE)):
        drawn.append(f'<path d="M{x(at):.1f},26V{below - 34}" stroke="{color}" stroke-dasharray="3 2"/>')
    for row, each in enumerate(shown):
        y = 36 + 18 * row
        color = ORANGE if each.low > margin else BLUE
        drawn += [
            _text(left - 6, y + 4, "end", each.name),
            f'<path d="M{x(each.low):.1f},{y}H{x(each.high):.1f}" stroke="{color}" stroke-width="2"/>',
            f'<circle cx="{x(each.value):.1f}" cy="{y}" r="3.2" fill="{color}"/>',
        ]
    for value in _round_numbers(low, high):
        drawn.append(_text(x(value), below - 22, "middle", f"{value:,.4g}"))
    drawn.append(_text((left + width - right) / 2, below - 6, "middle", label))
    return _svg(width, below, drawn)


def reliability(probability: np.ndarray, label: np.ndarray, title: str) -> str:
    """What was predicted against what happened, in tenths of the cases."""
    predicted, happened, _ = calibration_bins(probability, label)
    top = max(0.5, float(predicted.max(initial=0)), float(happened.max(initial=0)))
    field = _Field(title, (0.0, top), (0.0, top), width=380, height=320)
    drawn = [
        *field.frame("predicted probability", "observed share"),
        field.line([0.0, top], [0.0, top], GREY),
        field.line(predicted.tolist(), happened.tolist(), BLUE, dots=True),
    ]
    return _svg(field.width, field.height, drawn)


def lift(probability: np.ndarray, label: np.ndarray, title: str) -> str:
    """The share of all bad outcomes found in the share of cases with the highest probabilities."""
    order = np.argsort(-probability, kind="stable")
    found = np.concatenate([[0.0], np.cumsum(label[order]) / max(1, label.sum())])
    # A hundred points show the curve: a picture need not hold every case.
    shown = np.unique(np.linspace(0, len(label), 101).astype(int))
    field = _Field(title, (0.0, 1.0), (0.0, 1.0), width=380, height=320)
    drawn = [
        *field.frame("share of cases, most probable first", "share of bad outcomes found"),
        field.line([0.0, 1.0], [0.0, 1.0], GREY),
        field.line((shown / max(1, len(label))).tolist(), found[shown].tolist(), BLUE),
    ]
    return _svg(field.width, field.height, drawn)


def lines(days: Sequence[date], series: Mapping[str, Sequence[float]], title: str, label: str) -> str:
    """One line a series over days; a value that is not finite leaves a gap."""
    values = [value for told in series.values() for value in told if math.isfinite(value)]
    at = [float(day.toordinal()) for day in days]
    low, high = min([0.0, *values]), max([0.0, *values])
    columns = _columns(series, width=640)
    rows = math.ceil(len(series) / columns) if len(series) > 1 else 0
    height = 240 + 16 * max(0, rows - 2)
    across = min(at, default=0), max(at, default=0)
    field = _Field(title, across, (low, high), width=640, height=height, legend=rows, columns=columns)
    drawn = list(field.frame("", label, (str(min(days)), str(max(days))) if days else ("", "")))
    for (name, told), color, nth in zip(series.items(), _again(COLORS), count()):
        drawn.append(field.line(at, list(told), color, dots=len(days) < 40))
        if rows:
            drawn += field.named(nth, name, color)
    return _svg(field.width, field.height, drawn)


def beside(bins: Sequence[str], series: Mapping[str, Sequence[float]], title: str, label: str) -> str:
    """Vertical bars of each series side by side in each bin: two histograms, say."""
    top = max((value for told in series.values() for value in told), default=0.0)
    field = _Field(title, (0.0, float(len(bins))), (0.0, top), width=640, height=240, legend=2)
    drawn = list(field.frame("", label, ("", "")))
    each = 0.8 * (field.x(1) - field.x(0)) / max(1, len(series))
    for (name, told), color, nth in zip(series.items(), _again(COLORS), count()):
        for at, value in enumerate(told):
            left, roof = field.x(at + 0.1) + nth * each, field.y(value)
            height = field.y(0.0) - roof
            drawn.append(
                f'<rect x="{left:.1f}" y="{roof:.1f}" width="{each:.1f}" height="{height:.1f}" fill="{color}"/>'
            )
        drawn += field.named(nth + 4, name, color)
    # As many names as have room.
    step = math.ceil(len(bins) * LETTER * max(map(len, bins), default=1) / (field.width - 80))
    shown = [(at, name) for at, name in enumerate(bins) if at % max(1, step) == 0]
    drawn += [_text(field.x(at + 0.5), field.y(0.0) + 16, "middle", name) for at, name in shown]
    return _svg(field.width, field.height, drawn)


@dataclass(frozen=True)
class History:
    """A measure over the days before, and where it is today beside where it usually lies."""

    title: str
    days: Sequence[date]
    values: Sequence[float]
    today: date
    value: float
    usual: tuple[float, float]


def histories(shown: Sequence[History], width: int = 640, height: int = 150) -> str:
    """The histories below each other."""
    drawn = [part for found, top in zip(shown, count(0, height), strict=False) for part in _history(found, width, top)]
    return _svg(width, height * len(shown), drawn)


def _history(shown: History, width: int, top: int) -> Iterator[str]:
    first = min([*shown.days, shown.today])
    values = [*shown.values, shown.value, *shown.usual]
    field = _Field(
        shown.title,
        (float(first.toordinal()), float(shown.today.toordinal())),
        (min(values), max(values)),
        width=width,
        height=150,
        top=top,
    )
    yield from field.frame("", "", (str(first), str(shown.today)))
    yield field.line([day.toordinal() for day in shown.days], list(shown.values), BLUE)
    today, (least, most) = field.x(shown.today.toordinal()), shown.usual
    yield f'<path d="M{today:.1f},{field.y(least):.1f}V{field.y(most):.1f}" stroke="{GREY}" stroke-width="7"/>'
    yield f'<circle cx="{today:.1f}" cy="{field.y(shown.value):.1f}" r="4" fill="{ORANGE}"/>'


@dataclass(frozen=True)
class _Field:
    """A pair of axes: from what is measured to where it is drawn."""

    title: str
    across: tuple[float, float]
    up: tuple[float, float]
    width: int
    height: int
    legend: int = 0  # rows of names below
    top: int = 0
    columns: int = 4  # names in a row of the legend

    def x(self, value: float) -> float:
        low, high = self.across
        return 64 + (self.width - 64 - 16) * (value - low) / ((high - low) or 1.0)

    def y(self, value: float) -> float:
        low, high = self.up
        bottom = self.top + self.height - self.below
        return bottom - (self.height - self.below - 28) * (value - low) / ((high - low) or 1.0)

    @property
    def below(self) -> int:
        return 34 + 16 * self.legend

    def frame(self, across: str, up: str, ends: tuple[str, str] | None = None) -> Iterator[str]:
        """Title, axes with round numbers, or with the names of their ends, and what they measure."""
        left, right, bottom, roof = self.x(self.across[0]), self.width - 16, self.y(self.up[0]), self.y(self.up[1])
        yield _text(left, self.top + 16, "start", f"{self.title}, {up}" if up else self.title)
        yield f'<path d="M{left:.1f},{roof:.1f}V{bottom:.1f}H{right}" fill="none" stroke="{GREY}"/>'
        for value in _round_numbers(*self.up):
            yield _text(left - 6, self.y(value) + 4, "end", f"{value:,.4g}")
        under = bottom + 16
        if ends is not None:
            yield _text(left, under, "start", ends[0])
            yield _text(right, under, "end", ends[1] if ends[1] != ends[0] else "")
        else:
            for value in _round_numbers(*self.across):
                yield _text(self.x(value), under, "middle", f"{value:,.4g}")
        yield _text((left + right) / 2, under + 14, "middle", across)

    def line(self, across: Sequence[float], up: Sequence[float], color: str, *, dots: bool = False) -> str:
        """The line through the points, interrupted where one is not finite."""
        pieces: list[list[str]] = [[]]
        for x, y in zip(across, up, strict=True):
            if math.isfinite(y):
                pieces[-1].append(f"{self.x(x):.1f},{self.y(y):.1f}")
            elif pieces[-1]:
                pieces.append([])
        drawn = "".join(
            f'<polyline points="{" ".join(piece)}" fill="none" stroke="{color}" stroke-width="1.5"/>'
            for piece in pieces
            if piece
        )
        if dots:
            at = [point.split(",") for piece in pieces for point in piece]
            drawn += "".join(f'<circle cx="{x}" cy="{y}" r="2.2" fill="{color}"/>' for x, y in at)
        return drawn

    def named(self, nth: int, name: str, color: str) -> tuple[str, str]:
        """The entry of a series in the legend."""
        row, column = divmod(nth, self.columns)
        x = 64 + column * (self.width - 80) / self.columns
        y = self.top + self.height - 16 * self.legend + 16 * row + 6
        return (
            f'<rect x="{x:.1f}" y="{y - 8:.1f}" width="10" height="8" fill="{color}"/>',
            _text(x + 14, y, "start", name),
        )


def _columns(names: Iterable[str], width: int) -> int:
    """How many names have room beside each other in a legend: four at most."""
    longest = max(map(len, names), default=1)
    return max(1, min(4, int((width - 80) / (LETTER * longest + 20))))


def _round_numbers(low: float, high: float) -> Iterator[float]:
    """Some five numbers between, one, two or five times a power of ten apart."""
    reach = high - low
    if reach <= 0:
        yield low
        return
    rough = reach / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    for nth in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield nth * step


def _again(colors: Sequence[str]) -> Iterator[str]:
    return (colors[nth % len(colors)] for nth in count())


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""


def _svg(width: int, height: int, drawn: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(drawn)}</svg>'
    )
