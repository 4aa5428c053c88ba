"""Plots for asset and check metadata: drawn with matplotlib, shown by the Dagster UI as images in Markdown."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from itertools import count
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#a0aec0"


def image(figure: Figure) -> dg.MarkdownMetadataValue:
    """The figure as Markdown metadata."""
    buffer = io.BytesIO()
    # No date or version in the file: the same figure gives the same bytes.
    figure.savefig(buffer, format="png", dpi=72, metadata={"Software": None})
    return dg.MarkdownMetadataValue(f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")


def axes(title: str, width: float = 6.0, height: float = 3.2, left: float = 0.75) -> tuple[Figure, Axes]:
    # The object interface: pyplot would keep every figure open and choose a backend of its own.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    # Fixed margins, in inches: finding the best ones takes longer than drawing the plot.
    made = figure.add_axes((left / width, 0.75 / height, 1 - (left + 0.2) / width, 1 - 1.1 / height))
    made.set_title(title, fontsize=10)
    made.spines[["top", "right"]].set_visible(False)
    return figure, made


def bars(values: Mapping[str, float], title: str, label: str) -> Figure:
    """Horizontal bars with their values."""
    figure, drawn = axes(
        title, height=1.1 + 0.3 * max(1, len(values)), left=0.3 + 0.075 * max(map(len, values), default=1)
    )
    names = list(values)[::-1]
    made = drawn.barh(names, [values[name] for name in names], color=BLUE)
    drawn.bar_label(made, fmt="{:,.4g}", padding=3, fontsize=8)
    drawn.margins(x=0.15)
    drawn.set_xlabel(label)
    return figure


def reliability(probability: np.ndarray, label: np.ndarray, title: str) -> Figure:
    """What was predicted against what happened, in tenths of the cases."""
    figure, drawn = axes(title, width=4.4, height=4.0)
    predicted, happened, _ = calibration_bins(probability, label)
    top = max(0.5, float(predicted.max(initial=0)), float(happened.max(initial=0)))
    drawn.plot([0, top], [0, top], color=GREY, linewidth=1)
    drawn.plot(predicted, happened, "o-", color=BLUE)
    drawn.set_xlabel("predicted probability")
    drawn.set_ylabel("observed share")
    return figure


def lift(probability: np.ndarray, label: np.ndarray, title: str) -> Figure:
    """The share of all bad outcomes found in the share of cases with the highest probabilities."""
    figure, drawn = axes(title, width=4.4, height=4.0)
    order = np.argsort(-probability, kind="stable")
    found = np.cumsum(label[order]) / max(1, label.sum())
    share = np.arange(1, len(label) + 1) / len(label)
    drawn.plot(share, found, color=BLUE)
    drawn.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    drawn.set_xlabel("share of cases, most probable first")
    drawn.set_ylabel("share of bad outcomes found")
    return figure


def lines(days: Sequence[date], series: Mapping[str, Sequence[float]], title: str, label: str) -> Figure:
    """One line a series over days."""
    figure, drawn = axes(title, width=8.0)
    for (name, values), color in zip(series.items(), (BLUE, ORANGE, "#38a169", "#805ad5", GREY), strict=False):
        drawn.plot(
            np.array(days, dtype="datetime64[D]"),
            np.array(values, dtype=float),
            label=name,
            color=color,
            marker="." if len(days) < 40 else None,
        )
    drawn.set_ylabel(label)
    drawn.tick_params(axis="x", rotation=30, labelsize=8)
    if len(series) > 1:
        drawn.legend(fontsize=8, frameon=False)
    return figure


def calibration_bins(
    probability: np.ndarray, label: np.ndarray, bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean prediction, observed share and size of each of ``bins`` groups of equal size by prediction."""
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return (
        np.array([probability[group].mean() for group in groups]),
        np.array([label[group].mean() for group in groups]),
        np.array([len(group) for group in groups]),
    )


@dataclass(frozen=True)
class History:
    """A measure over the days before, and where it is today beside where it usually lies."""

    title: str
    days: Sequence[date]
    values: Sequence[float]
    today: date
    value: float
    usual: tuple[float, float]


def histories(shown: Sequence[History], width: int = 640, height: int = 150) -> dg.MarkdownMetadataValue:
    """The histories below each other, as Markdown metadata.

    Drawn as SVG: every day of every raw table has one, and matplotlib takes a tenth of a second for each.
    """
    drawn = "".join(_history(found, width, height, top) for found, top in zip(shown, count(0, height), strict=False))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height * len(shown)}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{drawn}</svg>'
    )
    return dg.MarkdownMetadataValue(f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def _history(shown: History, width: int, height: int, top: int) -> str:
    left, right, above, below = 64, 16, 28, 22
    first = min([*shown.days, shown.today]).toordinal()
    span = max(1, shown.today.toordinal() - first)
    low, high = min([*shown.values, shown.value, *shown.usual]), max([*shown.values, shown.value, *shown.usual])
    reach = high - low or 1.0

    def x(day: date) -> float:
        return left + (width - left - right) * (day.toordinal() - first) / span

    def y(value: float) -> float:
        return top + height - below - (height - above - below) * (value - low) / reach

    points = " ".join(f"{x(day):.1f},{y(value):.1f}" for day, value in zip(shown.days, shown.values, strict=True))
    today, (least, most) = x(shown.today), shown.usual
    labels = [
        (left, top + 16, "start", shown.title),
        (left - 6, y(high) + 4, "end", f"{high:,.4g}"),
        (left - 6, y(low) + 4, "end", f"{low:,.4g}"),
        (left, top + height - 6, "start", f"{min([*shown.days, shown.today])}"),
        (today, top + height - 6, "end", f"{shown.today}"),
    ]
    return "".join(
        (
            f'<path d="M{left},{y(high):.1f}V{y(low):.1f}H{width - right}" fill="none" stroke="{GREY}"/>',
            f'<polyline points="{points}" fill="none" stroke="{BLUE}"/>',
            f'<path d="M{today:.1f},{y(least):.1f}V{y(most):.1f}" stroke="{GREY}" stroke-width="7"/>',
            f'<circle cx="{today:.1f}" cy="{y(shown.value):.1f}" r="4" fill="{ORANGE}"/>',
            *(
                f'<text x="{at:.1f}" y="{on:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
                for at, on, anchor, text in labels
            ),
        )
    )
